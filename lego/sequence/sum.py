"""Several operators side by side, their results added."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Self

import attrs
from torch import Tensor

from lego.sequence.attention import Attention
from lego.sequence.cnn import CNN
from lego.sequence.combinator import Combinator, Combined
from lego.sequence.mean import Mean
from lego.spec import Behavior, Content, Context, operator


@operator
class Sum(Combinator):
    """`Sum(CNN(), Attention())`: every part reads the same, and what they give is added."""

    parts: tuple[Content | Behavior, ...] = attrs.field(kw_only=False)

    if TYPE_CHECKING:

        def __init__(self, *parts: Content | Behavior) -> None: ...

    def combined(self, context: Context, **parts: Any) -> Combined:
        """The torch of it, around modules of the parts."""
        return _Sum(**parts)

    @classmethod
    def examples(cls) -> Iterable[Self]:
        """Small instances."""
        return (
            cls(CNN(pool=Mean()), Mean()),
            cls(CNN(pool=None), Attention(heads=2, pool=None)),
        )


class _Sum(Combined):
    def combine(self, vectors: list[Tensor]) -> Tensor:
        """One (..., D) of each part -> (..., D), their sum."""
        total = vectors[0]
        for each in vectors[1:]:
            total = total + each
        return total
