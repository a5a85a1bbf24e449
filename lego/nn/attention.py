"""Multi-head self-attention (Vaswani et al. 2017, https://arxiv.org/abs/1706.03762)."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from lego.nn.masked import zero_padding
from lego.nn.rotary import rotated


class SelfAttention(nn.Module):
    """Heads of width D / heads, side by side, without an output projection; without biases unless asked for.

    `causal`: a place looks at itself and at places before it. `rotary`: queries and keys are turned by their place, for which
    the heads must be of even width.
    """

    def __init__(
        self,
        input_width: int,
        width: int,
        heads: int,
        *,
        bias: bool = False,
        causal: bool = False,
        rotary: bool = False,
    ) -> None:
        super().__init__()
        self.heads = heads
        self.causal = causal
        self.rotary = rotary
        self.query = nn.Linear(input_width, width, bias=bias)
        self.key = nn.Linear(input_width, width, bias=bias)
        self.value = nn.Linear(input_width, width, bias=bias)
        for layer in (self.query, self.key, self.value):
            nn.init.xavier_uniform_(layer.weight)

    def forward(self, sequence: Tensor, mask: Tensor) -> Tensor:
        """sequence (B, S, W), mask (B, S) -> (B, S, D), zeros at padded places."""
        sequence = zero_padding(sequence, mask)
        query, key, value = (
            layer(sequence).unflatten(-1, (self.heads, -1)).transpose(1, 2)  # (B, heads, S, D / heads)
            for layer in (self.query, self.key, self.value)
        )
        if self.rotary:
            query, key = rotated(query), rotated(key)
        if self.causal:
            # Real places come first, so a real place never looks at padding; what a padded place finds is zeroed below.
            mixed = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        else:
            # A softmax over nothing is NaN, so a row without real places attends to its padding; zeroed below.
            attended = mask | ~mask.any(-1, keepdim=True)
            mixed = functional.scaled_dot_product_attention(
                query, key, value, attn_mask=attended[:, None, None, :]
            )
        return zero_padding(mixed.transpose(1, 2).flatten(-2), mask)
