"""What sources share whose raw files say who took what, and not what was shown: the declared rules that make impressions of it.

A source of clicks is below `Interactions`, one of ratings below `Ratings`; each says with `read` how its files are read.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Literal

import attrs
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from lego.data.impressions.candidates import draw_listed, draw_unseen, impressions_of_clicks, split_by_share
from lego.data.impressions.events import Events, all_of, counts_of, how_many, stretches
from lego.data.impressions.parts import cut, in_words
from lego.data.problems import Problems
from lego.data.raw.growing import MANY, Growing, blocks, filtered, looked_up, on_disk, owners_of
from lego.data.table import TEXT, Tables, flat, lists
from lego.errors import DataError, Problem, SpecError
from lego.ragged import Ragged
from lego.spec import PATH, Choice, Source, between, field_names, ge, operator

_USERS_STREAM = 9
"""Which stream of the seed chooses the users; the parts have 0, 1 and 2."""


def path_text(value: str | os.PathLike[str]) -> str:
    """A path as text, so that it prints as code."""
    return os.fspath(value) if isinstance(value, os.PathLike) else value


def is_text(instance: object, attribute: Any, value: str) -> None:
    """Validator of a path: SpecError where it is no text."""
    if not isinstance(value, str):
        raise SpecError.wrong_value(type(instance).__name__, attribute.name, value, "the path of a folder")


@attrs.frozen(eq=False, kw_only=True)
class Raw:
    """What the raw files of a source say."""

    items: pa.Table
    """`item_id` (string or int64, distinct), then one column per attribute, of the types of `lego.data.table`."""
    events: Events
    """In the order of time where there are no times; rows of one user with one time are ordered as they stand here."""
    users: pa.Table | None = None
    """`user_id` of the type of `events.user_ids`, distinct, then one column per attribute; None where there are none."""
    dropped: Mapping[str, int] = attrs.field(factory=dict)
    """What reading left out, counted."""
    rules: Mapping[str, str] = attrs.field(factory=dict)
    """What reading decided, in words."""


@operator
class Interactions(Source):
    """Who took what, as impressions, by rules that are options.

    - Every row of the log is a click. Of several rows of a user and one item the first in time counts (`repeats="first"`), the
      last (`"last"`) or all of them (`"all"`); the others are left out and counted.
    - A user's clicks are in the order of time; where times are equal or unknown, in that of the log.
    - `core=k` leaves out users and items with fewer than k clicks, again and again until none is left (the k-core); the items
      are then those that remain. Otherwise they are all of the catalogue, in its order.
    - Users with fewer than `minimum` clicks are left out and counted. `users=N` then keeps N users drawn by the seed, or all
      where there are no more.
    - `split="share"` takes the last `test` share of each user's clicks, rounded down but at least one, as test impressions, the
      `dev` share before them, likewise, as dev, and the rest as train. `"leave_last_out"` takes the last click of each user and
      the one before it; `"time"` the latest `test` share of all clicks and the `dev` share before them; `"user"` all clicks of
      a share of the users. A share of 0 makes no part.
    - The history of an impression is all clicks of the user before it in that order; the first click has none.
    - The candidates of an impression are the click and up to `negatives` others, the click at a random place among them, drawn
      one after the other, without putting back, from the items that the user never met in the log, not even later:
      `candidates="popularity"` with a probability proportional to their clicks, `"uniform"` each item as likely as the others.
      The clicks of all parts count, and those of users that `users=N` left out too. An impression for which there is nothing to
      draw is left out and counted; its click stays in the histories.
    - A row of an item that the catalogue lacks is an error (`missing="error"`), is left out and counted (`"drop"`), or makes an
      item without attributes (`"empty"`).
    - Chance comes from `seed` alone. `history` cuts to the most recent clicks when the data is read, and changes nothing that is
      prepared.
    """

    version: ClassVar[int] = 1
    """Counts changes of the rules of the source, so that prepared data of other rules is not taken for its own."""
    event: ClassVar[str] = "clicks"
    """What a row of the log is called."""
    item: ClassVar[str] = "items"
    """What the items are called."""

    path: str = attrs.field(kw_only=False, converter=path_text, metadata=PATH, validator=is_text)
    repeats: Literal["first", "last", "all"] = "first"
    negatives: int = attrs.field(default=20, validator=ge(1))
    candidates: Literal["popularity", "uniform"] = "popularity"
    split: Literal["share", "leave_last_out", "time", "user"] = "share"
    dev: float = attrs.field(default=0.1, validator=between(0.0, 1.0))
    test: float = attrs.field(default=0.1, validator=between(0.0, 1.0))
    minimum: int = attrs.field(default=5, validator=ge(3))
    core: int | None = attrs.field(default=None, validator=ge(2))
    users: int | None = attrs.field(default=None, validator=ge(1))
    history: int = attrs.field(default=50, validator=ge(1))
    missing: Literal["error", "drop", "empty"] = "error"
    seed: int = attrs.field(default=0, validator=ge(0))

    def __attrs_post_init__(self) -> None:
        """The shares must leave something."""
        if isinstance(self.dev, Choice) or isinstance(self.test, Choice):
            return
        if self.dev + self.test >= 1:
            expected = f"less than 1 - test, which is {1 - self.test:g}"
            raise SpecError.wrong_value(type(self).__name__, "dev", self.dev, expected)

    def fingerprint(self) -> Mapping[str, Any]:
        """Every option but `path` and `history`; `version` counts changes of the rules."""
        names = [name for name in field_names(type(self)) if name not in {"path", "history"}]
        return {"version": self.version, **{name: getattr(self, name) for name in names}}

    def changed(self, *names: str) -> list[str]:
        """Which of these options are not what they are unless they are given."""
        cls: Any = type(self)
        return [name for name in names if getattr(self, name) != getattr(attrs.fields(cls), name).default]

    def read(self, problems: Problems) -> Raw:
        """The raw files. Problems are added to `problems` as they are found, and may be raised on the way."""
        raise NotImplementedError

    def complain_of_missing(self, absent: pa.Array, fix: str, problems: Problems) -> None:
        """Names rows of items that the catalogue lacks, file and line, where a source can; `fix` says what to do."""

    def tables(self) -> Tables:
        """The tables of it, checked."""
        problems = Problems()
        raw = self.read(problems)
        problems.raise_any()
        return _Maker(self, raw).make().check()

    # What a source of another kind says otherwise.

    def own_split(
        self, history: Ragged, clicks: Events, dropped: dict[str, int]
    ) -> tuple[NDArray[np.int8], NDArray[np.int64] | None] | None:
        """Of files that say it, or a source with a rule of its own: the part of each click, -1 where it only makes history, and
        how many clicks of its user are the history of its impression, None for all before it. What has no impression is counted.
        """
        return None if clicks.part is None else (clicks.part, None)

    def own_rules(self) -> Mapping[str, str]:
        """The same in words: `split` and `history`."""
        return {}

    def clicked(self, events: Events) -> NDArray[np.bool_]:
        """Which rows are clicks: all of them."""
        return np.ones(len(events), bool)

    def click_in_words(self) -> str:
        """What a click is, for the manifest."""
        return f"each of the {self.event}"

    def candidates_in_words(self) -> str:
        """What a click is shown among, for the manifest."""
        met = f"{self.item} the user never met"
        if self.candidates == "popularity":
            return (
                f"{self.negatives} {met}, by their clicks in all parts and of all users, without putting back"
            )
        return f"{self.negatives} {met}, each as likely as the others, without putting back"


@operator
class Ratings(Interactions):
    """Who rated what, as impressions: what `Interactions` says, and

    - a click is a rating above `above`;
    - `candidates="disliked"` shows a click among what the user rated low, at any time: `above` or lower, or below `below` where
      that is given; all of it, or a random `negatives` of it. Ratings between the two are neither, but the user has met the item.
    """

    event: ClassVar[str] = "ratings"
    task: ClassVar[str] = "ratings"
    lowest: ClassVar[float] = 1.0
    """The lowest rating that can be given."""
    highest: ClassVar[float] = 5.0
    """The highest."""

    above: float = 3.0
    below: float | None = None
    candidates: Literal["popularity", "uniform", "disliked"] = "popularity"  # type: ignore[assignment]  # one more

    def __attrs_post_init__(self) -> None:
        """Thresholds must be ratings, and in order."""
        super().__attrs_post_init__()
        name = type(self).__name__
        if isinstance(self.above, Choice) or isinstance(self.below, Choice):
            return
        if not self.lowest <= self.above < self.highest:
            raise SpecError.wrong_value(
                name, "above", self.above, f"from {self.lowest:g} to below {self.highest:g}"
            )
        if self.below is not None and not self.lowest < self.below <= self.above:
            raise SpecError.wrong_value(
                name, "below", self.below, f"above {self.lowest:g}, and {self.above:g} (above=) at most"
            )

    def clicked(self, events: Events) -> NDArray[np.bool_]:
        """Which rows are ratings above the threshold."""
        assert events.value is not None  # read gives them
        return np.asarray(events.value > np.float32(self.above))

    def disliked(self, events: Events) -> NDArray[np.bool_]:
        """Which rows are ratings that say no."""
        assert events.value is not None
        if self.below is None:
            return np.asarray(events.value <= np.float32(self.above))
        return np.asarray(events.value < np.float32(self.below))

    def click_in_words(self) -> str:
        """What a click is, for the manifest."""
        return f"rating above {self.above:g}"

    def candidates_in_words(self) -> str:
        """What a click is shown among, for the manifest."""
        if self.candidates != "disliked":
            return super().candidates_in_words().replace("met", "rated")
        low = f"{self.above:g} or lower" if self.below is None else f"below {self.below:g}"
        return f"{self.negatives} {self.item} the user rated {low}, all of them or a random {self.negatives}"


class _Maker:
    """Tables of what was read."""

    def __init__(self, source: Interactions, raw: Raw) -> None:
        self.source = source
        self.raw = raw
        self.dropped = dict(raw.dropped)

    def make(self) -> Tables:
        """Rule after rule, each counting what it leaves out."""
        source = self.source
        if not len(self.raw.events):
            what, fix = f"the log holds no {source.event}", "put the complete files in their place"
            raise DataError([Problem(source.path, what, fix)])
        items, events = self._settle_missing()
        events = self._without_repeats(events.by_user())
        clicked = events.mark(source.clicked)
        if source.core is not None:
            items, events, clicked = self._core(items, events, clicked)
        return self._tables(items, events, clicked)

    def _settle_missing(self) -> tuple[pa.Table, Events]:
        """Items, and events whose items are places in them, by the policy for items that the catalogue lacks."""
        source, items, events = self.source, self.raw.items, self.raw.events
        ids = items["item_id"].combine_chunks()
        place = pc.index_in(events.item_ids, value_set=ids)
        place_of = flat(pc.fill_null(place, -1)).astype(np.int32)
        count = int(counts_of(events.item, len(place))[place_of < 0].sum())
        named = f"{source.event}_of_missing_{source.item}"
        if source.missing != "error":
            self.dropped[named] = count
        if not count:
            return items, _with_items(events, ids, place_of)
        absent = events.item_ids.filter(place.is_null())
        if source.missing == "drop":
            return items, _with_items(events.where(looked_up(place_of >= 0, events.item)), ids, place_of)
        if source.missing == "empty":
            self.dropped[named] = 0
            self.dropped[f"{source.item}_without_text"] = len(absent)
            columns = [pa.nulls(len(absent), field.type) for field in items.schema if field.name != "item_id"]
            items = pa.concat_tables([items, pa.table([absent, *columns], items.schema)])
            place_of[place_of < 0] = np.arange(len(ids), len(ids) + len(absent))
            return items, _with_items(events, items["item_id"].combine_chunks(), place_of)
        fix = 'use files of the same edition, or choose missing="drop" or missing="empty"'
        problems = Problems()
        source.complain_of_missing(absent, fix, problems)
        problems.raise_any()
        named = ", ".join([*map(str, absent[:3].to_pylist()), *(["…"] if len(absent) > 3 else [])])
        what = f"{count} {source.event} are of {len(absent)} {source.item} that the catalogue lacks: {named}"
        raise DataError([Problem(source.path, what, fix)])

    def _without_repeats(self, events: Events) -> Events:
        """The rows that stay, where a user has several of one item."""
        rule = self.source.repeats
        if rule == "all":
            return events
        marks = Growing(np.bool_)
        for begin, end in stretches(events.user):
            if end - begin > MANY:
                for piece in _once_each(events.item[begin:end], len(events.item_ids), rule):
                    marks.add(piece)
                continue
            key = events.user[begin:end].astype(np.int64) * len(events.item_ids) + events.item[begin:end]
            order = np.argsort(key, kind="stable")
            same = key[order][1:] == key[order][:-1]
            once = np.ones(end - begin, bool)
            once[order[1:][same] if rule == "first" else order[:-1][same]] = False
            marks.add(once)
        kept = marks.array()
        again = len(events) - how_many(kept)
        if not again:
            return events
        self.dropped[f"repeated_{self.source.event}"] = again
        return events.where(kept)

    def _core(
        self, items: pa.Table, events: Events, clicked: NDArray[np.bool_]
    ) -> tuple[pa.Table, Events, NDArray[np.bool_]]:
        """Only users and items of the k-core of the clicks; items that it lacks are taken out of the catalogue."""
        least = self.source.core
        assert least is not None
        user_in = np.ones(len(events.user_ids), bool)
        item_in = np.ones(items.num_rows, bool)
        while True:
            live = all_of(clicked, looked_up(user_in, events.user), looked_up(item_in, events.item))
            few_users = user_in & (counts_of(events.user, len(user_in), live) < least)
            few_items = item_in & (counts_of(events.item, len(item_in), live) < least)
            if not few_users.any() and not few_items.any():
                break
            user_in &= ~few_users
            item_in &= ~few_items
        if not item_in.any():
            what = f"no user and no item is left of the {least}-core"
            raise DataError([Problem(self.source.path, what, "lower core=, or use the complete files")])
        kept = all_of(looked_up(user_in, events.user), looked_up(item_in, events.item))
        self.dropped["users_outside_core"] = int((~user_in).sum())
        self.dropped[f"{self.source.item}_outside_core"] = items.num_rows - int(item_in.sum())
        self.dropped["clicks_outside_core"] = how_many(clicked) - how_many(all_of(clicked, kept))
        items = items.filter(pa.array(item_in))
        place_of = np.cumsum(item_in, dtype=np.int32) - np.int32(1)
        events = _with_items(events.where(kept), items["item_id"].combine_chunks(), place_of)
        return items, events, filtered(clicked, kept)

    def _tables(self, items: pa.Table, events: Events, clicked: NDArray[np.bool_]) -> Tables:
        source = self.source
        clicks = counts_of(events.user, len(events.user_ids), clicked)
        users = self._keep_users(clicks)
        urn = np.arange(1, items.num_rows + 1, dtype=np.int32)
        if source.candidates == "popularity":
            urn = _rows(events.where(all_of(clicked, looked_up(clicks >= source.minimum, events.user))))
        if len(users) < len(clicks):
            user_in = np.zeros(len(clicks), bool)
            user_in[users] = True
            kept = looked_up(user_in, events.user)
            events, clicked = events.where(kept), filtered(clicked, kept)
        taken = events.where(clicked)
        history = Ragged.from_lengths(_rows(taken), clicks[users])
        times = None if taken.time is None else Ragged(taken.time, history.offsets)
        met = _by_user(events, users)
        low = None
        if isinstance(source, Ratings) and source.candidates == "disliked":
            low = _by_user(events.where(events.mark(source.disliked)), users)

        def draw(owners: NDArray[np.int64], generator: np.random.Generator) -> Ragged:
            if low is not None:
                return draw_listed(low, owners, source.negatives, generator)
            return draw_unseen(urn, owners, met, source.negatives, generator)

        own = source.own_split(history, taken, self.dropped)
        part, before = (self._parts(history, times), None) if own is None else own
        parts, without = impressions_of_clicks(history, times, part, draw, source.seed, before)
        self.dropped["impressions_without_negatives"] = without
        return Tables(
            items=_with_text_ids(items),
            users=self._user_table(events.user_ids, users, history, times),
            impressions=parts,
            dropped=self.dropped,
            rules=self._rules(),
        )

    def _keep_users(self, clicks: NDArray[np.int64]) -> NDArray[np.int64]:
        """Places of the users that stay, ascending."""
        source = self.source
        kept = np.flatnonzero(clicks >= source.minimum)
        outside = self.dropped.get("users_outside_core", 0)  # counted there
        self.dropped["users_below_minimum"] = len(clicks) - len(kept) - outside
        self.dropped["clicks_of_users_below_minimum"] = int(clicks.sum() - clicks[kept].sum())
        if not len(kept):
            what = f"no user has {source.minimum} clicks ({source.click_in_words()})"
            lower = "lower minimum= or above=" if isinstance(source, Ratings) else "lower minimum="
            raise DataError([Problem(source.path, what, f"{lower}, or use the complete files")])
        if source.users is not None:
            generator = np.random.default_rng([source.seed, _USERS_STREAM])
            chosen = np.sort(generator.permutation(kept)[: source.users])
            self.dropped["users_not_sampled"] = len(kept) - len(chosen)
            self.dropped["clicks_of_users_not_sampled"] = int(clicks[kept].sum() - clicks[chosen].sum())
            kept = chosen
        return kept

    def _parts(self, history: Ragged, times: Ragged | None) -> NDArray[np.int8]:
        """0 train, 1 dev, 2 test for each click."""
        source = self.source
        if source.split == "share":
            return split_by_share(history.lengths, source.dev, source.test)
        if times is None and source.split == "time":
            what = "the files have no times, so nothing can be cut by time"
            raise DataError([Problem(source.path, what, 'choose split="share", "leave_last_out" or "user"')])
        owner = owners_of(history)
        moment = np.broadcast_to(np.int64(0), len(owner)) if times is None else times.values
        return cut(source.split, owner, moment, source.dev, source.test, source.seed)

    def _user_table(
        self, ids: pa.Array, kept: NDArray[np.int64], history: Ragged, times: Ragged | None
    ) -> pa.Table:
        names = ids.take(pa.array(kept))
        columns = {"user_id": pc.cast(names, TEXT), "history": lists(history, pa.int32())}
        if times is not None:
            columns["times"] = lists(times, pa.int64())
        if self.raw.users is not None:
            people = self.raw.users
            place = pc.index_in(names, value_set=people["user_id"].combine_chunks())
            self.dropped["users_without_attributes"] = place.null_count
            known = people.drop_columns("user_id").combine_chunks()
            columns |= {name: known[name].take(place) for name in known.column_names}
        return pa.table(columns)

    def _rules(self) -> dict[str, str]:
        source = self.source
        sample = "all" if source.users is None else f"{source.users} drawn by seed {source.seed}"
        if source.split == "share":
            split = (
                f"by user: the last {source.test:g} of the clicks test, the {source.dev:g} before them dev, "
                "at least one each"
            )
        else:
            split = in_words(source.split, source.dev, source.test, source.seed, "clicks")
        said = {
            "click": source.click_in_words(),
            "repeats": f"{source.repeats} of a user's {source.event} of one item",
            "order": "the log's" if self.raw.events.time is None else "time, then the log's",
            "core": "none" if source.core is None else f"{source.core} clicks or more of each user and item",
            "users": f"{sample}, of those with {source.minimum} clicks or more",
            "split": split,
            "history": "all clicks of the user before the impression",
            "candidates": f"the click and up to {source.candidates_in_words()}; places random; seed {source.seed}",
            "missing": source.missing,
        }
        return said | dict(source.own_rules()) | dict(self.raw.rules)


def _with_items(events: Events, ids: pa.Array, place_of: NDArray[np.int32]) -> Events:
    """The events with the place of each item among other ids."""
    return attrs.evolve(events, item_ids=ids, item=looked_up(place_of, events.item))


def _rows(events: Events) -> NDArray[np.int32]:
    """Item row of each event."""
    return on_disk(len(events), np.int32, lambda begin, end: events.item[begin:end] + np.int32(1))


def _by_user(events: Events, users: NDArray[np.int64]) -> Ragged:
    """Distinct item rows of each of the users, ascending; the events are user by user."""
    values, lengths = Growing(np.int32), np.zeros(len(events.user_ids), np.int64)
    for begin, end in stretches(events.user):
        user, item = events.user[begin:end], events.item[begin:end]
        if end - begin > MANY:
            there = counts_of(item, len(events.item_ids)) > 0
            values.add(np.flatnonzero(there) + 1)
            lengths[user[0]] += int(there.sum())
            continue
        order = np.lexsort((item, user))
        item, user = item[order], user[order]
        new = np.ones(len(item), bool)
        new[1:] = (item[1:] != item[:-1]) | (user[1:] != user[:-1])
        values.add(item[new] + np.int32(1))
        lengths += np.bincount(user[new], minlength=len(lengths))
    return Ragged.from_lengths(values.array(), lengths[users])


def _once_each(item: NDArray[np.int32], items: int, rule: str) -> Iterator[NDArray[np.bool_]]:
    """Which rows of one user have an item for the first or the last time, piece after piece."""
    place = np.full(items, -1, np.int64)
    for begin, end in blocks(len(item), MANY):
        rows = np.arange(begin, end)
        if rule == "first":
            rows = rows[place[item[begin:end]] < 0][::-1]
        place[item[rows]] = rows  # of several rows of an item the last one stays
    for begin, end in blocks(len(item), MANY):
        yield place[item[begin:end]] == np.arange(begin, end)


def _with_text_ids(items: pa.Table) -> pa.Table:
    place = items.schema.get_field_index("item_id")
    return items.set_column(place, "item_id", pc.cast(items["item_id"], TEXT))
