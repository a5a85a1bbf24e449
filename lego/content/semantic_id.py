"""Items as a few codes: their vectors, made before, are quantised level by level, and each code has a vector that learns.

Residual quantisation as in TIGER (Rajput et al. 2023, https://arxiv.org/abs/2305.05065, section 3.1), by k-means on the residuals
of each level instead of a trained autoencoder; product quantisation as in VQ-Rec (Hou et al. 2023,
https://arxiv.org/abs/2210.12316, section 3.1).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal, Self

import attrs
import torch
from torch import Tensor, nn

from lego.content.embedding import known_suffix, problems_of, table_of
from lego.contract import Needs, Out, Reads
from lego.errors import Problem
from lego.nn.quantize import product_codes, residual_codes
from lego.spec import PATH, Content, Context, ge, operator


@operator
class SemanticID(Content):
    """`SemanticID("vectors.parquet", levels=3, codes=256)`: items of like vectors share codes, and so what is learned of them.

    `kind="residual"` quantises what the levels before left over, `"product"` cuts the vector into `levels` pieces. The vectors of
    an item's codes are added, or joined and led to the model's width (`combine="concat"`). Codes are made from the training seed.
    """

    vectors: str = attrs.field(kw_only=False, validator=known_suffix, metadata=PATH)
    levels: int = attrs.field(default=3, validator=ge(1))
    codes: int = attrs.field(default=256, validator=ge(2))
    kind: Literal["residual", "product"] = "residual"
    combine: Literal["sum", "concat"] = "sum"

    @property
    def reads(self) -> Reads:
        """Item rows."""
        return Reads.ROWS

    def problems(self, context_width: int, where: str) -> Iterator[Problem]:
        """The file must be there and be of a known shape."""
        yield from problems_of(Path(self.vectors), where)

    def build(self, context: Context) -> nn.Module:
        """The torch of it; DataError with all that is wrong with the file."""
        if not context.weights:
            codes = torch.zeros(context.items, self.levels, dtype=torch.int64)
        else:
            generator = context.generator or torch.Generator().manual_seed(0)
            quantise = residual_codes if self.kind == "residual" else product_codes
            found = quantise(table_of(Path(self.vectors), context)[1:], self.levels, self.codes, generator)
            codes = torch.cat([torch.zeros(1, self.levels, dtype=torch.int64), found + 1])
        return _SemanticID(codes, self.codes, context.width, joined=self.combine == "concat")

    @classmethod
    def examples(cls) -> Iterable[Self]:
        """None: it cannot be without a file."""
        return ()


class _SemanticID(nn.Module):
    of_item: Tensor
    base: Tensor

    def __init__(self, codes: Tensor, count: int, width: int, *, joined: bool) -> None:
        super().__init__()
        levels = codes.size(1)
        self.register_buffer("of_item", codes)
        self.register_buffer("base", torch.arange(levels) * (count + 1))
        self.table = nn.Parameter(torch.empty(levels * (count + 1), width))
        nn.init.normal_(self.table, std=(width * (1 if joined else levels)) ** -0.5)
        self.project = nn.Linear(levels * width, width, bias=False) if joined else None

    def forward(self, tokens: Tensor, mask: Tensor, needs: Needs) -> Out:
        """tokens (N, 1) item rows, mask (N, 1) -> (N, D); row 0, which is no item, gives zeros."""
        real = mask & (tokens > 0)
        codes = self.of_item[tokens.masked_fill(~real, 0).squeeze(1)] + self.base
        vectors = self.table[codes].masked_fill(~real.unsqueeze(-1), 0)  # (N, levels, D)
        return Out(vectors.sum(1) if self.project is None else self.project(vectors.flatten(1)))
