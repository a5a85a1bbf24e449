from __future__ import annotations

import numpy as np
import pytest
import torch

from lego.behavior.poly_attention import PolyAttention
from lego.contract import Needs
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
