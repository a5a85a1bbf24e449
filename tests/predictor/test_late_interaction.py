from __future__ import annotations

import numpy as np
import pytest
import torch

from lego.contract import Needs, Out
from lego.predictor.late_interaction import LateInteraction
from lego.spec import Context
from lego.testing import PredictorTests

CONTEXT = Context(width=4, input_width=4, length=5)
LENGTHS = [5, 2, 0]


def joined(scores: np.ndarray, score: str) -> float:
    if not len(scores):
        return 0.0
    ways = {
        "sum": scores.sum(),
        "max": scores.max(),
        "log_sum_exp": 0.5 * np.log(np.exp(scores / 0.5).sum()),
    }
    return ways[score]


class TestLateInteraction(PredictorTests):
    operator = LateInteraction

    @pytest.mark.parametrize("score", ["sum", "max", "log_sum_exp"])
    def test_equals_the_formula(self, score):
        """The scores with each interest, or with each real item of the history, joined in numpy."""
        module = LateInteraction(score=score, temperature=0.5).build(CONTEXT)
        vectors, candidates = torch.randn(3, 5, 4), torch.randn(3, 6, 4)
        everywhere = torch.ones(3, 6, dtype=torch.bool)
        mask = torch.arange(5) < torch.tensor(LENGTHS)[:, None]
        interests = module(Out(vectors), candidates, everywhere, Needs()).numpy()
        sequence = module(Out(vectors, mask), candidates, everywhere, Needs()).numpy()
        for row, length in enumerate(LENGTHS):
            for place in range(6):
                scores = (vectors[row] @ candidates[row, place]).numpy()
                assert interests[row, place] == pytest.approx(joined(scores, score), abs=1e-5)
                assert sequence[row, place] == pytest.approx(joined(scores[:length], score), abs=1e-5)

    def test_a_user_per_candidate_meets_its_own_candidate(self):
        """Interests made for each candidate are read by that candidate alone."""
        module = LateInteraction().build(CONTEXT)
        interests, candidates = torch.randn(2, 3, 5, 4), torch.randn(2, 3, 4)
        found = module(Out(interests), candidates, torch.ones(2, 3, dtype=torch.bool), Needs())
        wanted = torch.einsum("bcmd,bcd->bcm", interests, candidates).amax(-1)
        torch.testing.assert_close(found, wanted)

    @pytest.mark.parametrize("score", ["sum", "max", "log_sum_exp"])
    def test_gradients_of_users_without_history_are_finite(self, score):
        """A row of padding passes back zeros, never NaN."""
        module = LateInteraction(score=score).build(CONTEXT)
        vectors, candidates = torch.randn(2, 5, 4).requires_grad_(), torch.randn(2, 3, 4).requires_grad_()
        mask = torch.tensor([[True] * 5, [False] * 5])
        module(Out(vectors, mask), candidates, torch.ones(2, 3, dtype=torch.bool), Needs()).sum().backward()
        for each in (vectors, candidates):
            assert each.grad[0].any()
            assert not each.grad[1].any()
