"""Where a place is, told to an operator that would not know: learned positions added to what it reads.

Gehring et al. 2017, https://arxiv.org/abs/1705.03122, section 3.1.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Self

import attrs
from torch import Tensor, nn

from lego.contract import Form, Out
from lego.errors import SpecError
from lego.nn.positions import LearnedPositions
from lego.sequence.attention import Attention
from lego.sequence.composite import Composite, is_aware, run
from lego.sequence.mean import Mean
from lego.spec import Behavior, Choice, Context, operator


@operator
class Positions(Composite):
    """`Positions(Attention())`: a learned vector for each place is added to the input of an operator.

    Counted from the first place; `backwards` counts from the last real one, so that the most recent item of a history is
    always place 0 however long the history is. In the behavior slot any behavior operator can stand inside.
    """

    op: Behavior = attrs.field(kw_only=False)
    backwards: bool = False

    @property
    def inner(self) -> tuple[Any, ...]:
        """What stands inside."""
        return (self.op,)

    @property
    def gives(self) -> Form:
        """What stands inside gives it."""
        if isinstance(self.op, Choice):
            raise SpecError.open_choice(repr(self))
        return self.op.gives

    def build(self, context: Context) -> nn.Module:
        """The torch of it."""
        positions = LearnedPositions(context.length, context.input_width, backwards=self.backwards)
        return _Positions(positions, self.op.build(context), aware=is_aware(self.op))

    @classmethod
    def examples(cls) -> Iterable[Self]:
        """Small instances."""
        return (cls(Attention(heads=2, pool=None)), cls(Mean(), backwards=True))


class _Positions(nn.Module):
    def __init__(self, positions: LearnedPositions, op: nn.Module, *, aware: bool) -> None:
        super().__init__()
        self.positions = positions
        self.op = op
        self.aware = aware

    def forward(self, sequence: Tensor, mask: Tensor, *rest: Any) -> Out:
        """sequence (B, S, W), mask (B, S), candidates where they are asked for -> what stands inside gives."""
        return run(self.op, self.positions(sequence, mask), mask, rest, aware=self.aware)
