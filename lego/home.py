"""Where prepared data and caches live: `$LEGO_HOME`, or the user's cache folder."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lego.errors import RunError


def home() -> Path:
    """The folder; it is made when something is written to it."""
    named = os.environ.get("LEGO_HOME")
    if named:
        return Path(named).expanduser().resolve()
    import platformdirs

    return Path(platformdirs.user_cache_dir("lego"))


@contextmanager
def written(path: Path) -> Iterator[None]:
    """Around what writes below the folder: RunError that names `path` and the way out where the disk does not take it.

    Where the process has too many files open, that is what it says: room on the disk would be of no use. What is below `home()`
    goes elsewhere by LEGO_HOME; anything else was named by who asked for it.
    """
    try:
        yield
    except BrokenPipeError:  # whoever is told of the progress went away
        raise
    except OSError as problem:
        if problem.errno in {errno.EMFILE, errno.ENFILE}:
            raise RunError.too_many_open(path) from problem
        fix = f"name a folder on a larger disk than that of {path.parent}"
        if path.resolve().is_relative_to(home().resolve()):
            fix = "name a folder on a larger disk in LEGO_HOME"
        raise RunError.unwritten(path, problem, fix) from problem
