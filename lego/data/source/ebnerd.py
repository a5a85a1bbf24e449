"""EB-NeRD (Kruse et al. 2024, https://arxiv.org/abs/2410.03432): impressions of Ekstra Bladet, Danish news, with their context.

Reads the official archives (demo, small, large) in place, or the folders that they unpack to.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

import attrs
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from lego.data.impressions.interactions import is_text, path_text
from lego.data.impressions.log import (
    Catalog,
    Log,
    drop_missing,
    join_logs,
    no_rows,
    one_after_another,
    one_class,
    part_of_log,
)
from lego.data.impressions.parts import cut, in_words
from lego.data.problems import Problems
from lego.data.raw.parquet_file import (
    Wanted,
    batches,
    complain,
    floats,
    kept,
    list_values,
    owners_of,
    seconds,
)
from lego.data.raw.raw_file import RawFile, named
from lego.data.table import CATEGORY, LIST, NUMBER, PARTS, TEXT, Tables, flat, lists, signal
from lego.errors import DataError, Problem, SpecError
from lego.ragged import Ragged, flat_positions
from lego.spec import PATH, Choice, Source, between, field_names, ge, operator

_EDITION = re.compile(r"ebnerd_(demo|small|large)(?:\.zip)?", re.IGNORECASE)
_FILES = ("behaviors.parquet", "history.parquet")

_ARTICLES: Mapping[str, tuple[str, str, pa.DataType]] = {
    "title": ("title", "text", TEXT),
    "subtitle": ("subtitle", "text", TEXT),
    "body": ("body", "text", TEXT),
    "category_str": ("category", "text", CATEGORY),
    "subcategory": ("subcategory", "values", LIST),
    "topics": ("topics", "texts", LIST),
    "ner_clusters": ("entities", "texts", LIST),
    "entity_groups": ("entity_groups", "texts", LIST),
    "article_type": ("article_type", "text", CATEGORY),
    "premium": ("premium", "flag", CATEGORY),
    "sentiment_label": ("sentiment", "text", CATEGORY),
    "sentiment_score": ("sentiment_score", "number", NUMBER),
    "published_time": ("published", "time", NUMBER),
}
"""Column of articles.parquet → attribute, what it holds, and its type."""

_HISTORY = {
    "user_id": Wanted("whole"),
    "article_id_fixed": Wanted("wholes"),
    "impression_time_fixed": Wanted("times"),
    "read_time_fixed": Wanted("numbers", needed=False),
    "scroll_percentage_fixed": Wanted("numbers", needed=False),
}
_BEHAVIORS = {
    "impression_id": Wanted("whole"),
    "impression_time": Wanted("time"),
    "user_id": Wanted("whole"),
    "article_ids_inview": Wanted("wholes"),
    "article_ids_clicked": Wanted("wholes"),
    "article_id": Wanted("number", needed=False),
    "device_type": Wanted("number", needed=False),
    "is_sso_user": Wanted("flag", needed=False),
    "is_subscriber": Wanted("flag", needed=False),
    "read_time": Wanted("number", needed=False),
    "scroll_percentage": Wanted("number", needed=False),
    "gender": Wanted("number", needed=False),
    "postcode": Wanted("number", needed=False),
    "age": Wanted("number", needed=False),
}
_PEOPLE = ("gender", "postcode", "age")
_SIGNALS = {"read_time": "read_time_fixed", "scroll": "scroll_percentage_fixed"}


@operator
class EBNeRD(Source):
    """Danish news that users were shown, and which of them they clicked.

    - `path` holds articles.parquet and the folders `train` and `validation`, each with behaviors.parquet and history.parquet; or
      it is an archive of them (`ebnerd_small.zip`), or a folder that holds one edition (`ebnerd_demo`, `_small` or `_large`).
    - An impression, its candidates and their order are those of the log; a candidate is a click where its id is among those that
      were clicked. A clicked id that is not in view is left out and counted.
    - `split="official"`: the folder `validation` is test, because the test part is published without clicks; the latest `dev`
      share of `train`, by (time, impression id), rounded down but at least one, is dev. `split="time"` takes the impressions of
      the folders that are there, one is enough, and cuts them: the latest `test` share is test, the `dev` share before it dev.
    - The history of an impression is that of its user in history.parquet of its folder, in the order of time, up to the time of
      the impression: what is later is not seen, and counted in the rules. A user whose two histories are not the beginning of one
      another is two rows of users. One without a history has an empty one; one without impressions is left out and counted.
    - The items are all of articles.parquet. Its counters (`total_inviews`, `total_pageviews`, `total_read_time`) are not read:
      they were counted after the impressions, and tell the future. An id that it lacks is an error (`missing="error"`), is left
      out of histories and candidates and counted (`"drop"`), or makes an item without attributes (`"empty"`), also where the file
      is not there at all. An impression that is left without candidates is left out and counted.
    - Beside each click of a history stand `read_time` (seconds) and `scroll` (percent), beside each candidate its `position`,
      from 1. An impression has `device`, `page` (`front page`, or `article`), `read_time` and `scroll` of the page it was on,
      which are known when the user leaves it, `subscriber` and `sso`. What the user read next (`next_read_time`,
      `next_scroll_percentage`) is not read: it follows the click. A user has `gender`, `postcode` and `age` as their first
      impression that knows them says.
    - Codes are categories as they are written; `published` is in unix seconds; times are read as UTC.
    """

    reads: ClassVar[Mapping[str, int]] = {"title": 30, "subtitle": 50}
    domain: ClassVar[str] = "news"
    language: ClassVar[str] = "Danish"
    attributes: ClassVar[tuple[str, ...]] = tuple(name for name, _, _ in _ARTICLES.values())
    official_files: ClassVar[tuple[str, ...]] = (
        "ebnerd_small.zip (articles.parquet; behaviors.parquet and history.parquet of train and of validation)",
    )
    url: ClassVar[str] = "https://recsys.eb.dk/dataset/"
    licence: ClassVar[str] = "EB-NeRD research licence: non-commercial; no redistribution"
    proven: ClassVar[str] = "real rows"

    path: str = attrs.field(kw_only=False, converter=path_text, metadata=PATH, validator=is_text)
    split: Literal["official", "time"] = "official"
    dev: float = attrs.field(default=0.1, validator=between(0.0, 1.0))
    test: float = attrs.field(default=0.1, validator=between(0.0, 1.0))
    history: int = attrs.field(default=50, validator=ge(1))
    missing: Literal["error", "drop", "empty"] = "error"

    def __attrs_post_init__(self) -> None:
        """The shares must leave something."""
        if isinstance(self.dev, Choice) or isinstance(self.test, Choice):
            return
        if self.dev + self.test >= 1:
            expected = f"less than 1 - test, which is {1 - self.test:g}"
            raise SpecError.wrong_value(type(self).__name__, "dev", self.dev, expected)

    def fingerprint(self) -> Mapping[str, Any]:
        """Every option but `path` and `history`; `version` counts changes of the rules above."""
        names = [name for name in field_names(type(self)) if name not in {"path", "history"}]
        return {"version": 1, **{name: getattr(self, name) for name in names}}

    def files(self) -> Iterable[Path]:
        """The files, or the archive, that are read; DataError with where to get them."""
        folder = self._folder()
        every = [
            *([folder.articles] if folder.articles else []),
            *(file for part in folder.parts for file in part),
        ]
        return list(dict.fromkeys(file.path for file in every))

    def tables(self) -> Tables:
        """The tables of it, checked."""
        folder, problems = self._folder(), Problems()
        items = _no_articles() if folder.articles is None else _read_articles(folder.articles, problems)
        ids = pc.cast(items["item_id"], pa.int64()).combine_chunks()
        catalog = Catalog(
            pa.concat_arrays(ids.chunks) if isinstance(ids, pa.ChunkedArray) else ids,
            pa.array([], pa.int64()),
        )
        known = len(catalog.known)
        dropped = {"clicks_not_in_view": 0}
        read = [
            (_read_history(history, catalog, problems), _read_log(behaviors, catalog, problems, dropped))
            for behaviors, history in folder.parts
        ]
        problems.raise_any()
        histories = [history for history, _ in read if history is not None]
        logs = [log for _, log in read if log is not None]
        absent = len(catalog.missing)
        if self.missing == "error" and absent:
            raise _absent(folder, catalog.missing)
        if self.missing == "empty":
            nothing = [pa.nulls(absent, field.type) for field in items.schema if field.name != "item_id"]
            more = [pc.cast(catalog.missing, TEXT), *nothing]
            items = pa.concat_tables([items, pa.table(more, items.schema)])
            dropped["articles_without_text"] = absent
        if self.missing == "drop":
            histories, gone = _without(histories, known)
            people = [log.people for log in logs]
            logs = [
                _Behaviors(log, each)
                for log, each in zip(
                    drop_missing([each.log for each in logs], known, absent, dropped, "articles"),
                    people,
                    strict=True,
                )
            ]
            dropped["history_clicks_of_missing_articles"] = gone
            if not any(len(each.log.impression) for each in logs):
                what = "articles.parquet has none of the candidates"
                raise DataError([Problem(self.path, what, "use the articles.parquet of the same edition")])
        return self._tables(items, histories, logs, dropped).check()

    def _tables(
        self, items: pa.Table, histories: list[_Histories], logs: list[_Behaviors], dropped: dict[str, int]
    ) -> Tables:
        users, rows, own = _share(
            [(history, each.log.user) for history, each in zip(histories, logs, strict=True)]
        )
        log, row = join_logs([each.log for each in logs]), np.concatenate(rows)
        used, row = np.unique(row, return_inverse=True)
        named = len(pc.unique(users.user))
        users = users.take(used)
        dropped["users_without_impressions"] = named - len(pc.unique(users.user))
        stop = np.minimum(users.seen(row, log.time), own)
        if self.split == "time" and len(np.unique(log.impression)) < len(log.impression):
            what = "an impression id is in train and in validation"
            raise DataError([Problem(self.path, what, 'choose split="official", which keeps them apart')])
        part = self._parts(log, [len(each.log.impression) for each in logs])
        impressions, single = {}, {}
        for number, name in enumerate(PARTS):
            chosen = np.flatnonzero(part == number)
            impressions[name] = part_of_log(log, chosen, row[chosen].astype(np.int32), stop[chosen])
            single[name] = one_class(log, chosen)
        later = int((stop < own).sum())
        moved = log.time[part == 1]
        cut_at = str(np.datetime64(int(moved.min()), "s")) + "Z" if len(moved) else "none"
        columns = {
            "user_id": pc.cast(users.user, TEXT),
            "history": lists(users.history, pa.int32()),
            "times": lists(Ragged(users.times, users.history.offsets), pa.int64()),
            **_people(users.user, [each.people for each in logs]),
            **{name: signal(Ragged(values, users.history.offsets)) for name, values in users.signals.items()},
        }
        return Tables(
            items=items,
            users=pa.table(columns),
            impressions=impressions,
            dropped=dropped,
            rules=self._rules(cut_at, single, later, users.moved),
        )

    def _parts(self, log: Log, sizes: list[int]) -> NDArray[np.int8]:
        """0 train, 1 dev, 2 test for each impression."""
        if self.split == "time":
            return cut("time", np.zeros(len(log.time), np.int64), log.time, self.dev, self.test, 0)
        part = np.repeat(np.array([0, 2], np.int8), sizes)
        early = sizes[0]
        count = min(max(int(early * self.dev + 1e-9), 1), early) if self.dev > 0 else 0
        order = np.lexsort((log.impression[:early], log.time[:early]))
        part[order[early - count :]] = 1
        return part

    def _rules(
        self, cut_at: str, single: Mapping[str, Mapping[str, int]], later: int, moved: int
    ) -> dict[str, Any]:
        official = f"the folder validation is test; the latest {self.dev:g} of train, by time and then impression id, is dev"
        return {
            "click": "an id in view that is among those clicked",
            "split": official
            if self.split == "official"
            else in_words("time", self.dev, self.test, 0, "impressions"),
            "dev_begins": cut_at,
            "history": "that of the user in history.parquet of the folder, up to the time of the impression",
            "impressions_whose_history_is_cut_at_their_time": later,
            "histories_put_in_order": moved,
            "users": "one row per history; one that is the beginning of the user's other one shares its row",
            "user_attributes": "of the first impression that has them",
            "items": "all articles",
            "candidates": "those of the log, in its order",
            "one_class": {part: dict(counts) for part, counts in single.items()},
            "missing": self.missing,
        }

    def _folder(self) -> _Folder:
        folder = _find(Path(self.path).expanduser(), official=self.split == "official")
        if folder.articles is None and self.missing != "empty":
            fix = (
                f'it is in the archive of {self.url}; without it, choose missing="empty": the items then have no text, '
                "and models of ids can be trained (content=ItemID())"
            )
            raise DataError([Problem(str(folder.root / "articles.parquet"), "there is no such file", fix)])
        return folder


# --- the folder ---------------------------------------------------------------------------------------------------------------


@attrs.frozen
class _Folder:
    root: Path
    articles: RawFile | None
    parts: tuple[tuple[RawFile, RawFile], ...]
    """Behaviors and histories, of train and then of validation."""


def _find(root: Path, *, official: bool) -> _Folder:
    get = f"download ebnerd_small.zip (or demo, large) from {EBNeRD.url}, and give it, or the folder that it unpacks to"
    if not root.exists():
        raise DataError([Problem(str(root), "there is no such file or folder", get)])
    if root.is_dir() and not any(
        (root / name).exists() for name in ("train", "validation", "test", "articles.parquet")
    ):
        found: dict[str, Path] = {}
        for place in sorted(root.iterdir(), key=lambda each: (each.is_dir(), each.name)):
            form = _EDITION.fullmatch(place.name)
            if form and place.is_dir() != (place.suffix.lower() == ".zip"):
                found[form[1].lower()] = place
        if len(found) > 1:
            names = ", ".join(place.name for place in found.values())
            what = f"holds more than one edition: {names}"
            raise DataError([Problem(str(root), what, f"give one of them: {root / 'ebnerd_small'}")])
        if not found:
            if (root / _FILES[0]).is_file():
                what = "is the folder of one part"
                raise DataError([Problem(str(root), what, f"give the folder that holds it: {root.parent}")])
            raise DataError(
                [Problem(str(root), "holds neither train nor validation, nor an archive of them", get)]
            )
        (root,) = found.values()
    if root.is_file() and root.suffix.lower() != ".zip":
        raise DataError([Problem(str(root), "is a file, a folder or a zip is expected", get)])
    problems = Problems()

    def there(name: str) -> RawFile | None:
        if root.is_dir():
            return RawFile(root / name) if (root / name).is_file() else None
        inside = named(root, name, problems)
        if len(inside) > 1:
            several = ", ".join(each.member for each in inside)
            problems.add(str(root), f"holds several: {several}", "use the official archive")
        return inside[0] if inside else None

    articles = there("articles.parquet")
    problems.raise_any()
    parts = []
    for part in ("train", "validation"):
        files = [there(f"{part}/{name}") for name in _FILES]
        if all(file is None for file in files) and not official:
            continue
        for file, name in zip(files, _FILES, strict=True):
            if file is None:
                way = (
                    'or choose split="time", which cuts what is there by time'
                    if official and part == "validation"
                    else "or leave the whole folder out"
                )
                fix = f"unpack the complete archive; it is had from {EBNeRD.url}; {way}"
                problems.add(str(root / part / name), "there is no such file", fix)
        whole = [file for file in files if file is not None]
        if len(whole) == len(_FILES):
            parts.append((whole[0], whole[1]))
    if there("test/behaviors.parquet") is not None and not parts:
        what = "is the test part, which is published without clicks, so nothing can be learned or measured"
        raise DataError([Problem(str(root), what, get)])
    problems.raise_any()
    if not parts:
        raise DataError([Problem(str(root), "holds neither train nor validation", get)])
    return _Folder(root, articles, tuple(parts))


# --- the files ----------------------------------------------------------------------------------------------------------------


def _no_articles() -> pa.Table:
    fields = [pa.field("item_id", TEXT), *(pa.field(name, kind) for name, _, kind in _ARTICLES.values())]
    return pa.schema(fields).empty_table()


def _read_articles(file: RawFile, problems: Problems) -> pa.Table:
    columns = {"article_id": Wanted("whole")}
    columns |= {name: Wanted(holds, needed=name == "title") for name, (_, holds, _) in _ARTICLES.items()}
    read = [_articles(batch) for batch in batches(file, columns, problems)]
    if not read:
        return _no_articles()
    items = pa.concat_tables(read).unify_dictionaries()
    missing = flat(items["item_id"].is_null())
    complain(file, np.flatnonzero(missing), "article_id", "an id is expected, nothing found", problems)
    codes = flat(items["item_id"].combine_chunks().dictionary_encode(null_encoding="encode").indices)
    _, first = np.unique(codes, return_index=True)
    again = np.flatnonzero((first[codes] != np.arange(len(codes))) & ~missing)
    words = [f"{items['item_id'][row]} is already in row {first[codes[row]] + 1}" for row in again[:20]]
    complain(file, again, "article_id", words, problems)
    return items


def _articles(batch: pa.RecordBatch) -> pa.Table:
    columns = {"item_id": pc.cast(batch["article_id"], TEXT)}
    for name, (attribute, holds, kind) in _ARTICLES.items():
        if name not in batch.schema.names:
            columns[attribute] = pa.nulls(batch.num_rows, kind)
            continue
        values = batch[name]
        if holds == "time":
            values = seconds(values)
        elif holds == "flag":
            values = pc.if_else(pc.cast(values, pa.bool_()), "yes", "no")
        if kind == LIST:
            words = pc.cast(values, pa.list_(TEXT))
            columns[attribute] = _without_nulls(words)
        elif kind == CATEGORY:
            words = pc.cast(values, TEXT)
            words = pc.if_else(pc.equal(words, ""), pa.scalar(None, TEXT), words)
            columns[attribute] = pc.cast(words.dictionary_encode(), CATEGORY)
        else:
            columns[attribute] = pc.cast(values, kind)
            if kind == NUMBER:  # a number that is none is one that is missing
                number = columns[attribute]
                columns[attribute] = pc.if_else(pc.is_finite(number), number, pa.scalar(None, NUMBER))
    return pa.table(columns)


def _without_nulls(words: pa.Array) -> pa.Array:
    values, lengths = list_values(words)
    if not values.null_count:
        return words
    rows = kept(Ragged.from_lengths(np.empty(len(values)), lengths), flat(values.is_valid()))
    return pa.ListArray.from_arrays(
        pa.array(rows.offsets, pa.int32()), values.drop_null(), type=LIST, mask=words.is_null()
    )


@attrs.frozen(eq=False, kw_only=True)
class _Histories:
    """A row per user: what they clicked, oldest first."""

    user: pa.Array
    """int64."""
    history: Ragged
    times: NDArray[np.int64]
    """Flat, as are the signals."""
    signals: Mapping[str, NDArray[np.float32]]
    moved: int = 0
    """Rows that were not in the order of time, and are now."""

    def take(self, rows: NDArray[Any]) -> _Histories:
        """Some of the rows."""
        history = self.history.take(rows)
        places = flat_positions(self.history.offsets[rows], history.lengths)
        return attrs.evolve(
            self,
            user=self.user.take(pa.array(rows)),
            history=history,
            times=self.times[places],
            signals={name: values[places] for name, values in self.signals.items()},
        )

    def where(self, inside: NDArray[np.bool_]) -> _Histories:
        """Some of the clicks."""
        return attrs.evolve(
            self,
            history=kept(self.history, inside),
            times=self.times[inside],
            signals={name: values[inside] for name, values in self.signals.items()},
        )

    def seen(self, row: NDArray[np.int64], time: NDArray[np.int64]) -> NDArray[np.int64]:
        """How many clicks of the history of each row are not later than the time."""
        if not len(self.times):
            return np.zeros(len(row), np.int64)
        low, high = int(self.times.min()), int(self.times.max())
        span = high - low + 2
        owner = np.repeat(np.arange(len(self.history)), self.history.lengths)
        keys = owner * span + (self.times - low) + 1
        wanted = row * span + np.clip(time - low + 1, 0, span - 1)
        return np.searchsorted(keys, wanted, "right") - self.history.offsets[row]

    @classmethod
    def joined(cls, several: list[_Histories]) -> _Histories:
        """The rows of all, one after the other."""
        return cls(
            user=pa.concat_arrays([each.user for each in several]),
            history=one_after_another([each.history for each in several]),
            times=np.concatenate([each.times for each in several]),
            signals={
                name: np.concatenate([each.signals[name] for each in several]) for name in several[0].signals
            },
            moved=sum(each.moved for each in several),
        )


def _read_history(file: RawFile, catalog: Catalog, problems: Problems) -> _Histories | None:
    before, base, read = len(problems), 0, []
    for batch in batches(file, _HISTORY, problems):
        made = _history(file, batch, base, catalog, problems)
        base += batch.num_rows
        if made is not None:
            read.append(made)
    if len(problems) > before or not read:
        return None
    histories = _Histories.joined(read)
    codes = flat(histories.user.dictionary_encode().indices)
    _, first = np.unique(codes, return_index=True)
    again = np.flatnonzero(first[codes] != np.arange(len(codes)))
    words = [f"user {histories.user[row]} is already in row {first[codes[row]] + 1}" for row in again[:20]]
    complain(file, again, "user_id", words, problems)
    return histories


def _history(
    file: RawFile, batch: pa.RecordBatch, base: int, catalog: Catalog, problems: Problems
) -> _Histories | None:
    before = len(problems)
    _refuse_nulls(file, batch, ("user_id",), base, problems)
    ids, lengths = list_values(batch["article_id_fixed"])
    moments, counts = list_values(batch["impression_time_fixed"])
    columns = {"impression_time_fixed": counts}
    signals = {}
    for name, column in _SIGNALS.items():
        if column in batch.schema.names:
            values, columns[column] = list_values(batch[column])
            signals[name] = floats(values)
        else:
            signals[name] = np.full(len(ids), np.nan, np.float32)
    for column, count in columns.items():
        uneven = np.flatnonzero(count != lengths)
        words = [f"{count[row]} values for {lengths[row]} articles" for row in uneven[:20]]
        complain(file, uneven + base, column, words, problems)
    for column, values, count in (
        ("article_id_fixed", ids, lengths),
        ("impression_time_fixed", moments, counts),
    ):
        wrong = owners_of(count, flat(values.is_null()))
        complain(file, np.flatnonzero(wrong) + base, column, "a value inside the list is missing", problems)
    if len(problems) > before:
        return None
    times = flat(seconds(moments))
    owner = np.repeat(np.arange(len(lengths)), lengths)
    order = np.lexsort((np.arange(len(times)), times, owner))
    moved = len(np.unique(owner[order != np.arange(len(order))]))
    return _Histories(
        user=pc.cast(batch["user_id"], pa.int64()),
        history=Ragged.from_lengths(catalog.rows(pc.cast(ids, pa.int64()))[order], lengths),
        times=times[order],
        signals={name: values[order] for name, values in signals.items()},
        moved=moved,
    )


@attrs.frozen(eq=False)
class _Behaviors:
    """Impressions, and what they say of users: user, time and a column per attribute, in any order."""

    log: Log
    people: pa.Table


def _read_log(
    file: RawFile, catalog: Catalog, problems: Problems, dropped: dict[str, int]
) -> _Behaviors | None:
    before, base, read = len(problems), 0, []
    for batch in batches(file, _BEHAVIORS, problems):
        made = _log(file, batch, base, catalog, problems, dropped)
        base += batch.num_rows
        if made is not None:
            read.append(made)
    if len(problems) > before or not read:
        return None
    log = join_logs([each.log for each in read])
    _, first, inverse = np.unique(log.impression, return_index=True, return_inverse=True)
    again = np.flatnonzero(first[inverse] != np.arange(len(inverse)))
    words = [f"{log.impression[row]} is already in row {first[inverse[row]] + 1}" for row in again[:20]]
    complain(file, again, "impression_id", words, problems)
    return _Behaviors(log, pa.concat_tables([each.people for each in read]))


def _log(
    file: RawFile,
    batch: pa.RecordBatch,
    base: int,
    catalog: Catalog,
    problems: Problems,
    dropped: dict[str, int],
) -> _Behaviors | None:
    before = len(problems)
    needed = ("impression_id", "impression_time", "user_id", "article_ids_inview", "article_ids_clicked")
    _refuse_nulls(file, batch, needed, base, problems)
    shown, lengths = list_values(batch["article_ids_inview"])
    clicked, clicks = list_values(batch["article_ids_clicked"])
    for column, values, count in (
        ("article_ids_inview", shown, lengths),
        ("article_ids_clicked", clicked, clicks),
    ):
        wrong = owners_of(count, flat(values.is_null()))
        complain(file, np.flatnonzero(wrong) + base, column, "a value inside the list is missing", problems)
    complain(
        file, np.flatnonzero(lengths == 0) + base, "article_ids_inview", "no article is in view", problems
    )
    if len(problems) > before:
        return None
    rows = catalog.rows(pc.cast(shown, pa.int64()))
    size = int(rows.max()) + 1
    row = np.repeat(np.arange(len(lengths)), lengths)
    # An id that was clicked and is not in view must not become an item by being looked up.
    place = flat(
        pc.fill_null(pc.index_in(pc.cast(clicked, pa.int64()), value_set=_every(catalog)), -1)
    ).astype(np.int64)
    owner = np.repeat(np.arange(len(clicks)), clicks)
    taken = np.where((place >= 0) & (place + 1 < size), owner * size + place + 1, -1)
    keys = row * size + rows
    # Sorted once: those that were clicked are few beside those in view.
    distinct, times = np.unique(taken, return_counts=True)
    at = np.minimum(np.searchsorted(distinct, keys), max(len(distinct) - 1, 0))
    labels = distinct[at] == keys if len(distinct) else np.zeros(len(keys), bool)
    in_view = np.zeros(len(distinct), bool)
    in_view[at[labels]] = True
    dropped["clicks_not_in_view"] += int(times[~in_view].sum())
    time = flat(seconds(batch["impression_time"]))
    user = pc.cast(batch["user_id"], pa.int64())
    log = Log(
        impression=flat(pc.cast(batch["impression_id"], pa.int64())),
        user=pa.chunked_array([pc.cast(user, TEXT)]),
        time=time,
        history=no_rows(len(lengths)),
        candidates=Ragged.from_lengths(rows, lengths),
        labels=labels.astype(np.int8),
        attributes=_context(batch),
        signals={"position": (flat_positions(np.zeros(len(lengths)), lengths) + 1).astype(np.float32)},
    )
    people = {name: pc.cast(_column(batch, name), TEXT) for name in _PEOPLE}
    return _Behaviors(log, pa.table({"user": user, "time": pa.array(time), **people}))


def _every(catalog: Catalog) -> pa.Array:
    return pa.concat_arrays([catalog.known, catalog.missing])


def _column(batch: pa.RecordBatch, name: str) -> pa.Array:
    if name not in batch.schema.names:
        return pa.nulls(batch.num_rows)
    values = batch[name]
    # Numbers that were written beside nulls by another tool came as floats.
    whole = pa.types.is_floating(values.type) and name not in {"read_time", "scroll_percentage"}
    return pc.cast(values, pa.int64(), safe=False) if whole else values


def _context(batch: pa.RecordBatch) -> pa.Table:
    """What is known of each impression beside user, time and candidates."""

    def category(values: pa.Array) -> pa.Array:
        return pc.cast(pc.cast(values, TEXT).dictionary_encode(), CATEGORY)

    def number(values: pa.Array) -> pa.Array:
        numbers = pc.cast(values, NUMBER)
        return pc.if_else(pc.is_finite(numbers), numbers, pa.scalar(None, NUMBER))

    def flag(name: str) -> pa.Array:
        return category(pc.if_else(pc.cast(_column(batch, name), pa.bool_()), "yes", "no"))

    page = pa.nulls(batch.num_rows, TEXT)
    if "article_id" in batch.schema.names:
        page = pc.if_else(batch["article_id"].is_null(), "front page", "article")
    return pa.table(
        {
            "device": category(_column(batch, "device_type")),
            "page": category(page),
            "read_time": number(_column(batch, "read_time")),
            "scroll": number(_column(batch, "scroll_percentage")),
            "subscriber": flag("is_subscriber"),
            "sso": flag("is_sso_user"),
        }
    )


def _refuse_nulls(
    file: RawFile, batch: pa.RecordBatch, names: Iterable[str], base: int, problems: Problems
) -> None:
    for name in names:
        if batch[name].null_count:
            rows = np.flatnonzero(flat(batch[name].is_null())) + base
            complain(file, rows, name, "a value is expected, nothing found", problems)


def _absent(folder: _Folder, missing: pa.Array) -> DataError:
    named = ", ".join([*map(str, missing[:5].to_pylist()), *(["…"] if len(missing) > 5 else [])])
    where = folder.articles.label if folder.articles else str(folder.root)
    what = f"lacks {len(missing)} articles that are in histories or in view: {named}"
    fix = 'use the articles.parquet of the same edition, or choose missing="drop" or missing="empty"'
    return DataError([Problem(where, what, fix)])


# --- users --------------------------------------------------------------------------------------------------------------------


def _without(histories: list[_Histories], known: int) -> tuple[list[_Histories], int]:
    """Histories without the items that are missing, and how many clicks that were."""
    inside = [each.history.values <= known for each in histories]
    gone = sum(int((~each).sum()) for each in inside)
    return [each.where(mask) for each, mask in zip(histories, inside, strict=True)], gone


def _share(
    parts: list[tuple[_Histories, pa.ChunkedArray]],
) -> tuple[_Histories, list[NDArray[np.int64]], NDArray[np.int64]]:
    """All histories; for each part the history of each of its impressions, whose users are given; and the length it has there.

    A history that is the beginning of another one of its user is not used where that one can be.
    """
    every: list[_Histories] = []
    rows: list[NDArray[np.int64]] = []
    for history, user in parts:
        ids = pc.cast(pc.cast(user, pa.int64()).combine_chunks(), pa.int64())
        ids = pa.concat_arrays(ids.chunks) if isinstance(ids, pa.ChunkedArray) else ids
        new = pc.unique(ids.filter(pc.invert(pc.is_in(ids, value_set=history.user))))
        nobody = _Histories(
            user=new,
            history=no_rows(len(new)),
            times=np.empty(0, np.int64),
            signals={name: np.empty(0, np.float32) for name in history.signals},
        )
        whole = _Histories.joined([history, nobody])
        base = sum(len(each.history) for each in every)
        rows.append(flat(pc.index_in(ids, value_set=whole.user)).astype(np.int64) + base)
        every.append(whole)
    joined = _Histories.joined(every)
    lengths = joined.history.lengths
    own = lengths[np.concatenate(rows)]
    if len(every) == 1:
        return joined, rows, own
    early = len(every[0].history)
    place = pc.index_in(every[1].user, value_set=every[0].user)
    second = np.flatnonzero(flat(place.is_valid()))
    first = flat(place.drop_null()).astype(np.int64)
    second = second + early
    common = np.minimum(lengths[first], lengths[second])
    here = flat_positions(joined.history.offsets[first], common)
    there = flat_positions(joined.history.offsets[second], common)
    differs = (joined.history.values[here] != joined.history.values[there]) | (
        joined.times[here] != joined.times[there]
    )
    same = np.bincount(np.repeat(np.arange(len(common)), common)[differs], minlength=len(common)) == 0
    instead = np.arange(len(lengths))
    longer = lengths[second] >= lengths[first]
    instead[first[same & longer]] = second[same & longer]
    instead[second[same & ~longer]] = first[same & ~longer]
    return joined, [instead[each] for each in rows], own


def _people(users: pa.Array, several: list[pa.Table]) -> dict[str, pa.Array]:
    """What the first impression of each user that says it, says."""
    table = pa.concat_tables(several)
    table = table.take(pc.sort_indices(table["time"]))
    found = {}
    for name in _PEOPLE:
        known = table.select(["user", name]).drop_null()
        user = known["user"].to_numpy()
        ids, first = np.unique(user, return_index=True)
        place = pc.index_in(users, value_set=pa.array(ids, pa.int64()))
        values = known[name].take(pa.array(first)).combine_chunks()
        values = pa.concat_arrays(values.chunks) if isinstance(values, pa.ChunkedArray) else values
        found[name] = pc.cast(values.take(place).dictionary_encode(), CATEGORY)
    return found
