"""Where the folders and the archives of MIND are."""

from __future__ import annotations

import re
from pathlib import Path

from lego.errors import DataError, Problem

_FOLDER = re.compile(r"(?:(mind[a-z]*)_)?(train|dev|test)(?:\.zip)?", re.IGNORECASE)
FILES = ("news.tsv", "behaviors.tsv")


def find(root: Path, wanted: tuple[str, ...], url: str) -> list[Path]:
    """The folders, or archives, of train and dev, and of test where it is wanted; DataError with the `url` they are had from."""
    get = f"download train and dev of MINDsmall or MINDlarge from {url}, and give the folder that both are in"
    if "test" in wanted:
        get = f"download train, dev and test of MINDlarge from {url}, and give the folder that all are in"
    if not root.exists():
        raise DataError([Problem(str(root), "there is no such folder", get)])
    if not root.is_dir():
        fix = "unpack it, and give the folder that holds train and dev"
        raise DataError([Problem(str(root), "is a file, a folder is expected", fix)])
    if (root / "behaviors.tsv").is_file():
        what = "is the folder of one part, and both train and dev are needed"
        raise DataError([Problem(str(root), what, f"give the folder that holds both: {root.parent}")])
    found: dict[str, dict[str, Path]] = {}
    # Folders come behind archives, so that of the two the folder is read.
    for place in sorted(root.iterdir(), key=lambda each: (each.is_dir(), each.name)):
        form = _FOLDER.fullmatch(place.name)
        if form and place.is_dir() != (place.suffix.lower() == ".zip"):
            found.setdefault((form[1] or "").lower(), {})[form[2].lower()] = place
    whole = [parts for parts in found.values() if all(part in parts for part in wanted)]
    if len(whole) == 1:
        return [whole[0][part] for part in wanted]
    names = ", ".join(sorted(folder.name for parts in found.values() for folder in parts.values()))
    if whole:
        what = f"holds more than one edition: {names}"
        raise DataError([Problem(str(root), what, "give a folder that holds one train and one dev")])
    what = f"holds {names}, and one folder of {' and one of '.join(wanted)} of the same edition are expected"
    if not found:
        what = "holds no folder MINDsmall_train, MINDlarge_train, MINDdemo_train or train"
        inside = sorted(path.parent for path in root.glob("*/*") if _FOLDER.fullmatch(path.name))
        if inside:
            get = f"give the folder that does: {inside[0]}"
    raise DataError([Problem(str(root), what, get)])
