from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import erf

from lego.contract import Needs, Out
from lego.errors import SpecError
from lego.predictor.interest_attention import InterestAttention
from lego.spec import Context
from lego.testing import PredictorTests


class TestInterestAttention(PredictorTests):
    operator = InterestAttention

    @pytest.mark.parametrize("score", ["weighted", "max", "mean"])
    def test_equals_the_formula(self, score):
        """Scores with each interest, weighed by softmax(v · gelu(W u + b)), their maximum, or their mean, in numpy."""
        module = InterestAttention(score=score).build(Context(width=4, input_width=4, length=5))
        user, candidates, mask = (
            torch.randn(2, 3, 4),
            torch.randn(2, 5, 4),
            torch.ones(2, 5, dtype=torch.bool),
        )
        found = module(Out(user), candidates, mask, Needs()).detach().numpy()
        for row in range(2):
            for place in range(5):
                u, v = user[row].numpy(), candidates[row, place].numpy()
                scores = u @ v
                if score == "weighted":
                    weight, bias = (
                        module.project.weight.detach().numpy(),
                        module.project.bias.detach().numpy(),
                    )
                    turned = u @ weight.T + bias
                    logits = (turned * 0.5 * (1 + erf(turned / np.sqrt(2)))) @ v
                    wanted = (np.exp(logits) / np.exp(logits).sum()) @ scores
                else:
                    wanted = scores.max() if score == "max" else scores.mean()
                assert found[row, place] == pytest.approx(wanted, abs=1e-5)

    @pytest.mark.parametrize("score", ["weighted", "max", "mean"])
    def test_interests_per_candidate_meet_their_own_candidate(self, score):
        """Interests that are the same for each candidate give the scores of one set; another set changes one score."""
        module = InterestAttention(score=score).build(Context(width=4, input_width=4, length=5))
        user, candidates = torch.randn(2, 3, 4), torch.randn(2, 5, 4)
        mask = torch.ones(2, 5, dtype=torch.bool)
        wanted = module(Out(user), candidates, mask, Needs())
        beside = user.unsqueeze(1).repeat(1, 5, 1, 1)
        torch.testing.assert_close(module(Out(beside), candidates, mask, Needs()), wanted)
        beside[0, 2] += 1
        changed = module(Out(beside), candidates, mask, Needs()) != wanted
        assert changed.nonzero().tolist() == [[0, 2]]

    def test_another_score_is_refused(self):
        """The error lists the three there are."""
        with pytest.raises(SpecError, match="'weighted', 'max', 'mean'"):
            InterestAttention(score="sum")
