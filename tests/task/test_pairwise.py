from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from lego import Pairwise
from lego.contract import Candidates
from lego.errors import SpecError
from lego.spec import Context
from lego.testing import TaskTests

MODULE = Pairwise().build(Context(width=4, input_width=4, length=5))


class TestPairwise(TaskTests):
    operator = Pairwise

    def test_one_negative_is_the_soft_margin_loss(self):
        """With one negative it is torch's soft margin loss of the difference."""
        scores = torch.randn(6, 2)
        found = MODULE(scores, torch.tensor([[1.0, 0]]).expand(6, 2), torch.ones(6, 2, dtype=torch.bool))
        wanted = functional.soft_margin_loss(scores[:, 0] - scores[:, 1], torch.ones(6))
        torch.testing.assert_close(found, wanted)

    def test_it_is_the_mean_over_pairs_of_a_row(self):
        """Pair by pair in numpy, with several positives, a short row, and a row without a pair that does not count."""
        scores, labels = (
            torch.randn(3, 4),
            torch.tensor([[0.0, 1, 0, 1], [1, 0, 1, 1], [1, 1, 0, 0]]),
        )
        mask = torch.tensor([[True] * 4, [True, True, False, False], [True, True, False, False]])
        rows = []
        for row in range(2):
            real = [place for place in range(4) if mask[row, place]]
            pairs = [(i, j) for i in real for j in real if labels[row, i] == 1 and labels[row, j] == 0]
            rows.append(
                np.mean(
                    [-np.log(1 / (1 + np.exp(-float(scores[row, i] - scores[row, j])))) for i, j in pairs]
                )
            )
        assert MODULE(scores, labels, mask).item() == pytest.approx(np.mean(rows), abs=1e-6)

    def test_candidates_follow_the_options(self):
        """Four that were shown, unless said otherwise."""
        assert Pairwise().candidates == Candidates(4, "impression")
        assert Pairwise(negatives=1, source="uniform").candidates == Candidates(1, "uniform")

    @pytest.mark.parametrize("options", [{"negatives": 0}, {"negatives": None}, {"source": "batch"}])
    def test_wrong_values_are_refused(self, options):
        """No negative is no pair, and pairs with a whole batch are too many."""
        with pytest.raises(SpecError):
            Pairwise(**options)
