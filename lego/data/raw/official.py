"""The official files of a data set in a folder: found by their names, or said which are missing and where they are had."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lego.errors import DataError, Problem


def official_files(path: str, editions: Sequence[Sequence[str]], url: str, *, what: str = "") -> list[Path]:
    """The files of the first edition that the folder holds in full, in its order; DataError with the way out.

    An edition is the names of its files; a name may have folders in it. `what` is what to download, in words.
    """
    folder = Path(path).expanduser()
    for names in editions:
        if all((folder / name).is_file() for name in names):
            return [folder / name for name in names]
    raise DataError([missing_files(folder, editions, url, what)])


def first_of(folder: Path, *names: str) -> Path | None:
    """The first of the files that is there, as it is or gzipped."""
    paths = [folder / f"{name}{end}" for name in names for end in ("", ".gz")]
    return next((path for path in paths if path.is_file()), None)


def missing(folder: Path, wanted: str, download: str, *patterns: str) -> DataError:
    """What is wrong with a folder that lacks `wanted`; `patterns` find the folder below that has it."""
    problem = _no_folder(folder, download)
    if problem is None:
        below = sorted({path.parent for pattern in patterns for path in folder.glob(f"*/{pattern}")})
        problem = (
            Problem(str(folder), f"holds no {wanted} itself", f"give the folder that does: {below[0]}")
            if below
            else Problem(str(folder), f"{wanted} is missing", download)
        )
    return DataError([problem])


def missing_files(folder: Path, editions: Sequence[Sequence[str]], url: str, what: str = "") -> Problem:
    """What is wrong with a folder that holds no edition in full."""
    download = f"download {what or 'the data set'} from {url}, unpack it, and give its folder"
    if problem := _no_folder(folder, download):
        return problem
    for names in editions:
        below = sorted(
            each
            for each in folder.iterdir()
            if each.is_dir() and all((each / name).is_file() for name in names)
        )
        if below:
            return Problem(
                str(folder), f"holds no {names[0]} itself", f"give the folder that does: {below[0]}"
            )
    begun = [names for names in editions if any((folder / name).is_file() for name in names)]
    absent = [name for name in [*begun, editions[0]][0] if not (folder / name).is_file()]
    verb = "are" if len(absent) > 1 else "is"
    return Problem(str(folder), f"{' and '.join(absent)} {verb} missing", download)


def _no_folder(folder: Path, download: str) -> Problem | None:
    if not folder.exists():
        return Problem(str(folder), "there is no such folder", download)
    if folder.is_file():
        fix = "unpack it, and give the folder that it makes"
        return Problem(str(folder), "is a file, a folder is expected", fix)
    return None
