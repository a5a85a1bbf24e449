"""What predictors over fields share: the option `fields=`, and what it asks for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from lego.contract import Form, Need
from lego.nn.fields import Fields, FirstOrder
from lego.spec import Context, Predictor

FieldKind = Literal["vectors", "attributes", "context"]
"""`vectors`: the user vector and the item vector, two fields. `attributes`: also each categorical attribute of user and item.
`context`: these, and each categorical attribute of the impression (device, hour)."""


class FieldPredictor(Predictor):
    """A predictor over fields. Below it a spec has the line `fields: FieldKind = "vectors"` among its options."""

    takes: ClassVar[frozenset[Form]] = frozenset({Form.VECTOR, Form.PER_CANDIDATE})
    fields: FieldKind

    @property
    def needs(self) -> frozenset[Need]:
        """ATTRIBUTES and PROFILE where attributes are fields, IMPRESSION where those of the impression are."""
        kinds = {
            "attributes": {Need.ATTRIBUTES, Need.PROFILE},
            "context": {Need.ATTRIBUTES, Need.PROFILE, Need.IMPRESSION},
        }
        return frozenset(kinds.get(self.fields, ()))


def make_fields(context: Context, fields: str) -> Fields:
    """The fields of a spec's option `fields`."""
    return Fields(context.width, *_vocabularies(context, fields))


def make_first_order(context: Context, fields: str) -> FirstOrder:
    """The linear model of the same fields."""
    return FirstOrder(context.width, *_vocabularies(context, fields))


def _vocabularies(context: Context, fields: str) -> tuple[Mapping[str, int], ...]:
    """Of items, users and impressions."""
    if fields == "vectors":
        return {}, {}, {}
    impression = context.impression_vocabularies if fields == "context" else {}
    return context.item_vocabularies, context.user_vocabularies, impression
