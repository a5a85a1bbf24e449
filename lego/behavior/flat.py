"""The words of all clicks as one sequence, so that a word of one item can look at those of another.

The history as one text, as UNBERT reads it (Zhang et al. 2021, https://www.ijcai.org/proceedings/2021/462) and Recformer (Li et
al. 2023, https://arxiv.org/abs/2305.13731); here the candidate is not part of it, so that the user can be kept.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, Self

import attrs
import torch
from torch import Tensor, nn
from torch.nn import functional

from lego.contract import Form, Need, Needs, Out
from lego.errors import SpecError
from lego.expression import parse
from lego.nn.masked import zero_padding
from lego.spec import Behavior, Choice, Context, Sequence, choices, operator


@operator
class Flat(Behavior):
    """`op` reads the tokens of the history's items, one item behind the other, instead of the vectors of the items.

    A learned vector, added to the first token of each item, tells where an item begins.
    """

    needs: ClassVar[frozenset[Need]] = frozenset({Need.TOKENS})

    op: Sequence = attrs.field(kw_only=False)

    def __attrs_post_init__(self) -> None:
        """Refuses an operator that gives a sequence: it would have a place per token, where a user has one per item."""
        for op in self.op.values if isinstance(self.op, Choice) else (self.op,):
            if not any(choices(op)) and op.gives is not Form.VECTOR:
                raise SpecError(
                    f"Flat({op!r}): {op!r} gives {op.gives.label}, with a place for each token. "
                    "Give it a pool, for example pool=Additive()."
                )

    def build(self, context: Context) -> nn.Module:
        """The torch of it."""
        inner = attrs.evolve(context, input_width=context.token_width, length=context.token_length)
        return _Flat(self.op.build(inner), context.token_width)

    @classmethod
    def examples(cls) -> Iterable[Self]:
        """Small instances."""
        texts = ("Additive(hidden=5)", "Attention(heads=2, positions=True, pool=Mean())")
        return tuple(cls(parse(text)) for text in texts)


class _Flat(nn.Module):
    def __init__(self, op: nn.Module, width: int) -> None:
        super().__init__()
        self.op = op
        self.separator = nn.Parameter(torch.empty(width))
        nn.init.normal_(self.separator, std=0.02)

    def forward(self, history: Tensor, mask: Tensor, needs: Needs) -> Out:
        """history (B, S, D), mask (B, S), tokens (B, T, W), token_slots (B, T) -> (B, D)."""
        assert needs.tokens is not None
        assert needs.token_slots is not None
        slots = needs.token_slots
        before = functional.pad(slots[:, :-1], (1, 0))
        first = (slots != before).unsqueeze(-1)
        tokens = needs.tokens + self.separator.to(needs.tokens.dtype) * first
        out: Out = self.op(zero_padding(tokens, slots > 0), slots > 0, needs)
        return out
