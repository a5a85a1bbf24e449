"""A short-term user from recent clicks, joined with a long-term one from who the user is: LSTUR (An et al. 2019).

https://aclanthology.org/P19-1033, section 3.2. The short-term user u_s is the last state of a GRU over the history. The
long-term user is a row of a table, u_l = M W[u] with M ~ B(1, 1 − p): in training it is dropped as a whole, and not rescaled.
`ini` starts the GRU from u_l, so that u = u_s; `con` joins the two, u = [u_s; u_l].
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, Literal, Self

import attrs
import torch
from torch import Tensor, nn

from lego.contract import Need, Needs, Out
from lego.nn.masked import gather_last, zero_padding
from lego.nn.place import project
from lego.spec import Behavior, Context, between, ge, operator


@operator
class LSTUR(Behavior):
    """`dropout` is how often a user's long-term vector is zeros in training, as it always is for users training does not have.

    States and long-term vectors are `hidden` wide; a linear layer leads to the model's width, for `con` always.
    """

    needs: ClassVar[frozenset[Need]] = frozenset({Need.USER})

    kind: Literal["ini", "con"] = attrs.field(default="ini", kw_only=False)
    hidden: int = attrs.field(default=64, validator=ge(1))
    dropout: float = attrs.field(default=0.5, validator=between(0, 1))

    def build(self, context: Context) -> nn.Module:
        """The torch of it."""
        return _LSTUR(
            context.users,
            context.input_width,
            context.width,
            self.hidden,
            self.dropout,
            joined=self.kind == "con",
        )

    @classmethod
    def examples(cls) -> Iterable[Self]:
        """One of each kind."""
        return (cls("ini", hidden=8), cls("con", hidden=6))


class _LSTUR(nn.Module):
    def __init__(
        self, users: int, input_width: int, width: int, hidden: int, dropout: float, *, joined: bool
    ) -> None:
        super().__init__()
        self.dropout = dropout
        self.joined = joined
        self.users = nn.Embedding(users, hidden, padding_idx=0)
        nn.init.normal_(self.users.weight, std=0.02)
        with torch.no_grad():
            self.users.weight[0].zero_()
        self.recurrence = nn.GRU(input_width, hidden, batch_first=True)
        self.project = nn.Linear(2 * hidden, width) if joined else project(hidden, width)

    def forward(self, history: Tensor, mask: Tensor, needs: Needs) -> Out:
        """history (B, S, W), mask (B, S), user (B,) -> (B, D)."""
        assert needs.user is not None
        user = needs.user
        if self.training and self.dropout:
            user = user.masked_fill(torch.rand(user.shape, device=user.device) < self.dropout, 0)
        long = self.users(user)  # (B, hidden)
        # Real places come first, so the states behind the last real one are merely not read.
        start = torch.zeros_like(long) if self.joined else long
        states, _ = self.recurrence(zero_padding(history, mask), start.unsqueeze(0).to(history.dtype))
        short = gather_last(states, mask)
        if self.joined:
            return Out(self.project(torch.cat([short, long.to(short.dtype)], -1)))
        # Without a click the GRU stands where it started.
        return Out(self.project(torch.where(mask.any(-1, keepdim=True), short, long.to(short.dtype))))
