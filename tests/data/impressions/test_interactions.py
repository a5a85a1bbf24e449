"""The shared rules against a slow, plain telling of them, on small logs of every kind."""

from __future__ import annotations

import tracemalloc
from collections import Counter, defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import attrs
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lego.data import table as table_module
from lego.data.impressions import candidates, events, interactions, parts
from lego.data.impressions.events import gather
from lego.data.impressions.interactions import Interactions, Ratings, Raw
from lego.data.raw import growing
from lego.data.raw import order as order_module
from lego.errors import DataError, SpecError
from lego.spec import operator

LOG: dict[str, Any] = {}
"""What the sources of this file read: items, rows, users."""


def _raw():
    kind = pa.int64() if LOG.get("numbers") else pa.string()
    names = ["user", "item", *LOG["columns"]]
    columns = list(zip(*LOG["rows"], strict=True)) or [[]] * 4
    types = {"user": kind, "item": kind, "value": pa.float64(), "time": pa.int64()}
    places = {"user": 0, "item": 1, "value": 2, "time": 3}
    pieces = pa.table({name: pa.array(columns[places[name]], types[name]) for name in names})
    items = pa.table(
        {
            "item_id": pa.array(LOG["items"], kind),
            "title": pa.array([f"item {each}" for each in LOG["items"]]),
        }
    )
    people = LOG.get("users")
    users = None
    if people is not None:
        users = pa.table(
            {
                "user_id": pa.array(list(people), kind),
                "city": pa.array(list(people.values())).dictionary_encode(),
            }
        )
    half = pieces.num_rows // 2
    return Raw(
        items=items,
        events=gather([pieces[:half], pieces[half:]]),
        users=users,
        dropped={"bad": 2},
        rules={"x": "y"},
    )


@operator
class Clicks(Interactions):
    """Clicks of `LOG`."""

    event: ClassVar[str] = "plays"
    item: ClassVar[str] = "songs"

    def read(self, problems):
        """What stands in LOG."""
        return _raw()


@operator
class Stars(Ratings):
    """Ratings of `LOG`."""

    reads: ClassVar[Mapping[str, int]] = {"title": 5}

    def read(self, problems):
        """What stands in LOG."""
        return _raw()


# --- the rules, told slowly ---------------------------------------------------------------------------------------------------


def slowly(source, items, rows, *, timed):
    """What the docstring of Interactions says, in lists and dicts. Users that were drawn are left to the caller."""
    items, dropped = list(items), Counter()
    if source.missing == "drop":
        kept = [row for row in rows if row[1] in items]
        dropped["missing"] = len(rows) - len(kept)
        rows = kept
    elif source.missing == "empty":
        items += sorted({row[1] for row in rows} - set(items))
    by_user = defaultdict(list)
    for row in rows:
        by_user[row[0]].append(row)
    if timed:
        by_user = {user: sorted(log, key=lambda row: row[3]) for user, log in by_user.items()}
    for user, log in by_user.items():
        kept = []
        for place, row in enumerate(log):
            same = [at for at, other in enumerate(log) if other[1] == row[1]]
            counts = {"first": same[0] == place, "last": same[-1] == place, "all": True}
            kept += [row] if counts[source.repeats] else []
        dropped["repeated"] += len(log) - len(kept)
        by_user[user] = kept

    def is_click(row):
        return not isinstance(source, Ratings) or row[2] > source.above

    if source.core:
        while True:
            of_user = Counter(user for user, log in by_user.items() for row in log if is_click(row))
            of_item = Counter(row[1] for log in by_user.values() for row in log if is_click(row))
            left = {
                user: [row for row in log if of_item[row[1]] >= source.core]
                for user, log in by_user.items()
                if of_user[user] >= source.core
            }
            if left == by_user:
                break
            by_user = left
        remaining = {row[1] for log in by_user.values() for row in log if is_click(row)}
        items = [item for item in items if item in remaining]
    clicks = {user: [row for row in log if is_click(row)] for user, log in by_user.items()}
    enough = sorted(user for user, log in clicks.items() if len(log) >= source.minimum)
    return Plain(
        items, {user: by_user[user] for user in enough}, {user: clicks[user] for user in enough}, dropped
    )


@attrs.frozen
class Plain:
    """Items, all rows and the clicks of each user who has enough."""

    items: list[Any]
    met: Mapping[Any, list[Any]]
    clicks: Mapping[Any, list[Any]]
    dropped: Counter[str]


def parts_slowly(source, clicks, drawn):
    """0 train, 1 dev, 2 test for each click of each user. `drawn` are the users of dev and test, which chance chose."""

    def at_least_one(count, share, there):
        return 0 if share == 0 or there < 1 else max(1, int(count * share + 1e-9))

    part = {user: [0] * len(log) for user, log in clicks.items()}
    if source.split == "share":
        for user, log in clicks.items():
            tests = at_least_one(len(log), source.test, len(log))
            devs = min(at_least_one(len(log), source.dev, len(log)), len(log) - tests)
            part[user] = [0] * (len(log) - tests - devs) + [1] * devs + [2] * tests
    elif source.split == "leave_last_out":
        for user, log in clicks.items():
            tail = ([1] if source.dev else []) + ([2] if source.test else [])
            part[user] = ([0] * len(log) + tail)[-len(log) :] if tail else [0] * len(log)
    elif source.split == "time":
        flat = sorted(
            ((row[3], user, place) for user, log in clicks.items() for place, row in enumerate(log)),
            key=lambda each: each[0],
        )
        tests = at_least_one(len(flat), source.test, len(flat) - 1)
        devs = at_least_one(len(flat), source.dev, len(flat) - tests - 1)
        for number, (_, user, place) in enumerate(reversed(flat)):
            part[user][place] = 2 if number < tests else 1 if number < tests + devs else 0
    else:
        for user, number in drawn.items():
            part[user] = [number] * len(clicks[user])
    return part


def check(source, tables, items, rows, *, timed):
    """Tables against the slow telling; everything but what chance draws must be equal, and what it draws must be legal."""
    plain = slowly(source, items, rows, timed=timed)
    text = str if LOG.get("numbers") else lambda each: each
    assert tables.items["item_id"].to_pylist() == [text(each) for each in plain.items]
    names = tables.users["user_id"].to_pylist()
    known = {text(user): user for user in plain.clicks}
    if source.users is None or source.users >= len(known):
        assert names == [text(user) for user in plain.clicks]
    else:
        assert len(names) == source.users
        assert set(names) <= set(known)
    chosen = {known[name]: plain.clicks[known[name]] for name in names}
    number = {item: place for place, item in enumerate(plain.items, 1)}
    histories = tables.users["history"].to_pylist()
    assert histories == [[number[row[1]] for row in log] for log in chosen.values()]
    if timed:
        assert tables.users["times"].to_pylist() == [[row[3] for row in log] for log in chosen.values()]
    made = {part: table.to_pylist() for part, table in tables.impressions.items()}
    drawn = {}
    for place, part in enumerate(("train", "dev", "test")):
        for row in made[part]:
            drawn[known[names[row["user"]]]] = place
    parts = parts_slowly(source, chosen, drawn)
    weights = Counter(number[row[1]] for log in plain.clicks.values() for row in log)
    urn = set(weights) if source.candidates == "popularity" else set(number.values())
    without = 0
    for place, part in enumerate(("train", "dev", "test")):
        expected = []
        for order, (user, log) in enumerate(chosen.items()):
            met = {number[row[1]] for row in plain.met[user]}
            pool = urn - met
            if source.candidates == "disliked":
                limit = source.above if source.below is None else source.below
                low = [
                    number[row[1]]
                    for row in plain.met[user]
                    if (row[2] <= limit if source.below is None else row[2] < limit)
                ]
                pool = set(low)
            for at, row in enumerate(log):
                if parts[user][at] == place:
                    expected.append((order, at, number[row[1]], row[3], pool))
        shown = iter(made[part])
        for order, at, item, moment, pool in expected:
            if not pool:
                without += 1
                continue
            row = next(shown)
            assert (row["user"], row["start"], row["stop"]) == (order, 0, at)
            assert not timed or row["time"] == moment
            assert sum(row["labels"]) == 1
            assert row["candidates"][row["labels"].index(1)] == item
            others = [each for each, label in zip(row["candidates"], row["labels"], strict=True) if not label]
            assert len(set(others)) == len(others) == min(source.negatives, len(pool))
            assert set(others) <= pool
        assert next(shown, None) is None
        assert [row["impression"] for row in made[part]] == list(range(len(made[part])))
    assert tables.dropped["impressions_without_negatives"] == without
    assert tables.dropped.get(f"repeated_{source.event}", 0) == plain.dropped["repeated"]
    everyone = {user for user, *_ in rows}
    lost = tables.dropped["users_below_minimum"] + tables.dropped.get("users_outside_core", 0)
    assert lost == len(everyone) - len(plain.clicks)
    assert tables.dropped["bad"] == 2
    assert tables.rules["x"] == "y"
    return plain


def _log(draw):
    """Up to 5 users, 8 items, all of them met often."""
    rng = np.random.default_rng(draw[0])
    return [
        (
            int(rng.integers(1, 6)),
            int(rng.integers(1, 9)),
            float(rng.choice([1, 2, 3, 3.5, 4, 5])),
            int(rng.integers(13)),
        )
        for _ in range(draw[1])
    ]


LOGS = st.tuples(st.integers(0, 10**6), st.integers(20, 90)).map(_log)
SHARES = st.sampled_from([0.0, 0.1, 0.2, 0.29, 0.4])


@given(
    rows=LOGS,
    numbers=st.booleans(),
    timed=st.booleans(),
    rated=st.booleans(),
    repeats=st.sampled_from(["first", "last", "all"]),
    split=st.sampled_from(["share", "leave_last_out", "time", "user"]),
    candidates=st.sampled_from(["popularity", "uniform", "disliked"]),
    core=st.sampled_from([None, 2, 3]),
    minimum=st.sampled_from([3, 3, 4]),
    negatives=st.integers(1, 3),
    below=st.sampled_from([None, 2.0]),
    shares=st.tuples(SHARES, SHARES),
    users=st.sampled_from([None, 1, 2, 99]),
    missing=st.sampled_from(["drop", "empty"]),
    seed=st.integers(0, 3),
)
@settings(max_examples=100, deadline=None)
def test_the_rules_are_what_they_say(
    rows, numbers, timed, rated, repeats, split, candidates, core, **options
):
    """Every option in every combination, against lists and dicts; or an error where nothing would be left."""
    if not rated:
        candidates = "popularity" if candidates == "disliked" else candidates
        options.pop("below")
    options["dev"], options["test"] = options.pop("shares")
    if not numbers:
        rows = [(f"u{user}", f"i{item}", value, time) for user, item, value, time in rows]
    items = (
        list(range(8, 1, -1)) if numbers else [f"i{item}" for item in range(8, 1, -1)]
    )  # the first is missing
    columns = (["value"] if rated else []) + (["time"] if timed else [])
    LOG.clear()
    LOG.update(items=items, rows=rows, numbers=numbers, columns=columns)
    if split == "time" and not timed and len(rows) % 8:
        split = "share"  # which is an error whatever else is chosen
    cls = Stars if rated else Clicks
    source = cls("folder", repeats=repeats, split=split, candidates=candidates, core=core, **options)
    try:
        tables = source.tables()
    except DataError as error:
        _legal_refusal(error, source, items, rows, timed=timed)
        return
    check(source, tables, items, rows, timed=timed)
    again = source.tables()
    assert all(again.impressions[part].equals(table) for part, table in tables.impressions.items())


def _legal_refusal(error, source, items, rows, *, timed):
    plain = slowly(source, items, rows, timed=timed)
    said = str(error)
    if "have no times" in said:
        assert source.split == "time"
        assert not timed
    elif "-core" in said:
        assert not plain.items
    else:
        assert "no user has" in said or "holds no rows" in said
        assert not plain.clicks


def test_everything_is_accounted_for():
    """Clicks that stay and clicks that were left out, by each reason, are all clicks that were read."""
    rng = np.random.default_rng(0)
    rows = [
        (f"u{rng.integers(30)}", f"i{rng.integers(25)}", float(rng.integers(1, 6)), int(rng.integers(100)))
        for _ in range(500)
    ]
    LOG.clear()
    LOG.update(items=[f"i{item}" for item in range(20)], rows=rows, columns=["value", "time"])
    source = Stars("folder", repeats="all", core=3, users=5, missing="drop", above=2)
    tables = source.tables()
    kept = sum(len(history) for history in tables.users["history"].to_pylist())
    lost = sum(count for name, count in tables.dropped.items() if name.startswith("clicks_"))
    known = [row for row in rows if int(row[1][1:]) < 20]
    assert tables.dropped["ratings_of_missing_items"] == len(rows) - len(known)
    assert kept + lost == sum(row[2] > 2 for row in known)
    assert tables.dropped["users_not_sampled"] > 0
    users = {row[0] for row in rows}
    gone = sum(count for name, count in tables.dropped.items() if name.startswith("users_"))
    assert gone + tables.users.num_rows == len(users)


def test_missing_items_are_an_error_that_counts_and_names_them():
    """By default nothing is left out in silence."""
    LOG.clear()
    LOG.update(items=["a"], rows=[("u", each, 0.0, 0) for each in "abcdea"], columns=[])
    with pytest.raises(
        DataError, match=r"4 plays are of 4 songs that the catalogue lacks: b, c, d, …"
    ) as caught:
        Clicks("folder").tables()
    assert 'missing="drop"' in str(caught.value)


def test_a_log_without_rows_is_an_error():
    """Whatever the types of its ids would have been."""
    for numbers in (False, True):
        LOG.clear()
        LOG.update(items=[1] if numbers else ["a"], rows=[], numbers=numbers, columns=["value"])
        for cls in (Clicks, Stars):
            with pytest.raises(DataError, match="the log holds no"):
                cls("folder").tables()


def test_attributes_of_users_stand_with_their_rows():
    """Users without any are counted; people who clicked nothing are not users."""
    LOG.clear()
    rows = [(user, item, 5.0, 0) for user in "vu" for item in "abc"]
    LOG.update(items=list("abcde"), rows=rows, columns=[], users={"u": "Oslo", "nobody": "Rome"})
    tables = Clicks("folder", minimum=3).tables()
    assert tables.users["user_id"].to_pylist() == ["u", "v"]
    assert tables.users["city"].to_pylist() == ["Oslo", None]
    assert tables.dropped["users_without_attributes"] == 1


def test_popular_items_are_drawn_in_proportion_to_their_clicks():
    """Ten times the clicks, ten times the draws; uniform draws do not care."""
    rows = [(f"u{user:03}", f"own{user}-{number}", 5.0, number) for user in range(300) for number in range(3)]
    rows += [(f"x{user:03}", item, 5.0, 0) for user in range(40) for item in ("hit", "p", "q")]
    rows += [(f"y{user:03}", item, 5.0, 0) for user in range(4) for item in ("rare", "p", "q")]
    LOG.clear()
    LOG.update(items=sorted({row[1] for row in rows}), rows=rows, columns=["time"])
    counts = {}
    for rule in ("popularity", "uniform"):
        tables = Clicks("folder", minimum=3, negatives=5, candidates=rule).tables()
        ids = tables.items["item_id"].to_pylist()
        shown = Counter()
        for table in tables.impressions.values():
            for row in table.to_pylist():
                if row["user"] < 300:
                    shown.update(
                        ids[item - 1]
                        for item, label in zip(row["candidates"], row["labels"], strict=True)
                        if not label
                    )
        counts[rule] = shown
    assert 6 < counts["popularity"]["hit"] / counts["popularity"]["rare"] < 16
    assert 0.3 < (counts["uniform"]["hit"] + 1) / (counts["uniform"]["rare"] + 1) < 3


def test_the_fingerprint_is_every_option_that_changes_what_is_prepared():
    """Each field but where the files are and how much history is read."""
    plain = Stars("folder").fingerprint()
    changes = {
        "repeats": "last", "negatives": 3, "candidates": "uniform", "split": "user", "dev": 0.2, "test": 0.3, "minimum": 7,
        "core": 2, "users": 9, "missing": "drop", "seed": 1, "above": 2.0, "below": 2.0,
    }  # fmt: skip
    fields = {field.name for field in attrs.fields(Stars)}
    assert fields - set(changes) == {"path", "history"}
    for name, value in changes.items():
        assert Stars("folder", **{name: value}).fingerprint() != plain, name
    assert Stars("elsewhere", history=3).fingerprint() == plain
    assert Stars(Path("folder")) == Stars("folder")


def test_options_that_contradict_each_other_are_refused():
    """When they are written, not when data is read."""
    with pytest.raises(SpecError, match=r"less than 1 - test, which is 0\.5"):
        Clicks("folder", dev=0.5, test=0.5)
    with pytest.raises(SpecError, match="above"):
        Stars("folder", above=5.0)
    with pytest.raises(SpecError, match="below"):
        Stars("folder", above=3.0, below=4.0)
    with pytest.raises(SpecError, match="the path of a folder"):
        Clicks(3)


def test_the_rules_are_told_in_words():
    """For the manifest, in the words of the source."""
    LOG.clear()
    LOG.update(items=list("abcdefgh"), rows=[("u", item, 5.0, 0) for item in "abcde"], columns=["value"])
    rules = Stars("folder", candidates="uniform", split="leave_last_out").tables().rules
    assert rules["click"] == "rating above 3"
    assert rules["order"] == "the log's"
    assert rules["candidates"].startswith("the click and up to 20 items the user never rated, each as likely")
    assert rules["split"] == "clicks by user: the last of each user test, the one before it dev"


@operator
class Long(Interactions):
    """As many clicks as `LOG` says, made piece by piece."""

    def read(self, problems):
        """Clicks of 500 users on 2,000 items."""
        generator, clicks = np.random.default_rng(0), LOG["clicks"]

        def pieces():
            for begin in range(0, clicks, 10_000):
                size = min(10_000, clicks - begin)
                yield pa.table(
                    {
                        "user": generator.integers(500, size=size),
                        "item": generator.integers(2000, size=size),
                        "value": np.ones(size, np.float32),
                        "time": generator.integers(10**9, size=size),
                    }
                )

        return Raw(items=pa.table({"item_id": pa.array(np.arange(2000))}), events=gather(pieces()))


@pytest.mark.parametrize("split", ["share", "time", "user", "leave_last_out"])
def test_what_is_as_long_as_the_log_is_on_disk(split, monkeypatch):
    """Memory does not grow with the clicks of the same users; one makes 20 bytes of log, 30 of candidates and labels."""
    for name, value in (("HELD", 1 << 15), ("MANY", 1 << 13)):
        monkeypatch.setattr(growing, name, value)
    for module, name, value in (
        (events, "MANY", 1 << 13),
        (interactions, "MANY", 1 << 13),
        (parts, "MANY", 1 << 12),
        (table_module, "MANY", 1 << 13),
        (table_module, "_ROWS", 1 << 12),
        (order_module, "_RUN", 1 << 13),
        (order_module, "_MERGED", 1 << 13),
        (candidates, "_ROWS", 1 << 10),
        (candidates, "MANY", 1 << 13),
    ):
        monkeypatch.setattr(module, name, value)
    peaks = []
    for clicks in (30_000, 90_000):
        LOG.update(clicks=clicks)
        tracemalloc.start()
        Long("raw", split=split, negatives=5).tables()
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert (peaks[1] - peaks[0]) / 60_000 < 2


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"core": 2},
        {"split": "time"},
        {"split": "user", "repeats": "all"},
        {"split": "leave_last_out"},
        {"repeats": "last", "users": 3},
    ],
)
def test_the_size_of_the_pieces_changes_nothing(monkeypatch, options):
    """In one go, or with every array on disk and some rows at a time; draws are those of one go, too."""
    generator = np.random.default_rng(3)
    rows = [
        (f"u{generator.integers(9)}", f"i{generator.integers(12)}", 1.0, int(generator.integers(30)))
        for _ in range(150)
    ]
    LOG.clear()
    LOG.update(items=[f"i{n}" for n in range(12)], rows=rows, columns=["value", "time"])
    made = []
    for small in (False, True):
        if small:
            monkeypatch.setattr(growing, "HELD", 7)
            monkeypatch.setattr(growing, "MANY", 11)
            for module, name, value in (
                (events, "MANY", 13),
                (interactions, "MANY", 13),
                (parts, "MANY", 7),
                (order_module, "_RUN", 40),
                (order_module, "_MERGED", 20),
                (candidates, "MANY", 17),
                (candidates, "HELD", 7),
            ):
                monkeypatch.setattr(module, name, value)
        made.append(Clicks("raw", minimum=3, negatives=2, **options).tables())
    first, second = made
    assert second.users.equals(first.users)
    assert second.impressions == first.impressions
    assert (second.dropped, second.rules) == (first.dropped, first.rules)


def test_a_catalogue_that_has_none_of_the_items_is_an_error():
    """With `missing="drop"` nothing is left, which is said, whatever the log holds."""
    LOG.clear()
    LOG.update(items=["z"], rows=[("u", each, 0.0, 0) for each in "abcdef"], columns=["value", "time"])
    with pytest.raises(DataError, match="no user has 5 clicks"):
        Clicks("folder", missing="drop").tables()
