from __future__ import annotations

import numpy as np
import pytest
import torch

from lego.contract import Needs, Out
from lego.predictor.gdcn import GDCN
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


def perceptron(vector: np.ndarray, weights: dict[str, np.ndarray]) -> np.ndarray:
    return np.maximum(weights["deep.layers.0.weight"] @ vector + weights["deep.layers.0.bias"], 0)


class TestGDCN(PredictorTests):
    operator = GDCN

    @pytest.mark.parametrize("user", ["one", "per candidate"])
    @pytest.mark.parametrize("structure", ["parallel", "stacked"])
    @pytest.mark.parametrize("fields", ["vectors", "attributes"])
    def test_equals_the_formula(self, structure, fields, user):
        """c_{l+1} = c_0 ⊙ (W c_l + b) ⊙ σ(W_g c_l) + c_l in numpy, with the perceptron beside it or above it."""
        module = GDCN(cross=3, hidden=(5,), structure=structure, fields=fields).build(CONTEXT).eval()
        given = inputs(user)
        found = module(*given).detach().numpy()
        weights = {name: value.detach().numpy() for name, value in module.named_parameters()}
        for pair in np.ndindex(2, 3):
            first = module.fields(*given).detach().numpy()[pair].ravel()
            crossed = first
            for layer in range(3):
                units = (
                    weights[f"cross.{layer}.cross.weight"] @ crossed + weights[f"cross.{layer}.cross.bias"]
                )
                gate = 1 / (1 + np.exp(-weights[f"cross.{layer}.gate.weight"] @ crossed))
                crossed = first * units * gate + crossed
            if structure == "stacked":
                last = perceptron(crossed, weights)
            else:
                last = np.concatenate([crossed, perceptron(first, weights)])
            wanted = weights["score.linear.weight"][0] @ last + weights["score.linear.bias"][0]
            assert found[pair] == pytest.approx(wanted, abs=1e-4)
