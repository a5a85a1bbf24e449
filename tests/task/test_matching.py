from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from lego.contract import Candidates
from lego.errors import SpecError
from lego.spec import Context
from lego.task.matching import Matching
from lego.testing import TaskTests

MODULE = Matching().build(Context(width=4, input_width=4, length=5))


class TestMatching(TaskTests):
    specs = (Matching(), Matching(negatives=2, source="popularity"))

    def test_equals_torch(self):
        """It is cross-entropy towards the positive's place, wherever that is."""
        scores, places = torch.randn(6, 5), torch.tensor([0, 3, 4, 1, 2, 2])
        labels = functional.one_hot(places, 5).float()
        found = MODULE(scores, labels, torch.ones(6, 5, dtype=torch.bool))
        torch.testing.assert_close(found, functional.cross_entropy(scores, places))

    def test_rows_with_fewer_negatives_have_fewer_classes(self):
        """The softmax of a row runs over its real candidates."""
        scores, labels = torch.randn(2, 4), torch.tensor([[0.0, 1, 0, 0], [1, 0, 0, 0]])
        mask = torch.tensor([[True] * 4, [True, True, False, False]])
        first, second = scores.numpy()
        wanted = [np.log(np.exp(first).sum()) - first[1], np.log(np.exp(second[:2]).sum()) - second[0]]
        assert MODULE(scores, labels, mask).item() == pytest.approx(np.mean(wanted), abs=1e-5)

    def test_rows_without_a_positive_do_not_count(self):
        """Neither in the sum nor in the mean."""
        scores, everywhere = torch.randn(2, 3), torch.ones(2, 3, dtype=torch.bool)
        labels = torch.tensor([[0.0, 1, 0], [0, 0, 0]])
        wanted = functional.cross_entropy(scores[:1], torch.tensor([1]))
        torch.testing.assert_close(MODULE(scores, labels, everywhere), wanted)

    def test_several_positives_share_the_target(self):
        """Two clicks in a row are half a target each."""
        scores, everywhere = torch.randn(1, 4), torch.ones(1, 4, dtype=torch.bool)
        labels = torch.tensor([[1.0, 0, 1, 0]])
        wanted = functional.cross_entropy(scores, labels / 2)
        torch.testing.assert_close(MODULE(scores, labels, everywhere), wanted)

    def test_candidates_follow_the_options(self):
        """The batches are asked for K negatives from that source."""
        assert Matching(negatives=7, source="user").candidates == Candidates(7, "user", exclude="history")
        assert Matching(source="uniform", exclude="positives").candidates.exclude == "positives"

    @pytest.mark.parametrize(
        "options",
        [
            {"negatives": 0},
            {"source": "batches"},
            {"correction": True},
            {"exclude": "all"},
            {"exclude": "positives"},
        ],
    )
    def test_wrong_values_are_refused(self, options):
        """No negative is no task, sources are listed, and a correction needs something to correct."""
        with pytest.raises(SpecError):
            Matching(**options)
