from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
import torch

from lego.errors import SpecError
from lego.predictor.pnn import PNN
from lego.testing import PredictorTests


def order(users: int, items: int) -> list[tuple[int, int]]:
    """Which pair of fields each product is of: user with user, user with item, item with item."""
    within = list(combinations(range(users), 2))
    between = [(user, users + item) for item in range(items) for user in range(users)]
    return within + between + [(users + one, users + other) for one, other in combinations(range(items), 2)]


class TestPNN(PredictorTests):
    operator = PNN

    @pytest.mark.parametrize(("fields", "counts"), [("vectors", (1, 1)), ("attributes", (2, 3))])
    @pytest.mark.parametrize("product", ["inner", "outer"])
    @pytest.mark.parametrize("per_candidate", [False, True])
    def test_equals_the_formula(self, case, product, fields, counts, per_candidate):
        """f_i · f_j, or f_iᵀ K_ij f_j, of every two fields behind the fields themselves, then a perceptron, in numpy."""
        made = case(PNN(product, hidden=(5, 3), fields=fields), per_candidate=per_candidate)
        pairs = order(*counts)
        kernels = made.weights["kernels.weight"] if product == "outer" else [np.eye(4)] * len(pairs)
        for pair in made.pairs():
            all_fields = made.fields(*pair)
            products = [
                all_fields[one] @ kernel @ all_fields[other]
                for (one, other), kernel in zip(pairs, kernels, strict=True)
            ]
            wanted = made.deep("deep", np.concatenate([all_fields.ravel(), products]))
            assert made.scores[pair] == pytest.approx(wanted, abs=2e-4)

    @pytest.mark.parametrize(("fields", "counts"), [("vectors", (1, 1)), ("attributes", (2, 3))])
    def test_equals_deepctr(self, case, peer, fields, counts):
        """The outer products are those of DeepCTR-Torch's layer with the same kernels."""
        made = case(PNN("outer", hidden=(), fields=fields))
        tensors, count = made.tensors(), sum(counts)
        layer = peer("deepctr_torch.layers.interaction").OutterProductLayer(count, 4)
        theirs, ours = list(combinations(range(count), 2)), order(*counts)
        with torch.no_grad():
            for place, pair in enumerate(theirs):
                # Theirs is indexed (second, pair, first).
                layer.kernel[:, place] = made.module.kernels.weight[ours.index(pair)].T
            products = layer(list(tensors.split(1, 1)))[:, [theirs.index(pair) for pair in ours]]
            wanted = made.module.deep.score(torch.cat([tensors.flatten(1), products], 1))
        torch.testing.assert_close(torch.tensor(made.scores).flatten(), wanted, atol=1e-4, rtol=1e-4)

    def test_another_product_is_refused(self):
        """The error lists the two there are."""
        with pytest.raises(SpecError, match="'inner', 'outer'"):
            PNN("cross")
