from __future__ import annotations

from collections import defaultdict

import pytest

from lego.data.source import netflix
from lego.data.source.netflix import Netflix
from lego.errors import DataError, SpecError
from tests.data.source.trial import trial

TITLES = "1,2003,Dinosaur Planet\n2,NULL,Caf\u00e9, Bar, and Grill\n" + "".join(
    f"{n},1999,Film {n}\n" for n in range(3, 31)
)
RATED = [
    (movie, 7 * user, 1 + (user + movie) % 5, f"2005-0{1 + (movie + user) % 9}-06")
    for movie in range(1, 21)
    for user in (1, 2, 9)
]


def blocks_of(rows, end="\n"):
    """Rows grouped by movie, as the official files have them."""
    by_movie = defaultdict(list)
    for movie, user, rating, day in rows:
        by_movie[movie].append(f"{user},{rating},{day}{end}")
    return "".join(f"{movie}:{end}" + "".join(lines) for movie, lines in by_movie.items())


@pytest.fixture
def raw(tmp_path):
    """Writes titles, in Latin-1, and files of ratings."""

    def write(titles=TITLES, **ratings):
        (tmp_path / "movie_titles.csv").write_bytes(titles.encode("latin-1"))
        for name, content in (ratings or {"combined_data_1": blocks_of(RATED)}).items():
            (tmp_path / f"{name}.txt").write_bytes(content.encode())
        return str(tmp_path)

    return write


def liked(rows):
    """Movies that each user rated above 3, by day and then by number."""
    found = defaultdict(list)
    for movie, user, rating, _ in sorted(rows, key=lambda row: (row[3], row[0])):
        if rating > 3:
            found[str(user)].append(movie)
    return dict(found)


def histories(tables):
    ids = [0, *map(int, tables.items["item_id"].to_pylist())]
    lists = tables.users["history"].to_pylist()
    return {
        user: [ids[row] for row in each]
        for user, each in zip(tables.users["user_id"].to_pylist(), lists, strict=True)
    }


@pytest.mark.parametrize("block", [32, 100, 1 << 24])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_ratings_are_read_whatever_the_blocks(raw, monkeypatch, block, end):
    """Blocks that end among the ratings of a movie, two files, line ends of both kinds: as a plain reading has it."""
    monkeypatch.setattr(netflix, "_BLOCK", block)
    halves = {
        f"combined_data_{part + 1}": blocks_of(RATED[30 * part : 30 * part + 30], end) for part in (0, 1)
    }
    tables = Netflix(raw(**halves), negatives=2).tables()
    assert histories(tables) == liked(RATED)
    assert tables.rules["files"] == "combined_data_1.txt, combined_data_2.txt"


def test_a_file_for_each_movie_is_read(raw, tmp_path):
    """The original form has the same content."""
    path = raw(no_ratings="")
    (tmp_path / "training_set").mkdir()
    for movie in range(1, 21):
        name = tmp_path / "training_set" / f"mv_{movie:07}.txt"
        name.write_text(blocks_of([row for row in RATED if row[0] == movie]).removesuffix("\n"))
    (tmp_path / "combined_data_1.txt").unlink(missing_ok=True)
    assert histories(Netflix(path, negatives=2).tables()) == liked(RATED)


PROBE = [(movie, user) for movie, user, _, _ in RATED if (movie + user) % 5 == 0]


def probe_of(pairs):
    by_movie = defaultdict(list)
    for movie, user in pairs:
        by_movie[movie].append(f"{user}\n")
    return "".join(f"{movie}:\n" + "".join(users) for movie, users in by_movie.items())


def test_the_probe_is_test(raw):
    """Its ratings above 3, and no others; dev is the last of what is left of a user; names without a rating are counted."""
    path = raw(combined_data_1=blocks_of(RATED), probe=probe_of([*PROBE, (1, 12345), (25, 7)]))
    made = Netflix(path, split="probe", negatives=2, candidates="uniform", minimum=3).tables()
    got = {"train": [], "dev": [], "test": []}
    users = made.users.to_pylist()
    for part, table in made.impressions.items():
        for row in table.to_pylist():
            user = users[row["user"]]
            movie = user["history"][row["stop"]]
            assert [c for c, label in zip(row["candidates"], row["labels"], strict=True) if label] == [movie]
            got[part].append((movie, int(user["user_id"])))
    clicks = [(movie, user) for movie, user, rating, _ in RATED if rating > 3]
    assert sorted(got["test"]) == sorted(pair for pair in clicks if pair in PROBE)
    for user in (7, 14, 63):
        rest = sorted(
            (day, movie)
            for movie, who, rating, day in RATED
            if who == user and rating > 3 and (movie, user) not in PROBE
        )
        devs = max(int(0.1 * len(rest)), 1)
        assert [movie for movie, who in got["dev"] if who == user] == [movie for _, movie in rest[-devs:]]
        assert [movie for movie, who in got["train"] if who == user] == [movie for _, movie in rest[:-devs]]
    assert made.dropped["probe_of_unknown_ratings"] == 2
    assert made.rules["split"].startswith("probe.txt is test")


@pytest.mark.parametrize(
    ("probe", "sentence"),
    [
        ("", "probe.txt: is empty"),
        ("7\n", "probe.txt line 1: a line like '123:', which names the movie, is expected first"),
        (
            "1:\n7\nann\n",
            "probe.txt line 3: the number of a customer, or a movie like '123:', is expected, 'ann' found",
        ),
        ("1:\n7,3\n", "probe.txt line 2: the number of a customer"),
    ],
)
def test_what_is_wrong_in_the_probe_is_named(raw, probe, sentence):
    """By line; and a probe that is missing by name."""
    with pytest.raises(DataError, match=r'probe\.txt is missing, which split="probe" reads'):
        Netflix(raw(), split="probe").files()
    with pytest.raises(DataError) as caught:
        Netflix(raw(combined_data_1=blocks_of(RATED), probe=probe), split="probe").tables()
    assert sentence in str(caught.value)


def test_the_probe_has_no_share():
    """An option that would do nothing is refused."""
    with pytest.raises(SpecError, match="says what is test"):
        Netflix("raw", split="probe", test=0.2)


def test_titles_keep_their_commas(raw):
    """Latin-1; a year of NULL is missing."""
    items = Netflix(raw(), negatives=2).tables().items
    assert items["title"].to_pylist()[:2] == ["Dinosaur Planet", "Caf\u00e9, Bar, and Grill"]
    assert items["year"].to_pylist()[:3] == [2003.0, None, 1999.0]


def test_all_real_titles_are_read(shared_data, raw):
    """17,770 movies beside ratings of our own; 336 titles hold commas, 7 have no year."""
    content = (shared_data / "netflix" / "movie_titles.csv").read_bytes().decode("latin-1")
    items = Netflix(raw(titles=content), negatives=2).tables().items
    plain = [line.rstrip("\r").split(",", 2) for line in content.split("\n") if line]
    assert items.num_rows == 17_770
    assert items["item_id"].to_pylist() == [row[0] for row in plain]
    assert items["title"].to_pylist() == [row[2].strip() for row in plain]
    assert sum("," in title for title in items["title"].to_pylist()) == 336
    assert items["year"].null_count == 7


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        ({"combined_data_1": ""}, "combined_data_1.txt: holds no ratings"),
        ({"combined_data_1": "1:\n"}, "combined_data_1.txt: holds no ratings"),
        ({"combined_data_1": "7,3,2005-09-06\n"}, "combined_data_1.txt line 1: a line like '123:', which names the movie"),
        ({"combined_data_1": "1:\n7,3\n"}, "combined_data_1.txt line 2: customer, rating and day, or a movie like '123:'"),
        ({"combined_data_1": "1:\n7,6,2005-09-06\n"}, "line 2: a rating from 1 to 5 is expected, '6' found"),
        ({"combined_data_1": "1:\n7,good,2005-09-06\n"}, "line 2: a rating from 1 to 5 is expected, 'good' found"),
        ({"combined_data_1": "1:\nann,5,2005-09-06\n"}, "line 2: the number of a customer is expected, 'ann' found"),
        ({"combined_data_1": "1:\n7,5,2005-02-30\n"}, "line 2: a day like 2005-09-06 is expected, '2005-02-30' found"),
        ({"combined_data_1": "1:\n7,5,\n"}, "line 2: a day like 2005-09-06 is expected, '' found"),
        ({"titles": TITLES + f"{'3' * 30},1999,Far\n"}, "movie_titles.csv line 31: the number of a movie is expected"),
        ({"titles": TITLES + "31,No year\n"}, "movie_titles.csv line 31: 3 values with ',' between them are expected, 2 found"),
        ({"titles": TITLES + "2,1999,Again\n"}, "movie_titles.csv line 31: movie 2 is already in line 2"),
        ({"titles": TITLES + "x,1999,Again\n"}, "movie_titles.csv line 31: the number of a movie is expected, 'x' found"),
        ({"combined_data_1": blocks_of([*RATED, (99, 7, 5, "2005-09-06")])}, "1 ratings are of 1 movies that the"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(raw, files, sentence):
    """By file and line."""
    with pytest.raises(DataError) as caught:
        Netflix(raw(**files), negatives=2).tables()
    assert sentence in str(caught.value)


def test_missing_files_come_with_the_way_to_get_them(tmp_path):
    """Titles without ratings are not enough."""
    (tmp_path / "movie_titles.csv").touch()
    with pytest.raises(DataError, match=r"combined_data_1\.txt is missing"):
        Netflix(str(tmp_path)).files()


def test_models_train_and_are_evaluated_on_real_titles(shared_data, raw, tmp_path):
    """By text, by ids, and by a frozen language model. Titles are real; no ratings are at hand, so these are ours."""
    real = (shared_data / "netflix" / "movie_titles.csv").read_bytes().decode("latin-1").split("\n")[:30]
    path = raw(titles="\n".join(real) + "\n", combined_data_1=blocks_of(RATED))
    assert {"text", "id"} <= set(
        trial(Netflix(path, negatives=3, minimum=3, candidates="uniform"), tmp_path / "runs")
    )
