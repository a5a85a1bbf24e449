"""POG (Chen et al. 2019, https://doi.org/10.1145/3292500.3330652): clothes that users of Taobao clicked.

Reads item_data.txt and user_data.txt, and a table of translated titles where one is given.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import attrs
import pyarrow as pa
import pyarrow.compute as pc

from lego.data.impressions.events import gather
from lego.data.impressions.interactions import Interactions, Raw, path_text
from lego.data.problems import Problems
from lego.data.raw.columns import as_category, as_text, one
from lego.data.raw.official import official_files
from lego.data.raw.reader import Column, Layout, read_pieces, values_of
from lego.data.raw.split_lines import split_lines
from lego.errors import DataError, Problem
from lego.spec import PATH, operator

_USERS = Layout(names=("user", "items", "outfit"), quotes=False)


@operator
class POG(Interactions):
    """Clothes that users clicked, as impressions, by the rules of `Interactions`.

    - Each item of a row of user_data.txt is a click, in its order; there are no times. A user may have several rows, which follow
      each other in the order of the file. The last value of a row is an outfit: its ids are of another kind, and it is no click.
    - Of several clicks of one item the first counts, unless `repeats` says otherwise.
    - The items are all of item_data.txt, in its order. A title may hold commas: a line is split at its first three.
    - `translations` names a CSV with a header: the item first, the translated title last (a table that others made: the release
      has none). Titles are then its own, and the Chinese ones are `title_chinese`; items that it lacks have no title and
      are counted.
    """

    event: ClassVar[str] = "clicks"
    reads: ClassVar[Mapping[str, int]] = {"title": 30}
    domain: ClassVar[str] = "fashion"
    language: ClassVar[str] = "Chinese"
    holds: ClassVar[Mapping[str, Mapping[str, str]]] = {
        "items": {"title": "text", "category": "category", "title_chinese": "text"},
    }
    attributes: ClassVar[tuple[str, ...]] = tuple(holds["items"])
    official_files: ClassVar[tuple[str, ...]] = ("item_data.txt", "user_data.txt")
    url: ClassVar[str] = "https://github.com/wenyuer/POG"
    licence: ClassVar[str] = "research; see the repository of the authors"
    proven: ClassVar[str] = "format"

    translations: str | None = attrs.field(
        default=None, converter=attrs.converters.optional(path_text), metadata=PATH
    )

    def fingerprint(self) -> Mapping[str, Any]:
        """As others, but where the translations lie: what is in them is among the files."""
        return {**super().fingerprint(), "translations": self.translations is not None}

    def files(self) -> Iterable[Path]:
        """item_data.txt and user_data.txt, then the translations; DataError with where to get them."""
        found = official_files(self.path, [self.official_files], self.url, what="POG")
        if self.translations is None:
            return found
        table = Path(self.translations).expanduser()
        if not table.is_file():
            raise DataError(
                [
                    Problem(
                        str(table),
                        "there is no such file",
                        "name the table of translated titles, or leave it out",
                    )
                ]
            )
        return [*found, table]

    def read(self, problems: Problems) -> Raw:
        """Items and clicks."""
        catalog, log, *tables = self.files()
        dropped: dict[str, int] = {}
        found = list(split_lines(catalog, ("id", "category", "picture", "title"), problems))
        found = [piece.select(["id", "category", "title"]) for piece in found]
        translated = _translations(tables[0], problems) if tables else None
        events = gather(_clicks(log, problems))
        problems.raise_any()
        table = pa.concat_tables(found)
        _refuse_repeats(catalog, one(table["id"]), problems)
        problems.raise_any()
        items = {
            "item_id": one(table["id"]),
            "title": as_text(table["title"]),
            "category": as_category(table["category"]),
        }
        if translated is not None:
            place = pc.index_in(items["item_id"], value_set=one(translated["item"]))
            items["title_chinese"] = items["title"]
            items["title"] = as_text(one(translated["title"]).take(place))
            dropped["titles_without_translation"] = items["title"].null_count
        rules = {"outfits": "the clicked outfit of a row is no click", "order": "the log's"}
        return Raw(items=pa.table(items), events=events, dropped=dropped, rules=rules)


def _clicks(path: Path, problems: Problems) -> Iterator[pa.Table]:
    columns = [Column(name) for name in _USERS.names]
    for piece in read_pieces(path, columns, problems, _USERS):
        split = pc.split_pattern(one(piece["items"]), ";")
        items = pc.utf8_trim_whitespace(split.flatten())
        rows = pa.table({"user": one(piece["user"]).take(pc.list_parent_indices(split)), "item": items})
        rows = rows.filter(pc.not_equal(items, ""))
        if rows.num_rows:
            yield rows


def _translations(path: Path, problems: Problems) -> pa.Table | None:
    """Columns item and title: the first and the last of the table."""
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        names = values_of(file.readline().rstrip("\r\n"), Layout())
    if len(names) < 2:
        problems.add(
            f"{path.name} line 1",
            "a header of two columns or more is expected",
            "the item first, its title last",
        )
        return None
    pieces = list(read_pieces(path, (Column(names[0]), Column(names[-1])), problems))
    if not pieces or len(problems):
        return None
    table = pa.concat_tables(pieces).rename_columns(["item", "title"])
    _refuse_repeats(path, one(table["item"]), problems, header=1)
    return table


def _refuse_repeats(path: Path, ids: pa.Array, problems: Problems, header: int = 0) -> None:
    if len(pc.unique(ids)) == len(ids):
        return
    first: dict[str, int] = {}
    for line, each in enumerate(ids.to_pylist(), 1 + header):
        if first.setdefault(each, line) < line:
            what = f"item {each} is already in line {first[each]}"
            problems.add(f"{path.name} line {line}", what, "keep one of the lines")
