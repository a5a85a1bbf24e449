"""Where the files of EB-NeRD are: in a folder, or in an official archive."""

from __future__ import annotations

import os
import re
from pathlib import Path

import attrs

from lego.data.problems import Problems
from lego.data.raw.raw_file import RawFile, named
from lego.errors import DataError, Problem

_EDITION = re.compile(r"ebnerd_(demo|small|large)(?:\.zip)?", re.IGNORECASE)

_FILES = ("behaviors.parquet", "history.parquet")
_TEST = tuple(f"test/{name}" for name in _FILES)


@attrs.frozen
class Folder:
    """The files of an edition."""

    root: Path
    articles: tuple[RawFile, ...]
    """That of the edition, and then that of the test part; those that are there."""
    parts: tuple[tuple[RawFile, RawFile], ...]
    """Behaviors and histories, of train, then of validation, then, where it is asked for, of the test part."""


def find(root: Path, url: str, *, official: bool, hidden: bool) -> Folder:
    """The files, of which the official split needs both parts; DataError with where to get them, from `url`.

    With `hidden` also those of the test part, which is in the edition, or beside it as `ebnerd_testset`.
    """
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

    articles = _there(root, "articles.parquet", problems)
    problems.raise_any()
    parts = []
    for part in ("train", "validation"):
        files = [_there(root, f"{part}/{name}", problems) for name in _FILES]
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
    if _there(root, _TEST[0], problems) is not None and not parts:
        what = "is the test part, which is published without clicks, so nothing can be learned or measured"
        fix = f'{get}, beside this one, with test="test"'
        raise DataError([Problem(str(root), what, fix)])
    problems.raise_any()
    if not parts:
        raise DataError([Problem(str(root), "holds neither train nor validation", get)])
    found_articles = [articles]
    if hidden:
        place = _test_part(root, url)
        behaviors, history = (_there(place, name, problems) for name in _TEST)
        assert behaviors is not None  # it was looked for
        assert history is not None
        parts.append((behaviors, history))
        if place != root:
            found_articles.append(_there(place, "articles.parquet", problems))
        problems.raise_any()
    return Folder(root, tuple(each for each in found_articles if each is not None), tuple(parts))


def _there(root: Path, name: str, problems: Problems) -> RawFile | None:
    """A file of a folder or of an archive."""
    if root.is_dir():
        return RawFile(root / name) if (root / name).is_file() else None
    inside = named(root, name, problems)
    if len(inside) > 1:
        several = ", ".join(each.member for each in inside)
        problems.add(str(root), f"holds several: {several}", "use the official archive")
    return inside[0] if inside else None


def _test_part(root: Path, url: str) -> Path:
    """The folder or the archive that holds the test part."""
    # Of "." the parent is "." again; a link is beside what stands beside it, not beside what it leads to.
    beside = Path(os.path.abspath(root)).parent  # noqa: PTH100 - it would follow the link
    places = (root, beside / "ebnerd_testset", beside / "ebnerd_testset.zip")
    for place in places:
        if place.exists() and all(_there(place, name, Problems()) for name in _TEST):
            return place
    what = f"the test part (test/{_FILES[0]} and test/{_FILES[1]}) is neither in it nor beside it"
    fix = (
        f"download ebnerd_testset.zip from {url}, and put it, or the folder that it unpacks to, into {beside}"
    )
    raise DataError([Problem(str(root), what, fix)])
