from __future__ import annotations

import json
from collections import defaultdict

import numpy as np
import pytest

from lego.data.prepare import prepare
from lego.data.source.lastfm import LastFM
from lego.errors import DataError
from tests.data.source.trial import trial

ARTISTS = "id\tname\turl\tpictureURL\n" + "".join(f'{n}\t"Band" {n}\thttp://x/{n}\t\n' for n in range(1, 31))
PLAYS = "userID\tartistID\tweight\r\n" + "".join(
    f"{user}\t{user + place}\t{100 - place}\r\n" for user in (2, 3) for place in range(7)
)
TAGS = "tagID\ttagValue\r\n1\tmetal\r\n2\tchanson fran\u00e7aise\r\n3\tjazz\r\n"
TAGGED = "userID\tartistID\ttagID\tday\tmonth\tyear\n" + "".join(
    f"{user}\t{artist}\t{tag}\t1\t4\t2009\n"
    for user, artist, tag in ((2, 1, 3), (2, 1, 2), (3, 1, 2), (3, 4, 1))
)
LISTENS = "userid-timestamp-artid-artname-traid-traname.tsv"


@pytest.fixture
def raw(tmp_path):
    """Writes files; a keyword's first underscores are as they stand, the suffix is .dat."""

    def write(**files):
        for name, content in files.items():
            raw = content if isinstance(content, bytes) else content.encode()
            (tmp_path / f"{name}.dat").write_bytes(raw)
        return str(tmp_path)

    return write


@pytest.fixture(scope="module")
def official(shared_data):
    """The rows of user_artists.dat, read in the plain way."""
    lines = (shared_data / "lastfm" / "hetrec2011-lastfm-2k" / "user_artists.dat").read_text().split("\n")
    return [tuple(map(int, line.split("\t"))) for line in lines[1:] if line]


def test_real_rows_are_those_of_a_plain_count(shared_data, official, tmp_path):
    """Users, artists, impressions and what each user clicked, of the complete edition; descriptions can be joined by id."""
    folder = shared_data / "lastfm"
    assert (len(official), len({row[0] for row in official})) == (92_834, 1_892)
    taken = defaultdict(set)
    for user, artist, _ in official:
        taken[str(user)].add(str(artist))
    kept = {user: artists for user, artists in taken.items() if len(artists) >= 5}
    store = prepare(LastFM(str(folder / "hetrec2011-lastfm-2k")), tmp_path)
    counts = store.manifest["counts"]
    tests = sum(max(1, len(artists) // 10) for artists in kept.values())
    clicks = sum(map(len, kept.values()))
    assert counts["items"] == 17_632
    assert counts["users"] == len(kept)
    assert counts["impressions"] == {"train": clicks - 2 * tests, "dev": tests, "test": tests}
    ids, history = store.item_ids.to_pylist(), store.users.history
    users = store.users.user_ids.to_pylist()
    assert {user: {ids[place - 1] for place in history[row]} for row, user in enumerate(users)} == kept
    artists = (folder / "hetrec2011-lastfm-2k" / "artists.dat").read_text(encoding="utf-8").split("\n")
    assert store.items["title"].to_pylist() == [line.split("\t")[1].strip() for line in artists[1:] if line]
    lines = (folder / "llm" / "artist_description.jsonl").read_text(encoding="utf-8").splitlines()
    described = {str(json.loads(line)["artistID"]) for line in lines}
    assert described <= set(ids)
    covered = sum(str(artist) in described for _, artist, _ in official) / len(official)
    assert covered == pytest.approx(0.64, abs=0.005)


def test_clicks_are_in_no_order_of_the_file(shared_data, official):
    """The plays of the test clicks are like those of all: the file, the most played first, would test on the least played."""
    plays = {(user, artist): weight for user, artist, weight in official}

    def share_of_low(order):
        tables = LastFM(str(shared_data / "lastfm" / "hetrec2011-lastfm-2k"), order=order, users=300).tables()
        ids = [0, *map(int, tables.items["item_id"].to_pylist())]
        below = []
        for user, history in zip(
            tables.users["user_id"].to_pylist(), tables.users["history"].to_pylist(), strict=True
        ):
            weights = [plays[int(user), ids[row]] for row in history]
            below.append(np.mean([weight > weights[-1] for weight in weights[:-1]]))
        return np.mean(below)

    assert share_of_low("file") > 0.8
    assert 0.4 < share_of_low("random") < 0.6


def test_three_models_learn_from_real_rows(shared_data, official, tmp_path):
    """By name, by ids and by a frozen language model, on the artists of the first users."""
    folder, cut = shared_data / "lastfm" / "hetrec2011-lastfm-2k", tmp_path / "cut"
    cut.mkdir()
    rows = [row for row in official if row[0] < 7][:200]
    named = {str(artist) for _, artist, _ in rows}
    artists = (folder / "artists.dat").read_text(encoding="utf-8").split("\n")
    kept = [artists[0], *(line for line in artists if line.split("\t")[0] in named)]
    (cut / "artists.dat").write_text("\n".join(kept) + "\n", encoding="utf-8")
    lines = ["userID\tartistID\tweight", *("\t".join(map(str, row)) for row in rows)]
    (cut / "user_artists.dat").write_text("\r\n".join(lines) + "\r\n")
    assert {"text", "id"} <= set(trial(LastFM(str(cut), negatives=5), tmp_path / "runs", texts=["title"]))


def test_the_quirks_of_hetrec_are_read(raw):
    """Line ends of both kinds, quotes inside names, no picture; tags by how many gave them, in Latin-1 or UTF-8."""
    files = {"artists": ARTISTS, "user_artists": PLAYS, "user_taggedartists": TAGGED}
    for coding in ("latin-1", "utf-8"):
        tables = LastFM(raw(**files, tags=TAGS.encode(coding)), negatives=3, order="file").tables()
        assert tables.items["title"].to_pylist()[0] == '"Band" 1'
        assert tables.items["tags"].to_pylist()[:4] == [
            ["chanson fran\u00e7aise", "jazz"],
            None,
            None,
            ["metal"],
        ]
        assert tables.users["history"].to_pylist() == [[2, 3, 4, 5, 6, 7, 8], [3, 4, 5, 6, 7, 8, 9]]
        assert "times" not in tables.users.column_names


def test_few_plays_are_no_click_but_met(raw):
    """`plays` is the least for a click; what was played less is never a candidate."""
    path = raw(artists=ARTISTS, user_artists=PLAYS)
    tables = LastFM(path, plays=96, negatives=30, candidates="uniform", order="file").tables()
    assert tables.users["history"].to_pylist() == [[2, 3, 4, 5, 6], [3, 4, 5, 6, 7]]
    shown = {row for each in tables.impressions["train"]["candidates"].to_pylist()[:3] for row in each}
    assert not shown & {7, 8}
    assert tables.rules["click"] == "96 plays or more"


# --- the editions of listens --------------------------------------------------------------------------------------------------


def listen(user, minute, track, name=None, artist="a1"):
    return f'user_{user:06}\t2009-05-04T23:{minute:02}:57Z\t{artist}\tThe "{artist}"\t{track}\t{name or f"Song {track}"}\n'


@pytest.fixture
def thousand(tmp_path):
    def write(extra="", profiles=True):
        lines = [listen(user, 40 - place, f"t{user + place}") for user in (1, 2) for place in range(8)]
        content = "".join(lines) + listen(2, 1, "", "Nameless") + extra
        (tmp_path / LISTENS).write_text(content, encoding="utf-8")
        if profiles:
            header = "#id\tgender\tage\tcountry\tregistered\n"
            people = "user_000001\tm\t\tJapan\tAug 13, 2006\nuser_000002\t\t29\t\t\n"
            (tmp_path / "userid-profile.tsv").write_text(header + people)
        return str(tmp_path)

    return write


def test_listens_of_1k_are_read(thousand):
    """Newest first, tracks without id and malformed lines left out and counted, users with what is known of them."""
    tables = LastFM(thousand("user_000002\tbroken\n"), negatives=1).tables()
    assert tables.dropped["listens_without_id"] == 1
    assert tables.dropped["malformed_lines"] == 1
    assert tables.items.to_pylist()[0] == {"item_id": "t1", "title": "Song t1", "artist": 'The "a1"'}
    assert tables.users["history"].to_pylist()[0] == [8, 7, 6, 5, 4, 3, 2, 1]
    assert tables.users.drop_columns(["history", "times"]).to_pylist() == [
        {"user_id": "user_000001", "gender": "m", "age": None, "country": "Japan"},
        {"user_id": "user_000002", "gender": None, "age": 29.0, "country": None},
    ]
    assert tables.users["times"].to_pylist()[0][-1] == 1241480457


def test_the_most_recent_listens_are_read(thousand):
    """The others are counted, and what nobody listened to among them is no item; listens of one second keep their order."""
    tables = LastFM(thousand(listen(1, 40, "t0") + listen(2, 40, "t0")), listens=6, negatives=1).tables()
    assert tables.dropped["listens_too_old"] == 16 + 2 - 12
    assert tables.items["item_id"].to_pylist() == ["t1", "t2", "t3", "t4", "t5", "t6", "t0"]
    assert tables.users["history"].to_pylist()[0] == [5, 4, 3, 2, 7, 1]
    everything = LastFM(thousand(listen(1, 40, "t0")), listens=None, negatives=1).tables()
    ids = everything.items["item_id"].to_pylist()
    assert [ids[row - 1] for row in everything.users["history"].to_pylist()[0]][-2:] == ["t0", "t1"]


def test_artists_may_be_the_items(thousand):
    """Of listens too; then an artist has a name and no artist."""
    extra = "".join(
        listen(user, 50 + place, "t1", artist=f"b{place}") for user in (1, 2) for place in range(4)
    )
    extra += listen(1, 9, "t9", artist="b9")
    tables = LastFM(thousand(extra, profiles=False), items="artists", negatives=1).tables()
    assert tables.items["item_id"].to_pylist() == ["a1", "b0", "b1", "b2", "b3", "b9"]
    assert tables.items["title"].to_pylist()[0] == 'The "a1"'
    assert tables.items["artist"].null_count == 6
    with pytest.raises(DataError, match="this edition has no albums"):
        LastFM(thousand(), items="albums").tables()


@pytest.fixture
def billion(tmp_path):
    def write(events=None, tracks=None):
        rows = [
            (user, 7, 50 + place % 3, user + place, 1000 + place) for user in (11, 12) for place in range(8)
        ]
        content = {
            "LEs": "".join("\t".join(map(str, row)) + "\n" for row in events or rows),
            "artists": '7\tThe "Band"\n8\tOther\n',
            "albums": "".join(f"{n}\tAlbum {n}\t7\n" for n in range(50, 60)),
            "tracks": tracks or "".join(f"{n}\tSong {n}\t7\n" for n in range(1, 40)),
            "users": "user_id\tcountry\tage\tgender\tplaycount\tregistered_unixtime\n11\tAT\t-1\tn\t9\t9\n12\t\t30\tf\t9\t9\n",
        }
        for name, text in content.items():
            (tmp_path / f"LFM-1b_{name}.txt").write_text(text, encoding="utf-8")
        return str(tmp_path)

    return write


def test_listens_of_1b_are_read(billion):
    """Names from the other files, tracks nobody listened to left out, an age of -1 is none."""
    tables = LastFM(billion(), negatives=1).tables()
    assert tables.items.to_pylist()[0] == {"item_id": "11", "title": "Song 11", "artist": 'The "Band"'}
    assert tables.items.num_rows == 9
    assert tables.users["age"].to_pylist() == [None, 30.0]
    assert tables.users["country"].to_pylist() == ["AT", None]
    rows = [(user, artist, 1, 1, artist) for user in (11, 12) for artist in (7, 7, 8)]
    artists = LastFM(billion(rows), items="artists", minimum=3, repeats="all", candidates="uniform").tables()
    assert artists.items["title"].to_pylist() == ['The "Band"', "Other"]
    assert artists.users["history"].to_pylist() == [[1, 1, 2], [1, 1, 2]]
    albums = LastFM(billion(), items="albums", minimum=3, negatives=1, repeats="all").tables()
    assert albums.items["title"].to_pylist() == ["Album 50", "Album 51", "Album 52"]


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda raw, *_: raw(artists=ARTISTS, user_artists=PLAYS + "2\t9\tmany\r\n"), "user_artists.dat line 16, column weight"),
        (lambda raw, *_: raw(artists=ARTISTS, user_artists=PLAYS + "2\t9\r\n"), "user_artists.dat line 16: 3 columns"),
        (lambda raw, *_: raw(artists=ARTISTS + "1\tAgain\t\t\n", user_artists=PLAYS), "artist 1 is already in line 2"),
        (lambda raw, *_: raw(artists=ARTISTS, user_artists=""), "user_artists.dat: is empty"),
        (lambda raw, *_: raw(artists=ARTISTS.encode() + b"40\t\xff\t\t\n", user_artists=PLAYS), "artists.dat line 32: byte 4"),
        (lambda raw, *_: raw(artists=ARTISTS, user_artists=PLAYS + "2\t99\t1\r\n"), "1 listens are of 1 pieces"),
        (lambda raw, *_: raw(artists=ARTISTS), "user_artists.dat is missing"),
        (lambda _, thousand, __: thousand("u\tyesterday\ta\tb\tc\td\n"), "line 18, column time: a time like"),
        (lambda *three: three[2](tracks="11\tSong\t7\n" * 2), "LFM-1b_tracks.txt: the ids 11 are there more than once"),
        (lambda *three: three[2](tracks="40\tSong\n"), "LFM-1b_tracks.txt line 1: 3 columns are expected, 2 found"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(raw, thousand, billion, make, sentence):
    """By file, line and column."""
    path = make(raw, thousand, billion)
    with pytest.raises(DataError) as caught:
        LastFM(path, negatives=1).tables()
    assert sentence in str(caught.value)
