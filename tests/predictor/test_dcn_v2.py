from __future__ import annotations

import numpy as np
import pytest
import torch

from lego.predictor.dcn_v2 import DCNv2
from lego.testing import PredictorTests


def softmax(logits: np.ndarray) -> np.ndarray:
    return np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()


class TestDCNv2(PredictorTests):
    specs = (*DCNv2.examples(), DCNv2(cross=2, rank=3, experts=1, hidden=()))

    @pytest.mark.parametrize("fields", ["vectors", "attributes"])
    @pytest.mark.parametrize("structure", ["parallel", "stacked"])
    @pytest.mark.parametrize("hidden", [(), (5,)])
    def test_a_matrix_equals_the_formula(self, case, fields, structure, hidden):
        """x_{l+1} = x_0 ⊙ (W x_l + b) + x_l; the perceptron reads x_0, or what the cross network gives, in numpy."""
        made = case(DCNv2(cross=2, rank=None, structure=structure, hidden=hidden, fields=fields))
        weights = made.weights
        for pair in made.pairs():
            first = crossed = made.fields(*pair).ravel()
            for layer in range(2):
                weight = weights[f"cross.{layer}.linear.weight"]
                crossed = first * (weight @ crossed + weights[f"cross.{layer}.linear.bias"]) + crossed
            read = crossed
            if hidden:
                deep = made.perceptron("deep", first if structure == "parallel" else crossed)
                read = np.concatenate([crossed, deep]) if structure == "parallel" else deep
            assert made.scores[pair] == pytest.approx(made.score("score", read), rel=1e-4, abs=1e-3)

    @pytest.mark.parametrize("experts", [1, 3])
    @pytest.mark.parametrize("per_candidate", [False, True])
    def test_experts_equal_the_formula(self, case, experts, per_candidate):
        """Σ_i G_i(x_l) x_0 ⊙ (U_i tanh(C_i tanh(V_iᵀ x_l)) + b) + x_l, expert by expert, in numpy."""
        spec = DCNv2(cross=2, rank=2, experts=experts, hidden=(), fields="attributes")
        made = case(spec, per_candidate=per_candidate)
        weights = made.weights
        for pair in made.pairs():
            first = crossed = made.fields(*pair).ravel()
            for layer in range(2):
                name = f"cross.{layer}"
                gates = softmax(weights[f"{name}.gate.weight"] @ crossed) if experts > 1 else [1.0]
                total = np.zeros_like(first)
                for expert, gate in enumerate(gates):
                    own = slice(2 * expert, 2 * expert + 2)
                    narrow = np.tanh(weights[f"{name}.down.weight"][own] @ crossed)
                    narrow = np.tanh(weights[f"{name}.within"][expert] @ narrow)
                    wide = weights[f"{name}.up.weight"][:, own] @ narrow + weights[f"{name}.up.bias"]
                    total += gate * first * wide
                crossed = total + crossed
            assert made.scores[pair] == pytest.approx(made.score("score", crossed), rel=1e-4, abs=1e-3)

    def test_a_matrix_equals_fuxictr(self, case, peer):
        """The cross network is that of FuxiCTR with the same weights."""
        made = case(DCNv2(cross=2, rank=None, hidden=(), fields="attributes"))
        tensors = made.tensors().flatten(1)
        layer = peer("fuxictr.pytorch.layers.interactions.cross_net").CrossNetV2(tensors.size(1), 2)
        for theirs, ours in zip(layer.cross_layers, made.module.cross, strict=True):
            theirs.load_state_dict(ours.linear.state_dict())
        with torch.no_grad():
            wanted = made.module.score(layer(tensors))
        torch.testing.assert_close(torch.tensor(made.scores).flatten(), wanted, atol=1e-3, rtol=1e-4)

    def test_experts_equal_fuxictr(self, case, peer):
        """So is the mixture of experts, where the layers share their gate, as they do there."""
        made = case(DCNv2(cross=2, rank=2, experts=3, hidden=(), fields="attributes"))
        tensors = made.tensors().flatten(1)
        layer = peer("fuxictr.pytorch.layers.interactions.cross_net").CrossNetMix(tensors.size(1), 2, 2, 3)
        cross = made.module.cross
        with torch.no_grad():
            cross[1].gate.weight.copy_(cross[0].gate.weight)
            for expert, gate in enumerate(layer.gating):
                gate.weight.copy_(cross[0].gate.weight[expert : expert + 1])
            for place, ours in enumerate(cross):
                layer.V_list[place].copy_(torch.stack([each.T for each in ours.down.weight.chunk(3)]))
                layer.C_list[place].copy_(ours.within)
                layer.U_list[place].copy_(torch.stack(ours.up.weight.chunk(3, 1)))
                layer.bias[place].copy_(ours.up.bias.unsqueeze(1))
            wanted = made.module.score(layer(tensors))
        torch.testing.assert_close(torch.tensor(made.scores).flatten(), wanted, atol=1e-3, rtol=1e-4)
