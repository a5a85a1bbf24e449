"""Which files a table is in, and of which format they are, by their names and by how they begin."""

from __future__ import annotations

import gzip
import os
import zipfile
import zlib
from contextlib import suppress
from pathlib import Path

from lego.data.problems import Problems
from lego.data.raw.kept_table import KEPT
from lego.data.raw.raw_file import BROKEN
from lego.home import home

FORMAT_OF = {
    ".csv": "csv",
    ".tsv": "csv",
    ".jsonl": "json",
    ".ndjson": "json",
    ".json": "json",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".arrow": "arrow",
    ".feather": "arrow",
    ".ipc": "arrow",
}
FORMATS = "CSV, TSV, JSON lines, Parquet, or Arrow (.csv, .tsv, .jsonl, .parquet, .arrow, .feather; .csv.gz, .jsonl.gz)"


def table_files(path: str | os.PathLike[str], option: str, problems: Problems) -> list[Path]:
    """The file, or the Parquet parts of a folder in the order of their names; none, and a problem, where it is not there."""
    file = Path(path).expanduser()
    if file.is_file():
        return [file]
    if file.is_dir():
        return _parts(file, problems)
    if file.parent == home() / KEPT:
        what, fix = "the copy of it under LEGO_HOME is gone", "run the script that gives it again"
    else:
        what, fix = (
            "there is no such file",
            f"name the file of {option}; a relative path in a script starts at the script",
        )
    problems.add(str(file), what, fix)
    return []


def _parts(folder: Path, problems: Problems) -> list[Path]:
    """What a folder holds, but for the marks that whoever wrote it left there."""
    there = sorted(each for each in folder.iterdir() if not each.name.startswith((".", "_")))
    parts = [each for each in there if each.is_file() and FORMAT_OF.get(each.suffix.lower()) == "parquet"]
    others = [each.name for each in there if each not in parts and (each.is_dir() or _is_table(each))]
    if others:
        what = f"is a folder that holds {', '.join(others[:3])}{' …' if len(others) > 3 else ''}"
        fix = "name a folder of nothing but Parquet parts, or one file"
        problems.add(str(folder), what, fix)
        return []
    if not parts:
        fix = f"name a folder of Parquet parts (.parquet), or one file: {FORMATS}"
        problems.add(str(folder), "is a folder without a Parquet file", fix)
    return parts


def _is_table(file: Path) -> bool:
    return any(each.lower() in FORMAT_OF for each in file.suffixes)


_BEGINNINGS = (
    (b"PK\x03\x04", "a zip"),
    (b"\x1f\x8b", "gzipped"),
    (b"PAR1", "a Parquet file"),
    (b"ARROW1", "an Arrow file"),
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook"),
    (b"\xff\xfe", "text in UTF-16"),
    (b"\xfe\xff", "text in UTF-16"),
    (b"BZh", "packed with bzip2"),
    (b"\xfd7zXZ", "packed with xz"),
    (b"\x28\xb5\x2f\xfd", "packed with Zstandard"),
    (b"SQLite format 3", "a database of SQLite"),
)
"""How files of other kinds begin."""


def other_kind(file: Path, form: str) -> str | None:
    """What a file is that its first bytes show to be something else; None where they do not."""
    with file.open("rb") as opened:
        head = opened.read(16)
    kind = next((each for begin, each in _BEGINNINGS if head.startswith(begin)), None)
    if kind == "gzipped" and file.suffix == ".gz":
        with suppress(OSError, EOFError, zlib.error), gzip.open(file) as packed:
            head = packed.read(16)
            kind = next((each for begin, each in _BEGINNINGS if head.startswith(begin)), None)
            return None if kind is None else f"{kind}, gzipped"
        return None
    if kind in {"a Parquet file", "an Arrow file"} and form == kind.split()[1].lower():
        return None
    if kind == "a zip":
        with suppress(*BROKEN), zipfile.ZipFile(file) as archive:
            if "[Content_Types].xml" in archive.namelist():
                return (
                    "an Excel workbook (.xlsx)"
                    if "xl/workbook.xml" in archive.namelist()
                    else "an Office document"
                )
    return kind
