from __future__ import annotations

import gzip

import numpy as np
import pytest

from lego.data.source.steam import Steam
from lego.errors import DataError, SpecError


def literals(rows):
    return "".join(f"{row!r}\n" for row in rows)


MONTHS = {1: "January", 2: "May", 3: "December"}
PLAYED = {1: list(range(1, 13)), 2: list(range(12, 1, -1)), 3: list(range(3, 13))}
RECBENCH = {
    "App_ID_Info.txt": "".join(f"{game},Pok\u00c3\u00a9mon {game},2016,free\n" for game in range(1, 31))
    + '31,"Half, Life",x\n32,7 Days "to" Die\n1,Again\n',
    "train_game.txt": "".join(
        f"{user}," + ",".join(map(str, games)) + ",\n" for user, games in PLAYED.items()
    ),
}
KAGGLE = {
    "steam-200k.csv": "".join(
        f'{user},"Game, {game}",purchase,1.0,0\n'
        + (f'{user},"Game, {game}",play,{game / 2},0\n' if game % 2 else "")
        for user, games in PLAYED.items()
        for game in games
    )
    + "".join(f"9,Other {game},purchase,1.0,0\n" for game in range(30)),
}
GAMES = [
    {
        "id": f"{game}",
        "app_name": f"It's game {game}",
        "title": "other",
        "developer": "Valve",
        "genres": ["Action", "Indie"],
        "tags": ["Fun"],
        "price": [9.99, "Free To Play", "Play for $5"][game % 3],
        "early_access": False,
        "metascore": 96,
    }
    for game in range(1, 31)
] + [{"app_name": "no id"}, {"id": "4", "app_name": "again"}, {"id": "40", "title": "Named by title"}]
REVIEWS = [
    {
        "username": f"u{user}",
        "hours": float(game),
        "products": 3,
        "product_id": f"{game}",
        "page_order": 0,
        "date": f"2017-0{user}-{place + 1:02}",
        "text": 'a "good" game',
        "early_access": False,
        "page": 1,
    }
    for user, games in PLAYED.items()
    for place, game in enumerate(games)
]
LIBRARY = [
    {
        "user_id": f"u{user}",
        "items_count": len(games),
        "items": [
            {"item_id": f"{game}", "item_name": "x", "playtime_forever": 60 * game, "playtime_2weeks": 0}
            for game in games
        ],
    }
    for user, games in PLAYED.items()
]
UCSD = {
    "steam_games.json.gz": literals(GAMES).replace("'title'", "u'title'"),
    "steam_reviews.json.gz": literals(REVIEWS),
}
OWNED = {"steam_games.json.gz": literals(GAMES), "australian_users_items.json.gz": literals(LIBRARY)}


OPINIONS = {
    "steam_games.json.gz": literals(GAMES),
    "australian_user_reviews.json.gz": literals(
        {
            "user_id": f"u{user}",
            "user_url": "http://steamcommunity.com/id/u",
            "reviews": [
                {
                    "funny": "",
                    "posted": f"Posted {MONTHS[user]} {place + 1}, 201{user}.",
                    "last_edited": "Last edited May 4, 2015.",
                    "item_id": f"{game}",
                    "helpful": "No ratings yet",
                    "recommend": game % 2 == 0,
                    "review": 'it\'s "good"',
                }
                for place, game in enumerate(games)
            ],
        }
        for user, games in PLAYED.items()
    ),
    "bundle_data.json.gz": literals(
        [
            {
                "bundle_name": "Both &amp; more",
                "bundle_price": "$1.00",
                "items": [{"item_id": "1"}, {"item_id": "2"}],
            },
            {
                "bundle_name": "One",
                "bundle_id": "7",
                "items": [{"item_id": "1", "genre": "Indie"}, {"item_id": "1"}],
            },
            {"bundle_name": "None", "items": []},
        ]
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


@pytest.mark.parametrize("files", [RECBENCH, UCSD, OWNED])
def test_what_users_have_in_its_order(raw, files):
    """Each version: one click a game, in the order of play, of the day, or of the file."""
    made = Steam(raw(files)).tables()
    assert made.items["item_id"].to_pylist()[:30] == [f"{game}" for game in range(1, 31)]
    assert made.users["history"].to_pylist() == list(PLAYED.values())
    assert made.dropped["repeated_games"] == 1


def test_titles_of_recbench_are_repaired_and_may_hold_commas_and_quotes(raw):
    """UTF-8 read as Latin-1, a title in quotes, quotes inside a title, and columns behind it."""
    titles = Steam(raw(RECBENCH)).tables().items["title"].to_pylist()
    assert (titles[0], titles[-2:]) == ("Pok\u00e9mon 1", ["Half, Life", '7 Days "to" Die'])


def test_bought_and_played(raw):
    """Kaggle: a game is its title, has a row of purchase and perhaps one of play; hours are a threshold."""
    path = raw(KAGGLE)

    def shown(**options):
        made = Steam(path, minimum=3, **options).tables()
        ids = made.items["item_id"].to_pylist()
        people = zip(made.users["user_id"].to_pylist(), made.users["history"].to_pylist(), strict=True)
        return {user: [int(ids[row - 1][6:]) for row in rows] for user, rows in people if user != "9"}

    assert shown() == {str(user): games for user, games in PLAYED.items()}
    odd = {str(user): [game for game in games if game % 2] for user, games in PLAYED.items()}
    assert shown(click="play") == odd
    assert shown(click="play", hours=2.5) == {
        user: [g for g in games if g > 5] for user, games in odd.items()
    }
    items = Steam(path).tables().items
    assert "Game, 3" in items["title"].to_pylist()


def test_what_was_bought_and_not_played_is_never_drawn(raw):
    """The user knows the game, which is an item all the same."""
    made = Steam(raw(KAGGLE), click="play", candidates="uniform", negatives=99, minimum=3).tables()
    ids = made.items["item_id"].to_pylist()
    assert {"Game, 2", "Other 3"} <= set(ids)
    for row in made.impressions["test"].to_pylist():
        drawn = {ids[c - 1] for c, label in zip(row["candidates"], row["labels"], strict=True) if not label}
        user = int(made.users["user_id"][row["user"]].as_py())
        assert drawn == set(ids) - {f"Game, {game}" for game in PLAYED[user]}


def test_played_of_ucsd(raw):
    """Hours of the reviews, minutes of what users have."""
    wanted = [[game for game in games if game > 4] for games in PLAYED.values()]
    assert Steam(raw(UCSD), click="play", hours=4).tables().users["history"].to_pylist() == wanted
    path = raw(OWNED)
    assert Steam(path, log="library", click="play", hours=4).tables().users["history"].to_pylist() == wanted


def test_attributes_of_ucsd(raw):
    """Any may be missing: games without id are left out, the first of two counts, words for a price are none or free."""
    made = Steam(raw(UCSD)).tables()
    assert made.items.num_rows == 31
    assert made.dropped["games_without_id"] == 1
    assert made.items.slice(3, 1).to_pylist() == [
        {
            "item_id": "4",
            "title": "It's game 4",
            "developer": "Valve",
            "publisher": None,
            "genres": ["Action", "Indie"],
            "tags": ["Fun"],
            "price": 0.0,
        }
    ]
    assert made.items["price"].to_pylist()[4:6] == [None, 9.99]
    assert made.items["title"].to_pylist()[-1] == "Named by title"
    assert made.users["times"][0][0].as_py() == 1_483_228_800


def test_reviews_that_lack_something_are_left_out_and_counted(raw):
    """No user, no day, a game that is not there; a review without hours was played for none."""
    extra = [
        {"product_id": "1", "date": "2017-01-01"},
        {"product_id": "1", "username": "u1"},
        {**REVIEWS[0], "product_id": "x"},
    ]
    made = Steam(raw({**UCSD, "steam_reviews.json.gz": literals(REVIEWS + extra)})).tables()
    dropped = {
        name: made.dropped[name]
        for name in ("reviews_without_user", "reviews_without_day", "rows_of_missing_games")
    }
    assert set(dropped.values()) == {1}


def test_missing_games_are_named_where_that_is_an_error(raw):
    """By line."""
    path = raw({**RECBENCH, "train_game.txt": RECBENCH["train_game.txt"] + "4,1,2,99\n"})
    with pytest.raises(DataError, match=r"train_game.txt line 4: game 99 is not in App_ID_Info.txt"):
        Steam(path, missing="error").tables()
    path = raw({**UCSD, "steam_reviews.json.gz": literals([*REVIEWS, {**REVIEWS[0], "product_id": "99"}])})
    with pytest.raises(
        DataError, match=r"steam_reviews.json.gz line 34, column product_id: game 99 is not in"
    ):
        Steam(path, missing="error").tables()


def test_options_and_files_that_do_not_fit(raw, tmp_path):
    """What to do is said."""
    with pytest.raises(DataError, match=r"steam_games.json.gz, steam-200k.csv or App_ID_Info.txt is missing"):
        Steam(tmp_path).files()
    with pytest.raises(SpecError, match='0 unless click="play"'):
        Steam(tmp_path, hours=2.0)
    path = raw({"App_ID_Info.txt": "1,a\n"})
    with pytest.raises(DataError, match=r"train_game.txt is missing"):
        Steam(path).files()
    raw(RECBENCH)
    with pytest.raises(DataError, match="says nothing of hours"):
        Steam(path, click="play").tables()
    with pytest.raises(DataError, match="log='library' is of"):
        Steam(path, log="library").tables()
    raw({"steam_games.json.gz": literals(GAMES)})
    with pytest.raises(
        DataError, match=r"steam_reviews\.json or australian_users_items\.json or .* is missing"
    ):
        Steam(path).tables()


@pytest.mark.parametrize(
    ("files", "name", "content", "sentence"),
    [
        (RECBENCH, "App_ID_Info.txt", "", "App_ID_Info.txt: holds no rows"),
        (RECBENCH, "App_ID_Info.txt", "1,a\n2\n", "App_ID_Info.txt line 2: an id and a title are expected"),
        (
            RECBENCH,
            "App_ID_Info.txt",
            b"1,a\n2,\xff\n",
            "App_ID_Info.txt line 2: byte 3 of the line, 0xff, is not UTF-8",
        ),
        (RECBENCH, "train_game.txt", "", "train_game.txt: holds no rows"),
        (
            RECBENCH,
            "train_game.txt",
            "1,2\n\n,3\n",
            "train_game.txt line 3: a user and their games are expected",
        ),
        (KAGGLE, "steam-200k.csv", "", "steam-200k.csv: is empty"),
        (
            KAGGLE,
            "steam-200k.csv",
            "1,a,purchase,1.0\n",
            "steam-200k.csv line 1: 5 columns are expected, 4 found",
        ),
        (
            KAGGLE,
            "steam-200k.csv",
            "1,a,sold,1.0,0\n",
            "steam-200k.csv line 1, column 3: purchase or play is expected, 'sold'",
        ),
        (KAGGLE, "steam-200k.csv", "1,a,play,long,0\n", "steam-200k.csv line 1, column value"),
        (
            KAGGLE,
            "steam-200k.csv",
            '1,"a,play,1,0\n',
            "steam-200k.csv line 1: a quote is opened and not closed",
        ),
        (
            UCSD,
            "steam_games.json.gz",
            "{'id': open('x')}\n",
            "steam_games.json.gz line 1: is not a Python literal",
        ),
        (
            UCSD,
            "steam_games.json.gz",
            "{'id': '1', 'genres': 'Action'}\n",
            "line 1, column genres: a list of texts",
        ),
        (
            UCSD,
            "steam_reviews.json.gz",
            gzip.compress(literals(REVIEWS).encode(), mtime=0)[:-20],
            "steam_reviews.json.gz: cannot be read",
        ),
        (
            UCSD,
            "steam_reviews.json.gz",
            literals([{**REVIEWS[0], "date": "Posted July"}]),
            "line 1, column date: a date like 2017-08-17",
        ),
        (OWNED, "australian_users_items.json.gz", "{'user_id': 'u'", "line 1: is not a Python literal"),
    ],
)
def test_malformed_files_are_named_by_line_and_column(raw, files, name, content, sentence):
    """Whatever is wrong in a raw file: which file, which line, which column, what was expected."""
    with pytest.raises(DataError) as caught:
        Steam(raw({**files, name: content})).tables()
    assert sentence in str(caught.value)


def test_reviews_of_users_are_clicks_at_their_days(raw):
    """In the order of the days; what is recommended may be what counts; bundles are told where they are asked for."""
    path = raw(OPINIONS)
    made = Steam(path, bundles=True).tables()
    assert made.users["history"].to_pylist() == list(PLAYED.values())
    first = [np.datetime64(day, "s").astype(int) for day in ("2011-01-01", "2012-05-01", "2013-12-01")]
    assert [times[0] for times in made.users["times"].to_pylist()] == first
    assert made.items["bundles"].to_pylist()[:3] == [["Both & more", "One"], ["Both & more"], []]
    assert "bundles" not in Steam(path).tables().items.column_names
    even = [[game for game in games if game % 2 == 0] for games in PLAYED.values()]
    assert Steam(path, click="recommend", minimum=3).tables().users["history"].to_pylist() == even
    assert made.rules["log"] == "australian_user_reviews.json.gz"
    both = raw({**OPINIONS, **UCSD})
    assert Steam(both).tables().rules["log"] == "steam_reviews.json.gz"
    assert Steam(both, log="user_reviews").tables().rules["log"] == "australian_user_reviews.json.gz"


def test_a_day_without_a_year_has_the_year_that_is_given(raw):
    """Or its review is left out and counted; a user that stands twice is one; a review without a game or a day is none."""
    extra = {
        "user_id": "u1",
        "reviews": [
            {"item_id": "20", "posted": "Posted July 3.", "recommend": True},
            {"item_id": "21", "posted": "Posted December 30, 2010.", "recommend": None},
            {"item_id": None, "posted": "Posted July 4, 2014.", "recommend": True},
            {"item_id": "22", "posted": "", "recommend": True},
            {"item_id": "1", "posted": "Posted July 4, 2014.", "recommend": True},
            None,
        ],
    }
    log = OPINIONS["australian_user_reviews.json.gz"]
    path = raw({**OPINIONS, "australian_user_reviews.json.gz": log + literals([extra, {"user_id": "u7"}])})
    made = Steam(path).tables()
    (games,) = [row["history"] for row in made.users.to_pylist() if row["user_id"] == "u1"]
    assert games == [21, *PLAYED[1]]
    counts = ("reviews_without_year", "reviews_without_day", "reviews_without_game", "repeated_rows")
    assert [made.dropped[name] for name in counts] == [1, 2, 1, 1]
    made = Steam(path, year=2016).tables()
    (games,) = [row["history"] for row in made.users.to_pylist() if row["user_id"] == "u1"]
    assert games == [21, *PLAYED[1], 20]
    assert "reviews_without_year" not in made.dropped


def test_what_is_wrong_in_reviews_of_users_is_named(raw):
    """A day, a truth, a game that is missing: by line; options that these files say nothing for."""
    log = OPINIONS["australian_user_reviews.json.gz"]

    def refused(text, **options):
        with pytest.raises(DataError) as caught:
            Steam(raw({**OPINIONS, "australian_user_reviews.json.gz": text}), **options).tables()
        return str(caught.value)

    assert "line 1, column posted: a date like Posted November 5, 2011. is expected" in refused(
        log.replace("January 1, 2011", "Janvier 1, 2011", 1).replace("Janvier", "Foo")
    )
    assert "line 1, column reviews: a list of objects" in refused(log.replace("True", "'yes'", 1))
    told = refused(log.replace("'item_id': '2'", "'item_id': '777'", 1), missing="error")
    assert "line 1, column reviews: game 777 is not in steam_games.json.gz" in told
    with pytest.raises(DataError, match="says nothing of hours"):
        Steam(raw(OPINIONS), click="play").tables()
    with pytest.raises(DataError, match="says nothing of recommendations"):
        Steam(raw(OPINIONS | UCSD), click="recommend").tables()
    with pytest.raises(DataError, match="nothing for year to do"):
        Steam(raw(OPINIONS | UCSD), year=2016).tables()


def test_bundles_that_are_missing_are_named(raw, tmp_path):
    """The file; and a version that has none."""
    path = raw(OPINIONS)
    (tmp_path / "bundle_data.json.gz").unlink()
    with pytest.raises(DataError, match=r"bundle_data\.json is missing, which bundles=True reads"):
        Steam(path, bundles=True).files()
    for name in OPINIONS:
        (tmp_path / name).unlink(missing_ok=True)
    with pytest.raises(DataError, match="which bundles=True is of"):
        Steam(raw(KAGGLE), bundles=True).files()
