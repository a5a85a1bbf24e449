"""Tab separated lines without quoting, block after block: one is parsed ahead while another is used, and no more is in memory.

Arrow's own reader of a stream is ahead by 32 blocks, which may be all of the file.
"""

from __future__ import annotations

from codecs import BOM_UTF8
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import IO

import pyarrow as pa
import pyarrow.csv

from lego.data.progress import count
from lego.data.raw.bounded import LONGEST, EndlessLineError

BLOCK = 1 << 24
"""Bytes of a file that are read at a time, to the end of a line."""


def tab_blocks(
    stream: IO[bytes], names: Sequence[str], types: Mapping[str, pa.DataType]
) -> Iterator[pa.RecordBatch]:
    """The columns of `types` out of those named; ArrowInvalid where a line has more or fewer, or a value is of another type."""
    options = {
        "parse_options": pyarrow.csv.ParseOptions(delimiter="\t", quote_char=False),
        "convert_options": pyarrow.csv.ConvertOptions(
            column_types=dict(types), include_columns=list(types), null_values=[]
        ),
    }

    def parsed() -> tuple[pa.Table, int] | None:
        begins = stream.tell() == 0
        data = _lines(stream)
        while data and not data.strip(
            b"\r\n"
        ):  # blank lines alone, of which Arrow would say that they are empty
            begins = False
            data = _lines(stream)
        if not data:
            return None
        if not begins and data.startswith(BOM_UTF8):  # Arrow takes one for the beginning of a file
            data = b"\n" + data
        read = pyarrow.csv.ReadOptions(column_names=list(names), block_size=len(data) + 1)
        return pyarrow.csv.read_csv(pa.BufferReader(data), read_options=read, **options), len(data)

    with ThreadPoolExecutor(max_workers=1) as ahead:
        coming = ahead.submit(parsed)
        while (block := coming.result()) is not None:
            coming = ahead.submit(parsed)
            count(block[0].num_rows, block[1])
            yield from block[0].to_batches()


def _lines(stream: IO[bytes]) -> bytes:
    """The next whole lines; empty at the end."""
    data = stream.read(BLOCK)
    if data and not data.endswith(b"\n"):
        rest = stream.readline(LONGEST)
        if len(rest) >= LONGEST:
            message = f"a line is longer than {LONGEST >> 20} MiB"
            raise EndlessLineError(message)
        data += rest
    return data
