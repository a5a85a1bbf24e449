from __future__ import annotations

import numpy as np
import pytest
import torch

from lego.contract import Needs, Out
from lego.predictor.final_net import FinalNet
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


def sigmoid(value: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-value))


def block(
    vector: np.ndarray, weights: dict[str, np.ndarray], name: str, order: int, activation: str
) -> float:
    """h_k = h_{k−1} ⊙ σ(W_k x + b_k), summed over k, layer by layer; then the score."""
    for layer in range(2):
        units = weights[f"{name}.layers.{layer}.weight"] @ vector + weights[f"{name}.layers.{layer}.bias"]
        factors = list(units.reshape(order, -1))
        for place in range(1, order):
            other = sigmoid(factors[place]) if activation == "sigmoid" else factors[place]
            factors[place] = factors[place - 1] * other
        vector = sum(factors)
    return weights[f"{name}.score.linear.weight"][0] @ vector + weights[f"{name}.score.linear.bias"][0]


class TestFinalNet(PredictorTests):
    operator = FinalNet

    @pytest.mark.parametrize("user", ["one", "per candidate"])
    @pytest.mark.parametrize(("order", "activation"), [(2, "linear"), (3, "sigmoid")])
    @pytest.mark.parametrize("fields", ["vectors", "attributes"])
    def test_equals_the_formula(self, order, activation, fields, user):
        """Two blocks of multiplying layers, the first over the fields and their gated copies, in numpy; and the loss."""
        spec = FinalNet(
            first=(6, 5),
            second=(4, 3),
            order=order,
            activation=activation,
            dropout=0.0,
            distillation=0.5,
            fields=fields,
        )
        module, given = spec.build(CONTEXT), inputs(user)
        torch.nn.init.normal_(module.gate.weight)
        given[2][1, 2] = False
        out = module.train()(*given)
        found = out.tensor.detach().numpy()
        weights = {name: value.detach().numpy() for name, value in module.named_parameters()}
        lost = []
        for pair in np.ndindex(2, 3):
            if not given[2][pair]:
                continue
            table = module.fields(*given).detach().numpy()[pair]
            gates = weights["gate.weight"] @ table + weights["gate.bias"][:, None]
            first = np.concatenate([table.ravel(), (table * gates).ravel()])
            both = [
                block(first, weights, "first", order, activation),
                block(table.ravel(), weights, "second", order, activation),
            ]
            assert found[pair] == pytest.approx(np.mean(both), abs=1e-4)
            taught = sigmoid(np.mean(both))
            lost.append(
                -sum(taught * np.log(sigmoid(s)) + (1 - taught) * np.log(1 - sigmoid(s)) for s in both)
            )
        assert list(out.losses) == ["distillation"]
        assert out.losses["distillation"].item() == pytest.approx(0.5 * np.mean(lost), abs=1e-5)

    def test_the_loss_is_for_two_blocks_in_training(self):
        """No loss in evaluation, with one block, or with a weight of nothing."""
        assert not FinalNet().build(CONTEXT).eval()(*inputs("one")).losses
        assert not FinalNet(second=()).build(CONTEXT).train()(*inputs("one")).losses
        assert not FinalNet(distillation=0).build(CONTEXT).train()(*inputs("one")).losses
