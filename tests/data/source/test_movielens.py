from __future__ import annotations

import csv
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

from lego.data.prepare import prepare
from lego.data.source.movielens import MovieLens
from lego.data.table import ragged
from lego.errors import DataError, SpecError
from tests.data.source.trial import trial

MOVIES = "movieId,title,genres\n" + "".join(f"{m},Film {m} (1990),Drama|War\n" for m in range(1, 31))


def ratings_of(rows):
    return "userId,movieId,rating,timestamp\n" + "".join(",".join(map(str, row)) + "\n" for row in rows)


RATINGS = ratings_of(
    [
        (user, movie, 4.0 if (user + movie) % 3 else 2.0, 1000 + movie)
        for user in (1, 2, 3)
        for movie in range(user, 13)
    ]
)


@pytest.fixture
def raw(tmp_path):
    """Writes a small edition; each test says what is different in it."""

    def write(movies=MOVIES, ratings=RATINGS):
        for name, content in (("movies.csv", movies), ("ratings.csv", ratings)):
            (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        return str(tmp_path)

    return write


@pytest.fixture(scope="module")
def official(movielens):
    """The ratings, read in the plain way: user → [(timestamp, movie, rating)]."""
    by_user = defaultdict(list)
    with (movielens / "ratings.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            by_user[row["userId"]].append((int(row["timestamp"]), int(row["movieId"]), float(row["rating"])))
    return by_user


@pytest.fixture(scope="module")
def clicks(official):
    """User → movies rated above 3, in the declared order, of users with five or more."""
    liked = {user: [m for _, m, r in sorted(rows) if r > 3] for user, rows in official.items()}
    return {user: movies for user, movies in liked.items() if len(movies) >= 5}


@pytest.fixture(scope="module")
def store(movielens, tmp_path_factory):
    return prepare(MovieLens(movielens), tmp_path_factory.mktemp("prepared"))


def test_the_embedded_ratings_are_all_there(official):
    """81,648 rows of 569 users, as the note beside them says."""
    assert len(official) == 569
    assert sum(map(len, official.values())) == 81_648


def test_counts_are_those_of_a_plain_count(store, official, clicks):
    """Users, impressions per part and what was left out, against a count with the csv module."""
    tests = sum(max(1, len(movies) // 10) for movies in clicks.values())
    everything = sum(map(len, clicks.values()))
    every_click = sum(rating > 3 for rows in official.values() for _, _, rating in rows)
    counts = store.manifest["counts"]
    assert counts["items"] == 9125
    assert counts["users"] == len(clicks)
    assert counts["impressions"] == {"train": everything - 2 * tests, "dev": tests, "test": tests}
    assert counts["candidates"]["test"] == 21 * tests
    assert store.manifest["dropped"] == {
        "users_below_minimum": 569 - len(clicks),
        "clicks_of_users_below_minimum": every_click - everything,
        "impressions_without_negatives": 0,
    }


def test_histories_are_the_clicks_in_order(store, clicks):
    """Each user's list is their clicks by time and then movie; users stand in the order of their ids."""
    ids = np.array(store.item_ids.to_pylist()).astype(int)
    history = store.users.history
    found = {
        user: ids[history[row] - 1].tolist() for row, user in enumerate(store.users.user_ids.to_pylist())
    }
    assert found == clicks
    assert list(found) == sorted(clicks, key=int)


def test_items_are_the_movies_in_order(store, movielens):
    """Ids, titles and genres of every movie; no genre is an empty list."""
    with (movielens / "movies.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert store.item_ids.to_pylist() == [row["movieId"] for row in rows]
    assert store.items["title"].to_pylist() == [row["title"] for row in rows]
    none = "(no genres listed)"
    assert store.items["genres"].to_pylist() == [
        [] if row["genres"] == none else row["genres"].split("|") for row in rows
    ]
    assert store.attributes == {"title": "text", "genres": "list"}


def test_each_click_is_an_impression_in_its_place(store, clicks):
    """A user's parts follow each other, an impression's history is all clicks before it, one candidate is the click."""
    ids = np.array(["", *store.item_ids.to_pylist()])
    users = store.users.user_ids.to_pylist()
    seen = defaultdict(list)
    for part in ("train", "dev", "test"):
        impressions = store.part(part)
        clicked = impressions.candidates.values[impressions.labels == 1]
        assert len(clicked) == len(impressions)
        base = store.users.history.offsets[impressions.user]
        assert (impressions.start == base).all()
        for user, position, movie in zip(impressions.user, impressions.stop - base, clicked, strict=True):
            seen[users[user]].append((part, int(position), int(ids[movie])))
    for user, movies in clicks.items():
        share = max(1, len(movies) // 10)
        parts = ["train"] * (len(movies) - 2 * share) + ["dev"] * share + ["test"] * share
        assert seen[user] == [(parts[place], place, movie) for place, movie in enumerate(movies)]


def test_negatives_are_different_movies_the_user_never_rated(store, official):
    """Of every impression: twenty distinct movies, none rated by the user at any time, each clicked by somebody."""
    ids = np.array([0, *map(int, store.item_ids.to_pylist())])
    rated = {user: {movie for _, movie, _ in rows} for user, rows in official.items()}
    clicked = {movie for rows in official.values() for _, movie, rating in rows if rating > 3}
    users = store.users.user_ids.to_pylist()
    for part in store.parts:
        impressions = store.part(part)
        table = ids[impressions.candidates.values].reshape(-1, 21)
        marks = impressions.labels.reshape(-1, 21) == 1
        for row in range(0, len(impressions), 7):
            negatives = set(table[row][~marks[row]].tolist())
            assert len(negatives) == 20
            assert not negatives & rated[users[impressions.user[row]]]
            assert negatives <= clicked


def by_user_gauc(store, scores):
    """Mean over users of the mean over their test impressions of the share of negatives below the click; a tie is a half."""
    test = store.part("test")
    values, labels = scores[test.candidates.values].astype(float), test.labels == 1
    row = np.repeat(np.arange(len(test)), test.candidates.lengths)
    click = np.zeros(len(test))
    click[row[labels]] = values[labels]
    above = (click[row] > values) + 0.5 * (click[row] == values)
    impression = np.bincount(row[~labels], above[~labels]) / np.bincount(row[~labels])
    user = np.bincount(test.user, impression) / np.maximum(1, np.bincount(test.user))
    return user[np.bincount(test.user) > 0].mean()


def popularity(store):
    train = store.part("train")
    return np.bincount(train.candidates.values[train.labels == 1], minlength=store.item_count + 1)


def test_popularity_knows_nothing(store):
    """Negatives drawn by popularity leave it nothing to tell: GAUC by user about one half."""
    assert 0.47 < by_user_gauc(store, popularity(store)) < 0.53


def test_popularity_knows_nothing_in_a_sample_of_users_either(movielens, tmp_path):
    """A sample's negatives are drawn by everybody's clicks, or a movie that was drawn would be the more popular one."""
    sampled = prepare(MovieLens(movielens, users=100), tmp_path)
    assert 0.46 < by_user_gauc(sampled, popularity(sampled)) < 0.54


def test_uniform_negatives_let_popularity_win(movielens, tmp_path):
    """Which is why they are not the default."""
    uniform = prepare(MovieLens(movielens, candidates="uniform"), tmp_path)
    assert by_user_gauc(uniform, popularity(uniform)) > 0.8


def test_the_place_of_the_click_tells_nothing(store):
    """Each of the 21 places holds the click about as often."""
    marks = store.part("train").labels.reshape(-1, 21)
    assert np.abs(marks.mean(0) * 21 - 1).max() < 0.1


def test_a_sample_of_users_is_that_many(movielens, tmp_path):
    """The sample is drawn by the seed, keeps the item rows, and counts who is not in it."""
    first = MovieLens(movielens, users=30).tables()
    again = MovieLens(movielens, users=30).tables()
    other = MovieLens(movielens, users=30, seed=1).tables()
    assert first.users.num_rows == 30
    assert first.items.num_rows == 9125
    assert first.dropped["users_not_sampled"] == 561 - 30
    assert first.users.equals(again.users)
    assert first.users["user_id"] != other.users["user_id"]


def test_disliked_candidates_are_the_users_own(movielens, official):
    """Candidates are movies the user rated 3 or lower: all of them where there are few; users without any have no impressions."""
    made = MovieLens(movielens, candidates="disliked", negatives=8, users=60).tables()
    users, items = made.users["user_id"].to_pylist(), [0, *map(int, made.items["item_id"].to_pylist())]
    low = {user: {movie for _, movie, rating in rows if rating <= 3} for user, rows in official.items()}
    test = made.impressions["test"]
    for user, candidates, labels in zip(
        *(test[name].to_pylist() for name in ("user", "candidates", "labels")), strict=True
    ):
        negatives = {items[c] for c, label in zip(candidates, labels, strict=True) if not label}
        assert len(negatives) == min(8, len(low[users[user]]))
        assert negatives <= low[users[user]]
    without = [row for row, user in enumerate(users) if not low[user]]
    clicks = ragged(made.users["history"]).lengths
    assert made.dropped["impressions_without_negatives"] == sum(clicks[row] for row in without)
    assert sum(t.num_rows for t in made.impressions.values()) == clicks.sum() - sum(
        clicks[row] for row in without
    )


def test_shared_timestamps_are_settled_by_the_movie(raw):
    """Ratings of one second are in the order of the movie's number, whatever the order of the lines."""
    rows = [(1, movie, 5.0, 1000) for movie in (9, 2, 11, 1, 30)]
    made = MovieLens(raw(ratings=ratings_of(rows)), negatives=3).tables()
    assert made.users["history"].to_pylist() == [[1, 2, 9, 11, 30]]


def test_nothing_left_to_draw_is_left_out_and_counted(raw):
    """A user who rated every movie that anybody clicked has no negatives: the clicks stay in the history."""
    made = MovieLens(raw(ratings=ratings_of([(1, movie, 5.0, movie) for movie in range(1, 11)]))).tables()
    assert made.dropped["impressions_without_negatives"] == 10
    assert made.users["history"].to_pylist() == [list(range(1, 11))]
    assert all(table.num_rows == 0 for table in made.impressions.values())


def test_a_share_of_nothing_makes_no_part(raw):
    """dev=0 leaves dev empty and gives its clicks to train."""
    made = MovieLens(raw(), dev=0.0, candidates="uniform").tables()
    assert made.impressions["dev"].num_rows == 0
    assert made.impressions["test"].num_rows == 3


def files(folder):
    return {path.name: path.read_bytes() for path in folder.glob("*.arrow")}


def test_the_same_seed_gives_the_same_bytes(raw, tmp_path):
    """Neither another place nor chance elsewhere nor `history` moves a byte of what is prepared."""
    path = raw()
    first = prepare(MovieLens(path), tmp_path / "a")
    np.random.seed(99)
    second = prepare(MovieLens(path, history=3), tmp_path / "b")
    assert first.fingerprint == second.fingerprint
    assert files(first.path) == files(second.path)
    assert len(files(first.path)) == 5


def test_another_seed_gives_other_negatives_and_nothing_else(raw, tmp_path):
    """Clicks, parts and histories are not a matter of chance."""
    path = raw()
    first, second = (prepare(MovieLens(path, seed=seed, negatives=4), tmp_path) for seed in (0, 1))
    assert first.path != second.path
    left, right = files(first.path), files(second.path)
    assert left["users.arrow"] == right["users.arrow"]
    assert left["items.arrow"] == right["items.arrow"]
    a, b = first.part("train"), second.part("train")
    assert (a.stop == b.stop).all()
    assert (a.candidates.values[a.labels == 1] == b.candidates.values[b.labels == 1]).all()
    assert not np.array_equal(a.candidates.values, b.candidates.values)


def test_every_option_but_history_moves_the_fingerprint(tmp_path):
    """A result says which options made the data, and a forgotten one would reuse stale tables."""
    plain = MovieLens("x").fingerprint()
    others = {"above": 3.5, "negatives": 5, "candidates": "uniform", "dev": 0.2, "test": 0.2, "minimum": 6}
    others |= {
        "users": 9,
        "missing": "drop",
        "seed": 3,
        "core": 2,
        "below": 2.0,
        "split": "time",
        "repeats": "last",
    }
    assert {*others, "version"} == set(plain)
    assert all(MovieLens("x", **{name: value}).fingerprint() != plain for name, value in others.items())
    assert MovieLens("y", history=7).fingerprint() == plain


@pytest.mark.parametrize(
    ("change", "where", "what"),
    [
        ({"movies": ""}, "movies.csv", "is empty"),
        ({"ratings": b""}, "ratings.csv", "is empty"),
        ({"ratings": "userId,movieId,rating,timestamp\n"}, "ratings.csv", "no rows"),
        (
            {"movies": "movieId,name,genres\n1,a,b\n"},
            "movies.csv line 1",
            "title is missing; there are movieId, name, genres",
        ),
        ({"ratings": RATINGS + "1,2,3\n"}, "ratings.csv line 35", "4 columns are expected, 3 found"),
        ({"ratings": RATINGS + "1,2,great,3\n"}, "ratings.csv line 35, column rating", "'great' found"),
        (
            {"ratings": RATINGS + "1,20,5.5,3\n"},
            "ratings.csv line 35, column rating",
            "from 0.5 to 5 is expected, '5.5' found",
        ),
        ({"ratings": RATINGS + "1,20,0,3\n"}, "ratings.csv line 35, column rating", "'0' found"),
        ({"ratings": RATINGS + "1,20,5,noon\n"}, "ratings.csv line 35, column timestamp", "whole number"),
        ({"ratings": RATINGS.encode() + b"1,20,5,\xff\n"}, "ratings.csv line 35", "0xff, is not UTF-8"),
        (
            {"movies": MOVIES + "3,Again (1990),Drama\n"},
            "movies.csv line 32, column movieId",
            "movie 3 is already in line 4",
        ),
        (
            {"ratings": RATINGS + "1,5,5,3\n"},
            "ratings.csv line 35, column movieId",
            "user 1 rates movie 5 in line 6 already",
        ),
        (
            {"ratings": RATINGS + "1,77,5,3\n"},
            "ratings.csv line 35, column movieId",
            "movie 77 is not in movies.csv",
        ),
    ],
)
def test_malformed_files_are_named_by_line_and_column(raw, change, where, what):
    """Whatever is wrong in a raw file: which file, which line, which column, what was expected."""
    with pytest.raises(DataError) as caught:
        MovieLens(raw(**change)).tables()
    problem = caught.value.problems[0]
    assert problem.where == where
    assert what in problem.what
    assert problem.fix


def test_problems_of_both_files_come_at_once(raw):
    """One run tells what to repair in movies.csv and in ratings.csv."""
    with pytest.raises(DataError, match="2 problems") as caught:
        MovieLens(raw(movies=MOVIES + "x,a,b\n", ratings=RATINGS + "1,2,9,3\n")).tables()
    assert [problem.where.split()[0] for problem in caught.value.problems] == ["movies.csv", "ratings.csv"]


def test_many_problems_of_one_cause_are_told_once(raw):
    """With how many there are, and in which lines the first of them stand."""
    with pytest.raises(DataError, match="100 problems") as caught:
        MovieLens(raw(ratings=RATINGS + "".join(f"9,{m},5,1\n" for m in range(100, 200)))).tables()
    (only,) = caught.value.problems
    assert only.what == "movie 100 is not in movies.csv; 99 more like it, lines 36, 37, 38, 39, 40 …"


def test_ratings_of_missing_movies_can_be_dropped(raw):
    """They are left out, and counted."""
    made = MovieLens(raw(ratings=RATINGS + "1,77,5,3\n1,78,5,3\n"), missing="drop").tables()
    plain = MovieLens(raw(), missing="drop").tables()
    assert made.dropped["ratings_of_missing_movies"] == 2
    assert plain.dropped["ratings_of_missing_movies"] == 0
    assert made.users.equals(plain.users)


def test_ratings_of_missing_movies_can_make_items_without_text(raw):
    """Each missing movie becomes an item behind the others, with no title and no genres."""
    made = MovieLens(raw(ratings=RATINGS + "1,78,5,3\n1,77,5,4\n"), missing="empty").tables()
    assert made.items.num_rows == 32
    assert made.items.slice(30).to_pylist() == [
        {"item_id": "77", "title": None, "genres": None},
        {"item_id": "78", "title": None, "genres": None},
    ]
    assert made.users["history"][0].as_py()[:2] == [32, 31]
    assert made.dropped["movies_without_text"] == 2


def test_no_user_left_is_an_error(raw):
    """Too high a minimum says so instead of preparing nothing."""
    with pytest.raises(DataError, match=r"no user has 100 clicks \(rating above 3\)"):
        MovieLens(raw(), minimum=100).tables()


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda folder: folder / "nowhere", "there is no such folder"),
        (lambda folder: folder, "movies.csv and ratings.csv are missing"),
        (
            lambda folder: _touch(folder / "ml-latest-small" / "ratings.csv").parent.parent,
            "give the folder that does",
        ),
        (lambda folder: _touch(folder / "ml-latest-small.zip"), "is a file, a folder is expected"),
        (lambda folder: _touch(folder / "ratings.dat").parent, "movies.dat is missing"),
        (lambda folder: _touch(folder / "u.data").parent, "u.item and u.user are missing"),
        (lambda folder: _touch(folder / "ratings.csv").parent, "movies.csv is missing"),
    ],
)
def test_missing_files_come_with_the_way_to_get_them(make, sentence, tmp_path):
    """What is wrong with the folder, and what to do."""
    with pytest.raises(DataError) as caught:
        MovieLens(make(tmp_path)).files()
    assert sentence in str(caught.value)
    assert caught.value.problems[0].fix


def _touch(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"dev": 0.5, "test": 0.5}, "less than 1 - test"),
        ({"test": 1.0}, "up to, not including, 1"),
        ({"negatives": 0}, "at least 1"),
        ({"minimum": 2}, "at least 3"),
        ({"candidates": "random"}, "one of 'popularity', 'uniform', 'disliked'"),
        ({"negative": 3}, "Did you mean 'negatives'?"),
    ],
)
def test_options_out_of_range_are_refused(options, sentence):
    """Options are checked when they are written, not when the data is read."""
    with pytest.raises(SpecError, match=sentence):
        MovieLens("x", **options)


def test_a_path_object_is_kept_as_text():
    """A spec holds plain values, so that it prints as the code that makes it."""
    assert repr(MovieLens(Path("a") / "b")) == f"MovieLens({str(Path('a') / 'b')!r})"
    with pytest.raises(SpecError, match="the path of a folder"):
        MovieLens(3)


def test_rules_are_declared(store):
    """What the raw files leave open stands in the manifest."""
    assert set(store.manifest["rules"]) == {
        "click",
        "repeats",
        "order",
        "core",
        "users",
        "split",
        "history",
        "candidates",
        "missing",
    }


# --- older editions -----------------------------------------------------------------------------------------------------------


def dat(rows):
    return "".join("::".join(map(str, row)) + "\n" for row in rows)


LIKES = [
    (user, movie, 4 if (user + movie) % 3 else 2, 1000 + movie)
    for user in (1, 2, 3)
    for movie in range(user, 13)
]
FILMS = [(m, f"Film {m}, the (1990)", "Drama|War") for m in range(1, 31)]
PEOPLE = [(1, "F", 1, 10, "48067"), (2, "M", 56, 16, "07072-1234"), (3, "", 25, 0, "")]


@pytest.fixture
def older(tmp_path):
    """Writes files of an older edition, in Latin-1 unless they are bytes already."""

    def write(**files):
        for name, content in files.items():
            raw = content if isinstance(content, bytes) else content.encode("latin-1")
            (tmp_path / name.replace("_", ".")).write_bytes(raw)
        return str(tmp_path)

    return write


def test_the_files_of_1m_are_read(older, raw):
    """Two colons between values, Latin-1, no header: the impressions of the same ratings in CSV, and attributes of users."""
    films = [(m, 'Cin\u00e9ma "Le Caf\u00e9"' if m == 2 else title, genres) for m, title, genres in FILMS]
    new = MovieLens(older(movies_dat=dat(films), ratings_dat=dat(LIKES), users_dat=dat(PEOPLE))).tables()
    assert new.items["title"].to_pylist()[:2] == ["Film 1, the (1990)", 'Cin\u00e9ma "Le Caf\u00e9"']
    assert new.items["genres"].to_pylist()[0] == ["Drama", "War"]
    assert new.user_attributes == dict.fromkeys(("gender", "age", "occupation", "zip"), "category")
    assert new.users.drop_columns(["history", "times"]).to_pylist() == [
        {"user_id": "1", "gender": "F", "age": "under 18", "occupation": "K-12 student", "zip": "48067"},
        {
            "user_id": "2",
            "gender": "M",
            "age": "56 and over",
            "occupation": "self-employed",
            "zip": "07072-1234",
        },
        {"user_id": "3", "gender": None, "age": "25-34", "occupation": "other", "zip": None},
    ]
    same = MovieLens(raw(ratings=ratings_of([(u, m, float(r), t) for u, m, r, t in LIKES]))).tables()
    assert new.impressions == same.impressions


def test_the_files_of_10m_are_read(older):
    """Without users, with halves, and in UTF-8."""
    films = dat([(m, "Caf\u00e9" if m == 2 else title, genres) for m, title, genres in FILMS]).encode("utf-8")
    halves = dat([(u, m, r - 0.5 if r == 4 else r, t) for u, m, r, t in LIKES])
    tables = MovieLens(older(movies_dat=films, ratings_dat=halves)).tables()
    assert tables.items["title"].to_pylist()[1] == "Caf\u00e9"
    assert tables.user_attributes == {}
    assert tables.users.num_rows == 3


def test_the_files_of_100k_are_read(older):
    """Genres are columns of 0 and 1, `unknown` is none; a movie may lack its dates; age is a number."""
    flags = {1: [0] * 5 + [1] + [0] * 13, 2: [1] + [0] * 18, 3: [0] * 8 + [1] + [0] * 8 + [1, 0]}
    items = "".join(
        "|".join(
            map(
                str,
                [
                    m,
                    "Caf\u00e9 (1995)",
                    "01-Jan-1995" if m > 1 else "",
                    "",
                    "http://x?a",
                    *flags.get(m, flags[3]),
                ],
            )
        )
        + "\n"
        for m, _, _ in FILMS
    )
    data = "".join("\t".join(map(str, row)) + "\n" for row in LIKES)
    people = "1|24|M|technician|85711\n2|53|F|other|T8H1N\n3|23|M|writer|32067\n"
    tables = MovieLens(older(u_item=items, u_data=data, u_user=people)).tables()
    assert tables.items["genres"].to_pylist()[:3] == [["Comedy"], [], ["Drama", "War"]]
    assert tables.items["title"].to_pylist()[0] == "Caf\u00e9 (1995)"
    assert tables.user_attributes == {
        "gender": "category",
        "age": "number",
        "occupation": "category",
        "zip": "category",
    }
    assert tables.users["age"].to_pylist() == [24, 53, 23]
    assert tables.users["zip"].to_pylist() == ["85711", "T8H1N", "32067"]


def test_a_user_that_the_file_of_users_lacks_has_no_attributes(older):
    """It is counted."""
    folder = older(movies_dat=dat(FILMS), ratings_dat=dat(LIKES), users_dat=dat(PEOPLE[:2]))
    tables = MovieLens(folder).tables()
    assert tables.users["gender"].to_pylist() == ["F", "M", None]
    assert tables.dropped["users_without_attributes"] == 1


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        ({"ratings_dat": dat(LIKES) + "1::2::3\n"}, "ratings.dat line 34: 4 columns are expected, 3 found"),
        ({"ratings_dat": dat([*LIKES, (1, 14, 7, 5)])}, "line 34, column rating: a number from 0.5 to 5 is expected, '7' found"),
        ({"ratings_dat": dat([*LIKES, LIKES[0]])}, "ratings.dat line 34, column movieId: user 1 rates movie 1 in line 1 already"),
        ({"ratings_dat": dat([*LIKES, (1, 99, 5, 5)])}, "ratings.dat line 34, column movieId: movie 99 is not in movies.dat"),
        ({"ratings_dat": ""}, "ratings.dat: is empty"),
        ({"movies_dat": dat([*FILMS, FILMS[0]])}, "movies.dat line 31, column movieId: movie 1 is already in line 1"),
        ({"users_dat": dat([*PEOPLE, (4, "F", 30, 1, "1")])}, "users.dat line 4, column age: 30 stands for no age"),
        ({"users_dat": dat([*PEOPLE, (4, "F", 18, 21, "1")])}, "column occupation: a whole number from 0 to 20 is expected"),
        ({"users_dat": dat([*PEOPLE, PEOPLE[0]])}, "users.dat line 4, column userId: user 1 is already in line 1"),
    ],
)  # fmt: skip
def test_what_is_wrong_in_older_files_is_named(older, files, sentence):
    """By file, line and column, as in the CSV editions."""
    whole = {"movies_dat": dat(FILMS), "ratings_dat": dat(LIKES), "users_dat": dat(PEOPLE)}
    with pytest.raises(DataError) as caught:
        MovieLens(older(**{**whole, **files})).tables()
    assert sentence in str(caught.value)


def test_real_movies_and_users_of_1m_are_read(shared_data, older):
    """All 3,883 movies and 6,040 users, in Latin-1, beside ratings of our own."""
    real = shared_data / "movielens" / "ml-1m"
    files = {name: (real / name.replace("_", ".")).read_bytes() for name in ("movies_dat", "users_dat")}
    likes = dat([(user, movie, 5, movie) for user in (1, 6040) for movie in (1, 2, 3, 3952, 3949, 3948)])
    tables = MovieLens(older(**files, ratings_dat=likes)).tables()
    assert tables.items.num_rows == 3883
    titles = tables.items["title"].to_pylist()
    assert any("\u00e9" in title for title in titles)
    assert not any("\ufffd" in title or "::" in title for title in titles)
    assert all(tables.items["genres"].to_pylist())
    assert tables.users["age"].to_pylist() == ["under 18", "25-34"]
    assert tables.users["occupation"].to_pylist() == ["K-12 student", "doctor or health care"]


def test_models_train_on_real_rows(shared_data, tmp_path):
    """By text, by ids and by a frozen language model, on some users of ml-latest-small."""
    source = MovieLens(shared_data / "movielens" / "ml-latest-small", users=12, core=20, negatives=5)
    assert {"text", "id"} <= set(trial(source, tmp_path))
