from __future__ import annotations

import pytest
import torch

from lego.behavior.lstur import LSTUR
from lego.contract import Needs
from lego.spec import Context
from lego.testing import BehaviorTests

CONTEXT = Context(width=8, input_width=8, length=5, users=5)
LENGTHS = (5, 3, 1, 0)
MASK = torch.arange(5) < torch.tensor(LENGTHS)[:, None]
USERS = torch.tensor([1, 0, 3, 4])


def history() -> torch.Tensor:
    return torch.randn(4, 5, 8)


class TestLSTUR(BehaviorTests):
    operator = LSTUR

    def test_ini_is_a_gru_started_from_the_user(self):
        """Step by step with torch's own cell; without history it is where the GRU starts, which is zeros for an unknown user."""
        module = LSTUR(hidden=8).build(CONTEXT).eval()
        sequence = history()
        found = module(sequence, MASK, Needs(user=USERS)).tensor
        cell = torch.nn.GRUCell(8, 8)
        cell.load_state_dict(
            {name.removesuffix("_l0"): value for name, value in module.recurrence.state_dict().items()}
        )
        for row, (user, length) in enumerate(zip(USERS.tolist(), LENGTHS, strict=True)):
            state = module.users.weight[user] if user else torch.zeros(8)
            for place in range(length):
                state = cell(sequence[row, place], state)
            torch.testing.assert_close(found[row], state)

    def test_con_joins_both(self):
        """A linear layer over the last state of a GRU started from zeros, and the row of the user."""
        module = LSTUR("con", hidden=6).build(CONTEXT).eval()
        sequence = history()
        _, state = module.recurrence(sequence[:1])
        wanted = module.project(torch.cat([state[0, 0], module.users.weight[1]]))
        torch.testing.assert_close(module(sequence, MASK, Needs(user=USERS)).tensor[0], wanted)

    @pytest.mark.parametrize("kind", ["ini", "con"])
    def test_users_are_dropped_as_a_whole_in_training(self, kind):
        """Each is either that of the user or that of an unknown user, at the rate, and never scaled."""
        module = LSTUR(kind, hidden=8, dropout=0.3).build(CONTEXT)
        sequence, rows = history()[:1].expand(2000, -1, -1), MASK[:1].expand(2000, -1)
        known, unknown = (
            module.eval()(sequence[:1], rows[:1], Needs(user=torch.tensor([user]))).tensor for user in (1, 0)
        )
        found = module.train()(sequence, rows, Needs(user=torch.ones(2000, dtype=torch.int64))).tensor
        is_known, is_unknown = (torch.isclose(found, each, atol=1e-6).all(-1) for each in (known, unknown))
        assert (is_known ^ is_unknown).all()
        assert abs(is_unknown.float().mean().item() - 0.3) < 0.05

    def test_an_unknown_user_teaches_nothing_and_stays_zero(self):
        """The row of user 0 gets no gradient."""
        module = LSTUR(hidden=8, dropout=0).build(CONTEXT).train()
        module(history(), MASK, Needs(user=torch.zeros(4, dtype=torch.int64))).tensor.sum().backward()
        assert not module.users.weight.grad.any()
        assert not module.users.weight[0].any()
