"""Ready-made vectors through a mixture of whitening experts: the item encoder of UniSRec (Hou et al. 2022,
https://arxiv.org/abs/2206.05941).

    v = Σ_k g_k (x − b_k) W_k,  g = softmax(x W_1 + noise)  (section 2.1.2); the noise, in training alone, is ε · softplus(x W_2)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Self

import attrs
import torch
from torch import Tensor, nn
from torch.nn import functional

from lego.content.embedding import known_suffix, problems_of, stored_width, table_of
from lego.contract import Needs, Out, Reads
from lego.errors import Problem
from lego.spec import PATH, Content, Context, between, ge, operator


@operator
class WhitenedExperts(Content):
    """`WhitenedExperts("vectors.parquet")`: the frozen vectors of a file, as `Embedding` reads it, through so many `experts`."""

    vectors: str = attrs.field(kw_only=False, validator=known_suffix, metadata=PATH)
    experts: int = attrs.field(default=8, validator=ge(1))
    dropout: float = attrs.field(default=0.2, validator=between(0, 1))

    @property
    def reads(self) -> Reads:
        """Item rows."""
        return Reads.ROWS

    def problems(self, context_width: int, where: str) -> Iterator[Problem]:
        """The file must be there and be of a known shape."""
        yield from problems_of(Path(self.vectors), where)

    def build(self, context: Context) -> nn.Module:
        """The torch of it; DataError with all that is wrong with the file."""
        path = Path(self.vectors)
        width = stored_width(path)
        table = (
            table_of(path, context) if context.weights else torch.empty(context.items, width, device="meta")
        )
        return _WhitenedExperts(table, context.width, self.experts, self.dropout)

    @classmethod
    def examples(cls) -> Iterable[Self]:
        """None: it cannot be without a file."""
        return ()


class _WhitenedExperts(nn.Module):
    table: Tensor

    def __init__(self, table: Tensor, width: int, experts: int, dropout: float) -> None:
        super().__init__()
        self.register_buffer("table", table)
        stored = table.size(1)
        self.gate = nn.Linear(stored, experts, bias=False)
        self.noise = nn.Linear(stored, experts, bias=False)
        self.shift = nn.Parameter(torch.zeros(experts, stored))
        self.whiten = nn.Parameter(torch.empty(experts, stored, width))
        nn.init.normal_(self.whiten, std=stored**-0.5)
        self.dropout = nn.Dropout(dropout)

    def forward(self, tokens: Tensor, mask: Tensor, needs: Needs) -> Out:
        """tokens (N, 1) item rows, mask (N, 1) -> (N, D); row 0, which is no item, gives zeros."""
        stored = self.table[tokens.masked_fill(~mask, 0).squeeze(1)]
        logits = self.gate(stored)
        if self.training:
            logits = logits + functional.softplus(self.noise(stored)) * torch.randn_like(logits)
        gates = logits.softmax(-1)
        # (x − b) W = x W − b W, and Σ_k g_k x W_k is one product with the experts side by side.
        each = torch.einsum("nw,kwd->nkd", self.dropout(stored), self.whiten)
        each = each - torch.einsum("kw,kwd->kd", self.shift, self.whiten)
        return Out((gates.unsqueeze(-1) * each).sum(1).masked_fill(~mask, 0))
