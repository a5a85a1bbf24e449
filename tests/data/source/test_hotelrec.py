from __future__ import annotations

import gzip
import json

import pytest

from lego.data.source.hotelrec import HotelRec
from lego.errors import DataError
from tests.data.source.trial import trial


def lines(rows):
    return "".join(json.dumps(row) + "\n" for row in rows)


def url(place):
    return f"Hotel_Review-g1-d{place:02}-Reviews-Hotel_{place:02}-Giulianova_Abruzzo.html"


REVIEWS = [
    {
        "hotel_url": url(place),
        "author": f"user {user}",
        "date": f"201{user}-02-{place:02}T00:00:00",
        "rating": 4.0 if place % 4 else 3.0,
        "title": "T",
        "text": 'so "wow"',
        "property_dict": {"value": 4.0} if place % 2 else {},
    }
    for user in (1, 2, 3)
    for place in range(12, user - 1, -1)
]


@pytest.fixture
def raw(tmp_path):
    """Writes the file."""

    def write(content, name="HotelRec.txt"):
        data = content if isinstance(content, bytes) else content.encode()
        (tmp_path / name).write_bytes(gzip.compress(data, mtime=0) if name.endswith(".gz") else data)
        return str(tmp_path)

    return write


@pytest.mark.parametrize("name", ["HotelRec.txt", "HotelRec.txt.gz"])
def test_clicks_are_ratings_above_3_by_day(raw, name):
    """Hotels in the order of their urls; 3 is neither; names with blanks are names."""
    made = HotelRec(raw(lines(REVIEWS), name)).tables()
    assert made.items["item_id"].to_pylist() == [url(place) for place in range(1, 13)]
    assert made.users["user_id"].to_pylist() == ["user 1", "user 2", "user 3"]
    assert made.users["history"].to_pylist() == [[p for p in range(u, 13) if p % 4] for u in (1, 2, 3)]
    assert made.items.slice(0, 1).to_pylist() == [
        {"item_id": url(1), "name": "Hotel 01", "place": "Giulianova Abruzzo"}
    ]


@pytest.mark.parametrize(
    ("behind", "name", "place"),
    [
        (
            "-Reviews-Hotel_Baltic-Giulianova_Province_of_Teramo_Abruzzo.html",
            "Hotel Baltic",
            "Giulianova Province of Teramo Abruzzo",
        ),
        ("-Reviews-Hotel_Baltic.html", "Hotel Baltic", None),
        ("-Reviews-Bed-and-Breakfast-Rome_Lazio.html", "Bed-and-Breakfast", "Rome Lazio"),
        ("-Reviews-or10-Hotel_Baltic-Rome.html", "Hotel Baltic", "Rome"),
        ("-Reviews-Hotel_Baltic-Rome", "Hotel Baltic", "Rome"),
        ("-Reviews-Hotel_Baltic-.html", "Hotel Baltic", None),
        ("-Reviews-.html", None, None),
        (".html", None, None),
    ],
)
def test_name_and_place_are_what_the_url_says(raw, behind, name, place):
    """Also where there is no place, more than one hyphen, the number of a page, or nothing at all."""
    hotel = f"Hotel_Review-g194775-d1121769{behind}"
    made = HotelRec(raw(lines([*REVIEWS, {**REVIEWS[0], "hotel_url": hotel}]))).tables()
    row = next(row for row in made.items.to_pylist() if row["item_id"] == hotel)
    assert (row["name"], row["place"]) == (name, place)


def test_reviews_without_author_are_left_out_and_counted(raw):
    """Null or blank."""
    extra = [{**REVIEWS[0], "author": None}, {**REVIEWS[0], "author": " "}]
    made = HotelRec(raw(lines(REVIEWS + extra))).tables()
    assert made.dropped["reviews_without_author"] == 2
    assert made.users.num_rows == 3


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("", "HotelRec.txt: holds no rows"),
        (lines([{**REVIEWS[0], "rating": "4"}]), "HotelRec.txt line 1, column rating: a number from 1 to 5"),
        (lines([{**REVIEWS[0], "rating": 6}]), "HotelRec.txt line 1, column rating: a number from 1 to 5"),
        (
            lines([{**REVIEWS[0], "date": "2010-02-30T00:00:00"}]),
            "line 1, column date: a date like 2010-02-01T00:00:00",
        ),
        (lines([{**REVIEWS[0], "hotel_url": ""}]), "line 1, column hotel_url: a text is expected"),
        (lines(REVIEWS)[:-4], "HotelRec.txt line 33: is not JSON"),
        (lines(REVIEWS).encode("utf-16"), "is not UTF-8"),
        (json.dumps(REVIEWS), "one object is expected, a list found"),
    ],
)
def test_malformed_files_are_named_by_line_and_column(raw, content, sentence):
    """Which line, which column, what was expected."""
    with pytest.raises(DataError) as caught:
        HotelRec(raw(content)).tables()
    assert sentence in str(caught.value)


def test_a_missing_file_says_where_to_get_it(tmp_path):
    """No folder, or no file in it."""
    with pytest.raises(DataError, match=r"HotelRec.txt is missing\n.*github.com/Diego999"):
        HotelRec(tmp_path).files()
    with pytest.raises(DataError, match="no such folder"):
        HotelRec(tmp_path / "none").tables()


def test_the_real_record_is_read(shared_data, raw):
    """Beside rows of our own: the name and the place that its url says."""
    real = (shared_data / "hotelrec" / "HotelRec.txt").read_text(encoding="utf-8").strip() + "\n"
    made = HotelRec(raw(lines(REVIEWS) + real)).tables()
    row = next(row for row in made.items.to_pylist() if row["item_id"] == json.loads(real)["hotel_url"])
    assert (row["name"], row["place"]) == ("Hotel Baltic", "Giulianova Province of Teramo Abruzzo")
    assert made.dropped["users_below_minimum"] == 1


def test_models_train_and_are_evaluated_with_the_real_record(shared_data, raw, tmp_path):
    """By text, by ids, and by a frozen language model. One real record is at hand; those of other hotels and users are ours."""
    real = (shared_data / "hotelrec" / "HotelRec.txt").read_text(encoding="utf-8").strip() + "\n"
    hotel = json.loads(real)["hotel_url"]
    ours = [{**row, "hotel_url": hotel} if place % 7 == 0 else row for place, row in enumerate(REVIEWS)]
    source = HotelRec(raw(lines(ours) + real), negatives=3, minimum=3)
    assert hotel in source.tables().items["item_id"].to_pylist()
    assert {"text", "id"} <= set(trial(source, tmp_path / "runs"))
