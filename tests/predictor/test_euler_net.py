from __future__ import annotations

import numpy as np
import pytest
import torch

from lego import any_of
from lego.contract import Needs, Out
from lego.errors import SpecError
from lego.predictor.euler_net import EulerNet
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


def layer(vectors: np.ndarray, weights: dict[str, np.ndarray], name: str) -> np.ndarray:
    """Complex numbers multiplied as such: Π_j x_j^α_jk e^(δ_k + i δ'_k), beside the linear part."""
    orders = weights[f"{name}.orders"]
    modulus, phase = np.abs(vectors), np.angle(vectors)
    found = []
    for k in range(orders.shape[1]):
        product = np.ones(4, dtype=complex)
        for j in range(len(vectors)):
            # The power of a complex number whose phase is that of its polar form.
            product = product * modulus[j] ** orders[j, k] * np.exp(1j * orders[j, k] * phase[j])
        found.append(product * np.exp(weights[f"{name}.modulus"][k] + 1j * weights[f"{name}.phase"][k]))
    weight, bias = weights[f"{name}.linear.weight"], weights[f"{name}.linear.bias"]
    real = np.maximum(weight @ vectors.real.ravel() + bias, 0)
    imaginary = np.maximum(weight @ vectors.imag.ravel() + bias, 0)
    return np.array(found) + (real + 1j * imaginary).reshape(-1, 4)


class TestEulerNet(PredictorTests):
    operator = EulerNet

    @pytest.mark.parametrize("user", ["one", "per candidate"])
    @pytest.mark.parametrize("fields", ["vectors", "attributes"])
    def test_equals_the_formula(self, fields, user):
        """Products of powers in numpy's complex numbers, beside linear parts, through two layers."""
        module, given = EulerNet(neurons=(3, 2), fields=fields).build(CONTEXT).eval(), inputs(user)
        for name, value in module.named_parameters():
            if name.endswith(("modulus", "orders", "phase")):
                torch.nn.init.uniform_(value, 0.2, 0.8)
        found = module(*given).detach().numpy()
        weights = {name: value.detach().numpy() for name, value in module.named_parameters()}
        for pair in np.ndindex(2, 3):
            vectors = weights["modulus"] * np.exp(1j * module.fields(*given).detach().numpy()[pair])
            for place in range(2):
                vectors = layer(vectors, weights, f"layers.{place}")
            last = (vectors.real + vectors.imag).ravel()
            wanted = weights["score.linear.weight"][0] @ last + weights["score.linear.bias"][0]
            assert found[pair] == pytest.approx(wanted, abs=1e-4)

    def test_a_network_without_layers_is_refused(self):
        """One layer at least, in each value of a choice."""
        with pytest.raises(SpecError, match="the neurons of one layer or more"):
            EulerNet(neurons=())
        with pytest.raises(SpecError, match="the neurons of one layer or more"):
            EulerNet(neurons=any_of((4,), ()))
