from __future__ import annotations

import csv
import zipfile
from pathlib import Path

import pytest

from lego.data.prepare import prepare
from lego.data.source.mind import MIND
from lego.data.source.xmind import LANGUAGES, XMIND
from lego.errors import DataError, SpecError
from tests.data.source.samples import cut_mind
from tests.data.source.test_mind import FILES, HIDDEN, rows_of
from tests.data.source.trial import trial

HEADER = "nid\ttitle\tabstract\n"


def translated(*ids, text="Texte"):
    return HEADER + "".join(f'{each}\t{text} "{each}\t\n' for each in ids)


@pytest.fixture
def raw(tmp_path):
    """Writes MIND and its translation into Finnish; each test says what is different in it."""

    def write(changes=None, *, zipped=False, edition="small", language="fin", **options):
        for name, content in (FILES | HIDDEN if "test" in options else FILES).items():
            path = tmp_path / "mind" / f"MIND{edition}_{name}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
        files = {"train": translated("N1", "N2", "N3"), "dev": translated("N2", "N4", text="Autre")}
        folder = tmp_path / "xMIND" / "fin"
        folder.mkdir(parents=True, exist_ok=True)
        for part, content in {**files, **(changes or {})}.items():
            if content is None:
                continue
            data = content if isinstance(content, bytes) else content.encode()
            place = folder / f"xMINDsmall_{part}"
            if zipped:
                with zipfile.ZipFile(f"{place}.zip", "w") as archive:
                    archive.writestr(f"{place.name}/news.tsv", data)
            else:
                place.mkdir(exist_ok=True)
                (place / "news.tsv").write_bytes(data)
        return XMIND(tmp_path / "xMIND", mind=tmp_path / "mind", language=language, **options)

    return write


@pytest.mark.parametrize("linked", [False, True])
def test_a_mind_beside_is_found_from_within_the_folder(raw, tmp_path, monkeypatch, linked):
    """Where the folder is named by a dot, or by a link to another place."""
    raw()
    if linked:
        (tmp_path / "far").mkdir()
        (tmp_path / "xMIND").rename(tmp_path / "far" / "xMIND")
        (tmp_path / "xMIND").symlink_to(tmp_path / "far" / "xMIND")
        found = XMIND.within(tmp_path / "xMIND")
    else:
        monkeypatch.chdir(tmp_path / "xMIND")
        found = XMIND.within(Path())
    assert [(each.language, each.mind) for each in found] == [("fin", str(tmp_path / "mind"))]


@pytest.mark.parametrize("zipped", [False, True])
def test_the_test_folder_is_test_where_it_is_asked_for(raw, tmp_path, zipped):
    """Its impressions and their hidden labels are MIND's, the news that it has alone are translated."""
    changes = {"test": translated("N1", "N5", text="Tiers")}
    source = raw(changes, zipped=zipped, test="test")
    tables, plain = source.tables(), MIND(tmp_path / "mind", test="test").tables()
    assert tables.items["title"].to_pylist() == [f'{text} "N{n}' for n, text in zip(
        (1, 2, 3, 4, 5), ("Texte", "Texte", "Texte", "Autre", "Tiers"), strict=True
    )]  # fmt: skip
    for part in ("train", "dev", "test"):
        assert rows_of(tables, part) == rows_of(plain, part)
    assert tables.unlabeled == plain.unlabeled == ("test",)
    assert tables.dropped["translations_with_other_text"] == 2
    assert not list(source.lacks())
    assert len(source.files()) == 6 + 3


def test_a_test_folder_that_is_not_translated_is_told(raw):
    """Its news have no translation, and that has a rule; dev is a folder, and no share."""
    source = raw(test="test", untranslated="english")
    assert [each for each in source.lacks() if "of test is missing" in each]
    assert source.tables().dropped["news_left_in_english"] == 1
    with pytest.raises(SpecError, match=r"XMIND\(dev=0.2\).*the dev folder is dev"):
        XMIND("a", mind="b", language="fin", test="test", dev=0.2)
    first = XMIND("a", mind="b", language="fin").fingerprint()
    assert first.keys() < XMIND("a", mind="b", language="fin", test="test").fingerprint().keys()


@pytest.mark.parametrize("zipped", [False, True])
def test_texts_are_those_of_the_language(raw, tmp_path, zipped):
    """Titles and abstracts are translated, all else is MIND's; of two texts that of train is kept, and quotes are literal."""
    tables = raw(zipped=zipped).tables()
    plain = MIND(tmp_path / "mind").tables()
    assert tables.items["title"].to_pylist() == ['Texte "N1', 'Texte "N2', 'Texte "N3', 'Autre "N4']
    assert tables.items["abstract"].to_pylist() == [""] * 4
    assert tables.items.drop_columns(["title", "abstract"]).equals(
        plain.items.drop_columns(["title", "abstract"])
    )
    assert tables.attributes == plain.attributes
    for part in ("train", "dev", "test"):
        assert rows_of(tables, part) == rows_of(plain, part)
    assert tables.dropped["translations_with_other_text"] == 1
    assert tables.rules["language"] == "fin"


def test_news_without_a_translation_are_an_error(raw):
    """They are named, with what was read and the ways out."""
    with pytest.raises(DataError, match="2 problems") as caught:
        raw({"train": None, "dev": translated("N2", "N4")}).tables()
    assert [each.where for each in caught.value.problems] == ["news N1", "news N3"]
    assert "xMINDsmall_dev/news.tsv" in caught.value.problems[0].fix
    assert 'untranslated="english"' in caught.value.problems[0].fix


def test_untranslated_news_can_stay_english_or_lose_their_text(raw):
    """Their categories stay in both; they are counted."""
    half = {"train": None, "dev": translated("N2", "N4")}
    english = raw(half, untranslated="english").tables()
    assert english.items["title"].to_pylist() == [
        'Text of "N1',
        'Texte "N2',
        'Text of "N3',
        'Texte "N4',
    ]
    assert english.dropped["news_left_in_english"] == 2
    empty = raw(half, untranslated="empty").tables()
    assert empty.items["title"].to_pylist() == [None, 'Texte "N2', None, 'Texte "N4']
    assert empty.items["category"].null_count == 0
    assert empty.dropped["news_without_text"] == 2


def test_untranslated_news_can_be_taken_out(raw):
    """`missing` then says what becomes of them in the log."""
    half = {"train": None, "dev": translated("N2", "N4")}
    tables = raw(half, untranslated="missing", missing="drop", dev=0.0).tables()
    assert tables.items["item_id"].to_pylist() == ["N2", "N4"]
    assert rows_of(tables, "test") == {
        7: ("U1", ["N2", "N4"], ["N4"], [0]),
        1: ("U2", ["N4"], ["N4"], [1]),
        2: ("U2", [], ["N4"], [1]),
    }
    assert tables.dropped["untranslated_news"] == 2
    assert tables.dropped["missing_news"] == 2
    with pytest.raises(DataError, match=r"no news.tsv has N1"):
        raw(half, untranslated="missing").tables()


def test_news_of_the_translation_alone_are_items(raw):
    """Without categories, and counted."""
    tables = raw({"dev": translated("N2", "N4", "N9")}).tables()
    assert tables.items.slice(4).to_pylist() == [
        {
            "item_id": "N9",
            "title": 'Texte "N9',
            "abstract": "",
            "category": None,
            "subcategory": None,
        }
    ]
    assert tables.dropped["news_of_the_translation_alone_without_attributes"] == 1


@pytest.mark.parametrize(
    ("content", "where", "what"),
    [
        (translated("N1", "N2", "N1"), " line 4, column nid", "N1 is already in line 2"),
        (translated("N1", "N 2"), " line 3, column nid", "an id without blanks is expected, 'N 2' found"),
        (translated("N1") + "N2\tonly\n", " line 3", "3 columns are expected, 2 found"),
        ("N1\tTitle\tText\n", " line 1", "the header lacks nid, abstract; it has N1, Title, Text"),
        ("", "", "is empty"),
        (HEADER, "", "holds a header and no rows"),
        (HEADER.encode() + b"N1\ta\xff\t\n", " line 2", "byte 5 of the line, 0xff, is not UTF-8"),
    ],
)
@pytest.mark.parametrize("zipped", [False, True])
def test_a_malformed_file_is_named(raw, content, where, what, zipped):
    """File, line, column and reason, in a folder and in an archive."""
    with pytest.raises(DataError, match="1 problem") as caught:
        raw({"train": content}, zipped=zipped).tables()
    (problem,) = caught.value.problems
    archive = "xMINDsmall_train.zip/" if zipped else ""
    assert problem.where == f"{archive}xMINDsmall_train/news.tsv{where}"
    assert problem.what.startswith(what)


def test_an_archive_that_was_cut_short_is_named(raw, tmp_path):
    """It is no zip, or its end is missing."""
    source = raw(zipped=True)
    path = tmp_path / "xMIND" / "fin" / "xMINDsmall_dev.zip"
    path.write_bytes(path.read_bytes()[:80])
    with pytest.raises(DataError, match=r"xMINDsmall_dev.zip: cannot be read as a zip"):
        source.tables()


def test_what_does_not_fit_is_refused(raw, tmp_path):
    """Another edition, another language, no folder, a language that there is not."""
    with pytest.raises(DataError, match="xMINDlarge_train and xMINDlarge_dev are expected"):
        raw(edition="large").files()
    (tmp_path / "mind").rename(tmp_path / "large")
    source = raw()
    with pytest.raises(DataError, match="is the folder of Finnish"):
        XMIND(tmp_path / "xMIND" / "fin", mind=source.mind, language="tam").files()
    with pytest.raises(DataError, match="holds no xMIND"):
        XMIND(tmp_path / "xMIND", mind=source.mind, language="tam").files()
    with pytest.raises(DataError, match="there is no such folder"):
        XMIND(tmp_path / "none", mind=source.mind, language="tam").files()
    with pytest.raises(SpecError):
        XMIND("a", mind="b", language="eng")
    assert len(LANGUAGES) == 14


def test_paths_and_history_move_no_fingerprint():
    """The language and the rules do."""
    first = XMIND("a", mind="b", language="fin").fingerprint()
    assert first == XMIND("c", mind="d", language="fin", history=3).fingerprint()
    assert first != XMIND("a", mind="b", language="tam").fingerprint()


# --- real rows ----------------------------------------------------------------------------------------------------------------


def test_counts_are_those_of_a_plain_count(shared_data, tmp_path):
    """Mandarin: what has a translation, and how much of the log it covers, against the csv module."""
    if not (shared_data / "xmind").is_dir():
        pytest.skip("the sample of xMIND is not there")
    source = XMIND(
        shared_data / "xmind",
        mind=shared_data / "mind",
        language="cmn",
        untranslated="missing",
        missing="drop",
    )
    store = prepare(source, tmp_path)
    with (shared_data / "xmind/cmn/xMINDsmall_dev/news.tsv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE))[1:]
    texts = {news: (title, abstract) for news, title, abstract in rows}
    assert len(texts) == store.item_count == 16_387
    columns = (store.items[name].to_pylist() for name in ("item_id", "title", "abstract"))
    assert {news: rest for news, *rest in zip(*columns, strict=True)} == {
        n: list(t) for n, t in texts.items()
    }
    absent = {"history": 0, "candidates": 0}
    kept = {"train": 0, "dev": 0}
    for part in kept:
        text = (shared_data / f"mind/MINDsmall_{part}/behaviors.tsv").read_text(encoding="utf-8")
        for line in text.split("\n")[:-1]:
            *_, history, shown = line.split("\t")
            absent["history"] += sum(each not in texts for each in history.split())
            inside = [each.split("-")[0] in texts for each in shown.split()]
            absent["candidates"] += inside.count(False)
            kept[part] += any(inside)
    dropped = store.manifest["dropped"]
    assert dropped["history_clicks_of_missing_news"] == absent["history"]
    assert dropped["candidates_of_missing_news"] == absent["candidates"]
    found = store.manifest["counts"]["impressions"]
    assert (found["train"] + found["dev"], found["test"]) == (kept["train"], kept["dev"]) == (3615, 1437)


def test_models_train_on_it(shared_data, tmp_path):
    """By text, by ids and by a frozen language model, on the first rows."""
    mind, xmind = cut_mind(shared_data, tmp_path / "raw", rows=8)
    source = XMIND(xmind, mind=mind, language="cmn", untranslated="missing", missing="drop")
    trial(source, tmp_path / "runs")
