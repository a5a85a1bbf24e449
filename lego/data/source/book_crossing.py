"""Book-Crossing (Ziegler et al. 2005, https://doi.org/10.1145/1060745.1060754): ratings of books by readers of a book club.

Reads the official dump (BX-Books.csv, …) and the later copy on Kaggle (Books.csv, …).
"""

from __future__ import annotations

import csv
import re
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
from lego.data.raw.columns import as_category, as_number, as_text, one
from lego.data.raw.official import official_files
from lego.data.raw.reader import CSV, Column, Layout, encoding_of, read_pieces, refuse_repeats, values_of
from lego.data.table import flat
from lego.spec import operator

_DUMP = ("BX-Books.csv", "BX-Book-Ratings.csv", "BX-Users.csv")
_COPY = ("Books.csv", "Ratings.csv", "Users.csv")
_BOOKS = tuple(
    Column(name) for name in ("ISBN", "Book-Title", "Book-Author", "Year-Of-Publication", "Publisher")
)
_RATINGS = (
    Column("User-ID", pa.int64(), low=0),
    Column("ISBN"),
    Column("Book-Rating", pa.int64(), low=0, high=10),
)
_USERS = (_RATINGS[0], Column("Location"), Column("Age"))
_SHIFTED = r'^(?P<title>.*?)\\?";"?(?P<author>[^"]*)"?$'
"""A title that holds its author, since the quote behind it was taken for a part of it."""
_LOST = "\u00c3\\?\u00c2([\u0080-\u00bf])"
"""A letter in UTF-8 that was taken for Latin-1 twice, with the second of its four characters lost."""
_YEAR = r"^\d{1,4}$"


@operator
class BookCrossing(PartlyRated):
    """Books that readers rated, as impressions, by the rules of `Ratings`.

    - Ratings go from 1 to 10, and a click is one above 6, which is to 10 what the usual 3 is to 5. A 0 says that the book was met
      without being rated: `unrated="drop"` leaves it out, `"met"` keeps it from the candidates, `"click"` makes it a click.
    - There are no times: a reader's ratings are in the order of the file.
    - Ratings of books that the list of books lacks are left out and counted: the official file has many, with malformed ISBNs
      among them.
    - The items are all books, in the order of the file. A row of books or of users with another number of values than the
      header is left out and counted; where a title swallowed its author, as in a few official rows, the values are put right.
    - A year of 0, or one that is no number, is missing.
    - The dump is read as UTF-8 where a file is that throughout, and as Latin-1 else; the later copy is UTF-8. Titles, authors and
      publishers are cleaned by the steps of `clean`: the official files have entities, and UTF-8 that was taken for Latin-1, also
      twice with a byte lost to a question mark, which `"latin1"` repairs here too.

    Readers have a location, a country (the last part of it) and an age.
    """

    event: ClassVar[str] = "ratings"
    item: ClassVar[str] = "books"
    lowest: ClassVar[float] = 1.0
    highest: ClassVar[float] = 10.0
    reads: ClassVar[Mapping[str, int]] = {"title": 30, "author": 8}
    domain: ClassVar[str] = "books"
    language: ClassVar[str] = "English, German and others"
    holds: ClassVar[Mapping[str, Mapping[str, str]]] = {
        "items": {"title": "text", "author": "category", "year": "number", "publisher": "category"},
        "users": {"location": "text", "country": "category", "age": "number"},
    }
    attributes: ClassVar[tuple[str, ...]] = tuple(holds["items"])
    official_files: ClassVar[tuple[str, ...]] = _DUMP
    url: ClassVar[str] = "http://www2.informatik.uni-freiburg.de/~cziegler/BX/"
    licence: ClassVar[str] = "free for research, with acknowledgement"
    proven: ClassVar[str] = "real rows"

    above: float = 6.0
    missing: Literal["error", "drop", "empty"] = "drop"
    clean: tuple[str, ...] = attrs.field(default=("latin1", "entities", "whitespace"), validator=are_steps)

    def files(self) -> Iterable[Path]:
        """Books, ratings, and users where they are there; DataError with where to get them."""
        found = official_files(
            self.path, [_DUMP[:2], _COPY[:2]], self.url, what="Book-Crossing (BX-CSV-Dump.zip)"
        )
        users = found[0].with_name((_DUMP if found[0].name == _DUMP[0] else _COPY)[2])
        return [*found, *([users] if users.is_file() else [])]

    def read(self, problems: Problems) -> Raw:
        """Books, ratings, and users where there are any."""
        books, ratings, *users = self.files()
        dropped: dict[str, int] = {}
        items, mended = self._books(books, dropped, problems)
        people = self._users(users[0], dropped, problems) if users else None
        events = gather(_pieces_of_ratings(ratings, problems))
        problems.raise_any()
        assert items is not None  # a table is None only where there is a problem
        return Raw(
            items=items,
            events=self.settle(events, dropped),
            users=people,
            dropped=dropped,
            rules={"clean": in_words(self.clean), "shifted": f"values of {mended} books were put right"},
        )

    def _books(self, path: Path, dropped: dict[str, int], problems: Problems) -> tuple[pa.Table | None, int]:
        """Items, and of how many the values were put right."""
        layout, odd = _layout(path), list[str]()
        pieces = list(read_pieces(path, _BOOKS, problems, layout, odd))
        if not pieces or len(problems):
            return None, 0
        table = pa.concat_tables(pieces)
        # A title that holds its author leaves one value too few, and all behind it one place too far ahead.
        short = [values[:5] for values in _split(odd, layout) if len(values) == 7 and _is_shifted(values)]
        if short:
            rows = [pa.array(each, pa.string()) for each in zip(*short, strict=True)]
            table = pa.concat_tables([table, pa.table(rows, table.schema)])
        dropped["malformed_books"] = len(odd) - len(short)
        if not refuse_repeats(
            table,
            path,
            _BOOKS,
            ("ISBN",),
            "book {ISBN} is already in line {first}",
            problems,
            layout,
            odd=True,
        ):
            return None, 0
        return self._items(table)

    def _items(self, table: pa.Table) -> tuple[pa.Table, int]:
        isbn, title, author, year, publisher = (one(table[column.name]) for column in _BOOKS)
        parts = pc.extract_regex(title, _SHIFTED)
        shifted = pc.and_(parts.is_valid(), pc.match_substring_regex(author, _YEAR))
        publisher = pc.if_else(shifted, year, publisher)
        year = pc.if_else(shifted, author, year)
        author = pc.if_else(shifted, pc.struct_field(parts, "author"), author)
        title = pc.if_else(shifted, pc.struct_field(parts, "title"), title)
        years = as_number(year)
        years = pc.if_else(pc.equal(years, 0), pa.scalar(None, pa.float64()), years)
        made = {
            "item_id": isbn,
            "title": clean(as_text(self._found(title)), self.clean),
            "author": clean(as_category(self._found(author)), self.clean),
            "year": years,
            "publisher": clean(as_category(self._found(publisher)), self.clean),
        }
        return pa.table(made), int(flat(shifted).sum())

    def _found(self, texts: pa.Array) -> pa.Array:
        """The texts with letters as cleaning can repair them."""
        return pc.replace_substring_regex(texts, _LOST, "\u00c3\\1") if "latin1" in self.clean else texts

    def _users(self, path: Path, dropped: dict[str, int], problems: Problems) -> pa.Table | None:
        layout, odd = _layout(path), list[str]()
        pieces = list(read_pieces(path, _USERS, problems, layout, odd))
        dropped["malformed_users"] = len(odd)
        if not pieces or len(problems):
            return None
        table = pa.concat_tables(pieces)
        what = "user {User-ID} is already in line {first}"
        if not refuse_repeats(table, path, _USERS, ("User-ID",), what, problems, layout, odd=True):
            return None
        place = clean(as_text(table["Location"]), self.clean)
        country = pc.struct_field(pc.extract_regex(place, r"(?P<country>[^,]*)$"), "country")
        age = as_number(table["Age"])
        return pa.table(
            {
                "user_id": one(table["User-ID"]),
                "location": place,
                "country": as_category(country, ("n/a",)),
                "age": age,
            }
        )


def _split(lines: Iterable[str], layout: Layout) -> Iterator[list[str]]:
    for line in lines:
        try:
            yield values_of(line, layout)
        except csv.Error:
            continue


def _is_shifted(values: list[str]) -> bool:
    return bool(re.match(_SHIFTED, values[1]) and re.match(_YEAR, values[2]))


def _pieces_of_ratings(path: Path, problems: Problems) -> Iterator[pa.Table]:
    for piece in read_pieces(path, _RATINGS, problems, _layout(path)):
        value = piece["Book-Rating"]
        rating = pc.if_else(
            pc.equal(value, 0), pa.scalar(float("nan"), pa.float32()), pc.cast(value, pa.float32())
        )
        yield pa.table({"user": piece["User-ID"], "item": piece["ISBN"], "value": rating})


def _layout(path: Path) -> Layout:
    """How the file is written: the dump has semicolons and backslashes before quotes."""
    if path.name not in _DUMP:
        return CSV
    return Layout(delimiter=";", encoding=encoding_of(path), quotes=True, escape="\\")
