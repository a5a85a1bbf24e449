from __future__ import annotations

import pytest
import torch

from lego.contract import Needs, Out
from lego.errors import SpecError
from lego.predictor.cosine import Cosine
from lego.spec import Context
from lego.testing import PredictorTests

MASK = torch.ones(2, 3, dtype=torch.bool)


class TestCosine(PredictorTests):
    operator = Cosine

    @pytest.mark.parametrize("shape", [(2, 1, 4), (2, 3, 4)])
    def test_is_the_cosine_of_torch(self, shape):
        """torch's own cosine similarity, divided by the temperature."""
        module = Cosine(0.25).build(Context(width=4, input_width=4, length=5))
        user, candidates = torch.randn(shape), torch.randn(2, 3, 4)
        found = module(Out(user.squeeze(1) if shape[1] == 1 else user), candidates, MASK, Needs())
        torch.testing.assert_close(found, 4 * torch.cosine_similarity(user, candidates, -1))

    def test_a_user_of_zeros_scores_nothing(self):
        """A user without history may be zeros: the score is 0, and the gradient is bounded."""
        module = Cosine().build(Context(width=4, input_width=4, length=5))
        user = torch.zeros(2, 4, requires_grad=True)
        found = module(Out(user), torch.randn(2, 3, 4), MASK, Needs())
        assert not found.any()
        found.sum().backward()
        assert user.grad.abs().max() < 1e6

    def test_a_temperature_of_zero_is_refused(self):
        """The error names the option and its bound."""
        with pytest.raises(SpecError, match="temperature must be more than 0"):
            Cosine(0.0)
