"""Multi-head self-attention (Vaswani et al. 2017, https://arxiv.org/abs/1706.03762)."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from lego.nn.masked import zero_padding


class SelfAttention(nn.Module):
    """Heads of width D / heads, side by side, without biases and without an output projection."""

    def __init__(self, input_width: int, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(input_width, width, bias=False)
        self.key = nn.Linear(input_width, width, bias=False)
        self.value = nn.Linear(input_width, width, bias=False)
        for layer in (self.query, self.key, self.value):
            nn.init.xavier_uniform_(layer.weight)

    def forward(self, sequence: Tensor, mask: Tensor) -> Tensor:
        """sequence (B, S, W), mask (B, S) -> (B, S, D), zeros at padded places."""
        sequence = zero_padding(sequence, mask)
        # A softmax over nothing is NaN, so a row without real places attends to its padding; the result is zeroed below.
        attended = mask | ~mask.any(-1, keepdim=True)
        query, key, value = (
            layer(sequence).unflatten(-1, (self.heads, -1)).transpose(1, 2)  # (B, heads, S, D / heads)
            for layer in (self.query, self.key, self.value)
        )
        mixed = functional.scaled_dot_product_attention(
            query, key, value, attn_mask=attended[:, None, None, :]
        )
        return zero_padding(mixed.transpose(1, 2).flatten(-2), mask)
