from __future__ import annotations

import numpy as np
import pytest
import torch

from lego.contract import Needs, Out
from lego.predictor.masknet import MaskNet
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


def normed(vector: np.ndarray) -> np.ndarray:
    return (vector - vector.mean()) / np.sqrt(vector.var() + 1e-5)


def block(fields: np.ndarray, vector: np.ndarray, weights: dict[str, np.ndarray], name: str) -> np.ndarray:
    units = np.maximum(weights[f"{name}.aggregate.weight"] @ fields + weights[f"{name}.aggregate.bias"], 0)
    mask = weights[f"{name}.project.weight"] @ units + weights[f"{name}.project.bias"]
    found = normed(weights[f"{name}.hidden.weight"] @ (mask * vector))
    return np.maximum(weights[f"{name}.norm.weight"] * found + weights[f"{name}.norm.bias"], 0)


class TestMaskNet(PredictorTests):
    operator = MaskNet

    @pytest.mark.parametrize("user", ["one", "per candidate"])
    @pytest.mark.parametrize("structure", ["parallel", "serial"])
    @pytest.mark.parametrize("fields", ["vectors", "attributes"])
    def test_equals_the_formula(self, structure, fields, user):
        """Each field normed, masks from the fields, and blocks side by side or one behind the other, in numpy."""
        spec = MaskNet(structure=structure, blocks=2, units=5, hidden=(6,), fields=fields)
        module = spec.build(CONTEXT).eval()
        for name, value in module.named_parameters():
            if "norm" in name:
                torch.nn.init.normal_(value)
        given = inputs(user)
        found = module(*given).detach().numpy()
        weights = {name: value.detach().numpy() for name, value in module.named_parameters()}
        for pair in np.ndindex(2, 3):
            table = module.fields(*given).detach().numpy()[pair]
            vector = (
                np.array([normed(each) for each in table]) * weights["norm.weight"] + weights["norm.bias"]
            )
            vector = vector.ravel()
            if structure == "parallel":
                vector = np.concatenate(
                    [block(table.ravel(), vector, weights, f"blocks.{i}") for i in range(2)]
                )
            else:
                for place in range(2):
                    vector = block(table.ravel(), vector, weights, f"blocks.{place}")
            units = np.maximum(weights["deep.layers.0.weight"] @ vector + weights["deep.layers.0.bias"], 0)
            wanted = weights["score.linear.weight"][0] @ units + weights["score.linear.bias"][0]
            assert found[pair] == pytest.approx(wanted, abs=1e-4)

    def test_reduction_is_counted_in_widths_of_the_mask(self):
        """In the serial structure the masks of later blocks are as wide as a block."""
        module = MaskNet(structure="serial", blocks=2, units=6, reduction=0.5).build(CONTEXT)
        assert [each.aggregate.out_features for each in module.blocks] == [4, 3]
