from __future__ import annotations

import csv
from collections import defaultdict

import pytest

from lego.data.prepare import prepare
from lego.data.source.hm import _CATEGORIES, HM
from lego.errors import DataError
from tests.data.source.trial import trial

COLUMNS = ("article_id", "product_code", "prod_name", *_CATEGORIES, "detail_desc")


def articles_of(rows):
    """articles.csv with the given ids, names and descriptions."""
    lines = [",".join(COLUMNS)]
    lines += [
        ",".join([name, name[1:7], title, *("Group" for _ in _CATEGORIES), text])
        for name, title, text in rows
    ]
    return "\n".join(lines) + "\n"


IDS = [f"0{number:09}" for number in range(111, 131)]
ARTICLES = articles_of([(name, f"Top {name[-2:]}", '"Soft, with ""ribs""."') for name in IDS])
HEADER = "t_dat,customer_id,article_id,price,sales_channel_id\n"
ROWS = [
    f"2020-09-{16 + place:02},{user},{IDS[place + shift]},0.05,2"
    for shift, user in enumerate(("b1", "a0"))
    for place in range(6)
]
PURCHASES = HEADER + "\n".join(ROWS) + "\n"
CUSTOMERS = (
    "customer_id,FN,Active,club_member_status,fashion_news_frequency,age,postal_code\n"
    "a0,1.0,,ACTIVE,NONE,24,ff\nb1,,,,Regularly,,fe\n"
)


@pytest.fixture
def raw(tmp_path):
    """Writes small files; each test says what is different in them."""

    def write(articles=ARTICLES, purchases=PURCHASES, customers=None):
        names = {"articles": articles, "transactions_train": purchases, "customers": customers}
        for name, content in names.items():
            if content is not None:
                raw = content if isinstance(content, bytes) else content.encode()
                (tmp_path / f"{name}.csv").write_bytes(raw)
        return str(tmp_path)

    return write


def test_real_purchases_are_those_of_a_plain_count(shared_data, tmp_path):
    """Users, impressions and histories of the official files, against the csv module; ids keep the zero in front."""
    folder = shared_data / "hm"
    bought = defaultdict(dict)
    rows = 0
    with (folder / "transactions_train.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            rows += 1
            bought[row["customer_id"]].setdefault(row["article_id"], row["t_dat"])
    with (folder / "articles.csv").open(encoding="utf-8", newline="") as file:
        articles = list(csv.DictReader(file))
    assert (rows, len(bought), len(articles)) == (9_511, 1_343, 4_256)
    kept = {user: list(taken) for user, taken in bought.items() if len(taken) >= 5}
    store = prepare(HM(str(folder)), tmp_path)
    tests = sum(max(1, len(taken) // 10) for taken in kept.values())
    clicks = sum(map(len, kept.values()))
    counts = store.manifest["counts"]
    assert counts["items"] == 4_256
    assert counts["users"] == len(kept)
    assert counts["impressions"] == {"train": clicks - 2 * tests, "dev": tests, "test": tests}
    assert store.manifest["dropped"]["repeated_purchases"] == rows - sum(map(len, bought.values()))
    ids = store.item_ids.to_pylist()
    assert ids == [row["article_id"] for row in articles]
    assert {len(each) for each in ids} == {10}
    history = store.users.history
    users = store.users.user_ids.to_pylist()
    found = {user: [ids[place - 1] for place in history[row]] for row, user in enumerate(users)}
    assert found == kept
    texts = store.items["detail_desc"].to_pylist()
    assert texts == [row["detail_desc"].strip() or None for row in articles]
    assert texts.count(None) == 2


def test_three_models_learn_from_real_rows(shared_data, tmp_path):
    """By text, by ids and by a frozen language model, on the customers of the first lines."""
    rows = (shared_data / "hm" / "transactions_train.csv").read_text(encoding="utf-8").split("\n")
    rows = rows[:161]
    named = {row.split(",")[2] for row in rows[1:]}
    articles = (shared_data / "hm" / "articles.csv").read_text(encoding="utf-8").split("\n")
    cut = tmp_path / "hm"
    cut.mkdir()
    (cut / "transactions_train.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    articles = [articles[0], *(row for row in articles[1:] if row[:10] in named)]
    (cut / "articles.csv").write_text("\n".join(articles) + "\n", encoding="utf-8")
    assert {"text", "id"} <= set(trial(HM(str(cut), negatives=5), tmp_path / "runs"))


def test_quotes_dates_and_ids_are_read(raw):
    """Commas and quotes inside a description, days as seconds, articles known by text."""
    tables = HM(raw(), negatives=3).tables()
    assert tables.items["item_id"].to_pylist() == IDS
    assert tables.items["detail_desc"].to_pylist()[0] == 'Soft, with "ribs".'
    assert tables.users["user_id"].to_pylist() == ["a0", "b1"]
    assert tables.users["history"].to_pylist()[1] == [1, 2, 3, 4, 5, 6]
    assert tables.users["times"].to_pylist()[1][:2] == [1600214400, 1600300800]
    assert tables.attributes["colour_group_name"] == "category"


def test_customers_have_attributes_where_there_is_a_file(raw):
    """Age is a number; what is empty is missing; the postal code is left out."""
    tables = HM(raw(customers=CUSTOMERS), negatives=3).tables()
    assert tables.users.drop_columns(["history", "times"]).to_pylist() == [
        {
            "user_id": "a0",
            "age": 24.0,
            "FN": "1.0",
            "Active": None,
            "club_member_status": "ACTIVE",
            "fashion_news_frequency": "NONE",
        },
        {
            "user_id": "b1",
            "age": None,
            "FN": None,
            "Active": None,
            "club_member_status": None,
            "fashion_news_frequency": "Regularly",
        },
    ]


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        ({"purchases": ""}, "transactions_train.csv: is empty"),
        ({"purchases": HEADER}, "transactions_train.csv: holds a header and no rows"),
        (
            {"purchases": PURCHASES + "16.09.2020,a0," + IDS[0] + ",1,1\n"},
            "transactions_train.csv line 14, column t_dat: a day like 2020-09-16 is expected, '16.09.2020' found",
        ),
        (
            {"purchases": PURCHASES + "2020-09-16,a0\n"},
            "transactions_train.csv line 14: 5 columns are expected, 2 found",
        ),
        (
            {"purchases": PURCHASES.replace("article_id", "article")},
            "transactions_train.csv line 1: the column article_id is missing",
        ),
        (
            {"articles": ARTICLES + ARTICLES.split("\n")[1] + "\n"},
            f"articles.csv line 22, column article_id: article {IDS[0]} is already in line 2",
        ),
        ({"articles": ARTICLES.encode() + b"\xff"}, "articles.csv line 22: byte 1 of the line, 0xff"),
        (
            {"purchases": PURCHASES + "2020-09-16,a0,111,1,1\n"},
            "1 purchases are of 1 articles that the catalogue lacks: 111",
        ),
        (
            {"customers": CUSTOMERS + "a0,,,,,24,ff\n"},
            "customers.csv line 4, column customer_id: customer a0 is already in line 2",
        ),
    ],
)
def test_what_is_wrong_is_named(raw, files, sentence):
    """By file, line and column."""
    with pytest.raises(DataError) as caught:
        HM(raw(**files)).tables()
    assert sentence in str(caught.value)


def test_missing_files_come_with_the_way_to_get_them(tmp_path):
    """What is missing, and where it is had."""
    (tmp_path / "articles.csv").touch()
    with pytest.raises(DataError, match=r"transactions_train\.csv is missing") as caught:
        HM(str(tmp_path)).files()
    assert "kaggle.com" in str(caught.value)
    with pytest.raises(DataError, match="there is no such folder"):
        HM(str(tmp_path / "nowhere")).files()
    with pytest.raises(DataError, match="is a file"):
        HM(str(tmp_path / "articles.csv")).files()
    below = tmp_path / "in" / "hm"
    below.mkdir(parents=True)
    for name in ("articles.csv", "transactions_train.csv"):
        (below / name).touch()
    with pytest.raises(DataError, match="give the folder that does"):
        HM(str(tmp_path / "in")).files()
