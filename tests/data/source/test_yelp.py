from __future__ import annotations

import io
import json
import tarfile
from collections import Counter

import pytest

from lego.data.problems import Problems
from lego.data.source.yelp import Yelp
from lego.data.table import flat
from lego.errors import DataError
from tests.data.source.trial import trial

BUSINESS, REVIEW = "yelp_academic_dataset_business.json", "yelp_academic_dataset_review.json"


def lines(rows):
    return "".join(json.dumps(row) + "\n" for row in rows)


BUSINESSES = [
    {
        "business_id": f"b{place}",
        "name": f"Caf\u00e9 &amp; Bar {place}",
        "address": "" if place == 2 else "1616 Chapala St, Ste 2",
        "city": "Santa Barbara",
        "state": "CA",
        "postal_code": "93101",
        "latitude": 34.4,
        "longitude": -119.7,
        "stars": 5.0,
        "review_count": 7,
        "is_open": 0,
        "attributes": {"WiFi": "u'no'"} if place % 2 else None,
        "categories": "Bars, Food,Burgers" if place != 3 else None,
        "hours": None,
    }
    for place in range(1, 31)
]
REVIEWS = [
    {
        "review_id": f"{user}-{place}",
        "user_id": f"u{user}",
        "business_id": f"b{place}",
        "stars": 5.0 if place % 4 else 3.0,
        "useful": 0,
        "text": "Good\nplace",
        "date": f"2017-0{user}-{29 - place:02} 14:48:54",
    }
    for user in (1, 2, 3)
    for place in range(1, 13)
]
FILES = {BUSINESS: lines(BUSINESSES), REVIEW: lines(REVIEWS)}


@pytest.fixture
def raw(tmp_path):
    """Writes files, each as it is."""

    def write(files):
        for name, content in files.items():
            (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        return str(tmp_path)

    return write


def packed(files, mode="w"):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(f"./{name}")
            member.size = len(content.encode())
            archive.addfile(member, io.BytesIO(content.encode()))
    return buffer.getvalue()


@pytest.mark.parametrize("archive", [None, "yelp_dataset.tar", "yelp_dataset.tgz"])
def test_clicks_and_attributes(raw, tmp_path, archive):
    """From the files or the archive in place: stars above 3 in the order of time, text cleaned, categories split."""
    files = {archive: packed(FILES, "w:gz" if archive.endswith("gz") else "w")} if archive else FILES
    made = Yelp(raw(files)).tables()
    assert len(list(Yelp(str(tmp_path)).files())) == (1 if archive else 2)
    assert made.items.slice(0, 3).to_pylist() == [
        {
            "item_id": f"b{place}",
            "name": f"Caf\u00e9 & Bar {place}",
            "address": None if place == 2 else "1616 Chapala St, Ste 2",
            "city": "Santa Barbara",
            "state": "CA",
            "categories": [] if place == 3 else ["Bars", "Food", "Burgers"],
            "latitude": 34.4,
            "longitude": -119.7,
        }
        for place in (1, 2, 3)
    ]
    assert made.users["user_id"].to_pylist() == ["u1", "u2", "u3"]
    assert made.users["history"].to_pylist() == [[place for place in range(12, 0, -1) if place % 4]] * 3
    assert made.users["times"][0][0].as_py() == 1_484_750_934  # 2017-01-18 14:48:54 UTC
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(files)


def test_reviews_of_unknown_businesses(raw):
    """Are left out and counted, or named by line."""
    extra = {**REVIEWS[0], "business_id": "gone"}
    path = raw({**FILES, REVIEW: lines([*REVIEWS, extra])})
    assert Yelp(path).tables().dropped["reviews_of_missing_businesses"] == 1
    with pytest.raises(
        DataError, match=rf"{REVIEW} line 37, column business_id: business gone is not in {BUSINESS}"
    ):
        Yelp(path, missing="error").tables()
    assert Yelp(path, missing="empty").tables().items.num_rows == 31


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        (BUSINESS, "", f"{BUSINESS}: holds no rows"),
        (REVIEW, "", f"{REVIEW}: holds no rows"),
        (
            BUSINESS,
            lines([*BUSINESSES, BUSINESSES[1]]),
            f"{BUSINESS} line 31: business b2 is already in line 2",
        ),
        (
            BUSINESS,
            lines([{**BUSINESSES[0], "latitude": "north"}]),
            "line 1, column latitude: a number from -90 to 90",
        ),
        (
            REVIEW,
            lines([{**REVIEWS[0], "stars": 0}]),
            "line 1, column stars: a number from 1 to 5 is expected, 0.0 found",
        ),
        (
            REVIEW,
            lines([{**REVIEWS[0], "date": "yesterday"}]),
            "line 1, column date: a date like 2017-08-17 15:15:28",
        ),
        (REVIEW, lines([{**REVIEWS[0], "user_id": None}]), "line 1, column user_id: a text is expected"),
        (REVIEW, lines(REVIEWS)[:-9], f"{REVIEW} line 36: is not JSON"),
        (REVIEW, lines(REVIEWS).encode("utf-16"), "is not UTF-8"),
    ],
)
def test_malformed_files_are_named_by_line_and_column(raw, name, content, sentence):
    """Whatever is wrong in a raw file: which file, which line, which column, what was expected."""
    with pytest.raises(DataError) as caught:
        Yelp(raw({**FILES, name: content})).tables()
    assert sentence in str(caught.value)


def test_missing_and_broken_archives_are_named(raw, tmp_path):
    """Which file, and where to get it."""
    with pytest.raises(DataError, match=f"{BUSINESS} and {REVIEW} is missing"):
        Yelp(tmp_path).files()
    path = raw({"yelp_dataset.tar": packed({BUSINESS: "x"})})
    with pytest.raises(DataError, match=f"yelp_dataset.tar: holds no {REVIEW}"):
        Yelp(path).files()
    raw({"yelp_dataset.tar": packed(FILES, "w:gz")[:100]})
    with pytest.raises(DataError, match=r"yelp_dataset.tar: cannot be read"):
        Yelp(path).files()


def test_real_rows_are_those_of_a_plain_count(shared_data):
    """1,000 businesses and 999 reviews, of which 77 meet, against the json module; too few a user to train on."""
    folder = shared_data / "yelp"
    raw = Yelp(folder).read(Problems())
    businesses, reviews = (
        [json.loads(line) for line in (folder / name).read_text(encoding="utf-8").splitlines() if line]
        for name in (BUSINESS, REVIEW)
    )
    assert raw.items["item_id"].to_pylist() == [row["business_id"] for row in businesses]
    assert raw.items["state"].to_pylist() == [row["state"] for row in businesses]
    assert [len(each) for each in raw.items["categories"].to_pylist()] == [
        len(row["categories"].split(",")) if row["categories"] else 0 for row in businesses
    ]
    found = Counter(
        zip(raw.events.user_ids.take(raw.events.user).to_pylist(), raw.events.value.tolist(), strict=True)
    )
    assert found == Counter((row["user_id"], row["stars"]) for row in reviews)
    known = {row["business_id"] for row in businesses}
    ids = raw.events.item_ids.to_pylist()
    assert (
        sum(ids[place] in known for place in raw.events.item)
        == sum(r["business_id"] in known for r in reviews)
        == 77
    )
    assert (flat(raw.items["latitude"]) > 0).all()


def test_models_train_and_are_evaluated_on_real_businesses(shared_data, raw, tmp_path):
    """By text, by ids, and by a frozen language model. Texts are real; reviews are ours, since no real user has three."""
    lines = (shared_data / "yelp" / BUSINESS).read_text(encoding="utf-8").splitlines()[:24]
    ids = [json.loads(line)["business_id"] for line in lines]
    rows = [
        {"review_id": f"r{user}-{n}", "user_id": f"u{user}", "business_id": ids[(3 * user + n) % 24], "stars": 5.0,
         "date": f"2017-01-{n + 1:02} 10:00:00", "text": "good"}
        for user in range(8) for n in range(8)
    ]  # fmt: skip
    path = raw({BUSINESS: "\n".join(lines) + "\n", REVIEW: "".join(json.dumps(row) + "\n" for row in rows)})
    assert {"text", "id"} <= set(trial(Yelp(path, negatives=5), tmp_path / "runs"))
