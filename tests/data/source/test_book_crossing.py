from __future__ import annotations

import csv
import html
from collections import defaultdict

import pytest

from lego.data.prepare import prepare
from lego.data.source.book_crossing import BookCrossing
from lego.errors import DataError, SpecError
from tests.data.source.trial import trial

BOOKS_HEADER = '"ISBN";"Book-Title";"Book-Author";"Year-Of-Publication";"Publisher";"Image-URL-S";"Image-URL-M";"Image-URL-L"\n'
RATINGS_HEADER = '"User-ID";"ISBN";"Book-Rating"\n'
USERS = '"User-ID";"Location";"Age"\n"1";"k\u00f6ln, n/a, germany";NULL\n"2";"nyc, new york, usa";"24"\n"3";"x, y, n/a";"7"\n'


def book(isbn, title="Title", author="Author", year="2001", publisher="House"):
    return ";".join(f'"{each}"' for each in (isbn, title, author, year, publisher, "", "", "")) + "\n"


def rated(*rows):
    return RATINGS_HEADER + "".join(";".join(f'"{each}"' for each in row) + "\n" for row in rows)


ISBNS = [f"00{number:07}X" for number in range(1, 31)]
BOOKS = BOOKS_HEADER + "".join(book(isbn) for isbn in ISBNS)
ROWS = [(user, ISBNS[place + user], 8) for user in (1, 2) for place in range(6)]
RATINGS = rated(*ROWS)


@pytest.fixture
def raw(tmp_path):
    """Writes a small dump in Latin-1; each test says what is different in it."""

    def write(books=BOOKS, ratings=RATINGS, users=None):
        names = {"BX-Books": books, "BX-Book-Ratings": ratings, "BX-Users": users}
        for name, content in names.items():
            if content is not None:
                raw = content if isinstance(content, bytes) else content.encode("latin-1")
                (tmp_path / f"{name}.csv").write_bytes(raw)
        return str(tmp_path)

    return write


def rows_of(path, coding):
    """Rows of a file of the dump, by the csv module."""
    with path.open(encoding=coding, newline="") as file:
        found = csv.reader(file, delimiter=";", doublequote=False, escapechar="\\")
        header = next(found)
        return [dict(zip(header, row, strict=True)) for row in found]


def test_real_ratings_are_those_of_a_plain_count(shared_data, tmp_path):
    """Readers, impressions, histories and titles of the official files, against the csv module."""
    folder = shared_data / "book-crossing"
    ratings, books = (
        rows_of(folder / "BX-Book-Ratings.csv", "utf-8"),
        rows_of(folder / "BX-Books.csv", "utf-8"),
    )
    assert (len(ratings), len({row["User-ID"] for row in ratings}), len(books)) == (18_918, 831, 9_538)
    liked = defaultdict(list)
    for row in ratings:
        if int(row["Book-Rating"]) > 6:
            liked[row["User-ID"]].append(row["ISBN"])
    kept = {user: taken for user, taken in liked.items() if len(taken) >= 5}
    store = prepare(BookCrossing(str(folder)), tmp_path)
    tests = sum(max(1, len(taken) // 10) for taken in kept.values())
    clicks = sum(map(len, kept.values()))
    counts = store.manifest["counts"]
    assert counts["items"] == 9_538
    assert counts["users"] == len(kept)
    assert counts["impressions"] == {"train": clicks - 2 * tests, "dev": tests, "test": tests}
    ids, history = store.item_ids.to_pylist(), store.users.history
    users = store.users.user_ids.to_pylist()
    assert {user: [ids[place - 1] for place in history[row]] for row, user in enumerate(users)} == kept
    titles = store.items["title"].to_pylist()
    plain = [html.unescape(row["Book-Title"]) for row in books]
    same = [title for title, given in zip(titles, plain, strict=True) if title == " ".join(given.split())]
    assert len(same) > 9_450  # the others have letters that were repaired
    assert '"O" Is for Outlaw' in titles
    assert "Die P\u00e4pstin." in titles
    assert store.items["author"].to_pylist().count("Antoine de Saint-Exup\u00e9ry") >= 1
    assert store.users.user_ids.to_pylist() == sorted(users, key=int)
    people = {row["User-ID"]: row for row in rows_of(folder / "BX-Users.csv", "latin-1")}
    ages = [people[user]["Age"] for user in users]
    tables = BookCrossing(str(folder)).tables()
    assert tables.users["age"].to_pylist() == [float(age) if age != "NULL" and age else None for age in ages]


def test_three_models_learn_from_real_rows(shared_data, tmp_path):
    """By text, by ids and by a frozen language model, on the readers of the first lines."""
    folder, cut = shared_data / "book-crossing", tmp_path / "bx"
    cut.mkdir()
    lines = {
        name: (folder / f"BX-{name}.csv").read_bytes().split(b"\n") for name in ("Books", "Book-Ratings")
    }
    ratings = lines["Book-Ratings"][:181]
    named = {row.split(b";")[1] for row in ratings}
    books = [row for row in lines["Books"] if row.split(b";")[0] in named]
    (cut / "BX-Book-Ratings.csv").write_bytes(b"\n".join(ratings) + b"\n")
    (cut / "BX-Books.csv").write_bytes(b"\n".join(books) + b"\n")
    assert {"text", "id"} <= set(trial(BookCrossing(str(cut), negatives=5), tmp_path / "runs"))


def test_the_quirks_of_the_dump_are_read(raw):
    """Latin-1, quotes behind backslashes, semicolons in titles, entities, NULL, years of 0 and years of text."""
    books = BOOKS_HEADER + book(ISBNS[0], r"The \"Caf" + "\u00e9" + r"\"; a tale &amp; more", year="0")
    books += book(ISBNS[1], "B\u00c3\u00bccher", "J\u00c3?\u00c2\u00b6rg", year="soon")
    books += "".join(book(isbn) for isbn in ISBNS[2:])
    tables = BookCrossing(raw(books, users=USERS), negatives=3).tables()
    assert tables.items["title"].to_pylist()[:2] == ['The "Caf\u00e9"; a tale & more', "B\u00fccher"]
    assert tables.items["author"].to_pylist()[1] == "J\u00f6rg"
    assert tables.items["year"].to_pylist()[:3] == [None, None, 2001.0]
    assert tables.attributes == {
        "title": "text",
        "author": "category",
        "year": "number",
        "publisher": "category",
    }
    assert tables.users.drop_columns(["history"]).to_pylist() == [
        {"user_id": "1", "location": "k\u00f6ln, n/a, germany", "country": "germany", "age": None},
        {"user_id": "2", "location": "nyc, new york, usa", "country": "usa", "age": 24.0},
    ]
    uncleaned = BookCrossing(raw(books), negatives=3, clean=()).tables()
    assert uncleaned.items["title"].to_pylist()[0] == 'The "Caf\u00e9"; a tale &amp; more'
    assert uncleaned.items["author"].to_pylist()[1] == "J\u00c3?\u00c2\u00b6rg"


def test_a_title_that_swallowed_its_author_is_put_right(raw):
    """As in the official files; a row that is short in another way is left out and counted."""
    shifted = (
        r'"078946697X";"DK Readers: All Began (Level 4)\";Michael Teitelbaum";"2000";"DK";"a";"b";"c"' + "\n"
    )
    tables = BookCrossing(raw(BOOKS + shifted + '"1";"short"\n'), negatives=3).tables()
    assert tables.items.to_pylist()[-1] == {
        "item_id": "078946697X",
        "title": "DK Readers: All Began (Level 4)",
        "author": "Michael Teitelbaum",
        "year": 2000.0,
        "publisher": "DK",
    }
    assert tables.dropped["malformed_books"] == 1
    assert tables.rules["shifted"] == "values of 1 books were put right"


def test_the_later_copy_is_read(tmp_path):
    """Commas, UTF-8 and doubled quotes; there the shifted rows have all their values."""
    books = "ISBN,Book-Title,Book-Author,Year-Of-Publication,Publisher,Image-URL-S,Image-URL-M,Image-URL-L\n"
    books += "".join(f'{isbn},"A ""big"" Caf\u00e9, too",Author,2001,House,,,\n' for isbn in ISBNS)
    books += '078946697X,"DK Readers (Level 4)\\"";Michael Teitelbaum""",2000,DK,a,b,c,\n'
    (tmp_path / "Books.csv").write_text(books, encoding="utf-8")
    ratings = "User-ID,ISBN,Book-Rating\n" + "".join(",".join(map(str, row)) + "\n" for row in ROWS)
    (tmp_path / "Ratings.csv").write_text(ratings, encoding="utf-8")
    tables = BookCrossing(str(tmp_path), negatives=3).tables()
    assert tables.items["title"].to_pylist()[0] == 'A "big" Caf\u00e9, too'
    assert tables.items.to_pylist()[-1]["author"] == "Michael Teitelbaum"
    assert tables.items.to_pylist()[-1]["title"] == "DK Readers (Level 4)"
    assert tables.users["history"].to_pylist() == [[2, 3, 4, 5, 6, 7], [3, 4, 5, 6, 7, 8]]


def test_what_a_zero_means_is_a_choice(raw):
    """Left out, a click, or met: the same file, read three ways."""
    ratings = rated(*ROWS, (1, ISBNS[20], 0), (1, ISBNS[21], 3))
    path = raw(ratings=ratings)
    left, met, click = (
        BookCrossing(path, negatives=30, unrated=rule).tables() for rule in ("drop", "met", "click")
    )
    assert left.dropped["ratings_without_value"] == 1
    assert "ratings_without_value" not in met.dropped
    assert left.users["history"] == met.users["history"]
    assert click.users["history"].to_pylist()[0] == [2, 3, 4, 5, 6, 7, 21]
    uniform = {"negatives": 30, "candidates": "uniform"}
    for rule, shown in (("drop", True), ("met", False)):
        tables = BookCrossing(path, unrated=rule, **uniform).tables()
        test = tables.impressions["test"]
        first = test["candidates"].to_pylist()[test["user"].to_pylist().index(0)]
        assert (21 in first) is shown
        assert 22 not in first
    low = BookCrossing(path, unrated="met", candidates="disliked", negatives=3, minimum=6).tables()
    assert {
        tuple(sorted(set(row) - {2, 3, 4, 5, 6, 7}))
        for row in low.impressions["train"]["candidates"].to_pylist()
    } == {(22,)}


def test_ratings_of_unknown_books_are_counted(raw):
    """Left out, unless it is said that they are errors."""
    path = raw(ratings=rated(*ROWS, (1, "no such", 9)))
    assert BookCrossing(path, negatives=3).tables().dropped["ratings_of_missing_books"] == 1
    with pytest.raises(DataError, match="no such"):
        BookCrossing(path, missing="error").tables()


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        ({"books": ""}, "BX-Books.csv: is empty"),
        ({"ratings": RATINGS_HEADER}, "BX-Book-Ratings.csv: holds a header and no rows"),
        ({"ratings": rated(*ROWS, (1, ISBNS[9], 11))}, "line 14, column Book-Rating: a whole number from 0 to 10 is expected"),
        ({"ratings": rated(*ROWS, ("x", ISBNS[9], 1))}, "BX-Book-Ratings.csv line 14, column User-ID: a whole number"),
        ({"ratings": RATINGS + '"1";"2"\n'}, "BX-Book-Ratings.csv line 14: 3 columns are expected, 2 found"),
        ({"ratings": RATINGS.replace("ISBN", "Isbn")}, "BX-Book-Ratings.csv line 1: the column ISBN is missing"),
        ({"books": BOOKS + book(ISBNS[0])}, f"BX-Books.csv line 32, column ISBN: book {ISBNS[0]} is already in line 2"),
        ({"users": USERS + '"1";"a, b, c";"4"\n'}, "BX-Users.csv line 5, column User-ID: user 1 is already in line 2"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(raw, files, sentence):
    """By file, line and column."""
    with pytest.raises(DataError) as caught:
        BookCrossing(raw(**files)).tables()
    assert sentence in str(caught.value)


def test_options_and_files_are_checked(tmp_path):
    """Steps of cleaning must be known, the threshold a rating; missing files come with where to get them."""
    with pytest.raises(SpecError, match="Did you mean 'entities'"):
        BookCrossing("x", clean=("entitis",))
    with pytest.raises(SpecError, match="from 1 to below 10"):
        BookCrossing("x", above=10.0)
    (tmp_path / "Books.csv").touch()
    with pytest.raises(DataError, match=r"Ratings\.csv is missing"):
        BookCrossing(str(tmp_path)).files()
