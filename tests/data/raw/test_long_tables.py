"""Logs of impressions, lists and columns beside that are read some rows at a time: the same tables, and little memory."""

from __future__ import annotations

import json
import tracemalloc

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.feather
import pyarrow.parquet as pq
import pytest

from lego import EBNeRD, Tables
from lego.data import table as table_module
from lego.data.impressions import events, growing_log, log, parts, shared_histories
from lego.data.own import beside, impression_rows
from lego.data.raw import (
    arrow_frame,
    csv_frame,
    frame,
    growing,
    guess,
    json_frame,
    order,
    parquet_file,
    spool,
    values,
)
from lego.data.source import ebnerd_histories, ebnerd_people

SHAPES = ("shown.csv", "shown.jsonl", "shown.arrow", "shown.parquet", "own.parquet", "grouped.csv")


def _written(folder, shape, count):
    """A log of so many rows, and the items."""
    generator = np.random.default_rng(0)
    (folder / "items.csv").write_text("item_id,title\n" + "".join(f"i{n},Item {n}\n" for n in range(60)))
    lists = [[f"i{n}" for n in generator.integers(0, 60, 3)] for _ in range(count)]
    users = [f"u{n}" for n in generator.integers(0, 50, count)]
    rows = {
        "user": users,
        "time": 10**9 + np.arange(count),
        "candidates": lists,
        "labels": [[1, 0, 0]] * count,
        "position": [[1.0, 2.0, 3.5]] * count,
        "device": [("phone", "desk")[n % 2] for n in range(count)],
        "note": [f"said in words {n % 50} of {n % 7}" for n in range(count)],
    }
    if shape == "own.parquet":
        rows["history"] = [[f"i{n}" for n in range(int(user[1:]) % 9)] for user in users]
    if shape == "grouped.csv":
        group = np.arange(count) // 3
        rows = {
            "impression_id": group,
            "user": [f"u{n % 50}" for n in group],
            "item": [each[0] for each in lists],
            "time": 10**9 + group,
            "label": (np.arange(count) % 3 == 0).astype(int),
            "position": np.arange(count) % 3 + 1,
            "device": [("phone", "desk")[n % 2] for n in group],
        }
    table, path = pa.table(rows), folder / shape
    if shape == "shown.csv":
        for name, words in (
            ("candidates", lists),
            ("labels", rows["labels"]),
            ("position", rows["position"]),
        ):
            joined = pa.array([" ".join(map(str, each)) for each in words])
            table = table.set_column(table.column_names.index(name), name, joined)
    if path.suffix == ".csv":
        pyarrow.csv.write_csv(table, path)
    elif path.suffix == ".parquet":
        pq.write_table(table, path)
    elif path.suffix == ".arrow":
        pyarrow.feather.write_feather(table, str(path), chunksize=1000)
    else:
        path.write_text("".join(f"{json.dumps(row)}\n" for row in table.to_pylist()))
    option = "rows" if shape == "grouped.csv" else "impressions"
    return Tables(str(folder / "items.csv"), **{option: str(path)})


def _in_pieces(monkeypatch, rows):
    """Of so many rows, all of them on disk."""
    for module, names in (
        (order, ("_RUN", "_MERGED")),
        (growing, ("MANY",)),
        (spool, ("MANY",)),
        (events, ("MANY",)),
        (parts, ("MANY",)),
        (log, ("MANY", "_FEW")),
        (table_module, ("MANY", "_ROWS")),
        (frame, ("ROWS",)),
        (csv_frame, ("ROWS",)),
        (arrow_frame, ("ROWS",)),
        (guess, ("_PIECE",)),
        (values, ("MANY",)),
        (beside, ("MANY",)),
        (impression_rows, ("MANY",)),
        (growing_log, ("MANY",)),
        (shared_histories, ("MANY", "_FEW")),
        (parquet_file, ("_ROWS", "_BUFFER")),
        (ebnerd_histories, ("MANY", "_ROWS")),
        (ebnerd_people, ("MANY",)),
    ):
        for name in names:
            monkeypatch.setattr(module, name, rows)
    monkeypatch.setattr(growing, "HELD", 16 * rows)
    monkeypatch.setattr(spool, "HELD", 64 * rows)
    for module in (csv_frame, json_frame):
        monkeypatch.setattr(module, "BLOCK", 256 * rows)


@pytest.mark.parametrize("shape", SHAPES)
def test_pieces_give_what_the_whole_gives(tmp_path, monkeypatch, shape):
    """The same users, impressions with what stands beside them, counts and rules."""
    source = _written(tmp_path, shape, 600)
    whole = source.tables()
    _in_pieces(monkeypatch, 64)
    made = source.tables()
    assert made.users.equals(whole.users)
    assert made.impressions == whole.impressions
    assert (made.dropped, made.rules) == (whole.dropped, whole.rules)
    assert {"position", "device"} <= set(made.impressions["train"].column_names)


@pytest.mark.parametrize("shape", ["shown.parquet", "grouped.csv"])
def test_memory_does_not_grow_with_the_log(tmp_path, monkeypatch, shape):
    """Each row of a longer log adds a few bytes at most, though its ids, numbers and words are many times that."""
    _in_pieces(monkeypatch, 1 << 10)
    peaks = []
    for count in (3_000, 12_000):
        source = _written(tmp_path, shape, count)
        tracemalloc.start()
        source.tables()
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert (peaks[1] - peaks[0]) / 9_000 < 40


def _news(folder, users, clicks):
    """An edition of EB-NeRD in which each user has so many clicks before their only impression."""
    times = pa.array(np.tile(np.arange(clicks), users).astype("datetime64[us]"))
    offsets, lists = pa.array(np.arange(users + 1) * clicks), pa.LargeListArray.from_arrays
    for part in ("train", "validation"):
        (folder / part).mkdir(parents=True)
        items = pa.array(np.arange(users * clicks) % 60 + 1, pa.int32())
        who = pa.array(np.arange(users), pa.uint32())
        before = {
            "user_id": who,
            "impression_time_fixed": lists(offsets, times),
            "article_id_fixed": lists(offsets, items),
        }
        shown = lists(pa.array(np.arange(users + 1) * 2), items[: users * 2])
        log = {
            "impression_id": who,
            "user_id": who,
            "impression_time": pa.array(np.full(users, 10**9).astype("datetime64[us]")),
            "article_ids_inview": shown,
            "article_ids_clicked": lists(pa.array(np.arange(users + 1)), items[::2][:users]),
        }
        pq.write_table(pa.table(before), folder / part / "history.parquet")
        pq.write_table(pa.table(log), folder / part / "behaviors.parquet")
    return EBNeRD(str(folder), missing="empty")


def test_memory_does_not_grow_with_the_histories(tmp_path, monkeypatch):
    """Of EB-NeRD: further users with 60 clicks each add a few bytes for a click at most, which has 20 as it is read."""
    _in_pieces(monkeypatch, 1 << 10)
    monkeypatch.setattr(ebnerd_histories, "_ROWS", 1 << 6)
    peaks = []
    for users in (300, 900):
        source = _news(tmp_path / str(users), users, 60)
        tracemalloc.start()
        source.tables()
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert (peaks[1] - peaks[0]) / (2 * 600 * 60) < 10
