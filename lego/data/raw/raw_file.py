"""Raw files where they lie: on disk, or inside a zip that is read in place. Nothing is unpacked to where an archive says."""

from __future__ import annotations

import tempfile
import zipfile
import zlib
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import IO

import attrs

from lego.data.problems import Problems
from lego.data.raw.growing import growing_folder
from lego.home import written

BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError)
"""What reading a damaged, cut or locked archive raises."""
_AGAIN = "download the archive again: it is damaged or was cut short"


@attrs.frozen
class RawFile:
    """A file, and where it lies."""

    path: Path
    """On disk: the file itself, or the archive it is in."""
    member: str = ""
    """Its name inside the archive."""

    @property
    def name(self) -> str:
        """The last piece of its name."""
        return PurePosixPath(self.member).name if self.member else self.path.name

    @property
    def label(self) -> str:
        """What messages call it: the folder or archive it is in, and its name."""
        if not self.member:
            return f"{self.path.parent.name}/{self.path.name}"
        inside = PurePosixPath(self.member)
        folder = inside.parent.name
        return f"{self.path.name}/{folder}/{inside.name}" if folder else f"{self.path.name}/{inside.name}"

    @property
    def size(self) -> int:
        """Bytes, unpacked."""
        if not self.member:
            return self.path.stat().st_size
        with zipfile.ZipFile(self.path) as archive:
            return archive.getinfo(self.member).file_size

    def open(self) -> IO[bytes]:
        """Its bytes from the beginning."""
        if not self.member:
            return self.path.open("rb")
        with zipfile.ZipFile(self.path) as archive:  # what is opened from it stays open
            return archive.open(self.member)

    def seekable(self) -> IO[bytes]:
        """Its bytes in any order: one that is packed is copied to a file without a name, which is gone when it is closed.

        RunError, with the folder and the way out, where the disk does not take the copy.
        """
        if not self.member:
            return self.path.open("rb")
        folder = growing_folder()
        with written(folder):
            copy = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - it is handed on
        try:
            with self.open() as packed:
                while piece := packed.read(1 << 20):
                    with written(folder):  # only this: what cannot be read is another matter
                        copy.write(piece)
            with written(folder):
                copy.seek(0)  # which writes the rest
        except BaseException:
            with suppress(OSError):  # what is left in the buffer does not fit either
                copy.close()
            raise
        return copy


def members(archive: Path, problems: Problems) -> list[str]:
    """The names of the files in a zip, in its order; those that macOS adds are left out."""
    try:
        with zipfile.ZipFile(archive) as opened:
            names = [each.filename for each in opened.infolist() if not each.is_dir()]
    except BROKEN as failure:
        problems.add(archive.name, f"cannot be read as a zip: {failure}", _AGAIN)
        return []
    return [
        name
        for name in names
        if not name.startswith("__MACOSX/") and not PurePosixPath(name).name.startswith(".")
    ]


def named(archive: Path, tail: str, problems: Problems) -> list[RawFile]:
    """The files in a zip whose names end in `tail`, whole pieces only: `news.tsv`, `train/history.parquet`."""
    wanted = PurePosixPath(tail).parts
    return [
        RawFile(archive, name)
        for name in members(archive, problems)
        if PurePosixPath(name).parts[-len(wanted) :] == wanted
    ]


def broken(file: RawFile, failure: BaseException, problems: Problems) -> None:
    """Says that a file cannot be read to its end."""
    problems.add(file.label, f"cannot be read: {failure or type(failure).__name__}", _AGAIN)
