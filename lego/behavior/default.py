"""A learned user for those without history, around any operator."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Self

import attrs
from torch import Tensor, nn

from lego.behavior.around import Around
from lego.behavior.lstur import LSTUR
from lego.behavior.poly_attention import PolyAttention
from lego.contract import Form, Out
from lego.errors import SpecError
from lego.nn.default import LearnedDefault
from lego.spec import Behavior, Choice, Context, choices, operator


@operator
class Default(Around):
    """`op`, whose user has a learned vector added where there is no history.

    Most operators give zeros then, of which the learned vector takes the place; what an operator knows without a history (LSTUR,
    who the user is) stays in it. `op` may give any form but a sequence, which has no place for it.
    """

    op: Behavior = attrs.field(kw_only=False)

    def __attrs_post_init__(self) -> None:
        """Refuses an operator that gives a sequence."""
        for op in self.op.values if isinstance(self.op, Choice) else (self.op,):
            # What holds a choice is checked when the choice is made.
            if not any(choices(op)) and op.gives & Form.SEQUENCE:
                raise SpecError(
                    f"Default({op!r}): {op!r} gives {op.gives.label}, which has no place for a default. "
                    "Put Default around an operator that gives one vector, or several interests."
                )

    def build(self, context: Context) -> nn.Module:
        """The torch of it."""
        return _Default(self.op.build(context), context.width)

    @classmethod
    def examples(cls) -> Iterable[Self]:
        """Small instances."""
        return (cls(LSTUR(hidden=8)), cls(PolyAttention(interests=2, hidden=5)))


class _Default(nn.Module):
    def __init__(self, op: nn.Module, width: int) -> None:
        super().__init__()
        self.op = op
        self.default = LearnedDefault(width)

    def forward(self, history: Tensor, mask: Tensor, *rest: Any) -> Out:
        """history (B, S, W), mask (B, S) and what else `op` reads -> what `op` gives."""
        out: Out = self.op(history, mask, *rest)
        users = out.tensor
        known = mask.any(-1).view(-1, *[1] * (users.ndim - 2)).expand(users.shape[:-1])
        return attrs.evolve(out, tensor=self.default(users, known))
