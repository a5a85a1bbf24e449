"""A table that a user has, from CSV, TSV, JSON lines, Parquet or Arrow, by what its name says."""

from __future__ import annotations

import os
import zlib
from pathlib import Path

from lego.data.problems import Problems
from lego.data.progress import count
from lego.data.raw.arrow_frame import read_arrow, read_folder
from lego.data.raw.csv_frame import read_csv
from lego.data.raw.frame import Frame
from lego.data.raw.json_frame import read_json
from lego.data.raw.kept_table import KEPT
from lego.data.raw.table_files import FORMAT_OF, FORMATS, other_kind, table_files
from lego.home import home


def read_frame(path: str | os.PathLike[str], option: str, problems: Problems) -> Frame | None:
    """The table in a file or in a folder of parts; None where it cannot be read, which is then among the problems."""
    file = Path(path).expanduser()
    files = table_files(file, option, problems)
    if not files:
        return None
    name = f"{option} (a table in memory)" if file.parent == home() / KEPT else file.name
    if file.is_dir():
        return read_folder(file, files, problems)
    suffix = Path(file.stem).suffix if file.suffix == ".gz" else file.suffix
    form = FORMAT_OF.get(suffix.lower())
    if form is None or (file.suffix == ".gz" and form not in {"csv", "json"}):
        problems.add(
            str(file), f"{''.join(file.suffixes) or 'no suffix'} is no format that is read", f"give {FORMATS}"
        )
        return None
    if file.stat().st_size == 0:
        problems.add(name, "is empty", "put the complete file in its place")
        return None
    if other := other_kind(file, form):
        what = f"is {other}, and no {suffix} file, whatever its name says"
        problems.add(name, what, "unpack or export it, and name the file that this makes by its format")
        return None
    read = {"csv": read_csv, "json": read_json, "parquet": read_arrow, "arrow": read_arrow}[form]
    try:
        frame = read(file, name, form, problems)
    except (OSError, EOFError, zlib.error) as failure:  # an archive that is cut short, a disk that fails
        problems.add(name, f"cannot be read: {failure}", "put the complete file in its place")
        return None
    if frame is not None and frame.table.num_rows == 0:
        problems.add(name, "holds no rows", "put the complete file in its place")
        return None
    if frame is not None:
        count(frame.table.num_rows, file.stat().st_size)
    return frame
