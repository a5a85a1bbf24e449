"""MovieLens (Harper and Konstan 2015, https://doi.org/10.1145/2827872): ratings of movies, with titles and genres.

Reads the CSV editions (ml-latest-small, ml-latest, ml-20m, ml-25m, ml-32m) and the older ones (ml-100k, ml-1m, ml-10m).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

import attrs
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from lego.data.candidates import draw_listed, draw_unseen, impressions_of_clicks, split_by_share
from lego.data.problems import Problems
from lego.data.source.movielens_files import URL, Edition, find
from lego.data.table import Tables, flat, lists
from lego.errors import DataError, Problem, SpecError
from lego.ragged import Ragged, offsets_of
from lego.spec import PATH, Choice, Source, between, field_names, ge, operator

_NO_GENRE = "(no genres listed)"
_USERS_STREAM = 9
"""Which stream of the seed chooses the users; the parts have 0, 1 and 2."""


def _path_text(value: str | os.PathLike[str]) -> str:
    return os.fspath(value) if isinstance(value, os.PathLike) else value


def _is_text(instance: object, attribute: Any, value: str) -> None:
    if not isinstance(value, str):
        raise SpecError.wrong_value(type(instance).__name__, attribute.name, value, "the path of a folder")


@operator
class MovieLens(Source):
    """Movies that users rated, as impressions.

    - A click is a rating above `above`.
    - A user's clicks are in the order of (timestamp, movieId): many ratings share a timestamp, so the second key decides.
    - Users with fewer than `minimum` clicks are left out and counted. `users=N` then keeps N users drawn by the seed, or all
      where there are no more. The items are all movies of movies.csv, in its order.
    - The last `test` share of each user's clicks, rounded down but at least one, are test impressions; the `dev` share before
      them, likewise, are dev; the rest are train. A share of 0 makes none.
    - The history of an impression is all clicks of the user before it in that order; the first click has none.
    - The candidates of an impression are the clicked movie and up to `negatives` others, the click at a random place among them:
        - `candidates="popularity"`: drawn one after the other, without putting back, each with a probability proportional to its
          clicks, among the movies that the user never rated, not even later. The clicks of all parts count, and those of users
          that `users=N` left out too: a sample's own counts would tell a movie that was drawn from one that was clicked;
        - `candidates="uniform"`: the same, each movie of the catalogue as likely as the others;
        - `candidates="disliked"`: movies that the user rated `above` or lower, at any time: all of them, or a random
          `negatives` of them.
      An impression for which there is nothing to draw is left out and counted; its click stays in the histories.
    - A rating of a movie that movies.csv lacks is an error (`missing="error"`), is left out and counted (`"drop"`), or makes an
      item without title and genres (`"empty"`).
    - Chance comes from `seed` alone. `history` cuts to the most recent clicks when the data is read, and changes nothing that is
      prepared.

    Title keeps the year in parentheses; genres are a list, empty for "(no genres listed)". Users of ml-1m and ml-100k have
    gender, age (a range in ml-1m, a number in ml-100k), occupation and zip code. movies.csv is movies.dat or u.item there.
    """

    reads: ClassVar[Mapping[str, int]] = {"title": 30, "genres": 16}
    domain: ClassVar[str] = "movies"
    language: ClassVar[str] = "English"
    attributes: ClassVar[tuple[str, ...]] = ("title", "genres")
    official_files: ClassVar[tuple[str, ...]] = ("movies.csv", "ratings.csv")
    url: ClassVar[str] = URL
    licence: ClassVar[str] = (
        "research only; redistribution under the same terms; no commercial use without permission"
    )

    path: str = attrs.field(kw_only=False, converter=_path_text, metadata=PATH, validator=_is_text)
    above: float = attrs.field(default=3.0, validator=between(0.5, 5.0))
    negatives: int = attrs.field(default=20, validator=ge(1))
    candidates: Literal["popularity", "uniform", "disliked"] = "popularity"
    dev: float = attrs.field(default=0.1, validator=between(0.0, 1.0))
    test: float = attrs.field(default=0.1, validator=between(0.0, 1.0))
    minimum: int = attrs.field(default=5, validator=ge(3))
    users: int | None = attrs.field(default=None, validator=ge(1))
    history: int = attrs.field(default=50, validator=ge(1))
    missing: Literal["error", "drop", "empty"] = "error"
    seed: int = attrs.field(default=0, validator=ge(0))

    def __attrs_post_init__(self) -> None:
        """The shares must leave something."""
        if (
            not isinstance(self.dev, Choice)
            and not isinstance(self.test, Choice)
            and self.dev + self.test >= 1
        ):
            raise SpecError.wrong_value(
                "MovieLens", "dev", self.dev, f"less than 1 - test, which is {1 - self.test:g}"
            )

    def fingerprint(self) -> Mapping[str, Any]:
        """Every option but `path` and `history`; `version` counts changes of the rules above."""
        names = [name for name in field_names(type(self)) if name not in {"path", "history"}]
        return {"version": 1, **{name: getattr(self, name) for name in names}}

    def files(self) -> Iterable[Path]:
        """The files of the edition in the folder; DataError with where to get them."""
        return find(Path(self.path).expanduser()).paths

    def tables(self) -> Tables:
        """The tables of it, checked."""
        edition = find(Path(self.path).expanduser())
        problems = Problems()
        movies, ratings = edition.read_movies(problems), edition.read_ratings(problems)
        people = edition.read_users(problems)
        problems.raise_any()
        assert movies is not None  # a table is None only where there is a problem
        assert ratings is not None
        movies, ratings, dropped = self._settle_missing(movies, ratings, edition)
        return self._tables(movies, ratings, people, dropped).check()

    def _settle_missing(
        self, movies: pa.Table, ratings: pa.Table, edition: Edition
    ) -> tuple[pa.Table, pa.Table, dict[str, int]]:
        """The policy for ratings of movies that the edition's file of movies lacks."""
        known = pc.is_in(ratings["movieId"], pc.unique(movies["movieId"]))
        count = ratings.num_rows - (pc.sum(known).as_py() or 0)
        dropped = {} if self.missing == "error" else {"ratings_of_missing_movies": count}
        if count == 0:
            return movies, ratings, dropped
        absent = pc.unique(ratings["movieId"].filter(pc.invert(known)))
        if self.missing == "drop":
            return movies, ratings.filter(known), dropped
        if self.missing == "empty":
            ids = pc.take(absent, pc.sort_indices(absent))
            nothing = pa.nulls(len(ids), pa.string())
            return (
                pa.concat_tables([movies, pa.table([ids, nothing, nothing], movies.schema)]),
                ratings,
                {
                    "ratings_of_missing_movies": 0,
                    "movies_without_text": len(ids),
                },
            )
        name = edition.movies.name
        fix = f'use the {name} of the same edition, or choose missing="drop" or missing="empty"'
        problems = Problems()
        edition.complain_of_missing(absent, fix, problems)
        problems.raise_any()
        raise DataError(
            [Problem(str(edition.ratings), f"{count} ratings are of movies that {name} lacks", fix)]
        )

    def _tables(
        self, movies: pa.Table, ratings: pa.Table, people: pa.Table | None, dropped: dict[str, int]
    ) -> Tables:
        item = _item_rows(flat(movies["movieId"]), flat(ratings["movieId"]))
        user_ids, user = np.unique(flat(ratings["userId"]), return_inverse=True)
        moment = flat(ratings["timestamp"])
        liked = flat(ratings["rating"]) > self.above
        clicks = np.bincount(user[liked], minlength=len(user_ids))
        kept = self._keep_users(clicks, dropped)
        popular = item[liked & (clicks >= self.minimum)[user]]
        row_of = np.full(len(user_ids), -1)
        row_of[kept] = np.arange(len(kept))
        user = row_of[user]
        order = np.lexsort((flat(ratings["movieId"]), moment, user))
        order = order[user[order] >= 0]
        item, user, moment, liked = item[order], user[order], moment[order], liked[order]
        history = Ragged.from_lengths(item[liked], np.bincount(user[liked], minlength=len(kept)))
        times = Ragged(moment[liked], history.offsets)
        rated = _by_user(item, user, len(kept))
        disliked = _by_user(item[~liked], user[~liked], len(kept))
        urn = (
            popular if self.candidates == "popularity" else np.arange(1, movies.num_rows + 1, dtype=np.int32)
        )
        impressions, without = self._impressions(history, times, rated, disliked, urn)
        dropped["impressions_without_negatives"] = without
        users = {
            "user_id": pa.array(user_ids[kept].astype(str), pa.string()),
            "history": lists(history, pa.int32()),
            "times": lists(times, pa.int64()),
        }
        if people is not None:
            place = pc.index_in(
                pa.array(user_ids[kept], pa.int64()), value_set=people["userId"].combine_chunks()
            )
            dropped["users_without_attributes"] = place.null_count
            known = people.drop_columns("userId").combine_chunks()
            users |= {name: known[name].take(place) for name in known.column_names}
        return Tables(
            items=_items(movies),
            users=pa.table(users),
            impressions=impressions,
            dropped=dropped,
            rules=self._rules(),
        )

    def _keep_users(self, clicks: NDArray[np.int64], dropped: dict[str, int]) -> NDArray[np.int64]:
        """Positions of the users that stay, ascending."""
        kept = np.flatnonzero(clicks >= self.minimum)
        dropped["users_below_minimum"] = len(clicks) - len(kept)
        dropped["clicks_of_users_below_minimum"] = int(clicks.sum() - clicks[kept].sum())
        if not len(kept):
            what = f"no user has {self.minimum} ratings above {self.above:g}"
            raise DataError(
                [Problem("ratings.csv", what, "lower minimum= or above=, or use the complete file")]
            )
        if self.users is not None:
            generator = np.random.default_rng([self.seed, _USERS_STREAM])
            chosen = np.sort(generator.permutation(kept)[: self.users])
            dropped["users_not_sampled"] = len(kept) - len(chosen)
            dropped["clicks_of_users_not_sampled"] = int(clicks[kept].sum() - clicks[chosen].sum())
            kept = chosen
        return kept

    def _impressions(
        self, history: Ragged, times: Ragged, rated: Ragged, disliked: Ragged, urn: NDArray[np.int32]
    ) -> tuple[dict[str, pa.Table], int]:
        """The parts, and how many clicks nothing could be drawn for."""

        def draw(owners: NDArray[np.int64], generator: np.random.Generator) -> Ragged:
            if self.candidates == "disliked":
                return draw_listed(disliked, owners, self.negatives, generator)
            return draw_unseen(urn, owners, rated, self.negatives, generator)

        part_of = split_by_share(history.lengths, self.dev, self.test)
        return impressions_of_clicks(history, times, part_of, draw, self.seed)

    def _rules(self) -> dict[str, str]:
        drawn = {
            "popularity": "movies the user never rated, by their clicks in all parts and of all users, without putting back",
            "uniform": "movies the user never rated, each as likely as the others, without putting back",
            "disliked": f"movies the user rated {self.above:g} or lower, all of them or a random {self.negatives}",
        }
        sample = "all" if self.users is None else f"{self.users} drawn by seed {self.seed}"
        return {
            "click": f"rating above {self.above:g}",
            "order": "timestamp, then movieId",
            "users": f"{sample}, of those with {self.minimum} clicks or more",
            "split": f"by user: the last {self.test:g} of the clicks test, the {self.dev:g} before them dev, at least one each",
            "history": "all clicks of the user before the impression",
            "candidates": f"the click and up to {self.negatives} {drawn[self.candidates]}; places random; seed {self.seed}",
            "missing": self.missing,
        }


def _item_rows(movies: NDArray[np.int64], rated: NDArray[np.int64]) -> NDArray[np.int32]:
    """Item row of each rating."""
    order = np.argsort(movies)
    return (order[np.searchsorted(movies, rated, sorter=order)] + 1).astype(np.int32)


def _by_user(item: NDArray[np.int32], user: NDArray[np.int64], users: int) -> Ragged:
    """Item rows of each user, ascending."""
    return Ragged.from_lengths(item[np.lexsort((item, user))], np.bincount(user, minlength=users))


def _items(movies: pa.Table) -> pa.Table:
    """item_id, title and genres."""
    split = pc.split_pattern(movies["genres"].combine_chunks(), "|")
    values, lengths = split.flatten(), flat(pc.fill_null(pc.list_value_length(split), 0))
    owner = np.repeat(np.arange(len(lengths)), lengths)
    real = flat(pc.and_(pc.not_equal(values, _NO_GENRE), pc.not_equal(values, "")))
    offsets = offsets_of(np.bincount(owner[real], minlength=len(lengths)))
    return pa.table(
        {
            "item_id": pc.cast(movies["movieId"], pa.string()),
            "title": movies["title"],
            "genres": pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), values.filter(pa.array(real))),
        }
    )
