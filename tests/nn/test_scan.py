from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lego.nn.scan import linear_scan


def steps(decay, value):
    """One place after the other."""
    state, states = torch.zeros_like(value[:, 0]), []
    for place in range(value.size(1)):
        state = decay[:, place] * state + value[:, place]
        states.append(state)
    return torch.stack(states, 1)


@given(length=st.integers(1, 40), seed=st.integers(0, 99))
def test_equals_the_loop(length, seed):
    """At every length, odd or even, in value and in both gradients."""
    generator = torch.Generator().manual_seed(seed)
    decay = torch.rand(2, length, 3, generator=generator, dtype=torch.float64).requires_grad_()
    value = torch.randn(2, length, 3, generator=generator, dtype=torch.float64).requires_grad_()
    weights = torch.randn(2, length, 3, generator=generator, dtype=torch.float64)
    found, wanted = linear_scan(decay, value), steps(decay, value)
    torch.testing.assert_close(found, wanted)
    for ours, theirs in zip(
        torch.autograd.grad((found * weights).sum(), (decay, value), allow_unused=True),
        torch.autograd.grad((wanted * weights).sum(), (decay, value)),
        strict=True,
    ):
        torch.testing.assert_close(torch.zeros_like(theirs) if ours is None else ours, theirs)


@pytest.mark.parametrize("decay", [0.0, 1e-30, 1.0])
def test_extreme_decays_are_exact(decay):
    """Nothing is divided by, so a decay of nothing forgets all and one of 1 adds up, over two thousand places."""
    value = torch.ones(1, 2000, 1)
    found = linear_scan(torch.full_like(value, decay), value)
    wanted = torch.arange(1.0, 2001.0) if decay == 1 else torch.ones(2000)
    torch.testing.assert_close(found[0, :, 0], wanted)
