from __future__ import annotations

import torch

from lego.nn.positions import LearnedPositions


def test_forwards_counts_from_the_first_place():
    """Every row has the same vector at the same place."""
    module = LearnedPositions(5, 2)
    mask = torch.tensor([[True] * 4, [True] * 2 + [False] * 2])
    found = module(torch.zeros(2, 4, 2), mask)
    assert torch.equal(found[0], module.table[:4])
    assert torch.equal(found[1, :2], module.table[:2])


def test_backwards_counts_from_the_last_real_place():
    """The most recent item is place 0, in a long history and in a short one."""
    module = LearnedPositions(5, 2, backwards=True)
    mask = torch.tensor([[True] * 4, [True] * 2 + [False] * 2, [False] * 4])
    found = module(torch.zeros(3, 4, 2), mask)
    assert torch.equal(found[0], module.table[[3, 2, 1, 0]])
    assert torch.equal(found[1, :2], module.table[[1, 0]])
    assert not found[~mask].any()
