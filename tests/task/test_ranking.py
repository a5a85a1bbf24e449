from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import log_loss

from lego.contract import Candidates
from lego.errors import SpecError
from lego.spec import Context
from lego.task.ranking import Ranking
from lego.testing import TaskTests

CONTEXT = Context(width=4, input_width=4, length=5)


def batch() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    mask = torch.arange(5) < torch.tensor([[5], [2], [3]])
    return torch.randn(3, 5), (torch.rand(3, 5) < 0.4).float(), mask


class TestRanking(TaskTests):
    operator = Ranking

    def test_bce_is_the_log_loss(self):
        """Over all real pairs together, as sklearn has it for the probabilities."""
        scores, labels, mask = batch()
        found = Ranking().build(CONTEXT)(scores, labels, mask).item()
        wanted = log_loss(labels[mask].numpy(), torch.sigmoid(scores[mask]).double().numpy(), labels=[0, 1])
        assert found == pytest.approx(wanted, abs=1e-6)

    def test_mse_is_between_probability_and_label(self):
        """The score goes through a sigmoid first."""
        scores, labels, mask = batch()
        found = Ranking(loss="mse").build(CONTEXT)(scores, labels, mask).item()
        probabilities = 1 / (1 + np.exp(-scores[mask].numpy()))
        assert found == pytest.approx(np.mean((probabilities - labels[mask].numpy()) ** 2), abs=1e-6)

    def test_candidates_follow_the_options(self):
        """All of an impression, or some of its negatives."""
        assert Ranking().candidates == Candidates(None)
        assert Ranking(negatives=3).candidates == Candidates(3, "impression")

    @pytest.mark.parametrize("options", [{"negatives": 0}, {"loss": "mae"}])
    def test_wrong_values_are_refused(self, options):
        """No negative is no task, and losses are listed."""
        with pytest.raises(SpecError):
            Ranking(**options)
