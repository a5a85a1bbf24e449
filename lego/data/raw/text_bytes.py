"""A text file that may be gzipped."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import IO

BLOCK = 1 << 26
"""Bytes that a row may have at most, and that are read at a time."""
AS_UTF8 = "save the file as UTF-8; one of Windows is often Latin-1: iconv -f LATIN1 -t UTF-8 FILE > NEW"


def unpacked(path: Path) -> IO[bytes]:
    """Its bytes."""
    return gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb")  # type: ignore[return-value]
