"""Numbers beyond accuracy, worked by hand and list by list."""

from __future__ import annotations

import math

import numpy as np
import pytest

from lego.metric import beyond
from lego.ragged import Ragged


def ragged(*lists):
    return Ragged.from_lengths(
        np.array([value for each in lists for value in each], np.int64),
        np.array([len(each) for each in lists]),
    )


CATEGORY = np.array([-1, 0, 0, 1, 1, -1])
"""Items 1 and 2 are of one category, 3 and 4 of another, 5 of none."""


def test_the_best_places():
    """The best k of each group, equal scores in their order; short groups give all they have, empty ones none."""
    groups = ragged([10, 11, 12], [], [13], [14, 15, 16, 17])
    scores = np.array([0.1, 0.9, 0.9, 0.0, 1.0, 3.0, 2.0, 3.0])
    found = beyond.best_places(scores, groups, 2)
    assert [found[at].tolist() for at in range(4)] == [[1, 2], [], [3], [5, 7]]


def test_diversity_is_the_mean_over_pairs():
    """Against every pair of every list; a zero vector is at distance 1; fewer than two items have none."""
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(20, 5)).astype(np.float32)
    vectors[[0, 7]] = 0
    lists = ragged([1, 2, 3, 4], [5, 7], [6], [], [9, 9])
    expected = []
    for at in range(5):
        pairs = []
        for one in range(len(lists[at])):
            for other in range(one):
                a, b = vectors[lists[at][one]], vectors[lists[at][other]]
                size = np.linalg.norm(a) * np.linalg.norm(b)
                pairs.append(1 - (a @ b / size if size else 0))
        expected.append(np.mean(pairs) if pairs else np.nan)
    np.testing.assert_allclose(beyond.diversity(lists, vectors), expected, atol=1e-6)


def test_categories_of_lists():
    """Two of one and two of another is a bit; a category alone none; items without one do not count."""
    lists = ragged([1, 2, 3, 4], [1, 2, 5], [5], [])
    np.testing.assert_allclose(beyond.entropy(lists, CATEGORY), [1, 0, np.nan, np.nan])
    np.testing.assert_allclose(beyond.covered(lists, CATEGORY), [1, 0.5, np.nan, np.nan])


def test_novelty_and_popularity():
    """Clicks 3, 1, 0: the chances are 4/7, 2/7 and 1/7; of three items one, two and none are clicked less often."""
    clicks = np.array([0, 3, 1, 0])
    lists = ragged([1], [2, 3], [])
    np.testing.assert_allclose(
        beyond.novelty(lists, clicks), [math.log2(7 / 4), (math.log2(7 / 2) + math.log2(7)) / 2, np.nan]
    )
    np.testing.assert_allclose(beyond.popularity(lists, clicks), [2.5 / 3, (1.5 + 0.5) / 6, np.nan])
    every = np.arange(1, 4)
    assert beyond.popularity(ragged(every), clicks)[0] == pytest.approx(0.5), (
        "a list of all items is like chance"
    )


def test_serendipity_is_of_clicks_unlike_the_history():
    """A clicked item at a right angle to the history counts 1, one like it 0, an unclicked one nothing."""
    vectors = np.array([[0, 0], [1, 0], [0, 2], [3, 0]], np.float32)
    lists = ragged([2, 3], [2, 3], [2])
    labels = np.array([1, 1, 0, 1, 1], bool)
    found = beyond.serendipity(lists, labels, ragged([1], [1], []), vectors)
    np.testing.assert_allclose(found, [0.5, 0.0, np.nan], atol=1e-12)


def test_calibration_compares_categories():
    """A list with the history's shares is calibrated; one without a category of it is far off, but not infinitely."""
    histories = ragged([1, 3], [1], [1], [], [1])
    lists = ragged([2, 4], [2], [3], [3], [5])
    far = math.log(1 / 0.01)
    np.testing.assert_allclose(
        beyond.miscalibration(lists, histories, CATEGORY), [0, 0, far, np.nan, np.nan], atol=1e-12
    )


def test_exposure_and_inequality():
    """Categories shown first get more than they have; lists of one item are uneven, lists of all even."""
    lists, candidates = ragged([1, 3]), ragged([1, 3])
    first, second = 1.0, 1 / math.log2(3)
    share = first / (first + second)
    assert beyond.exposure_gap(lists, candidates, CATEGORY) == pytest.approx(share - 0.5)
    assert math.isnan(beyond.exposure_gap(lists, candidates, np.full(6, -1)))
    among = np.arange(1, 5)
    assert beyond.gini(ragged([1, 2], [3, 4]), among) == pytest.approx(0)
    assert beyond.gini(ragged([1], [1]), among) == pytest.approx(0.75)
    assert beyond.catalog_share(ragged([1, 2], [2]), 4) == 0.5


def test_users_count_once():
    """The mean of each user's lists, then over users; lists without a number are left out."""
    values = np.array([1.0, 0.0, np.nan, 0.0])
    assert beyond.per_user(values, np.array([7, 7, 7, 2])) == 0.25
    assert math.isnan(beyond.per_user(np.full(2, np.nan), np.array([1, 2])))
