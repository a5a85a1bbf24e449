from __future__ import annotations

import torch

from lego.behavior.user_id import UserID
from lego.contract import Needs
from lego.spec import Context
from lego.testing import BehaviorTests

CONTEXT = Context(width=8, input_width=8, length=5, users=5)
USERS = torch.tensor([1, 0, 3, 4])


def call(module, users):
    return module(
        torch.randn(len(users), 5, 8), torch.ones(len(users), 5, dtype=torch.bool), Needs(user=users)
    ).tensor


class TestUserID(BehaviorTests):
    specs = (UserID(), UserID(dropout=0))
    reads_history = False

    def test_is_a_row_of_the_table(self):
        """Of the user, with a vector that length 1 is about; an unknown user has zeros before any training."""
        module = UserID().build(CONTEXT).eval()
        found = call(module, USERS)
        assert torch.equal(found, module.table.weight[USERS])
        assert not found[1].any()
        assert found[0].any()

    def test_the_unknown_user_is_learned(self):
        """With dropout some users of a batch stand for one who is unknown, so row 0 gets a gradient; without it never does."""
        for dropout, learned in ((0.5, True), (0.0, False)):
            module = UserID(dropout=dropout).build(CONTEXT).train()
            call(module, torch.ones(64, dtype=torch.int64)).sum().backward()
            assert module.table.weight.grad[0].any() == learned
            assert module.table.weight.grad[1].any()
