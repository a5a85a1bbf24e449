"""The suites must fail where an operator breaks its contract: each double below breaks one rule."""

from __future__ import annotations

from typing import ClassVar

import pytest
import torch
from torch import nn
from torch.nn import functional

from lego.contract import Candidates, Out
from lego.spec import Behavior, Metric, Predictor, Task, operator

pytest_plugins = ["pytester"]


class _MeanOfAll(nn.Module):
    """The mean over padding too."""

    def forward(self, sequence, mask, needs):
        return Out(sequence.mean(1))


class _Centred(nn.Module):
    """Takes the mean over the batch away."""

    def forward(self, sequence, mask, needs):
        sequence = sequence.masked_fill(~mask.unsqueeze(-1), 0).sum(1)
        return Out(sequence - sequence.mean(0))


class _NaNOnEmpty(nn.Module):
    """Divides by the number of real places, zero of them too."""

    def forward(self, sequence, mask, needs):
        return Out(sequence.masked_fill(~mask.unsqueeze(-1), 0).sum(1) / mask.sum(1, keepdim=True))


class _Unused(nn.Module):
    """Holds a weight that nothing reads."""

    def __init__(self):
        super().__init__()
        self.unused = nn.Parameter(torch.ones(3))

    def forward(self, sequence, mask, needs):
        return Out(sequence.masked_fill(~mask.unsqueeze(-1), 0).sum(1) * self.unused[:1].detach())


class _Branching(nn.Module):
    """Looks at numbers to decide what to do, which no exported program can."""

    def forward(self, sequence, mask, needs):
        sequence = sequence.masked_fill(~mask.unsqueeze(-1), 0).sum(1)
        return Out(sequence if sequence[0, 0] > 0 else 2 * sequence)


class _Undeclared(nn.Module):
    """Gives a loss that the spec does not name."""

    def forward(self, sequence, mask, needs):
        users = sequence.masked_fill(~mask.unsqueeze(-1), 0).sum(1)
        return Out(users, losses={"surprise": users.square().mean()} if self.training else {})


class _SoftScores(nn.Module):
    """Scores that depend on the other candidates."""

    def forward(self, user, candidates, candidate_mask, needs):
        return torch.softmax((user.tensor.unsqueeze(1) * candidates).sum(-1), -1)


class _HalfScores(nn.Module):
    """Scores at half precision."""

    def forward(self, user, candidates, candidate_mask, needs):
        return (user.tensor.unsqueeze(1) * candidates).sum(-1).bfloat16()


class _FirstIsPositive(nn.Module):
    """Finds the positive by its place."""

    def forward(self, scores, labels, candidate_mask):
        return -torch.log_softmax(scores.float().masked_fill(~candidate_mask, -1e9), -1)[:, 0].mean()


class _CrossEntropy(nn.Module):
    """The mean over pairs."""

    def forward(self, scores, labels, candidate_mask):
        losses = functional.binary_cross_entropy_with_logits(scores.float(), labels, reduction="none")
        return losses[candidate_mask].mean()


class _Heavy(nn.Module):
    """Counts a click twice, so that its scores are no log-odds."""

    def forward(self, scores, labels, candidate_mask):
        weight = torch.tensor(2.0)
        losses = functional.binary_cross_entropy_with_logits(
            scores.float(), labels, reduction="none", pos_weight=weight
        )
        return losses.masked_fill(~candidate_mask, 0).sum() / candidate_mask.sum().clamp(min=1)


@operator
class Broken(Behavior):
    """A behavior operator that builds what the test puts there."""

    made: ClassVar[type[nn.Module]] = _MeanOfAll

    def build(self, context):
        return self.made()


@operator
class BrokenPredictor(Predictor):
    """A predictor likewise."""

    made: ClassVar[type[nn.Module]] = _SoftScores

    def build(self, context):
        return self.made()


@operator
class BrokenTask(Task):
    """A task likewise; it says that its scores are logits, and its mean one over rows."""

    logits: ClassVar[bool] = True
    made: ClassVar[type[nn.Module]] = _FirstIsPositive

    @property
    def candidates(self):
        return Candidates(4)

    def build(self, context):
        return self.made()


@operator
class BrokenMetric(Metric):
    """A metric that looks at the order of rows."""

    @property
    def name(self):
        return "first"

    def measure(self, ranking):
        return float(ranking.labels[:5].mean())


@pytest.fixture(scope="module", autouse=True)
def _exporting_is_loaded():
    """pytester forgets modules that are first imported inside it, and torch cannot load those for exporting twice."""
    torch.export.export(nn.Identity(), (torch.ones(1),), strict=False)


def failures(pytester, suite: str, spec: str, made: str | None) -> set[str]:
    """The names of the tests that fail when a suite runs on a broken operator, in a pytest of its own."""
    pytester.makepyfile(
        test_it=f"""
        import importlib.util
        import sys
        from lego import testing

        found = importlib.util.spec_from_file_location("doubles", {__file__!r})
        doubles = importlib.util.module_from_spec(found)
        sys.modules["doubles"] = doubles  # annotations are read through it
        found.loader.exec_module(doubles)
        if {made!r}:
            doubles.{spec}.made = getattr(doubles, {made!r})

        class TestIt(testing.{suite}):
            specs = [doubles.{spec}()]
        """
    )
    result = pytester.runpytest("-q", "-p", "no:cacheprovider")
    return {line.split("::")[2].split("[")[0] for line in result.outlines if line.startswith("FAILED")}


@pytest.mark.parametrize(
    ("suite", "spec", "made", "caught"),
    [
        ("BehaviorTests", "Broken", "_MeanOfAll", "test_padding_does_not_matter"),
        ("BehaviorTests", "Broken", "_MeanOfAll", "test_more_padding_does_not_matter"),
        ("BehaviorTests", "Broken", "_Centred", "test_rows_do_not_mix"),
        ("BehaviorTests", "Broken", "_NaNOnEmpty", "test_an_empty_row_is_finite"),
        ("BehaviorTests", "Broken", "_Unused", "test_gradients_reach_every_trainable_weight"),
        ("BehaviorTests", "Broken", "_Branching", "test_it_exports"),
        ("BehaviorTests", "Broken", "_Undeclared", "test_losses_are_those_declared"),
        ("PredictorTests", "BrokenPredictor", "_SoftScores", "test_other_candidates_do_not_matter"),
        ("PredictorTests", "BrokenPredictor", "_HalfScores", "test_scores_are_float32"),
        ("TaskTests", "BrokenTask", "_FirstIsPositive", "test_order_does_not_matter"),
        ("TaskTests", "BrokenTask", "_CrossEntropy", "test_the_mean_is_over_what_it_says"),
        ("TaskTests", "BrokenTask", "_CrossEntropy", "test_nothing_real_is_no_loss"),
        ("TaskTests", "BrokenTask", "_Heavy", "test_logits_are_such_of_a_click"),
        ("MetricTests", "BrokenMetric", None, "test_order_of_rows_does_not_matter"),
    ],
)
def test_a_broken_operator_is_caught(pytester, suite, spec, made, caught):
    """Each suite fails in the test that names the rule."""
    assert caught in failures(pytester, suite, spec, made)


def test_what_cannot_be_exported_says_why(pytester):
    """An operator that declares a reason is skipped with it, and only in that test."""
    pytester.makepyfile(
        test_it=f"""
        import importlib.util
        import sys
        from lego import testing

        found = importlib.util.spec_from_file_location("doubles", {__file__!r})
        doubles = importlib.util.module_from_spec(found)
        sys.modules["doubles"] = doubles  # annotations are read through it
        found.loader.exec_module(doubles)
        doubles.Broken.made = doubles._Branching
        doubles.Broken.unexportable = "it looks at numbers"

        class TestIt(testing.BehaviorTests):
            specs = [doubles.Broken()]
        """
    )
    result = pytester.runpytest("-q", "-rs", "-p", "no:cacheprovider", "-k", "exports or finite")
    result.stdout.fnmatch_lines(["*Broken cannot be exported: it looks at numbers*"])
    assert result.parseoutcomes()["skipped"] == 1


def test_a_suite_without_an_operator_says_so(pytester):
    """Nothing to test is an error, not a green run."""
    pytester.makepyfile(
        test_it="""
        from lego import testing
        from lego.content.embedding import Embedding

        class TestIt(testing.ContentTests):
            operator = Embedding
        """
    )
    result = pytester.runpytest("-q", "-p", "no:cacheprovider")
    result.stdout.fnmatch_lines(["*TestIt has nothing to test: set `operator` or `specs`*"])
    assert result.ret != 0
