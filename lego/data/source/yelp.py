"""Yelp Open Dataset (https://business.yelp.com/data/resources/open-dataset): reviews of businesses, with names and places."""

from __future__ import annotations

import tarfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Any, ClassVar, Literal

import attrs
import pyarrow as pa
import pyarrow.compute as pc

from lego.data.impressions.events import gather
from lego.data.impressions.interactions import Ratings, Raw
from lego.data.problems import Problems
from lego.data.raw.clean import are_steps, clean, in_words
from lego.data.raw.columns import one
from lego.data.raw.json_lines import LINE, Field, File, complain_of_values, read_json_lines
from lego.data.raw.official import missing
from lego.data.raw.once_each import complain_of_repeats
from lego.data.raw.times import ISO, read_times
from lego.data.table import CATEGORY, TEXT
from lego.errors import DataError, Problem
from lego.spec import operator

_FILES = ("yelp_academic_dataset_business.json", "yelp_academic_dataset_review.json")
_ARCHIVES = ("yelp_dataset.tar", "yelp_dataset.tgz", "yelp_dataset.tar.gz")
_BUSINESS = (
    Field("business_id", required=True),
    Field("name"),
    Field("address"),
    Field("city"),
    Field("state"),
    Field("categories"),
    Field("latitude", pa.float64(), low=-90, high=90),
    Field("longitude", pa.float64(), low=-180, high=180),
)
_REVIEW = (
    Field("user_id", required=True),
    Field("business_id", required=True),
    Field("stars", pa.float64(), required=True, low=1, high=5),
    Field("date", required=True),
)


@attrs.frozen
class _Member:
    """A file inside a tar archive, read in place."""

    archive: Path
    member: tarfile.TarInfo
    """The entry itself: a later one may have its name, and be a link to anywhere."""

    @property
    def name(self) -> str:
        return PurePosixPath(self.member.name).name

    @contextmanager
    def open(self, mode: str, /) -> Iterator[IO[bytes]]:
        with tarfile.open(self.archive) as archive, archive.extractfile(self.member) as stream:  # type: ignore[union-attr]
            yield stream


@operator
class Yelp(Ratings):
    """Businesses that users reviewed, as impressions, by the rules of `Ratings`.

    - Stars above 3 are a click, stars below 3 a dislike, and 3 is neither, as RecBench and most of the literature have it.
    - The JSON files are read from the folder, or in place from yelp_dataset.tar in it.
    - A review of a business that the file of businesses lacks is left out and counted (`missing="drop"`).
    - Text is cleaned by the steps `clean` of `lego.data.raw.clean`. The mean of the stars and the count of reviews are no
      attributes: they hold what is to be predicted.

    The items are all businesses, in their order; what they offer is a list of categories.
    """

    event: ClassVar[str] = "reviews"
    item: ClassVar[str] = "businesses"
    reads: ClassVar[Mapping[str, int]] = {"name": 16, "address": 16, "city": 6, "state": 2}
    domain: ClassVar[str] = "businesses"
    language: ClassVar[str] = "English"
    holds: ClassVar[Mapping[str, Mapping[str, str]]] = {
        "items": {
            "name": "text",
            "address": "text",
            "city": "category",
            "state": "category",
            "categories": "list",
            "latitude": "number",
            "longitude": "number",
        },
        "history": {"time": "time"},
    }
    attributes: ClassVar[tuple[str, ...]] = tuple(holds["items"])
    official_files: ClassVar[tuple[str, ...]] = _FILES
    url: ClassVar[str] = "https://business.yelp.com/data/resources/open-dataset"
    licence: ClassVar[str] = "academic use only; no redistribution"
    proven: ClassVar[str] = "real rows"

    clean: tuple[str, ...] = attrs.field(default=("entities", "whitespace"), validator=are_steps)
    below: float | None = 3.0
    missing: Literal["error", "drop", "empty"] = "drop"

    def files(self) -> Iterable[Path]:
        """The two files, or the archive; DataError with where to get them."""
        return dict.fromkeys(each.archive if isinstance(each, _Member) else each for each in self._find())

    def read(self, problems: Problems) -> Raw:
        """Businesses and reviews."""
        businesses, reviews = self._find()
        pieces = list(read_json_lines(businesses, _BUSINESS, problems, lines=True))
        problems.raise_any()
        table = pa.concat_tables(pieces)
        complain_of_repeats(businesses.name, table["business_id"], table[LINE], "business", problems)
        return Raw(
            items=_items(table, self.clean),
            events=gather(_events(reviews, problems)),
            rules={"text": in_words(self.clean)},
        )

    def complain_of_missing(self, absent: pa.Array, fix: str, problems: Problems) -> None:
        """Each review of a business that is not known, by its line."""
        businesses, reviews = self._find()
        what = f"business {{}} is not in {businesses.name}"
        complain_of_values(reviews, _REVIEW[1], absent, what, fix, problems)

    def _find(self) -> tuple[Any, Any]:
        """The files of businesses and reviews."""
        folder = Path(self.path).expanduser()
        paths = [folder / name for name in _FILES]
        if all(path.is_file() for path in paths):
            return paths[0], paths[1]
        archive = next((folder / name for name in _ARCHIVES if (folder / name).is_file()), None)
        if archive is None:
            lacking = [path.name for path in paths if not path.is_file()]
            fix = f"download the JSON files from {self.url}, unpack yelp_dataset.tar, and give its folder"
            raise missing(folder, " and ".join(lacking), fix, _FILES[1], *_ARCHIVES)
        try:
            with tarfile.open(archive) as opened:
                inside = {PurePosixPath(each.name).name: each for each in opened if each.isfile()}
        except (tarfile.TarError, zlib.error, OSError, EOFError) as failure:
            what = f"cannot be read: {failure}"
            raise DataError([Problem(archive.name, what, "put the complete file in its place")]) from failure
        lacking = [name for name in _FILES if name not in inside]
        if lacking:
            what = f"holds no {' and no '.join(lacking)}"
            raise DataError([Problem(archive.name, what, f"download the JSON files from {self.url}")])
        first, second = (_Member(archive, inside[name]) for name in _FILES)
        return first, second


def _items(table: pa.Table, steps: tuple[str, ...]) -> pa.Table:
    """item_id and the attributes."""
    listed = pc.split_pattern_regex(pc.fill_null(one(table["categories"]), ""), r"\s*,\s*")
    made = {"item_id": table["business_id"]}
    made |= {name: clean(table[name], steps) for name in ("name", "address")}
    for name in ("city", "state"):
        made[name] = pc.cast(clean(table[name], steps or ("whitespace",)).dictionary_encode(), CATEGORY)
    made["categories"] = clean(pc.cast(listed, pa.list_(TEXT)), steps or ("whitespace",))
    return pa.table(made | {name: table[name] for name in ("latitude", "longitude")})


def _events(reviews: File, problems: Problems) -> Iterator[pa.Table]:
    """User, item, stars and time, piece by piece."""
    for piece in read_json_lines(reviews, _REVIEW, problems, lines=True):
        time, known, _ = read_times(reviews.name, "date", piece, ISO, "2017-08-17 15:15:28", problems)
        table = piece.select(["user_id", "business_id", "stars"]).rename_columns(["user", "item", "value"])
        yield table.append_column("time", pa.array(time)).filter(pa.array(known))
