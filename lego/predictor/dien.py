"""Deep Interest Evolution Network (Zhou et al. 2019, https://arxiv.org/abs/1809.03672): interests drawn out of the history by a
GRU, and their evolution towards each candidate.

States h_t come from a GRU over the history (equations 2 to 5). An auxiliary loss (equation 6) makes h_t tell the next item
e_{t+1} from another one ê_{t+1}: −log σ(h_t · e_{t+1}) − log(1 − σ(h_t · ê_{t+1})). A candidate v weighs the states by
a_t = softmax_t(h_t W v) (equation 8), and a second GRU reads them with its update gate scaled, ũ_t = a_t u_t and
h'_t = (1 − ũ_t) ⊙ h'_{t−1} + ũ_t ⊙ h̃'_t (equations 11 and 12). The score is an MLP over [h'_T; v].

Where the paper sums the auxiliary loss over the steps of a history, this is the mean over all steps of the batch, as in the
authors' code: its weight then means the same for short and for long histories.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, Self

import attrs
import torch
from torch import Tensor, nn
from torch.nn import functional

from lego.contract import Form, Needs, Out
from lego.nn.dice import DiceScore
from lego.nn.masked import masked_softmax, zero_padding
from lego.nn.score import dot, products
from lego.predictor.widths import widths
from lego.spec import Context, Predictor, between, ge, operator

BLOCK = 1 << 24
"""The largest number of floats of one intermediate table in evaluation; beyond it candidates are scored block by block."""


@operator
class DIEN(Predictor):
    """`next_item` weighs the auxiliary loss (1 as published; 0 leaves it out), `hidden` are the widths of the last perceptron.

    The other item ê of the loss is drawn from the histories of the other users of the batch.
    """

    takes: ClassVar[frozenset[Form]] = frozenset({Form.SEQUENCE})

    next_item: float = attrs.field(default=1.0, validator=ge(0))
    hidden: tuple[int, ...] = attrs.field(default=(256, 128), validator=widths)
    dropout: float = attrs.field(default=0.1, validator=between(0, 1))

    @property
    def losses(self) -> tuple[str, ...]:
        """That of the next item, where it weighs anything."""
        return ("next_item",) if self.next_item else ()

    def build(self, context: Context) -> nn.Module:
        """The torch of it."""
        return _DIEN(context.width, self.next_item, self.hidden, self.dropout)

    @classmethod
    def examples(cls) -> Iterable[Self]:
        """Small instances."""
        return (cls(hidden=(6, 4)), cls(next_item=0, hidden=()))


class _DIEN(nn.Module):
    def __init__(self, width: int, next_item: float, hidden: tuple[int, ...], dropout: float) -> None:
        super().__init__()
        self.next_item = next_item
        self.extract = nn.GRU(width, width, batch_first=True)
        self.match = nn.Linear(width, width, bias=False)
        self.evolve = _AUGRU(width)
        self.deep = DiceScore(2 * width, hidden, dropout)

    def forward(self, user: Out, candidates: Tensor, candidate_mask: Tensor, needs: Needs) -> Out:
        """user (B, S, D) with its mask, candidates (B, C, D), candidate_mask (B, C) -> scores (B, C)."""
        mask = torch.ones_like(user.tensor[..., 0], dtype=torch.bool) if user.mask is None else user.mask
        history = zero_padding(user.tensor, mask)
        candidates = zero_padding(candidates, candidate_mask)
        states = zero_padding(self.extract(history)[0], mask)  # padding stands last, so no state has seen it
        inputs = self.evolve.read(states)
        # In training Dice measures the whole batch, so it must see the whole batch; there candidates are few.
        size = BLOCK // max(1, states.size(0) * max(inputs.size(-1), states.size(1)))
        size = candidates.size(1) if self.training else max(1, size)
        scores = []
        for part, real in zip(
            torch.split(candidates, max(1, size), 1),
            torch.split(candidate_mask, max(1, size), 1),
            strict=True,
        ):
            # e_a · (h_t W) for every pair; W is applied to the states, which are there once for all candidates.
            logits = products(self.match(states), part)  # (B, C, S)
            evolved = self.evolve(inputs, masked_softmax(logits, mask.unsqueeze(1)))
            scores.append(self.deep(torch.cat([evolved, part.to(evolved.dtype)], -1), real))
        losses = (
            {"next_item": self.next_item * _next_item(states, history, mask)}
            if self.training and self.next_item
            else {}
        )
        return Out(torch.cat(scores, 1), losses=losses)


class _AUGRU(nn.Module):
    """A GRU whose update gate is scaled by the attention of each step."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.input = nn.Linear(width, 3 * width)
        self.recur = nn.Linear(width, 3 * width, bias=False)
        for layer in (self.input, self.recur):
            bound = width**-0.5  # as in torch's GRU
            for weight in layer.parameters():
                nn.init.uniform_(weight, -bound, bound)

    def read(self, states: Tensor) -> Tensor:
        """states (B, S, D) -> what each step adds to update gate, reset gate and new state, (B, S, 3D)."""
        return self.input(states)

    def forward(self, inputs: Tensor, attention: Tensor) -> Tensor:
        """inputs (B, S, 3D) from `read`, attention (B, C, S), 0 at padding -> the last state (B, C, D)."""
        users, count, _ = attention.shape
        hidden = inputs.new_zeros(users, count, inputs.size(-1) // 3)
        for step, weight in zip(inputs.unbind(1), attention.unbind(2), strict=True):
            of_update, of_reset, of_new = step.unsqueeze(1).chunk(3, -1)  # (B, 1, D)
            to_update, to_reset, to_new = self.recur(hidden).chunk(3, -1)  # (B, C, D)
            # A padded step has no attention, so it leaves the state as it is.
            update = weight.unsqueeze(-1) * torch.sigmoid(of_update + to_update)
            new = torch.tanh(of_new + torch.sigmoid(of_reset + to_reset) * to_new)
            hidden = torch.lerp(hidden, new, update.to(hidden.dtype))
        return hidden


def _next_item(states: Tensor, history: Tensor, mask: Tensor) -> Tensor:
    """states, history (B, S, D), mask (B, S) -> the mean over all steps of a state that tells the next item from another's."""
    followed = mask[:, 1:]
    before, after = states[:, :-1], history[:, 1:]
    other, drawn = _others(history, mask)
    other = other[:, 1:]
    # Where the other user read the very same item, it is no negative.
    drawn = drawn[:, 1:] & followed & (other != after).any(-1)
    right = functional.softplus(-dot(before, after)).masked_fill(~followed, 0)
    wrong = functional.softplus(dot(before, other)).masked_fill(~drawn, 0)
    return (right + wrong).sum() / followed.sum().clamp(min=1)


def _others(history: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """history (B, S, D), mask (B, S) -> for each place a real item of another user (B, S, D), and whether there is one (B, S)."""
    lengths = mask.sum(-1)
    ends = lengths.cumsum(0)
    starts, total = ends - lengths, ends[-1]
    # Real places of all users, counted through: one is drawn that is not between this user's start and end.
    free = (total - lengths).unsqueeze(1)
    chance = torch.rand(mask.shape, device=mask.device)
    rank = torch.minimum((chance * free).long(), (free - 1).clamp(min=0))
    rank = rank + lengths.unsqueeze(1) * (rank >= starts.unsqueeze(1))
    row = torch.searchsorted(ends, rank, right=True).clamp(max=len(ends) - 1)
    slot = (rank - starts[row]).clamp(min=0, max=mask.size(1) - 1)
    return history[row, slot], (free > 0).expand_as(mask)
