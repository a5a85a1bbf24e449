"""What holds for everything that makes a loss out of scores and labels."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional

from lego.contract import Candidates
from lego.spec import Context
from lego.testing.suite import GARBAGE, TOLERANCE, ModuleTests, assert_near, draw, prefix


class TaskTests(ModuleTests):
    """Scores and labels → a loss over real places, and what candidates the training batches must bring."""

    @pytest.fixture
    def inputs(self, context: Context) -> tuple[Any, ...]:
        """scores (B, C), labels (B, C), candidate_mask (B, C); each row's positive stands in another place."""
        labels = torch.zeros(3, 4)
        labels[[0, 1, 2], [2, 0, 1]] = 1
        return draw(3, 4, seed=1), labels, prefix(4, 3, 2)

    def test_it_says_what_it_needs(self, spec: Any) -> None:
        """Which candidates a training batch must bring is part of the task."""
        assert isinstance(spec.candidates, Candidates)

    def test_it_has_no_loss_beside_its_own(self, spec: Any) -> None:
        """A task is a loss; auxiliary losses come from the operators of the model."""
        assert spec.losses == ()

    def test_the_loss_is_a_scalar(self, module: nn.Module, inputs: tuple[Any, ...]) -> None:
        """One finite number in float32, of half-precision scores too."""
        scores, *rest = inputs
        for given in (scores, scores.bfloat16()):
            loss = module(given, *rest)
            assert loss.shape == ()
            assert loss.dtype == torch.float32
            assert torch.isfinite(loss)

    def test_padding_does_not_matter(self, module: nn.Module, inputs: tuple[Any, ...]) -> None:
        """What stands in a padded place, score or label, changes neither the loss nor a gradient."""
        scores, labels, mask = inputs
        wrong = torch.where(mask, scores, GARBAGE).requires_grad_()
        loss = module(wrong, torch.where(mask, labels, 1.0), mask)
        assert_near(loss, module(*inputs))
        torch.autograd.backward(loss)
        assert wrong.grad is not None
        assert not wrong.grad[~mask].any()
        assert torch.isfinite(wrong.grad).all()

    def test_order_does_not_matter(self, module: nn.Module, inputs: tuple[Any, ...]) -> None:
        """The positive is found by its label, never by its place."""
        order = [3, 1, 0, 2]
        assert_near(module(*(each[:, order] for each in inputs)), module(*inputs))

    def test_a_step_downhill_is_a_better_ranking(self, module: nn.Module, inputs: tuple[Any, ...]) -> None:
        """The gradient raises the score of every real positive and lowers that of every real negative, on balance."""
        scores, labels, mask = inputs
        scores = scores.clone().requires_grad_()
        torch.autograd.backward(module(scores, labels, mask))
        assert scores.grad is not None
        assert (scores.grad[mask & (labels == 1)] < 0).all()
        assert scores.grad[mask & (labels == 0)].sum() > 0

    def test_right_beats_wrong(self, module: nn.Module, inputs: tuple[Any, ...]) -> None:
        """Scores that agree with the labels lose less than scores that contradict them."""
        _, labels, mask = inputs
        right = 4 * labels - 2
        assert module(right, labels, mask) < module(-right, labels, mask)

    def test_large_scores_are_finite(self, module: nn.Module, inputs: tuple[Any, ...]) -> None:
        """Scores of a thousand, right or wrong, give a finite loss and finite gradients."""
        scores, labels, mask = inputs
        large = (1e3 * scores).requires_grad_()
        loss = module(large, labels, mask)
        torch.autograd.backward(loss)
        assert torch.isfinite(loss)
        assert large.grad is not None
        assert torch.isfinite(large.grad).all()

    def test_nothing_real_is_no_loss(self, module: nn.Module, inputs: tuple[Any, ...]) -> None:
        """A batch of padding has a finite loss and no gradient."""
        scores, labels, mask = inputs
        scores = scores.clone().requires_grad_()
        loss = module(scores, labels, torch.zeros_like(mask))
        torch.autograd.backward(loss)
        assert torch.isfinite(loss)
        assert scores.grad is not None
        assert not scores.grad.any()

    def test_it_needs_no_positive(self, module: nn.Module, inputs: tuple[Any, ...]) -> None:
        """Rows without a positive, or without a negative, give a finite loss and finite gradients."""
        scores, labels, mask = inputs
        for same in (torch.zeros_like(labels), torch.ones_like(labels)):
            given = scores.clone().requires_grad_()
            loss = module(given, same, mask)
            torch.autograd.backward(loss)
            assert torch.isfinite(loss)
            assert given.grad is not None
            assert torch.isfinite(given.grad).all()

    def test_more_padding_does_not_matter(self, module: nn.Module, inputs: tuple[Any, ...]) -> None:
        """A batch padded further, with places and with whole rows, has the same loss."""
        scores, labels, mask = (functional.pad(each, (0, 2, 0, 3)) for each in inputs)
        assert_near(module(scores, labels, mask), module(*inputs))

    def test_the_mean_is_over_what_it_says(
        self, spec: Any, module: nn.Module, inputs: tuple[Any, ...]
    ) -> None:
        """The loss of a batch is that of its parts, each counted by its rows or its candidates as `mean_over` says."""
        counts = inputs[2].sum(-1).float() if spec.mean_over == "candidates" else torch.ones(3)
        losses = torch.stack([module(*(each[row : row + 1] for each in inputs)) for row in range(3)])
        assert_near((losses * counts).sum() / counts.sum(), module(*inputs))

    def test_logits_are_such_of_a_click(self, spec: Any, module: nn.Module, inputs: tuple[Any, ...]) -> None:
        """With `logits`, one score for everything is at rest exactly at the log-odds of a click."""
        if not spec.logits:
            return
        _, labels, mask = inputs
        share = labels[mask].mean()
        for score, at_rest in ((torch.logit(share), True), (torch.logit(share) + 0.5, False)):
            constant = score.clone().requires_grad_()
            torch.autograd.backward(module(constant.expand_as(labels), labels, mask))
            assert constant.grad is not None
            assert (constant.grad.abs() < TOLERANCE) == at_rest
