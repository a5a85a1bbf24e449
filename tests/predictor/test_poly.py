from __future__ import annotations

import pytest
import torch

from lego import any_of
from lego.contract import Needs, Out
from lego.errors import SpecError
from lego.predictor.din import DIN
from lego.predictor.dnn import DNN
from lego.predictor.dot import Dot
from lego.predictor.poly import Poly
from lego.spec import Context
from lego.testing import PredictorTests

CONTEXT = Context(width=4, input_width=4, length=5)


class TestPoly(PredictorTests):
    operator = Poly

    @pytest.mark.parametrize("score", ["mean", "max"])
    def test_is_the_base_asked_for_each_interest(self, score):
        """The base run once for every interest, in a loop, and its scores joined."""
        module = Poly(DNN(hidden=(6,)), score=score).build(CONTEXT).eval()
        interests, candidates = torch.randn(2, 3, 4), torch.randn(2, 5, 4)
        mask = torch.ones(2, 5, dtype=torch.bool)
        each = torch.stack([module.base(Out(one), candidates, mask, Needs()) for one in interests.unbind(1)])
        wanted = each.mean(0) if score == "mean" else each.amax(0)
        torch.testing.assert_close(module(Out(interests), candidates, mask, Needs()).tensor, wanted)
        beside = interests.unsqueeze(1).expand(-1, 5, -1, -1)
        torch.testing.assert_close(module(Out(beside), candidates, mask, Needs()).tensor, wanted)

    def test_what_the_base_reads_of_candidates_goes_with_them(self):
        """Attributes of a candidate stand beside it for each of the interests."""

        class Reader(torch.nn.Module):
            def forward(self, user, candidates, candidate_mask, needs):
                assert torch.equal(needs.user, torch.tensor([7, 8]))
                return needs.candidates["category"][..., 0].float() + user.tensor.sum(-1)

        module = Poly(Dot()).build(CONTEXT)
        module.base = Reader()
        codes = torch.tensor([[[1], [2]], [[3], [4]]])
        needs = Needs(user=torch.tensor([7, 8]), candidates={"category": codes})
        mask = torch.ones(2, 2, dtype=torch.bool)
        found = module(Out(torch.zeros(2, 3, 4)), torch.randn(2, 2, 4), mask, needs).tensor
        torch.testing.assert_close(found, codes[..., 0].float())

    def test_a_base_that_reads_the_history_is_refused(self):
        """The base must take one vector; a choice is looked into."""
        with pytest.raises(SpecError, match=r"takes per candidate vector|takes per candidate \(B, C, D\)"):
            Poly(DIN())
        with pytest.raises(SpecError, match="base must be"):
            Poly(any_of(Dot(), DIN()))
        assert Poly(any_of(Dot(), DNN()))
