"""Each attribute of an item by an operator of its own, then one vector out of the views.

The multi-view encoder of NAML (Wu et al. 2019, https://arxiv.org/abs/1907.05576, section 3.1): titles and bodies by
convolutions, categories by tables, additive attention over the views (equations 4 and 5).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Self

import attrs
from torch import nn

from lego import catalog
from lego.content.lookup import Lookup
from lego.contract import Reads
from lego.errors import SpecError
from lego.spec import Choice, Content, Context, Pool, operator

BUDGET = 30
"""Tokens of a text that neither the model nor the source gives a budget for."""


def _additive() -> Pool:
    pool: Pool = catalog.load("content", "Additive")()
    return pool


@operator
class Views(Content):
    """`Views(title=CNN(), abstract=CNN(), category=Lookup())`: the name of a view is the attribute that it reads.

    Token budgets are those of `reads`, the source's own, or 30. An attribute that an item lacks is no view of that item, and an
    item that lacks all has a zero vector. `pool` makes one vector (D) of the K that the views give.
    """

    named: ClassVar[str] = "views"

    views: Mapping[str, Content] = attrs.field(factory=dict)
    pool: Pool = attrs.field(factory=_additive)

    if TYPE_CHECKING:

        def __init__(self, *, pool: Pool = ..., **views: Content) -> None: ...

    def __attrs_post_init__(self) -> None:
        """One view at least."""
        if not isinstance(self.views, Choice) and not self.views:
            raise SpecError.wrong_call("Views", "no view is given", "Views(title=CNN(), category=Lookup())")

    @property
    def reads(self) -> Reads:
        """What its views give."""
        return Reads.PARTS

    @property
    def content_parts(self) -> Mapping[str, Content]:
        """The views, by attribute."""
        return self.views

    def part_reads(self, name: str, reads: Mapping[str, int]) -> Mapping[str, int]:
        """The attribute that the view is named for."""
        return {name: reads.get(name, BUDGET)}

    def build_combiner(self, context: Context) -> nn.Module:
        """The torch of it: (N, K, D), mask (N, K) -> (N, D)."""
        return self.pool.build(attrs.evolve(context, input_width=context.width))

    @classmethod
    def examples(cls) -> Iterable[Self]:
        """Small instances, for items that have a title, a category and genres."""
        load: Any = catalog.load
        attention, mean = load("content", "Attention"), load("content", "Mean")
        return (
            cls(title=attention(heads=2), genres=Lookup()),
            cls(title=mean(), genres=Lookup(), pool=mean()),
        )
