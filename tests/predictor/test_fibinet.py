from __future__ import annotations

import numpy as np
import pytest
import torch

from lego.contract import Needs, Out
from lego.nn.fields import Fields
from lego.predictor import fibinet
from lego.predictor.fibinet import FiBiNET
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


def excited(table: np.ndarray, weights: dict[str, np.ndarray], excitation: str) -> np.ndarray:
    units = np.maximum(weights["weights.reduce.weight"] @ table.mean(-1), 0)
    found = weights["weights.expand.weight"] @ units
    return 1 / (1 + np.exp(-found)) if excitation == "sigmoid" else np.maximum(found, 0)


class TestFiBiNET(PredictorTests):
    operator = FiBiNET

    @pytest.mark.parametrize("user", ["one", "per candidate"])
    @pytest.mark.parametrize(
        ("bilinear", "excitation"), [("all", "sigmoid"), ("each", "relu"), ("interaction", "sigmoid")]
    )
    @pytest.mark.parametrize("fields", ["vectors", "attributes"])
    def test_equals_the_formula(self, bilinear, excitation, fields, user):
        """Bilinear products of raw and of weighed fields, the perceptron over them and the linear part, in numpy."""
        spec = FiBiNET(bilinear=bilinear, excitation=excitation, reduction=2, hidden=(6,), fields=fields)
        module, given = spec.build(CONTEXT).eval(), inputs(user)
        found = module(*given).detach().numpy()
        linear = module.linear(given[0], given[1], given[3]).detach().numpy()
        weights = {name: value.detach().numpy() for name, value in module.named_parameters()}
        turn = weights["products.weight"]
        for pair in np.ndindex(2, 3):
            table = module.fields(*given).detach().numpy()[pair]
            products = []
            for each in (table, excited(table, weights, excitation)[:, None] * table):
                for i in range(len(table)):
                    for j in range(i + 1, len(table)):
                        place = {"all": 0, "each": i, "interaction": len(products) % (len(turn))}[bilinear]
                        products.append((each[i] @ turn[place]) * each[j])
            joined = np.concatenate(products)
            units = np.maximum(weights["deep.layers.0.weight"] @ joined + weights["deep.layers.0.bias"], 0)
            wanted = (
                weights["score.linear.weight"][0] @ units + weights["score.linear.bias"][0] + linear[pair]
            )
            assert found[pair] == pytest.approx(wanted, abs=1e-4)

    @pytest.mark.parametrize("bilinear", ["all", "each", "interaction"])
    def test_products_equal_those_of_fuxictr(self, bilinear, peer):
        """With copied weights, for two fields of the user and two of the item."""
        module = peer("fuxictr.pytorch.layers.interactions.bilinear_interaction")
        fields = Fields(4, {"category": 5}, {"gender": 3})
        ours = fibinet._Bilinear(fields, 4, bilinear)
        theirs = module.BilinearInteraction(4, 4, f"field_{bilinear}")
        with torch.no_grad():
            theirs.bilinear_W.view(-1, 4, 4)[: len(ours.weight)] = ours.weight
        table = torch.randn(6, 1, 4, 4)
        found = ours(table[..., :2, :], table[..., 2:, :])
        torch.testing.assert_close(found.squeeze(1), theirs(table.squeeze(1)))

    def test_weights_equal_those_of_fuxictr(self, peer):
        """Squeeze and excitation with relu, with copied weights."""
        module = peer("fuxictr.pytorch.layers.attentions.squeeze_excitation")
        ours, theirs = fibinet._Excitation(7, 3, "relu"), module.SqueezeExcitation(7)
        with torch.no_grad():
            theirs.excitation[0].weight.copy_(ours.reduce.weight)
            theirs.excitation[2].weight.copy_(ours.expand.weight)
        table = torch.randn(6, 7, 4)
        torch.testing.assert_close(ours(table.mean(-1)).unsqueeze(-1) * table, theirs(table))
