from __future__ import annotations

import numpy as np
import pytest
import torch

from lego.contract import Needs, Out
from lego.predictor.final_mlp import FinalMLP
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


def layer(vector: np.ndarray, weights: dict[str, np.ndarray], name: str) -> np.ndarray:
    return weights[f"{name}.weight"] @ vector + weights[f"{name}.bias"]


class TestFinalMLP(PredictorTests):
    operator = FinalMLP

    @pytest.mark.parametrize("user", ["one", "per candidate"])
    @pytest.mark.parametrize("gated_by", ["fields", "bias"])
    @pytest.mark.parametrize("fields", ["vectors", "attributes"])
    def test_equals_the_formula(self, gated_by, fields, user):
        """Two gated streams, their linear parts, and a bilinear form for each pair of heads, in numpy."""
        spec = FinalMLP(first=(6,), second=(4,), gate=(3,), heads=2, gated_by=gated_by, fields=fields)
        module, given = spec.build(CONTEXT).eval(), inputs(user)
        found = module(*given).detach().numpy()
        weights = {name: value.detach().numpy() for name, value in module.named_parameters()}
        of_user = 1 if fields == "vectors" else 2
        for pair in np.ndindex(2, 3):
            table = module.fields(*given).detach().numpy()[pair]
            contexts = {"first": table[:of_user].ravel(), "second": table[of_user:].ravel()}
            streams = []
            for name, context in contexts.items():
                read = context if gated_by == "fields" else weights[f"{name}.bias"]
                gate = layer(
                    np.maximum(layer(read, weights, f"{name}.gate.layers.0"), 0),
                    weights,
                    f"{name}.gate.layers.3",
                )
                gated = 2 / (1 + np.exp(-gate)) * table.ravel()
                streams.append(np.maximum(layer(gated, weights, f"{name}.deep.layers.0"), 0))
            first, second = streams
            wanted = layer(first, weights, "fuse.first.linear")[0] + weights["fuse.second.weight"][0] @ second
            for head in range(2):
                one, other = first.reshape(2, 3)[head], second.reshape(2, 2)[head]
                wanted += one @ weights["fuse.weight"][head] @ other
            assert found[pair] == pytest.approx(wanted, abs=1e-4)

    def test_heads_that_do_not_divide_are_problems(self):
        """One problem for each stream that the heads do not divide, or that has no layer."""
        found = list(FinalMLP(first=(6, 5), second=(), heads=2).problems(4, "predictor"))
        assert [each.what for each in found] == [
            "heads=2 does not divide the last width of first=(6, 5)",
            "second=() is no stream",
        ]
        assert not list(FinalMLP(heads=2).problems(4, "predictor"))
