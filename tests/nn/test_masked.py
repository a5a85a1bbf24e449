from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lego.nn.masked import gather_last, masked_max, masked_mean, masked_softmax, zero_padding


def rows(lengths: list[int], width: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    """Random rows of these lengths, with huge numbers behind them, and their mask."""
    longest = max([*lengths, 1])
    mask = torch.arange(longest) < torch.tensor(lengths)[:, None]
    values = torch.randn(len(lengths), longest, width, generator=torch.Generator().manual_seed(1))
    return torch.where(mask.unsqueeze(-1), values, 1e30), mask


LENGTHS = st.lists(st.integers(0, 5), min_size=1, max_size=5)


@given(LENGTHS)
@settings(deadline=None, max_examples=30)
def test_each_row_is_as_without_its_padding(lengths):
    """Mean, maximum and last place equal those of the cut row; an empty row gives zeros."""
    sequence, mask = rows(lengths)
    for row, length in enumerate(lengths):
        real = sequence[row, :length].numpy()
        wanted = (real.mean(0), real.max(0), real[-1]) if length else (np.zeros(3),) * 3
        found = (masked_mean(sequence, mask), masked_max(sequence, mask), gather_last(sequence, mask))
        for each, want in zip(found, wanted, strict=True):
            np.testing.assert_allclose(each[row].numpy(), want, rtol=1e-5, atol=1e-6)


@given(LENGTHS, st.floats(-1e30, 1e30))
@settings(deadline=None, max_examples=30)
def test_softmax_sums_to_one_or_to_nothing(lengths, shift):
    """Weights over real places are numpy's softmax of the cut row, whatever is added to all; an empty row has none."""
    sequence, mask = rows(lengths)
    logits = torch.where(mask, sequence[..., 0] + shift, 1e38)
    weights = masked_softmax(logits, mask)
    for row, length in enumerate(lengths):
        real = logits[row, :length].numpy().astype(np.float64)
        wanted = np.exp(real - real.max(initial=-np.inf))
        np.testing.assert_allclose(weights[row, :length].numpy(), wanted / max(wanted.sum(), 1e-9), atol=1e-5)
        assert not weights[row, length:].any()


@pytest.mark.parametrize("of", [masked_mean, masked_max, gather_last])
def test_gradients_of_empty_rows_are_zero(of):
    """A row of padding sends back zeros, not NaN."""
    sequence = torch.randn(2, 3, 4, requires_grad=True)
    of(sequence, torch.tensor([[True, True, False], [False] * 3])).sum().backward()
    assert sequence.grad is not None
    assert torch.isfinite(sequence.grad).all()
    assert not sequence.grad[1].any()
    assert not sequence.grad[0, 2].any()


def test_softmax_gradient_of_an_empty_row_is_zero():
    """Minus infinity everywhere would be NaN here."""
    logits = torch.randn(2, 3, requires_grad=True)
    masked_softmax(logits, torch.tensor([[True, True, False], [False] * 3])).square().sum().backward()
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()
    assert not logits.grad[1].any()


def test_half_precision_is_kept():
    """Weights have the type of the logits, so that a model at half precision stays there."""
    logits = torch.randn(2, 3).bfloat16()
    weights = masked_softmax(logits, torch.ones(2, 3, dtype=torch.bool))
    assert weights.dtype == torch.bfloat16
    torch.testing.assert_close(weights.float(), torch.softmax(logits.float(), -1), atol=0.01, rtol=0.01)


def test_zero_padding_stops_nan():
    """Whatever stands at padding is gone, NaN too."""
    sequence = torch.full((1, 2, 2), torch.nan)
    sequence[0, 0] = 1
    assert zero_padding(sequence, torch.tensor([[True, False]])).tolist() == [[[1, 1], [0, 0]]]
