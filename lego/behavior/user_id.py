"""A vector per user and nothing else: the user half of matrix factorization, here beside operators that read the history."""

from __future__ import annotations

from typing import ClassVar

import attrs
import torch
from torch import Tensor, nn

from lego.contract import Need, Needs, Out
from lego.spec import Behavior, Context, between, operator


@operator
class UserID(Behavior):
    """A trainable vector per user of the train part; the history is not read.

    In training a user is taken for an unknown one at the rate `dropout`, so that users training does not have find a vector that
    was learned; with 0 they find zeros.
    """

    needs: ClassVar[frozenset[Need]] = frozenset({Need.USER})

    dropout: float = attrs.field(default=0.1, validator=between(0, 1))

    def build(self, context: Context) -> nn.Module:
        """The torch of it."""
        return _UserID(context.users, context.width, self.dropout)


class _UserID(nn.Module):
    def __init__(self, users: int, width: int, dropout: float) -> None:
        super().__init__()
        self.dropout = dropout
        self.table = nn.Embedding(users, width, padding_idx=None if dropout else 0)
        # Vectors of length about 1, as those of items.
        nn.init.normal_(self.table.weight, std=width**-0.5)
        with torch.no_grad():
            self.table.weight[0].zero_()

    def forward(self, history: Tensor, mask: Tensor, needs: Needs) -> Out:
        """history (B, S, D), mask (B, S), user (B,) -> (B, D)."""
        assert needs.user is not None
        user = needs.user
        if self.training and self.dropout:
            user = user.masked_fill(torch.rand(user.shape, device=user.device) < self.dropout, 0)
        return Out(self.table(user))
