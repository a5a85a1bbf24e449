from __future__ import annotations

import torch

from lego.nn.default import LearnedDefault


def test_is_added_where_nothing_is_known():
    """And nowhere else; its gradient comes from there alone."""
    default, users = LearnedDefault(3), torch.randn(2, 4, 3)
    known = torch.tensor([[True, False, True, True], [False, True, True, True]])
    found = default(users, known)
    assert torch.equal(found[known], users[known])
    torch.testing.assert_close(found[~known], users[~known] + default.vector)
    found.sum().backward()
    assert default.vector.grad.tolist() == [2, 2, 2]
