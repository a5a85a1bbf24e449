from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import log_loss

from lego import GBCE
from lego.contract import Candidates
from lego.errors import SpecError
from lego.spec import Context
from lego.testing import TaskTests

CONTEXT = Context(width=4, input_width=4, length=5, items=102)
"""101 items, 100 of which are not the clicked one."""


def sigmoid(scores: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-scores))


class TestGBCE(TaskTests):
    operator = GBCE

    @pytest.mark.parametrize("calibration", [0.0, 0.3, 1.0])
    def test_it_is_the_formula_of_the_paper(self, calibration):
        """The probability of the click to the power of β, written out in numpy."""
        scores = torch.randn(3, 6)
        labels = torch.eye(6)[[0, 2, 5]]
        rate = 5 / 100
        power = rate * (calibration * (1 - 1 / rate) + 1 / rate)
        probabilities = sigmoid(scores.double().numpy())
        clicked = labels.numpy() == 1
        terms = np.where(clicked, np.log(probabilities**power), np.log(1 - probabilities))
        found = GBCE(calibration, negatives=5).build(CONTEXT)(
            scores, labels, torch.ones(3, 6, dtype=torch.bool)
        )
        assert found.item() == pytest.approx(-terms.sum(1).mean() / 6, abs=1e-6)

    def test_without_calibration_it_is_cross_entropy(self):
        """sklearn's, over clicks and negatives alike."""
        scores, labels = torch.randn(4, 3), torch.tensor([[1.0, 0, 0]]).expand(4, 3)
        found = GBCE(0.0, negatives=2).build(CONTEXT)(scores, labels, torch.ones(4, 3, dtype=torch.bool))
        wanted = log_loss(labels.flatten().numpy(), sigmoid(scores.double().numpy()).reshape(-1))
        assert found.item() == pytest.approx(wanted, abs=1e-6)

    def test_calibrated_probabilities_are_those_of_the_whole_catalog(self):
        """With t = 1 the best single score for all items of 101 is the logit of 1/101, however few negatives are drawn."""
        score = torch.logit(torch.tensor(1 / 101)).requires_grad_()
        labels = torch.tensor([[1.0, 0, 0, 0, 0, 0]])
        module = GBCE(1.0, negatives=5).build(CONTEXT)
        module(score.expand(1, 6), labels, torch.ones(1, 6, dtype=torch.bool)).backward()
        assert abs(score.grad) < 1e-6

    def test_candidates_follow_the_options(self):
        """As many as published, evenly from the catalog."""
        assert GBCE().candidates == Candidates(256, "uniform")

    @pytest.mark.parametrize("options", [{"negatives": 0}, {"calibration": 1.1}, {"calibration": -0.1}])
    def test_wrong_values_are_refused(self, options):
        """Calibration is between none and all."""
        with pytest.raises(SpecError):
            GBCE(**options)
