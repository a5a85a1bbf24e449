"""Tab separated lines that are read a block at a time."""

from __future__ import annotations

import io

import pyarrow as pa
import pyarrow.csv
import pytest

from lego.data.raw import bounded, tab_blocks

NAMES = ("id", "words", "number")
TYPES = {"number": pa.int64(), "id": pa.string()}
TEXT = b"".join(b'N%d\tsome "words\t%d\n' % (row, row % 7) for row in range(4000))


class Watched(io.BytesIO):
    """Knows how much was read of it."""

    seen = 0

    def read(self, size=-1):
        found = super().read(size)
        self.seen += len(found)
        return found


def read(data: bytes, types: dict[str, pa.DataType] = TYPES) -> pa.Table:
    return pa.Table.from_batches(list(tab_blocks.tab_blocks(io.BytesIO(data), NAMES, types)))


@pytest.mark.parametrize("end", [b"", b"N9\tlast\t5", b"N9\tlast\t5\r\n", b"\n\n\n" * 200 + b"N9\tlast\t5\n"])
@pytest.mark.parametrize("block", [1, 100, 256, 1 << 20])
def test_rows_are_those_that_arrow_reads_at_once(monkeypatch, block, end):
    """All of them in their order, wherever a block ends, and whatever quotes and blank lines there are."""
    text = TEXT[-4000:].partition(b"\n")[2] + end
    whole = pyarrow.csv.read_csv(
        io.BytesIO(text),
        read_options=pyarrow.csv.ReadOptions(column_names=list(NAMES)),
        parse_options=pyarrow.csv.ParseOptions(delimiter="\t", quote_char=False),
        convert_options=pyarrow.csv.ConvertOptions(column_types=TYPES),
    )
    monkeypatch.setattr(tab_blocks, "BLOCK", block)
    assert read(text).to_pylist() == whole.select(["number", "id"]).to_pylist()


@pytest.mark.parametrize("block", [1, 5, 30, 1 << 20])
def test_empty_values_and_marks_of_order_are_values_wherever_a_block_ends(monkeypatch, block):
    """A line of tabs alone is a row; a byte order mark is one at the beginning of the file alone."""
    monkeypatch.setattr(tab_blocks, "BLOCK", block)
    text = "\ufeffN1\tx\ty\n" + "\t\t\n" * 4 + "\n\n\ufeffN2\tx\ty\n"
    found = read(text.encode(), dict.fromkeys(NAMES, pa.string()))
    assert found["id"].to_pylist() == ["N1", "", "", "", "", "\ufeffN2"]


def test_no_more_is_read_than_is_soon_used(monkeypatch):
    """The block that is used, and one ahead."""
    monkeypatch.setattr(tab_blocks, "BLOCK", 1000)
    file = Watched(TEXT)
    rows = 0
    for taken, batch in enumerate(tab_blocks.tab_blocks(file, NAMES, TYPES), 1):
        rows += len(batch)
        assert file.seen <= 1000 * (taken + 1)
        if taken == 20:
            break
    assert rows > 500


@pytest.mark.parametrize(
    "line", [b"N1\tx\n", b"N1\tx\t3\t4\n", b"N1\tx\tthree\n", b"N1\tx\xff\t3\n\xff\tx\t3\n"]
)
def test_what_is_wrong_with_a_line_is_raised(monkeypatch, line):
    """By whoever asks for its block."""
    monkeypatch.setattr(tab_blocks, "BLOCK", 1000)
    with pytest.raises(pa.ArrowInvalid):
        read(TEXT + line + TEXT)


def test_a_line_that_does_not_end_is_not_taken_into_memory(monkeypatch):
    """Nor is anything behind it."""
    monkeypatch.setattr(tab_blocks, "BLOCK", 1000)
    monkeypatch.setattr(tab_blocks, "LONGEST", 5000)
    file = Watched(TEXT + b"\0" * 100_000)
    with pytest.raises(bounded.EndlessLineError, match="longer"):
        list(tab_blocks.tab_blocks(file, NAMES, TYPES))
    assert file.seen < len(TEXT) + 10_000


def test_blank_lines_and_nothing_have_no_rows():
    """Which whoever reads them says something about."""
    assert [list(tab_blocks.tab_blocks(io.BytesIO(data), NAMES, TYPES)) for data in (b"", b"\n\n")] == [
        [],
        [],
    ]
