"""Anime (https://www.kaggle.com/datasets/CooperUnion/anime-recommendations-database): ratings of members of MyAnimeList.

Reads the older edition (anime.csv, rating.csv) and that of 2020 (anime.csv, anime_with_synopsis.csv, rating_complete.csv or
animelist.csv), the one with descriptions.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import ClassVar, Literal

import attrs
import pyarrow as pa
import pyarrow.compute as pc

from lego.data.impressions.events import gather
from lego.data.impressions.interactions import Raw
from lego.data.impressions.unrated import PartlyRated
from lego.data.problems import Problems
from lego.data.raw.clean import are_steps, clean, in_words
from lego.data.raw.columns import as_category, as_list, as_number, as_text, one
from lego.data.raw.official import official_files
from lego.data.raw.reader import CSV, Column, Layout, read_pieces, read_unique, values_of
from lego.errors import DataError, Problem
from lego.spec import operator

_OLD = ("anime.csv", "rating.csv")
_COMPLETE, _LIST = "rating_complete.csv", "animelist.csv"
_SYNOPSES = "anime_with_synopsis.csv"
_UNKNOWN = ("Unknown", "unknown")
_NO_SYNOPSIS = r"^No synopsis (information )?has been added"
_PLANNED = 6
"""The watching_status of what a member plans to watch."""
_LINES = Layout(breaks=True)


@operator
class Anime(PartlyRated):
    """Anime that members rated, as impressions, by the rules of `Ratings`.

    - Ratings go from 1 to 10, and a click is one above 6, which is to 10 what the usual 3 is to 5. A rating of -1 (of 0 in
      animelist.csv) says that it was watched without being rated: `unrated="drop"` leaves it out, `"met"` keeps it from the
      candidates, `"click"` makes it a click.
    - There are no times: a member's ratings are in the order of the file. Of several of one anime the first counts.
    - Of the edition of 2020 rating_complete.csv is read, or animelist.csv where it is there alone or `unrated` asks for what only
      it has. What a member plans to watch is left out and counted.
    - Ratings of anime that the list lacks are left out and counted: the official files have some.
    - The items are all anime, in the order of the file. "Unknown" is a missing value. Entities in names are cleaned (`clean`). A
      synopsis that says that there is none is missing.

    `score` and `members` are what the whole site said until the data was collected, also after a rating.
    """

    item: ClassVar[str] = "anime"
    lowest: ClassVar[float] = 1.0
    highest: ClassVar[float] = 10.0
    reads: ClassVar[Mapping[str, int]] = {"title": 16, "genres": 16}
    domain: ClassVar[str] = "anime"
    language: ClassVar[str] = "English and romanized Japanese"
    holds: ClassVar[Mapping[str, Mapping[str, str]]] = {
        "items": {
            "title": "text",
            "genres": "list",
            "type": "category",
            "episodes": "number",
            "score": "number",
            "members": "number",
            "synopsis": "text",
            "english": "text",
            "studios": "list",
        },
    }
    attributes: ClassVar[tuple[str, ...]] = tuple(holds["items"])
    official_files: ClassVar[tuple[str, ...]] = (*_OLD, _SYNOPSES, _COMPLETE, _LIST)
    url: ClassVar[str] = "https://www.kaggle.com/datasets/CooperUnion/anime-recommendations-database"
    licence: ClassVar[str] = "CC0, as the page on Kaggle says"
    proven: ClassVar[str] = "format"

    above: float = 6.0
    missing: Literal["error", "drop", "empty"] = "drop"
    clean: tuple[str, ...] = attrs.field(default=("entities", "whitespace"), validator=are_steps)

    def files(self) -> Iterable[Path]:
        """The files of the edition; DataError with where to get one."""
        listed = [("anime.csv", _LIST), (_SYNOPSES, _LIST)]
        complete = [("anime.csv", _COMPLETE), (_SYNOPSES, _COMPLETE)]
        ordered = [*complete, *listed] if self.unrated == "drop" else [*listed, *complete]
        found = official_files(self.path, [_OLD, *ordered], self.url, what="an edition of the anime ratings")
        if found[1].name == _COMPLETE and self.unrated != "drop":
            what = f"has no ratings without a value, which unrated={self.unrated!r} asks for"
            raise DataError([Problem(str(found[1]), what, f"add {_LIST}, or choose unrated='drop'")])
        more = found[0].with_name(_SYNOPSES)
        return [*found, *([more] if more.is_file() and found[0] != more else [])]

    def read(self, problems: Problems) -> Raw:
        """Anime and ratings."""
        catalog, ratings, *synopses = self.files()
        dropped: dict[str, int] = {}
        items = self._items(catalog, problems)
        told = self._synopses(synopses[0], problems) if synopses else None
        events = gather(_ratings(ratings, dropped, problems))
        problems.raise_any()
        assert items is not None  # a table is None only where there is a problem
        if told is not None:
            place = one(pc.index_in(items["item_id"], value_set=one(told["item_id"])))
            items = items.append_column("synopsis", one(told["synopsis"]).take(place))
        rules = {"clean": in_words(self.clean), "ratings": ratings.name}
        return Raw(items=items, events=self.settle(events, dropped), dropped=dropped, rules=rules)

    def _items(self, path: Path, problems: Problems) -> pa.Table | None:
        """What the file says, whichever edition it is of."""
        names = _header(path)
        if "MAL_ID" in names or path.name == _SYNOPSES:
            genres = "Genders" if "Genders" in names else "Genres"
            known = {
                "Name": "title",
                genres: "genres",
                "Type": "type",
                "Episodes": "episodes",
                "Score": "score",
            }
            known |= {
                "Members": "members",
                "English name": "english",
                "Source": "source",
                "Studios": "studios",
            }
            key, known = "MAL_ID", {name: ours for name, ours in known.items() if name in (*names, "Name")}
        else:
            known = {"name": "title", "genre": "genres", "type": "type", "episodes": "episodes"}
            key, known = "anime_id", {**known, "rating": "score", "members": "members"}
        columns = (Column(key, pa.int64(), low=0), *(Column(name) for name in known))
        what = f"anime {{{key}}} is already in line {{first}}"
        table = read_unique(path, columns, (key,), what, problems, _LINES)
        if table is None:
            return None
        made = {"item_id": one(table[key])}
        for name, ours in known.items():
            if ours in ("episodes", "score", "members"):
                made[ours] = as_number(table[name])
            elif ours in ("genres", "studios"):
                made[ours] = clean(as_list(table[name], ",", _UNKNOWN), self.clean)
            else:
                made[ours] = clean(
                    (as_category if ours in ("type", "source") else as_text)(table[name], _UNKNOWN),
                    self.clean,
                )
        if path.name == _SYNOPSES:
            told = self._synopses(path, problems)
            made |= {} if told is None else {"synopsis": one(told["synopsis"])}
        return pa.table(made)

    def _synopses(self, path: Path, problems: Problems) -> pa.Table | None:
        name = next(
            (each for each in _header(path) if each.lower() in ("sypnopsis", "synopsis")), "sypnopsis"
        )
        columns = (Column("MAL_ID", pa.int64(), low=0), Column(name))
        what = "anime {MAL_ID} is already in line {first}"
        table = read_unique(path, columns, ("MAL_ID",), what, problems, _LINES)
        if table is None:
            return None
        texts = clean(as_text(table[name], _UNKNOWN), self.clean)
        none = pc.fill_null(pc.match_substring_regex(texts, _NO_SYNOPSIS), fill_value=False)
        return pa.table(
            {
                "item_id": one(table["MAL_ID"]),
                "synopsis": pc.if_else(none, pa.scalar(None, pa.string()), texts),
            }
        )


def _header(path: Path) -> list[str]:
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        return values_of(file.readline().rstrip("\r\n"), CSV)


def _ratings(path: Path, dropped: dict[str, int], problems: Problems) -> Iterator[pa.Table]:
    """Columns user, item and value; NaN where something was watched and not rated."""
    low, listed = (-1 if path.name == _OLD[1] else 0), path.name == _LIST
    columns = [Column("user_id", pa.int64(), low=0), Column("anime_id", pa.int64(), low=0)]
    columns.append(Column("rating", pa.int64(), low=low, high=10))
    columns += [Column("watching_status", pa.int64())] if listed else []
    planned = 0
    for piece in read_pieces(path, columns, problems):
        if listed:
            watched = pc.not_equal(piece["watching_status"], _PLANNED)
            planned += piece.num_rows - pc.sum(watched).as_py()
        rows = piece.filter(watched) if listed else piece
        value = pc.cast(rows["rating"], pa.float32())
        value = pc.if_else(pc.less_equal(value, 0), pa.scalar(float("nan"), pa.float32()), value)
        yield pa.table({"user": rows["user_id"], "item": rows["anime_id"], "value": value})
    if listed:
        dropped["planned_to_watch"] = planned
