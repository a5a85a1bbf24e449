from __future__ import annotations

import numpy as np
import pytest

from lego.data.impressions import candidates
from lego.data.impressions.candidates import draw_listed, draw_unseen, show_among, split_by_share
from lego.ragged import Ragged


def seen_of(*rows):
    return Ragged.from_lengths(
        np.array([i for row in rows for i in row], np.int32), np.array([len(row) for row in rows])
    )


def one_by_one(weights, allowed, count, rng):
    """The slow way: one draw after the other from what is left."""
    left, taken = sorted(allowed), []
    while left and len(taken) < count:
        share = np.array([weights[i] for i in left], float)
        taken.append(int(rng.choice(left, p=share / share.sum())))
        left.remove(taken[-1])
    return taken


@pytest.mark.parametrize("patience", [0, 1, 8])
def test_draws_are_those_of_drawing_one_by_one(patience, monkeypatch):
    """First and second draws come as often as without putting back, however much of it is done by rejection."""
    monkeypatch.setattr(candidates, "_PATIENCE", patience)
    weights = {1: 40, 2: 20, 3: 10, 4: 5, 5: 5, 7: 1}
    urn = np.repeat(np.array(list(weights), np.int32), list(weights.values()))
    rows = 20_000
    drawn = draw_unseen(urn, np.zeros(rows, np.int64), seen_of([2, 6]), 3, np.random.default_rng(0))
    table = drawn.values.reshape(rows, 3)
    oracle_rng = np.random.default_rng(1)
    oracle = np.array([one_by_one(weights, {1, 3, 4, 5, 7}, 3, oracle_rng) for _ in range(6000)])
    for place in range(3):
        for item in weights:
            expected, found = (oracle[:, place] == item).mean(), (table[:, place] == item).mean()
            assert abs(expected - found) < 0.03, (place, item)
    assert not np.isin(table, [2, 6]).any()


def test_no_item_twice_and_none_that_was_seen():
    """Each row holds different items that its owner never saw, as many as there are, up to the count."""
    rng = np.random.default_rng(3)
    rows = [sorted(rng.choice(np.arange(1, 31), size, replace=False).tolist()) for size in (0, 5, 28, 29, 30)]
    urn = rng.integers(1, 31, 400).astype(np.int32)
    owners = np.repeat(np.arange(5), 50)
    drawn = draw_unseen(urn, owners, seen_of(*rows), 10, np.random.default_rng(0))
    for row, owner in enumerate(owners):
        items, allowed = drawn[row].tolist(), set(urn.tolist()) - set(rows[owner])
        assert len(set(items)) == len(items) == min(10, len(allowed))
        assert set(items) <= allowed


def test_a_popular_item_that_everyone_saw_does_not_stop_the_draw():
    """Where nearly all draws are rejected the rest of the row is still filled."""
    urn = np.concatenate([np.full(100_000, 1), np.arange(2, 8)]).astype(np.int32)
    drawn = draw_unseen(urn, np.zeros(4, np.int64), seen_of([1]), 6, np.random.default_rng(0))
    assert all(sorted(drawn[row].tolist()) == [2, 3, 4, 5, 6, 7] for row in range(4))


def test_no_rows_draw_nothing():
    """A part without impressions is legal."""
    nobody = np.empty(0, np.int64)
    assert len(draw_unseen(np.array([1], np.int32), nobody, seen_of([1]), 2, np.random.default_rng(0))) == 0
    assert len(draw_listed(seen_of([1]), nobody, 2, np.random.default_rng(0))) == 0


def test_listed_items_are_drawn_alike():
    """All of a short list; of a long one each item as often as the others; none of an empty one."""
    owners = np.repeat(np.array([0, 1, 2]), 3000)
    drawn = draw_listed(seen_of([4, 5], [], [1, 2, 3, 6, 9]), owners, 2, np.random.default_rng(0))
    assert drawn.lengths.tolist() == [2] * 3000 + [0] * 3000 + [2] * 3000
    assert sorted(drawn[0].tolist()) == [4, 5]
    often = np.bincount(drawn.take(np.arange(6000, 9000)).values, minlength=10)
    assert set(np.flatnonzero(often)) == {1, 2, 3, 6, 9}
    assert np.abs(often[often > 0] / 3000 - 0.4).max() < 0.04


def listed_in_one_go(listed, owners, count, generator):
    """All rows at once, a random number for each value of each."""
    rows = listed.take(owners)
    order = np.lexsort((generator.random(len(rows.values)), np.repeat(np.arange(len(rows)), rows.lengths)))
    return Ragged(rows.values[order], rows.offsets).head(count)


def test_long_lists_are_looked_at_some_rows_at_a_time(monkeypatch):
    """No more values together than are allowed, or one row; the draws are those of all rows in one go."""
    listed = seen_of(range(1, 41), [], range(1, 8), [3])
    owners = np.random.default_rng(1).integers(0, 4, 300)
    plain, bounded = np.random.default_rng(0), np.random.default_rng(0)
    oracle = listed_in_one_go(listed, owners, 3, plain)
    monkeypatch.setattr(candidates, "MANY", 20)
    sizes, real = [], Ragged.take
    monkeypatch.setattr(
        Ragged, "take", lambda self, rows: [sizes.append((len(rows), found := real(self, rows))), found][1]
    )
    drawn = draw_listed(listed, owners, 3, bounded)
    assert drawn.values.tolist() == oracle.values.tolist()
    assert drawn.offsets.tolist() == oracle.offsets.tolist()
    assert bounded.random() == plain.random()
    assert all(len(found.values) <= 20 or rows == 1 for rows, found in sizes)


@pytest.mark.parametrize("patience", [1, 8])
@pytest.mark.parametrize("ahead", [1, 700, 1 << 20])
def test_an_urn_on_disk_is_read_a_few_times(patience, ahead, monkeypatch):
    """Not in each round of each block of rows; the draws, and what the generator gives behind them, are the same."""
    monkeypatch.setattr(candidates, "_PATIENCE", patience)
    monkeypatch.setattr(candidates, "_ROWS", 50)
    monkeypatch.setattr(candidates, "_AHEAD", ahead)
    rng = np.random.default_rng(3)
    urn = np.minimum(rng.geometric(0.02, 3000), 200).astype(np.int32)
    rows = [sorted(rng.choice(np.arange(1, 201), size, replace=False).tolist()) for size in (0, 40, 5, 3)]
    rows.append(sorted(set(range(1, 201)) - {7, 190, 191}))  # the draws for whom are mostly rejected
    owners = np.sort(rng.integers(0, 5, 2000))
    plain, other = np.random.default_rng(0), np.random.default_rng(0)
    oracle = draw_unseen(urn, owners, seen_of(*rows), 4, plain)
    times, real = [], candidates.gathered
    monkeypatch.setattr(candidates, "HELD", 0)
    monkeypatch.setattr(
        candidates, "gathered", lambda values, places: [times.append(len(places)), real(values, places)][1]
    )
    drawn = draw_unseen(urn, owners, seen_of(*rows), 4, other)
    assert drawn.values.tolist() == oracle.values.tolist()
    assert drawn.offsets.tolist() == oracle.offsets.tolist()
    assert other.integers(1 << 60) == plain.integers(1 << 60)
    assert max(times) <= max(ahead, 50 * 8)
    if ahead == 1 << 20 and patience == 8:
        assert len(times) < 40  # blocks of rows


def test_the_click_may_stand_anywhere():
    """Each place among the candidates is as likely, so that no order of ties finds the click."""
    others = Ragged.from_lengths(np.arange(2, 8002, dtype=np.int32), np.full(2000, 4))
    shown, labels = show_among(np.ones(2000, np.int32), others, np.random.default_rng(0))
    table, marks = shown.values.reshape(2000, 5), labels.reshape(2000, 5)
    assert (table[marks == 1] == 1).all()
    assert (table[marks == 0] == others.values).all()
    assert np.abs(marks.mean(0) - 0.2).max() < 0.04


def test_the_last_clicks_are_test_and_those_before_them_dev():
    """Shares round down and take at least one click; the parts follow each other in time."""
    part = Ragged.from_lengths(split_by_share(np.array([3, 10, 25]), 0.1, 0.2), np.array([3, 10, 25]))
    assert part[0].tolist() == [0, 1, 2]
    assert part[1].tolist() == [0] * 7 + [1] + [2, 2]
    assert part[2].tolist() == [0] * 18 + [1] * 2 + [2] * 5


def test_a_share_is_what_was_meant():
    """0.29 of 100 is 29, though the product is a little less; a share of 0 takes none."""
    part = split_by_share(np.array([100]), 0.0, 0.29)
    assert np.bincount(part, minlength=3).tolist() == [71, 0, 29]
