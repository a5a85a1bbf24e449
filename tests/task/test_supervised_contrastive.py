from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from lego import SupervisedContrastive
from lego.contract import Candidates
from lego.errors import SpecError
from lego.spec import Context
from lego.testing import TaskTests

CONTEXT = Context(width=4, input_width=4, length=5)


class TestSupervisedContrastive(TaskTests):
    operator = SupervisedContrastive

    def test_one_click_is_cross_entropy_at_a_temperature(self):
        """torch's own, of scores over the temperature."""
        scores, places = torch.randn(6, 5), torch.tensor([0, 3, 4, 1, 2, 2])
        found = SupervisedContrastive(0.25).build(CONTEXT)(
            scores, functional.one_hot(places, 5), torch.ones(6, 5, dtype=torch.bool)
        )
        torch.testing.assert_close(found, functional.cross_entropy(scores / 0.25, places))

    def test_several_clicks_each_stand_against_all(self):
        """The formula of the paper, term by term, over the real places of each row."""
        scores, labels = torch.randn(2, 4), torch.tensor([[1.0, 0, 1, 0], [0, 1, 1, 1]])
        mask = torch.tensor([[True] * 4, [True, True, False, False]])
        rows = []
        for row, length in enumerate((4, 2)):
            powers = np.exp(scores[row, :length].double().numpy() / 0.5)
            clicked = [place for place in range(length) if labels[row, place]]
            rows.append(-np.mean([np.log(powers[place] / powers.sum()) for place in clicked]))
        found = SupervisedContrastive(0.5).build(CONTEXT)(scores, labels, mask).item()
        assert found == pytest.approx(np.mean(rows), abs=1e-5)

    def test_candidates_follow_the_options(self):
        """As those of Matching do."""
        assert SupervisedContrastive().candidates == Candidates(4, "impression")
        wanted = Candidates(None, "batch", "frequency")
        assert SupervisedContrastive(source="batch", correction=True).candidates == wanted

    @pytest.mark.parametrize("options", [{"temperature": 0}, {"negatives": 0}, {"correction": True}])
    def test_wrong_values_are_refused(self, options):
        """A temperature is more than 0, and a correction needs something to correct."""
        with pytest.raises(SpecError):
            SupervisedContrastive(**options)
