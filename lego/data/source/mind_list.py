"""A published list of impressions that cuts the dev folder of MIND into dev and test."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lego.data.impressions.log import (
    Log,
)
from lego.errors import DataError, Problem


def list_file(listed: str) -> Path:
    """The file of the list; DataError where it is not there."""
    file = Path(listed).expanduser()
    if not file.is_file():
        raise DataError([Problem(str(file), "there is no such file", "name the JSON file of impression ids")])
    return file


def halves_of(listed: str, log: Log) -> list[NDArray[np.int64]]:
    """The rows of the log whose impressions are in the first half of the list, and in the second."""
    file = list_file(listed)
    fix = "use the published file: a JSON list of impression ids of the dev folder, each once"
    try:
        ids = json.loads(file.read_bytes())
    except (ValueError, RecursionError) as failure:
        raise DataError([Problem(str(file), f"is no JSON: {failure}", fix)]) from None
    if not isinstance(ids, list) or not all(type(each) is int and 0 <= each < 1 << 63 for each in ids):
        raise DataError([Problem(str(file), "is no list of whole numbers", fix)])
    if len(set(ids)) < len(ids):
        raise DataError([Problem(str(file), f"holds {len(ids) - len(set(ids))} ids twice", fix)])
    middle = len(ids) // 2
    parts = [np.array(half, np.int64) for half in (ids[:middle], ids[middle:])]
    found = [np.flatnonzero(np.isin(log.impression, half)) for half in parts]
    if not all(map(len, found)):
        raise DataError([Problem(str(file), "holds a half of which the dev folder has no impression", fix)])
    return found
