from __future__ import annotations

import datetime as dt
import gzip
import io
import json
import tarfile

import pytest

from lego.data.source.adressa import Adressa
from lego.errors import DataError, SpecError
from tests.data.source.trial import trial


def moment(day, second=0):
    return int(dt.datetime(2017, 1, 1, 8, tzinfo=dt.UTC).timestamp()) + 86_400 * (day - 1) + second


def view(user, day, second, article=None, **others):
    event = {
        "eventId": 1,
        "activeTime": 12,
        "url": "http://adressa.no",
        "canonicalUrl": "http://adressa.no",
        "deviceType": "Desktop",
        "sessionStart": False,
        "time": moment(day, second),
        "userId": f"cx:{user}",
    }
    if article is not None:
        event |= {
            "id": f"{article:040x}",
            "title": f'Tittel på "{article}"',
            "category1": "nyheter|by|trondheim" if article % 2 else "sport",
            "publishtime": "2016-12-31T23:00:00.000Z",
            "author": ["a b"] if article % 2 else "c d",
            "keywords": "en, to,,tre",
            "profile": [{"item": "x", "groups": [{"group": "entity", "weight": 1.0, "count": 2}]}],
        }
    return {**event, **others}


def lines(*events):
    return "".join(json.dumps(each, ensure_ascii=False) + "\n" for each in events).encode()


DAYS = {day: lines(view("z", day, 99), *(view("z", day, n, n) for n in range(1, 31))) for day in range(1, 8)}
"""A reader who opens everything each day, so that there are articles to draw."""


def week(**views):
    """Files of the week with views of a, b, … added: day → [(user, second, article)]."""
    days = dict(DAYS)
    for name, events in views.items():
        day = int(name.removeprefix("d"))
        days[day] += lines(*(view(user, day, second, article) for user, second, article in events))
    return {f"201701{day:02}": content for day, content in days.items()}


FILES = week(
    d1=[("a", 5, 1), ("b", 5, 2)],
    d5=[("a", 9, 2), ("a", 3, 1)],
    d6=[("a", 5, 3), ("a", 6, 4), ("c", 5, 5)],
    d7=[("a", 5, 6), ("b", 5, 7), ("c", 6, 8), ("d", 1, 9)],
)


@pytest.fixture
def raw(tmp_path):
    """Writes a small edition; each test says what is different in it."""

    def write(files=FILES, changes=None, folder="one_week", **options):
        (tmp_path / folder).mkdir(exist_ok=True)
        for name, content in {**files, **(changes or {})}.items():
            (tmp_path / folder / name).write_bytes(content)
        return Adressa(tmp_path / folder, **options)

    return write


def rows_of(tables, part):
    """(user, history, click) of the impressions of everybody but z."""
    ids = [0, *(int(each, 16) for each in tables.items["item_id"].to_pylist())]
    users = tables.users.to_pylist()
    found = []
    for row in tables.impressions[part].to_pylist():
        user = users[row["user"]]
        clicked = row["candidates"][row["labels"].index(1)]
        history = [ids[each] for each in user["history"][row["start"] : row["stop"]]]
        found.append((user["user_id"], history, ids[clicked]))
    return sorted(each for each in found if each[0] != "cx:z")


def test_the_sixth_day_is_train_and_the_seventh_test(raw):
    """What is before is only history; the clicks of a day are not the history of its others, and who has none is left out."""
    tables = raw(dev=0.0).tables()
    assert rows_of(tables, "train") == [("cx:a", [1, 1, 2], 3), ("cx:a", [1, 1, 2], 4)]
    assert rows_of(tables, "test") == [
        ("cx:a", [1, 1, 2, 3, 4], 6),
        ("cx:b", [2], 7),
        ("cx:c", [5], 8),
    ]
    assert tables.dropped["impressions_without_history"] == 2  # c on the sixth day, d on the seventh
    assert tables.dropped["views_of_no_article"] == 7
    assert tables.impressions["dev"].num_rows == 0
    assert "from 6 train, from 7 test" in tables.rules["split"]


def test_dev_is_a_random_share_of_test(raw):
    """Drawn by the seed; nothing is lost."""
    whole = raw(dev=0.0).tables().impressions["test"].num_rows
    tables = raw().tables()
    assert tables.impressions["dev"].num_rows == int(whole * 0.2)
    assert tables.impressions["dev"].num_rows + tables.impressions["test"].num_rows == whole


def test_candidates_are_articles_that_the_user_never_opened(raw):
    """Twenty of them, in no part; z opened all there are and has no impressions."""
    tables = raw(dev=0.0).tables()
    users = tables.users.to_pylist()
    for row in tables.impressions["test"].to_pylist():
        others = [each for each, label in zip(row["candidates"], row["labels"], strict=True) if not label]
        assert len(set(others)) == 20
        assert not set(others) & set(users[row["user"]]["history"])
    assert tables.dropped["impressions_without_negatives"] == 60


def test_articles_have_what_their_first_line_says(raw):
    """Pieces of the category, keywords, one author or several, the time in unix seconds; another title is counted."""
    other = lines(
        view("e", 1, 1, 1, title="Other"), view("e", 1, 2, 41, publishtime="2017-01-01T01:00:00+02:00")
    )
    odd = lines(view("e", 1, 3, 42, publishtime="2017-02-30T00:00:00Z"), view("e", 1, 4, 43, category1=None))
    tables = raw(changes={"20170101": DAYS[1] + other + odd}).tables()
    first, second, *_, zoned, never = tables.items.to_pylist()
    new_year = moment(1) - 8 * 3600
    assert first == {
        "item_id": f"{1:040x}",
        "title": 'Tittel på "1"',
        "category": "nyheter",
        "subcategory": "trondheim",
        "keywords": ["en", "to", "tre"],
        "author": ["a b"],
        "published": new_year - 3600,
    }
    assert (second["category"], second["subcategory"], second["author"]) == ("sport", "sport", ["c d"])
    assert (zoned["published"], never["published"]) == (new_year - 3600, None)
    assert tables.items.num_rows == 32
    assert tables.dropped["articles_with_other_text"] == 1
    assert tables.dropped["views_of_missing_articles"] == 1


@pytest.mark.parametrize("inside", ["one_week/", "", "./one_week/"])
@pytest.mark.parametrize("given", ["archive", "folder above"])
def test_the_archive_is_read_in_place(raw, tmp_path, inside, given):
    """In any folder; links and names that lead outside are not followed, and nothing is written."""
    wanted = raw().tables()
    path = tmp_path / "archives" / "one_week.tar.gz"
    path.parent.mkdir()
    with tarfile.open(path, "w:gz") as archive:
        link = tarfile.TarInfo("20170109")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/hostname"
        archive.addfile(link)
        archive.addfile(tarfile.TarInfo("../readme"))
        for name, content in FILES.items():
            member = tarfile.TarInfo(inside + name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    source = Adressa(path if given == "archive" else path.parent)
    assert list(source.files()) == [path]
    made = source.tables()
    assert made.items.equals(wanted.items)
    assert made.users.equals(wanted.users)
    assert rows_of(made, "test") == rows_of(wanted, "test")
    assert list(path.parent.iterdir()) == [path]


def test_three_months_are_counted_in_weeks(raw):
    """ISO weeks of the days; the first of January 2017 is before the first, and not of week 52."""
    days = {name: FILES[name] for name in ("20170101", "20170105")}
    later = {
        "20170207": lines(view("a", 38, 1, 3), view("b", 38, 1, 11)),
        "20170214": lines(view("a", 45, 1, 4), view("b", 45, 1, 12)),
    }
    tables = raw({**days, **later}, folder="three_month", dev=0.0).tables()
    assert rows_of(tables, "train") == [("cx:a", [1, 1, 2], 3), ("cx:b", [2], 11)]
    assert rows_of(tables, "test") == [("cx:a", [1, 1, 2, 3], 4), ("cx:b", [2, 11], 12)]
    with pytest.raises(DataError, match="no click with a history is in train; the periods are 1 to 45"):
        raw(folder="three_month", period="day", train_from=50, test_from=60).tables()


def test_other_rules_stay_possible(raw):
    """Those that all logs of clicks share."""
    tables = raw(split="leave_last_out", minimum=3, repeats="first").tables()
    assert rows_of(tables, "test") == [("cx:a", [1, 2, 3, 4], 6)]
    assert "by user" in tables.rules["split"]


@pytest.mark.parametrize(
    ("content", "where", "what"),
    [
        (DAYS[3] + b"{not json\n", " line 32", "is not JSON"),
        (DAYS[3] + b'{"userId": "a", "time": "now"}\n', " line 32, column time", "a whole number"),
        (DAYS[3] + b'{"time": 3}\n', " line 32, column userId", "text is expected"),
        (b"\xff\n", " line 1", "byte 1 of the line, 0xff, is not UTF-8"),
        (b"", "", "holds no rows"),
    ],
)
def test_a_malformed_file_is_named(raw, content, where, what):
    """File, line, column and reason."""
    with pytest.raises(DataError, match="1 problem") as caught:
        raw(changes={"20170103": content}).tables()
    (problem,) = caught.value.problems
    assert problem.where == f"20170103{where}"
    assert what in problem.what


def test_an_archive_that_was_cut_short_is_named(tmp_path):
    """Its end is missing, or it is none."""
    path = tmp_path / "one_week.tar.gz"
    path.write_bytes(gzip.compress(b"x" * 4096, mtime=0)[:40])
    with pytest.raises(DataError, match=r"one_week.tar.gz: cannot be read"):
        Adressa(path).tables()


def test_what_does_not_fit_is_refused(raw, tmp_path):
    """Nowhere, nothing in it, another kind of file, test before train."""
    for path, what in (
        (tmp_path / "none", "there is no such file or folder"),
        (tmp_path, "holds no file of a day"),
    ):
        with pytest.raises(DataError, match=what):
            Adressa(path).files()
    (tmp_path / "log.txt").write_text("x")
    with pytest.raises(DataError, match=r"a folder or a \.tar\.gz is expected"):
        Adressa(tmp_path / "log.txt").files()
    raw()
    raw(folder="three_month")
    with pytest.raises(DataError, match="more than one edition"):
        Adressa(tmp_path).files()
    with pytest.raises(SpecError, match="more than train_from"):
        Adressa("raw", train_from=7)
    assert Adressa("a").fingerprint() == Adressa("b", history=3).fingerprint()
    assert Adressa("a").fingerprint() != Adressa("a", train_from=5).fingerprint()


def test_models_train_on_it(raw, tmp_path):
    """By text, by ids and by a frozen language model, on rows written by hand."""
    trial(raw(dev=0.4), tmp_path / "runs")
