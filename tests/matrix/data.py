"""Tiny real data that has all an operator may ask for: MovieLens, with a category, a year and groups of users made of it."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lego import MovieLens
from lego.data.table import CATEGORY, Tables, ragged, signal
from lego.ragged import Ragged
from lego.spec import Source, operator


@operator
class Movies(Source):
    """Twelve users. `category` is the first genre, `year` stands in the title, `group` says whether a user watches a lot."""

    reads: ClassVar[dict[str, int]] = {"title": 8, "genres": 4}  # type: ignore[assignment]
    path: str
    history: int = 6

    @property
    def inner(self) -> MovieLens:
        """The source that it reads."""
        return MovieLens(self.path, users=12, negatives=4)

    def fingerprint(self) -> Any:
        """That of the source."""
        return self.inner.fingerprint()

    def files(self) -> Any:
        """Those of the source."""
        return self.inner.files()

    def tables(self) -> Tables:
        """Those of the source, with more columns."""
        made = self.inner.tables()
        genres = made.items["genres"].to_pylist()
        years = pc.extract_regex(made.items["title"], r"\((?P<year>\d{4})\)")
        items = made.items.append_column(
            "category",
            pa.array([each[0] if each else None for each in genres]).dictionary_encode().cast(CATEGORY),
        ).append_column("year", pc.struct_field(years, "year").cast(pa.float64()))
        lengths = ragged(made.users["history"]).lengths
        group = np.where(lengths > np.median(lengths), "often", "seldom")
        users = made.users.append_column("group", pa.array(group).dictionary_encode().cast(CATEGORY))
        for name in ("read_time", "scroll"):
            history = ragged(users["history"])
            users = users.append_column(
                name, signal(Ragged(np.arange(len(history.values), dtype=np.float32) % 7, history.offsets))
            )
        return Tables(
            items=items, users=users, impressions=made.impressions, dropped=made.dropped, rules=made.rules
        )
