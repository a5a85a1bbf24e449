"""What stands beside a positive, and how often."""

from __future__ import annotations

import tracemalloc
from collections import Counter

import attrs
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from lego.contract import Candidates
from lego.data.sampling import WIDEST, Rows, beside, draw
from lego.data.store import Impressions, Users
from lego.errors import SpecError
from lego.ragged import Ragged

Shown = list[tuple[int, list[int], list[int]]]
"""Impressions in the order of a part: user, clicked, not clicked."""


def ragged(rows: list[list[int]]) -> Ragged:
    return Ragged.from_lengths(
        np.array([each for row in rows for each in row], np.int32), np.array([len(r) for r in rows])
    )


def part(shown: Shown, histories: list[list[int]]) -> tuple[Impressions, Users]:
    """Impressions whose history is the user's whole list; positives stand last, so that no place gives them away."""
    history = ragged(histories)
    user = np.array([user for user, _, _ in shown], np.int32)
    candidates = [negatives + positives for _, positives, negatives in shown]
    labels = [[0] * len(negatives) + [1] * len(positives) for _, positives, negatives in shown]
    impressions = Impressions(
        impression=np.arange(len(shown), dtype=np.int64),
        user=user,
        start=history.offsets[user],
        stop=history.offsets[user + 1],
        time=None,
        candidates=ragged(candidates),
        labels=np.array([each for row in labels for each in row], np.int8),
    )
    return impressions, Users(
        user_ids=pa.array([f"u{n}" for n in range(len(histories))]), history=history, times=None
    )


def rows_of(shown: Shown, histories: list[list[int]], items: int, seed: int = 0, **want: object) -> Rows:
    impressions, users = part(shown, histories)
    return draw(impressions, Candidates(**want), users, items, np.random.default_rng(seed))


def split_row(rows: Rows, row: int) -> tuple[list[int], list[int]]:
    items, labels = rows.items[row], rows.labels[row]
    return items[labels == 1].tolist(), items[(labels == 0) & (items > 0)].tolist()


@st.composite
def worlds(draw_: st.DrawFn) -> tuple[Shown, list[list[int]], int]:
    """A few users and impressions over a handful of items, candidates distinct within an impression."""
    items = draw_(st.integers(1, 12))
    item = st.integers(1, items)
    histories = draw_(st.lists(st.lists(item, max_size=4), min_size=1, max_size=4))
    shown = []
    for _ in range(draw_(st.integers(1, 6))):
        candidates = draw_(st.lists(item, unique=True, max_size=items))
        cut = draw_(st.integers(0, len(candidates)))
        shown.append((draw_(st.integers(0, len(histories) - 1)), candidates[:cut], candidates[cut:]))
    return shown, histories, items


def allowed(
    source: str,
    shown: Shown,
    histories: list[list[int]],
    items: int,
    impression: int,
    exclude: str = "history",
) -> set[int]:
    """The slow, obvious answer to what may stand beside a positive of this impression."""
    user = shown[impression][0]
    clicked = {item for owner, positives, _ in shown if owner == user for item in positives}
    if exclude == "history":
        clicked |= set(histories[user])
    if source == "impression":
        return set(shown[impression][2])
    if source == "user":
        return {item for owner, _, negatives in shown if owner == user for item in negatives} - clicked
    if source == "uniform":
        return set(range(1, items + 1)) - clicked
    return {item for _, positives, _ in shown for item in positives} - clicked


@pytest.mark.parametrize("source", ["impression", "user", "uniform", "popularity"])
@pytest.mark.parametrize("exclude", ["history", "positives"])
@given(world=worlds(), negatives=st.integers(1, 5), seed=st.integers(0, 2**32))
@settings(max_examples=40, deadline=None)
def test_each_positive_has_as_many_different_allowed_negatives_as_there_are(
    source: str, exclude: str, world: tuple[Shown, list[list[int]], int], negatives: int, seed: int
) -> None:
    """Each positive has one row with min(K, available) different negatives, all from where they may come from."""
    shown, histories, items = world
    rows = rows_of(shown, histories, items, seed, negatives=negatives, source=source, exclude=exclude)
    expected = []
    for impression, (_, positives, _) in enumerate(shown):
        if may := allowed(source, shown, histories, items, impression, exclude):
            expected += [(impression, positive, min(negatives, len(may))) for positive in positives]
    got = []
    for row, impression in enumerate(rows.impression.tolist()):
        positives, beside = split_row(rows, row)
        assert len(positives) == 1
        assert len(set(beside)) == len(beside)
        assert set(beside) <= allowed(source, shown, histories, items, impression, exclude)
        got.append((impression, positives[0], len(beside)))
    assert got == expected
    with_row = len(set(rows.impression.tolist()))
    assert sum(rows.left_out.values()) == len(shown) - with_row
    assert rows.left_out["impressions without a click"] == sum(not positives for _, positives, _ in shown)


def slowly(shown: Shown, negatives: int, seed: int) -> tuple[list[int], list[list[int]]]:
    """Impressions and candidates of the rows: one item after the other drawn out of a list of those that are left."""
    positives, left = [], []
    for impression, (_, clicked, others) in enumerate(shown):
        once = [each for each in dict.fromkeys([*others, *clicked]) if each in clicked]
        positives += [(impression, each) for each in once]
        left += [[each for each in dict.fromkeys(others) if each not in once] for _ in once]
    rows = [[positive] for _, positive in positives]
    generator = np.random.default_rng(seed)
    for _ in range(negatives):
        for row, point in enumerate(generator.integers(0, [max(len(each), 1) for each in left]).tolist()):
            if left[row]:
                rows[row].append(left[row].pop(point))
    kept = [place for place, row in enumerate(rows) if len(row) > 1]
    return [positives[place][0] for place in kept], [rows[place] for place in kept]


@pytest.mark.parametrize("together", [1, 2, 1 << 13])
@given(data=st.data(), negatives=st.integers(1, 5), seed=st.integers(0, 2**32))
@settings(max_examples=40, deadline=None)
def test_negatives_of_an_impression_are_those_of_a_slow_draw(
    together: int, data: st.DataObject, negatives: int, seed: int
) -> None:
    """However many impressions are looked at together, and where candidates are repeated."""
    item = st.integers(1, 6)
    lists = st.lists(item, max_size=7)
    shown = data.draw(st.lists(st.tuples(st.just(0), lists, lists), min_size=1, max_size=7))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lego.data.sampling._TOGETHER", together)
        rows = rows_of(shown, [[]], 6, seed, negatives=negatives)
    impressions, items = slowly(shown, negatives, seed)
    assert rows.impression.tolist() == impressions
    assert [[each for each in row if each] for row in rows.items.tolist()] == items


@pytest.mark.parametrize("source", ["user", "uniform", "popularity"])
@given(world=worlds(), negatives=st.integers(1, 5), seed=st.integers(0, 2**32))
@settings(max_examples=40, deadline=None)
def test_negatives_from_elsewhere_are_those_of_a_slow_draw(
    source: str, world: tuple[Shown, list[list[int]], int], negatives: int, seed: int
) -> None:
    """Turn by turn a point on what is left of each row's items, as wide as they weigh, however many rows at a time."""
    shown, histories, items = world
    clicks = Counter(item for _, positives, _ in shown for item in positives)
    rows, left = [], []
    for impression, (_, positives, _) in enumerate(shown):
        may = sorted(allowed(source, shown, histories, items, impression))
        for positive in positives:
            rows.append([positive])
            left.append([each for each in may for _ in range(clicks[each] if source == "popularity" else 1)])
    generator = np.random.default_rng(seed)
    for _ in range(negatives if rows else 0):
        points = generator.integers(0, [max(len(each), 1) for each in left]).tolist()
        for row, point in enumerate(points):
            if left[row]:
                drawn = left[row][point]
                rows[row].append(drawn)
                left[row] = [each for each in left[row] if each != drawn]
    expected = [row for row in rows if len(row) > 1]
    for together, many in ((1, 1), (2, 3), (1 << 13, 1 << 16)):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("lego.data.sampling._TOGETHER", together)
            patch.setattr("lego.data.sampling._MANY", many)
            found = rows_of(shown, histories, items, seed, negatives=negatives, source=source)
        assert [[each for each in row if each] for row in found.items.tolist()] == expected


@pytest.mark.parametrize(
    "want",
    [
        {"negatives": None},
        {"negatives": None, "source": "batch"},
        {"negatives": 2, "source": "impression", "correction": "rate"},
        {"negatives": 3, "source": "batch", "correction": "frequency"},
    ],
)
@given(world=worlds(), seed=st.integers(0, 2**32))
@settings(max_examples=30, deadline=None)
def test_pieces_do_not_change_rows(
    want: dict[str, object], world: tuple[Shown, list[list[int]], int], seed: int
) -> None:
    """However many impressions and rows are looked at together, an epoch is the same."""
    shown, histories, items = world
    found = []
    for together, many in ((1 << 13, 1 << 16), (1, 1), (3, 2)):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("lego.data.sampling._TOGETHER", together)
            patch.setattr("lego.data.sampling._MANY", many)
            found.append(rows_of(shown, histories, items, seed, **want))
    for other in found[1:]:
        for name in ("impression", "items", "labels", "offsets"):
            np.testing.assert_array_equal(getattr(other, name), getattr(found[0], name))
        assert other.left_out == found[0].left_out
        if other.shared is not None:
            assert found[0].shared is not None
            np.testing.assert_array_equal(other.shared.taken.items, found[0].shared.taken.items)
            np.testing.assert_array_equal(other.shared.taken.offsets, found[0].shared.taken.offsets)


@pytest.mark.parametrize(
    ("want", "most"),
    [
        ({"negatives": 4}, 50),
        ({"negatives": 4, "source": "uniform"}, 100),
        ({"negatives": 4, "source": "popularity"}, 100),
        ({"negatives": None, "source": "batch"}, 60),
        ({"negatives": None}, 90),
    ],
)
def test_drawing_takes_little_more_memory_than_what_is_drawn(
    monkeypatch: pytest.MonkeyPatch, want: dict[str, object], most: int
) -> None:
    """Beside the rows there is nothing as long as the candidates are many; bytes for each of the rows, of fifteen candidates."""
    monkeypatch.setattr("lego.data.sampling._TOGETHER", 32)
    monkeypatch.setattr("lego.data.sampling._MANY", 64)
    shown: Shown = [(n % 50, [n % 40 + 1], list(range(50, 64))) for n in range(4000)]
    impressions, users = part(shown, [[]] * 50)
    tracemalloc.start()
    rows = draw(impressions, Candidates(**want), users, 64, np.random.default_rng(0))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(rows) >= 4000
    assert peak / len(rows) < most


@given(world=worlds(), seed=st.integers(0, 2**32))
@settings(max_examples=60, deadline=None)
def test_without_a_number_every_pair_comes_once(world: tuple[Shown, list[list[int]], int], seed: int) -> None:
    """Every candidate of every impression is in exactly one row with its label, and rows are short and even."""
    shown, histories, _ = world
    wide = [(user, positives, list(range(100, 100 + 3 * n))) for n, (user, positives, _) in enumerate(shown)]
    rows = rows_of(wide, histories, 200, seed, negatives=None)
    pairs: Counter[tuple[int, int, float]] = Counter()
    sizes: dict[int, list[int]] = {}
    for impression, row, labels in zip(rows.impression.tolist(), rows.items, rows.labels, strict=True):
        real = row > 0
        assert not (np.diff(real.astype(int)) > 0).any()
        assert 0 < real.sum() <= WIDEST
        sizes.setdefault(impression, []).append(int(real.sum()))
        pairs.update(
            (impression, int(item), float(label)) for item, label in zip(row[real], labels[real], strict=True)
        )
    assert all(max(each) - min(each) <= 1 for each in sizes.values())
    expected = [
        (impression, item, label)
        for impression, (_, positives, negatives) in enumerate(wide)
        for label, group in ((1.0, positives), (0.0, negatives))
        for item in group
    ]
    assert pairs == Counter(expected)
    assert rows.left_out == {"impressions without candidates": len(shown) - len(sizes)}


def test_dealing_is_random() -> None:
    """A candidate's place in its impression does not decide which candidates it meets."""
    shown = [(0, [1], list(range(2, 17)))] * 400
    rows = rows_of(shown, [[]], 16, negatives=None)
    beside = Counter(int(item) for row in rows.items if 1 in row for item in row if item not in (0, 1))
    assert chisquare([beside[item] for item in range(2, 17)]).pvalue > 0.001


@pytest.mark.parametrize("source", ["impression", "user", "uniform"])
def test_negatives_are_uniform(source: str) -> None:
    """Every allowed negative, and every pair of them, is drawn equally often."""
    shown: Shown = [(0, [3], [1, 2, 4, 6, 7])] * 6000
    rows = rows_of(shown, [[5]], 7, seed=1, negatives=2, source=source)
    drawn = np.sort(rows.items[:, 1:], axis=1)
    singles, pairs = Counter(drawn.ravel().tolist()), Counter(map(tuple, drawn.tolist()))
    assert sorted(singles) == [1, 2, 4, 6, 7]
    assert len(pairs) == 10
    assert chisquare(list(singles.values())).pvalue > 0.001
    assert chisquare(list(pairs.values())).pvalue > 0.001


def test_popular_items_are_drawn_in_proportion_to_their_clicks() -> None:
    """The first draw follows the clicks of the part, the second follows them among what is left."""
    clicks = {1: 1, 2: 2, 3: 3, 4: 10, 6: 4}
    others: Shown = [(1, [item], []) for item, count in clicks.items() for _ in range(count)]
    shown: Shown = [*others, *[(0, [5], [])] * 8000]
    rows = rows_of(shown, [[4], []], 9, seed=2, negatives=2, source="popularity")
    drawn = rows.items[rows.impression >= len(others), 1:]
    weight = {item: count for item, count in clicks.items() if item != 4}
    total = sum(weight.values())
    order = [(first, second) for first in weight for second in weight if first != second]
    expected = [weight[a] / total * weight[b] / (total - weight[a]) * len(drawn) for a, b in order]
    counts = Counter(map(tuple, drawn.tolist()))
    assert set(counts) <= set(order)
    assert chisquare([counts[pair] for pair in order], expected).pvalue > 0.001


@pytest.mark.parametrize("source", ["impression", "user", "uniform", "popularity"])
def test_a_repeated_candidate_counts_once(source: str) -> None:
    """A log that shows an item twice gives one row for it if it was clicked, and never the item beside itself."""
    shown: Shown = [(0, [1, 1], [1, 2, 2, 3]), (1, [2, 3], [])]
    for seed in range(20):
        rows = rows_of(shown, [[], []], 3, seed, negatives=3, source=source)
        row = rows.items[rows.impression == 0]
        assert np.sort(row).tolist() == [[0, 1, 2, 3]]
        assert row[0, 0] == 1


def test_a_repeated_candidate_is_dealt_once() -> None:
    """Each pair is in one row, clicked if it ever was."""
    rows = rows_of([(0, [1, 1], [1, 2, 2])], [[]], 3, negatives=None)
    assert sorted(zip(rows.items[0].tolist(), rows.labels[0].tolist(), strict=True)) == [(1, 1.0), (2, 0.0)]


def test_clicks_after_the_part_do_not_decide_negatives() -> None:
    """An item the user takes later, in the test part, is still a negative: leaving it out would tell training about the test."""
    impressions, users = part([(0, [1], [2])], [[3, 4]])
    earlier = Impressions(
        impression=impressions.impression,
        user=impressions.user,
        start=impressions.start,
        stop=impressions.stop - 1,
        time=None,
        candidates=impressions.candidates,
        labels=impressions.labels,
    )
    rows = draw(earlier, Candidates(negatives=9, source="uniform"), users, 4, np.random.default_rng(0))
    assert sorted(rows.items[0, 1:3].tolist()) == [2, 4]


def test_history_cut_for_the_model_is_still_excluded() -> None:
    """Items that `recent` cuts off the history were clicked all the same."""
    impressions, users = part([(0, [1], [2])], [[3, 4, 5]])
    rows = draw(
        impressions.recent(1), Candidates(negatives=9, source="uniform"), users, 6, np.random.default_rng(0)
    )
    assert sorted(rows.items[0, 1:3].tolist()) == [2, 6]
    assert not rows.items[0, 3:].any()


@pytest.mark.parametrize("source", ["user", "uniform", "popularity", "batch"])
def test_all_rows_of_a_user_id_are_one_user(source: str) -> None:
    """What a user clicked in one row is no negative in another row of the id, and what was not clicked there may be one."""
    shown: Shown = [(0, [1], [2, 7]), (1, [2], [3, 8]), (2, [3], [1, 9]), (3, [4], [5])]
    impressions, users = part(shown, [[5], [6], [], []])
    users = attrs.evolve(users, user_ids=pa.array(["same", "same", "same", "other"]))
    want = Candidates(negatives=9, source=source)
    rows = draw(impressions, want, users, 9, np.random.default_rng(0))
    items = rows.items
    if rows.shared is not None:
        items = beside(rows.shared, items[:, 0].astype(np.int64), impressions.user.astype(np.int64))
    may = {"user": {7, 8, 9}, "uniform": {4, 7, 8, 9}, "popularity": {4}, "batch": {4}}[source]
    for row in range(3):
        assert set(items[row, 1:].tolist()) - {0} == may


def test_a_draw_ends_where_nearly_everything_is_clicked() -> None:
    """A user who clicked all items but one gets that one, one who clicked all gets no row."""
    shown: Shown = [(0, [1], [2]), (1, [1], [2])]
    rows = rows_of(shown, [list(range(2, 5000)), list(range(2, 5001))], 5000, negatives=3, source="uniform")
    assert rows.items.tolist() == [[1, 5000, 0, 0]]
    assert rows.left_out == {"impressions without a click": 0, "impressions without negatives": 1}


@pytest.mark.parametrize(
    "want", [{"negatives": 2, "source": "popularity"}, {"negatives": 3}, {"negatives": None}]
)
def test_the_same_generator_gives_the_same_rows(want: dict[str, object]) -> None:
    """Rows depend on the generator's state and on nothing else; another state gives others."""
    shown: Shown = [(user, [user + 1, 9], list(range(10, 30))) for user in range(5)]
    first, again, other = (rows_of(shown, [[]] * 5, 40, seed, **want) for seed in (3, 3, 4))
    assert np.array_equal(first.items, again.items)
    assert np.array_equal(first.labels, again.labels)
    assert not np.array_equal(first.items, other.items)


def test_many_users_and_items_do_not_overflow() -> None:
    """Users times items may exceed 32 bits."""
    last = 29_999
    shown: Shown = [(last, [1], [2])] * 50
    histories: list[list[int]] = [*([] for _ in range(last)), list(range(2, 99_999))]
    rows = rows_of(shown, histories, 100_000, negatives=3, source="uniform")
    assert np.sort(rows.items[:, 1:]).tolist() == [[0, 99_999, 100_000]] * 50


def test_inputs_are_never_written() -> None:
    """Drawing works on arrays that cannot be written to, as those of a memory-mapped store."""
    impressions, users = part([(0, [1], [2, 3]), (1, [3], [1])], [[4], []])
    for array in (
        impressions.candidates.values,
        impressions.labels,
        users.history.values,
        impressions.stop,
        impressions.user,
    ):
        array.flags.writeable = False
    for source in ("impression", "user", "uniform", "popularity"):
        draw(impressions, Candidates(negatives=2, source=source), users, 5, np.random.default_rng(0))
    draw(impressions, Candidates(negatives=None), users, 5, np.random.default_rng(0))


def test_an_unknown_source_is_refused() -> None:
    """The error lists the sources that exist."""
    with pytest.raises(SpecError, match="'impression', 'user', 'uniform', 'popularity'"):
        rows_of([(0, [1], [2])], [[]], 3, negatives=1, source="impresion")


@pytest.mark.parametrize("source", ["user", "uniform", "popularity"])
def test_items_of_the_history_may_be_negatives_where_only_positives_are_excluded(source: str) -> None:
    """What was clicked long ago may stand beside a click of today; what was clicked in the part may not."""
    shown: Shown = [(0, [1], [3]), (0, [2], [3]), (1, [3], [1])]
    for exclude, wanted in (("history", set()), ("positives", {3})):
        rows = rows_of(shown, [[3], []], 3, negatives=9, source=source, exclude=exclude)
        mine = rows.impression < 2
        assert {int(item) for item in rows.items[mine][rows.labels[mine] == 0] if item} == wanted


def test_what_may_be_excluded_is_listed() -> None:
    """A slip is told, and the words there are."""
    with pytest.raises(SpecError, match="'positives', 'history'"):
        rows_of([(0, [1], [2])], [[]], 3, negatives=1, source="uniform", exclude="seen")


# --- in a batch ---------------------------------------------------------------------------------------------------------------


@given(
    world=worlds(),
    negatives=st.one_of(st.none(), st.integers(1, 3)),
    exclude=st.sampled_from(["positives", "history"]),
    seed=st.integers(0, 2**32),
)
@settings(max_examples=120, deadline=None)
def test_rows_of_a_batch_are_each_other_s_negatives(
    world: tuple[Shown, list[list[int]], int], negatives: int | None, exclude: str, seed: int
) -> None:
    """Each row has its positive first, then the batch's other positives but those its user clicked, each once, or K of them."""
    shown, histories, items = world
    rows = rows_of(shown, histories, items, negatives=negatives, source="batch", exclude=exclude)
    assert rows.items.tolist() == [[item] for _, positives, _ in shown for item in positives]
    if not len(rows):
        return
    order = np.random.default_rng(seed).permutation(len(rows))[:4]
    user = np.array([shown[each][0] for each in rows.impression[order]])
    positives = rows.items[order, 0].astype(np.int64)
    assert rows.shared is not None
    found = beside(rows.shared, positives, user)
    for row, (positive, owner) in enumerate(zip(positives.tolist(), user.tolist(), strict=True)):
        own = {item for other, clicked, _ in shown if other == owner for item in clicked}
        own |= set(histories[owner]) if exclude == "history" else set()
        may = set(positives.tolist()) - own
        real = [item for item in found[row].tolist() if item]
        assert found[row, : len(real)].tolist() == real
        assert real[0] == positive
        assert len(set(real)) == len(real)
        assert set(real[1:]) <= may
        assert len(real) - 1 == min(len(may), len(may) if negatives is None else negatives)


def test_some_negatives_of_a_batch_are_drawn_alike() -> None:
    """Over batches in random order, each other item of the batch is taken equally often."""
    shown: Shown = [(user, [user + 1], []) for user in range(5)]
    rows = rows_of(shown, [[]] * 5, 5, negatives=2, source="batch")
    generator = np.random.default_rng(0)
    counts: Counter[int] = Counter()
    assert rows.shared is not None
    for _ in range(2000):
        order = generator.permutation(5)
        found = beside(rows.shared, rows.items[order, 0].astype(np.int64), order)
        counts.update(found[order == 0, 1:].ravel().tolist())
    assert sorted(counts) == [2, 3, 4, 5]
    assert chisquare(list(counts.values())).pvalue > 0.001


def test_frequencies_are_what_batches_hold() -> None:
    """The offset of an item is minus the log of its share of the clicks; items never clicked, and row 0, have none."""
    shown: Shown = [(0, [1], [3]), (1, [1], []), (2, [1, 2], [4])]
    for source in ("batch", "popularity"):
        rows = rows_of(shown, [[]] * 3, 4, negatives=2, source=source, correction="frequency")
        assert rows.offsets is not None
        assert rows.offsets.tolist() == pytest.approx([0, -np.log(3 / 4), -np.log(1 / 4), 0, 0])


def test_thinned_negatives_leave_the_share_of_clicks_to_be_learned() -> None:
    """With the offset, one score for all is at rest at the log-odds in the whole part, sizes of impressions aside."""
    shown: Shown = [(0, [1], [2, 3, 4, 5, 6, 7, 8, 9]), (0, [2, 3], [1]), (0, [4], [5, 6]), (0, [], [7, 8])]
    clicks, others = 4, 13
    for negatives in (1, 3):
        rows = rows_of(shown, [[]], 9, negatives=negatives, correction="rate")
        assert rows.offsets is not None
        real = rows.items > 0
        scores = np.log(clicks / others) + rows.offsets[rows.items[real]]
        learned = 1 / (1 + np.exp(-scores))
        assert learned.mean() == pytest.approx(rows.labels[real].mean())
        # The formula of He et al. 2014 takes a probability learned that way back to one of the part.
        kept = (rows.items[:, 1:] > 0).sum() / others
        assert learned / (learned + (1 - learned) / kept) == pytest.approx(clicks / (clicks + others))


def test_nothing_is_added_where_nothing_is_asked_for() -> None:
    """Rows have offsets with a correction alone."""
    shown: Shown = [(0, [1], [2])]
    for want in ({"negatives": 1}, {"negatives": None}, {"negatives": None, "source": "batch"}):
        assert rows_of(shown, [[]], 3, **want).offsets is None
