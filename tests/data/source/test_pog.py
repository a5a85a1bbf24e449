from __future__ import annotations

import pytest

from lego.data.prepare import prepare
from lego.data.source.pog import POG
from lego.errors import DataError

IDS = [f"{n:032x}" for n in range(1, 31)]
ITEMS = "".join(
    f"{name},c{n % 3},//img/{n}.jpg,\u8fde\u8863\u88d9, {n},\u65b0\n" for n, name in enumerate(IDS)
)
OUTFIT = IDS[20]
USERS = f"u2,{';'.join(IDS[1:5])},{OUTFIT}\nu1,{';'.join(IDS[0:6])},{OUTFIT}\nu2,{';'.join([IDS[2], *IDS[5:8]])},{IDS[21]}\n"


@pytest.fixture
def raw(tmp_path):
    def write(items=ITEMS, users=USERS):
        for name, content in (("item_data", items), ("user_data", users)):
            raw = content if isinstance(content, bytes) else content.encode()
            (tmp_path / f"{name}.txt").write_bytes(raw)
        return str(tmp_path)

    return write


def test_clicks_and_titles_are_read(raw):
    """Several rows of a user follow each other, repeated items are left out, outfits are no clicks though ids look alike."""
    tables = POG(raw(), negatives=3).tables()
    assert tables.users["user_id"].to_pylist() == ["u1", "u2"]
    assert tables.users["history"].to_pylist() == [[1, 2, 3, 4, 5, 6], [2, 3, 4, 5, 6, 7, 8]]
    assert tables.dropped["repeated_clicks"] == 1
    assert tables.items["title"].to_pylist()[4] == "\u8fde\u8863\u88d9, 4,\u65b0"
    assert tables.attributes == {"title": "text", "category": "category"}
    shown = {
        row for part in tables.impressions.values() for each in part["candidates"].to_pylist() for row in each
    }
    assert not shown & {21, 22}


def test_titles_may_be_translated(raw, tmp_path):
    """By a table with a header; what it lacks has no title; a change in it is other data, another place is not."""
    header = "item_id,title,title_en\n"
    table = tmp_path / "titles.csv"
    table.write_text(header + f'{IDS[1]},\u8fde\u8863\u88d9,"Dress, red"\n', encoding="utf-8")
    source = POG(raw(), negatives=3, translations=table)
    tables = source.tables()
    assert tables.items["title"].to_pylist()[:2] == [None, "Dress, red"]
    assert tables.items["title_chinese"].to_pylist()[0].startswith("\u8fde")
    assert tables.dropped["titles_without_translation"] == 29
    first = prepare(source, tmp_path / "a").fingerprint
    other = table.rename(tmp_path / "moved.csv")
    assert (
        POG(raw(), translations=str(other)).fingerprint() == POG(raw(), translations=str(table)).fingerprint()
    )
    other.write_text(header + f"{IDS[1]},a,Dress\n", encoding="utf-8")
    assert prepare(POG(raw(), negatives=3, translations=other), tmp_path / "a").fingerprint != first
    with pytest.raises(DataError, match="there is no such file"):
        POG(raw(), translations="nowhere.csv").files()
    other.write_text(header + f"{IDS[1]},a,Dress\n" * 2, encoding="utf-8")
    with pytest.raises(DataError, match=rf"moved\.csv line 3: item {IDS[1]} is already in line 2"):
        POG(raw(), translations=other).tables()


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        ({"users": ""}, "user_data.txt: is empty"),
        ({"users": USERS + "u3,1;2\n"}, "user_data.txt line 4: 3 columns are expected, 2 found"),
        ({"users": USERS + "u3,1;2,9\n"}, "2 clicks are of 2 items that the catalogue lacks: 1, 2"),
        (
            {"items": ITEMS + "a,b,c\n"},
            "item_data.txt line 31: 4 values with ',' between them are expected, 3 found",
        ),
        (
            {"items": ITEMS + f"{IDS[0]},b,c,d\n"},
            f"item_data.txt line 31: item {IDS[0]} is already in line 1",
        ),
        ({"items": ITEMS.encode() + b"a,b,c,\xff\n"}, "item_data.txt line 31: byte 7 of the line, 0xff"),
    ],
)
def test_what_is_wrong_is_named(raw, files, sentence):
    """By file and line."""
    with pytest.raises(DataError) as caught:
        POG(raw(**files), negatives=3).tables()
    assert sentence in str(caught.value)


def test_missing_files_come_with_the_way_to_get_them(tmp_path):
    """Both are needed."""
    (tmp_path / "item_data.txt").touch()
    with pytest.raises(DataError, match=r"user_data\.txt is missing"):
        POG(str(tmp_path)).files()
