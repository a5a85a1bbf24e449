from __future__ import annotations

import pytest
import torch

from lego.predictor.dcn import DCN
from lego.testing import PredictorTests


class TestDCN(PredictorTests):
    operator = DCN

    @pytest.mark.parametrize("fields", ["vectors", "attributes"])
    @pytest.mark.parametrize("hidden", [(), (5,)])
    @pytest.mark.parametrize("per_candidate", [False, True])
    def test_equals_the_formula(self, case, fields, hidden, per_candidate):
        """x_{l+1} = x_0 (w_l · x_l) + b_l + x_l step by step, joined to the perceptron over x_0, in numpy."""
        made = case(DCN(cross=3, hidden=hidden, fields=fields), per_candidate=per_candidate)
        weights = made.weights
        for pair in made.pairs():
            first = crossed = made.fields(*pair).ravel()
            for layer in range(3):
                weight, bias = weights[f"weights.{layer}"][0], weights[f"biases.{layer}"]
                crossed = first * (weight @ crossed) + bias + crossed
            deep = made.perceptron("deep", first) if hidden else []
            wanted = made.score("score", [*crossed, *deep])
            assert made.scores[pair] == pytest.approx(wanted, rel=1e-4, abs=1e-4)

    def test_equals_fuxictr(self, case, peer):
        """The cross network is that of FuxiCTR with the same weights."""
        made = case(DCN(cross=3, hidden=(), fields="attributes"))
        tensors = made.tensors().flatten(1)
        layer = peer("fuxictr.pytorch.layers.interactions.cross_net").CrossNet(tensors.size(1), 3)
        with torch.no_grad():
            for theirs, weight, bias in zip(
                layer.cross_net, made.module.weights, made.module.biases, strict=True
            ):
                theirs.weight.weight.copy_(weight)
                theirs.bias.copy_(bias)
            wanted = made.module.score(layer(tensors))
        torch.testing.assert_close(torch.tensor(made.scores).flatten(), wanted, atol=1e-4, rtol=1e-4)

    def test_gradients_are_those_of_the_formula(self, case):
        """The closed form has the gradients that torch finds for the layers one by one."""
        made = case(DCN(cross=3, hidden=()))
        module, (user, candidates, mask, needs) = made.module, made.inputs
        weights = [*module.weights, *module.biases]
        found = torch.autograd.grad(module(user, candidates, mask, needs).square().sum(), weights)
        first = crossed = module.fields(user, candidates, mask, needs).flatten(-2)
        for weight, bias in zip(module.weights, module.biases, strict=True):
            crossed = first * (crossed @ weight.T) + bias + crossed
        wanted = torch.autograd.grad(module.score(crossed).square().sum(), weights)
        torch.testing.assert_close(found, wanted, rtol=1e-3, atol=1e-3)
