from __future__ import annotations

import numpy as np
import pytest
import torch

from lego.contract import Needs, Out
from lego.nn.random import seeded
from lego.predictor import dien
from lego.predictor.dien import DIEN
from lego.spec import Context
from lego.testing import PredictorTests

CONTEXT = Context(width=4, input_width=4, length=5)
LENGTHS = [5, 2, 0]


def inputs() -> tuple[Out, torch.Tensor, torch.Tensor, Needs]:
    mask = torch.arange(5) < torch.tensor(LENGTHS)[:, None]
    return Out(torch.randn(3, 5, 4), mask), torch.randn(3, 6, 4), torch.ones(3, 6, dtype=torch.bool), Needs()


def sigmoid(value: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-value))


def interests(history: np.ndarray, weights: dict[str, np.ndarray]) -> list[np.ndarray]:
    """Equations 2 to 5, with torch's names: its z is 1 − u."""
    state, states = np.zeros(4), []
    for item in history:
        of_item = weights["extract.weight_ih_l0"] @ item + weights["extract.bias_ih_l0"]
        of_state = weights["extract.weight_hh_l0"] @ state + weights["extract.bias_hh_l0"]
        reset, stay = sigmoid(of_item[:4] + of_state[:4]), sigmoid(of_item[4:8] + of_state[4:8])
        new = np.tanh(of_item[8:] + reset * of_state[8:])
        state = (1 - stay) * new + stay * state
        states.append(state)
    return states


def evolved(states: list[np.ndarray], v: np.ndarray, weights: dict[str, np.ndarray]) -> np.ndarray:
    """Equations 8, 11 and 12."""
    logits = np.array([v @ weights["match.weight"] @ each for each in states])
    attention = np.exp(logits) / np.exp(logits).sum()
    hidden = np.zeros(4)
    for share, each in zip(attention, states, strict=True):
        update, reset, new = np.split(weights["evolve.input.weight"] @ each + weights["evolve.input.bias"], 3)
        of_update, of_reset, of_new = np.split(weights["evolve.recur.weight"] @ hidden, 3)
        update = share * sigmoid(update + of_update)
        new = np.tanh(new + sigmoid(reset + of_reset) * of_new)
        hidden = (1 - update) * hidden + update * new
    return hidden


class TestDIEN(PredictorTests):
    operator = DIEN

    def test_equals_the_formula(self):
        """Interests, attention and evolution step by step in numpy, then the score over [h'; v]."""
        module, given = DIEN(hidden=()).build(CONTEXT).eval(), inputs()
        found = module(*given).tensor.detach().numpy()
        weights = {name: value.detach().numpy() for name, value in module.named_parameters()}
        for row, length in enumerate(LENGTHS):
            states = interests(given[0].tensor[row, :length].numpy(), weights)
            for place in range(6):
                v = given[1][row, place].numpy()
                joined = np.concatenate([evolved(states, v, weights), v])
                wanted = (
                    weights["deep.score.linear.weight"][0] @ joined + weights["deep.score.linear.bias"][0]
                )
                assert found[row, place] == pytest.approx(wanted, abs=1e-5)

    def test_blocks_of_candidates_change_nothing(self, monkeypatch):
        """Many candidates are scored block by block in evaluation, to the same scores."""
        module, given = DIEN().build(CONTEXT).eval(), inputs()
        wanted = module(*given).tensor
        monkeypatch.setattr(dien, "BLOCK", 2 * 3 * 12)
        torch.testing.assert_close(module(*given).tensor, wanted)

    def test_the_loss_is_that_of_the_next_item_and_of_another(self, monkeypatch):
        """Equation 6 in numpy, over the steps that have a next item, times its weight."""
        module, given = DIEN(next_item=0.5).build(CONTEXT).train(), inputs()
        draw, drawn = dien._others, []
        monkeypatch.setattr(dien, "_others", lambda *both: drawn.append(draw(*both)) or drawn[-1])
        loss = module(*given).losses
        weights = {name: value.detach().numpy() for name, value in module.named_parameters()}
        found = []
        for row, length in enumerate(LENGTHS):
            history = given[0].tensor[row, :length].numpy()
            states = interests(history, weights)
            for step in range(length - 1):
                other = drawn[0][0][row, step + 1].numpy()
                right, wrong = states[step] @ history[step + 1], states[step] @ other
                found.append(-np.log(sigmoid(right)) - np.log(1 - sigmoid(wrong)))
        assert list(loss) == ["next_item"]
        assert loss["next_item"].item() == pytest.approx(0.5 * np.mean(found), abs=1e-5)

    def test_other_items_are_real_ones_of_other_users(self):
        """Over many draws every real item of every other user comes up, and nothing else."""
        mask = torch.arange(5) < torch.tensor([5, 3, 1, 0])[:, None]
        history = torch.arange(20.0).reshape(4, 5, 1)
        seen: list[set[float]] = [set(), set(), set(), set()]
        with seeded(0):
            for _ in range(200):
                others, drawn = dien._others(history, mask)
                assert drawn.all()
                for row in range(4):
                    seen[row] |= set(others[row, :, 0].tolist())
        first, second, third = {0.0, 1.0, 2.0, 3.0, 4.0}, {5.0, 6.0, 7.0}, {10.0}
        assert seen == [second | third, first | third, first | second, first | second | third]

    def test_a_user_alone_has_the_next_item_only(self):
        """Without other users, or where they read the same item, nothing stands against the next item."""
        module = DIEN(hidden=()).build(CONTEXT).train()
        user, candidates, mask, needs = inputs()
        history = user.tensor[:1]
        alone = module(Out(history, user.mask[:1]), candidates[:1], mask[:1], needs).losses["next_item"]
        states = module.extract(history)[0]
        right = (states[:, :-1] * history[:, 1:]).sum(-1)
        torch.testing.assert_close(alone, torch.nn.functional.softplus(-right).mean())
        same = user.tensor[:1, :1].expand(2, 5, 4)
        both = module(Out(same, user.mask[:1].expand(2, -1)), candidates[:2], mask[:2], needs)
        right = (module.extract(same)[0][:, :-1] * same[:, 1:]).sum(-1)
        torch.testing.assert_close(both.losses["next_item"], torch.nn.functional.softplus(-right).mean())

    def test_the_loss_is_for_training_and_follows_from_the_seed(self):
        """No loss in evaluation, nor with a weight of nothing; one seed draws one loss, another seed another."""
        given = inputs()
        module = DIEN(dropout=0.0).build(CONTEXT)
        assert not module.eval()(*given).losses
        assert not DIEN(next_item=0).build(CONTEXT).train()(*given).losses
        module.train()
        found = []
        for seed in (1, 1, 2):
            with seeded(seed):
                found.append(module(*given).losses["next_item"].item())
        assert found[0] == found[1] != found[2]

    def test_no_history_is_no_loss(self):
        """A batch of users without history has a loss of zero and finite gradients."""
        module = DIEN().build(CONTEXT).train()
        user, candidates, mask, needs = inputs()
        out = module(Out(user.tensor, torch.zeros_like(user.mask)), candidates, mask, needs)
        (out.tensor.sum() + out.losses["next_item"]).backward()
        assert out.losses["next_item"].item() == 0
        assert all(torch.isfinite(each.grad).all() for each in module.parameters() if each.grad is not None)
