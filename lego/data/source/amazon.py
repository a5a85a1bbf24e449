"""Amazon reviews: ratings of products with titles, descriptions, categories, brands and prices.

McAuley et al. 2015 (2014, https://arxiv.org/abs/1506.04757), Ni et al. 2019 (2018, https://aclanthology.org/D19-1018/),
Hou et al. 2024 (2023, https://arxiv.org/abs/2403.03952).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import ClassVar, Literal

import attrs
import pyarrow as pa

from lego.data.impressions.events import gather
from lego.data.impressions.interactions import Ratings, Raw
from lego.data.problems import Problems
from lego.data.raw.clean import are_steps, in_words
from lego.data.source.amazon_files import URL, Edition, find
from lego.errors import DataError, Problem
from lego.spec import operator


@operator
class Amazon(Ratings):
    """Products that users reviewed, as impressions, by the rules of `Ratings`.

    - The edition (2014, 2018 or 2023) is that of the files, and so is the category; `category` chooses where the folder holds
      several. Of the files with reviews the 5-core is read where it is there, then all reviews, then the bare ratings, then those
      of the benchmark of 2023 that are cut already; `log` chooses.
    - `log="cut"` reads the latter, C.train.csv, C.valid.csv and C.test.csv: each is a part. `split`, `dev` and `test` are not for
      them. The history of a rating is all clicks of its user before it in all three; what a column `history` says is those.
    - A rating above 3 is a click, one below 3 a dislike, and 3 is neither, as RecBench and most of the literature have it.
    - Of a product that stands in the metadata twice the first counts. One whose title is a script of the page is left out.
    - The official metadata lack products that were reviewed: their reviews are left out (`missing="drop"`). All is counted.
    - Text is cleaned by the steps `clean` of `lego.data.raw.clean`. A price that is not one amount is missing.

    The items are all products of the metadata, in their order; those of 2023 are parent products. `brand` is the store there.
    The edition of 2014 has neither features nor departments.
    """

    event: ClassVar[str] = "ratings"
    item: ClassVar[str] = "products"
    reads: ClassVar[Mapping[str, int]] = {"title": 30, "categories": 16}
    domain: ClassVar[str] = "products"
    language: ClassVar[str] = "English"
    holds: ClassVar[Mapping[str, Mapping[str, str]]] = {
        "items": {
            "title": "text",
            "brand": "category",
            "department": "category",
            "categories": "list",
            "description": "text",
            "features": "text",
            "price": "number",
        },
        "history": {"time": "time"},
    }
    attributes: ClassVar[tuple[str, ...]] = tuple(holds["items"])
    official_files: ClassVar[tuple[str, ...]] = ("meta_CATEGORY.json.gz", "CATEGORY_5.json.gz")
    url: ClassVar[str] = URL
    licence: ClassVar[str] = "none stated; research use, with citation"
    proven: ClassVar[str] = "real rows"

    category: str | None = None
    log: Literal["core", "all", "ratings", "cut"] | None = None
    clean: tuple[str, ...] = attrs.field(default=("entities", "tags", "whitespace"), validator=are_steps)
    below: float | None = 3.0
    missing: Literal["error", "drop", "empty"] = "drop"

    def files(self) -> Iterable[Path]:
        """The files of the category in the folder; DataError with where to get them."""
        return self._edition().paths

    def read(self, problems: Problems) -> Raw:
        """Products and ratings."""
        edition = self._edition()
        names = " and ".join(log.name for log in edition.logs)
        items, dropped = edition.read_products(self.clean, problems)
        events = gather(edition.read_log(problems))
        return Raw(
            items=items,
            events=events,
            dropped=dropped,
            rules={"log": names, "edition": str(edition.year), "text": in_words(self.clean)}
            | ({"split": "that of the files: train, valid (dev) and test"} if edition.cut else {}),
        )

    def complain_of_missing(self, absent: pa.Array, fix: str, problems: Problems) -> None:
        """Each review of a product that the metadata lack, by its line."""
        self._edition().complain_of_missing(absent, fix, problems)

    def _edition(self) -> Edition:
        edition = find(Path(self.path).expanduser(), self.category, self.log)
        given = self.changed("split", "dev", "test")
        if edition.cut and given:
            what = f"the files are cut into train, dev and test, so there is nothing for {' and '.join(given)} to do"
            raise DataError(
                [Problem(self.path, what, 'leave it out, or choose another log=, such as "ratings"')]
            )
        return edition
