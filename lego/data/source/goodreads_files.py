"""The layouts of Goodreads: which files a folder holds, and their books, users and interactions in one form.

goodreads_books_G.json  goodreads_interactions_G.json  goodreads_reviews_G.json          UCSD, a genre G
goodreads_books.json    goodreads_interactions_dedup.json  goodreads_reviews_dedup.json  UCSD, all of it
                        goodreads_interactions.csv  book_id_map.csv  user_id_map.csv     the same with numbers for ids
book.csv  book-desc.csv  user_history.jsonl  user_profiler.log  generator_v1.log         the excerpt of ONCE

The files of UCSD may be gzipped. Those of works, authors and genres beside them are read where they are there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from lego.data.problems import Problems
from lego.data.raw.clean import clean
from lego.data.raw.json_lines import LINE, Field, complain_of_values, read_json_lines
from lego.data.raw.official import first_of, missing
from lego.data.raw.once_each import complain_of_repeats
from lego.data.raw.reader import CSV, Column, Layout, read_pieces, read_rows
from lego.data.raw.times import ENGLISH, read_times
from lego.data.table import CATEGORY, LIST, NUMBER, flat
from lego.errors import DataError, Problem, did_you_mean
from lego.ragged import offsets_of

URL = "https://mengtingwan.github.io/data/goodreads"
ONCE = "https://github.com/Jyonn/ONCE"

_BOOKS = re.compile(r"goodreads_books(?:_(.+))?\.json(\.gz)?")
_AUTHORS = pa.list_(pa.struct([("author_id", pa.string())]))
_BOOK = (
    Field("book_id", required=True),
    Field("title"),
    Field("description"),
    Field("authors", _AUTHORS),
    Field("language_code"),
    Field("format"),
    Field("publisher"),
    Field("publication_year"),
    Field("num_pages"),
)
_WORK = (
    Field("best_book_id", required=True),
    Field("original_title"),
    Field("original_publication_year"),
    Field("media_type"),
)
_NUMBERS = {"publication_year": "year", "num_pages": "pages", "original_publication_year": "year"}
_CATEGORIES = {
    "language_code": "language",
    "format": "format",
    "publisher": "publisher",
    "media_type": "format",
}
_ADDED = "date_added"
_INTERACTION = (
    Field("user_id", required=True),
    Field("book_id", required=True),
    Field("rating", pa.int64(), required=True, low=0, high=5),
    Field(_ADDED),
)
_READ = Field("is_read", pa.bool_(), required=True)
_NUMBERED = (
    Column("user_id", pa.int64(), low=0),
    Column("book_id", pa.int64(), low=0),
    Column("is_read", pa.int64(), low=0, high=1),
    Column("rating", pa.int64(), low=0, high=5),
)


def _of_no_layout(folder: Path) -> DataError:
    wanted = "goodreads_books.json.gz, goodreads_books_GENRE.json.gz or book.csv"
    fix = f"download the books and the interactions of a genre, or of all, from {URL} into one folder"
    return missing(
        folder, wanted, fix, "goodreads_books*.json", "goodreads_books*.json.gz", "user_history.jsonl"
    )


def find(folder: Path, genre: str | None, log: str | None) -> Books | Once:
    """The files of the folder; DataError with where to get them."""
    if genre is None and (folder / "user_history.jsonl").is_file():
        return _once(folder)
    found: dict[str, Path] = {}
    for path in sorted(folder.glob("goodreads_books*")) if folder.is_dir() else []:
        match = _BOOKS.fullmatch(path.name)
        if match:
            found.setdefault(match[1] or "", path)
    if not found:
        raise _of_no_layout(folder)
    if genre is None and "" not in found and len(found) > 1:
        what = f"holds several genres: {', '.join(found)}"
        raise DataError([Problem(str(folder), what, f'choose one with genre="{next(iter(found))}"')])
    if genre is not None and genre not in found:
        there = ", ".join(name for name in found if name) or "none"
        what = f"holds no goodreads_books_{genre}.json.gz. {did_you_mean(genre, found)}There are {there}"
        raise DataError([Problem(str(folder), what, "choose one of them with genre=")])
    name = genre if genre is not None else "" if "" in found else next(iter(found))
    end = f"_{name}.json" if name else "_dedup.json"
    logs = {
        "interactions": [f"goodreads_interactions{end}", *([] if name else ["goodreads_interactions.csv"])],
        "reviews": [f"goodreads_reviews{end}"],
    }
    wanted = [each for kind, names in logs.items() if log in (None, kind) for each in names]
    chosen = first_of(folder, *wanted)
    numbered = chosen is not None and ".csv" in chosen.suffixes
    book_ids, user_ids = folder / "book_id_map.csv", folder / "user_id_map.csv"
    lacking = [] if chosen is not None else [" or ".join(wanted)]
    lacking += [book_ids.name] if numbered and not book_ids.is_file() else []
    if chosen is None or lacking:
        fix = f"download it from {URL} and put it beside {found[name].name}"
        raise DataError([Problem(str(folder), f"{' and '.join(lacking)} is missing", fix)])
    return Books(
        books=found[name],
        log=chosen,
        book_ids=book_ids if numbered else None,
        user_ids=user_ids if numbered and user_ids.is_file() else None,
        works=first_of(folder, "goodreads_book_works.json"),
        authors=first_of(folder, "goodreads_book_authors.json"),
        genres=first_of(folder, "goodreads_book_genres_initial.json"),
    )


# --- UCSD ---------------------------------------------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class Books:
    """The files of UCSD."""

    books: Path
    log: Path
    book_ids: Path | None
    user_ids: Path | None
    works: Path | None
    authors: Path | None
    genres: Path | None

    def paths(self, items: str) -> list[Path]:
        """Those that are read."""
        books = [self.works] if items == "works" else [self.books, self.authors]
        return [
            path for path in (*books, self.genres, self.log, self.book_ids, self.user_ids) if path is not None
        ]

    def read_items(
        self, items: str, steps: tuple[str, ...], problems: Problems
    ) -> tuple[pa.Table, dict[str, int]]:
        """The books or the works, each once, and what was left out."""
        dropped = {}
        if items == "works":
            assert self.works is not None  # files() has looked
            table = _whole(read_json_lines(self.works, _WORK, problems, lines=True), problems)
            titled = flat(pc.fill_null(pc.match_substring_regex(table["original_title"], r"\S"), False))
            dropped["works_without_title"] = int((~titled).sum())
            table = table.filter(pa.array(titled))
            table = table.rename_columns({"best_book_id": "item_id", "original_title": "title"})
            path = self.works
        else:
            table = _whole(read_json_lines(self.books, _BOOK, problems, lines=True), problems)
            table, path = table.rename_columns({"book_id": "item_id"}), self.books
        complain_of_repeats(path.name, table["item_id"], table[LINE], "book", problems)
        made: dict[str, Any] = {"item_id": table["item_id"]}
        for name in ("title", "description"):
            if name in table.column_names:
                made[name] = pa.chunked_array(
                    [clean(chunk, steps) for chunk in table[name].chunks], pa.string()
                )
        if "authors" in table.column_names and self.authors is not None:
            made["authors"] = _author_names(table["authors"], self.authors, problems)
        if self.genres is not None:
            made["genres"] = _genres(table["item_id"], self.genres, problems)
        for name, own in _CATEGORIES.items():
            if name in table.column_names:
                blank = pc.equal(table[name], "")
                texts = pc.if_else(blank, pa.scalar(None, pa.string()), table[name])
                made[own] = pc.cast(texts.dictionary_encode(), CATEGORY)
        for name, own in _NUMBERS.items():
            if name in table.column_names:
                written = pc.match_substring_regex(table[name], r"^\s*-?\d{1,15}\s*$")
                texts = pc.if_else(
                    written, pc.utf8_trim_whitespace(table[name]), pa.scalar(None, pa.string())
                )
                made[own] = pc.cast(texts, NUMBER)
        return pa.table(made), dropped

    def read_log(self, click: str, problems: Problems, dropped: dict[str, int]) -> Iterator[pa.Table]:
        """Who took which book: user, item, value, and time where the file has it, piece by piece."""
        if self.book_ids is not None:
            yield from self._numbered(click, problems)
            return
        reviews = self.log.name.startswith("goodreads_reviews")
        fields = _INTERACTION if reviews else (*_INTERACTION, _READ)
        dropped["interactions_without_a_date"] = 0
        for piece in read_json_lines(self.log, fields, problems, lines=True):
            time, known, blank = read_times(
                self.log.name, _ADDED, piece, ENGLISH, "Thu Aug 17 15:15:28 -0700 2017", problems
            )
            dropped["interactions_without_a_date"] += blank
            read = (
                pc.cast(piece["is_read"], pa.int64()) if not reviews else pa.array(np.ones(len(piece), int))
            )
            table = pa.table(
                {
                    "user": piece["user_id"],
                    "item": piece["book_id"],
                    "value": read if click == "read" else piece["rating"],
                    "time": time,
                }
            )
            yield table.filter(pa.array(known))

    def _numbered(self, click: str, problems: Problems) -> Iterator[pa.Table]:
        """The CSV, its numbers translated into the ids of the books and users."""
        assert self.book_ids is not None
        books = read_rows(
            self.book_ids, (Column("book_id_csv", pa.int64(), low=0), Column("book_id")), problems
        )
        users = None
        if self.user_ids is not None:
            users = read_rows(
                self.user_ids, (Column("user_id_csv", pa.int64(), low=0), Column("user_id")), problems
            )
        problems.raise_any()
        begun = 2  # the header is the first line
        for piece in read_pieces(self.log, _NUMBERED, problems):
            made = {"value": piece["is_read" if click == "read" else "rating"]}
            for own, name, table, path in (
                ("item", "book_id", books, self.book_ids),
                ("user", "user_id", users, self.user_ids),
            ):
                if table is None or path is None:
                    made[own] = pc.cast(piece[name], pa.string())
                    continue
                numbers = table[f"{name}_csv"].combine_chunks()
                place = pc.index_in(piece[name], value_set=numbers)
                absent = np.flatnonzero(flat(place.is_null()))

                def worded(
                    place: int,
                    rows: NDArray[np.int64] = absent,
                    name: str = name,
                    begun: int = begun,
                    ids: pa.Array = piece[name],
                    file: str = path.name,
                ) -> Problem:
                    where = f"{self.log.name} line {begun + int(rows[place])}, column {name}"
                    what = f"{ids[int(rows[place])].as_py()} is not in {file}"
                    return Problem(where, what, "use files of one edition")

                problems.add_each(len(absent), worded)
                made[own] = table[name].take(place)
            begun += piece.num_rows
            if not len(problems):
                yield pa.table(made)

    def complain_of_missing(self, absent: pa.Array, fix: str, problems: Problems) -> None:
        """Each row of a book that the books lack, by its line."""
        if self.book_ids is None:
            what = f"book {{}} is not in {self.books.name}"
            complain_of_values(self.log, _INTERACTION[1], absent, what, fix, problems)


def _whole(pieces: Iterator[pa.Table], problems: Problems) -> pa.Table:
    tables = list(pieces)
    problems.raise_any()
    return pa.concat_tables(tables)


def _author_names(column: pa.ChunkedArray, path: Path, problems: Problems) -> pa.ChunkedArray:
    """The names of the authors of each book; an author whom the file lacks is left out."""
    fields = (Field("author_id", required=True), Field("name", required=True))
    table = _whole(read_json_lines(path, fields, problems), problems)
    known, names = table["author_id"].combine_chunks(), table["name"].combine_chunks()
    made = []
    for chunk in column.chunks:
        authors, owner = chunk.flatten(), flat(pc.list_parent_indices(chunk))
        place = pc.index_in(pc.struct_field(authors, "author_id"), value_set=known)
        there = place.is_valid()
        offsets = offsets_of(np.bincount(owner[flat(there)], minlength=len(chunk)))
        made.append(pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), names.take(place.filter(there))))
    return pa.chunked_array(made, LIST)


def _genres(ids: pa.ChunkedArray, path: Path, problems: Problems) -> pa.ChunkedArray:
    """The genres of each book, those that most readers named first; a name like `history, biography` is two."""
    fields = (Field("book_id", required=True), Field("genres", pa.map_(pa.string(), pa.int64())))
    books, lists = [], []
    for piece in read_json_lines(path, fields, problems):
        books += piece["book_id"].to_pylist()
        for pairs in piece["genres"].to_pylist():
            ordered = sorted(pairs or [], key=lambda pair: -(pair[1] or 0))
            lists.append([name.strip() for names, _ in ordered for name in names.split(",") if name.strip()])
    problems.raise_any()
    place = pc.index_in(ids, value_set=pa.array(books, pa.string()))
    return pa.chunked_array([pa.array(lists, LIST)]).take(place)


# --- ONCE ---------------------------------------------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class Once:
    """The files of ONCE."""

    books: Path
    descriptions: Path | None
    log: Path
    profiles: Path | None
    generated: tuple[Path, ...]

    def paths(self, items: str) -> list[Path]:
        """All files."""
        paths = (self.books, self.descriptions, self.log, self.profiles, *self.generated)
        return [path for path in paths if path is not None]

    def read_items(
        self, items: str, steps: tuple[str, ...], problems: Problems
    ) -> tuple[pa.Table, dict[str, int]]:
        """The books, and nothing left out."""
        books = read_rows(self.books, (Column("bid"), Column("title")), problems, Layout(delimiter="\t"))
        told = None
        if self.descriptions is not None:
            told = read_rows(self.descriptions, (Column("bid"), Column("desc")), problems, CSV)
        problems.raise_any()
        assert books is not None
        for path, table in ((self.books, books), (self.descriptions, told)):
            if path is not None and table is not None:
                lines = pa.chunked_array([np.arange(2, table.num_rows + 2)])
                complain_of_repeats(path.name, table["bid"], lines, "book", problems)
        made = {"item_id": books["bid"], "title": clean(books["title"], steps)}
        if told is not None:
            place = pc.index_in(books["bid"], value_set=told["bid"].combine_chunks())
            made["description"] = clean(told["desc"].take(place), steps)
        return pa.table(made), {}

    def read_log(self, click: str, problems: Problems, dropped: dict[str, int]) -> Iterator[pa.Table]:
        """Who took which book, oldest first, piece by piece."""
        fields = (
            Field("uid", pa.int64(), required=True, low=0),
            Field("history", pa.list_(pa.string()), required=True),
        )
        seen: list[pa.Table] = []
        for piece in read_json_lines(self.log, fields, problems, lines=True):
            seen.append(piece.select(["uid", LINE]))
            history = pa.concat_arrays(piece["history"].chunks)
            owner = pc.list_parent_indices(history)
            users = piece["uid"].take(owner)
            yield pa.table(
                {"user": users, "item": history.flatten(), "value": np.ones(len(owner), np.float32)}
            )
        problems.raise_any()
        table = pa.concat_tables(seen)
        complain_of_repeats(self.log.name, table["uid"], table[LINE], "user", problems)

    def read_users(self, problems: Problems, dropped: dict[str, int]) -> pa.Table | None:
        """What language models wrote of the users: interests, and books made for those who have few."""
        uid = Field("uid", pa.int64(), required=True, low=0)
        interests: dict[int, list[str]] = {}
        made: dict[int, list[str]] = {}
        if self.profiles is not None:
            fields = (uid, Field("interest", pa.list_(pa.string()), required=True))
            table = _whole(read_json_lines(self.profiles, fields, problems, lines=True), problems)
            complain_of_repeats(self.profiles.name, table["uid"], table[LINE], "user", problems)
            interests = dict(zip(table["uid"].to_pylist(), table["interest"].to_pylist(), strict=True))
        unread = 0
        for path in self.generated:
            table = _whole(read_json_lines(path, (uid, Field("book", required=True)), problems), problems)
            for user, text in zip(table["uid"].to_pylist(), table["book"].to_pylist(), strict=True):
                book = _generated(text)
                unread += book is None
                if book is not None:
                    made.setdefault(user, []).append(book)
        if self.generated:
            dropped["generated_books_that_are_no_book"] = unread
        if not interests and not made:
            return None
        ids = sorted({*interests, *made})
        columns = {"user_id": pa.array(ids, pa.int64())}
        if self.profiles is not None:
            columns["interests"] = pa.array([interests.get(each) for each in ids], LIST)
        if self.generated:
            columns["generated_books"] = pa.array([made.get(each) for each in ids], LIST)
        return pa.table(columns)

    def complain_of_missing(self, absent: pa.Array, fix: str, problems: Problems) -> None:
        """Each history with a book that the books lack, by its line."""
        history = Field("history", pa.list_(pa.string()))
        wanted = set(absent.to_pylist())
        for table in read_json_lines(self.log, [history], Problems(), lines=True):
            for row in table.to_pylist():
                for book in row["history"] or []:
                    if book in wanted:
                        where = f"{self.log.name} line {row[LINE]}, column history"
                        problems.add(where, f"book {book} is not in {self.books.name}", fix)


def _generated(text: str) -> str | None:
    """`title: description` of a book in JSON; None where it is none."""
    try:
        book = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(book, dict):
        return None
    parts = [book.get(name) for name in ("title", "description")]
    words = [part.strip() for part in parts if isinstance(part, str) and part.strip()]
    return ": ".join(words) if words and words[0] else None


def _once(folder: Path) -> Once:
    books = folder / "book.csv"
    if not books.is_file():
        raise DataError([Problem(str(folder), "book.csv is missing", f"take it from {ONCE}, data/goodreads")])

    def there(name: str) -> Path | None:
        return folder / name if (folder / name).is_file() else None

    generated: Sequence[Path | None] = [there("generator_v1.log"), there("generator_v2.log")]
    return Once(
        books=books,
        descriptions=there("book-desc.csv"),
        log=folder / "user_history.jsonl",
        profiles=there("user_profiler.log"),
        generated=tuple(path for path in generated if path is not None),
    )
