"""Where generated values come from: a line for each value that a language model wrote, beside the tables it stands in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

ORIGINS = pa.schema(
    [
        pa.field("table", pa.string(), nullable=False),
        pa.field("row", pa.int32(), nullable=False),
        pa.field("id", pa.string(), nullable=False),
        pa.field("attribute", pa.string(), nullable=False),
        pa.field("model", pa.string()),
        pa.field("prompt", pa.string()),
        pa.field("time", pa.string()),
    ]
)
"""`table` is items or users; rows of items count from 1, those of users from 0. The attribute `item_id` means that the item
itself is generated. `prompt` is a hash, `time` UTC; null where the answers do not say."""


def generated(origins: pa.Table | None, rows: Mapping[str, int]) -> dict[str, Any]:
    """What the manifest says: of each attribute how many values and which share, by which models; and how many items."""
    if origins is None:
        return {}
    found: dict[str, Any] = {}
    for table, attribute in dict.fromkeys(
        zip(origins["table"].to_pylist(), origins["attribute"].to_pylist(), strict=True)
    ):
        mine = origins.filter(
            pc.and_(pc.equal(origins["table"], table), pc.equal(origins["attribute"], attribute))
        )
        models = Counter(model or "not recorded" for model in mine["model"].to_pylist())
        found[f"{table}.{attribute}"] = {
            "values": mine.num_rows,
            "share": round(mine.num_rows / max(1, rows[table]), 6),
            "models": dict(models),
        }
    return found
