"""What commands share: where people read, where programs read, and JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console  # imported where it is used: listings do without it

    from lego.errors import Problem


def console(*, as_json: bool) -> Console:
    """Where people read: standard output, or standard error where a program reads the other."""
    from rich.console import Console

    return Console(stderr=as_json, highlight=False)


def errors() -> Console:
    """Progress goes to standard error, so that a pipe gets results only."""
    from rich.console import Console

    return Console(stderr=True, highlight=False)


def aligned(rows: Iterable[Sequence[str]], indent: str = "") -> list[str]:
    """Rows of cells as lines with straight columns. Nothing is wrapped, so that a pipe can read them."""
    table = [list(row) for row in rows]
    count = max(map(len, table), default=0)
    widths = [
        max((len(row[place]) for row in table if place < len(row)), default=0) for place in range(count)
    ]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=False)) for row in table)
    return [(indent + line).rstrip() for line in lines]


def wants_json() -> bool:
    """Whether a program reads standard output."""
    return "--json" in sys.argv[1:]


def fail(text: str, code: int, problems: Iterable[Problem] = ()) -> SystemExit:
    """Tells what went wrong on standard error; with `--json` also as `{"error", "problems"}` on the other. The exit to raise."""
    sys.stderr.write(text + "\n")
    if wants_json():
        told = [{"where": each.where, "what": each.what, "fix": each.fix} for each in problems]
        print_json({"error": text.removeprefix("error: "), "problems": told})
    return SystemExit(code)


def print_json(document: Any) -> None:
    """One JSON document on one line of standard output. What is not a number is null, since JSON has no NaN."""
    from lego.runtime.folder import plain

    sys.stdout.write(json.dumps(plain(document), ensure_ascii=False) + "\n")
    sys.stdout.flush()
