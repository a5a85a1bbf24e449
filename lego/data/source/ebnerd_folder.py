"""Where the files of EB-NeRD are: in a folder, or in an official archive."""

from __future__ import annotations

import re
from pathlib import Path

import attrs

from lego.data.problems import Problems
from lego.data.raw.raw_file import RawFile, named
from lego.errors import DataError, Problem

_EDITION = re.compile(r"ebnerd_(demo|small|large)(?:\.zip)?", re.IGNORECASE)

_FILES = ("behaviors.parquet", "history.parquet")


@attrs.frozen
class Folder:
    """The files of an edition."""

    root: Path
    articles: RawFile | None
    parts: tuple[tuple[RawFile, RawFile], ...]
    """Behaviors and histories, of train and then of validation."""


def find(root: Path, url: str, *, official: bool) -> Folder:
    """The files, of which the official split needs both parts; DataError with where to get them, from `url`."""
    get = f"download ebnerd_small.zip (or demo, large) from {url}, and give it, or the folder that it unpacks to"
    if not root.exists():
        raise DataError([Problem(str(root), "there is no such file or folder", get)])
    if root.is_dir() and not any(
        (root / name).exists() for name in ("train", "validation", "test", "articles.parquet")
    ):
        found: dict[str, Path] = {}
        for place in sorted(root.iterdir(), key=lambda each: (each.is_dir(), each.name)):
            form = _EDITION.fullmatch(place.name)
            if form and place.is_dir() != (place.suffix.lower() == ".zip"):
                found[form[1].lower()] = place
        if len(found) > 1:
            names = ", ".join(place.name for place in found.values())
            what = f"holds more than one edition: {names}"
            raise DataError([Problem(str(root), what, f"give one of them: {root / 'ebnerd_small'}")])
        if not found:
            if (root / _FILES[0]).is_file():
                what = "is the folder of one part"
                raise DataError([Problem(str(root), what, f"give the folder that holds it: {root.parent}")])
            raise DataError(
                [Problem(str(root), "holds neither train nor validation, nor an archive of them", get)]
            )
        (root,) = found.values()
    if root.is_file() and root.suffix.lower() != ".zip":
        raise DataError([Problem(str(root), "is a file, a folder or a zip is expected", get)])
    problems = Problems()

    def there(name: str) -> RawFile | None:
        if root.is_dir():
            return RawFile(root / name) if (root / name).is_file() else None
        inside = named(root, name, problems)
        if len(inside) > 1:
            several = ", ".join(each.member for each in inside)
            problems.add(str(root), f"holds several: {several}", "use the official archive")
        return inside[0] if inside else None

    articles = there("articles.parquet")
    problems.raise_any()
    parts = []
    for part in ("train", "validation"):
        files = [there(f"{part}/{name}") for name in _FILES]
        if all(file is None for file in files) and not official:
            continue
        for file, name in zip(files, _FILES, strict=True):
            if file is None:
                way = (
                    'or choose split="time", which cuts what is there by time'
                    if official and part == "validation"
                    else "or leave the whole folder out"
                )
                fix = f"unpack the complete archive; it is had from {url}; {way}"
                problems.add(str(root / part / name), "there is no such file", fix)
        whole = [file for file in files if file is not None]
        if len(whole) == len(_FILES):
            parts.append((whole[0], whole[1]))
    if there("test/behaviors.parquet") is not None and not parts:
        what = "is the test part, which is published without clicks, so nothing can be learned or measured"
        raise DataError([Problem(str(root), what, get)])
    problems.raise_any()
    if not parts:
        raise DataError([Problem(str(root), "holds neither train nor validation", get)])
    return Folder(root, articles, tuple(parts))
