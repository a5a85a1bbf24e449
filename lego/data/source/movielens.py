"""MovieLens (Harper and Konstan 2015, https://doi.org/10.1145/2827872): ratings of movies, with titles and genres.

Reads the CSV editions (ml-latest-small, ml-latest, ml-20m, ml-25m, ml-32m) and the older ones (ml-100k, ml-1m, ml-10m).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lego.data.impressions.interactions import Ratings, Raw
from lego.data.problems import Problems
from lego.data.source.movielens_files import URL, find
from lego.data.table import flat
from lego.ragged import offsets_of
from lego.spec import operator

_NO_GENRE = "(no genres listed)"


@operator
class MovieLens(Ratings):
    """Movies that users rated, as impressions, by the rules of `Ratings`.

    - A user's ratings are in the order of (timestamp, movieId): many share a timestamp, so the second key decides. A movie that a
      user rates twice is an error: no official file has one.
    - The items are all movies of movies.csv, in its order.

    Title keeps the year in parentheses; genres are a list, empty for "(no genres listed)". Users of ml-1m and ml-100k have
    gender, age (a range in ml-1m, a number in ml-100k), occupation and zip code. movies.csv is movies.dat or u.item there.
    """

    version: ClassVar[int] = 2
    item: ClassVar[str] = "movies"
    lowest: ClassVar[float] = 0.5
    reads: ClassVar[Mapping[str, int]] = {"title": 30, "genres": 16}
    domain: ClassVar[str] = "movies"
    language: ClassVar[str] = "English"
    holds: ClassVar[Mapping[str, Mapping[str, str]]] = {
        "items": {"title": "text", "genres": "list"},
        "users": {
            "gender": "category",
            "age": "category or number",
            "occupation": "category",
            "zip": "category",
        },
        "history": {"time": "time"},
    }
    attributes: ClassVar[tuple[str, ...]] = tuple(holds["items"])
    official_files: ClassVar[tuple[str, ...]] = ("movies.csv", "ratings.csv")
    url: ClassVar[str] = URL
    licence: ClassVar[str] = (
        "research only; redistribution under the same terms; no commercial use without permission"
    )
    proven: ClassVar[str] = "real rows"

    def files(self) -> Iterable[Path]:
        """The files of the edition in the folder; DataError with where to get them."""
        return find(Path(self.path).expanduser()).paths

    def read(self, problems: Problems) -> Raw:
        """Movies, ratings, and users where the edition has them."""
        edition = find(Path(self.path).expanduser())
        movies, events = edition.read_movies(problems), edition.read_ratings(problems)
        people = edition.read_users(problems)
        problems.raise_any()
        assert movies is not None  # it is None only where there is a problem
        return Raw(
            items=_items(movies),
            events=events,
            users=None if people is None else people.rename_columns({"userId": "user_id"}),
            rules={"order": "timestamp, then movieId"},
        )

    def complain_of_missing(self, absent: pa.Array, fix: str, problems: Problems) -> None:
        """Each rating of a movie that the movies lack, by its line."""
        find(Path(self.path).expanduser()).complain_of_missing(absent, fix, problems)


def _items(movies: pa.Table) -> pa.Table:
    """item_id, title and genres."""
    split = pc.split_pattern(movies["genres"].combine_chunks(), "|")
    values, lengths = split.flatten(), flat(pc.fill_null(pc.list_value_length(split), 0))
    owner = np.repeat(np.arange(len(lengths)), lengths)
    real = flat(pc.and_(pc.not_equal(values, _NO_GENRE), pc.not_equal(values, "")))
    offsets = offsets_of(np.bincount(owner[real], minlength=len(lengths)))
    return pa.table(
        {
            "item_id": movies["movieId"],
            "title": movies["title"],
            "genres": pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), values.filter(pa.array(real))),
        }
    )
