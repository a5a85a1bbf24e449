from __future__ import annotations

import numpy as np
import pytest
import torch

from lego.contract import Needs, Out
from lego.predictor.dcn_v3 import DCNv3
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


def network(first: np.ndarray, weights: dict[str, np.ndarray], name: str) -> float:
    crossed = first
    for layer in range(2):
        half = weights[f"{name}.cross.{layer}.weight"] @ crossed
        norm = (half - half.mean()) / np.sqrt(half.var() + 1e-5)
        norm = norm * weights[f"{name}.norm.{layer}.weight"] + weights[f"{name}.norm.{layer}.bias"]
        units = np.concatenate([half, half * np.maximum(norm, 0)]) + weights[f"{name}.bias.{layer}"]
        crossed = (crossed if name == "exponential" else first) * units + crossed
    return weights[f"{name}.score.linear.weight"][0] @ crossed + weights[f"{name}.score.linear.bias"][0]


class TestDCNv3(PredictorTests):
    operator = DCNv3

    @pytest.mark.parametrize("user", ["one", "per candidate"])
    @pytest.mark.parametrize("heads", [1, 2])
    @pytest.mark.parametrize("fields", ["vectors", "attributes"])
    def test_equals_the_formula(self, heads, fields, user):
        """Both networks over each head, its first halves before its second halves, and their mean, in numpy."""
        spec = DCNv3(linear=2, exponential=2, heads=heads, fields=fields)
        module, given = spec.build(CONTEXT).eval(), inputs(user)
        for name, value in module.named_parameters():
            if "norm" in name or ".bias." in name:
                torch.nn.init.normal_(value)
        found = module(*given).detach().numpy()
        weights = {name: value.detach().numpy() for name, value in module.named_parameters()}
        for pair in np.ndindex(2, 3):
            table = module.fields(*given).detach().numpy()[pair]
            scores = []
            for head in np.split(table, heads, axis=1):
                vector = np.concatenate([half.ravel() for half in np.split(head, 2, axis=1)])
                scores += [network(vector, weights, name) for name in ("linear", "exponential")]
            assert found[pair] == pytest.approx(np.mean(scores), abs=1e-4)

    def test_heads_that_do_not_divide_are_a_problem(self):
        """Twice the heads must divide the model's width."""
        (found,) = DCNv3(heads=2).problems(6, "predictor")
        assert found.what == "heads=2, each cut in two, do not divide the model's width 6"
        assert not list(DCNv3(heads=2).problems(8, "predictor"))
