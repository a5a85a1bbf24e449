"""MIND (Wu et al. 2020, https://aclanthology.org/2020.acl-main.331): impressions of Microsoft News, with texts of the news.

Reads the official archives of MINDsmall, MINDlarge and MINDdemo, or the folders that they unpack to.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

import attrs
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
from numpy.typing import NDArray

from lego.data.impressions.growing_log import GrowingLog
from lego.data.impressions.log import (
    Catalog,
    Log,
    drop_missing,
    one_class,
    part_of_log,
)
from lego.data.impressions.shared_histories import share_histories
from lego.data.problems import LIMIT, Problems
from lego.data.progress import count
from lego.data.raw.bounded import lines_of
from lego.data.raw.paced import paced_csv
from lego.data.raw.raw_file import BROKEN, RawFile, broken
from lego.data.raw.raw_file import named as named_in_zip
from lego.data.raw.repeats import Repeats
from lego.data.raw.times import AMERICAN, seconds_of
from lego.data.source.mind_lines import read_lines
from lego.data.table import CATEGORY, PARTS, Tables, flat
from lego.errors import DataError, Problem, SpecError
from lego.ragged import Ragged
from lego.spec import PATH, Choice, Source, between, field_names, ge, operator, without_later

_NEWS = ("id", "category", "subcategory", "title", "abstract", "url", "title entities", "abstract entities")
_BEHAVIORS = ("impression id", "user id", "time", "history", "impressions")
_NEWS_READ = ("id", "title", "abstract", "category", "subcategory")
_BLOCK = 1 << 24
"""Bytes of a file that are read at a time."""

_FOLDER = re.compile(r"(?:(mind[a-z]*)_)?(train|dev|test)(?:\.zip)?", re.IGNORECASE)
_FILES = ("news.tsv", "behaviors.tsv")
_WORD = r"^\S+$"
_HISTORY = r"^(\S+( \S+)*)?$"
_SHOWN = r"^\S+-[01]( \S+-[01])*$"
_UNLABELED = r"^\S+( \S+)*$"
_LABEL = r"-[01]( |$)"
_DEV = 0.1
_COMPARE = "compare the line with the official file, which is tab separated and has no header"


def _path_text(value: str | os.PathLike[str]) -> str:
    return os.fspath(value) if isinstance(value, os.PathLike) else value


def _is_text(instance: object, attribute: Any, value: str) -> None:
    if not isinstance(value, str):
        raise SpecError.wrong_value(type(instance).__name__, attribute.name, value, "the path of a folder")


def refuse_share_beside_test(spec: str, dev: float, test: str) -> None:
    """SpecError where dev would be a share of train, and is a folder."""
    if test == "test" and dev != _DEV and not isinstance(dev, Choice):
        raise SpecError.wrong_value(spec, "dev", dev, 'nothing beside test="test": the dev folder is dev')


@operator
class MIND(Source):
    """News that users were shown, and which of them they clicked.

    - `path` holds two folders, each with news.tsv and behaviors.tsv as they were unpacked: `MINDsmall_train` and
      `MINDsmall_dev` (or MINDlarge, MINDdemo), or `train` and `dev`. An archive (`MINDsmall_train.zip`) does as well: it is read
      in place. Where a folder and its archive are both there, the folder is read.
    - An impression, its candidates, their order and their labels are those of the log. The dev folder serves as test. The
      latest `dev` share of the train folder's impressions by (time, impression id), rounded down but at least one, are the dev
      part; a share of 0 makes none. The rules in the manifest name the time of the first of them.
    - `test="test"` reads a third folder, MINDlarge_test, as test: the file whose ranks the leaderboard of MIND measures. The dev
      folder is then dev, and the train folder train, all of it. The candidates of that file have no labels (-0, -1), so the part
      can be scored, and not measured: `lego evaluate RUN --submission prediction.zip`. Where they have labels, they are read.
    - `listed="mind_imp_list.json"` names a published list of impression ids of the dev folder, as ONCE has: the impressions of
      its first half, rounded down, are dev, those of the second test, and the train folder is train, all of it. Impressions that
      it lacks are left out and counted; ids that the log lacks are passed over.
    - The history of an impression is the whole history of its row, in click order. `history` cuts it to the most recent
      items when the data is read, and changes nothing that is prepared.
    - A user with several histories, in one file or in both, is one row of users per history. A history that another one of
      the same user continues shares its row.
    - The items are the news of the train folder and then those of the other folders that it lacks. Where two have different
      texts for an id, that of the earlier folder is kept, and the id is counted. An id that stands twice in one file is an error.
    - An id of the log that no news.tsv has is an error (`missing="error"`), is left out of histories and candidates and
      counted (`"drop"`), or makes an item without text (`"empty"`). A candidate without labels is never left out, since the
      leaderboard wants a rank for each: there `"drop"` is an error. An impression that is left without candidates is left out
      and counted. One whose candidates are all clicked, or none of them, stays; the rules in the manifest count these.
    - Times are read as UTC.
    """

    reads: ClassVar[Mapping[str, int]] = {"title": 30, "category": 4}
    domain: ClassVar[str] = "news"
    language: ClassVar[str] = "English"
    holds: ClassVar[Mapping[str, Mapping[str, str]]] = {
        "items": {"title": "text", "abstract": "text", "category": "category", "subcategory": "category"},
    }
    attributes: ClassVar[tuple[str, ...]] = tuple(holds["items"])
    official_files: ClassVar[tuple[str, ...]] = (
        "MINDsmall_train.zip (news.tsv, behaviors.tsv)",
        "MINDsmall_dev.zip (news.tsv, behaviors.tsv)",
    )
    url: ClassVar[str] = "https://msnews.github.io"
    licence: ClassVar[str] = "Microsoft Research License Terms: non-commercial research; no redistribution"
    proven: ClassVar[str] = "real rows"

    path: str = attrs.field(kw_only=False, converter=_path_text, metadata=PATH, validator=_is_text)
    dev: float = attrs.field(default=_DEV, validator=between(0.0, 1.0))
    history: int = attrs.field(default=50, validator=ge(1))
    missing: Literal["error", "drop", "empty"] = "error"
    test: Literal["dev", "test"] = "dev"
    listed: str | None = attrs.field(
        default=None, converter=attrs.converters.optional(_path_text), metadata=PATH
    )

    def __attrs_post_init__(self) -> None:
        """The dev part is the dev folder where another one is test."""
        refuse_share_beside_test(type(self).__name__, self.dev, self.test)
        if self.listed is not None and (self.test == "test" or self.dev != _DEV):
            expected = "None beside test or dev: it says itself what is dev and what is test"
            raise SpecError.wrong_value(type(self).__name__, "listed", self.listed, expected)

    def fingerprint(self) -> Mapping[str, Any]:
        """Every option but `path` and `history`; `version` counts changes of the rules above."""
        names = [name for name in field_names(type(self)) if name not in {"path", "history", "listed"}]
        told = without_later({"version": 1, **{name: getattr(self, name) for name in names}}, self, "test")
        # The list is one of the files, whose hashes count.
        return told if self.listed is None else {**told, "listed": True}

    def files(self) -> Iterable[Path]:
        """news.tsv and behaviors.tsv of train, then of dev and of test, or their archives; DataError with where to get them."""
        found = dict.fromkeys(file.path for file in self.raw_files())
        if self.listed is not None:
            found[_list_file(self.listed)] = None
        return list(found)

    def raw_files(self) -> list[RawFile]:
        """news.tsv and behaviors.tsv of train, then of dev, then, if it is read, of test; DataError with where to get them."""
        problems = Problems()
        fix = f"unpack the complete archive; it is had from {self.url}"
        found = []
        for place in _find(Path(self.path).expanduser(), self._folders):
            for name in _FILES:
                if place.is_dir():
                    there = [RawFile(place / name)] if (place / name).is_file() else []
                else:
                    before = len(problems)
                    there = named_in_zip(place, name, problems)
                    if len(problems) > before:
                        break
                if len(there) == 1:
                    found += there
                elif there:
                    listed = ", ".join(each.member for each in there)
                    problems.add(str(place), f"holds several: {listed}", "use the official archive")
                else:
                    problems.add(str(place / name), "there is no such file", fix)
        problems.raise_any()
        return found

    def tables(self) -> Tables:
        """The tables of it, checked."""
        return self.read(lambda items, dropped: items).check()

    def read(self, change: Callable[[pa.Table, dict[str, int]], pa.Table]) -> Tables:
        """The tables of it, where `change` may give the news of all files other texts, more rows or fewer."""
        files = self.raw_files()
        news_files, log_files = files[::2], files[1::2]
        problems = Problems()
        read = [_read_news(file, problems) for file in news_files]
        news = [each for each in read if each is not None]
        dropped: dict[str, int] = {}
        items = None
        if len(news) == len(read):
            items, dropped["news_with_other_text"] = _merge_news(news)
            items = change(items, dropped)
        known = pa.array([], pa.string()) if items is None else items["item_id"].combine_chunks()
        catalog = Catalog(pa.concat_arrays(known.chunks) if isinstance(known, pa.ChunkedArray) else known)
        labeled = [
            folder != "test" or _labeled(file) for folder, file in zip(self._folders, log_files, strict=True)
        ]
        logs = [
            _read_log(file, catalog, problems, labeled=has)
            for file, has in zip(log_files, labeled, strict=True)
        ]
        problems.raise_any()
        assert items is not None  # it is None only where there is a problem
        found = [log for log in logs if log is not None]
        if self.missing == "error" and len(catalog.missing):
            raise _missing_news(catalog.missing, log_files, labeled)
        absent = len(catalog.missing)
        if self.missing == "empty":
            nothing = [pa.nulls(absent, field.type) for field in items.schema if field.name != "item_id"]
            items = pa.concat_tables([items, pa.table([catalog.missing, *nothing], items.schema)])
            dropped["news_without_text"] = dropped.get("news_without_text", 0) + absent
        if self.missing == "drop":
            for file, log, has in zip(log_files, found, labeled, strict=True):
                shown = log.candidates.values
                lost = np.unique(shown[shown > items.num_rows]) if absent and not has else shown[:0]
                if len(lost):  # whoever ranks them is asked for all
                    ids = catalog.missing.take(pa.array(lost - items.num_rows - 1))
                    raise _missing_news(ids, [file], [False], columns=("impressions",))
            found = drop_missing(found, items.num_rows, absent, dropped, "news")
            for file, log in zip(log_files, found, strict=True):
                if not len(log.impression):
                    problems.add(
                        file.label,
                        "no news.tsv has any of the candidates",
                        "use the news.tsv of the same edition",
                    )
            problems.raise_any()
        return self._tables(items, found, dropped, unlabeled=not all(labeled))

    @property
    def _folders(self) -> tuple[str, ...]:
        """The folders that are read, in their order."""
        return ("train", "dev") if self.test == "dev" else ("train", "dev", "test")

    def _tables(
        self, items: pa.Table, logs: list[Log], dropped: dict[str, int], *, unlabeled: bool
    ) -> Tables:
        users, user, stop = share_histories(logs)
        begins = np.cumsum([0, *(len(log.impression) for log in logs)])
        train, *_, test = logs
        early = len(train.impression)
        moved = np.zeros(early, bool)
        if early and self.test == "dev":
            count = int(np.floor(early * self.dev + 1e-9))
            count = min(max(count, 1), early) if self.dev > 0 else 0
            moved[_latest(train, count)] = True
        chosen = {
            "train": (train, np.flatnonzero(~moved), 0),
            "dev": (train, np.flatnonzero(moved), 0),
            "test": (test, np.arange(len(test.impression)), int(begins[-2])),
        }
        if self.listed is not None:
            halves = _halves(self.listed, test)
            dropped["impressions_not_listed"] = len(test.impression) - sum(map(len, halves))
            moved[:] = False
            chosen["train"], chosen["dev"] = (train, np.arange(early), 0), (test, halves[0], early)
            chosen["test"] = (test, halves[1], early)
        if self.test == "test":
            chosen["dev"] = (logs[1], np.arange(len(logs[1].impression)), early)
        impressions: dict[str, pa.Table] = {}
        single = {}
        for part in PARTS:
            log, rows, base = chosen[part]
            impressions[part] = part_of_log(log, rows, user[rows + base], stop[rows + base])
            if part != "test" or not unlabeled:
                single[part] = one_class(log, rows)
        cut = str(np.datetime64(int(train.time[moved].min()), "s")) + "Z" if moved.any() else "none"
        return Tables(
            items=items,
            users=users,
            impressions=impressions,
            dropped=dropped,
            rules=self._rules(cut, single),
            unlabeled=("test",) if unlabeled else (),
        )

    def _rules(self, cut: str, single: Mapping[str, Mapping[str, int]]) -> dict[str, Any]:
        split = f"the dev folder is test; the latest {self.dev:g} of train, by time and then impression id, is dev"
        told = {"split": split, "dev_begins": cut}
        if self.listed is not None:
            told = {
                "split": "the impressions of the dev folder in the first half of the list are dev, in the second test"
            }
        if self.test == "test":
            told = {"split": "each folder is the part of its name"}
        return {
            "click": "label 1",
            **told,
            "history": "the whole history of the row, in click order",
            "users": "one row per history of a user; a history that is the beginning of another shares its row",
            "items": "the news of the train folder, then those that only "
            + ("the dev folder has" if self.test == "dev" else "dev has, then those that only test has")
            + "; the first text of an id is kept",
            "candidates": "those of the log, in its order",
            "one_class": {part: dict(counts) for part, counts in single.items()},
            "missing": self.missing,
        }


def _list_file(listed: str) -> Path:
    file = Path(listed).expanduser()
    if not file.is_file():
        raise DataError([Problem(str(file), "there is no such file", "name the JSON file of impression ids")])
    return file


def _halves(listed: str, log: Log) -> list[NDArray[np.int64]]:
    """The rows of the log whose impressions are in the first half of the list, and in the second."""
    file = _list_file(listed)
    fix = "use the published file: a JSON list of impression ids of the dev folder, each once"
    try:
        ids = json.loads(file.read_bytes())
    except (ValueError, RecursionError) as failure:
        raise DataError([Problem(str(file), f"is no JSON: {failure}", fix)]) from None
    if not isinstance(ids, list) or not all(type(each) is int and 0 <= each < 1 << 63 for each in ids):
        raise DataError([Problem(str(file), "is no list of whole numbers", fix)])
    if len(set(ids)) < len(ids):
        raise DataError([Problem(str(file), f"holds {len(ids) - len(set(ids))} ids twice", fix)])
    middle = len(ids) // 2
    parts = [np.array(half, np.int64) for half in (ids[:middle], ids[middle:])]
    found = [np.flatnonzero(np.isin(log.impression, half)) for half in parts]
    if not all(map(len, found)):
        raise DataError([Problem(str(file), "holds a half of which the dev folder has no impression", fix)])
    return found


# --- the folders --------------------------------------------------------------------------------------------------------------


def _find(root: Path, wanted: tuple[str, ...]) -> list[Path]:
    """The folders, or archives, of train and dev, and of test where it is wanted."""
    get = f"download train and dev of MINDsmall or MINDlarge from {MIND.url}, and give the folder that both are in"
    if "test" in wanted:
        get = (
            f"download train, dev and test of MINDlarge from {MIND.url}, and give the folder that all are in"
        )
    if not root.exists():
        raise DataError([Problem(str(root), "there is no such folder", get)])
    if not root.is_dir():
        fix = "unpack it, and give the folder that holds train and dev"
        raise DataError([Problem(str(root), "is a file, a folder is expected", fix)])
    if (root / "behaviors.tsv").is_file():
        what = "is the folder of one part, and both train and dev are needed"
        raise DataError([Problem(str(root), what, f"give the folder that holds both: {root.parent}")])
    found: dict[str, dict[str, Path]] = {}
    # Folders come behind archives, so that of the two the folder is read.
    for place in sorted(root.iterdir(), key=lambda each: (each.is_dir(), each.name)):
        form = _FOLDER.fullmatch(place.name)
        if form and place.is_dir() != (place.suffix.lower() == ".zip"):
            found.setdefault((form[1] or "").lower(), {})[form[2].lower()] = place
    whole = [parts for parts in found.values() if all(part in parts for part in wanted)]
    if len(whole) == 1:
        return [whole[0][part] for part in wanted]
    names = ", ".join(sorted(folder.name for parts in found.values() for folder in parts.values()))
    if whole:
        what = f"holds more than one edition: {names}"
        raise DataError([Problem(str(root), what, "give a folder that holds one train and one dev")])
    what = f"holds {names}, and one folder of {' and one of '.join(wanted)} of the same edition are expected"
    if not found:
        what = "holds no folder MINDsmall_train, MINDlarge_train, MINDdemo_train or train"
        inside = sorted(path.parent for path in root.glob("*/*") if _FOLDER.fullmatch(path.name))
        if inside:
            get = f"give the folder that does: {inside[0]}"
    raise DataError([Problem(str(root), what, get)])


# --- the files ----------------------------------------------------------------------------------------------------------------


class _MalformedError(Exception):
    """A block of a file that holds something else than it should."""


def _blocks(
    file: RawFile, names: tuple[str, ...], types: Mapping[str, pa.DataType]
) -> Iterator[pa.RecordBatch]:
    """The columns of `types`, block after block."""
    with (
        file.open() as opened,
        paced_csv(
            opened,
            read_options=pyarrow.csv.ReadOptions(column_names=list(names), block_size=_BLOCK),
            parse_options=pyarrow.csv.ParseOptions(delimiter="\t", quote_char=False),
            convert_options=pyarrow.csv.ConvertOptions(
                column_types=dict(types), include_columns=list(types), null_values=[]
            ),
        ) as reader,
    ):
        for block in reader:
            count(block.num_rows, block.nbytes)
            yield block


def _ensure(holds: bool, reason: str) -> None:  # noqa: FBT001 - it reads as a sentence
    if not holds:
        raise _MalformedError(reason)


def _all_match(column: pa.Array, pattern: str) -> bool:
    return pc.all(pc.match_substring_regex(column, pattern), min_count=0).as_py()


def _read_news(file: RawFile, problems: Problems) -> pa.Table | None:
    """The columns that are kept; None where something is wrong, which is then among the problems."""
    try:
        table = pa.Table.from_batches(list(_blocks(file, _NEWS, dict.fromkeys(_NEWS_READ, pa.string()))))
        _ensure(_all_match(table["id"], _WORD), "an id is empty or holds a blank")
        _ensure(pc.count_distinct(table["id"]).as_py() == table.num_rows, "an id stands twice")
    except (pa.ArrowInvalid, _MalformedError) as failure:
        _say(file, _wrong_news(file), str(failure), problems)
        return None
    except BROKEN as failure:
        broken(file, failure, problems)
        return None
    return table


def _labeled(file: RawFile) -> bool:
    """Whether candidates of the first line that is not empty have labels; so where none can be read, which is said elsewhere."""
    try:
        with file.open() as opened:
            first = next((line for line in lines_of(opened) if line.strip()), b"")
    except BROKEN:
        return True
    *_, shown = first.decode("utf-8", "replace").rstrip("\r\n").split("\t")
    return not shown or any(re.search(_LABEL, word) for word in shown.split(" "))


def _read_log(file: RawFile, catalog: Catalog, problems: Problems, *, labeled: bool) -> Log | None:
    types = {"impression id": pa.int64(), **dict.fromkeys(_BEHAVIORS[1:], pa.string())}
    try:
        log = read_lines(file, catalog, labeled=labeled)
        if log is None:
            log = GrowingLog.of(
                _block(block, catalog, labeled=labeled) for block in _blocks(file, _BEHAVIORS, types)
            )
        _ensure(not len(Repeats.of(log.impression).rows), "an impression id stands twice")
    except (pa.ArrowInvalid, _MalformedError) as failure:
        _say(file, _wrong_log(file, labeled=labeled), str(failure), problems)
        return None
    except BROKEN as failure:
        broken(file, failure, problems)
        return None
    return log


def _block(block: pa.RecordBatch, catalog: Catalog, *, labeled: bool) -> Log:
    impression, user, time, history, shown = (block[name] for name in _BEHAVIORS)
    for column, pattern in ((user, _WORD), (history, _HISTORY), (shown, _SHOWN if labeled else _UNLABELED)):
        _ensure(_all_match(column, pattern), f"a value does not have the form {pattern}")
    if not labeled:
        marked = pc.match_substring_regex(shown, _LABEL)
        _ensure(
            not pc.any(marked, min_count=0).as_py(),
            "a candidate has a label, and those of the first line have none",
        )
    numbers = flat(impression)
    _ensure(bool((numbers >= 0).all()), "an impression id is negative")
    ids, lengths = _words(history)
    clicks = Ragged.from_lengths(catalog.rows(ids), lengths)
    marked, lengths = _words(shown)
    labels = flat(pc.ends_with(marked, "-1")).astype(np.int8) if labeled else np.zeros(len(marked), np.int8)
    named = pc.utf8_slice_codeunits(marked, 0, -2) if labeled else marked
    candidates = Ragged.from_lengths(catalog.rows(named), lengths)
    return Log(
        impression=numbers,
        user=pa.chunked_array([user]),
        time=_seconds(time),
        history=clicks,
        candidates=candidates,
        labels=labels,
    )


def _words(column: pa.Array) -> tuple[pa.Array, NDArray[np.int64]]:
    """The blank separated words of all cells one after the other, and how many each cell has."""
    split = pc.split_pattern(column, " ")
    words = split.flatten()
    full = flat(pc.not_equal(column, "")).astype(np.int64)  # an empty cell splits into one empty word
    return words.filter(pc.not_equal(words, "")), flat(pc.list_value_length(split)) * full


def _seconds(column: pa.Array) -> NDArray[np.int64]:
    """Unix seconds of each time as UTC."""
    seconds, good = seconds_of(column, AMERICAN)
    _ensure(bool(good.all()), "a time has another form, or there is no such time")
    return seconds


# --- what is wrong in a file, line by line ------------------------------------------------------------------------------------


def _say(file: RawFile, found: Iterable[Problem], reason: str, problems: Problems) -> None:
    before = len(problems)
    try:
        problems.extend(found)
    except BROKEN as failure:  # what is wrong stands before the place where it breaks off
        broken(file, failure, problems)
    if len(problems) == before:
        problems.add(file.label, reason, "compare the file with the official one")


def _lines(file: RawFile) -> Iterator[tuple[int, str | Problem]]:
    """Number and text of each line that is not empty; or what is wrong with it."""
    with file.open() as opened:
        for number, raw in enumerate(lines_of(opened), 1):
            try:
                line = raw.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
            except UnicodeDecodeError as failure:
                what = f"byte {failure.start + 1} of the line, 0x{raw[failure.start]:02x}, is not UTF-8"
                yield number, Problem(f"{file.label} line {number}", what, "save the file as UTF-8")
            else:
                if line:
                    yield number, line


def _records(file: RawFile, names: tuple[str, ...]) -> Iterator[tuple[int, list[str] | Problem]]:
    some = False
    for number, line in _lines(file):
        some = True
        if isinstance(line, Problem):
            yield number, line
            continue
        fields = line.split("\t")
        if len(fields) == len(names):
            yield number, fields
            continue
        what = f"{len(names)} columns are expected, {len(fields)} found"
        yield number, Problem(f"{file.label} line {number}", what, _COMPARE)
    if not some:
        yield 0, Problem(file.label, "is empty", "put the complete file in its place")


def _wrong_news(file: RawFile) -> Iterator[Problem]:
    first: dict[str, int] = {}
    for number, fields in _records(file, _NEWS):
        if isinstance(fields, Problem):
            yield fields
            continue
        news = fields[0]
        where = f"{file.label} line {number}, column id"
        if not re.match(_WORD, news, re.ASCII):
            yield Problem(where, f"an id without blanks is expected, {news!r} found", _COMPARE)
        elif first.setdefault(news, number) < number:
            yield Problem(where, f"{news} is already in line {first[news]}", "keep one of the lines")


def _wrong_log(file: RawFile, *, labeled: bool) -> Iterator[Problem]:
    first: dict[int, int] = {}
    unlabelled: list[int] = []
    for number, fields in _records(file, _BEHAVIORS):
        if isinstance(fields, Problem):
            yield fields
            continue
        where = f"{file.label} line {number}, column ".__add__
        impression, user, time, history, shown = fields
        if not re.fullmatch(r"[0-9]{1,18}", impression):
            what = f"a whole number is expected, {impression!r} found"
            yield Problem(where("impression id"), what, _COMPARE)
        elif first.setdefault(int(impression), number) < number:
            what = f"{impression} is already in line {first[int(impression)]}"
            yield Problem(where("impression id"), what, "keep one of the lines, or number them anew")
        if not re.match(_WORD, user, re.ASCII):
            what = f"an id without blanks is expected, {user!r} found"
            yield Problem(where("user id"), what, _COMPARE)
        if not _is_time(time):
            what = f"a time like 11/9/2019 6:42:51 PM is expected, {time!r} found"
            yield Problem(where("time"), what, _COMPARE)
        if not re.match(_HISTORY, history, re.ASCII):
            what = f"ids with one blank between them are expected, {_short(history)} found"
            yield Problem(where("history"), what, _COMPARE)
        if not labeled:
            if not re.match(_UNLABELED, shown, re.ASCII):
                what = f"ids with one blank between them are expected, {_short(shown)} found"
                yield Problem(where("impressions"), what, _COMPARE)
            elif re.search(_LABEL, shown):
                what = "candidates have labels (-0 or -1), and those of the first line have none"
                yield Problem(where("impressions"), what, "give all lines labels, or none")
            continue
        wrong = [word for word in shown.split(" ") if not re.match(_SHOWN, word, re.ASCII)]
        if shown and not any("-" in word for word in shown.split(" ")):
            unlabelled.append(number)
        elif wrong:
            what = f"ids with a label, like N123-0 or N123-1, are expected, {_short(wrong[0])} found"
            yield Problem(where("impressions"), what, _COMPARE)
    if unlabelled:
        several = f" and {len(unlabelled) - 1} more lines" if len(unlabelled) > 1 else ""
        yield Problem(
            f"{file.label} line {unlabelled[0]}, column impressions",
            f"the candidates of this line{several} have no labels (-0 or -1), so nothing can be learned or measured",
            "the test part of MINDlarge is published without labels: keep it in a folder MINDlarge_test beside train and dev, "
            'and choose test="test"',
        )


def _is_time(text: str) -> bool:
    try:
        _seconds(pa.array([text]))
    except _MalformedError:
        return False
    return True


def _short(text: str) -> str:
    return repr(text) if len(text) <= 60 else f"{text[:60]!r}…"


def _missing_news(
    ids: pa.Array,
    files: list[RawFile],
    labeled: list[bool],
    columns: tuple[str, ...] = ("history", "impressions"),
) -> DataError:
    """Where the first twenty of them stand for the first time. Candidates of a ranking to hand in cannot be dropped."""
    absent = set(ids.to_pylist())
    choice = 'missing="drop" or missing="empty"' if all(labeled) else 'missing="empty"'
    fix = f"use the news.tsv of the same edition, or choose {choice}"
    problems = []
    for file, has in zip(files, labeled, strict=True):
        for number, fields in _records(file, _BEHAVIORS):
            assert not isinstance(fields, Problem)  # the file was read before
            shown = [word[:-2] if has else word for word in fields[4].split(" ")]
            words = {"history": fields[3].split(" "), "impressions": shown}
            for column in columns:
                for news in words[column]:
                    if news not in absent:
                        continue
                    absent.discard(news)
                    where = f"{file.label} line {number}, column {column}"
                    problems.append(Problem(where, f"no news.tsv has {news}", fix))
                    if len(problems) == LIMIT or not absent:
                        return DataError(problems, more=len(absent))
    return DataError(problems, more=len(absent))


# --- from files to tables -----------------------------------------------------------------------------------------------------


def _latest(log: Log, count: int) -> NDArray[np.int64]:
    """So many impressions, the last by (time, impression id)."""
    if not count:
        return np.empty(0, np.int64)
    bound = np.partition(log.time, len(log.time) - count)[len(log.time) - count]
    later, ties = np.flatnonzero(log.time > bound), np.flatnonzero(log.time == bound)
    ties = ties[np.argsort(log.impression[ties])]
    return np.concatenate([later, ties[len(ties) - (count - len(later)) :]])


def _merge_news(tables: list[pa.Table]) -> tuple[pa.Table, int]:
    """The items, and how many ids have another text in a later table."""
    news, others = tables[0], 0
    for table in tables[1:]:
        place = pc.index_in(table["id"].combine_chunks(), value_set=news["id"].combine_chunks())
        both = table.filter(place.is_valid())
        kept = news.take(place.drop_null())
        other = np.zeros(both.num_rows, bool)
        for name in _NEWS_READ[1:]:
            other |= flat(pc.not_equal(both[name], kept[name]))
        others += int(other.sum())
        news = pa.concat_tables([news, table.filter(place.is_null())]).combine_chunks()
    columns = {"item_id": news["id"], "title": news["title"], "abstract": news["abstract"]}
    for name in ("category", "subcategory"):
        columns[name] = pc.cast(news[name].combine_chunks().dictionary_encode(), CATEGORY)
    return pa.table(columns), others
