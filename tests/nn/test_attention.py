from __future__ import annotations

import torch
from torch import nn

from lego.nn.attention import SelfAttention


def oracle(attention: SelfAttention, width: int) -> nn.MultiheadAttention:
    """torch's own, with the same weights and an output projection that changes nothing."""
    own = nn.MultiheadAttention(width, attention.heads, bias=False, batch_first=True)
    with torch.no_grad():
        own.in_proj_weight.copy_(
            torch.cat([attention.query.weight, attention.key.weight, attention.value.weight])
        )
        own.out_proj.weight.copy_(torch.eye(width))
    return own


def test_equals_torch():
    """With copied weights every real place is as torch's multi-head attention has it."""
    attention = SelfAttention(8, 8, 4)
    sequence, mask = torch.randn(3, 5, 8), torch.arange(5) < torch.tensor([[5], [2], [1]])
    wanted, _ = oracle(attention, 8)(sequence, sequence, sequence, key_padding_mask=~mask)
    torch.testing.assert_close(attention(sequence, mask)[mask], wanted[mask])


def test_an_empty_row_is_zero_with_finite_gradients():
    """Where torch gives NaN, here stand zeros."""
    attention = SelfAttention(8, 8, 2)
    sequence = torch.randn(2, 3, 8, requires_grad=True)
    found = attention(sequence, torch.zeros(2, 3, dtype=torch.bool))
    assert not found.any()
    found.sum().backward()
    assert sequence.grad is not None
    assert not sequence.grad.any()
