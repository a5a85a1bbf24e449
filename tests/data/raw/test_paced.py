"""A CSV that is read as fast as it is used."""

from __future__ import annotations

import io
import time

import pyarrow as pa
import pyarrow.csv
import pytest

from lego.data.raw.paced import paced_csv

ROWS = 4000
TEXT = b"a,b\n" + b"".join(b"%d,%d\n" % (row, row % 7) for row in range(ROWS))


class Counted(io.BytesIO):
    """Counts what was asked of it."""

    asked = 0

    def read(self, size=-1):
        self.asked += 1
        return super().read(size)


def options(size=256):
    return {"read_options": pyarrow.csv.ReadOptions(block_size=size)}


def test_rows_are_those_that_arrow_reads():
    """All of them in their order, whatever the block is."""
    wanted = pyarrow.csv.read_csv(io.BytesIO(TEXT))
    for size in (256, 1 << 20):
        with paced_csv(io.BytesIO(TEXT), **options(size)) as batches:
            assert pa.Table.from_batches(list(batches)).equals(wanted.combine_chunks())


def test_no_more_is_read_than_is_soon_used():
    """Whoever takes their time finds a few blocks ahead, not all 32 that Arrow would read."""
    file = Counted(TEXT)
    with paced_csv(file, **options()) as batches:
        for taken, _ in enumerate(batches, 1):
            time.sleep(0.01)
            assert file.asked <= taken + 6
            if taken == 20:
                break


def test_blocks_without_a_row_hold_nothing_up():
    """Nothing comes of blank lines, and so what is behind them is read all the same."""
    blank = b"a,b\n1,2\n" + b"\n" * 2000 + b"3,4\n"
    with paced_csv(io.BytesIO(blank), **options()) as batches:
        assert pa.Table.from_batches(list(batches)).to_pylist() == [{"a": 1, "b": 2}, {"a": 3, "b": 4}]


def test_what_is_wrong_with_the_file_is_raised():
    """By whoever asks for the batch, and nothing hangs."""
    with (
        pytest.raises(pa.ArrowInvalid, match="Expected 2 columns"),
        paced_csv(io.BytesIO(TEXT + b"1,2,3\n" + TEXT), **options()) as batches,
    ):
        list(batches)
