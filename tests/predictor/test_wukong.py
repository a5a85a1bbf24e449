from __future__ import annotations

import numpy as np
import pytest
import torch

from lego.contract import Needs, Out
from lego.predictor.wukong import WuKong
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


def layer(vectors: np.ndarray, weights: dict[str, np.ndarray], name: str) -> np.ndarray:
    products = vectors @ vectors.T @ weights[f"{name}.compress.weight"].T
    units = normed(products.ravel(), weights, f"{name}.product_norm")
    units = np.maximum(
        weights[f"{name}.make.layers.0.weight"] @ units + weights[f"{name}.make.layers.0.bias"], 0
    )
    made = weights[f"{name}.make.layers.3.weight"] @ units + weights[f"{name}.make.layers.3.bias"]
    both = np.concatenate([made.reshape(-1, 4), weights[f"{name}.mix.weight"] @ vectors])
    kept = weights[f"{name}.keep.weight"] @ vectors if f"{name}.keep.weight" in weights else vectors
    return normed(both + kept, weights, f"{name}.norm")


class TestWuKong(PredictorTests):
    operator = WuKong

    @pytest.mark.parametrize("user", ["one", "per candidate"])
    @pytest.mark.parametrize("fields", ["vectors", "attributes"])
    def test_equals_the_formula(self, fields, user):
        """Factorization machines over all inner products, mixtures and what is kept, through two layers, in numpy."""
        spec = WuKong(layers=2, products=3, mixtures=2, rank=2, units=(5,), hidden=(6,), fields=fields)
        module, given = spec.build(CONTEXT).eval(), inputs(user)
        for name, value in module.named_parameters():
            if "norm" in name:
                torch.nn.init.normal_(value)
        found = module(*given).detach().numpy()
        weights = {name: value.detach().numpy() for name, value in module.named_parameters()}
        for pair in np.ndindex(2, 3):
            vectors = module.fields(*given).detach().numpy()[pair]
            for place in range(2):
                vectors = layer(vectors, weights, f"layers.{place}")
            units = weights["deep.layers.0.weight"] @ vectors.ravel() + weights["deep.layers.0.bias"]
            units = np.maximum(units, 0)
            wanted = weights["score.linear.weight"][0] @ units + weights["score.linear.bias"][0]
            assert found[pair] == pytest.approx(wanted, abs=1e-4)

    def test_what_is_kept_is_mapped_only_where_the_count_changes(self):
        """Later layers, and a first layer of as many vectors as fields, add what they read."""
        module = WuKong(layers=2, products=1, mixtures=1).build(CONTEXT)
        assert all(isinstance(layer.keep, torch.nn.Identity) for layer in module.layers)
