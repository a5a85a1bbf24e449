"""MicroLens (Ni et al. 2023, https://arxiv.org/abs/2309.15379): short videos that users commented on.

Reads the pairs and titles of the editions 50k and 100k, and others that are named and written alike.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import ClassVar

import pyarrow as pa
import pyarrow.compute as pc

from lego.data.impressions.events import Events, gather
from lego.data.impressions.interactions import Interactions, Raw
from lego.data.problems import Problems
from lego.data.raw.columns import as_text, one
from lego.data.raw.official import missing_files
from lego.data.raw.reader import Column, Layout, read_pieces, read_unique
from lego.data.raw.split_lines import split_lines
from lego.errors import DataError, Problem
from lego.spec import operator

_PAIRS = re.compile(r"MicroLens-(\w+)_pairs\.(csv|tsv)")
_VIEWS = "likes_and_views.txt"
_COLUMNS = (
    Column("user", pa.int64(), low=0),
    Column("item", pa.int64(), low=0),
    Column("timestamp", pa.int64(), low=0),
)


@operator
class MicroLens(Interactions):
    """Videos that users commented on, as impressions, by the rules of `Interactions`.

    - Each pair of a user and a video is a click. Times are in thousandths of a second, and are cut to seconds. Where the
      pairs are there as TSV alone, there are no times, and the order is that of the file.
    - The items are all videos that have a title, in the order of the file of titles. A title may hold commas: a line is split at
      its first, and blanks around the title go.
    - Where the file of likes and views is there, both are attributes; they count all that happened until the data was collected,
      also after a click.
    """

    event: ClassVar[str] = "comments"
    item: ClassVar[str] = "videos"
    reads: ClassVar[Mapping[str, int]] = {"title": 30}
    domain: ClassVar[str] = "short videos"
    language: ClassVar[str] = "English, translated by machine"
    holds: ClassVar[Mapping[str, Mapping[str, str]]] = {
        "items": {"title": "text", "likes": "number", "views": "number"},
        "history": {"time": "time"},
    }
    attributes: ClassVar[tuple[str, ...]] = tuple(holds["items"])
    official_files: ClassVar[tuple[str, ...]] = (
        "MicroLens-50k_pairs.csv",
        "MicroLens-50k_titles.csv",
        "MicroLens-50k_likes_and_views.txt",
    )
    url: ClassVar[str] = "https://github.com/westlake-repl/MicroLens"
    licence: ClassVar[str] = "research; no modified copies"
    proven: ClassVar[str] = "format"

    def files(self) -> Iterable[Path]:
        """Pairs and titles, and likes and views where they are there; DataError with where to get them."""
        folder = Path(self.path).expanduser()
        names = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
        pairs = {
            form[1]: form[0] for form in map(_PAIRS.fullmatch, reversed(names)) if form
        }  # CSV before TSV
        if len(pairs) > 1:
            what = f"holds several editions: {', '.join(sorted(pairs))}"
            raise DataError([Problem(str(folder), what, "give each edition a folder of its own")])
        edition = next(iter(pairs), "50k")
        titles = [f"MicroLens-{edition}_{end}.csv" for end in ("titles", "title_en", "title")]
        found = [name for name in titles if name in names]
        if not pairs or not found:
            wanted = (pairs.get(edition, f"MicroLens-{edition}_pairs.csv"), titles[edition == "100k"])
            raise DataError([missing_files(folder, [wanted], self.url, "MicroLens")])
        views = f"MicroLens-{edition}_{_VIEWS}"
        return [folder / name for name in (pairs[edition], found[0], *([views] if views in names else []))]

    def read(self, problems: Problems) -> Raw:
        """Videos and pairs."""
        pairs, titles, *views = self.files()
        items = _titles(titles, problems)
        events = _timed(pairs, problems) if pairs.suffix == ".csv" else _ordered(pairs, problems)
        counts = None
        if views:
            columns = (_COLUMNS[1], Column("likes", pa.float64()), Column("views", pa.float64()))
            layout = Layout(names=("item", "likes", "views"), delimiter="\t")
            counts = read_unique(
                views[0], columns, ("item",), "video {item} is already in line {first}", problems, layout
            )
        problems.raise_any()
        assert items is not None  # a table is None only where there is a problem
        if counts is not None:
            place = one(pc.index_in(items["item_id"], value_set=one(counts["item"])))
            for name in ("likes", "views"):
                items = items.append_column(name, one(counts[name]).take(place))
        order = "time, then the log's" if pairs.suffix == ".csv" else "the log's"
        return Raw(items=items, events=events, rules={"order": order})


def _titles(path: Path, problems: Problems) -> pa.Table | None:
    with path.open("rb") as file:
        headed = (
            file.readline().decode("utf-8-sig", "replace").strip().lower().replace(" ", "") == "item,title"
        )
    pieces = list(split_lines(path, ("item", "title"), problems, skip=int(headed)))
    if not pieces or len(problems):
        return None
    table = pa.concat_tables(pieces)
    first: dict[str, int] = {}
    for line, name in enumerate(table["item"].to_pylist(), 1 + headed):
        where = f"{path.name} line {line}"
        number = name.strip()
        if not re.fullmatch(r"[0-9]{1,18}", number):
            problems.add(where, f"the number of a video is expected, {name!r} found", "correct the line")
        elif first.setdefault(number, line) < line:
            problems.add(where, f"video {number} is already in line {first[number]}", "keep one of the lines")
    if len(problems):
        return None
    ids = pc.cast(pc.utf8_trim_whitespace(one(table["item"])), pa.int64())
    return pa.table({"item_id": ids, "title": as_text(table["title"])})


def _timed(path: Path, problems: Problems) -> Events:
    return gather(
        pa.table({"user": piece["user"], "item": piece["item"], "time": pc.divide(piece["timestamp"], 1000)})
        for piece in read_pieces(path, _COLUMNS, problems)
    )


def _ordered(path: Path, problems: Problems) -> Events:
    """The pairs of a file with a line a user: all videos in the order of time."""
    layout = Layout(names=("user", "items"), delimiter="\t")
    pieces = []
    for piece in read_pieces(path, (_COLUMNS[0], Column("items")), problems, layout):
        split = pc.split_pattern(pc.utf8_trim_whitespace(one(piece["items"])), " ")
        user = one(piece["user"]).take(pc.list_parent_indices(split))
        try:
            pieces.append(pa.table({"user": user, "item": pc.cast(split.flatten(), pa.int64())}))
        except pa.ArrowInvalid as failure:
            what = f"numbers with a blank between them are expected: {failure}"
            problems.add(path.name, what, "compare the file with the official one")
            break
    return gather(pieces)
