"""Several operators side by side, their results joined: W [x_1; …; x_K] + b."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Self

import attrs
import torch
from torch import Tensor, nn

from lego.sequence.attention import Attention
from lego.sequence.cnn import CNN
from lego.sequence.combinator import Combinator, Combined
from lego.sequence.mean import Mean
from lego.spec import Behavior, Content, Context, operator


@operator
class Concat(Combinator):
    """`Concat(CNN(), Attention())`: what the parts give is joined, and a linear layer leads back to the model's width."""

    parts: tuple[Content | Behavior, ...] = attrs.field(kw_only=False)

    if TYPE_CHECKING:

        def __init__(self, *parts: Content | Behavior) -> None: ...

    def combined(self, context: Context, **parts: Any) -> Combined:
        """The torch of it, around modules of the parts."""
        return _Concat(context.width, **parts)

    @classmethod
    def examples(cls) -> Iterable[Self]:
        """Small instances."""
        return (
            cls(CNN(pool=Mean()), Mean()),
            cls(CNN(pool=None), Attention(heads=2, pool=None)),
        )


class _Concat(Combined):
    def __init__(self, width: int, **parts: Any) -> None:
        super().__init__(**parts)
        self.project = nn.Linear(len(self.parts) * width, width)

    def combine(self, vectors: list[Tensor]) -> Tensor:
        """One (..., D) of each part -> (..., D)."""
        return self.project(torch.cat(vectors, -1))
