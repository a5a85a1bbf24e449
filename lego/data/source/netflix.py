"""Netflix Prize (Bennett and Lanning 2007, https://doi.org/10.1145/1345448.1345459): ratings of movies by customers.

Reads the copy on Kaggle (combined_data_1.txt to combined_data_4.txt) and the original form (training_set/mv_0000001.txt, …).
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Literal

import attrs
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
from numpy.typing import NDArray

from lego.data.impressions.candidates import split_by_share
from lego.data.impressions.events import Events, gather
from lego.data.impressions.interactions import Ratings, Raw
from lego.data.problems import Problems
from lego.data.raw.columns import as_number, as_text, one, seconds
from lego.data.raw.growing import MANY, Growing, blocks
from lego.data.raw.official import missing_files
from lego.data.raw.reader import Column, Layout, read_pieces
from lego.data.raw.split_lines import split_lines
from lego.data.table import flat
from lego.errors import DataError, Problem, SpecError
from lego.ragged import Ragged
from lego.spec import operator

_TITLES = ("movie_titles.csv", "movie_titles.txt")
_PROBE = "probe.txt"
_BLOCK = 1 << 24
"""Bytes of ratings that are read at a time; many small files are one block."""
_TYPES = {"first": pa.string(), "rating": pa.int8(), "day": pa.date32()}


@operator
class Netflix(Ratings):
    """Movies that customers rated, as impressions, by the rules of `Ratings`.

    - Ratings have a day and no hour: those of one day are in the order of the files, which is that of the movies' numbers.
    - The files of ratings are read in pieces: a line `123:` says which movie those behind it are of. Where some of the four
      combined files are not there, the others are read, and the rules name them.
    - The items are all movies of movie_titles.csv, in its order. A title may hold commas: a line is split at its first two. The
      year may be missing.

    - `split="probe"` makes the ratings that probe.txt names test, as the prize did, and of the others of each user the last `dev`
      share, at least one, dev; `test` is not for it. Names of ratings that no file has are counted. Ratings of one day stand
      before those of that day that are test.

    qualifying.txt has no ratings, and is not read.
    """

    item: ClassVar[str] = "movies"
    reads: ClassVar[Mapping[str, int]] = {"title": 20}
    domain: ClassVar[str] = "movies"
    language: ClassVar[str] = "English"
    holds: ClassVar[Mapping[str, Mapping[str, str]]] = {
        "items": {"title": "text", "year": "number"},
        "history": {"time": "time"},
    }
    attributes: ClassVar[tuple[str, ...]] = tuple(holds["items"])
    official_files: ClassVar[tuple[str, ...]] = (
        "movie_titles.csv",
        *(f"combined_data_{part}.txt" for part in (1, 2, 3, 4)),
    )
    url: ClassVar[str] = "https://www.kaggle.com/datasets/netflix-inc/netflix-prize-data"
    licence: ClassVar[str] = "research; no redistribution without permission"
    proven: ClassVar[str] = "real rows of the titles, format of the ratings"

    split: Literal["share", "leave_last_out", "time", "user", "probe"] = "share"  # type: ignore[assignment]  # one more

    def __attrs_post_init__(self) -> None:
        """A share of test is for the rules that have one."""
        super().__attrs_post_init__()
        if self.split == "probe" and self.changed("test"):
            raise SpecError.wrong_value(
                "Netflix", "test", self.test, 'left out: split="probe" says what is test'
            )

    def files(self) -> Iterable[Path]:
        """The titles, then the files of ratings in the order of their numbers; DataError with where to get them."""
        folder = Path(self.path).expanduser()
        titles = [folder / name for name in _TITLES if (folder / name).is_file()]
        ratings = sorted(folder.glob("combined_data_[0-9].txt")) if folder.is_dir() else []
        ratings = ratings or sorted(folder.glob("training_set/mv_[0-9]*.txt"))
        if not titles or not ratings:
            raise DataError(
                [missing_files(folder, [self.official_files[:2]], self.url, "the Netflix Prize data")]
            )
        if self.split != "probe":
            return [titles[0], *ratings]
        if not (folder / _PROBE).is_file():
            fix = f"download it from {self.url}, or choose another split="
            raise DataError([Problem(str(folder), f'{_PROBE} is missing, which split="probe" reads', fix)])
        return [titles[0], *ratings, folder / _PROBE]

    def read(self, problems: Problems) -> Raw:
        """Movies and ratings."""
        titles, *ratings = self.files()
        probe = ratings.pop() if self.split == "probe" else None
        found = list(split_lines(titles, ("id", "year", "title"), problems, encoding="latin-1"))
        events = gather(_ratings(ratings, problems))
        problems.raise_any()
        dropped: dict[str, int] = {}
        if probe is not None:
            events = _with_probe(events, probe, dropped, problems)
            problems.raise_any()
        movies = pa.concat_tables(found)
        names = ", ".join(path.name for path in ratings[:4]) + (", …" if len(ratings) > 4 else "")
        items = {"item_id": _numbers(one(movies["id"]), titles, problems), "title": as_text(movies["title"])}
        problems.raise_any()
        return Raw(
            items=pa.table({**items, "year": as_number(movies["year"])}),
            events=events,
            dropped=dropped,
            rules={"order": "day, then the movie's number", "files": names},
        )

    def own_split(
        self, history: Ragged, clicks: Events, dropped: dict[str, int]
    ) -> tuple[NDArray[np.int8], NDArray[np.int64] | None] | None:
        """What the probe names is test; the last share of what is left of a user is dev."""
        if clicks.part is None:
            return None
        part = clicks.part.copy()
        owner = np.repeat(np.arange(len(history)), history.lengths)
        others = np.flatnonzero(part == 0)
        part[others] = split_by_share(np.bincount(owner[others], minlength=len(history)), self.dev, 0.0)
        return part, None

    def own_rules(self) -> Mapping[str, str]:
        """How the probe cuts, in words."""
        if self.split != "probe":
            return {}
        return {
            "split": f"{_PROBE} is test; by user the last {self.dev:g} of the other clicks dev, at least one"
        }


def _with_probe(events: Events, path: Path, dropped: dict[str, int], problems: Problems) -> Events:
    """The events with 2 for the part of those that the file names, and 0 for that of the others."""
    pairs = _named(path, problems)
    if pairs is None:
        return events
    items = max(len(events.item_ids), 1)
    rows = [
        pc.index_in(pairs[name], value_set=ids)
        for name, ids in (("user", events.user_ids), ("item", events.item_ids))
    ]
    known = flat(pc.and_(rows[0].is_valid(), rows[1].is_valid()))
    user, item = (flat(pc.fill_null(each, 0)).astype(np.int64)[known] for each in rows)
    wanted = np.unique(user * items + item)
    part, rated = Growing(np.int8), np.zeros(len(wanted), bool)
    for begin, end in blocks(len(events), MANY):
        key = events.user[begin:end].astype(np.int64) * items + events.item[begin:end]
        place = np.searchsorted(wanted, key)
        named = place < len(wanted)
        named[named] = wanted[place[named]] == key[named]
        rated[place[named]] = True
        part.add(np.where(named, np.int8(2), np.int8(0)))
    dropped["probe_of_unknown_ratings"] = int((~known).sum()) + int((~rated).sum())
    return attrs.evolve(events, part=part.array())


def _named(path: Path, problems: Problems) -> pa.Table | None:
    """Columns user and item of the file: a line `123:` says which movie the customers behind it rated."""
    before = len(problems)
    pieces = list(
        read_pieces(
            path, (Column("line"),), problems, Layout(names=("line",), delimiter="\x1f", quotes=False)
        )
    )
    if not pieces:
        return None
    lines = pc.utf8_trim_whitespace(one(pa.concat_tables(pieces)["line"]))
    heads = flat(pc.ends_with(lines, ":"))
    wrong = np.flatnonzero(~flat(pc.match_substring_regex(lines, r"^\d{1,18}:?$")))

    def worded(place: int) -> Problem:
        number = int(wrong[place])
        found = lines[number].as_py()
        what = f"the number of a customer, or a movie like '123:', is expected, {found!r} found"
        return Problem(f"{path.name} line {number + 1}", what, "compare the line with the official file")

    problems.add_each(len(wrong), worded)
    if len(problems) == before and not heads[0]:
        what = "a line like '123:', which names the movie, is expected first"
        problems.add(f"{path.name} line 1", what, "compare the line with the official file")
    if len(problems) > before:
        return None
    numbers = flat(pc.cast(pc.utf8_rtrim(lines, ":"), pa.int64()))
    movie = numbers[np.maximum.accumulate(np.where(heads, np.arange(len(heads)), 0))]
    return pa.table({"user": numbers[~heads], "item": movie[~heads]})


def _numbers(ids: pa.Array, path: Path, problems: Problems) -> pa.Array:
    """The ids as numbers; problems where one is none, or is there again."""
    first: dict[str, int] = {}
    for line, each in enumerate(ids.to_pylist(), 1):
        where = f"{path.name} line {line}"
        if not re.fullmatch(r"[0-9]{1,18}", each):
            problems.add(where, f"the number of a movie is expected, {each!r} found", "correct the line")
        elif first.setdefault(each, line) < line:
            problems.add(where, f"movie {each} is already in line {first[each]}", "keep one of the lines")
    return None if len(problems) else pc.cast(ids, pa.int64())


def _ratings(paths: Sequence[Path], problems: Problems) -> Iterator[pa.Table]:
    """Columns user, item, value and time, piece after piece."""
    movie, empty = -1, True
    for block in _blocks(paths):
        try:
            piece, movie = _parsed(block, movie)
        except pa.ArrowInvalid:
            piece = None
        if piece is None:
            _complain(paths, problems)
            return
        if piece.num_rows:
            empty = False
            yield piece
    if empty:
        problems.add(paths[0].name, "holds no ratings", "put the complete file in its place")


def _blocks(paths: Sequence[Path]) -> Iterator[bytes]:
    """Whole lines of the files, one file behind the other."""
    rest = b""
    for path in paths:
        with path.open("rb") as file:
            while more := file.read(_BLOCK):
                rest += more
                if len(rest) >= _BLOCK and (end := rest.rfind(b"\n") + 1):
                    yield rest[:end]
                    rest = rest[end:]
        rest += b"\n"
    if rest.strip():
        yield rest


def _parsed(block: bytes, movie: int) -> tuple[pa.Table | None, int]:
    """The ratings of a block that begins among those of `movie`, and the movie among whose ratings it ends."""
    lines = block.replace(b"\r\n", b"\n").replace(b":\n", b":,,\n")
    table = pyarrow.csv.read_csv(
        pa.py_buffer(lines),
        read_options=pyarrow.csv.ReadOptions(column_names=list(_TYPES), block_size=_BLOCK),
        parse_options=pyarrow.csv.ParseOptions(quote_char=False),
        convert_options=pyarrow.csv.ConvertOptions(column_types=_TYPES, null_values=[""]),
    )
    first = one(table["first"])
    heads = flat(pc.ends_with(first, ":"))
    numbers = flat(pc.cast(pc.utf8_rtrim(first, ":"), pa.int64()))
    known, rating = table.filter(pa.array(~heads)), one(table["rating"])
    rated = flat(pc.and_(rating.is_valid(), one(table["day"]).is_valid()))
    values = one(known["rating"])
    place = np.maximum.accumulate(np.where(heads, np.arange(len(heads)), -1))
    owner = np.where(place >= 0, numbers[place], movie)
    wrong = (rated == heads) | (owner < 0) | (numbers < 0)
    if wrong.any() or pc.any(pc.or_(pc.less(values, 1), pc.greater(values, 5))).as_py():
        return None, movie
    made = pa.table(
        {
            "user": pa.array(numbers[~heads]),
            "item": pa.array(owner[~heads]),
            "value": pc.cast(values, pa.float32()),
            "time": seconds(known["day"]),
        }
    )
    return made, int(owner[-1]) if len(owner) else movie


def _complain(paths: Sequence[Path], problems: Problems) -> None:
    """What is wrong in which line."""
    movie, before = False, len(problems)
    fix = "compare the line with the official file"
    for path in paths:
        with path.open("rb") as file:
            for number, raw in enumerate(file, 1):
                line = raw.decode("latin-1").strip()
                if line.removesuffix(":").isdecimal() and line.endswith(":"):
                    movie = True
                elif line and (what := _wrong(line.split(","), known=movie)):
                    problems.add(f"{path.name} line {number}", what, fix)
    if len(problems) == before:
        problems.add(paths[0].name, "the ratings cannot be read", "compare the files with the official ones")


def _wrong(values: list[str], *, known: bool) -> str | None:
    if not known:
        return "a line like '123:', which names the movie, is expected first"
    if len(values) != 3:
        return f"customer, rating and day, or a movie like '123:', are expected, {','.join(values)!r} found"
    customer, rating, day = values
    if not customer.isdecimal():
        return f"the number of a customer is expected, {customer!r} found"
    if rating not in {"1", "2", "3", "4", "5"}:
        return f"a rating from 1 to 5 is expected, {rating!r} found"
    try:
        dt.date.fromisoformat(day)
    except ValueError:
        return f"a day like 2005-09-06 is expected, {day!r} found"
    return None
