from __future__ import annotations

import gzip
import json
from collections import Counter, defaultdict

import pytest

from lego.data.prepare import prepare
from lego.data.source.amazon import Amazon
from lego.errors import DataError, SpecError


def lines(rows, write=json.dumps):
    return "".join(write(row) + "\n" for row in rows)


RATED = [
    (user, item, 5.0 if item % 4 else 2.0, 1000 * user + item)
    for user in (1, 2, 3)
    for item in range(user, 13)
]
META_2018 = [
    {
        "asin": f"B{item}",
        "title": f"Thing {item} &amp; <b>more</b>",
        "brand": "Maker &amp; Co",
        "main_cat": '<img src="x.png" class="nav" alt="Digital Music"/>',
        "category": ["Toys", "Toys", "</span></span>", f"Kind {item % 2}"],
        "description": ["One.", "", "<p>Two</p>"],
        "feature": [],
        "rank": "1 in Toys",
        "price": "$1,025.50",
        "details": {},
    }
    for item in range(1, 31)
]
REVIEWS_2018 = [
    {
        "overall": stars,
        "reviewerID": f"U{user}",
        "asin": f"B{item}",
        "unixReviewTime": time,
        "style": {"x": "y"},
    }
    for user, item, stars, time in RATED
]
META_2014 = [
    {
        "asin": f"B{item}",
        "title": f"It's thing {item}",
        "price": 9.99,
        "salesRank": {"Toys": 3},
        "brand": "Maker",
        "categories": [["Toys", "Games"], ["Toys", "Cards"]],
        "description": 'Say "hi"',
    }
    for item in range(1, 31)
]
REVIEWS_2014 = [{**row, "helpful": [0, 1]} for row in REVIEWS_2018]
META_2023 = [
    {
        "parent_asin": f"B{item}",
        "title": f"Thing {item}",
        "store": "Maker",
        "main_category": "Toys",
        "categories": [],
        "description": [],
        "features": ["Red", "Round"],
        "price": [1.5, None, "from 3.99", "7"][item % 4],
        "videos": [{"url": "x"}],
    }
    for item in range(1, 31)
]
REVIEWS_2023 = [
    {
        "rating": stars,
        "user_id": f"U{user}",
        "asin": f"C{item}",
        "parent_asin": f"B{item}",
        "timestamp": time * 1000 + 7,
    }
    for user, item, stars, time in RATED
]
EDITIONS = {
    "2014": {"meta_Toys.json.gz": lines(META_2014, repr), "reviews_Toys_5.json.gz": lines(REVIEWS_2014)},
    "2014 ratings": {
        "meta_Toys.json": lines(META_2014),  # as some have turned it into JSON
        "ratings_Toys.csv": "".join(f"U{u},B{i},{s},{t}\n" for u, i, s, t in RATED),
    },
    "2018": {"meta_Toys.json.gz": lines(META_2018), "Toys_5.json.gz": lines(REVIEWS_2018)},
    "2018 ratings": {
        "meta_Toys.json.gz": lines(META_2018),
        "Toys.csv": "".join(f"B{i},U{u},{s},{t}\n" for u, i, s, t in RATED),
    },
    "2023": {"meta_Toys.jsonl.gz": lines(META_2023), "Toys.jsonl.gz": lines(REVIEWS_2023)},
    "2023 ratings": {
        "meta_Toys.jsonl": lines(META_2023),
        "Toys.csv.gz": "user_id,parent_asin,rating,timestamp\n"
        + "".join(f"U{u},B{i},{s},{t * 1000 + 7}\n" for u, i, s, t in RATED),
    },
}


def cut_2023(history=False):
    """The benchmark of 2023: the last rating of each user in test, the one before it in valid."""
    by_user = {}
    for user, item, stars, time in RATED:
        by_user.setdefault(user, []).append((time, item, stars))
    head = "user_id,parent_asin,rating,timestamp" + ",history" * history + "\n"
    files = dict.fromkeys(("train", "valid", "test"), head)
    for user, rows in by_user.items():
        before = []
        for place, (time, item, stars) in enumerate(sorted(rows)):
            part = {1: "test", 2: "valid"}.get(len(rows) - place, "train")
            past = ("," + " ".join(before)) * history
            files[part] += f"U{user},B{item},{stars},{time * 1000 + 7}{past}\n"
            before.append(f"B{item}")
    return {f"Toys.{part}.csv.gz": text for part, text in files.items()}


@pytest.fixture
def raw(tmp_path):
    """Writes files; a name that ends in .gz is gzipped."""

    def write(files):
        for name, content in files.items():
            data = content if isinstance(content, bytes) else content.encode()
            zipped = name.endswith(".gz") and not data.startswith(b"\x1f\x8b")
            (tmp_path / name).write_bytes(gzip.compress(data, mtime=0) if zipped else data)
        return str(tmp_path)

    return write


@pytest.mark.parametrize("edition", EDITIONS)
def test_every_edition_gives_the_same_clicks(raw, edition):
    """Layout, order of columns and unit of time are those of the files; the clicks are ratings above 3, in order."""
    made = Amazon(raw(EDITIONS[edition])).tables()
    assert made.items["item_id"].to_pylist() == [f"B{item}" for item in range(1, 31)]
    wanted = [[item for u, item, stars, _ in RATED if u == user and stars > 3] for user in (1, 2, 3)]
    assert made.users["user_id"].to_pylist() == ["U1", "U2", "U3"]
    assert made.users["history"].to_pylist() == wanted
    assert made.users["times"].to_pylist()[1] == [2000 + item for item in wanted[1]]
    assert made.rules["edition"] == edition[:4]


def test_text_is_cleaned_and_names_are_those_of_all_editions(raw, tmp_path):
    """Entities, tags, lists of texts, repeated and empty categories, pictures for names, amounts with commas."""
    row = Amazon(raw(EDITIONS["2018"])).tables().items.slice(0, 1).to_pylist()[0]
    assert row == {
        "item_id": "B1",
        "title": "Thing 1 & more",
        "brand": "Maker & Co",
        "department": "Digital Music",
        "categories": ["Toys", "Kind 1"],
        "description": "One. Two",
        "features": None,
        "price": 1025.5,
    }
    row = Amazon(str(tmp_path), clean=()).tables().items.slice(0, 1).to_pylist()[0]
    assert row["title"] == "Thing 1 &amp; <b>more</b>"
    assert row["categories"] == ["Toys", "</span></span>", "Kind 1"]


@pytest.mark.parametrize("history", [False, True])
def test_files_that_are_cut_are_the_parts(raw, history):
    """Whoever cut them: a click of each file is in its part, after all clicks of its user before it, liked or not."""
    path = raw({"meta_Toys.jsonl.gz": lines(META_2023)} | cut_2023(history=history))
    made = Amazon(path, minimum=3, candidates="uniform").tables()
    names = [None, *made.items["item_id"].to_pylist()]
    users = made.users.to_pylist()
    for part, file in (("train", "train"), ("dev", "valid"), ("test", "test")):
        text = cut_2023()[f"Toys.{file}.csv.gz"].splitlines()[1:]
        rows = [line.split(",") for line in text]
        expected = sorted((user, item) for user, item, stars, _ in rows if float(stars) > 3)
        got = []
        for row in made.impressions[part].to_pylist():
            user = users[row["user"]]
            (clicked,) = [c for c, label in zip(row["candidates"], row["labels"], strict=True) if label]
            assert user["history"][row["stop"]] == clicked
            assert user["times"][row["stop"]] == row["time"]
            got.append((user["user_id"], names[clicked]))
        assert sorted(got) == expected
    assert made.rules["split"] == "that of the files: train, valid (dev) and test"
    assert made.rules["log"] == "Toys.train.csv.gz and Toys.valid.csv.gz and Toys.test.csv.gz"


def test_files_that_are_cut_are_all_wanted_and_not_cut_again(raw, tmp_path):
    """A part that is missing is named; an option that would do nothing is refused; other files come first."""
    path = raw({"meta_Toys.jsonl.gz": lines(META_2023)} | cut_2023())
    with pytest.raises(DataError, match="nothing for split and test to do"):
        Amazon(path, split="time", test=0.2).tables()
    files = [each.name for each in Amazon(path).files()]
    assert files == ["meta_Toys.jsonl.gz", "Toys.train.csv.gz", "Toys.valid.csv.gz", "Toys.test.csv.gz"]
    (tmp_path / "Toys.valid.csv.gz").unlink()
    with pytest.raises(DataError, match=r"the reviews of Toys are missing: Toys\.valid\.csv"):
        Amazon(path).files()
    with pytest.raises(DataError, match=r"the reviews of Toys are missing: Toys\.csv or ratings_Toys\.csv"):
        Amazon(path, log="ratings").files()
    raw({"Toys.csv": EDITIONS["2018 ratings"]["Toys.csv"]})
    assert [each.name for each in Amazon(path).files()] == ["meta_Toys.jsonl.gz", "Toys.csv"]


def test_products_of_2014_and_2023(raw, tmp_path):
    """Paths of categories become their names, each once; a price is a number, or missing where it is no single one."""
    row = Amazon(raw(EDITIONS["2014"])).tables().items.slice(0, 1).to_pylist()[0]
    assert row["title"] == "It's thing 1"
    assert row["categories"] == ["Toys", "Games", "Cards"]
    assert (row["description"], row["price"]) == ('Say "hi"', 9.99)
    for path in tmp_path.iterdir():
        path.unlink()
    items = Amazon(raw(EDITIONS["2023"])).tables().items
    assert items["price"].to_pylist()[:5] == [None, None, 7.0, 1.5, None]
    assert items["features"][0].as_py() == "Red Round"
    assert items["categories"][0].as_py() == []


def test_what_is_known_of_the_official_files_is_left_out_and_counted(raw):
    """Scripts for titles, repeated products (the first counts), reviews twice, reviews of products without metadata."""
    meta = [*META_2018[:29], {**META_2018[29], "title": "var aPageStart = (new Date()).getTime();"}]
    meta.append({**META_2018[0], "title": "Again"})
    extra = [REVIEWS_2018[0], {**REVIEWS_2018[0], "asin": "B30"}, {**REVIEWS_2018[0], "asin": "X"}]
    files = {"meta_Toys.json.gz": lines(meta), "Toys_5.json.gz": lines(REVIEWS_2018 + extra)}
    made = Amazon(raw(files)).tables()
    assert made.items.num_rows == 29
    assert made.items["title"][0].as_py() == "Thing 1 & more"
    told = {name: made.dropped[name] for name in ("products_with_a_script_for_a_title", "repeated_products")}
    assert told == {"products_with_a_script_for_a_title": 1, "repeated_products": 1}
    assert (made.dropped["ratings_of_missing_products"], made.dropped["repeated_ratings"]) == (2, 1)


@pytest.mark.parametrize(("edition", "line"), [("2018", 34), ("2018 ratings", 34), ("2023 ratings", 35)])
def test_a_missing_product_is_named_where_that_is_an_error(raw, edition, line):
    """By file, line and column."""
    files = dict(EDITIONS[edition])
    name = list(files)[1]
    last = files[name].splitlines()[-1]
    files[name] += last.replace("B12", "B99") + "\n"
    with pytest.raises(DataError) as caught:
        Amazon(raw(files), missing="error").tables()
    assert caught.value.problems[0].where.startswith(f"{name} line {line}, column ")
    assert "product B99 is not in meta_Toys" in caught.value.problems[0].what


def test_rating_3_is_neither_liked_nor_disliked(raw):
    """The published convention: it is no click, and no candidate that was disliked; below=None makes it one."""
    rows = [(1, item, (5, 3, 1)[item % 3], item) for item in range(1, 22)]
    csv = "".join(f"B{i},U{u},{s},{t}\n" for u, i, s, t in rows)
    path = raw({"meta_Toys.json.gz": lines(META_2018), "Toys.csv": csv})

    def shown(**options):
        made = Amazon(path, candidates="disliked", negatives=30, **options).tables()
        assert made.users["history"].to_pylist() == [[3, 6, 9, 12, 15, 18, 21]]
        return {c for row in made.impressions["test"]["candidates"].to_pylist() for c in row}

    assert {each for each in shown() if each % 3 == 1} == set()
    assert {each for each in shown(below=None) if each % 3 == 1} == set(range(1, 22, 3))


def test_category_and_log_are_chosen(raw, tmp_path):
    """Several categories ask for a choice; the 5-core comes first, and log= says otherwise."""
    path = raw(
        {
            **EDITIONS["2018"],
            "Toys.csv": EDITIONS["2018 ratings"]["Toys.csv"],
            "Toys.json.gz": lines(REVIEWS_2018),
        }
    )
    names = {log: list(Amazon(path, log=log).files())[1].name for log in (None, "core", "all", "ratings")}
    assert names == {
        None: "Toys_5.json.gz",
        "core": "Toys_5.json.gz",
        "all": "Toys.json.gz",
        "ratings": "Toys.csv",
    }
    raw({"meta_Games.json.gz": lines(META_2018)})
    with pytest.raises(DataError, match=r'holds several categories: Games, Toys\n.*category="Games"'):
        Amazon(path).files()
    with pytest.raises(DataError, match=r"Did you mean 'Toys'\? There are Games, Toys"):
        Amazon(path, category="toys").files()
    with pytest.raises(
        DataError,
        match=r"the reviews of Games are missing: Games_5\.json or reviews_Games_5\.json or Games\.json",
    ):
        Amazon(path, category="Games").files()
    assert len(list(Amazon(path, category="Toys").files())) == 2


def test_missing_files_say_where_to_get_them(tmp_path):
    """No folder, a file, an empty folder, the folder above."""
    with pytest.raises(DataError, match=r"no such folder\n.*download the metadata"):
        Amazon(tmp_path / "none").files()
    with pytest.raises(DataError, match=r"meta_CATEGORY.json.gz is missing"):
        Amazon(tmp_path).tables()
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "meta_Toys.json.gz").write_bytes(b"")
    with pytest.raises(DataError, match=r"give the folder that does: .*below"):
        Amazon(tmp_path).files()
    with pytest.raises(DataError, match="a folder is expected"):
        Amazon(tmp_path / "below" / "meta_Toys.json.gz").files()
    with pytest.raises(SpecError, match="Did you mean 'tags'"):
        Amazon(tmp_path, clean=("tag",))


RATINGS = EDITIONS["2023 ratings"]["Toys.csv.gz"].encode()


@pytest.mark.parametrize(
    ("edition", "name", "content", "sentence"),
    [
        ("2018", "Toys_5.json.gz", "", "Toys_5.json.gz: holds no rows"),
        ("2018", "meta_Toys.json.gz", "", "meta_Toys.json.gz: holds no rows"),
        (
            "2018",
            "Toys_5.json.gz",
            gzip.compress(lines(REVIEWS_2018).encode(), mtime=0)[:-30],
            "Toys_5.json.gz: cannot be read",
        ),
        (
            "2018",
            "Toys_5.json.gz",
            lines(REVIEWS_2018) + '{"overall": 5',
            "Toys_5.json.gz line 34: is not JSON",
        ),
        (
            "2018",
            "Toys_5.json.gz",
            lines([{**REVIEWS_2018[0], "overall": "5"}]),
            "line 1, column overall: a number from 1 to 5",
        ),
        (
            "2018",
            "Toys_5.json.gz",
            lines([{**REVIEWS_2018[0], "overall": 0}]),
            "line 1, column overall: a number from 1 to 5",
        ),
        (
            "2018",
            "Toys_5.json.gz",
            lines([{"user": 1}]),
            "line 1, column reviewerID: a text is expected, nothing or null",
        ),
        (
            "2018",
            "Toys_5.json.gz",
            lines(REVIEWS_2018).encode("utf-16"),
            "line 1: byte 1 of the line, 0xff, is not UTF-8",
        ),
        (
            "2018",
            "meta_Toys.json.gz",
            lines([{"asin": "B1", "title": {}}]),
            "line 1, column title: a text is expected, {} found",
        ),
        (
            "2018",
            "meta_Toys.json.gz",
            lines([{"title": "x"}]),
            "line 1, column asin: a text is expected, nothing or null",
        ),
        (
            "2014",
            "meta_Toys.json.gz",
            lines(META_2014, repr) + "{'asin': exit()}\n",
            "line 31: is not a Python literal",
        ),
        ("2018 ratings", "Toys.csv", "B1,U1,5\n", "Toys.csv line 1: 4 columns are expected, 3 found"),
        ("2018 ratings", "Toys.csv", "U1,B1,five,3\n", "Toys.csv line 1, column value"),
        ("2023 ratings", "Toys.csv.gz", "B1,U1,5,1\n", "Toys.csv.gz line 1: the column user_id is missing"),
        ("2023 ratings", "Toys.csv.gz", gzip.compress(RATINGS, mtime=0)[:-30], "Toys.csv.gz: cannot be read"),
        ("2023 ratings", "Toys.csv.gz", gzip.compress(RATINGS, mtime=0)[:20], "Toys.csv.gz: cannot be read"),
        (
            "2023",
            "Toys.jsonl.gz",
            lines([{**REVIEWS_2023[0], "timestamp": "now"}]),
            "line 1, column timestamp: a whole number",
        ),
    ],
)
def test_malformed_files_are_named_by_line_and_column(raw, edition, name, content, sentence):
    """Whatever is wrong in a raw file: which file, which line, which column, what was expected."""
    with pytest.raises(DataError) as caught:
        Amazon(raw({**EDITIONS[edition], name: content})).tables()
    assert sentence in str(caught.value)


def test_counts_of_real_rows_are_those_of_a_plain_count(shared_data, tmp_path):
    """Gift cards: products, users, clicks and parts, against the json module and loops."""
    folder = shared_data / "amazon"
    store = prepare(Amazon(folder), tmp_path)
    with gzip.open(folder / "meta_Gift_Cards.json.gz", "rt", encoding="utf-8") as file:
        titles = {row["asin"]: row["title"] for row in reversed([json.loads(line) for line in file])}
    with gzip.open(folder / "Gift_Cards_5.json.gz", "rt", encoding="utf-8") as file:
        reviews = [json.loads(line) for line in file]
    first, seen = defaultdict(list), Counter()
    for row in sorted(reviews, key=lambda row: row["unixReviewTime"]):
        key = row["reviewerID"], row["asin"]
        seen[key] += 1
        if seen[key] == 1 and row["overall"] > 3:
            first[row["reviewerID"]].append(row["asin"])
    clicks = {user: items for user, items in first.items() if len(items) >= 5}
    tests = sum(max(1, len(items) // 10) for items in clicks.values())
    total = sum(map(len, clicks.values()))
    counts = store.manifest["counts"]
    assert (len(reviews), len(titles)) == (2403, 611)
    assert counts["items"] == len(titles)
    assert counts["users"] == len(clicks)
    assert counts["impressions"] == {"train": total - 2 * tests, "dev": tests, "test": tests}
    assert store.manifest["dropped"]["repeated_ratings"] == len(reviews) - len(seen)
    ids = store.item_ids.to_pylist()
    found = {
        user: [ids[row - 1] for row in store.users.history[place]]
        for place, user in enumerate(store.users.user_ids.to_pylist())
    }
    assert found == clicks
    assert set(ids) == set(titles)
    assert not any("&amp;" in (title or "") for title in store.items["title"].to_pylist())


def test_models_train_and_are_evaluated_on_real_rows(shared_data, tmp_path):
    """By text, by ids, and by a frozen language model."""
    from tests.data.source.trial import trial

    trial(Amazon(shared_data / "amazon", core=5, users=30), tmp_path)
