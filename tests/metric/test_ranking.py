from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lego.errors import DataError, SpecError
from lego.metric import ranking as module
from lego.metric.ranking import TIES, Ranking


def facts(ranking: Ranking) -> list[list[float]]:
    """All that a metric can read, in one comparable value."""
    hits = ranking.hits
    arrays = (ranking.ids, ranking.sizes, ranking.positives, ranking.wins)
    arrays += (hits.group, hits.before, hits.size, hits.positives, np.array([ranking.tied_groups]))
    return [each.tolist() for each in arrays]


def slow_facts(scores, labels, groups, ties) -> list[list[float]]:
    """The same, one group and one row at a time."""
    ids = sorted(set(groups))
    sizes, positives, wins, hits, tied = [], [], [], [], 0
    for place, each in enumerate(ids):
        rows = [
            (-s, y, -i, i)
            for i, (s, y, g) in enumerate(zip(scores, labels, groups, strict=True))
            if g == each
        ]
        order = {"argsort": (0, 2), "stable": (0, 3), "pessimistic": (0, 1), "optimistic": (0, 1)}.get(
            ties, (0,)
        )
        sign = -1 if ties == "optimistic" else 1
        rows.sort(key=lambda row: tuple(row[at] * (sign if at == 1 else 1) for at in order))
        values = [row[0] for row in rows]
        sizes.append(len(rows))
        positives.append(sum(row[1] for row in rows))
        tied += len(set(values)) < len(values)
        half = {"pessimistic": 0.0, "optimistic": 1.0}.get(ties, 0.5)
        better = [(a[0] < b[0]) + half * (a[0] == b[0]) for a in rows for b in rows if a[1] and not b[1]]
        wins.append(float(sum(better)))
        if ties == "average":
            for value in sorted(set(values)):
                run = [row for row in rows if row[0] == value]
                if any(row[1] for row in run):
                    hits.append((place, values.index(value), len(run), sum(row[1] for row in run)))
        else:
            hits += [(place, at, 1, 1) for at, row in enumerate(rows) if row[1]]
    columns = [list(column) for column in zip(*hits, strict=True)] or [[], [], [], []]
    return [ids, sizes, positives, wins, *columns, [tied]]


tables = st.lists(
    st.tuples(
        st.sampled_from([-1.5, -0.25, -0.0, 0.0, 1e-40, 0.5, 3.0, 3e38]),
        st.integers(0, 1),
        st.sampled_from([-(2**62), -3, 0, 1, 2, 2**62]) | st.integers(0, 3),
    ),
    min_size=1,
    max_size=30,
)


@settings(max_examples=150, deadline=None)
@given(
    rows=tables, ties=st.sampled_from(TIES), kind=st.sampled_from(["float32", "float64", "float64 in full"])
)
def test_facts_are_those_of_the_slow_way(rows, ties, kind):
    """Sizes, positives, right pairs, runs and ties are what looking at every row gives, for any group ids and both widths."""
    scores, labels, groups = zip(*rows, strict=True)
    scale = 0.1 if kind == "float64 in full" else 1.0  # tenths are no float32, so the ranks are sorted
    given_scores = np.array(scores, "float32" if kind == "float32" else "float64") * np.array(scale, kind[:7])
    made = Ranking(given_scores, np.array(labels), np.array(groups), ties=ties)
    assert facts(made) == slow_facts(given_scores.tolist(), labels, groups, ties)


@settings(max_examples=60, deadline=None)
@given(rows=tables, ties=st.sampled_from(TIES))
@example(rows=[(0.0, 1, 0), (0.0, 0, 0), (0.0, 0, 0)], ties="argsort")
def test_the_wide_key_agrees_with_the_packed_one(rows, ties):
    """Where the key does not fit into 64 bits, the slower sort gives the same."""
    scores, labels, groups = (np.array(column) for column in zip(*rows, strict=True))
    packed = facts(Ranking(scores, labels, groups, ties=ties))
    with pytest.MonkeyPatch.context() as patch:
        original = module._descending
        patch.setattr(module, "_descending", lambda values: (original(values)[0], 64))
        assert facts(Ranking(scores, labels, groups, ties=ties)) == packed


@settings(max_examples=60, deadline=None)
@given(rows=tables, ties=st.sampled_from(["average", "pessimistic", "optimistic"]), seed=st.integers(0, 99))
def test_row_order_does_not_count(rows, ties, seed):
    """The order of the rows changes nothing, unless the rule is about that order."""
    scores, labels, groups = (np.array(column) for column in zip(*rows, strict=True))
    order = np.random.default_rng(seed).permutation(len(scores))
    shuffled = Ranking(scores[order], labels[order], groups[order], ties=ties)
    assert facts(shuffled) == facts(Ranking(scores, labels, groups, ties=ties))


@pytest.mark.parametrize("ties", TIES)
def test_offsets_say_the_same_as_ids(ties):
    """Contiguous groups may be given by offsets; an empty group is a group without a positive."""
    rng = np.random.default_rng(0)
    lengths = np.array([3, 0, 5, 1, 0])
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    scores, labels = rng.integers(0, 3, 9).astype(np.float32), rng.integers(0, 2, 9)
    by_offsets = Ranking(scores, labels, offsets=offsets, ties=ties)
    by_ids = Ranking(scores, labels, np.repeat(np.arange(5), lengths), ties=ties)
    full = lengths > 0
    assert by_offsets.wins[full].tolist() == by_ids.wins.tolist()
    assert by_offsets.hits.group.tolist() == np.flatnonzero(full)[by_ids.hits.group].tolist()
    assert by_offsets.hits.before.tolist() == by_ids.hits.before.tolist()
    assert by_offsets.groups == 5
    assert by_offsets.without_positive == by_ids.without_positive + 2
    assert by_offsets.tied_groups == by_ids.tied_groups


def test_counts_of_groups():
    """Groups of one class are counted by what they lack."""
    made = Ranking(np.arange(7.0), [1, 1, 0, 0, 0, 1, 0], [5, 5, 6, 6, 9, 9, 9])
    assert (made.pairs, made.groups, made.without_positive, made.single_class) == (7, 3, 1, 2)
    assert made.ids.tolist() == [5, 6, 9]


def test_tie_rate_is_the_share_of_groups_with_a_tie():
    """Equal scores count inside a group, once a group, and not across groups."""
    made = Ranking([1.0, 1.0, 1.0, 1.0, 2.0, 2.0, 3.0, 0.0], [0] * 8, [0, 0, 0, 1, 1, 2, 2, 3])
    assert made.tie_rate == 0.25


def test_half_precision_and_whole_numbers_are_scores():
    """float16 and integers are widened without loss."""
    for kind in (np.float16, np.int64, np.bool_):
        made = Ranking(np.array([0, 1, 1], kind), np.array([1.0, 0.0, 0.0], np.float32), [0, 0, 0])
        assert made.hits.before.tolist() == [2]


def test_bad_scores_and_labels_are_refused_together():
    """NaN, infinities and strange labels are reported at once, with the first rows."""
    scores = [0.0, float("nan"), float("inf"), 1.0]
    with pytest.raises(DataError) as caught:
        Ranking(scores, [0, 1, 2, -1], [0, 0, 0, 0])
    assert len(caught.value.problems) == 2
    assert "2 of 4 are not finite (row 1: nan, row 2: inf)" in str(caught.value)
    assert "2 of 4 are neither 0 nor 1 (row 2: 2, row 3: -1)" in str(caught.value)


def test_a_long_list_of_bad_rows_is_cut():
    """At most five rows are listed."""
    with pytest.raises(DataError, match=r"row 4: nan, …\)"):
        Ranking(np.full(9, np.nan), np.zeros(9), np.zeros(9, int))


@pytest.mark.parametrize(
    ("scores", "labels", "kwargs", "message"),
    [
        ([], [], {"groups": []}, "no rows"),
        ([1.0], [1, 0], {"groups": [0]}, r"shape \(1,\), labels \(2,\)"),
        ([[1.0]], [[1]], {"groups": [[0]]}, r"shape \(1, 1\)"),
        (["a"], [1], {"groups": [0]}, "of type"),
        ([1.0], [1], {"groups": [0, 1]}, "one whole number for each score"),
        ([1.0], [1], {"groups": [0.0]}, "one whole number for each score"),
        ([1.0], [1], {"offsets": [0, 2]}, "rise from 0 to 1"),
        ([1.0, 2.0], [1, 0], {"offsets": [0, 2, 1, 2]}, "rise from 0 to 2"),
        ([1.0], [1], {"offsets": [0.0, 1.0]}, "rise from 0 to 1"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(scores, labels, kwargs, message):
    """What is wrong with the arrays is said, with the way out."""
    with pytest.raises(DataError, match=message):
        Ranking(scores, labels, **kwargs)


def test_options_that_do_not_fit_are_refused():
    """An unknown tie rule, and both or none of groups and offsets, are errors."""
    with pytest.raises(SpecError, match="ties must be one of 'average', 'argsort'"):
        Ranking([1.0], [1], [0], ties="random")
    for kwargs in ({}, {"groups": [0], "offsets": [0, 1]}):
        with pytest.raises(SpecError, match="groups or offsets"):
            Ranking([1.0], [1], **kwargs)


def test_input_is_left_alone():
    """Building and measuring write into nothing that was given."""
    scores, labels, groups = np.array([2.0, -0.0, 1.0]), np.array([0, 1, 0], np.int8), np.array([1, 1, 0])
    for each in (scores, labels, groups):
        each.setflags(write=False)
    Ranking(scores, labels, groups, ties="argsort")
    assert np.signbit(scores[1])
