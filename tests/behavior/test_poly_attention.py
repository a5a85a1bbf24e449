from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from lego.behavior.poly_attention import PolyAttention
from lego.contract import Form, Need, Needs
from lego.errors import CompositionError
from lego.spec import Context
from lego.testing import BehaviorTests

LENGTHS = [5, 2, 0]
CONTEXT = Context(width=4, input_width=4, length=5)


def history() -> tuple[torch.Tensor, torch.Tensor]:
    return torch.randn(3, 5, 4), torch.arange(5) < torch.tensor(LENGTHS)[:, None]


class TestPolyAttention(BehaviorTests):
    operator = PolyAttention

    def test_equals_the_formula(self):
        """Each code attends over tanh(W h) of the real places, in numpy; a user without history has zeros."""
        module = PolyAttention(interests=3, hidden=6).build(CONTEXT)
        sequence, mask = history()
        found = module(sequence, mask, Needs()).tensor.detach().numpy()
        project, codes = module.project.weight.detach().numpy(), module.codes.weight.detach().numpy()
        for row, length in enumerate(LENGTHS[:2]):
            real = sequence[row, :length].numpy()
            for interest in range(3):
                logits = np.tanh(real @ project.T) @ codes[interest]
                share = np.exp(logits) / np.exp(logits).sum()
                np.testing.assert_allclose(found[row, interest], share @ real, rtol=1e-5, atol=1e-6)
        assert not found[2].any()

    def test_disagreement_is_the_mean_cosine_of_two_different_interests(self):
        """Over all pairs of each user with a history, times its weight."""
        module = PolyAttention(interests=3, hidden=6, disagreement=0.8).build(CONTEXT).train()
        out = module(*history(), Needs())
        interests = out.tensor.detach().numpy()
        cosines = [
            interests[user, a]
            @ interests[user, b]
            / np.linalg.norm(interests[user, a])
            / np.linalg.norm(interests[user, b])
            for user in (0, 1)
            for a in range(3)
            for b in range(3)
            if a != b
        ]
        assert list(out.losses) == ["disagreement"]
        assert out.losses["disagreement"].item() == pytest.approx(0.8 * np.mean(cosines), abs=1e-6)

    def test_disagreement_is_for_training_alone(self):
        """In evaluation there is no loss, nor with a weight of nothing."""
        module = PolyAttention(interests=3, hidden=6).build(CONTEXT)
        assert not module.eval()(*history(), Needs()).losses
        assert not PolyAttention(disagreement=0).build(CONTEXT).train()(*history(), Needs()).losses

    def test_users_without_history_do_not_count(self):
        """A batch of them has a loss of zero and finite gradients."""
        module = PolyAttention(interests=3, hidden=6).build(CONTEXT).train()
        loss = module(torch.randn(2, 5, 4), torch.zeros(2, 5, dtype=torch.bool), Needs()).losses[
            "disagreement"
        ]
        loss.backward()
        assert loss.item() == 0
        assert all(torch.isfinite(weight.grad).all() for weight in module.parameters())

    def test_a_category_bias_is_added_to_the_logits_of_each_candidate(self):
        """λ times the cosine of both categories, several-valued ones averaged; a missing one has no bias."""
        context = Context(width=4, input_width=4, length=5, item_vocabularies={"genre": 6})
        spec = PolyAttention(interests=3, hidden=6, category_bias=0.7, category="genre")
        module = spec.build(context).eval()
        sequence, mask = history()
        clicked = torch.tensor(
            [[[1, 2], [3, 0], [0, 0], [5, 0], [1, 0]], [[2, 0], [3, 4], [0, 0], [0, 0], [0, 0]]]
        )
        clicked = torch.cat([clicked, torch.zeros(1, 5, 2, dtype=torch.int64)])
        shown = torch.tensor([[[1, 0], [0, 0]], [[3, 2], [5, 0]], [[1, 0], [1, 0]]])
        needs = Needs(history={"genre": clicked}, candidates={"genre": shown})
        everyone = torch.ones(3, 2, dtype=torch.bool)
        found = module(sequence, mask, torch.randn(3, 2, 4), everyone, needs).tensor
        assert found.shape == (3, 2, 3, 4)
        plain, table = module.plain, module.table.weight
        for row, length in enumerate(LENGTHS[:2]):
            real = sequence[row, :length]
            for column in range(2):
                bias = []
                for slot in range(length):
                    both = [
                        table[[value for value in each.tolist() if value]].mean(0)
                        if each.any()
                        else torch.zeros(4)
                        for each in (shown[row, column], clicked[row, slot])
                    ]
                    bias.append(functional.cosine_similarity(*both, dim=0))
                logits = torch.tanh(real @ plain.project.weight.T) @ plain.codes.weight.T  # (length, M)
                weights = torch.softmax(logits + 0.7 * torch.stack(bias).unsqueeze(-1), 0)
                torch.testing.assert_close(found[row, column], weights.T @ real, atol=1e-5, rtol=1e-5)
        assert not found[2].any()

    def test_without_a_category_bias_nothing_is_asked_for(self):
        """With one the interests are per candidate, and one attribute of the items is read."""
        plain, biased = PolyAttention(), PolyAttention(category_bias=1, category="genre")
        assert (plain.needs, plain.gives, plain.item_attributes) == (frozenset(), Form.INTERESTS, ())
        assert biased.needs == {Need.CANDIDATES, Need.ATTRIBUTES}
        assert biased.gives == Form.INTERESTS | Form.PER_CANDIDATE
        assert biased.item_attributes == ("genre",)

    def test_disagreement_of_interests_per_candidate_counts_real_candidates(self):
        """A padded candidate is no part of the mean."""
        context = Context(width=4, input_width=4, length=5, item_vocabularies={"category": 6})
        module = PolyAttention(interests=3, hidden=6, category_bias=1).build(context).train()
        sequence, mask = history()
        needs = Needs(
            history={"category": torch.randint(1, 6, (3, 5, 1))},
            candidates={"category": torch.randint(1, 6, (3, 2, 1))},
        )
        candidates = torch.randn(3, 2, 4)
        shown = torch.tensor([[True, False], [True, False], [True, False]])
        loss = module(sequence, mask, candidates, shown, needs).losses["disagreement"]
        first = Needs(history=needs.history, candidates={"category": needs.candidates["category"][:, :1]})
        alone = module(sequence, mask, candidates[:, :1], shown[:, :1], first).losses["disagreement"]
        torch.testing.assert_close(loss, alone)

    def test_a_category_that_is_not_there_is_told(self):
        """With those that are."""
        context = Context(width=4, input_width=4, length=5, item_vocabularies={"category": 6})
        with pytest.raises(CompositionError, match=r"Did you mean 'category'\? They have: category"):
            PolyAttention(category_bias=1, category="categry").build(context)
