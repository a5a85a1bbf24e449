"""PENS (Ao et al. 2021, https://aclanthology.org/2021.acl-long.7): impressions of Microsoft News, with the bodies of the news.

Reads the official archive in place, or the folder that it unpacks to.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

import attrs
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from lego.data.impressions.growing_log import GrowingLog
from lego.data.impressions.interactions import is_text, path_text
from lego.data.impressions.log import (
    Catalog,
    Log,
    drop_missing,
    join_logs,
    one_class,
    part_of_log,
)
from lego.data.impressions.parts import are_of, first_time, latest_as_dev
from lego.data.impressions.shared_histories import share_histories
from lego.data.problems import LIMIT, Problems
from lego.data.raw.growing import (
    MANY,
    Growing,
    blocks,
    filtered,
    on_disk,
    one_array,
    places_where,
    row_stretches,
    rows_taken,
)
from lego.data.raw.raw_file import RawFile, named
from lego.data.raw.tab_file import TabFile, ensure
from lego.data.raw.times import AMERICAN, seconds_of
from lego.data.source.pens_written import (
    COLUMNS,
    NAME,
    ids_in,
    read_written,
    show_among_unseen,
    without_titles,
)
from lego.data.table import CATEGORY, PARTS, Tables, flat, lists, ragged, signal
from lego.errors import DataError, Problem, SpecError
from lego.ragged import Ragged
from lego.spec import PATH, Choice, Source, between, field_names, ge, operator, without_later

_NEWS = ("News ID", "Category", "Topic", "Headline", "News body")
_LOG = ("UserID", "ClicknewsID", "dwelltime", "exposure_time", "pos", "neg", "start")
_FILES = ("news.tsv", "train.tsv", "valid.tsv")
_BETWEEN = "#TAB#"
_EVERY = 2**31 - 1
_DEV, _NEGATIVES = 0.1, 20


@operator
class PENS(Source):
    """News that users were shown, and which of them they clicked.

    - `path` holds news.tsv, train.tsv and valid.tsv, or is `PENS.zip`, or a folder that holds it.
    - An impression is a line; its number is that of the line behind the header (in personalized_test.tsv that of the news in
      the file, all lines counted). Its candidates are `pos`, the clicks, and `neg`;
      the files do not say in which order they were shown, so they stand in random order, drawn by `seed`. An id that is in both
      is a click, and counted.
    - valid.tsv is test; the latest `dev` share of train.tsv, by (start, line), rounded down but at least one, is dev.
    - `test="personalized"` reads personalized_test.tsv as test, valid.tsv as dev and all of train.tsv as train. In that file 103
      people chose headlines, which are their history, and then wrote headlines for 200 news each, whose texts they had read. Each
      of these news is an impression without a time: the news, label 1, among `negatives` others that the person neither chose nor
      wrote of, each as likely as the others, drawn by `seed`. What the person wrote is its attribute `written_title`, which the
      other parts have none of. The headlines of a line that has another number of them than of news are missing, and counted.
    - The history is that of the line, in its order. Its `dwell_time` (seconds) stands beside each click, nothing where a line has
      another number of them. Its times are kept where all lines have one for each click, in order and not later than the
      impression, and left out otherwise; the rules say which. Beside the personalized test, whose
      histories have none, they are always left out, of train and dev too. A history that another one of the same user continues
      shares its row, and what stands beside its clicks.
    - How long a click of the impression was read follows the click, and is not read.
    - An id of the log that news.tsv lacks is left out of histories and candidates and counted (`missing="drop"`, because the
      official files are known to lack some), is an error (`"error"`), or makes an item without text (`"empty"`). An impression
      that is left without candidates is left out and counted; one whose candidates are all clicked, or none of them, stays; the
      rules in the manifest count these.
    - Quotes are literal. Times are read as UTC.
    """

    reads: ClassVar[Mapping[str, int]] = {"title": 30, "category": 4}
    domain: ClassVar[str] = "news"
    language: ClassVar[str] = "English"
    holds: ClassVar[Mapping[str, Mapping[str, str]]] = {
        "items": {"title": "text", "body": "text", "category": "category", "topic": "category"},
        "impressions": {"written_title": "text"},
        "history": {"time": "time", "dwell_time": "number"},
    }
    attributes: ClassVar[tuple[str, ...]] = tuple(holds["items"])
    official_files: ClassVar[tuple[str, ...]] = (
        "PENS.zip (news.tsv, train.tsv, valid.tsv, personalized_test.tsv)",
    )
    url: ClassVar[str] = "https://msnews.github.io/pens.html"
    licence: ClassVar[str] = "Microsoft Research License Terms: non-commercial research; no redistribution"
    proven: ClassVar[str] = "format"

    path: str = attrs.field(kw_only=False, converter=path_text, metadata=PATH, validator=is_text)
    dev: float = attrs.field(default=_DEV, validator=between(0.0, 1.0))
    history: int = attrs.field(default=50, validator=ge(1))
    missing: Literal["drop", "error", "empty"] = "drop"
    seed: int = attrs.field(default=0, validator=ge(0))
    test: Literal["valid", "personalized"] = "valid"
    negatives: int = attrs.field(default=_NEGATIVES, validator=ge(1))

    def __attrs_post_init__(self) -> None:
        """An option that would do nothing is refused."""
        if any(isinstance(each, Choice) for each in (self.test, self.dev, self.negatives)):
            return
        if self.test == "personalized" and self.dev != _DEV:
            expected = 'nothing beside test="personalized": valid.tsv is dev'
            raise SpecError.wrong_value(type(self).__name__, "dev", self.dev, expected)
        if self.test == "valid" and self.negatives != _NEGATIVES:
            expected = 'nothing beside test="valid", whose candidates are those of the log'
            raise SpecError.wrong_value(type(self).__name__, "negatives", self.negatives, expected)

    def fingerprint(self) -> Mapping[str, Any]:
        """Every option but `path` and `history`; `version` counts changes of the rules above."""
        names = [name for name in field_names(type(self)) if name not in {"path", "history"}]
        later = ("test", "negatives") if self.test == "valid" else ()
        return without_later({"version": 2, **{name: getattr(self, name) for name in names}}, self, *later)

    def files(self) -> Iterable[Path]:
        """The files, or the archive, that are read; DataError with where to get them."""
        return list(dict.fromkeys(file.path for file in self._find()))

    def tables(self) -> Tables:
        """The tables of it, checked."""
        news, *parts = self._find()
        problems = Problems()
        items = _read_news(news, problems)
        known = pa.array([], pa.string()) if items is None else _one(items["item_id"])
        catalog = Catalog(known)
        generator = np.random.default_rng(self.seed)
        dropped = {"unclicked_candidates_that_are_also_clicked": 0}
        read = [_read_log(file, catalog, generator, dropped, problems) for file in parts[:2]]
        read += [_read_written(file, catalog, dropped, problems) for file in parts[2:]]
        problems.raise_any()
        assert items is not None  # it is None only where there is a problem
        logs = [each for each in read if each is not None]
        if self.test == "personalized":
            logs[:2] = [attrs.evolve(each, log=without_titles(each.log)) for each in logs[:2]]
        absent = len(catalog.missing)
        if self.missing == "error" and absent:
            raise _absent(parts, catalog, self.missing)
        if self.missing == "empty":
            nothing = [pa.nulls(absent, field.type) for field in items.schema if field.name != "item_id"]
            items = pa.concat_tables([items, pa.table([catalog.missing, *nothing], items.schema)])
            dropped["news_without_text"] = absent
            counts: dict[str, int] = {}
            left = drop_missing([each.log for each in logs], _EVERY, 0, counts)
            dropped["impressions_without_candidates"] = counts["impressions_without_candidates"]
        else:
            left = drop_missing([each.log for each in logs], items.num_rows, absent, dropped, "news")
        for file, log in zip(parts, left, strict=True):
            if not len(log.impression):
                problems.add(
                    file.label, "news.tsv has none of the candidates", "use the files of one edition"
                )
        problems.raise_any()
        beside = [each.beside(log, items.num_rows) for each, log in zip(logs, left, strict=True)]
        if self.test == "personalized":
            left[2] = show_among_unseen(left[2], items.num_rows, self.negatives, generator)
            for number in np.flatnonzero(left[2].candidates.lengths < 2)[:1]:
                what = f"impression {left[2].impression[number]} has no news to be shown among: its person met all of them"
                raise DataError([Problem(parts[2].label, what, "use the complete news.tsv")])
        return self._tables(items, left, beside, dropped).check()

    def _find(self) -> list[RawFile]:
        return _find(Path(self.path).expanduser(), (*_FILES, NAME) if self.test == "personalized" else _FILES)

    def _tables(
        self, items: pa.Table, logs: list[Log], beside: list[_Beside], dropped: dict[str, int]
    ) -> Tables:
        users, user, stop = share_histories(logs)
        log = join_logs(logs)
        history = ragged(users["history"])
        # The values beside a row of users are those of the first impression that has all of its history.
        first = _first_whole(history, user, stop)
        columns = {
            "dwell": one_array([each.dwell for each in beside]),
            "times": one_array([each.times for each in beside]),
        }
        _, taken = rows_taken(log.history.offsets, columns, first)
        times = Ragged(taken["times"], history.offsets)
        users = users.append_column("dwell_time", signal(Ragged(taken["dwell"], history.offsets)))
        told = _told(times, log.time, user, stop)
        if told is None:
            users = users.append_column("times", lists(times, pa.int64()))
        sizes, count = [len(each.impression) for each in logs], 0
        if self.test == "valid" and self.dev > 0:
            count = min(max(int(sizes[0] * self.dev + 1e-9), 1), sizes[0])
        parts = np.array([0, 2] if self.test == "valid" else [0, 1, 2], np.int8)
        part = latest_as_dev(log.time, log.impression, parts, sizes, count)
        impressions, single = {}, {}
        for number, name in enumerate(PARTS):
            here = are_of(part, number)
            rows = places_where(here)
            impressions[name] = part_of_log(log, rows, filtered(user, here), filtered(stop, here))
            single[name] = one_class(log, rows)
        rules: dict[str, Any] = {
            "click": "an id in pos",
            "split": f"valid.tsv is test; the latest {self.dev:g} of train.tsv, by start and then line, is dev"
            if self.test == "valid"
            else "train.tsv is train, valid.tsv is dev, personalized_test.tsv is test",
            "dev_begins": first_time(log.time, are_of(part, 1)),
            "history": "the whole history of the line, in its order",
            "history_times": told or "those of exposure_time",
            "users": "one row per history of a user; a history that is the beginning of another shares its row",
            "items": "all news",
            "candidates": f"pos and neg of the line, in random order; seed {self.seed}",
            "one_class": {name: dict(counts) for name, counts in single.items()},
            "missing": self.missing,
        }
        if self.test == "personalized":
            rules["click"] = "an id in pos; in personalized_test.tsv one in posnewID"
            rules["candidates"] += (
                f"; of personalized_test.tsv the news among {self.negatives} that the person did not meet, "
                "each as likely as the others"
            )
        return Tables(items=items, users=users, impressions=impressions, dropped=dropped, rules=rules)


def _first_whole(history: Ragged, user: NDArray[np.int32], stop: NDArray[np.int64]) -> NDArray[np.int64]:
    """The first impression that has seen all of each history."""
    first, lengths = np.full(len(history), -1), history.lengths
    for begin, end in blocks(len(user), MANY):
        whole = np.flatnonzero(stop[begin:end] == lengths[user[begin:end]])
        who, at = np.unique(user[begin:end][whole], return_index=True)
        first[who] = np.where(first[who] < 0, begin + whole[at], first[who])
    return first


def _told(
    times: Ragged, moment: NDArray[np.int64], user: NDArray[np.int32], stop: NDArray[np.int64]
) -> str | None:
    """Why the times of the histories are left out; None where they are kept."""
    unknown = backward = late = 0
    for begin, end in row_stretches(times.offsets):
        bounds = times.offsets[begin : end + 1]
        clicks = times.values[bounds[0] : bounds[-1]]
        inside = np.ones(len(clicks), bool)
        inside[bounds[:-1][np.diff(bounds) > 0] - bounds[0]] = False
        unknown += int((clicks < 0).sum())
        backward += int(((np.diff(clicks) < 0) & inside[1:]).sum())
    for begin, end in blocks(len(user), MANY):
        owner, seen = user[begin:end], stop[begin:end]
        some = seen > 0
        last = times.values[times.offsets[owner[some]] + seen[some] - 1]
        late += int((last > moment[begin:end][some]).sum())
    reasons = [
        f"{count} {what}"
        for count, what in (
            (unknown, "clicks have none"),
            (backward, "are earlier than the one before"),
            (late, "impressions are earlier than a click before them"),
        )
        if count
    ]
    return f"left out: {', '.join(reasons)}" if reasons else None


def _one(column: pa.ChunkedArray) -> pa.Array:
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)


# --- the files ----------------------------------------------------------------------------------------------------------------


def _find(root: Path, wanted: tuple[str, ...]) -> list[RawFile]:
    """news.tsv, train.tsv, valid.tsv, and personalized_test.tsv where it is wanted."""
    get = f"download PENS.zip from {PENS.url}, and give it, or the folder that it unpacks to"
    if not root.exists():
        raise DataError([Problem(str(root), "there is no such file or folder", get)])
    if root.is_dir() and not any((root / name).is_file() for name in _FILES):
        inside = [root / name for name in ("PENS", "PENS.zip") if (root / name).exists()]
        if not inside:
            raise DataError([Problem(str(root), "holds neither news.tsv nor PENS.zip", get)])
        root = inside[0]
    if root.is_file() and root.suffix.lower() != ".zip":
        raise DataError([Problem(str(root), "is a file, a folder or a zip is expected", get)])
    problems = Problems()
    found = []
    for name in wanted:
        if root.is_dir():
            there = [RawFile(root / name)] if (root / name).is_file() else []
        else:
            before = len(problems)
            there = named(root, name, problems)
            if len(problems) > before:
                break
        if len(there) == 1:
            found += there
        else:
            what = "is there more than once" if there else "there is no such file"
            problems.add(str(root / name), what, get)
    problems.raise_any()
    return found


def _read_news(file: RawFile, problems: Problems) -> pa.Table | None:
    blocks: list[pa.RecordBatch] = []

    def take(block: pa.RecordBatch) -> None:
        ensure(_all_match(block["News ID"], r"^\S+$"), "an id is empty or holds a blank")
        blocks.append(block)

    def complaints(row: Mapping[str, str]) -> Iterator[tuple[str, str]]:
        if len(row["News ID"].split()) != 1 or row["News ID"].split()[0] != row["News ID"]:
            yield "News ID", f"an id without blanks is expected, {row['News ID']!r} found"

    rows = TabFile(file, _NEWS)
    if not rows.read(take, problems, complaints, "News ID"):
        return None
    table = pa.Table.from_batches(blocks)
    if pc.count_distinct(table["News ID"]).as_py() < table.num_rows:
        rows.complain(problems, complaints, "News ID")
        return None
    columns = {
        "item_id": _one(table["News ID"]),
        "title": _one(table["Headline"]),
        "body": _one(table["News body"]),
    }
    for attribute, name in (("category", "Category"), ("topic", "Topic")):
        words = _one(table[name])
        words = pc.if_else(pc.equal(words, ""), pa.scalar(None, pa.string()), words)
        columns[attribute] = pc.cast(words.dictionary_encode(), CATEGORY)
    return pa.table(columns)


@attrs.frozen(eq=False)
class _Beside:
    """Numbers of each click of the histories, flat."""

    dwell: NDArray[np.float32]
    times: NDArray[np.int64]
    """Unix seconds; -1 where there is none."""


@attrs.frozen(eq=False)
class _Lines:
    """A log as it was read, and what stands beside the clicks of its histories."""

    log: Log
    values: _Beside

    def beside(self, left: Log, items: int) -> _Beside:
        """What stands beside the clicks of the impressions and items that are left."""
        numbers, history = self.log.impression, self.log.history
        rows = on_disk(
            len(left.impression),
            np.int64,
            lambda begin, end: np.searchsorted(numbers, left.impression[begin:end]),
        )
        columns = {"item": history.values, "dwell": self.values.dwell, "times": self.values.times}
        _, taken = rows_taken(history.offsets, columns, rows)
        item = taken["item"]
        inside = on_disk(len(item), np.bool_, lambda begin, end: item[begin:end] <= items)
        return _Beside(filtered(taken["dwell"], inside), filtered(taken["times"], inside))


def _read_log(
    file: RawFile,
    catalog: Catalog,
    generator: np.random.Generator,
    dropped: dict[str, int],
    problems: Problems,
) -> _Lines | None:
    read, dwell, times = GrowingLog(), Growing(np.float32), Growing(np.int64)

    def take(block: pa.RecordBatch) -> None:
        lines = _lines(block, read.impressions, catalog, generator, dropped)
        read.add(lines.log)
        dwell.add(lines.values.dwell)
        times.add(lines.values.times)

    if not TabFile(file, _LOG).read(take, problems, _wrong):
        return None
    return _Lines(read.log(), _Beside(dwell.array(), times.array()))


def _read_written(
    file: RawFile, catalog: Catalog, dropped: dict[str, int], problems: Problems
) -> _Lines | None:
    log = read_written(file, catalog, dropped, problems)
    if log is None:
        return None
    clicks = len(log.history.values)
    return _Lines(log, _Beside(np.full(clicks, np.nan, np.float32), np.full(clicks, -1, np.int64)))


def _wrong(row: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    if len(row["UserID"].split()) != 1:
        yield "UserID", f"an id without blanks is expected, {row['UserID']!r} found"
    if not seconds_of(pa.array([row["start"].strip()]), AMERICAN)[1].all():
        yield "start", f"a time like 7/3/2019 6:43:49 AM is expected, {row['start']!r} found"


def _lines(
    block: pa.RecordBatch,
    base: int,
    catalog: Catalog,
    generator: np.random.Generator,
    dropped: dict[str, int],
) -> _Lines:
    user = pc.utf8_trim_whitespace(block["UserID"])
    ensure(_all_match(user, r"^\S+$"), "an id is empty or holds a blank")
    time, good = seconds_of(pc.utf8_trim_whitespace(block["start"]), AMERICAN)
    ensure(bool(good.all()), "a time has another form")
    ids, lengths = _words(block["ClicknewsID"])
    history = Ragged.from_lengths(catalog.rows(ids), lengths)
    taken, clicks = _words(block["pos"])
    passed, others = _words(block["neg"])
    row = np.concatenate([np.repeat(np.arange(len(each)), each) for each in (clicks, others)])
    item = np.concatenate([catalog.rows(taken), catalog.rows(passed)])
    label = np.repeat(np.array([1, 0], np.int8), [len(taken), len(passed)])
    key = row * (int(item.max(initial=0)) + 1) + item
    both = (label == 0) & np.isin(key, key[label == 1])
    dropped["unclicked_candidates_that_are_also_clicked"] += int(both.sum())
    order = np.argsort(row, kind="stable")
    # Drawn line after line: where a block of the file ends has no part in it.
    order = order[np.lexsort((generator.random(len(row)), row[order]))]
    order = order[~both[order]]
    numbers = np.arange(block.num_rows, dtype=np.int64) + base + 1
    log = Log(
        impression=numbers,
        user=pa.chunked_array([user]),
        time=time,
        history=history,
        candidates=Ragged.from_lengths(item[order], np.bincount(row[order], minlength=block.num_rows)),
        labels=label[order],
    )
    return _Lines(log, _Beside(_dwell(block["dwelltime"], lengths), _times(block["exposure_time"], lengths)))


def _dwell(column: pa.Array, lengths: NDArray[np.int64]) -> NDArray[np.float32]:
    words, counts = _words(column)
    known = pc.match_substring_regex(words, r"^\d{1,18}(\.\d+)?$")
    numbers = flat(pc.cast(pc.if_else(known, words, "nan"), pa.float32()))
    return _aligned(numbers, counts, lengths, np.float32("nan"))


def _times(column: pa.Array, lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    full = flat(pc.not_equal(pc.utf8_trim_whitespace(column), "")).astype(np.int64)
    split = pc.split_pattern(column, _BETWEEN)
    words = pc.utf8_trim_whitespace(split.flatten())
    counts = flat(pc.list_value_length(split)).astype(np.int64) * full
    words = words.filter(pa.array(np.repeat(full == 1, flat(pc.list_value_length(split)))))
    seconds, good = seconds_of(words, AMERICAN)
    return _aligned(np.where(good, seconds, -1), counts, lengths, np.int64(-1))


def _aligned(
    values: NDArray[Any], counts: NDArray[np.int64], lengths: NDArray[np.int64], instead: Any
) -> NDArray[Any]:
    """The values of the lines that have one for each click; `instead` for the clicks of the others."""
    fits = counts == lengths
    result = np.full(int(lengths.sum()), instead, values.dtype)
    result[np.repeat(fits, lengths)] = values[np.repeat(fits, counts)]
    return result


def _words(column: pa.Array) -> tuple[pa.Array, NDArray[np.int64]]:
    """The blank separated words of all cells one after the other, and how many each cell has."""
    trimmed = pc.utf8_trim_whitespace(column)
    split = pc.split_pattern_regex(trimmed, r"\s+")
    words = split.flatten()
    full = flat(pc.not_equal(trimmed, "")).astype(np.int64)  # an empty cell splits into one empty word
    return words.filter(pc.not_equal(words, "")), flat(pc.list_value_length(split)).astype(np.int64) * full


def _all_match(column: pa.Array, pattern: str) -> bool:
    return bool(pc.all(pc.match_substring_regex(column, pattern), min_count=0).as_py())


def _absent(files: list[RawFile], catalog: Catalog, missing: str) -> DataError:
    """Where the first of them stand for the first time."""
    absent = set(catalog.missing.to_pylist())
    fix = f'use the files of one edition, or choose missing="drop" or "empty" instead of {missing!r}'
    problems = []
    for file in files:
        names = COLUMNS if file.name == NAME else _LOG
        read = COLUMNS[1:3] if file.name == NAME else ("ClicknewsID", "pos", "neg")
        for number, row in TabFile(file, names).records():
            assert not isinstance(row, Problem)  # the file was read before
            for column in read:
                for news in ids_in(row, column) if file.name == NAME else row[column].split():
                    if news not in absent:
                        continue
                    absent.discard(news)
                    where = f"{file.label} line {number}, column {column}"
                    problems.append(Problem(where, f"news.tsv does not have {news}", fix))
                    if len(problems) == LIMIT or not absent:
                        return DataError(problems, more=len(absent))
    return DataError(problems, more=len(absent))
