"""Times as American files write them: `7/3/2019 6:43:49 AM`."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from lego.data.table import flat

_TIME = (
    r"^(?P<month>\d{1,2})/(?P<day>\d{1,2})/(?P<year>\d{4}) "
    r"(?P<hour>\d{1,2}):(?P<minute>\d{2}):(?P<second>\d{2}) (?P<half>[AP]M)$"
)


def american_seconds(column: pa.Array) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Unix seconds of each time as UTC, and which are times; the seconds of the others mean nothing."""
    parts = pc.extract_regex(column, _TIME)
    good = flat(parts.is_valid())
    number = {
        name: flat(pc.cast(pc.fill_null(pc.struct_field(parts, name), "1"), pa.int64()))
        for name in ("month", "day", "year", "hour", "minute", "second")
    }
    half = flat(pc.equal(pc.fill_null(pc.struct_field(parts, "half"), "AM"), "PM"))
    months = ((number["year"] - 1970) * 12 + number["month"] - 1).astype("datetime64[M]")
    days = months.astype("datetime64[D]") + (number["day"] - 1)
    good = (
        good
        & (number["month"] >= 1)
        & (number["month"] <= 12)
        & (days.astype("datetime64[M]") == months)
        & (number["hour"] >= 1)
        & (number["hour"] <= 12)
        & (number["minute"] < 60)
        & (number["second"] < 60)
    )
    hours = number["hour"] % 12 + 12 * half
    seconds = days.astype(np.int64) * 86_400 + hours * 3600 + number["minute"] * 60 + number["second"]
    return seconds, good
