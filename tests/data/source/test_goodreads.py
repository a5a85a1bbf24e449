from __future__ import annotations

import csv
import gzip
import json
from datetime import datetime, timedelta, timezone

import pytest

from lego.data.prepare import prepare
from lego.data.source.goodreads import Goodreads
from lego.errors import DataError, SpecError

FORM = "%a %b %d %H:%M:%S %z %Y"


def lines(rows):
    return "".join(json.dumps(row) + "\n" for row in rows)


def rows_of(path):
    return path.read_text(encoding="utf-8").removesuffix("\n").split("\n")


def date(seconds, hours=-7):
    return datetime.fromtimestamp(seconds, timezone(timedelta(hours=hours))).strftime(FORM)


BOOKS = [
    {
        "book_id": f"{book}",
        "work_id": f"9{book}",
        "title": f"Book {book} &amp; more",
        "description": "" if book == 2 else "About <i>it</i>",
        "authors": [{"author_id": "7", "role": ""}, {"author_id": "404", "role": "Drawings"}],
        "language_code": "eng" if book % 2 else "",
        "format": "Hardcover",
        "publisher": "",
        "publication_year": "2016" if book != 3 else "",
        "num_pages": "36",
        "average_rating": "4.29",
        "popular_shelves": [{"count": "2", "name": "to-read"}],
        "similar_books": [],
    }
    for book in range(1, 31)
]
SHELVED = [
    (user, book, book % 4 != 0, (0, 5, 3, 2)[book % 4] if book % 4 else 0, 10_000 * user + book)
    for user in (1, 2, 3)
    for book in range(user, 15)
]
LOG = [
    {
        "user_id": f"{user:032x}",
        "book_id": f"{book}",
        "review_id": f"{user}-{book}",
        "is_read": read,
        "rating": stars,
        "review_text_incomplete": "",
        "date_added": date(time),
        "date_updated": date(time + 5),
        "read_at": "",
        "started_at": "",
    }
    for user, book, read, stars, time in SHELVED
]
REVIEWS = [
    {**{k: v for k, v in row.items() if k != "is_read"}, "n_votes": 1} for row in LOG if row["is_read"]
]
WORKS = [
    {
        "work_id": f"9{book}",
        "best_book_id": f"{book}",
        "original_title": f"Work {book}" if book % 5 else " ",
        "original_publication_year": "-750" if book == 1 else "1999",
        "media_type": "book",
    }
    for book in range(1, 31)
]
AUTHORS = [{"author_id": "7", "name": "Kat Menschik", "average_rating": "3.51"}]
GENRES = [
    {"book_id": "1", "genres": {"poetry": 1, "history, biography": 9}},
    {"book_id": "2", "genres": {}},
]
GENRE = {
    "goodreads_books_poetry.json.gz": lines(BOOKS),
    "goodreads_interactions_poetry.json.gz": lines(LOG),
}
WHOLE = {
    "goodreads_books.json.gz": lines(BOOKS),
    "goodreads_interactions_dedup.json.gz": lines(LOG),
    "goodreads_book_authors.json.gz": lines(AUTHORS),
    "goodreads_book_genres_initial.json.gz": lines(GENRES),
    "goodreads_book_works.json.gz": lines(WORKS),
}
NUMBERED = {
    "goodreads_books.json": lines(BOOKS),
    "goodreads_interactions.csv": "user_id,book_id,is_read,rating,is_reviewed\n"
    + "".join(f"{u},{b + 100},{int(r)},{s},0\n" for u, b, r, s, _ in SHELVED),
    "book_id_map.csv": "book_id_csv,book_id\n" + "".join(f"{b + 100},{b}\n" for b in range(1, 31)),
    "user_id_map.csv": "user_id_csv,user_id\n" + "".join(f"{u},{u:032x}\n" for u in (1, 2, 3)),
}
ONCE = {
    "book.csv": "bid\ttitle\n" + "".join(f'{b}\tA "quoted" book {b}\n' for b in range(1, 31)),
    "book-desc.csv": "bid,desc\n" + "".join(f'{b},"On ""{b}"", and more"\n' for b in range(1, 30)),
    "user_history.jsonl": lines(
        {"uid": u, "user_id": f"{u:032x}", "history": [f"{u + b}" for b in range(9, 0, -1)]} for u in (3, 10)
    ),
    "user_profiler.log": lines([{"uid": 3, "interest": ["war", "love"]}, {"uid": 99, "interest": ["x"]}]),
    "generator_v1.log": lines([{"uid": 10, "book": '{"title": "Dune", "description": "Sand."}'}]),
    "generator_v2.log": lines(
        [{"uid": 10, "book": "Sorry, as a language model"}, {"uid": 10, "book": '{"title": ""}'}]
    ),
}


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


READ = [[book for u, book, read, *_ in SHELVED if u == user and read] for user in (1, 2, 3)]


@pytest.mark.parametrize(
    "files", [GENRE, WHOLE, NUMBERED, {**GENRE, "goodreads_interactions_poetry.json.gz": ""}]
)
def test_every_layout_gives_the_same_clicks(raw, files):
    """A genre, all of it, numbers for ids, and reviews alone: what was read, in the order of the time it was added."""
    files = dict(files)
    if files.get("goodreads_interactions_poetry.json.gz") == "":
        del files["goodreads_interactions_poetry.json.gz"]
        files["goodreads_reviews_poetry.json.gz"] = lines(REVIEWS)
    made = Goodreads(raw(files)).tables()
    assert made.items["item_id"].to_pylist() == [f"{book}" for book in range(1, 31)]
    assert made.users["user_id"].to_pylist() == [f"{user:032x}" for user in (1, 2, 3)]
    assert made.users["history"].to_pylist() == READ
    if files is not NUMBERED and "goodreads_interactions.csv" not in files:
        assert made.users["times"].to_pylist()[1] == [20_000 + book for book in READ[1]]


def test_what_is_on_the_shelf_is_never_a_negative_and_what_was_not_read_is_a_dislike(raw):
    """Of click="read"; with click="rating" good ratings are clicks, 2 is a dislike, 3 and none are neither."""
    path = raw(GENRE)
    shelf = {1: set(range(1, 15)), 2: set(range(2, 15)), 3: set(range(3, 15))}
    drawn = Goodreads(path, candidates="uniform", negatives=40).tables().impressions["test"].to_pylist()
    for row in drawn:
        negatives = {c for c, label in zip(row["candidates"], row["labels"], strict=True) if not label}
        assert negatives == set(range(1, 31)) - shelf[row["user"] + 1]

    def shown(**options):
        made = Goodreads(path, candidates="disliked", minimum=3, **options).tables()
        rows = made.impressions["test"].to_pylist()
        low = [[c for c, label in zip(r["candidates"], r["labels"], strict=True) if not label] for r in rows]
        return made.users["history"].to_pylist()[0], sorted(low[0])

    assert shown() == (READ[0], [4, 8, 12])
    assert shown(click="rating") == ([1, 5, 9, 13], [3, 7, 11])
    words = Goodreads(path, candidates="disliked").tables().rules
    assert words["click"] == "a book that was read"
    assert "shelved and did not read" in words["candidates"]


def test_attributes_of_books(raw):
    """Text is cleaned, blanks are missing, numbers are numbers, authors and genres have names."""
    rows = Goodreads(raw(WHOLE)).tables().items.slice(0, 3).to_pylist()
    assert rows[0] == {
        "item_id": "1",
        "title": "Book 1 & more",
        "description": "About it",
        "authors": ["Kat Menschik"],
        "genres": ["history", "biography", "poetry"],
        "language": "eng",
        "format": "Hardcover",
        "publisher": None,
        "year": 2016.0,
        "pages": 36.0,
    }
    assert (rows[1]["description"], rows[1]["language"], rows[1]["genres"]) == (None, None, [])
    assert (rows[2]["year"], rows[2]["genres"]) == (None, None)


def test_works_are_items_where_they_have_a_title(raw):
    """Under the id of their best book; the rows of other books are left out and counted."""
    made = Goodreads(raw(WHOLE), items="works").tables()
    assert made.items.num_rows == 24
    assert made.items.slice(0, 1).to_pylist() == [
        {
            "item_id": "1",
            "title": "Work 1",
            "genres": ["history", "biography", "poetry"],
            "format": "book",
            "year": -750.0,
        }
    ]
    assert made.dropped["works_without_title"] == 6
    assert made.dropped["interactions_of_missing_books"] == sum(book % 5 == 0 for _, book, *_ in SHELVED)


def test_rows_without_a_date_are_left_out_and_counted(raw):
    """A blank date is known of the official files; one that is none is an error, by line."""
    blank = [{**row, "date_added": ""} if place < 2 else row for place, row in enumerate(LOG)]
    files = {**GENRE, "goodreads_interactions_poetry.json.gz": lines(blank)}
    made = Goodreads(raw(files)).tables()
    assert made.dropped["interactions_without_a_date"] == 2
    assert made.users["history"].to_pylist()[0] == READ[0][2:]
    files["goodreads_interactions_poetry.json.gz"] = lines(
        [*LOG, {**LOG[0], "date_added": "Thu Feb 31 15:15:28 -0700 2017"}]
    )
    with pytest.raises(
        DataError, match=r"interactions_poetry.json.gz line 40, column date_added: a date like"
    ):
        Goodreads(raw(files)).tables()


def test_the_excerpt_of_once(raw):
    """Quotes in titles stay, descriptions and profiles are attributes, what is no book is counted, users are numbers."""
    made = Goodreads(raw(ONCE)).tables()
    assert made.items.slice(0, 1).to_pylist() == [
        {"item_id": "1", "title": 'A "quoted" book 1', "description": 'On "1", and more'}
    ]
    assert made.items["description"][29].as_py() is None
    assert made.users.to_pylist() == [
        {
            "user_id": "3",
            "history": [*range(12, 3, -1)],
            "interests": ["war", "love"],
            "generated_books": None,
        },
        {
            "user_id": "10",
            "history": [*range(19, 10, -1)],
            "interests": None,
            "generated_books": ["Dune: Sand."],
        },
    ]
    assert made.dropped["generated_books_that_are_no_book"] == 2


def test_the_excerpt_of_once_without_companions(raw, tmp_path):
    """Books and histories are enough; options that need ratings are refused."""
    path = raw({name: ONCE[name] for name in ("book.csv", "user_history.jsonl")})
    made = Goodreads(path).tables()
    assert made.items.column_names == ["item_id", "title"]
    assert made.users.column_names == ["user_id", "history"]
    for options in ({"click": "rating"}, {"candidates": "disliked"}, {"items": "works"}, {"log": "reviews"}):
        with pytest.raises(DataError, match="the excerpt of ONCE has no"):
            Goodreads(path, **options).files()
    titles = "".join(f"{book}\tx\n" for book in range(1, 30))
    raw(
        {
            "book.csv": f"bid\ttitle\n{titles}",
            "user_history.jsonl": lines([{"uid": 1, "history": ["1", "30", "4"]}]),
        }
    )
    with pytest.raises(DataError, match=r"history: book 30 is not in book.csv"):
        Goodreads(path, missing="error").tables()


def test_missing_files_and_options_say_what_to_do(raw, tmp_path):
    """Which file, where to get it, which genres there are."""
    with pytest.raises(DataError, match="no such folder"):
        Goodreads(tmp_path / "none").files()
    with pytest.raises(DataError, match=r"goodreads_books_GENRE.json.gz or book.csv is missing"):
        Goodreads(tmp_path).tables()
    with pytest.raises(SpecError, match=r'3.0 unless click="rating"'):
        Goodreads(tmp_path, above=4.0)
    assert Goodreads(tmp_path, above=4.0, click="rating").above == 4.0
    path = raw({"goodreads_books_poetry.json.gz": lines(BOOKS)})
    with pytest.raises(
        DataError, match=r"goodreads_interactions_poetry.json or goodreads_reviews_poetry.json is missing"
    ):
        Goodreads(path).files()
    raw({**GENRE, "goodreads_books_romance.json": lines(BOOKS)})
    with pytest.raises(DataError, match=r'several genres: poetry, romance\n.*genre="poetry"'):
        Goodreads(path).files()
    with pytest.raises(DataError, match=r"Did you mean 'poetry'\? There are poetry, romance"):
        Goodreads(path, genre="poety").files()
    assert len(list(Goodreads(path, genre="poetry").files())) == 2
    with pytest.raises(DataError, match=r"goodreads_book_works.json.gz is missing"):
        Goodreads(path, genre="poetry", items="works").files()
    raw({name: NUMBERED[name] for name in ("goodreads_books.json", "goodreads_interactions.csv")})
    with pytest.raises(DataError, match=r"book_id_map.csv is missing"):
        Goodreads(path).files()


NUMBERED_HEAD = "user_id,book_id,is_read,rating\n"
BOOKS_FILE, LOGGED = "goodreads_books_poetry.json.gz", "goodreads_interactions_poetry.json.gz"


@pytest.mark.parametrize(
    ("files", "name", "content", "sentence"),
    [
        (GENRE, BOOKS_FILE, "", "goodreads_books_poetry.json.gz: holds no rows"),
        (
            GENRE,
            BOOKS_FILE,
            gzip.compress(lines(BOOKS).encode(), mtime=0)[:-9],
            "poetry.json.gz: cannot be read",
        ),
        (
            GENRE,
            BOOKS_FILE,
            lines([*BOOKS, BOOKS[4]]),
            "line 31: book 5 is already in line 5",
        ),
        (
            GENRE,
            BOOKS_FILE,
            lines([{**BOOKS[0], "title": 7}]),
            "line 1, column title: a text is expected, 7 found",
        ),
        (
            GENRE,
            LOGGED,
            lines([{**LOG[0], "is_read": "true"}]),
            "column is_read: true or false",
        ),
        (
            GENRE,
            LOGGED,
            lines([{**LOG[0], "rating": 6}]),
            "column rating: a whole number from 0 to 5",
        ),
        (GENRE, LOGGED, lines(LOG).encode("utf-16"), "is not UTF-8"),
        (
            NUMBERED,
            "goodreads_interactions.csv",
            "user_id,book_id\n1,2\n",
            "line 1: the column is_read is missing",
        ),
        (
            NUMBERED,
            "goodreads_interactions.csv",
            NUMBERED_HEAD + "1,7,1,5\n",
            "line 2, column book_id: 7 is not in",
        ),
        (
            NUMBERED,
            "book_id_map.csv",
            "book_id_csv,book_id\nx,1\n",
            "book_id_map.csv line 2, column book_id_csv",
        ),
        (
            ONCE,
            "user_history.jsonl",
            lines([{"uid": 1, "history": "1 2 3"}]),
            "line 1, column history: a list of texts",
        ),
        (
            ONCE,
            "user_history.jsonl",
            lines([{"uid": 1, "history": ["1"]}] * 2),
            "line 2: user 1 is already in line 1",
        ),
        (ONCE, "book.csv", ONCE["book.csv"] + "3\tagain\n", "book.csv line 32: book 3 is already in line 4"),
        (ONCE, "book-desc.csv", 'bid,desc\n1,"open\n', "book-desc.csv line 2"),
        (ONCE, "user_profiler.log", "uid 3: war\n", "user_profiler.log line 1: is not JSON"),
    ],
)
def test_malformed_files_are_named_by_line_and_column(raw, files, name, content, sentence):
    """Whatever is wrong in a raw file: which file, which line, which column, what was expected."""
    with pytest.raises(DataError) as caught:
        Goodreads(raw({**files, name: content})).tables()
    assert sentence in str(caught.value)


def test_counts_of_real_rows_are_those_of_a_plain_count(shared_data, tmp_path):
    """The excerpt of ONCE: books, users, clicks, parts and profiles, against the csv and json modules."""
    folder = shared_data / "goodreads" / "once"
    store = prepare(Goodreads(folder, clean=()), tmp_path)
    with (folder / "book-desc.csv").open(encoding="utf-8", newline="") as file:
        told = {row["bid"]: row["desc"] for row in csv.DictReader(file)}
    titles = dict(line.split("\t") for line in rows_of(folder / "book.csv"))
    del titles["bid"]
    histories = [json.loads(line) for line in rows_of(folder / "user_history.jsonl")]
    interests = {
        row["uid"]: row["interest"] for row in map(json.loads, rows_of(folder / "user_profiler.log"))
    }
    assert (len(titles), len(told), len(histories)) == (16_833, 16_833, 6_834)
    clicks = {row["uid"]: list(dict.fromkeys(row["history"])) for row in histories}
    clicks = {user: books for user, books in clicks.items() if len(books) >= 5}
    tests = sum(max(1, len(books) // 10) for books in clicks.values())
    total = sum(map(len, clicks.values()))
    counts = store.manifest["counts"]
    assert counts["items"] == len(titles)
    assert counts["users"] == len(clicks)
    assert counts["impressions"] == {"train": total - 2 * tests, "dev": tests, "test": tests}
    ids, users = store.item_ids.to_pylist(), store.users.user_ids.to_pylist()
    found = {
        int(user): [ids[row - 1] for row in store.users.history[place]] for place, user in enumerate(users)
    }
    assert found == clicks
    assert dict(zip(ids, store.items["description"].to_pylist(), strict=True)) == told
    assert dict(zip(ids, store.items["title"].to_pylist(), strict=True)) == titles
    assert store.users.attributes["interests"].to_pylist() == [interests[int(user)] for user in users]


def test_real_records_of_every_file_are_read(shared_data, raw):
    """One record each of books, works, authors, interactions and reviews, beside rows of our own."""
    folder = shared_data / "goodreads" / "ucsd_record_samples"
    names = ("books", "book_works", "book_authors", "interactions_dedup", "reviews_dedup")
    real = {
        name: json.loads((folder / f"goodreads_{name}.json").read_text(encoding="utf-8")) for name in names
    }
    own = {
        "books": BOOKS,
        "book_works": WORKS,
        "book_authors": AUTHORS,
        "interactions_dedup": LOG,
        "reviews_dedup": REVIEWS,
    }
    files = {f"goodreads_{name}.json.gz": lines([*own[name], real[name]]) for name in names}
    book = {**real["books"], "book_id": real["interactions_dedup"]["book_id"]}
    files["goodreads_books.json.gz"] = lines([*BOOKS, real["books"], book])
    made = Goodreads(raw(files)).tables()
    row = made.items.slice(30, 1).to_pylist()[0]
    assert row["title"] == real["books"]["title"] == "Jump, Little Wood Ducks"
    assert (row["format"], row["year"], row["pages"]) == ("Hardcover", 2016.0, 36.0)
    assert made.dropped["users_below_minimum"] == 1
    assert made.dropped["interactions_of_missing_books"] == 0
    assert (
        Goodreads(raw({}), items="works").tables().items["title"].to_pylist()[-1] == "The Wanting of Levine"
    )
    assert Goodreads(raw({}), log="reviews").tables().dropped["interactions_of_missing_books"] == 1


def test_models_train_and_are_evaluated_on_real_rows(shared_data, tmp_path):
    """By text, by ids, and by a frozen language model."""
    from tests.data.source.trial import trial

    trial(Goodreads(shared_data / "goodreads" / "once", core=6, users=30), tmp_path)
