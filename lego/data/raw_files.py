"""Official files in a folder: found by their names, and said where to get where they are missing."""

from __future__ import annotations

from pathlib import Path

from lego.errors import DataError, Problem


def first_of(folder: Path, *names: str) -> Path | None:
    """The first of the files that is there, as it is or gzipped."""
    paths = [folder / f"{name}{end}" for name in names for end in ("", ".gz")]
    return next((path for path in paths if path.is_file()), None)


def missing(folder: Path, wanted: str, download: str, *patterns: str) -> DataError:
    """What is wrong with a folder that lacks `wanted`; `patterns` find the folder below that has it."""
    if not folder.exists():
        return DataError([Problem(str(folder), "there is no such folder", download)])
    if folder.is_file():
        return DataError(
            [Problem(str(folder), "is a file, a folder is expected", "give the folder that holds it")]
        )
    below = sorted({path.parent for pattern in patterns for path in folder.glob(f"*/{pattern}")})
    if below:
        return DataError(
            [Problem(str(folder), f"holds no {wanted} itself", f"give the folder that does: {below[0]}")]
        )
    return DataError([Problem(str(folder), f"{wanted} is missing", download)])
