"""The files of a log, each with the columns of all."""

from __future__ import annotations

import attrs
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lego.data.impressions.log import Clicks, Log
from lego.data.raw.growing import on_disk


def alike(logs: list[Log | Clicks | None]) -> list[Log | Clicks | None]:
    """The files of a log with the columns of all, missing values where one of them lacks a column."""
    there = [log for log in logs if log is not None]
    tables = [log.attributes for log in there if log.attributes is not None]
    kinds = {field.name: field.type for table in tables for field in table.schema}
    names = {
        option: dict.fromkeys(name for log in there for name in getattr(log, option, {}))
        for option in ("signals", "history_signals")
    }

    def filled(log: Log | Clicks, option: str, count: int) -> dict[str, NDArray[np.float32]]:
        found = getattr(log, option)
        return {
            name: found[name] if name in found else on_disk(count, np.float32, _nothing)
            for name in names[option]
        }

    made: list[Log | Clicks | None] = []
    for log in logs:
        if log is None:
            made.append(None)
            continue
        table = pa.table({}) if log.attributes is None else log.attributes
        count = len(log.impression) if isinstance(log, Log) else len(log)
        columns = {
            name: table[name] if name in table.column_names else pa.nulls(count, kind)
            for name, kind in kinds.items()
        }
        attributes = pa.table(columns) if columns else None
        if isinstance(log, Clicks):
            signals = filled(log, "signals", count)
            made.append(attrs.evolve(log, attributes=attributes, signals=signals))
        else:
            signals = filled(log, "signals", len(log.candidates.values))
            before = filled(log, "history_signals", len(log.history.values))
            made.append(attrs.evolve(log, attributes=attributes, signals=signals, history_signals=before))
    return made


def _nothing(begin: int, end: int) -> NDArray[np.float32]:
    return np.full(end - begin, np.nan, np.float32)
