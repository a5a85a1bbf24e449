from __future__ import annotations

import torch

from lego.nn.score import Score, beside_candidates, dot, dot_with_candidates


def test_score_is_a_linear_layer():
    """It equals torch's linear layer to one number."""
    score, vectors = Score(6), torch.randn(2, 3, 6)
    torch.testing.assert_close(score(vectors), score.linear(vectors).squeeze(-1))


def test_scores_keep_their_bits_under_autocast():
    """Two candidates that half precision could not tell apart have two scores."""
    score = Score(2)
    with torch.no_grad():
        score.linear.weight.fill_(1)
        score.linear.bias.zero_()
    vectors = torch.tensor([[100.0, 0.0], [100.0, 0.1]])
    with torch.autocast("cpu", torch.bfloat16):
        assert score.linear(vectors)[0] == score.linear(vectors)[1]
        assert score(vectors)[0] < score(vectors)[1]
        assert dot(vectors, torch.ones(2, 2)).dtype == torch.float32


def test_a_user_stands_beside_each_candidate():
    """A user of one vector is repeated, one per candidate is left alone."""
    candidates = torch.randn(2, 3, 4)
    user = torch.randn(2, 4)
    assert torch.equal(beside_candidates(user, candidates)[:, 1], user)
    assert beside_candidates(candidates, candidates) is candidates


def test_candidates_that_all_share_are_one_product():
    """Without a gradient they are a product of matrices, with one they are not; the numbers are the same to rounding."""
    user, items = torch.randn(5, 8), torch.randn(11, 8)
    shared = items.expand(5, 11, 8)
    expected = dot(user.unsqueeze(1), shared)
    torch.testing.assert_close(dot_with_candidates(user, shared), expected)
    with torch.no_grad():
        torch.testing.assert_close(dot_with_candidates(user, shared), expected)
        torch.testing.assert_close(dot_with_candidates(user, shared.clone()), expected)
        torch.testing.assert_close(dot_with_candidates(user[:1], shared[:1]), expected[:1])
        torch.testing.assert_close(dot_with_candidates(user.unsqueeze(1).expand(5, 11, 8), shared), expected)
