from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import erf

from lego.contract import Needs, Out
from lego.predictor.rank_mixer import RankMixer
from lego.spec import Context
from lego.testing import PredictorTests

CONTEXT = Context(
    width=4,
    input_width=4,
    length=5,
    item_vocabularies={"category": 5},
    user_vocabularies={"gender": 3},
)


def inputs(kind: str) -> tuple[Out, torch.Tensor, torch.Tensor, Needs]:
    needs = Needs(
        profile={"gender": torch.tensor([[1], [2]])},
        candidates={"category": torch.tensor([[[1, 2], [3, 0], [0, 0]], [[4, 0], [1, 3], [2, 0]]])},
    )
    user = torch.randn(2, 4) if kind == "one" else torch.randn(2, 3, 4)
    return Out(user), torch.randn(2, 3, 4), torch.ones(2, 3, dtype=torch.bool), needs


def normed(table: np.ndarray, weights: dict[str, np.ndarray], name: str) -> np.ndarray:
    mean, variance = table.mean(-1, keepdims=True), table.var(-1, keepdims=True)
    return (table - mean) / np.sqrt(variance + 1e-5) * weights[f"{name}.weight"] + weights[f"{name}.bias"]


def own(tokens: np.ndarray, weights: dict[str, np.ndarray], name: str) -> np.ndarray:
    return np.array(
        [token @ weights[f"{name}.weight"][t] + weights[f"{name}.bias"][t] for t, token in enumerate(tokens)]
    )


def block(tokens: np.ndarray, weights: dict[str, np.ndarray], name: str) -> np.ndarray:
    mixed = [
        np.concatenate([np.split(token, len(tokens))[head] for token in tokens])
        for head in range(len(tokens))
    ]
    tokens = normed(np.array(mixed) + tokens, weights, f"{name}.mixed_norm")
    inner = own(tokens, weights, f"{name}.widen")
    inner = own(inner * 0.5 * (1 + erf(inner / np.sqrt(2))), weights, f"{name}.narrow")
    return normed(inner + tokens, weights, f"{name}.norm")


class TestRankMixer(PredictorTests):
    operator = RankMixer

    @pytest.mark.parametrize("user", ["one", "per candidate"])
    @pytest.mark.parametrize("fields", ["vectors", "attributes"])
    def test_equals_the_formula(self, fields, user):
        """Tokens cut from the fields, mixed head by head, each through its own network, and their mean, in numpy."""
        module, given = RankMixer(layers=2, tokens=2, fields=fields).build(CONTEXT).eval(), inputs(user)
        for name, value in module.named_parameters():
            if "norm" in name:
                torch.nn.init.normal_(value)
        found = module(*given).detach().numpy()
        weights = {name: value.detach().numpy() for name, value in module.named_parameters()}
        for pair in np.ndindex(2, 3):
            table = module.fields(*given).detach().numpy()[pair]
            tokens = own(table.reshape(2, -1), weights, "project")
            for place in range(2):
                tokens = block(tokens, weights, f"blocks.{place}")
            wanted = weights["score.linear.weight"][0] @ tokens.mean(0) + weights["score.linear.bias"][0]
            assert found[pair] == pytest.approx(wanted, abs=1e-4)

    def test_tokens_that_do_not_divide_are_a_problem(self):
        """The tokens must divide the model's width."""
        (found,) = RankMixer(tokens=3).problems(8, "predictor")
        assert found.what == "tokens=3 does not divide the model's width 8"
        assert not list(RankMixer(tokens=4).problems(8, "predictor"))
