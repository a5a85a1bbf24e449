from __future__ import annotations

import torch

from lego.nn import blocks


def test_blocks_are_put_side_by_side(monkeypatch):
    """Each candidate once, in order; a block is as large as its table may be; in training there is one block."""
    monkeypatch.setattr(blocks, "BLOCK", 20)
    candidates, seen = torch.arange(14).view(2, 7), []

    def score(block):
        seen.append(candidates[:, block].size(1))
        return candidates[:, block] * 2

    assert torch.equal(blocks.in_blocks(score, 7, 6, whole=False), candidates * 2)
    assert seen == [3, 3, 1]
    assert torch.equal(blocks.in_blocks(score, 7, 6, whole=True), candidates * 2)
    assert seen == [3, 3, 1, 7]
    assert torch.equal(blocks.in_blocks(score, 7, 50, whole=False), candidates * 2)
    assert seen == [3, 3, 1, 7] + [1] * 7
