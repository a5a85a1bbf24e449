"""Goodreads (Wan and McAuley 2018, https://doi.org/10.1145/3240323.3240369): books that users shelved, read and rated.

Also reads the excerpt of ONCE (Liu et al. 2024, https://arxiv.org/abs/2305.06566), with what language models wrote of its books
and users.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import ClassVar, Literal

import attrs
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lego.data.impressions.events import Events, gather
from lego.data.impressions.interactions import Ratings, Raw
from lego.data.problems import Problems
from lego.data.raw.clean import are_steps, in_words
from lego.data.source.goodreads_files import URL, Books, Once, find
from lego.errors import DataError, Problem, SpecError
from lego.spec import Choice, operator


@operator
class Goodreads(Ratings):
    """Books on the shelves of users, as impressions, by the rules of `Ratings`.

    - `click="read"` takes as clicks the books that are marked as read, as RecBench does; a book that was put on a shelf and not
      read is a dislike. `click="rating"` takes ratings above `above`; those below `below` are dislikes, and a book without a
      rating is neither. Every book on a shelf is one that the user met.
    - A click is at the time at which the book was added; a row without it is left out and counted. The CSV with numbers for ids
      has no times: its order is that of the log.
    - `genre` chooses where the folder holds several; without it all books are read where they are there. `log` chooses between
      interactions and reviews; a review says that the book was read.
    - `items="works"` takes for items the works that have an original title, under the id of their best book, as RecBench does;
      rows of other editions are then left out.
    - A row of a book that the books lack is left out and counted (`missing="drop"`).
    - Authors and genres are attributes where goodreads_book_authors and goodreads_book_genres_initial are in the folder. The mean
      rating of a book is none: it holds what is to be predicted.

    In the excerpt of ONCE each book of a history is a click, oldest first; descriptions are an attribute of the books, and
    interests and generated books (of users with few clicks, title and description) are attributes of the users.
    """

    event: ClassVar[str] = "interactions"
    item: ClassVar[str] = "books"
    reads: ClassVar[Mapping[str, int]] = {"title": 30}
    domain: ClassVar[str] = "books"
    language: ClassVar[str] = "mostly English"
    holds: ClassVar[Mapping[str, Mapping[str, str]]] = {
        "items": {
            "title": "text",
            "description": "text",
            "authors": "list",
            "genres": "list",
            "language": "category",
            "format": "category",
            "publisher": "category",
            "year": "number",
            "pages": "number",
        },
        "users": {"interests": "list", "generated_books": "list"},
        "history": {"time": "time"},
    }
    attributes: ClassVar[tuple[str, ...]] = tuple(holds["items"])
    official_files: ClassVar[tuple[str, ...]] = (
        "goodreads_books_GENRE.json.gz",
        "goodreads_interactions_GENRE.json.gz",
    )
    url: ClassVar[str] = URL
    licence: ClassVar[str] = "academic use only; no redistribution, no commercial use"
    proven: ClassVar[str] = "real rows"

    genre: str | None = None
    log: Literal["interactions", "reviews"] | None = None
    click: Literal["read", "rating"] = "read"
    items: Literal["books", "works"] = "books"
    clean: tuple[str, ...] = attrs.field(default=("entities", "tags", "whitespace"), validator=are_steps)
    below: float | None = 3.0
    missing: Literal["error", "drop", "empty"] = "drop"

    def __attrs_post_init__(self) -> None:
        """Thresholds are for ratings."""
        super().__attrs_post_init__()
        options = (self.click, self.above, self.below)
        if any(isinstance(each, Choice) for each in options) or self.click != "read":
            return
        for name, value in (("above", self.above), ("below", self.below)):
            if value != 3.0:
                raise SpecError.wrong_value(
                    type(self).__name__, name, value, '3.0 unless click="rating" is given'
                )

    def files(self) -> Iterable[Path]:
        """The files of the folder that are read; DataError with where to get them."""
        return self._find().paths(self.items)

    def read(self, problems: Problems) -> Raw:
        """Books, interactions, and users where the folder has them."""
        found = self._find()
        items, dropped = found.read_items(self.items, self.clean, problems)
        events = gather(found.read_log(self.click, problems, dropped))
        problems.raise_any()
        users = found.read_users(problems, dropped) if isinstance(found, Once) else None
        rules = {"log": found.log.name, "items": self.items, "text": in_words(self.clean)}
        return Raw(items=items, events=events, users=users, dropped=dropped, rules=rules)

    def complain_of_missing(self, absent: pa.Array, fix: str, problems: Problems) -> None:
        """Each row of a book that the books lack, by its line."""
        self._find().complain_of_missing(absent, fix, problems)

    def clicked(self, events: Events) -> NDArray[np.bool_]:
        """Which rows are books that were read, or were rated well."""
        if self.click == "rating":
            return super().clicked(events)
        assert events.value is not None  # read gives them
        return np.asarray(events.value > 0)

    def disliked(self, events: Events) -> NDArray[np.bool_]:
        """Which rows are books that were put aside, or were rated badly."""
        assert events.value is not None
        if self.click == "rating":
            return super().disliked(events) & (events.value > 0)
        return np.asarray(events.value == 0)

    def click_in_words(self) -> str:
        """What a click is, for the manifest."""
        return "a book that was read" if self.click == "read" else super().click_in_words()

    def candidates_in_words(self) -> str:
        """What a click is shown among, for the manifest."""
        if self.click == "rating":
            return super().candidates_in_words()
        if self.candidates == "disliked":
            return f"{self.negatives} books the user shelved and did not read, all of them or a random {self.negatives}"
        return super().candidates_in_words().replace("never rated", "never shelved")

    def _find(self) -> Books | Once:
        found = find(Path(self.path).expanduser(), self.genre, self.log)
        problems = []
        if isinstance(found, Once):
            if self.click == "rating" or self.candidates == "disliked":
                option = 'click="rating"' if self.click == "rating" else 'candidates="disliked"'
                problems.append(
                    Problem(
                        self.path,
                        f"the excerpt of ONCE has no ratings, so {option} finds nothing",
                        "leave it out",
                    )
                )
            if self.items == "works" or self.log is not None:
                option = 'items="works"' if self.items == "works" else "log="
                problems.append(Problem(self.path, f"the excerpt of ONCE has no {option}", "leave it out"))
        elif self.items == "works" and found.works is None:
            what = 'goodreads_book_works.json.gz is missing, which items="works" reads'
            problems.append(Problem(self.path, what, f"download it from {URL} and put it beside the books"))
        if problems:
            raise DataError(problems)
        return found
