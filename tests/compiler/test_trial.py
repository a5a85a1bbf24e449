from __future__ import annotations

import re

import pytest
import torch
from torch import nn

from lego import Dot, Mean, Recommender, catalog
from lego.compiler.trial import trial
from lego.contract import Out
from lego.errors import SpecError
from lego.spec import Behavior, Predictor, operator


class _Wrong(nn.Module):
    def __init__(self, how):
        super().__init__()
        self.how = how

    def forward(self, history, mask, needs):
        mean = history.mean(1)
        return {
            "bare": lambda: mean,
            "narrow": lambda: Out(mean[:, :3]),
            "nan": lambda: Out(history.sum(1) * 0 / mask.sum(1, keepdim=True)),
            "raises": lambda: Out(mean @ torch.ones(3, 3)),
        }[self.how]()


@operator
class Wrong(Behavior):
    """Gives what it should not."""

    how: str = "bare"

    def build(self, context):
        return _Wrong(self.how)


@operator
class Unbuilt(Behavior):
    """Has no torch."""


class _Flat(nn.Module):
    def forward(self, user, candidates, candidate_mask, needs):
        return candidates.sum()


@operator
class Flat(Predictor):
    """Gives one number for all candidates."""

    def build(self, context):
        return _Flat()


class Undecorated(Behavior):
    """Lacks the decorator."""


@pytest.mark.parametrize(
    ("behavior", "what"),
    [
        (Wrong(), "gives a Tensor"),
        (Wrong(how="narrow"), r"shape \(2, 3\), where \(2, 16\)"),
        (Wrong(how="nan"), "without history"),
        (Wrong(how="raises"), "RuntimeError"),
        (Unbuilt(), "no build"),
    ],
)
def test_an_operator_that_is_wrong_is_named(behavior, what):
    """What a behavior operator does wrong is one problem, with its own expression as the place."""
    (problem,) = trial(Recommender(Mean(), behavior, Dot(), width=16))
    assert problem.where == f"behavior={behavior!r}"
    assert re.search(what, problem.what)


def test_scores_of_another_shape_are_named():
    """A predictor gives a score a candidate."""
    (problem,) = trial(Recommender(Mean(), Mean(), Flat(), width=16))
    assert problem.where == "predictor=Flat()"
    assert "(2, 4)" in problem.what


def test_a_class_without_the_decorator_says_so():
    """The missing line is told where the class is made."""
    with pytest.raises(SpecError, match="write @operator"):
        Undecorated()


def test_every_built_in_that_fits_passes():
    """No built-in operator is refused, and torch's own generator stands as it stood."""
    behaviors = [
        each for name in catalog.names("behavior") for each in catalog.load("behavior", name).examples()
    ]
    predictors = [
        each for name in catalog.names("predictor") for each in catalog.load("predictor", name).examples()
    ]
    state, tried = torch.get_rng_state(), 0
    for behavior in behaviors:
        for predictor in predictors:
            if behavior.gives in predictor.takes:
                assert list(trial(Recommender(Mean(), behavior, predictor, width=16))) == []
                tried += 1
    assert tried > 20
    assert torch.equal(torch.get_rng_state(), state)
