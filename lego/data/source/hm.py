"""H&M (Kaggle 2022, https://www.kaggle.com/competitions/h-and-m-personalized-fashion-recommendations): purchases of clothes.

Reads articles.csv, transactions_train.csv and, where it is there, customers.csv.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import ClassVar

import pyarrow as pa

from lego.data.impressions.events import gather
from lego.data.impressions.interactions import Interactions, Raw
from lego.data.problems import Problems
from lego.data.raw.columns import as_category, as_number, as_text, one, seconds
from lego.data.raw.official import official_files
from lego.data.raw.reader import DAY, Column, read_pieces, read_unique
from lego.spec import operator

_TEXTS = ("prod_name", "detail_desc")
_CATEGORIES = (
    "product_type_name",
    "product_group_name",
    "graphical_appearance_name",
    "colour_group_name",
    "perceived_colour_value_name",
    "perceived_colour_master_name",
    "department_name",
    "index_name",
    "index_group_name",
    "section_name",
    "garment_group_name",
)
_TRANSACTIONS = (Column("t_dat", DAY), Column("customer_id"), Column("article_id"))
_ABOUT_CUSTOMERS = ("FN", "Active", "club_member_status", "fashion_news_frequency")


@operator
class HM(Interactions):
    """Clothes that customers bought, as impressions, by the rules of `Interactions`.

    - A click is a purchase. Purchases of one day are in the order of the file. Of several of one article by one customer the
      first counts, unless `repeats` says otherwise: the same article is often bought several times, even in one day.
    - The items are all articles of articles.csv, in its order; their ids are texts of ten digits, with the zero in front.

    Attributes are the name and the description of an article (a few have none) and its eleven named groups; the numbers of these
    groups say the same and are left out. Customers have age, club_member_status, fashion_news_frequency, FN and Active where
    customers.csv is there; their hashed postal code is left out.
    """

    event: ClassVar[str] = "purchases"
    item: ClassVar[str] = "articles"
    reads: ClassVar[Mapping[str, int]] = {"prod_name": 10, "detail_desc": 40}
    domain: ClassVar[str] = "fashion"
    language: ClassVar[str] = "English"
    holds: ClassVar[Mapping[str, Mapping[str, str]]] = {
        "items": {**dict.fromkeys(_TEXTS, "text"), **dict.fromkeys(_CATEGORIES, "category")},
        "users": {
            "age": "number",
            "FN": "category",
            "Active": "category",
            "club_member_status": "category",
            "fashion_news_frequency": "category",
        },
        "history": {"time": "time"},
    }
    attributes: ClassVar[tuple[str, ...]] = tuple(holds["items"])
    official_files: ClassVar[tuple[str, ...]] = ("articles.csv", "transactions_train.csv", "customers.csv")
    url: ClassVar[str] = "https://www.kaggle.com/competitions/h-and-m-personalized-fashion-recommendations"
    licence: ClassVar[str] = "rules of the competition: non-commercial, academic use; no redistribution"
    proven: ClassVar[str] = "real rows"

    def files(self) -> Iterable[Path]:
        """articles.csv, transactions_train.csv, and customers.csv where it is there; DataError with where to get them."""
        needed = self.official_files[:2]
        found = official_files(self.path, [needed], self.url)
        customers = found[0].with_name("customers.csv")
        return [*found, *([customers] if customers.is_file() else [])]

    def read(self, problems: Problems) -> Raw:
        """Articles, purchases, and customers where there are any."""
        articles, transactions, *customers = self.files()
        columns = [Column(name) for name in ("article_id", *_TEXTS, *_CATEGORIES)]
        what = "article {article_id} is already in line {first}"
        items = read_unique(articles, columns, ("article_id",), what, problems)
        people = _customers(customers[0], problems) if customers else None
        events = gather(_purchases(transactions, problems))
        problems.raise_any()
        assert items is not None  # a table is None only where there is a problem
        texts = {name: as_text(items[name]) for name in _TEXTS}
        groups = {name: as_category(items[name]) for name in _CATEGORIES}
        return Raw(
            items=pa.table({"item_id": one(items["article_id"]), **texts, **groups}),
            events=events,
            users=people,
            rules={"order": "day, then the log's"},
        )


def _purchases(path: Path, problems: Problems) -> Iterator[pa.Table]:
    for piece in read_pieces(path, _TRANSACTIONS, problems):
        yield pa.table(
            {"user": piece["customer_id"], "item": piece["article_id"], "time": seconds(piece["t_dat"])}
        )


def _customers(path: Path, problems: Problems) -> pa.Table | None:
    columns = [Column(name) for name in ("customer_id", *_ABOUT_CUSTOMERS, "age")]
    what = "customer {customer_id} is already in line {first}"
    table = read_unique(path, columns, ("customer_id",), what, problems)
    if table is None:
        return None
    groups = {name: as_category(table[name]) for name in _ABOUT_CUSTOMERS}
    return pa.table({"user_id": one(table["customer_id"]), "age": as_number(table["age"]), **groups})
