"""Loads entries of other distributions in processes of their own, so that whatever one does there stays there."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from lego import catalog

SECONDS = 60.0
"""How long loading an entry may take: importing torch on a cold disk is slow, waiting longer helps nobody."""

_CHILD = """
import faulthandler, json, os, sys
folders, entry, answer, seconds = (json.loads(each) for each in sys.argv[1:])
sys.path[:] = folders
from lego import catalog
faulthandler.dump_traceback_later(seconds, file=sys.stderr)
tried = catalog.Entry(**entry)
told = {"why": catalog.fault(tried), "trace": catalog.trace(tried)}
with open(answer, "w", encoding="utf-8") as file:
    json.dump(told, file)
file.close()
os._exit(0)
"""
"""`os._exit`: threads and exit handlers that the import left behind are not waited for."""


def faults(entries: Iterable[catalog.Entry], seconds: float = SECONDS) -> dict[catalog.Entry, str | None]:
    """Why each entry cannot be used, None where it can. Each has a process of its own, as many at once as there are cores."""
    every = list(entries)
    if not every:
        return {}
    with ThreadPoolExecutor(max_workers=max(1, os.cpu_count() or 1)) as pool:
        return dict(zip(every, pool.map(lambda entry: fault(entry, seconds), every), strict=True))


def fault(entry: catalog.Entry, seconds: float = SECONDS) -> str | None:
    """Why an entry cannot be used, or None, as a new process finds out."""
    return _tried(entry, seconds)[0]


def trace(entry: catalog.Entry, seconds: float = SECONDS) -> str | None:
    """The traceback of an entry that cannot be loaded, or where it hangs, as a new process finds out; None without one."""
    return _tried(entry, seconds)[1]


def _tried(entry: catalog.Entry, seconds: float) -> tuple[str | None, str | None]:
    """Why an entry cannot be used, and the traceback."""
    fields = ("slot", "name", "distribution", "version", "target")
    told = {name: getattr(entry, name) for name in fields}
    # The folder may outlive the call where a grandchild still writes in it.
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        answer, complaint = Path(folder) / "answer.json", Path(folder) / "complaint"
        asked = (sys.path, told, str(answer), max(0.05, 0.8 * seconds))
        arguments = [json.dumps(each) for each in asked]
        with complaint.open("wb") as stderr:
            child = subprocess.Popen(  # noqa: S603 - this very interpreter, with a program of our own
                [sys.executable, "-P", "-c", _CHILD, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
                start_new_session=True,
            )
            try:
                code = child.wait(timeout=seconds)
            except subprocess.TimeoutExpired:
                where = complaint.read_text(encoding="utf-8", errors="replace")
                return f"loading it took more than {seconds:g} seconds", where or None
            finally:
                _end(child)
        try:
            found = json.loads(answer.read_text(encoding="utf-8"))
            return found["why"], found["trace"]
        except (OSError, ValueError):
            last_words = complaint.read_text(encoding="utf-8", errors="replace")
            return _death(code, last_words), last_words or None


def _end(child: subprocess.Popen[bytes]) -> None:
    """Ends the process and what it started."""
    if hasattr(os, "killpg"):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
    else:
        child.kill()
    child.wait()


def _death(code: int, complaint: str) -> str:
    """What became of a process that gave no answer."""
    if code < 0:
        try:
            how = f"loading it ended the process by {signal.Signals(-code).name}"
        except ValueError:
            how = f"loading it ended the process by signal {-code}"
    else:
        how = f"loading it ended the process with exit code {code}"
    lines = [line.strip() for line in complaint.splitlines() if line.strip()]
    return f"{how}: {lines[-1]}" if lines else how
