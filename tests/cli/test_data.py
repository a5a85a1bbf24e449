"""`lego data`: list, prepare, describe, sample."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from lego import MovieLens, Prepared
from lego.data.store import Store

SHAPE = {"path", "items", "users", "impressions", "dropped", "seconds"}


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    """Ten films that thirty users like, in the files of MovieLens."""
    folder = tmp_path_factory.mktemp("data") / "raw"
    folder.mkdir()
    films = (
        "storm",
        "garden",
        "river",
        "castle",
        "winter",
        "engine",
        "[bold]harbor[/bold]",
        "violin",
        "desert",
        "mirror",
    )
    lines = [f"{row},{name} ({1990 + row}),Drama|Comedy" for row, name in enumerate(films, 1)]
    (folder / "movies.csv").write_text("movieId,title,genres\n" + "\n".join(lines) + "\n", encoding="utf-8")
    lines = [
        f"{user},{1 + (3 * user + step) % 10},4.5,{1_000_000 + 100 * step + user}"
        for user in range(1, 31)
        for step in range(8)
    ]
    (folder / "ratings.csv").write_text(
        "userId,movieId,rating,timestamp\n" + "\n".join(lines) + "\n", encoding="utf-8"
    )
    return folder


@pytest.fixture
def prepared(lego, raw, tmp_path):
    """A prepared folder."""
    return lego("data", "prepare", "MovieLens", raw, "--out", tmp_path / "films", "--json").json


def test_data_sets_are_listed_with_what_they_need(lego):
    """Name, domain, language, attributes, files, address and terms of each source, as its class says."""
    rows = {row["name"]: row for row in lego("data", "list", "--json").json}
    assert rows["MovieLens"] == {
        "name": "MovieLens",
        "domain": "movies",
        "language": "English",
        "attributes": ["title", "genres"],
        "files": ["movies.csv", "ratings.csv"],
        "url": MovieLens.url,
        "licence": MovieLens.licence,
        "task": "ratings",
        "proven": "real rows",
    }
    assert "Prepared" in rows
    for name, row in rows.items():
        if row["url"]:
            assert row["proven"].startswith(("real rows", "format")), name
            assert [
                each for each in ("domain", "language", "files", "licence", "task") if not row[each]
            ] == [], name
    out = lego("data", "list").out
    assert "files       movies.csv, ratings.csv" in out
    assert MovieLens.url in out


def test_a_broken_source_hides_no_other(lego, distribution):
    """What cannot be loaded is told on standard error."""
    distribution("acme_data", "[lego.source]\nOdd = odd_source:Odd\n", odd_source="raise ImportError('gone')")
    answer = lego("data", "list", "--json")
    assert {row["name"] for row in answer.json} >= {"MIND", "MovieLens", "Prepared", "Tables"}
    assert "ImportError: gone" in answer.err


def test_out_is_the_very_folder(prepared, raw, tmp_path):
    """The tables stand in the folder that was named, and `Prepared` reads them."""
    assert set(prepared) == SHAPE
    assert prepared["path"] == str(tmp_path / "films")
    assert {each.name for each in (tmp_path / "films").iterdir()} == {
        "manifest.json",
        "items.arrow",
        "users.arrow",
        "train.arrow",
        "dev.arrow",
        "test.arrow",
    }
    assert (prepared["items"], prepared["users"]) == (10, 30)
    assert prepared["impressions"] == {"train": 180, "dev": 30, "test": 30}
    assert Prepared(prepared["path"]).ready() == tmp_path / "films"
    assert Store.open(prepared["path"]).manifest["source"]["text"] == repr(MovieLens(str(raw)))


def test_without_out_it_is_below_home(lego, raw, monkeypatch, tmp_path):
    """The folder has the fingerprint in its name; the second call finds it."""
    monkeypatch.setenv("LEGO_HOME", str(tmp_path))
    first = lego("data", "prepare", "MovieLens", raw, "--json")
    second = lego("data", "prepare", "MovieLens", raw, "--json")
    assert first.json["path"] == second.json["path"]
    assert first.json["path"].startswith(str(tmp_path / "data" / "movielens-"))
    assert "writing train: 180 rows" in first.err
    assert "writing" not in second.err
    assert "found" in second.err


def test_options_are_set_as_expressions(lego, raw, tmp_path):
    """`--set` takes any option of the source, several of them, in the language of expressions."""
    changes = ("--set", "users=10", "--set", "candidates='uniform'", "--set", "negatives = 2")
    found = lego("data", "prepare", "MovieLens", raw, "--out", tmp_path / "few", *changes, "--json").json
    assert found["users"] == 10
    assert found["dropped"]["users_not_sampled"] == 20
    source = Store.open(found["path"]).manifest["source"]["text"]
    assert source == repr(MovieLens(str(raw), users=10, candidates="uniform", negatives=2))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("user=10", "MovieLens has no option 'user'. Did you mean 'users'?"),
        ("users=many", "A text needs quotes: 'many'"),
        ("users=0", "users must be at least 1, was 0"),
        ("users", "A change is written FIELD=VALUE"),
        ("path='x'", "path is RAW already"),
    ],
)
def test_a_wrong_option_is_wrong_use(lego, raw, tmp_path, change, words):
    """Exit code 2, what is wrong with it, and nothing is written."""
    answer = lego("data", "prepare", "MovieLens", raw, "--out", tmp_path / "never", "--set", change)
    assert answer.code == 2
    assert words in answer.err
    assert not (tmp_path / "never").exists()


def test_what_was_left_out_is_on_the_screen(lego, raw, tmp_path):
    """One sentence with the counts, in words."""
    told = lego("data", "prepare", "MovieLens", raw, "--out", tmp_path / "few", "--set", "users=10").out
    assert "Left out: " in told
    assert "20 users not sampled" in told


def test_nothing_is_left_beside_the_folder(lego, raw, tmp_path):
    """Neither a lock nor a half-written folder."""
    lego("data", "prepare", "MovieLens", raw, "--out", tmp_path / "place" / "made")
    assert [path.name for path in (tmp_path / "place").iterdir()] == ["made"]


@pytest.fixture
def own(tmp_path):
    """Writes a table of items and a log of one's own, and gives the words of `lego data prepare` for them."""

    def write(items, rows):
        (tmp_path / "items.csv").write_bytes(items)
        (tmp_path / "rows.csv").write_bytes(rows)
        return (
            "data",
            "prepare",
            "Tables",
            tmp_path / "items.csv",
            "--set",
            f"rows={str(tmp_path / 'rows.csv')!r}",
        )

    return write


def test_tables_of_ones_own_are_prepared(lego, own, tmp_path):
    """RAW is the table of items, the log and all else are options; what was taken for what is described."""
    words = own(b"sku,title\na,One\nb,Two\nc,Three\n", b"who,sku\nu,a\nu,b\nv,c\nv,zz\nv,a\n")
    more = ("--set", "columns={'user': 'who'}", "--set", "missing='drop'", "--out", tmp_path / "made")
    answer = lego(*words, *more)
    assert answer.code == 0
    assert "Left out: 1 missing items, 1 rows of missing items" in answer.out
    described = lego("data", "describe", tmp_path / "made", "--json").json
    assert described["items"] == 3
    told = lego("data", "describe", tmp_path / "made").out
    assert "user = who, item = sku (guessed)" in told


@pytest.mark.parametrize(
    ("items", "rows", "words"),
    [
        (b"item,title\na,One\na,Two\n", b"user,item\nu,a\n", "items.csv line 3, column item: item a is already in line 2"),
        (b"item,title\na,One\n", b"user,item\nu,a\nu\n", "rows.csv line 3: 2 columns are expected, 1 found"),
        (b"item,title\na,One\n", b"", "rows.csv: is empty"),
        (b"item,title\na,One\n", b"user,thing\nu,a\n", "no column is known to be the item; there are user, thing"),
        (b"item,title\na,One\n", b"user,item\nu,b\n", "rows.csv line 2, column item: items has no 'b'"),
        (b"item,title\na,\xff\n", b"user,item\nu,a\n", "items.csv line 2: byte 3 of the line, 0xff, is not UTF-8"),
        (b"item,title\na,One\n" * 30, b"user,item\nu,a\n", "error: cannot read the data: 57 problems"),
    ],
)  # fmt: skip
def test_bad_input_is_named_and_nothing_is_written(lego, own, tmp_path, items, rows, words):
    """Exit code 1, file, line and column, no traceback, no folder."""
    answer = lego(*own(items, rows), "--out", tmp_path / "never")
    assert answer.code == 1
    assert words in answer.err
    assert "Traceback" not in answer.err
    assert not (tmp_path / "never").exists()


def test_an_option_is_set_once(lego, raw):
    """Two values for one option are a slip, not a choice."""
    answer = lego("data", "prepare", "MovieLens", raw, "--set", "users=3", "--set", "users=4")
    assert (answer.code, "users is set twice" in answer.err) == (2, True)


def test_an_unknown_source_is_wrong_use(lego, raw):
    """The nearest name is told."""
    answer = lego("data", "prepare", "movielens", raw)
    assert answer.code == 2
    assert "No source is called 'movielens'. Did you mean 'MovieLens'?" in answer.err


def test_missing_raw_files_are_a_failure(lego, tmp_path):
    """Exit code 2, as everywhere for what was written, and where the files are had."""
    answer = lego("data", "prepare", "MovieLens", tmp_path / "nothing")
    assert answer.code == 2
    assert MovieLens.url in answer.err
    assert "Traceback" not in answer.err


def test_what_stands_at_out_is_not_overwritten(lego, raw, prepared, tmp_path):
    """The same data is found again; other data needs --force; a folder of something else is never touched."""
    where = prepared["path"]
    again = lego("data", "prepare", "MovieLens", raw, "--out", where, "--json")
    assert "found" in again.err
    other = ("data", "prepare", "MovieLens", raw, "--out", where, "--set", "users=5", "--json")
    refused = lego(*other)
    assert refused.code == 1
    assert "replace it with --force" in refused.err
    assert Store.open(where).manifest["counts"]["users"] == 30
    assert lego(*other, "--force").json["users"] == 5
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "notes.txt").write_text("keep me")
    for force in ((), ("--force",)):
        answer = lego("data", "prepare", "MovieLens", raw, "--out", mine, *force)
        assert answer.code == 1
        assert "is there and is not prepared data" in answer.err
    assert (mine / "notes.txt").read_text() == "keep me"


def test_an_empty_folder_is_filled(lego, raw, tmp_path):
    """A folder that was made for it is taken."""
    (tmp_path / "ready").mkdir()
    found = lego("data", "prepare", "MovieLens", raw, "--out", tmp_path / "ready", "--json").json
    assert found["path"] == str(tmp_path / "ready")
    assert sorted(each.name for each in tmp_path.iterdir() if not each.name.startswith(".")) == ["ready"]


def test_a_damaged_folder_is_made_again_with_force(lego, raw, prepared):
    """A table that was cut is noticed, and replaced when asked."""
    from pathlib import Path

    table = Path(prepared["path"]) / "items.arrow"
    table.write_bytes(table.read_bytes()[:100])
    arguments = ("data", "prepare", "MovieLens", raw, "--out", prepared["path"], "--json")
    assert lego(*arguments).code == 1
    assert lego(*arguments, "--force").json["items"] == 10


def test_prepared_data_is_not_prepared_again(lego, prepared, tmp_path):
    """`Prepared` has nothing to write, and says so instead of leaving --out away in silence."""
    assert lego("data", "prepare", "Prepared", prepared["path"], "--json").json["path"] == prepared["path"]
    answer = lego("data", "prepare", "Prepared", prepared["path"], "--out", tmp_path / "other")
    assert answer.code == 1
    assert "is prepared already" in answer.err


def test_out_works_where_home_does_not(lego, raw, monkeypatch, tmp_path):
    """A LEGO_HOME that cannot be written to is no obstacle to a folder that can."""
    (tmp_path / "file").touch()
    monkeypatch.setenv("LEGO_HOME", str(tmp_path / "file"))
    assert (
        lego("data", "prepare", "MovieLens", raw, "--out", tmp_path / "out" / "films", "--json").json["users"]
        == 30
    )
    answer = lego("data", "prepare", "MovieLens", raw)
    assert answer.code == 1
    assert "--out" in answer.err


def test_a_folder_is_described(lego, prepared):
    """The same counts as at its preparation, and in lines what else there is to know."""
    described = lego("data", "describe", prepared["path"], "--json").json
    assert set(described) == SHAPE
    assert {key: described[key] for key in SHAPE - {"seconds"}} == {
        key: prepared[key] for key in SHAPE - {"seconds"}
    }
    out = lego("data", "describe", prepared["path"]).out
    assert "impressions" in out
    assert "train: 180  dev: 30  test: 30" in out
    assert "rules.click" in out
    assert "rating above 3" in out


def test_a_warning_names_what_can_be_typed(lego, tmp_path):
    """Options of a doubt are those of `lego data prepare --set`, in describe as in prepare; what they say is what helps."""
    (tmp_path / "items.csv").write_text("id,title\n" + "".join(f"{n},Title {n}\n" for n in range(9)))
    rows = "".join(f"u{n % 3},{n % 9},{n % 2}\n" for n in range(30))
    (tmp_path / "log.csv").write_text("user,item,liked_it\n" + rows)
    given = ("data", "prepare", "--items", tmp_path / "items.csv", "--log", tmp_path / "log.csv")
    given = (*given, "--set", "split='leave_last_out'")
    way = """--set "columns={'label': 'liked_it'}\""""
    assert way in lego(*given, "--out", tmp_path / "made").err
    told = lego("data", "describe", tmp_path / "made").err
    assert way in told
    assert "(`lego data prepare` takes --set)" in told
    answer = lego(*given, "--out", tmp_path / "better", "--set", "columns={'label': 'liked_it'}")
    assert answer.code == 0, answer.err
    assert "liked_it looks" not in lego("data", "describe", tmp_path / "better").err


@pytest.mark.parametrize("command", ["describe", "sample"])
def test_what_is_not_prepared_is_a_failure(lego, tmp_path, command):
    """Exit code 1 and how a folder is made."""
    answer = lego("data", command, tmp_path)
    assert answer.code == 1
    assert "lego data prepare" in answer.err


def test_a_sample_is_in_words(lego, prepared):
    """Titles of what was taken, shown and clicked; square brackets stay."""
    out = lego("data", "sample", prepared["path"], "-n", "30").out
    assert out.count("impression ") == 30
    assert out.count("  clicked  ") == 30
    assert "[bold]harbor[/bold] (1997)" in out
    train = lego("data", "sample", prepared["path"], "--part", "train", "-n", "1").out
    assert "nothing before" in train


def test_a_sample_as_json_has_the_part_and_the_number(lego, prepared):
    """Five of the test part unless said otherwise; a seed draws others."""
    five = json.loads(lego("data", "sample", prepared["path"], "--json").out)
    assert len(five) == 5
    assert set(five[0]) == {"impression", "user", "time", "history", "candidates"}
    other = json.loads(lego("data", "sample", prepared["path"], "--json", "--seed", "1").out)
    assert five != other


def test_an_unknown_part_says_which_there_are(lego, prepared):
    """The parts are named."""
    answer = lego("data", "sample", prepared["path"], "--part", "tset")
    assert answer.code == 1
    assert "Did you mean 'test'" in answer.err


def test_a_folder_is_searched_for_data_sets(lego, raw, tmp_path):
    """The files of a data set at the folder or up to two below it; nothing is found where there are none."""
    raw = shutil.copytree(raw, tmp_path / "all" / "films" / "small")
    for folder in (raw, raw.parent, raw.parent.parent):
        rows = {row["name"]: row["found"] for row in lego("data", "list", "--in", folder, "--json").json}
        assert rows["MovieLens"] == str(raw)
        assert rows["MIND"] == rows["Tables"] == ""


def test_what_a_folder_lacks_is_said(lego, tmp_path):
    """EB-NeRD without articles or without a part, and a language of xMIND beside MIND: found, with how to read them."""
    from tests.data.source import raw_files

    top = tmp_path / "all"
    for name, place in (("EBNeRD", top / "ebnerd"), ("XMIND", top)):
        raw_files.FACTORIES[name](place)

    def found():
        rows = {row["name"]: row for row in lego("data", "list", "--in", top, "--json").json}
        return {
            name: (rows[name]["found"], rows[name]["read_with"], rows[name]["lacks"])
            for name in ("EBNeRD", "XMIND")
        }

    whole = found()
    ebnerd = Path(whole["EBNeRD"][0])
    assert whole["EBNeRD"][1:] == ("", [])
    assert whole["XMIND"][1].startswith("XMIND(")
    assert whole["XMIND"][2] == []
    edition = next(ebnerd.rglob("validation")).parent
    (edition / "articles.parquet").unlink()
    assert found()["EBNeRD"] == (
        str(ebnerd),
        f"EBNeRD({str(ebnerd)!r}, missing='empty')",
        ["articles.parquet is missing, so no item has text"],
    )
    shutil.rmtree(edition / "validation")
    place, written, lacks = found()["EBNeRD"]
    assert (place, len(lacks)) == (str(ebnerd), 2)
    assert written == f"EBNeRD({str(ebnerd)!r}, split='time', missing='empty')"
    assert "lacks" in lego("data", "list", "--in", top).out


def test_your_own_tables_need_no_source(lego, own, tmp_path, monkeypatch):
    """--items and --log alone; which kind of log it is stands in its columns."""
    own(b"item_id,title\na,One\nb,Two\nc,Three\n", b"user,item\nu,a\nu,b\nu,c\nv,c\nv,b\nv,a\n")
    words = ("data", "prepare", "--items", tmp_path / "items.csv")
    made = lego(
        *words,
        "--log",
        tmp_path / "rows.csv",
        "--out",
        tmp_path / "made",
        "--set",
        "missing='drop'",
        "--json",
    )
    assert made.code == 0
    assert made.json["users"] == 2
    wrong_paths = lego("data", "prepare", "--items", tmp_path / "no.csv", "--log", tmp_path / "none.csv")
    assert "2 problems" in wrong_paths.err
    aside = lego(*words, "--log", tmp_path / "rows.csv", "--out", tmp_path / "aside").out
    assert aside.endswith(f"\nRead it with Prepared({str(tmp_path / 'aside')!r}).\n")
    assert "user (guessed)" in aside
    monkeypatch.chdir(tmp_path)
    found = lego("data", "prepare", "--items", "items.csv", "--log", "rows.csv").out
    assert f"or write Tables({str(tmp_path / 'items.csv')!r}, rows={str(tmp_path / 'rows.csv')!r})" in found
    own(b"item_id,title\na,One\n", b"user,item\nu,a\nu,zz\n")
    shell = lego(*words, "--log", tmp_path / "rows.csv", "--out", tmp_path / "other")
    assert """choose --set "missing='drop'" or --set "missing='empty'\"""" in shell.err
    for wrong, sentence in (
        (words, "--log is missing"),
        ((*words[:2], "--log", tmp_path / "rows.csv"), "--items is missing"),
        (("data", "prepare", "MIND", "raw", *words[2:]), "SOURCE is given beside"),
        (("data", "prepare", "MIND"), "SOURCE and RAW are needed"),
    ):
        answer = lego(*wrong)
        assert answer.code == 2
        assert sentence in answer.err


def test_attributes_are_joined_and_described(lego, prepared, tmp_path):
    """A side table makes a new folder; the old one stays."""
    (tmp_path / "more.csv").write_text("code,mood\n1,dark\n2,light\n99,none\n")
    given = ("data", "join", prepared["path"], tmp_path / "more.csv", "--out", tmp_path / "new", "--json")
    assert "name it with --columns item=COLUMN" in lego(*given).err
    assert "write item=COLUMN" in lego(*given, "--columns", "code").err
    answer = lego(*given, "--columns", "item=code")
    assert answer.json["unmatched"] == 1
    assert answer.json["rows"] == 2
    assert "mood" in Store.open(tmp_path / "new").attributes
    assert "mood" not in Store.open(prepared["path"]).attributes
    told = lego("data", "describe", tmp_path / "new")
    assert "candidates of an impression" in told.out
