"""Counts of what was before a moment, beside a loop over the whole log."""

from __future__ import annotations

from typing import Any

import attrs
import numpy as np
import pyarrow as pa
import pytest

from lego.data.past import Past, is_past, problem_of
from lego.data.store import Impressions
from lego.ragged import Ragged

ITEMS = 6
NAMES = (
    "past_shown", "past_clicks", "past_rate", "past_age", "past_shown@0.005", "past_clicks@0.005", "past_rate@0.005",
    "past_age@published",
)  # fmt: skip
PUBLISHED = [3.0, None, 40.0, 12.5, 0.0, 90.0]


@attrs.frozen(eq=False)
class Log:
    """What `Past` reads of a store."""

    found: dict[str, Impressions]
    item_count: int = ITEMS

    @property
    def parts(self) -> tuple[str, ...]:
        return tuple(self.found)

    def part(self, name: str) -> Impressions:
        return self.found[name]

    @property
    def items(self) -> pa.Table:
        return pa.table({"published": pa.array(PUBLISHED, pa.float64())})


def part(rows: list[tuple[int, list[int], list[int]]]) -> Impressions:
    """Impressions of (time, candidates, labels)."""
    nothing = np.zeros(len(rows), np.int64)
    return Impressions(
        impression=np.arange(len(rows)),
        user=nothing.astype(np.int32),
        start=nothing,
        stop=nothing,
        time=np.array([time for time, _, _ in rows], np.int64),
        candidates=Ragged.from_lengths(
            np.array([each for _, items, _ in rows for each in items], np.int32),
            np.array([len(items) for _, items, _ in rows]),
        ),
        labels=np.array([each for _, _, labels in rows for each in labels], np.int8),
    )


def drawn(seed: int, count: int = 40) -> list[tuple[int, list[int], list[int]]]:
    """A log with equal times, unknown times and repeated items."""
    generator = np.random.default_rng(seed)
    rows = []
    for _ in range(count):
        items = generator.integers(
            1, ITEMS, generator.integers(1, 5)
        ).tolist()  # the last item is never shown
        rows.append((int(generator.integers(-1, 60)), items, generator.integers(0, 2, len(items)).tolist()))
    return rows


def slow(name: str, rows: list[tuple[int, list[int], list[int]]], item: int, time: int) -> float:
    """One number, by walking through the log."""
    kind, _, told = name.partition("@")
    if time < 0:
        return np.nan
    shown = clicks = 0
    first = None
    for moment, items, labels in rows:
        if moment < 0 or moment >= time:
            continue
        for each, label in zip(items, labels, strict=True):
            if each != item:
                continue
            first = moment if first is None else min(first, moment)
            if kind == "past_age" or not told or moment >= time - int(float(told) * 3600):
                shown, clicks = shown + 1, clicks + label
    if kind == "past_age":
        born = PUBLISHED[item - 1] if told else first
        return np.nan if born is None or born > time else time - born
    if kind == "past_rate":
        return clicks / shown if shown else np.nan
    return shown if kind == "past_shown" else clicks


def asked(rows: Any, name: str, items: Any, time: Any) -> Any:
    """The parts in two, as a store has them."""
    cut = len(rows) // 2
    past = Past(Log({"train": part(rows[:cut]), "test": part(rows[cut:])}))  # type: ignore[arg-type]
    return past(name, np.asarray(items, np.int64), np.asarray(time, np.int64))


@pytest.mark.parametrize("name", NAMES)
def test_a_count_is_what_a_loop_over_the_log_finds(name):
    """At every moment, of every item: equal times, unknown ones, repeated candidates, items that were never shown."""
    rows, time = drawn(1), np.arange(-1, 62)
    items = np.tile(np.arange(ITEMS + 1), (len(time), 1))
    wanted = [[slow(name, rows, item, int(at)) if item else 0 for item in range(ITEMS + 1)] for at in time]
    found = asked(rows, name, items, time)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, np.array(wanted, np.float32), rtol=1e-6)
    assert np.isnan(found).any() or "clicks" in name or "shown" in name


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("change", ["delete", "click", "add"])
def test_no_future_leaks(name, change):
    """Whatever happens at the moment or later, other clicks, more, or none, the number stays."""
    generator = np.random.default_rng(2)
    rows = drawn(3)
    for time in (0, 7, 30, 59):
        past = [each for each in rows if each[0] < time]
        future = [each for each in rows if each[0] >= time]
        if change == "delete":
            future = []
        elif change == "click":
            future = [(at, items, [1 - label for label in labels]) for at, items, labels in future]
        else:
            future = future + [
                (time + int(each), [1, 2, 3, 6], [1, 1, 1, 1]) for each in generator.integers(0, 9, 20)
            ]
        other = [*future, *past]
        items = np.arange(1, ITEMS + 1)[None]
        np.testing.assert_array_equal(asked(other, name, items, [time]), asked(rows, name, items, [time]))


def test_a_change_of_the_past_is_seen():
    """The test above can fail: a click a second before the moment counts."""
    rows = [*drawn(3), (29, [1], [1])]
    items, time = np.array([[1]]), [30]
    assert asked(rows, "past_clicks", items, time) == asked(drawn(3), "past_clicks", items, time) + 1


def test_a_part_whose_labels_are_hidden_says_what_was_shown_and_not_what_was_clicked():
    """It counts for `past_shown`; a rate is of what was judged, whatever stands where labels would."""
    rows, more = [(10, [1, 2], [1, 0]), (11, [1], [0])], [(12, [1, 3], [0, 1])]
    hidden = attrs.evolve(part(more), labeled=False)
    past = Past(Log({"train": part(rows), "test": hidden}))  # type: ignore[arg-type]
    items, time = np.array([[1, 2, 3]]), np.array([20])
    assert past("past_shown", items, time).tolist() == [[3, 1, 1]]
    assert past("past_clicks", items, time).tolist() == [[1, 0, 0]]
    np.testing.assert_array_equal(past("past_rate", items, time), [[0.5, 0, np.nan]])


def test_items_that_the_data_lacks_were_never_met():
    """New items of a recommendation have rows behind those of the data."""
    found = asked(drawn(1), "past_clicks", [[1, ITEMS + 3]], [100])
    assert found[0, 0] > 0
    assert found[0, 1] == 0
    assert np.isnan(asked(drawn(1), "past_age", [[ITEMS + 3]], [100])).all()


def test_a_log_without_any_time_knows_nothing():
    """Where no impression has a time there is no past."""
    rows = [(-1, [1, 2], [1, 0])]
    past = Past(Log({"train": attrs.evolve(part(rows), time=None)}))  # type: ignore[arg-type]
    assert past.end == 0
    assert np.isnan(past("past_clicks", np.array([[1]]), np.array([-1]))).all()


def test_names_that_cannot_be():
    """An age is of a number of the items, a window is hours."""
    attributes = {"title": "text", "published": "number"}
    assert problem_of("past_age@published", attributes) is None
    assert problem_of("past_rate@1.5", attributes) is None
    for name in ("past_age@title", "past_age@publishd", "past_rate@0", "past_clicks@day", "past_clicks@inf"):
        assert problem_of(name, attributes)
    assert is_past("past_rate@24")
    assert not is_past("position")
