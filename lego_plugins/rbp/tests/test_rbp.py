"""The plugin as its author tests it: the conformance suite, and the formula over all orders of ties."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

from lego import catalog
from lego.errors import SpecError
from lego.metric.ranking import Ranking
from lego.testing import MetricTests

pytest.importorskip("legorec_rbp", reason="the plugin is not installed: pip install -e lego_plugins/rbp")

from legorec_rbp import RBP


class TestRBP(MetricTests):
    """What holds for every metric."""

    operator = RBP


def plain(p, labels):
    """Of one list in order: (1 - p) times the sum of p to the places of positives."""
    return (1 - p) * sum(p**place for place, label in enumerate(labels) if label)


@pytest.mark.parametrize("p", [0.3, 0.8, 0.95])
def test_it_is_the_mean_over_the_orders_of_ties(p):
    """Groups of up to six with many ties: the expectation over every order that the scores admit."""
    chance = np.random.default_rng(2)
    for _ in range(20):
        count = int(chance.integers(2, 7))
        scores, labels = chance.integers(0, 3, count).astype(float), chance.integers(0, 2, count)
        labels[0] = 1
        orders = [each for each in permutations(range(count)) if (np.diff(scores[list(each)]) <= 0).all()]
        wanted = np.mean([plain(p, labels[list(each)]) for each in orders])
        assert RBP(p).measure(Ranking(scores, labels, np.zeros(count, np.int64))) == pytest.approx(wanted)


def test_groups_without_a_positive_are_left_out():
    """They say nothing of the model."""
    ranking = Ranking([0.9, 0.1, 0.5, 0.4], [1, 0, 0, 0], [0, 0, 1, 1])
    assert RBP(0.5).measure(ranking) == 0.5
    assert np.isnan(RBP(0.5).values(ranking)).tolist() == [False, True]


def test_a_persistence_that_is_none_is_refused():
    """Who never goes on, or never stops, is no reader."""
    for p in (0.0, 1.0, -0.2):
        with pytest.raises(SpecError, match="p must be"):
            RBP(p)


def test_it_is_asked_for_by_name():
    """`rbp@0.8` in an experiment is the metric, and its name."""
    if "RBP" not in {entry.name for entry in catalog.entries("metric")}:
        pytest.skip("the plugin is on the path, and not installed")
    from lego.metric.parse import parse_metric

    assert parse_metric("rbp@0.8") == RBP(0.8)
    assert parse_metric(RBP(0.95).name) == RBP(0.95)
