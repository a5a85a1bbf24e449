"""The memory that preparing a log takes as the log grows, while users and items stay as many: it should not grow with it.

The same users and items in logs of 1, 4 and 16 million clicks, in the layouts a log comes in. Each is prepared once in a process
of its own, which looks at its memory 50 times a second: what is its own, and what is resident altogether, pages of mapped files
included, which the system takes back when it wants them.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyarrow import csv

from lego import MovieLens, Tables
from lego.data import prepare as data_prepare
from lego.home import home
from lego.spec import Source

PAGE = "memory_of_preparing.md"
CLICKS = (1_000_000, 4_000_000, 16_000_000)
USERS, ITEMS = 20_000, 20_000
FEW = 50
"""Clicks of a user in the smallest log; one that is smaller still has fewer users."""
BLOCK = 1 << 18
"""Rows that are written together."""
SHOWN = 5
"""Candidates of an impression, of which one is clicked."""
BEGINS = 1_000_000_000
LAYOUTS = {
    "movielens": "ratings of MovieLens",
    "rows": "`Tables(rows=…)`",
    "grouped": f"`Tables(rows=…)` with an id for each {SHOWN} rows",
    "impressions": f"`Tables(impressions=…)` of {SHOWN} candidates",
    "sequences": "`Tables(sequences=…)`",
}


def written(layout: str, clicks: int) -> Source:
    """The source that reads such a log, which is written once."""
    folder = home() / "bench" / f"log-{layout}-{clicks}"
    log = folder / ("ratings.csv" if layout == "movielens" else "log.csv")
    named = layout == "movielens"
    if not log.exists():
        folder.mkdir(parents=True, exist_ok=True)
        items = pa.table(
            {
                "movieId" if named else "item_id": np.arange(1, ITEMS + 1),
                "title": [f"Item number {row}" for row in range(ITEMS)],
                **({"genres": ["Drama"] * ITEMS} if named else {}),
            }
        )
        csv.write_csv(items, folder / ("movies.csv" if named else "items.csv"))
        pieces = _pieces(layout, clicks)
        first = next(pieces)
        aside = log.with_suffix(".part")
        with csv.CSVWriter(aside, first.schema) as file:
            file.write_table(first)
            for piece in pieces:
                file.write_table(piece)
        aside.rename(log)
    if named:
        return MovieLens(str(folder))
    how = "rows" if layout == "grouped" else layout
    return Tables(str(folder / "items.csv"), **{how: str(log)})


def _pieces(layout: str, clicks: int) -> Iterator[pa.Table]:
    """Rows of the log, from one seed: a user takes no item twice, and the users of a log of rows are mixed."""
    rng = np.random.default_rng(0)
    readers = min(USERS, clicks // FEW)
    begins = rng.integers(ITEMS, size=readers)
    if layout == "sequences":
        each = clicks // readers
        for first in range(0, readers, max(1, BLOCK // each)):
            users = np.arange(first, min(first + max(1, BLOCK // each), readers))
            taken = _items(users[:, None], np.arange(each), begins)
            yield pa.table({"user": users, "items": _joined(taken)})
        return
    for first in range(0, clicks, BLOCK):
        place = np.arange(first, min(first + BLOCK, clicks))
        time_ = BEGINS + place
        if layout == "impressions":
            shown = _items(
                (place % readers)[:, None], place[:, None] // readers * SHOWN + np.arange(SHOWN), begins
            )
            labels = pa.array(["1" + " 0" * (SHOWN - 1)] * len(place))
            yield pa.table(
                {"user": place % readers, "time": time_, "candidates": _joined(shown), "labels": labels}
            )
        elif layout == "grouped":
            place = np.arange(first * SHOWN, (first + len(place)) * SHOWN)
            group = place // SHOWN
            columns = {"impression_id": group, "user": group % readers}
            columns["item"] = _items(group % readers, group // readers * SHOWN + place % SHOWN, begins)
            yield pa.table({**columns, "time": BEGINS + group, "label": np.int8(place % SHOWN == 0)})
        else:
            columns = {"user": place % readers, "item": _items(place % readers, place // readers, begins)}
            if layout == "movielens":
                stars = rng.integers(4, 6, size=len(place))
                names = {"userId": columns["user"] + 1, "movieId": columns["item"], "rating": stars}
                yield pa.table({**names, "timestamp": time_})
            else:
                yield pa.table({**columns, "time": time_})


def _items(users: NDArray[Any], number: NDArray[Any], begins: NDArray[np.int64]) -> NDArray[np.int64]:
    """The n-th item of each user, ids from 1: a step that has no divisor in common with how many there are meets all of them."""
    return (begins[users] + number * 7_919) % ITEMS + 1


def _joined(rows: NDArray[np.int64]) -> pa.Array:
    """Ids of a row in one text, with blanks between them."""
    text = pc.cast(pa.array(rows.ravel()), pa.string())
    offsets = np.arange(0, rows.size + 1, rows.shape[1], dtype=np.int32)
    return pc.binary_join(pa.ListArray.from_arrays(pa.array(offsets), text), " ")


def measure(*, quick: bool, seconds: float, rounds: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Each layout at each size, once: a peak does not vary as a time does."""
    del seconds, rounds
    sizes = [2_000] if quick else list(CLICKS)
    found: dict[str, Any] = {"clicks": sizes, "users": USERS, "items": ITEMS, "layouts": {}}
    for layout in list(LAYOUTS)[: 1 if quick else None]:
        for clicks in sizes:
            written(layout, clicks)
            command = [sys.executable, __file__, layout, str(clicks)]
            text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            row = json.loads(text.splitlines()[-1])
            say(
                f"memory: {layout}, {clicks:,} clicks: {row['own'] / 1e6:,.0f} MB, {row['cpu']:,.0f} s of CPU"
            )
            found["layouts"].setdefault(layout, {})[str(clicks)] = row
    return found


def page(numbers: Mapping[str, Any], machine: Mapping[str, Any]) -> str:
    """As Markdown."""
    names = [f"{each:,} clicks" for each in numbers["clicks"]]
    tables = []
    for told, field, scale in (
        ("own memory at most, MB", "own", 1e6),
        ("resident at most, with pages of mapped files, MB", "resident", 1e6),
        ("raw files, MB", "raw", 1e6),
    ):
        tables += [f"| {told} | {' | '.join(names)} |", "|---|" + "---:|" * len(names)]
        for layout, rows in numbers["layouts"].items():
            cells = (f"{rows[str(each)][field] / scale:,.0f}" for each in numbers["clicks"])
            tables.append(f"| {LAYOUTS[layout]} | {' | '.join(cells)} |")
        tables.append("")
    tables += [f"| CPU, µs a click | {' | '.join(names)} |", "|---|" + "---:|" * len(names)]
    for layout, rows in numbers["layouts"].items():
        cells = (f"{1e6 * rows[str(each)]['cpu'] / each:,.1f}" for each in numbers["clicks"])
        tables.append(f"| {LAYOUTS[layout]} | {' | '.join(cells)} |")
    begun = min(row["begun"] for rows in numbers["layouts"].values() for row in rows.values())
    return f"""# The memory of preparing

`make bench ONLY=memory` on {machine["processor"]}: logs of {numbers["users"]:,} users and {numbers["items"]:,} items that differ
only in how long they are, each prepared once in a process of its own, whose interpreter and libraries ({begun / 1e6:,.0f} MB of
its own) are part of what stands here. What a process holds itself is what has to fit into memory; pages of files that it mapped
are taken back where another needs them.

{chr(10).join(tables)}
"""


def _prepared(layout: str, clicks: int) -> dict[str, Any]:
    """What preparing takes, in this process, as bytes and seconds."""
    source = written(layout, clicks)
    own, resident, ended = [_status("RssAnon")], [_status("VmRSS")], threading.Event()
    begun = own[0]

    def look() -> None:
        while not ended.wait(0.02):
            own.append(max(own.pop(), _status("RssAnon")))
            resident.append(max(resident.pop(), _status("VmRSS")))

    looking = threading.Thread(target=look)
    looking.start()
    cpu = time.process_time()
    try:
        made = data_prepare.prepare(source, home() / "bench" / "prepared-log", force=True)
    finally:
        ended.set()
        looking.join()
    cpu = time.process_time() - cpu
    rows = sum(made.manifest["counts"]["impressions"].values())
    raw = sum(each["size"] for each in made.manifest["files"])
    return {
        "begun": begun,
        "own": own[0],
        "resident": resident[0],
        "cpu": cpu,
        "impressions": rows,
        "raw": raw,
    }


def _status(name: str) -> int:
    """Bytes, of the fields of this process."""
    text = Path("/proc/self/status").read_text(encoding="ascii")
    return int(text.partition(f"{name}:")[2].split(maxsplit=1)[0]) * 1024


if __name__ == "__main__":
    print(json.dumps(_prepared(sys.argv[1], int(sys.argv[2]))))  # noqa: T201 - the suite reads it
