"""One layer of a Transformer (Vaswani et al. 2017, https://arxiv.org/abs/1706.03762), normalized before each half."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from lego.nn.attention import SelfAttention


class FeedForward(nn.Sequential):
    """D → hidden → D at each place: linear, activation, dropout, linear."""

    def __init__(self, width: int, hidden: int, dropout: float, activation: Callable[[], nn.Module]) -> None:
        super().__init__(
            nn.Linear(width, hidden), activation(), nn.Dropout(dropout), nn.Linear(hidden, width)
        )


class TransformerLayer(nn.Module):
    """x + W·attention(norm(x)), then x + feed-forward(norm(x)); a norm is wanted behind the last layer.

    Normalizing before each half (Xiong et al. 2020, https://arxiv.org/abs/2002.04745) trains without a warm-up.
    """

    def __init__(
        self,
        width: int,
        heads: int,
        hidden: int,
        dropout: float,
        *,
        activation: Callable[[], nn.Module] = nn.ReLU,
        causal: bool = False,
        rotary: bool = False,
    ) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(width)
        self.attention = SelfAttention(width, width, heads, bias=True, causal=causal, rotary=rotary)
        self.projection = nn.Linear(width, width)
        self.forward_norm = nn.LayerNorm(width)
        self.feed_forward = FeedForward(width, hidden, dropout, activation)
        self.dropout = nn.Dropout(dropout)

    def forward(self, sequence: Tensor, mask: Tensor) -> Tensor:
        """sequence (B, S, D), mask (B, S) -> (B, S, D); padded places hold anything finite."""
        found = self.attention(self.attention_norm(sequence), mask)
        sequence = sequence + self.dropout(self.projection(found))
        return sequence + self.dropout(self.feed_forward(self.forward_norm(sequence)))
