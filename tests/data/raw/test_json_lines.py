from __future__ import annotations

import gzip
import json
import zipfile

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lego.data.problems import Problems
from lego.data.raw.json_lines import Field, read_json_lines

FIELDS = (
    Field("user", required=True),
    Field("stars", pa.float64(), required=True, low=1, high=5),
    Field("time", pa.int64()),
    Field("bought", pa.bool_()),
    Field("tags", pa.list_(pa.string())),
    Field("authors", pa.list_(pa.struct([("name", pa.string())]))),
)
ROW = {
    "user": "u1",
    "stars": 4.5,
    "time": 12,
    "bought": True,
    "tags": ["a", "b"],
    "authors": [{"name": "n", "role": ""}],
    "other": {"x": 1},
}


def file(tmp_path, content, name="reviews.json"):
    path = tmp_path / name
    content = content.encode() if isinstance(content, str) else content
    path.write_bytes(gzip.compress(content, mtime=0) if name.endswith(".gz") else content)
    return path


def read(path, fields=FIELDS, **options):
    """Rows and the problems."""
    problems = Problems()
    tables = list(read_json_lines(path, fields, problems, **options))
    return [row for table in tables for row in table.to_pylist()], [
        (each.where, each.what) for each in problems.shown
    ]


def lines(*rows):
    return "".join(json.dumps(row) + "\n" for row in rows)


@pytest.mark.parametrize("name", ["reviews.json", "reviews.json.gz"])
def test_declared_columns_are_read_and_others_passed_over(tmp_path, name):
    """Every type, with what is missing as null, plain and gzipped."""
    rows, problems = read(file(tmp_path, lines(ROW, {"user": "u2", "stars": 1}), name), lines=True)
    assert problems == []
    kept = {field.name: ROW[field.name] for field in FIELDS} | {"authors": [{"name": "n"}]}
    empty = {"time": None, "bought": None, "tags": None, "authors": None}
    assert rows == [{**kept, "line": 1}, {"user": "u2", "stars": 1.0, **empty, "line": 2}]


def test_a_member_of_an_archive_is_read_in_place(tmp_path):
    """A zip file's member stands for a path."""
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        archive.writestr("reviews.json", lines(ROW))
    rows, problems = read(zipfile.Path(tmp_path / "all.zip", "reviews.json"))
    assert (rows[0]["user"], problems) == ("u1", [])


def test_python_literals_are_parsed_and_never_run(tmp_path):
    """Single quotes, unicode marks, None and nested values; a call is a problem, and is not made."""
    text = "{u'user': 'it\\'s', 'stars': 2, 'bought': None, 'tags': [u'x\\u00e9'], 'path': 'C:\\d'}\n"
    call = "{'user': __import__('pathlib').Path('made').touch(), 'stars': 2}\n"
    rows, problems = read(file(tmp_path, text + call + "{'user': \n" + lines(ROW)), literal=True)
    assert [(row["user"], row["stars"], row["tags"]) for row in rows] == [("it's", 2.0, ["x\u00e9"])]
    assert problems[0] == ("reviews.json line 2", "is not a Python literal")
    assert problems[1][0] == "reviews.json line 3"
    assert problems[2] == ("reviews.json line 4", "is not a Python literal")  # JSON's true is no literal


@pytest.mark.parametrize(
    ("line", "where", "what"),
    [
        (
            b'{"user": "u", "stars": "five"}',
            ", column stars",
            "a number from 1 to 5 is expected, 'five' found",
        ),
        (b'{"user": "u", "stars": 6}', ", column stars", "a number from 1 to 5 is expected, 6.0 found"),
        (b'{"user": "u", "stars": true}', ", column stars", "a number from 1 to 5 is expected, True found"),
        (b'{"user": "u"}', ", column stars", "a number from 1 to 5 is expected, nothing or null found"),
        (b'{"user": "", "stars": 2}', ", column user", "a text is expected, nothing or an empty text found"),
        (b'{"user": 7, "stars": 2}', ", column user", "a text is expected, 7 found"),
        (b'{"user": "u", "stars": 2, "time": 1.5}', ", column time", "a whole number is expected, 1.5 found"),
        (b'{"user": "u", "stars": 2, "time": 99999999999999999999}', ", column time", "a whole number is"),
        (b'{"user": "u", "stars": 1e999}', ", column stars", "a number from 1 to 5 is expected, inf found"),
        (b'{"user": "u", "stars": NaN}', "", "is not JSON: NaN is no number"),
        (b'{"user": "u", "stars": 2, "bought": 1}', ", column bought", "true or false is expected, 1 found"),
        (
            b'{"user": "u", "stars": 2, "tags": "x"}',
            ", column tags",
            "a list of texts is expected, 'x' found",
        ),
        (
            b'{"user": "u", "stars": 2, "tags": [1]}',
            ", column tags",
            "a list of texts is expected, [1] found",
        ),
        (b'{"user": "u", "stars": 2, "authors": ["x"]}', ", column authors", "a list of objects is expected"),
        (b'{"user": "u", "user": "v", "stars": 2}', "", "the name 'user' is there twice in one object"),
        (b'{"user": "u", "sta', "", "is not JSON: Unterminated string"),
        (b"[1, 2]", "", "one object is expected, a list found"),
        (b"user,stars", "", "is not JSON: Expecting value"),
        (b'{"user": "\xff", "stars": 2}', "", "byte 11 of the line, 0xff, is not UTF-8"),
        (b"[" * 100_000, "", "is not JSON: maximum recursion"),
        (b'{"user": "u", "stars": 2} {"user": "u", "stars": 2}', "", "is not JSON: Extra data"),
    ],
)
def test_what_is_wrong_is_named_and_the_rest_is_read(tmp_path, line, where, what):
    """File, line, column and reason; the lines around it are read, a blank one between them counts."""
    good = lines(ROW).encode()
    rows, problems = read(file(tmp_path, good + b"\n" + line + b"\n" + good), lines=True)
    assert [row["line"] for row in rows] == [1, 4]
    assert len(problems) == 1
    assert problems[0][0] == f"reviews.json line 3{where}"
    assert problems[0][1].startswith(what)


def test_an_object_over_several_lines_is_wrong(tmp_path):
    """Which Arrow would take."""
    rows, problems = read(file(tmp_path, json.dumps(ROW, indent=1)))
    assert rows == []
    assert problems[0][0] == "reviews.json line 1"


def test_all_problems_are_counted_and_twenty_worded(tmp_path):
    """A file that is wrong throughout is not a flood."""
    problems = Problems()
    path = file(tmp_path, lines(*[{"user": "u"}] * 50))
    assert list(read_json_lines(path, FIELDS, problems)) == []
    assert (len(problems.shown), len(problems)) == (20, 50)


@pytest.mark.parametrize(
    ("content", "what"),
    [(b"", "holds no rows"), (b"\n\n", "holds no rows"), (b"\xef\xbb\xbf", "holds no rows")],
)
def test_a_file_without_rows_is_named(tmp_path, content, what):
    """Empty, blank, or nothing but a mark of the byte order."""
    assert read(file(tmp_path, content)) == ([], [("reviews.json", what)])


@pytest.mark.parametrize("spoil", [lambda b: b[:-20], lambda b: b[:-1], lambda b: b[:9], lambda b: b"{}" + b])
def test_an_archive_that_is_cut_short_is_named(tmp_path, spoil):
    """By the file: nothing of it is to be trusted."""
    path = file(tmp_path, lines(*[ROW] * 100), "reviews.json.gz")
    path.write_bytes(spoil(path.read_bytes()))
    _, problems = read(path)
    assert problems[-1][0] == "reviews.json.gz"
    assert "cannot be read" in problems[-1][1]


def test_a_broken_checksum_is_named(tmp_path):
    """A byte that changed inside an archive."""
    path = file(tmp_path, lines(*[ROW] * 100), "reviews.json.gz")
    content = bytearray(path.read_bytes())
    content[-6] ^= 1
    path.write_bytes(content)
    _, problems = read(path)
    assert "cannot be read" in problems[-1][1]


def test_parts_of_an_archive_follow_each_other(tmp_path):
    """Gzip files may be joined."""
    path = tmp_path / "reviews.json.gz"
    path.write_bytes(gzip.compress(lines(ROW).encode(), mtime=0) * 3)
    assert len(read(path)[0]) == 3


def test_a_value_of_another_type_is_turned_where_that_is_declared(tmp_path):
    """A price that is a number in one line, a text in the next and null in the third."""
    price = Field("price", otherwise=lambda value: str(value) if isinstance(value, int | float) else None)
    rows, problems = read(
        file(tmp_path, lines({"price": "$2"}, {"price": 2.5}, {"price": None}, {"price": []})), [price]
    )
    assert [row["price"] for row in rows] == ["$2", "2.5", None, None]
    assert problems == []


def test_an_object_with_any_names_is_a_map(tmp_path):
    """Genres and how often each was given."""
    genres = Field("genres", pa.map_(pa.string(), pa.int64()))
    rows, problems = read(
        file(tmp_path, lines({"genres": {"poetry": 2, "war": 1}}, {"genres": {}}, {})), [genres]
    )
    assert [row["genres"] for row in rows] == [[("poetry", 2), ("war", 1)], [], None]
    assert problems == []


def test_half_a_character_becomes_a_mark(tmp_path):
    """Which JSON can hold, and no text can."""
    rows, problems = read(
        file(tmp_path, '{"user": "a\\ud83d", "stars": 1}\n{"user": "\\ud83d\\ude00", "stars": 1}\n')
    )
    assert [row["user"] for row in rows] == ["a\ufffd", "\U0001f600"]
    assert problems == []


texts = st.text(st.characters(codec="utf-8"), max_size=8)
rows_of_anything = st.fixed_dictionaries(
    {"user": texts.filter(bool), "stars": st.floats(1, 5) | st.integers(1, 5)},
    optional={
        "time": st.none() | st.integers(-(2**63), 2**63 - 1),
        "bought": st.none() | st.booleans(),
        "tags": st.none() | st.lists(st.none() | texts, max_size=3),
        "other": st.recursive(st.none() | texts, lambda inner: st.lists(inner, max_size=2), max_leaves=4),
    },
)


@settings(deadline=None, max_examples=60)
@given(
    rows=st.lists(rows_of_anything, min_size=1, max_size=8), piece=st.integers(1, 200), blank=st.booleans()
)
def test_every_way_of_reading_gives_the_same_rows(tmp_path_factory, rows, piece, blank):
    """By Arrow, line by line, as literals, and cut into pieces anywhere: always what the json module reads."""
    folder = tmp_path_factory.mktemp("lines")
    gap = "\n \n" if blank else "\n"
    wanted = [{field.name: row.get(field.name) for field in FIELDS} for row in rows]
    plain = file(folder, gap.join(json.dumps(row, ensure_ascii=False) for row in rows))
    literal = file(folder, gap.join(map(repr, rows)), "literal.json")
    walked = (*FIELDS, Field("nothing", pa.map_(pa.string(), pa.string())))
    assert read(plain) == (wanted, [])
    assert read(plain, piece=piece) == (wanted, [])
    assert read(literal, literal=True, piece=piece) == (wanted, [])
    assert read(plain, walked, piece=piece) == ([{**row, "nothing": None} for row in wanted], [])
