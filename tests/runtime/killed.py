"""Runs experiments in forks that are killed at chosen calls. Not a test: tests/runtime/test_kill.py starts it.

It reads `{"chains": [{"experiment", "folder", "often", "points": [[event, number], …]}, …]}` as JSON from standard input. For
each chain it makes one run after the other, each of which ends itself by SIGKILL at the `number`-th call of a kind, and a last
one that nobody kills; then it writes a line of JSON: the folders, the points that were reached, the calls of the last run.
"""

from __future__ import annotations

import functools
import json
import os
import signal
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from transformers import BertModel  # noqa: F401 - imported once for all forks

from lego import parse
from lego.compiler.pipeline import Pipeline
from lego.data import table_file
from lego.pretrained import states
from lego.runtime import checkpoint, fit
from lego.runtime.folder import code_version
from lego.runtime.run import run_experiment

EVENTS = {
    # name: (owner, attribute, whether the call writes a file that is cut in half before the end comes)
    "table half written": (table_file, "write", True),
    "array half written": (np, "save", True),
    "weights half written": (checkpoint, "save_file", True),
    "text half written": (Path, "write_text", True),
    "before a replace": (os, "replace", False),
    "before a rename": (os, "rename", False),
    "before a sync": (os, "fsync", False),
    "page of hidden states": (states._Builder, "_page", False),
    "step": (fit.Fit, "_step", False),
    "scoring": (Pipeline, "score", False),
}


def end(written: object) -> None:
    """Leaves half of a file, and dies as by a power cut."""
    if written is not None:
        os.truncate(str(written), Path(str(written)).stat().st_size // 2)
    os.kill(os.getpid(), signal.SIGKILL)


def watch(counts: dict[str, int], event: str | None, number: int) -> None:
    """Counts the calls of every kind, and ends the process at the chosen one."""

    def wrap(name: str, owner: object, attribute: str, *, half: bool) -> None:
        inner = getattr(owner, attribute)

        @functools.wraps(inner)
        def outer(*given, **options):
            counts[name] = counts.get(name, 0) + 1
            now = name == event and counts[name] == number
            if now and not half:
                end(None)
            found = inner(*given, **options)
            if now:
                end(next(each for each in given if isinstance(each, str | Path)))
            return found

        setattr(owner, attribute, outer)

    for name, (owner, attribute, half) in EVENTS.items():
        wrap(name, owner, attribute, half=half)


def child(chain: dict[str, object], folder: Path, event: str | None, number: int) -> dict[str, int]:
    """One run: the counts of its calls, where it lives to tell."""
    os.environ["LEGO_HOME"] = str(folder / "home")
    counts: dict[str, int] = {}
    watch(counts, event, number)
    run_experiment(parse(chain["experiment"]), out=folder / "runs", resume=True)
    return counts


def forked(
    chain: dict[str, object], folder: Path, event: str | None, number: int
) -> tuple[int, dict[str, int]]:
    """The same in a process of its own: its exit code (that of a signal is negative), and the counts."""
    read, write = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            os.write(write, json.dumps(child(chain, folder, event, number)).encode())
        except BaseException:  # noqa: BLE001 - told, and then the fork ends
            traceback.print_exc()
            sys.stderr.flush()
            os._exit(1)
        os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        told = pipe.read()
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status), json.loads(told or b"{}")


def main() -> None:
    """Small pages and a note of each, so that few items make many points; then the chains."""
    code_version()  # of this process and its forks, whoever edits a file meanwhile
    build = states._Builder.run

    def in_small_pages(builder: states._Builder) -> None:
        builder.page_tokens = 64
        build(builder)

    states._Builder.run = in_small_pages
    states._JOURNAL_SECONDS = -1.0
    for chain in json.load(sys.stdin)["chains"]:
        fit.SAVE_SECONDS = -1.0 if chain["often"] else 300.0
        sys.stdout.write(json.dumps({"folders": list(folders(chain))}) + "\n")
        sys.stdout.flush()


def folders(chain: dict[str, object]) -> Iterator[dict[str, object]]:
    """Each folder in which a run came to its end, and the points at which it was killed before."""
    waiting = list(chain["points"])
    while True:
        folder = Path(chain["folder"]) / str(len(waiting))
        reached = []
        for event, number in [*waiting, [None, 0]]:
            code, counts = forked(chain, folder, event, number)
            if code != -signal.SIGKILL:
                yield {"folder": str(folder), "code": code, "reached": reached, "counts": counts}
                break
            reached.append([event, number])
        # A point that the run was past already is tried again in a new folder.
        if len(reached) == len(waiting) or not reached:
            return
        waiting = waiting[len(reached) :]


if __name__ == "__main__":
    main()
