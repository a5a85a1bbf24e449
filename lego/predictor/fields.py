"""What predictors over fields share: the option `fields=`, and what it asks for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from lego.contract import Form, Need
from lego.nn.fields import Fields, FirstOrder
from lego.spec import Context, Predictor

FieldKind = Literal["vectors", "attributes"]
"""`vectors`: the user vector and the item vector, two fields. `attributes`: also each categorical attribute of user and item."""


class FieldPredictor(Predictor):
    """A predictor over fields. Below it a spec has the line `fields: FieldKind = "vectors"` among its options."""

    takes: ClassVar[frozenset[Form]] = frozenset({Form.VECTOR, Form.PER_CANDIDATE})
    fields: FieldKind

    @property
    def needs(self) -> frozenset[Need]:
        """ATTRIBUTES and PROFILE where attributes are fields."""
        return frozenset({Need.ATTRIBUTES, Need.PROFILE} if self.fields == "attributes" else ())


def make_fields(context: Context, fields: str) -> Fields:
    """The fields of a spec's option `fields`."""
    return Fields(context.width, *_vocabularies(context, fields))


def make_first_order(context: Context, fields: str) -> FirstOrder:
    """The linear model of the same fields."""
    return FirstOrder(context.width, *_vocabularies(context, fields))


def _vocabularies(context: Context, fields: str) -> tuple[Mapping[str, int], Mapping[str, int]]:
    if fields == "vectors":
        return {}, {}
    return context.item_vocabularies, context.user_vocabularies
