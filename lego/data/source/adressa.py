"""Adressa (Gulla et al. 2017, https://doi.org/10.1145/3106426.3109436): page views of Adresseavisen, Norwegian news.

Reads the official archives (one_week, three_month) in place, or the folders that they unpack to.
"""

from __future__ import annotations

import datetime as dt
import re
import tarfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import IO, Any, ClassVar, Literal

import attrs
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from lego.data.impressions.events import Events, gather
from lego.data.impressions.interactions import Interactions, Raw
from lego.data.problems import Problems
from lego.data.raw.json_lines import Field, read_json_lines
from lego.data.table import CATEGORY, LIST, NUMBER, TEXT, flat
from lego.errors import DataError, Problem, SpecError
from lego.ragged import Ragged
from lego.spec import between, ge, operator

_DAY = re.compile(r"(20\d{2})(\d{2})(\d{2})(?:\.gz)?")
_EDITIONS = ("one_week", "three_month")
_STREAM = 8
"""Which stream of the seed chooses dev; candidates have 0, 1 and 2, users 9."""


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


_FIELDS = (
    Field("userId", required=True),
    Field("time", pa.int64(), required=True, low=0),
    Field("id"),
    Field("title"),
    Field("category1"),
    Field("keywords", otherwise=lambda value: ",".join(value) if isinstance(value, list) else value),
    Field("publishtime"),
    Field("author", LIST, otherwise=_as_list),
)
_PUBLISHED = r"^(?P<moment>\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}:\d{2})(?:\.\d+)?(?P<zone>Z|[+-]\d{2}:?\d{2})?$"


@operator
class Adressa(Interactions):
    """News that users opened, as impressions: what `Interactions` says, and

    - `path` is `one_week.tar.gz` or `three_month.tar.gz`, the folder that it unpacks to, which holds a file for each day
      (`20170101`), or a folder that holds one of them. A line is a page view; one without id is of a front page, and is left out
      and counted.
    - An item is an id that has a title and a category in some line; the first of each are kept. A view of an id without them is
      left out and counted (`missing="drop"`). `category1` gives the category, its first piece, and the subcategory, its last.
    - `split="periods"`, which is how newsreclib reads these files: all clicks of a user before the period `train_from` are only
      history; those from there on are train, with the clicks before it as their history; those from `test_from` on are test,
      with the clicks before that one. A random `dev` share of the test impressions, drawn by `seed`, is dev. A click whose user
      has none before its part makes no impression, and is counted. `period="day"` counts the files from 1, `"week"` the ISO weeks
      of their days, where days before the first week of the year are of week 0; unless it is said, it is days where there are
      at most seven files. The other rules for `split` are those of `Interactions`.
    - As there, a click counts as often as it was made (`repeats="all"`), and is shown among 20 articles that the user never
      opened, each as likely as the others.
    """

    item: ClassVar[str] = "articles"
    event: ClassVar[str] = "views"
    reads: ClassVar[Mapping[str, int]] = {"title": 30, "category": 4}
    domain: ClassVar[str] = "news"
    language: ClassVar[str] = "Norwegian"
    holds: ClassVar[Mapping[str, Mapping[str, str]]] = {
        "items": {
            "title": "text",
            "category": "category",
            "subcategory": "category",
            "keywords": "list",
            "author": "list",
            "published": "number",
        },
        "history": {"time": "time"},
    }
    attributes: ClassVar[tuple[str, ...]] = tuple(holds["items"])
    official_files: ClassVar[tuple[str, ...]] = ("one_week.tar.gz (20170101, …, 20170107)",)
    url: ClassVar[str] = "https://reclab.idi.ntnu.no/dataset/"
    licence: ClassVar[str] = "CC BY-NC-SA 4.0, after registration"
    proven: ClassVar[str] = "format"

    repeats: Literal["first", "last", "all"] = "all"
    candidates: Literal["popularity", "uniform"] = "uniform"
    split: Literal["periods", "share", "leave_last_out", "time", "user"] = "periods"  # type: ignore[assignment]  # one more
    train_from: int = attrs.field(default=6, validator=ge(1))
    test_from: int = attrs.field(default=7, validator=ge(1))
    period: Literal["day", "week"] | None = None
    dev: float = attrs.field(default=0.2, validator=between(0.0, 1.0))
    minimum: int = attrs.field(default=1, validator=ge(1))
    missing: Literal["error", "drop", "empty"] = "drop"

    def __attrs_post_init__(self) -> None:
        """Test comes behind train."""
        super().__attrs_post_init__()
        if (
            isinstance(self.train_from, int)
            and isinstance(self.test_from, int)
            and self.test_from <= self.train_from
        ):
            expected = f"more than train_from, which is {self.train_from}"
            raise SpecError.wrong_value("Adressa", "test_from", self.test_from, expected)

    def files(self) -> Iterable[Path]:
        """The files of the days, or the archive; DataError with where to get them."""
        return _find(Path(self.path).expanduser())

    def read(self, problems: Problems) -> Raw:
        """Articles and views. The value of a view is the day of its file, counted as dates are."""
        articles: list[pa.Table] = []
        dropped = {"views_of_no_article": 0}
        events = gather(_views(list(self.files()), articles, dropped, problems))
        problems.raise_any()
        items, other = _items(articles)
        dropped["articles_with_other_text"] = other
        return Raw(items=items, events=events, dropped=dropped, rules={"order": "time, then the line"})

    def own_split(
        self, history: Ragged, clicks: Events, dropped: dict[str, int]
    ) -> tuple[NDArray[np.int8], NDArray[np.int64] | None] | None:
        """Parts by the period of each click, and the clicks before the period as its history."""
        if self.split != "periods" or clicks.value is None:
            return None
        number = _periods(clicks.value.astype(np.int64), self.period)
        owner = np.repeat(np.arange(len(history)), history.lengths)
        part = np.full(len(number), -1, np.int8)
        before = np.zeros(len(number), np.int64)
        for name, first, last in ((0, self.train_from, self.test_from), (2, self.test_from, 10**9)):
            # The history ends with the first click of the period: a later one of an earlier day is none.
            begins = history.lengths.copy()
            late = np.flatnonzero(number >= first)
            np.minimum.at(begins, owner[late], late - history.offsets[owner[late]])
            rows = np.flatnonzero((number >= first) & (number < last))
            before[rows] = begins[owner[rows]]
            part[rows] = name
        alone = (part >= 0) & (before == 0)
        dropped["impressions_without_history"] = int(alone.sum())
        part[alone] = -1
        tests = np.flatnonzero(part == 2)
        chosen = np.random.default_rng([self.seed, _STREAM]).permutation(tests)
        part[chosen[: int(len(tests) * self.dev + 1e-9)]] = 1
        for name in (0, 2):
            if not (part == name).any():
                what = f"no click with a history is in {'train' if name == 0 else 'test'}; the periods are "
                what += f"{number.min()} to {number.max()}" if len(number) else "none"
                fix = "choose other train_from= and test_from=, another split=, or use the complete files"
                raise DataError([Problem(self.path, what, fix)])
        return part, before

    def own_rules(self) -> Mapping[str, str]:
        """How `periods` cuts, in words."""
        if self.split != "periods":
            return {}
        unit = self.period or "day, or week where there are more than seven files,"
        return {
            "split": f"by {unit} of the file: from {self.train_from} train, from {self.test_from} test; "
            f"a random {self.dev:g} of test is dev, seed {self.seed}; what is earlier is only history",
            "history": "all clicks of the user before the first of the part's periods",
        }

    def click_in_words(self) -> str:
        """What a click is, for the manifest."""
        return "each view of an article"


def _periods(ordinals: NDArray[np.int64], period: str | None) -> NDArray[np.int64]:
    """The number of the day or week of each click."""
    if not len(ordinals):
        return ordinals
    days, place = np.unique(ordinals, return_inverse=True)
    if period == "day" or (period is None and days[-1] - days[0] < 7):
        return np.asarray(ordinals - days[0] + 1)
    calendar = [dt.date.fromordinal(day).isocalendar() for day in days.tolist()]
    last = calendar[-1].year
    return np.array([each.week if each.year == last else 0 for each in calendar], np.int64)[place]


# --- the files ----------------------------------------------------------------------------------------------------------------


def _find(root: Path) -> list[Path]:
    get = f"download one_week.tar.gz or three_month.tar.gz from {Adressa.url}, and give it, or the folder that it unpacks to"
    if not root.exists():
        raise DataError([Problem(str(root), "there is no such file or folder", get)])
    if root.is_dir():
        days = _days(root)
        if days:
            return days
        archives = [root / f"{name}.tar.gz" for name in _EDITIONS]
        found = [path for path in archives if path.is_file()]
        found = [root / name for name in _EDITIONS if (root / name).is_dir()] or found
        if len(found) != 1:
            what = (
                "holds more than one edition"
                if found
                else "holds no file of a day (20170101), and no archive"
            )
            fix = f"give one of them: {found[0]}" if found else get
            raise DataError([Problem(str(root), what, fix)])
        if found[0].is_dir():
            return _find(found[0])
        (root,) = found
    if not root.name.endswith((".tar.gz", ".tgz", ".tar")):
        raise DataError([Problem(str(root), "is a file, a folder or a .tar.gz is expected", get)])
    return [root]


def _days(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_file() and _DAY.fullmatch(path.name))


@attrs.frozen
class _Member:
    """A file inside an archive that is read from its beginning to its end."""

    name: str
    stream: IO[bytes]

    def open(self, mode: str, /) -> Any:
        """The stream, once."""
        return self.stream


def _logs(paths: list[Path], problems: Problems) -> Iterator[tuple[int, Any]]:
    """The day of each file, and the file."""
    seen: set[int] = set()
    for path in paths:
        if _DAY.fullmatch(path.name):
            yield _ordinal(path.name), path
            continue
        try:
            with tarfile.open(path, "r|*") as archive:
                for member in archive:
                    name = PurePosixPath(member.name).name
                    stream = archive.extractfile(member) if member.isfile() and _DAY.fullmatch(name) else None
                    if stream is None:
                        continue
                    day = _ordinal(name)
                    if day in seen:
                        problems.add(
                            f"{path.name}/{member.name}", "is there twice", "use the official archive"
                        )
                    seen.add(day)
                    yield day, _Member(f"{path.name}/{member.name}", stream)
        except (tarfile.TarError, zlib.error, EOFError, OSError) as failure:
            fix = "download the archive again: it is damaged or was cut short"
            problems.add(path.name, f"cannot be read: {failure or type(failure).__name__}", fix)
            return
        if not seen:
            problems.add(path.name, "holds no file of a day (20170101)", "use the official archive")


def _ordinal(name: str) -> int:
    form = _DAY.fullmatch(name)
    assert form is not None  # names were chosen by it
    return dt.date(int(form[1]), int(form[2]), int(form[3])).toordinal()


def _views(
    paths: list[Path], articles: list[pa.Table], dropped: dict[str, int], problems: Problems
) -> Iterator[pa.Table]:
    for day, file in _logs(paths, problems):
        for piece in read_json_lines(file, _FIELDS, problems):
            given = pc.fill_null(pc.not_equal(piece["id"], ""), fill_value=False)
            of_article = piece.filter(given)
            dropped["views_of_no_article"] += piece.num_rows - of_article.num_rows
            complete = of_article.filter(
                pc.and_(pc.is_valid(of_article["title"]), pc.is_valid(of_article["category1"]))
            )
            if complete.num_rows:
                articles.append(_first_of_each(complete.drop_columns(["userId", "time"]), ["id", "title"]))
            if of_article.num_rows:
                yield pa.table(
                    {
                        "user": of_article["userId"],
                        "item": of_article["id"],
                        "value": pa.array(np.full(of_article.num_rows, day, np.float32)),
                        "time": of_article["time"],
                    }
                )


def _first_of_each(table: pa.Table, names: list[str]) -> pa.Table:
    """The first row of those that are alike in the named columns, in the order of the table."""
    numbered = table.append_column("place", pa.array(np.arange(table.num_rows)))
    first = numbered.group_by(names).aggregate([("place", "min")])["place_min"]
    return table.take(pa.array(np.sort(flat(first))))


def _items(articles: list[pa.Table]) -> tuple[pa.Table, int]:
    """The articles in the order in which they were met, and how many have more than one title."""
    if not articles:
        kinds = {"title": TEXT, "category": CATEGORY, "subcategory": CATEGORY}
        kinds |= {"keywords": LIST, "author": LIST, "published": NUMBER}
        return pa.schema({"item_id": TEXT, **kinds}).empty_table(), 0
    every = _first_of_each(pa.concat_tables(articles), ["id", "title"])
    titles = every.group_by("id").aggregate([([], "count_all")])
    other = int(pc.sum(pc.greater(titles["count_all"], 1)).as_py())
    first = _first_of_each(every, ["id"]).combine_chunks()
    pieces = pc.split_pattern(_one(first["category1"]), "|")
    return pa.table(
        {
            "item_id": first["id"],
            "title": first["title"],
            "category": _category(pc.list_element(pieces, 0)),
            "subcategory": _category(_last(pieces)),
            "keywords": _keywords(_one(first["keywords"])),
            "author": first["author"],
            "published": _published(_one(first["publishtime"])),
        }
    ), other


def _one(column: pa.ChunkedArray) -> pa.Array:
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)


def _category(words: pa.Array) -> pa.Array:
    words = pc.if_else(pc.equal(words, ""), pa.scalar(None, TEXT), words)
    return pc.cast(words.dictionary_encode(), CATEGORY)


def _last(pieces: pa.Array) -> pa.Array:
    lengths = flat(pc.list_value_length(pieces)).astype(np.int64)
    return pieces.flatten().take(pa.array(np.cumsum(lengths) - 1))


def _keywords(texts: pa.Array) -> pa.Array:
    split = pc.split_pattern(texts, ",")
    lengths = flat(pc.fill_null(pc.list_value_length(split), 0)).astype(np.int64)
    words = pc.utf8_trim_whitespace(split.flatten())
    real = flat(pc.not_equal(words, ""))
    offsets = np.concatenate([[0], np.cumsum(real)])[np.concatenate([[0], np.cumsum(lengths)])]
    return pa.ListArray.from_arrays(
        pa.array(offsets, pa.int32()), words.filter(pa.array(real)), type=LIST, mask=texts.is_null()
    )


def _published(texts: pa.Array) -> pa.Array:
    """Unix seconds; a null where there is no time, or none that can be read."""
    parts = pc.extract_regex(texts, _PUBLISHED)
    moments = pc.struct_field(parts, "moment")
    try:
        seconds = pc.cast(pc.cast(moments, pa.timestamp("s")), pa.int64())
    except pa.ArrowInvalid:  # 2017-02-30: one by one, to know which
        seconds = pa.array([_seconds(each) for each in moments.to_pylist()], pa.int64())
    zone = pc.replace_substring(pc.fill_null(pc.struct_field(parts, "zone"), "Z"), ":", "")
    zone = pc.if_else(pc.is_in(zone, value_set=pa.array(["Z", ""])), "+0000", zone)
    ahead = flat(pc.cast(pc.utf8_slice_codeunits(zone, 1, 3), pa.int64())) * 3600
    ahead = ahead + flat(pc.cast(pc.utf8_slice_codeunits(zone, 3, 5), pa.int64())) * 60
    ahead = np.where(flat(pc.starts_with(zone, "-")), -ahead, ahead)
    return pc.cast(pc.subtract(seconds, pa.array(ahead, pa.int64())), NUMBER)


def _seconds(text: str | None) -> int | None:
    try:
        moment = None if text is None else dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC)
    except ValueError:
        return None
    return None if moment is None else int(moment.timestamp())
