from __future__ import annotations

from itertools import combinations

import pytest
import torch

from lego.predictor.deep_fm import DeepFM
from lego.testing import PredictorTests


class TestDeepFM(PredictorTests):
    operator = DeepFM

    @pytest.mark.parametrize("fields", ["vectors", "attributes"])
    @pytest.mark.parametrize("hidden", [(), (5, 3)])
    @pytest.mark.parametrize("per_candidate", [False, True])
    def test_equals_the_formula(self, case, fields, hidden, per_candidate):
        """The linear part, the inner product of every two fields, and the perceptron, added, in numpy."""
        made = case(DeepFM(hidden=hidden, fields=fields), per_candidate=per_candidate)
        for pair in made.pairs():
            wanted = made.first_order("first_order", *pair)
            wanted += sum(first @ second for first, second in combinations(made.fields(*pair), 2))
            wanted += made.deep("deep", made.fields(*pair).ravel()) if hidden else 0
            assert made.scores[pair] == pytest.approx(wanted, abs=1e-4)

    @pytest.mark.parametrize("fields", ["vectors", "attributes"])
    def test_equals_fuxictr(self, case, peer, fields):
        """The second-order part is that of FuxiCTR's factorization machine."""
        layer = peer("fuxictr.pytorch.layers.interactions.inner_product").InnerProductInteraction(2)
        made = case(DeepFM(hidden=(), fields=fields))
        wanted = layer(made.tensors()).view(made.scores.shape)
        first = torch.tensor([made.first_order("first_order", *pair) for pair in made.pairs()])
        torch.testing.assert_close(
            torch.tensor(made.scores), wanted + first.view(wanted.shape).float(), atol=1e-4, rtol=1e-4
        )
