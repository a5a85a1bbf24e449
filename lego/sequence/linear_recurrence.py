"""A gated linear recurrence h_s = a_s ⊙ h_{s−1} + b_s, where a and b read the place s alone, so that all places are made at once.

Two cells. `"minGRU"` (Feng et al. 2024, https://arxiv.org/abs/2410.01201, section 3.1), without the positivity that its scan in
log space wants, which the scan here does not:

    z_s = σ(W_z x_s + b_z)     a_s = 1 − z_s     b_s = z_s ⊙ (W_h x_s + b_h)

`"RG-LRU"` (De et al. 2024, https://arxiv.org/abs/2402.19427, equations 1 to 4), with c = 8 and full gate matrices:

    r_s = σ(W_a x_s + b_a)     i_s = σ(W_x x_s + b_x)     log a_s = −c softplus(Λ) ⊙ r_s     b_s = √(1 − a_s²) ⊙ (i_s ⊙ x_s)

Around a cell stands the residual block of De et al., section 2.2: a branch with a short causal convolution and the recurrence,
times a branch with a GELU, then a linear layer; and a feed-forward part. Each half is normalized before it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, Self

import attrs
import torch
from torch import Tensor, nn
from torch.nn import functional

from lego.contract import Form, Needs, Out
from lego.nn.masked import zero_padding
from lego.nn.place import project
from lego.nn.scan import linear_scan
from lego.nn.transformer import FeedForward
from lego.sequence.last import Last
from lego.sequence.mean import Mean
from lego.sequence.pooled import end, form
from lego.spec import Context, Pool, Sequence, between, ge, operator


@operator
class LinearRecurrence(Sequence):
    """A linear layer leads to the model's width where the input has another; then `layers` blocks, oldest place first.

    `kernel` is the reach of the convolution before each cell, 1 for none; the feed-forward part is `feed_forward` times as wide
    as the model.
    """

    cell: Literal["minGRU", "RG-LRU"] = "minGRU"
    layers: int = attrs.field(default=2, validator=ge(1))
    kernel: int = attrs.field(default=4, validator=ge(1))
    feed_forward: int = attrs.field(default=4, validator=ge(1))
    dropout: float = attrs.field(default=0.1, validator=between(0, 1))
    pool: Pool | None = Last()

    @property
    def gives(self) -> Form:
        """SEQUENCE without a pool."""
        return form(self.pool)

    def build(self, context: Context) -> nn.Module:
        """The torch of it."""
        width = context.width
        cell = _MinGRU if self.cell == "minGRU" else _RGLRU
        blocks: list[nn.Module] = [
            _Block(width, cell(width), self.kernel, self.feed_forward * width, self.dropout)
            for _ in range(self.layers)
        ]
        return _LinearRecurrence(context.input_width, width, blocks, end(self.pool, width, context))

    @classmethod
    def examples(cls) -> Iterable[Self]:
        """Small instances."""
        return (
            cls(layers=1, kernel=2, feed_forward=2),
            cls(cell="RG-LRU", kernel=1, feed_forward=1, pool=None),
            cls(cell="RG-LRU", layers=1, kernel=3, feed_forward=1, pool=Mean()),
        )


class _LinearRecurrence(nn.Module):
    def __init__(self, input_width: int, width: int, blocks: list[nn.Module], pool: nn.Module) -> None:
        super().__init__()
        self.project = project(input_width, width)
        self.blocks = nn.ModuleList(blocks)
        self.norm = nn.LayerNorm(width)
        self.pool = pool

    def forward(self, sequence: Tensor, mask: Tensor, needs: Needs) -> Out:
        """sequence (B, S, W), mask (B, S) -> (B, D), or (B, S, D) without a pool."""
        # Real places come first and nothing looks ahead, so padding is only read by padding.
        states = self.project(zero_padding(sequence, mask))
        for block in self.blocks:
            states = block(states)
        return self.pool(zero_padding(self.norm(states), mask), mask, needs)


class _Block(nn.Module):
    def __init__(self, width: int, cell: nn.Module, kernel: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.recurrence_norm = nn.LayerNorm(width)
        self.gate = nn.Linear(width, width)
        self.branch = nn.Linear(width, width)
        self.behind = kernel - 1
        self.convolution = nn.Conv1d(width, width, kernel, groups=width) if kernel > 1 else None
        self.cell = cell
        self.projection = nn.Linear(width, width)
        self.forward_norm = nn.LayerNorm(width)
        self.feed_forward = FeedForward(width, hidden, dropout, nn.GELU)
        self.dropout = nn.Dropout(dropout)

    def forward(self, sequence: Tensor) -> Tensor:
        """sequence (B, S, D) -> (B, S, D)."""
        normal = self.recurrence_norm(sequence)
        branch = self.branch(normal)
        if self.convolution is not None:
            branch = self.convolution(functional.pad(branch.transpose(1, 2), (self.behind, 0))).transpose(
                1, 2
            )
        found = self.projection(functional.gelu(self.gate(normal)) * self.cell(branch))
        sequence = sequence + self.dropout(found)
        return sequence + self.dropout(self.feed_forward(self.forward_norm(sequence)))


class _MinGRU(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.update = nn.Linear(width, width)
        self.candidate = nn.Linear(width, width)

    def forward(self, sequence: Tensor) -> Tensor:
        """sequence (B, S, D) -> states (B, S, D)."""
        update = torch.sigmoid(
            self.update(sequence)
        ).float()  # half precision would add up over a long sequence
        return linear_scan(1 - update, update * self.candidate(sequence)).to(sequence.dtype)


class _RGLRU(nn.Module):
    def __init__(self, width: int, sharpness: float = 8.0) -> None:
        super().__init__()
        self.recurrence = nn.Linear(width, width)
        self.input = nn.Linear(width, width)
        self.sharpness = sharpness
        self.memory = nn.Parameter(torch.empty(width))
        with torch.no_grad():  # so that a decays by 0.9 to 0.999 a step where the gate is open
            nn.init.uniform_(self.memory, 0.9, 0.999)
            self.memory.copy_(torch.expm1(-self.memory.log() / sharpness).log())

    def forward(self, sequence: Tensor) -> Tensor:
        """sequence (B, S, D) -> states (B, S, D)."""
        opened = torch.sigmoid(
            self.recurrence(sequence)
        ).float()  # half precision would add up over a long sequence
        decay = -self.sharpness * functional.softplus(self.memory) * opened  # its logarithm
        # 1 − a² without cancellation; the floor keeps the root's gradient finite where the gate is shut.
        kept = (-torch.expm1(2 * decay)).clamp(min=1e-6).sqrt()
        value = kept * torch.sigmoid(self.input(sequence)) * sequence
        return linear_scan(decay.exp(), value).to(sequence.dtype)
