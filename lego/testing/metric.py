"""What holds for everything that measures a ranking."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from lego.metric.ranking import Ranking
from lego.testing.suite import SpecTests


class MetricTests(SpecTests):
    """Scores, labels and groups → one number. Scores are as a predictor gives them, before any sigmoid."""

    @pytest.fixture
    def rows(self) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
        """scores, labels and groups of 40 impressions with 2 to 12 candidates, ties among them, some of one class."""
        chance = np.random.default_rng(3)
        groups = np.repeat(np.arange(40), chance.integers(2, 13, 40))
        labels = (chance.random(len(groups)) < 0.3).astype(np.int8)
        labels[:2] = 0, 1
        scores = np.round(chance.normal(size=len(groups)) + labels, 1).astype(np.float32)
        return scores, labels, groups

    def test_name(self, spec: Any) -> None:
        """It is asked for and printed by a lower-case name without blanks."""
        assert spec.name
        assert spec.name == spec.name.lower()
        assert not any(letter.isspace() for letter in spec.name)

    def test_it_is_a_plain_number(self, spec: Any, rows: tuple[NDArray[Any], ...]) -> None:
        """A finite Python float, so that it goes into JSON."""
        value = spec.measure(Ranking(*rows))
        assert type(value) is float
        assert math.isfinite(value)

    def test_order_of_rows_does_not_matter(self, spec: Any, rows: tuple[NDArray[Any], ...]) -> None:
        """Rows in any order, of one group or of all, give the same value, ties included."""
        order = np.random.default_rng(4).permutation(len(rows[0]))
        found = spec.measure(Ranking(*(each[order] for each in rows)))
        assert found == pytest.approx(spec.measure(Ranking(*rows)), abs=1e-12)

    def test_names_of_groups_do_not_matter(self, spec: Any, rows: tuple[NDArray[Any], ...]) -> None:
        """Groups under other numbers give the same value."""
        scores, labels, groups = rows
        found = spec.measure(Ranking(scores, labels, 1000 - 7 * groups))
        assert found == pytest.approx(spec.measure(Ranking(*rows)), abs=1e-12)

    def test_right_beats_chance_beats_wrong(self, spec: Any, rows: tuple[NDArray[Any], ...]) -> None:
        """In its own direction, scores that follow the labels are best, and none are worse than scores that contradict them.

        Equal scores are between the two, or as bad as the worst where a metric counts a tie as lost.
        """
        _, labels, groups = rows
        sign = 1 if spec.larger_is_better else -1
        right = 4.0 * labels - 2.0
        best, middle, worst = (
            sign * spec.measure(Ranking(scores, labels, groups)) for scores in (right, 0.0 * right, -right)
        )
        assert best > middle >= worst

    def test_no_score_tells_more_than_equal_scores(self, spec: Any, rows: tuple[NDArray[Any], ...]) -> None:
        """A model that says the same of everything gains nothing by where the positives were stored."""
        _, labels, groups = rows
        first = np.lexsort([-labels, groups])
        last = np.lexsort([labels, groups])
        same = np.zeros(len(labels), np.float32)
        found = [spec.measure(Ranking(same, labels[order], groups[order])) for order in (first, last)]
        assert found[0] == pytest.approx(found[1], abs=1e-12)
