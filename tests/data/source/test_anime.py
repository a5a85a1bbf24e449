from __future__ import annotations

import pytest

from lego.data.source.anime import Anime
from lego.errors import DataError

OLD = "anime_id,name,genre,type,episodes,rating,members\n"
OLD += '1,"Tom &amp; &quot;Jerry&quot;, the 2nd","Action, Slice of Life",TV,64,9.26,793665\n2,Gintama&#039;,,,Unknown,,9\n'
OLD += "".join(f"{n},Anime {n},Drama,Movie,1,7.5,{n}\n" for n in range(3, 31))
ROWS = [(user, user + place, 8) for user in (2, 1) for place in range(6)]


def rated(*rows, header="user_id,anime_id,rating"):
    return header + "\n" + "".join(",".join(map(str, row)) + "\n" for row in rows)


LATER = "MAL_ID,Name,Score,Genres,English name,Type,Episodes,Studios,Members\n"
LATER += '1,Cowboy Bebop,8.78,"Action, Space",Unknown,TV,26,Sunrise,1251960\n'
LATER += "".join(f"{n},Anime {n},Unknown,Unknown,Name {n},Movie,Unknown,Unknown,{n}\n" for n in range(2, 31))
TOLD = "MAL_ID,Name,Score,Genres,sypnopsis\n"
TOLD += '1,Cowboy Bebop,8.78,"Action, Space","In the year 2071,\nhumanity ""lives"" &amp; roams."\n'
TOLD += "2,Anime 2,Unknown,Unknown,No synopsis information has been added to this title. Help improve our database.\n"
LIST = "user_id,anime_id,rating,watching_status,watched_episodes"


@pytest.fixture
def raw(tmp_path):
    def write(**files):
        for name, content in files.items():
            raw = content if isinstance(content, bytes) else content.encode()
            (tmp_path / f"{name}.csv").write_bytes(raw)
        return str(tmp_path)

    return write


def test_the_older_edition_is_read(raw):
    """Entities, lists of genres, missing values, pairs that repeat, and anime that are not listed."""
    rows = [*ROWS, (1, 1, 3), (1, 99, 9), (1, 20, -1)]
    tables = Anime(raw(anime=OLD, rating=rated(*rows)), negatives=3).tables()
    assert tables.items.slice(0, 2).to_pylist() == [
        {
            "item_id": "1",
            "title": 'Tom & "Jerry", the 2nd',
            "genres": ["Action", "Slice of Life"],
            "type": "TV",
            "episodes": 64.0,
            "score": 9.26,
            "members": 793665.0,
        },
        {
            "item_id": "2",
            "title": "Gintama'",
            "genres": None,
            "type": None,
            "episodes": None,
            "score": None,
            "members": 9.0,
        },
    ]
    assert tables.users["history"].to_pylist() == [[1, 2, 3, 4, 5, 6], [2, 3, 4, 5, 6, 7]]
    assert tables.dropped["ratings_of_missing_anime"] == 1
    assert tables.dropped["ratings_without_value"] == 1
    assert tables.dropped["repeated_ratings"] == 1


def test_what_was_watched_without_a_rating_is_a_choice(raw):
    """A click, or met: then never a candidate, and no dislike either."""
    path = raw(anime=OLD, rating=rated(*ROWS, (1, 20, -1), (1, 21, 2)))
    click = Anime(path, unrated="click", negatives=3).tables()
    assert click.users["history"].to_pylist()[0] == [1, 2, 3, 4, 5, 6, 20]
    met = Anime(path, unrated="met", negatives=40, candidates="uniform").tables()
    shown = met.impressions["train"]["candidates"].to_pylist()[0]
    assert 20 not in shown
    assert 22 in shown
    low = Anime(path, unrated="met", candidates="disliked").tables()
    assert {row for each in low.impressions["test"]["candidates"].to_pylist() for row in each} == {6, 21}


def test_the_edition_of_2020_is_read(raw):
    """Descriptions over several lines, "Unknown" as missing, complete ratings without -1."""
    path = raw(anime=LATER, anime_with_synopsis=TOLD, rating_complete=rated(*ROWS))
    tables = Anime(path, negatives=3).tables()
    assert tables.items["synopsis"].to_pylist()[:3] == [
        'In the year 2071, humanity "lives" & roams.',
        None,
        None,
    ]
    first, second = tables.items.slice(0, 2).to_pylist()
    assert (first["english"], first["genres"], first["score"]) == (None, ["Action", "Space"], 8.78)
    assert (second["genres"], second["episodes"], second["studios"], second["score"]) == (
        None,
        None,
        None,
        None,
    )
    assert tables.rules["ratings"] == "rating_complete.csv"
    with pytest.raises(DataError, match=r"add animelist\.csv"):
        Anime(path, unrated="met").files()


def test_the_list_of_2020_is_read_where_it_is_asked_for(raw):
    """What is planned is left out and counted; a 0 is no rating."""
    rows = [(*row, 2, 9) for row in ROWS] + [(1, 20, 0, 2, 9), (1, 21, 0, 6, 0)]
    path = raw(anime=LATER, rating_complete=rated(*ROWS), animelist=rated(*rows, header=LIST))
    tables = Anime(path, unrated="click", negatives=3).tables()
    assert tables.users["history"].to_pylist()[0] == [1, 2, 3, 4, 5, 6, 20]
    assert tables.dropped["planned_to_watch"] == 1
    assert Anime(path, negatives=3).tables().rules["ratings"] == "rating_complete.csv"


def test_synopses_may_be_all_there_is(raw):
    """anime_with_synopsis.csv has names and genres itself."""
    told = TOLD + "".join(f"{n},Anime {n},7.5,Drama,Text {n}\n" for n in range(3, 31))
    tables = Anime(raw(anime_with_synopsis=told, rating_complete=rated(*ROWS)), negatives=3).tables()
    assert tables.attributes == {"title": "text", "genres": "list", "score": "number", "synopsis": "text"}
    assert tables.items["synopsis"].to_pylist()[1:3] == [None, "Text 3"]


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        ({"rating": ""}, "rating.csv: is empty"),
        ({"rating": rated()}, "rating.csv: holds a header and no rows"),
        ({"rating": rated(*ROWS, (1, 9, 11))}, "rating.csv line 14, column rating: a whole number from -1 to 10"),
        ({"rating": rated(*ROWS, (1, 9))}, "rating.csv line 14: 3 columns are expected, 2 found"),
        ({"rating": rated(*ROWS, header="user,anime_id,rating")}, "line 1: the column user_id is missing"),
        ({"anime": OLD + "3,Again,,,,,\n"}, "anime.csv line 32, column anime_id: anime 3 is already in line 4"),
        ({"anime": OLD + '40,"Open,,,,,\n'}, "anime.csv line 32: a quote is opened and not closed"),
        ({"anime": OLD.encode() + b"40,\xff,,,,,\n"}, "anime.csv line 32: byte 4 of the line, 0xff"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(raw, files, sentence):
    """By file, line and column."""
    with pytest.raises(DataError) as caught:
        Anime(raw(**{"anime": OLD, "rating": rated(*ROWS), **files}), negatives=3).tables()
    assert sentence in str(caught.value)
