"""What commands share: where people read, where programs read, and JSON."""

from __future__ import annotations

import json
import math
import sys
from typing import Any

from rich.console import Console


def console(*, as_json: bool) -> Console:
    """Where people read: standard output, or standard error where a program reads the other."""
    return Console(stderr=as_json, highlight=False)


def errors() -> Console:
    """Progress goes to standard error, so that a pipe gets results only."""
    return Console(stderr=True, highlight=False)


def print_json(document: Any) -> None:
    """One JSON document on one line of standard output. What is not a number is null, since JSON has no NaN."""
    sys.stdout.write(json.dumps(_plain(document), ensure_ascii=False) + "\n")
    sys.stdout.flush()


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
