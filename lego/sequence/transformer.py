"""Layers of self-attention and feed-forward, then a pool.

Vaswani et al. 2017, https://arxiv.org/abs/1706.03762; over a user's history, with `causal=True`, `positions="learned"` and
`pool=Last()`, SASRec (Kang and McAuley 2018, https://arxiv.org/abs/1808.09781). Each half of a layer is normalized before it and
the whole behind the last layer (Xiong et al. 2020, https://arxiv.org/abs/2002.04745); rotary positions are those of Su et al.
2021, https://arxiv.org/abs/2104.09864.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal, Self

import attrs
from torch import Tensor, nn

from lego.contract import Form, Needs, Out
from lego.errors import Problem
from lego.nn.heads import undivided
from lego.nn.masked import zero_padding
from lego.nn.place import project
from lego.nn.positions import LearnedPositions
from lego.nn.transformer import TransformerLayer
from lego.sequence.additive import Additive
from lego.sequence.pooled import end, form
from lego.spec import Context, Pool, Sequence, between, ge, operator

_ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "gelu": nn.GELU}


@operator
class Transformer(Sequence):
    """A linear layer leads to the model's width where the input has another; then positions, dropout, and `layers` layers.

    `positions` are learned vectors added once, `"rotary"` (queries and keys turned in each layer; heads of even width), or None.
    `causal` lets a place look back only. The feed-forward part is `feed_forward` times as wide as the model. `heads` must
    divide the width.
    """

    layers: int = attrs.field(default=2, validator=ge(1))
    heads: int = attrs.field(default=8, validator=ge(1))
    feed_forward: int = attrs.field(default=4, validator=ge(1))
    activation: Literal["relu", "gelu"] = "relu"
    positions: Literal["learned", "rotary"] | None = "learned"
    causal: bool = False
    dropout: float = attrs.field(default=0.1, validator=between(0, 1))
    pool: Pool | None = Additive()

    @property
    def gives(self) -> Form:
        """SEQUENCE without a pool."""
        return form(self.pool)

    def problems(self, context_width: int, where: str) -> Iterator[Problem]:
        """The heads must share the width evenly, and rotary positions turn pairs."""
        yield from undivided(context_width, self.heads, where, even=self.positions == "rotary")
        yield from super().problems(context_width, where)

    def build(self, context: Context) -> nn.Module:
        """The torch of it."""
        width = context.width
        learned = self.positions == "learned"
        return _Transformer(
            context.input_width,
            width,
            self.dropout,
            positions=LearnedPositions(context.length, width) if learned else None,
            layers=[
                TransformerLayer(
                    width,
                    self.heads,
                    self.feed_forward * width,
                    self.dropout,
                    activation=_ACTIVATIONS[self.activation],
                    causal=self.causal,
                    rotary=self.positions == "rotary",
                )
                for _ in range(self.layers)
            ],
            pool=end(self.pool, width, context),
        )

    @classmethod
    def examples(cls) -> Iterable[Self]:
        """Small instances."""
        return (
            cls(layers=1, heads=2, feed_forward=2, pool=Additive(hidden=5)),
            cls(
                heads=2,
                feed_forward=1,
                activation="gelu",
                positions="rotary",
                causal=True,
                pool=None,
            ),
        )


class _Transformer(nn.Module):
    def __init__(
        self,
        input_width: int,
        width: int,
        dropout: float,
        *,
        positions: LearnedPositions | None,
        layers: list[TransformerLayer],
        pool: nn.Module,
    ) -> None:
        super().__init__()
        self.project = project(input_width, width)
        self.positions = positions
        self.dropout = nn.Dropout(dropout)
        self.layers = nn.ModuleList(layers)
        self.norm = nn.LayerNorm(width)
        self.pool = pool

    def forward(self, sequence: Tensor, mask: Tensor, needs: Needs) -> Out:
        """sequence (B, S, W), mask (B, S) -> (B, D), or (B, S, D) without a pool."""
        states = self.project(zero_padding(sequence, mask))
        if self.positions is not None:
            states = self.positions(states, mask)
        states = self.dropout(states)
        for layer in self.layers:
            states = layer(states, mask)
        return self.pool(zero_padding(self.norm(states), mask), mask, needs)
