from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.nn import functional

from lego import Cosine, CosineContrastive, Dot, Experiment, ItemID, Mean, MovieLens, Recommender, Training
from lego.compiler.check import check
from lego.contract import Candidates
from lego.errors import SpecError
from lego.spec import Context
from lego.testing import TaskTests

CONTEXT = Context(width=4, input_width=4, length=5)


class TestCosineContrastive(TaskTests):
    operator = CosineContrastive

    def test_it_is_torch_s_cosine_embedding_loss(self):
        """torch's own, for the clicks and for the others, each a mean of its own."""
        user, clicked, others = torch.randn(5, 1, 3), torch.randn(5, 1, 3), torch.randn(5, 4, 3)
        scores = functional.cosine_similarity(user, torch.cat([clicked, others], 1), dim=-1)
        labels = torch.tensor([[1.0, 0, 0, 0, 0]]).expand(5, 5)
        found = CosineContrastive(0.2, weight=3.0).build(CONTEXT)(
            scores, labels, torch.ones(5, 5, dtype=torch.bool)
        )
        near = functional.cosine_embedding_loss(user[:, 0], clicked[:, 0], torch.ones(5))
        users = user.expand_as(others).flatten(0, 1)
        away = functional.cosine_embedding_loss(users, others.flatten(0, 1), -torch.ones(20), margin=0.2)
        torch.testing.assert_close(found, near + 3 * away)

    def test_candidates_follow_the_options(self):
        """As those of Matching do."""
        assert CosineContrastive().candidates == Candidates(4, "impression")
        assert CosineContrastive(source="batch").candidates == Candidates(None, "batch")

    @pytest.mark.parametrize("options", [{"negatives": 0}, {"margin": 1.1}, {"weight": 0}])
    def test_wrong_values_are_refused(self, options):
        """A margin is a cosine."""
        with pytest.raises(SpecError):
            CosineContrastive(**options)

    @pytest.mark.parametrize(("predictor", "problems"), [(Cosine(1.0), 0), (Cosine(0.1), 1), (Dot(), 1)])
    def test_it_wants_cosines(self, movies: Any, predictor: Any, problems: int):
        """Scores that are none are refused before training, with what to use."""
        model = Recommender(ItemID(), Mean(), predictor, width=8)
        found = check(
            Experiment(data=MovieLens(movies), model=model, task=CosineContrastive(), training=Training())
        )
        assert len(found) == problems
        assert all("Cosine(temperature=1)" in each.fix for each in found)
