from __future__ import annotations

import numpy as np
import pytest
import torch

from lego.predictor.auto_int import AutoInt
from lego.testing import PredictorTests


class TestAutoInt(PredictorTests):
    operator = AutoInt

    @pytest.mark.parametrize("fields", ["vectors", "attributes"])
    @pytest.mark.parametrize("hidden", [(), (5,)])
    @pytest.mark.parametrize("per_candidate", [False, True])
    def test_equals_the_formula(self, case, fields, hidden, per_candidate):
        """Every field attends to every field, head by head, unscaled; residual and ReLU; in numpy."""
        spec = AutoInt(layers=2, heads=2, head_width=3, hidden=hidden, fields=fields)
        made = case(spec, per_candidate=per_candidate)
        for pair in made.pairs():
            current = first = made.fields(*pair)
            for layer in range(2):
                query, key, value, residual = (
                    current @ weight.T
                    for weight in np.split(made.weights[f"layers.{layer}.project.weight"], 4)
                )
                mixed = np.zeros_like(residual)
                for head in (slice(0, 3), slice(3, 6)):
                    for place in range(len(current)):
                        logits = key[:, head] @ query[place, head]
                        share = np.exp(logits - logits.max())
                        mixed[place, head] = (share / share.sum()) @ value[:, head]
                current = np.maximum(mixed + residual, 0)
            wanted = made.score("score", current.ravel())
            wanted += made.deep("deep", first.ravel()) if hidden else 0
            assert made.scores[pair] == pytest.approx(wanted, rel=1e-4, abs=1e-3)

    @pytest.mark.parametrize("fields", ["vectors", "attributes"])
    def test_equals_deepctr(self, case, peer, fields):
        """The layers are those of DeepCTR-Torch with the same weights, heads as wide as the fields together."""
        made = case(AutoInt(layers=2, heads=2, head_width=2, fields=fields))
        tensors = made.tensors()
        theirs = peer("deepctr_torch.layers.interaction")
        with torch.no_grad():
            for ours in made.module.layers:
                layer = theirs.InteractingLayer(4, head_num=2)
                names = (layer.W_Query, layer.W_key, layer.W_Value, layer.W_Res)
                for weight, own in zip(names, ours.project.weight.chunk(4), strict=True):
                    weight.copy_(own.T)
                tensors = layer(tensors)
            wanted = made.module.score(tensors.flatten(1))
        torch.testing.assert_close(torch.tensor(made.scores).flatten(), wanted, atol=1e-3, rtol=1e-4)
