from __future__ import annotations

import numpy as np
import pytest
import torch

from lego.contract import Needs, Out
from lego.predictor import din
from lego.predictor.din import DIN
from lego.spec import Context
from lego.testing import PredictorTests

CONTEXT = Context(width=4, input_width=4, length=5)
LENGTHS = [5, 2, 0]


def inputs() -> tuple[Out, torch.Tensor, torch.Tensor, Needs]:
    mask = torch.arange(5) < torch.tensor(LENGTHS)[:, None]
    return Out(torch.randn(3, 5, 4), mask), torch.randn(3, 6, 4), torch.ones(3, 6, dtype=torch.bool), Needs()


def dice(units: np.ndarray, weights: dict[str, np.ndarray], name: str) -> np.ndarray:
    gate = 1 / (1 + np.exp(-(units - weights[f"{name}.mean"]) / np.sqrt(weights[f"{name}.variance"] + 1e-8)))
    return gate * units + (1 - gate) * weights[f"{name}.alpha"] * units


class TestDIN(PredictorTests):
    operator = DIN

    @pytest.mark.parametrize("candidate", [True, False])
    def test_equals_the_formula(self, candidate):
        """Unnormalised weights from an MLP with Dice over [v; h; v − h; v ⊙ h], then an MLP with Dice, in numpy."""
        module = DIN(attention=(5,), hidden=(6,), candidate=candidate).build(CONTEXT)
        module.train()
        module(*inputs())  # so that the statistics of Dice are not those of the beginning
        for name, value in module.named_parameters():
            if name.endswith("alpha"):
                torch.nn.init.uniform_(value)
        module.eval()
        given = inputs()
        found = module(*given).detach().numpy()
        weights = {name: value.numpy() for name, value in module.state_dict().items()}
        for row, length in enumerate(LENGTHS):
            for place in range(6):
                v, user = given[1][row, place].numpy(), np.zeros(4)
                for h in given[0].tensor[row, :length].numpy():
                    pair = np.concatenate([v, h, v - h, v * h])
                    units = weights["attention.pair.weight"] @ pair + weights["attention.pair.bias"]
                    units = dice(units, weights, "attention.dice.0")
                    share = weights["attention.later.0.weight"] @ units + weights["attention.later.0.bias"]
                    user = user + share * h
                joined = np.concatenate([user, v]) if candidate else user
                units = weights["deep.layers.0.weight"] @ joined + weights["deep.layers.0.bias"]
                units = dice(units, weights, "deep.dice.0")
                wanted = weights["deep.score.linear.weight"][0] @ units + weights["deep.score.linear.bias"][0]
                assert found[row, place] == pytest.approx(wanted, abs=1e-4)

    def test_blocks_of_candidates_change_nothing(self, monkeypatch):
        """Many candidates are scored block by block in evaluation, to the same scores."""
        module, given = DIN().build(CONTEXT).eval(), inputs()
        wanted = module(*given)
        monkeypatch.setattr(din, "BLOCK", 2 * given[0].tensor.numel())
        torch.testing.assert_close(module(*given), wanted)

    def test_padding_is_in_no_statistic(self):
        """In training, Dice sees neither padded history nor padded candidates."""
        module = DIN(dropout=0.0).build(CONTEXT).train()
        user, candidates, mask, needs = inputs()
        mask = mask.clone()
        mask[:, 4:] = False
        wanted = module(user, candidates[:, :4], mask[:, :4], needs)
        again = DIN(dropout=0.0).build(CONTEXT).train()
        again.load_state_dict(
            {name: value for name, value in module.state_dict().items() if ".dice." not in name}, strict=False
        )
        torch.testing.assert_close(again(user, candidates, mask, needs)[:, :4], wanted)
        for name, value in module.named_buffers():
            torch.testing.assert_close(again.get_buffer(name), value)
