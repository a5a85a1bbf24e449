from __future__ import annotations

import numpy as np
import pytest
import torch

from lego.errors import SpecError
from lego.predictor import x_deep_fm
from lego.predictor.x_deep_fm import xDeepFM
from lego.spec import Context
from lego.testing import PredictorTests

CONTEXT = Context(
    width=4,
    input_width=4,
    length=5,
    item_vocabularies={"category": 4, "genres": 6},
    user_vocabularies={"age": 5},
)


class TestXDeepFM(PredictorTests):
    operator = xDeepFM

    @pytest.mark.parametrize("fields", ["vectors", "attributes"])
    @pytest.mark.parametrize(("maps", "hidden"), [((3,), ()), ((30, 40), (5,)), ((3, 4, 2), (5,))])
    @pytest.mark.parametrize("per_candidate", [False, True])
    def test_equals_the_formula(self, case, fields, maps, hidden, per_candidate):
        """X^k_h = Σ_ij W_hij (X^{k−1}_i ⊙ X^0_j) pair by pair, summed over D, and the parts added, in numpy."""
        made = case(xDeepFM(maps=maps, hidden=hidden, fields=fields), per_candidate=per_candidate)
        for pair in made.pairs():
            first = vectors = made.fields(*pair)
            sums: list[float] = []
            for layer, size in enumerate(maps):
                weight = made.weights[f"cin.weights.{layer}"]
                following = np.zeros((size, 4), np.float32)
                for h, j, i in np.ndindex(weight.shape):
                    following[h] += weight[h, j, i] * vectors[i] * first[j]
                vectors = following
                sums += vectors.sum(1).tolist()
            wanted = made.first_order("first_order", *pair) + made.score("cin.score", np.array(sums))
            wanted += made.deep("deep", first.ravel()) if hidden else 0
            assert made.scores[pair] == pytest.approx(wanted, rel=1e-4, abs=1e-3)

    @pytest.mark.parametrize("maps", [(60,), (60, 50), (60, 50, 70)])
    def test_the_polynomial_equals_the_layers(self, case, maps):
        """Both ways to compute the network give the same scores and gradients."""
        cin = case(xDeepFM(maps=maps, hidden=(), fields="attributes")).module.cin
        other = xDeepFM(maps=maps, hidden=(), fields="attributes").build(CONTEXT).cin
        other.load_state_dict(cin.state_dict())
        other.powers = None
        assert cin.powers is not None
        fields = 0.3 * torch.randn(2, 3, 5, 4)
        found, wanted = cin(fields), other(fields)
        torch.testing.assert_close(found, wanted, rtol=1e-3, atol=1e-3)
        first = torch.autograd.grad(found.sum(), list(cin.parameters()))
        second = torch.autograd.grad(wanted.sum(), list(other.parameters()))
        torch.testing.assert_close(first, second, rtol=1e-3, atol=1e-3)

    @pytest.mark.parametrize("fields", ["vectors", "attributes"])
    def test_equals_fuxictr(self, case, peer, fields):
        """The compressed interaction network is that of FuxiCTR with the same weights, but for its biases."""
        made = case(xDeepFM(maps=(3, 4), hidden=(), fields=fields))
        tensors = made.tensors()
        name = "fuxictr.pytorch.layers.interactions.compressed_interaction_net"
        layer = peer(name).CompressedInteractionNet(tensors.size(1), (3, 4))
        cin = made.module.cin
        with torch.no_grad():
            for theirs, ours in zip(layer.cin_layer.values(), cin.weights, strict=True):
                theirs.weight.copy_(ours.flatten(1).unsqueeze(-1))
                theirs.bias.zero_()
            layer.fc.load_state_dict(cin.score.linear.state_dict())
            wanted = layer(tensors).flatten()
        wanted = wanted + torch.tensor([made.first_order("first_order", *pair) for pair in made.pairs()])
        torch.testing.assert_close(torch.tensor(made.scores).flatten(), wanted.float(), atol=1e-3, rtol=1e-4)

    def test_blocks_of_candidates_change_nothing(self, case, monkeypatch):
        """Many candidates are read block by block in evaluation, to the same scores."""
        made = case(xDeepFM(maps=(3, 4), hidden=(5,), fields="attributes"))
        wanted = made.scores
        monkeypatch.setattr(x_deep_fm, "BLOCK", 1)
        np.testing.assert_allclose(made.scores, wanted, rtol=1e-5, atol=1e-5)

    def test_no_layer_is_refused(self):
        """The interaction network has one layer at least."""
        with pytest.raises(SpecError, match="one width at least"):
            xDeepFM(maps=())
