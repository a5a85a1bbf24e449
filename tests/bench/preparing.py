"""What preparing MIND costs a row, beside a plain Python preparer, and what opening it costs afterwards.

Both ways start from the same files and end with tables on disk: lines are split, ids become rows of items, a history that a user
has several times is kept once, impressions stand in the order of their times. lego does more: it hashes the files, checks every
value, shares histories that others continue, and cuts off a dev part. The loop reads the first lines of the train file alone; a
line costs it the same wherever it stands. LEGO_BENCH_SHARE=1 is the size of MIND-large.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from measure import interleave
from mind_format import write

from lego import MIND
from lego.data import prepare as data_prepare
from lego.data.store import Store
from lego.home import home

PAGE = "speed_of_preparing.md"
ROWS, NEWS = 2_232_748, 160_000
"""Impressions of the train part of MIND-large, and its news."""
SHARE = 0.05
LINES = 20_000
"""Lines that a step of the loop reads."""
OURS, LOOP, OPENED = "lego", "a Python loop over the lines", "opening what was prepared"


def prepare(*, how: str, rows: int, news: int) -> tuple[Callable[[int], int], dict[str, Any]]:
    """The step of a row: it prepares, or opens, and says how many impressions."""
    folder = home() / "bench" / f"mind-{rows}-{news}"
    raw = folder / "raw"
    if not (raw / "dev" / "news.tsv").exists():
        write(raw, rows, news)
    size = sum(path.stat().st_size for path in raw.rglob("*.tsv"))
    if how == LOOP:
        return lambda _: by_lines(raw / "train" / "behaviors.tsv", folder, LINES), {"raw": size}
    out = folder / how.split(maxsplit=1)[0]
    made = data_prepare.prepare(MIND(str(raw)), out)
    count = sum(made.manifest["counts"]["impressions"].values())

    def again(_: int) -> int:
        data_prepare.prepare(MIND(str(raw)), out, force=True)
        return count

    def opened(_: int) -> int:
        here = Store.open(made.path)
        return len(here.item_ids) and sum(len(here.part(part)) for part in here.parts)

    return (opened if how == OPENED else again), {"raw": size, "rows": count}


def by_lines(path: Path, out: Path, limit: int) -> int:
    """A plain preparer of the first lines; how many they were."""
    items: dict[str, int] = {}
    users: dict[tuple[str, tuple[int, ...]], int] = {}
    rows = []
    with path.open(encoding="utf-8") as file:
        for line in file:
            if len(rows) == limit:
                break
            number, user, moment, history, shown = line.rstrip("\n").split("\t")
            past = tuple([items.setdefault(each, len(items) + 1) for each in history.split()])
            candidates, labels = [], []
            for each in shown.split():
                name, _, label = each.partition("-")
                candidates.append(items.setdefault(name, len(items) + 1))
                labels.append(int(label))
            time = datetime.strptime(moment, "%m/%d/%Y %I:%M:%S %p").timestamp()
            row = users.setdefault((user, past), len(users))
            rows.append((int(time), int(number), row, len(past), candidates, labels))
    rows.sort(key=lambda row: row[:2])
    columns = list(zip(*rows, strict=True))
    numbers = pa.list_(pa.int32())
    types = (pa.int64(), pa.int64(), pa.int32(), pa.int32(), numbers, pa.list_(pa.int8()))
    names = ("time", "impression", "user", "stop", "candidates", "labels")
    table = pa.table(
        {name: pa.array(column, kind) for name, column, kind in zip(names, columns, types, strict=True)}
    )
    ids, histories = zip(*users, strict=True)
    pq.write_table(table, out / "loop.parquet")
    pq.write_table(pa.table({"user_id": ids, "history": pa.array(histories, numbers)}), out / "users.parquet")
    return len(rows)


def measure(*, quick: bool, seconds: float, rounds: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Each way in turn."""
    share = 0.0005 if quick else float(os.environ.get("LEGO_BENCH_SHARE", SHARE))
    size = {"rows": int(ROWS * share), "news": int(NEWS * share)}
    jobs = {name: {"how": name, **size} for name in (OURS, LOOP, OPENED)}
    rows = interleave("preparing", jobs, rounds=rounds, seconds=seconds, say=say)
    times = {name: rows[OURS].ratio(row) for name, row in rows.items()}
    records = {name: {**row.record(), "ratio": times[name]} for name, row in rows.items()}
    return {"rows": records, "times": times, "share": share} | {
        "cost": {name: row.cost for name, row in rows.items()}
    }


def page(numbers: Mapping[str, Any], machine: Mapping[str, Any]) -> str:
    """As Markdown."""
    about = numbers["rows"][OURS]["about"]
    lines = [
        "| way | seconds for all rows | µs a row | rows a second | times as long as lego | peak GiB |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for name, row in numbers["rows"].items():
        cost, (middle, least, most) = numbers["cost"][name], numbers["times"][name]
        ratio = "1" if name == OURS else f"{middle:.2g} ({least:.2g} to {most:.2g})"
        cells = [name, f"{cost * about['rows']:.3g}", f"{1e6 * cost:.3g}", f"{1 / cost:,.0f}", ratio]
        lines.append(f"| {' | '.join(cells)} | {row['peak'] / 2**30:.2f} |")
    size = f"{about['raw'] / 2**30:.2f} GiB"
    head = f"""# The speed of preparing

`make bench ONLY=preparing` on {machine["processor"]}: {about["rows"]:,} impressions in the format of MIND, {size} of text, which
is {numbers["share"]:g} of MIND-large (`LEGO_BENCH_SHARE=1` is all of it). CPU seconds of all threads, the median of the rounds;
ways take turns. The loop is a plain preparer, line by line, with dicts, which writes Parquet; it neither checks nor hashes
what it reads, and it is measured, with its peak of memory, on {LINES:,} lines, from which its seconds for all are extrapolated.
Pages of mapped files count into a peak.

"""
    return head + "\n".join(lines) + "\n"
