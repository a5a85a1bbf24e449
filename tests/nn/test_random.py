from __future__ import annotations

import torch

from lego.nn.random import seeded


def test_the_stream_inside_follows_from_the_seed():
    """One seed, one stream; another seed, another."""
    drawn = []
    for seed in (3, 3, 4):
        with seeded(seed):
            drawn.append(torch.rand(4))
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])


def test_the_stream_outside_goes_on():
    """After the block the global generator stands where it stood."""
    before = torch.get_rng_state()
    with seeded(1):
        torch.rand(5)
    assert torch.equal(torch.get_rng_state(), before)
