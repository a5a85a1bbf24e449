from __future__ import annotations

import pytest

from lego.data.source.microlens import MicroLens
from lego.errors import DataError

PAIRS = "user,item,timestamp\n" + "".join(
    f"{user},{user + place},{1_600_000_000_999 + 1000 * place}\n"
    for user in (1, 2)
    for place in reversed(range(7))
)
TITLES = "item,title\n1,One, two, and three\n2,\n" + "".join(f'{n}, "Video" {n} \n' for n in range(3, 31))


@pytest.fixture
def raw(tmp_path):
    """Writes the files of an edition; keywords are the ends of the names."""

    def write(edition="50k", **files):
        for name, content in files.items():
            base, _, suffix = name.rpartition("_")
            raw = content if isinstance(content, bytes) else content.encode()
            (tmp_path / f"MicroLens-{edition}_{base}.{suffix}").write_bytes(raw)
        return str(tmp_path)

    return write


def test_pairs_and_titles_of_50k_are_read(raw):
    """Titles with commas and quotes, thousandths of a second cut off, clicks in the order of time."""
    tables = MicroLens(raw(pairs_csv=PAIRS, titles_csv=TITLES), negatives=3).tables()
    assert tables.items["title"].to_pylist()[:3] == ["One, two, and three", None, '"Video" 3']
    assert tables.users["history"].to_pylist() == [[1, 2, 3, 4, 5, 6, 7], [2, 3, 4, 5, 6, 7, 8]]
    assert tables.users["times"].to_pylist()[0][:2] == [1_600_000_000, 1_600_000_001]


def test_titles_of_100k_have_no_header(raw):
    """And a blank behind the comma; the first line is a title."""
    titles = TITLES.split("\n", 1)[1].replace(",", ", ", 1)
    tables = MicroLens(raw("100k", pairs_csv=PAIRS, title_en_csv=titles), negatives=3).tables()
    assert tables.items["item_id"].to_pylist()[:2] == ["1", "2"]
    assert tables.items["title"].to_pylist()[0] == "One, two, and three"


def test_pairs_without_times_are_read(raw):
    """A line a user, where the CSV is not there; with likes and views."""
    pairs = "1\t" + " ".join(map(str, range(1, 8))) + "\n2\t9 8 7 6 5\n"
    views = "1\t10\t200\n3\t5\t6\n"
    path = raw(pairs_tsv=pairs, titles_csv=TITLES, likes_and_views_txt=views)
    tables = MicroLens(path, negatives=3).tables()
    assert tables.users["history"].to_pylist() == [[1, 2, 3, 4, 5, 6, 7], [9, 8, 7, 6, 5]]
    assert "times" not in tables.users.column_names
    assert tables.items["likes"].to_pylist()[:3] == [10.0, None, 5.0]
    raw(pairs_csv=PAIRS)
    assert "times" in MicroLens(path, negatives=3).tables().users.column_names


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        ({"pairs_csv": ""}, "MicroLens-50k_pairs.csv: is empty"),
        ({"pairs_csv": PAIRS + "1,2\n"}, "MicroLens-50k_pairs.csv line 16: 3 columns are expected, 2 found"),
        ({"pairs_csv": PAIRS + "1,x,3\n"}, "MicroLens-50k_pairs.csv line 16, column item"),
        ({"pairs_csv": PAIRS.replace("timestamp", "time")}, "line 1: the column timestamp is missing"),
        ({"pairs_csv": PAIRS + "1,99,3\n"}, "1 comments are of 1 videos that the catalogue lacks: 99"),
        ({"titles_csv": TITLES + "31\n"}, "MicroLens-50k_titles.csv line 32: 2 values with ',' between them"),
        ({"titles_csv": TITLES + "3,Again\n"}, "MicroLens-50k_titles.csv line 32: video 3 is already in line 4"),
        ({"titles_csv": TITLES + "x,Again\n"}, "line 32: the number of a video is expected, 'x' found"),
        ({"titles_csv": TITLES.encode() + b"31,\xff\n"}, "MicroLens-50k_titles.csv line 32: byte 4 of the line"),
        ({"likes_and_views_txt": "1\tmany\t3\n"}, "MicroLens-50k_likes_and_views.txt line 1, column likes"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(raw, files, sentence):
    """By file, line and column."""
    with pytest.raises(DataError) as caught:
        MicroLens(raw(**{"pairs_csv": PAIRS, "titles_csv": TITLES, **files}), negatives=3).tables()
    assert sentence in str(caught.value)


def test_one_edition_is_read(raw, tmp_path):
    """Two in one folder are refused; what is missing is named."""
    raw("100k", title_en_csv=TITLES)
    with pytest.raises(
        DataError, match=r"MicroLens-50k_pairs\.csv and MicroLens-50k_titles\.csv are missing"
    ):
        MicroLens(str(tmp_path)).files()
    raw("100k", pairs_csv=PAIRS)
    path = raw("50k", pairs_csv=PAIRS, titles_csv=TITLES)
    with pytest.raises(DataError, match="several editions: 100k, 50k"):
        MicroLens(path).files()
