"""Ids of a log that the items lack, and where they stand in the files."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import attrs
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from lego.data.problems import LIMIT, Problems
from lego.data.raw.frame import Frame
from lego.data.raw.values import ids_of, shown
from lego.data.table import flat
from lego.errors import Problem


@attrs.frozen(eq=False)
class Met:
    """Where ids of items stand in a frame, so that one that is missing can be shown."""

    frame: Frame
    column: str
    again: Callable[[], tuple[pa.Array, NDArray[np.int64]]] | None = None
    """Reads the ids, and the row of each, once more; None where each row has just one."""

    def ids(self) -> tuple[pa.Array, NDArray[np.int64]]:
        """The ids, and the row of each."""
        if self.again is not None:
            return self.again()
        ids = ids_of(self.frame, self.column, Problems())
        assert ids is not None  # they were read before
        return ids, np.arange(self.frame.table.num_rows)


def complain_of_missing(
    missing: pa.Array, known: pa.Array, places: Sequence[Met], problems: Problems
) -> None:
    """Where the first of the missing ids stand for the first time; `known` are those of the items."""
    open_ids = missing
    fix = 'add them to items, or choose missing="drop" or missing="empty"'
    if len(known) and not _meets_any(places, known):
        there = shown(known[0].as_py())
        fix = (
            f"no id of the log is in items, which has ids like {there}: name the columns of both in columns="
        )
    told: list[Problem] = []
    for met in places:
        every, rows = met.ids()
        here = flat(pc.index_in(every, value_set=open_ids).is_valid())
        at = np.flatnonzero(here)
        ids = every.take(pa.array(at))
        _, first = np.unique(flat(ids.dictionary_encode().indices), return_index=True)
        for place in np.sort(first)[: LIMIT - len(told)].tolist():
            where = met.frame.where(int(rows[at[place]]), met.column)
            told.append(Problem(where, f"items has no {shown(ids[place].as_py())}", fix))
        open_ids = open_ids.filter(pc.invert(pc.is_in(open_ids, value_set=pc.unique(ids))))
        if len(told) == LIMIT or not len(open_ids):
            break
    problems.extend(told)
    if told and (more := len(missing) - len(told)):
        problems.count_alike(told[0], more)


def _meets_any(places: Sequence[Met], known: pa.Array) -> bool:
    return any(pc.any(pc.is_in(met.ids()[0], value_set=known), min_count=0).as_py() for met in places)
