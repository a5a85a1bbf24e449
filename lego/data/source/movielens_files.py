"""The editions of MovieLens: which files a folder holds, and their movies, ratings and users in one form.

movies.csv  ratings.csv                 ml-latest-small, ml-latest, ml-20m, ml-25m, ml-32m    UTF-8, CSV with a header
movies.dat  ratings.dat                 ml-10m                                                UTF-8, `::` between values
movies.dat  ratings.dat  users.dat      ml-1m                                                 Latin-1, `::` between values
u.item      u.data       u.user         ml-100k                                               Latin-1, a bar or a tab
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import attrs
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lego.data.impressions.events import Events, gather
from lego.data.problems import Problems
from lego.data.raw.growing import MANY, blocks
from lego.data.raw.reader import CSV, Column, Complaint, Layout, examine, read_pieces, read_unique
from lego.data.table import CATEGORY, NUMBER, flat
from lego.errors import DataError, Problem

URL = "https://grouplens.org/datasets/movielens/"

_MOVIES = (Column("movieId", pa.int64(), low=0), Column("title"), Column("genres"))
_RATINGS = (
    Column("userId", pa.int64(), low=0),
    Column("movieId", pa.int64(), low=0),
    Column("rating", pa.float64(), low=0.5, high=5.0),
    Column("timestamp", pa.int64(), low=0),
)
_AGES = {1: "under 18", 18: "18-24", 25: "25-34", 35: "35-44", 45: "45-49", 50: "50-55", 56: "56 and over"}
"""What ml-1m means by its seven ages."""
_OCCUPATIONS = (
    *(
        "other",
        "academic or educator",
        "artist",
        "clerical or admin",
        "college or grad student",
        "customer service",
    ),
    *("doctor or health care", "executive or managerial", "farmer", "homemaker", "K-12 student", "lawyer"),
    *("programmer", "retired", "sales or marketing", "scientist", "self-employed", "technician or engineer"),
    *("tradesman or craftsman", "unemployed", "writer"),
)
"""What ml-1m means by its numbers from 0."""
_FLAGS = (
    *("unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary", "Drama"),
    *(
        "Fantasy",
        "Film-Noir",
        "Horror",
        "Musical",
        "Mystery",
        "Romance",
        "Sci-Fi",
        "Thriller",
        "War",
        "Western",
    ),
)
"""The genres of ml-100k, a column each."""


@attrs.frozen(kw_only=True)
class Edition:
    """The files of a folder and how they are written."""

    movies: Path
    ratings: Path
    users: Path | None
    movies_layout: Layout
    ratings_layout: Layout
    users_layout: Layout = CSV

    @property
    def paths(self) -> list[Path]:
        """All files."""
        return [self.movies, self.ratings, *([self.users] if self.users is not None else [])]

    def read_movies(self, problems: Problems) -> pa.Table | None:
        """movieId, title and genres with bars between them."""
        what = "movie {movieId} is already in line {first}"
        if self.movies_layout.delimiter != "|":
            return read_unique(self.movies, _MOVIES, ("movieId",), what, problems, self.movies_layout)
        flags = [Column(name, pa.int64(), low=0, high=1) for name in _FLAGS]
        table = read_unique(
            self.movies, (*_MOVIES[:2], *flags), ("movieId",), what, problems, self.movies_layout
        )
        if table is None:
            return None
        marked = [pc.if_else(pc.equal(table[name], 1), f"{name}|", "") for name in _FLAGS[1:]]
        joined = pc.utf8_rtrim(pc.binary_join_element_wise(*marked, ""), characters="|")
        return pa.table({"movieId": table["movieId"], "title": table["title"], "genres": joined})

    def read_ratings(self, problems: Problems) -> Events:
        """User by user, and of a user by the number of the movie; none where something is wrong."""
        before = len(problems)
        pieces = read_pieces(self.ratings, _RATINGS, problems, self.ratings_layout)
        events = gather(each.rename_columns(["user", "item", "value", "time"]) for each in pieces)
        events = events.ordered("user", "item")
        again = [] if len(problems) > before else list(_repeated(events))
        if again:
            what = "user {userId} rates movie {movieId} in line {first} already"
            complaint = Complaint(
                ("userId", "movieId"), frozenset(again), what, "keep one of the rows", spare_first=True
            )
            problems.extend(examine(self.ratings, _RATINGS, [complaint], self.ratings_layout))
        return events

    def read_users(self, problems: Problems) -> pa.Table | None:
        """userId and the attributes of users; None where the edition has none, or something is wrong."""
        if self.users is None:
            return None
        coded = self.users_layout.delimiter == "::"
        ages = Column("age", pa.int64(), low=0, high=56 if coded else 150)
        work = (
            Column("occupation", pa.int64(), low=0, high=len(_OCCUPATIONS) - 1)
            if coded
            else Column("occupation")
        )
        columns = (_RATINGS[0], Column("gender"), ages, work, Column("zip"))
        table = read_unique(
            self.users,
            columns,
            ("userId",),
            "user {userId} is already in line {first}",
            problems,
            self.users_layout,
        )
        if table is None:
            return None
        gender, zips = (_category(table[name]) for name in ("gender", "zip"))
        if not coded:
            age, occupation = pc.cast(table["age"], NUMBER), _category(table["occupation"])
        else:
            wrong = set(pc.unique(table["age"]).to_pylist()) - set(_AGES)
            if wrong:
                fix = f"the ages are {', '.join(map(str, _AGES))}"
                complaint = Complaint(
                    ("age",), frozenset((each,) for each in wrong), "{age} stands for no age", fix
                )
                problems.extend(examine(self.users, columns, [complaint], self.users_layout))
                return None
            age = _category(_worded(table["age"], _AGES))
            occupation = _category(_worded(table["occupation"], dict(enumerate(_OCCUPATIONS))))
        return pa.table(
            {"userId": table["userId"], "gender": gender, "age": age, "occupation": occupation, "zip": zips}
        )

    def complain_of_missing(self, absent: pa.Array, fix: str, problems: Problems) -> None:
        """Each rating of a movie that the movies lack, by its line."""
        values = frozenset((value,) for value in absent.to_pylist())
        complaint = Complaint(("movieId",), values, f"movie {{movieId}} is not in {self.movies.name}", fix)
        problems.extend(examine(self.ratings, _RATINGS, [complaint], self.ratings_layout))


def find(folder: Path) -> Edition:
    """The edition in a folder; DataError with where to get one."""

    def there(*names: str) -> bool:
        return all((folder / name).is_file() for name in names)

    ratings, users = (
        ("userId", "movieId", "rating", "timestamp"),
        ("userId", "gender", "age", "occupation", "zip"),
    )
    if there("movies.csv", "ratings.csv"):
        return Edition(
            movies=folder / "movies.csv",
            ratings=folder / "ratings.csv",
            users=None,
            movies_layout=CSV,
            ratings_layout=CSV,
        )
    if there("movies.dat", "ratings.dat"):
        known = there("users.dat")
        coding = "latin-1" if known else "utf-8"
        return Edition(
            movies=folder / "movies.dat",
            ratings=folder / "ratings.dat",
            users=folder / "users.dat" if known else None,
            movies_layout=Layout(("movieId", "title", "genres"), "::", coding),
            ratings_layout=Layout(ratings, "::", coding),
            users_layout=Layout(users, "::", coding),
        )
    if there("u.item", "u.data", "u.user"):
        items = ("movieId", "title", "release date", "video date", "url", *_FLAGS)
        people = ("userId", "age", "gender", "occupation", "zip")
        return Edition(
            movies=folder / "u.item",
            ratings=folder / "u.data",
            users=folder / "u.user",
            movies_layout=Layout(items, "|", "latin-1"),
            ratings_layout=Layout(ratings, "\t", "latin-1"),
            users_layout=Layout(people, "|", "latin-1"),
        )
    raise DataError([_missing_files(folder)])


def _repeated(events: Events) -> Iterator[tuple[int, int]]:
    """User and movie of each rating that is there twice."""
    for begin, end in blocks(len(events) - 1, MANY):
        user, item = events.user[begin : end + 1], events.item[begin : end + 1]
        again = np.flatnonzero((user[1:] == user[:-1]) & (item[1:] == item[:-1]))
        users, items = (
            ids.take(pa.array(codes[again]))
            for ids, codes in ((events.user_ids, user), (events.item_ids, item))
        )
        yield from zip(users.to_pylist(), items.to_pylist(), strict=True)


def _category(column: pa.ChunkedArray) -> pa.Array:
    texts = column.combine_chunks()
    texts = pa.concat_arrays(texts.chunks) if isinstance(texts, pa.ChunkedArray) else texts
    texts = pc.if_else(pc.equal(texts, ""), pa.scalar(None, pa.string()), texts)
    return pc.cast(texts.dictionary_encode(), CATEGORY)


def _worded(codes: pa.ChunkedArray, words: Mapping[int, str]) -> pa.ChunkedArray:
    place = pc.index_in(codes, value_set=pa.array(list(words), pa.int64()))
    return pa.chunked_array([pa.array(list(words.values())).take(pa.array(flat(place)))])


def _missing_files(folder: Path) -> Problem:
    download = (
        f"download an edition (ml-latest-small, ml-1m, ml-32m, …) from {URL}, unpack it, and give its folder"
    )
    if not folder.exists():
        return Problem(str(folder), "there is no such folder", download)
    if folder.is_file():
        return Problem(
            str(folder), "is a file, a folder is expected", "unpack it, and give the folder that it makes"
        )
    names = ("ratings.csv", "ratings.dat", "u.data")
    below = sorted(path.parent for name in names for path in folder.glob(f"*/{name}"))
    if below:
        return Problem(str(folder), "holds no ratings.csv itself", f"give the folder that does: {below[0]}")
    editions: list[tuple[str, ...]] = [("u.item", "u.data", "u.user"), ("movies.dat", "ratings.dat")]
    begun = [names for names in editions if any((folder / name).is_file() for name in names)]
    wanted = [*begun, ("movies.csv", "ratings.csv")][0]
    missing = [name for name in wanted if not (folder / name).is_file()]
    verb = "are" if len(missing) > 1 else "is"
    return Problem(str(folder), f"{' and '.join(missing)} {verb} missing", download)
