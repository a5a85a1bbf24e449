"""How time and memory grow: three sizes of made-up news, ten times as many items and impressions each.

Of each size: preparing an impression, drawing an epoch, a training step (of words, of item ids over whole tables, of item ids
over the rows looked up), and scoring a pair, with the peak of memory of each. LEGO_BENCH_SHARE scales the impressions: 1 is 0.1,
1 and 10 million of them, which takes most of an hour and 20 GB of disk, first of all to write the files.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from measure import Pool
from step import HISTORY, TITLE, batches, made_up, stepping

from lego import MIND, Attention, Dot, Experiment, ItemID, Matching, Recommender, Training
from lego.compiler.assemble import compile as compiled_of
from lego.data import prepare as data_prepare
from lego.home import home
from lego.metric.evaluate import measure as measured
from lego.metric.gauc import GAUC
from lego.runtime import score
from lego.runtime.fit import Batches, make_optimizer
from lego.sequence.additive import Additive

PAGE = "growth.md"
SIZES = ((10_000, 100_000), (100_000, 1_000_000), (1_000_000, 10_000_000))
"""Items and impressions of the train part."""
SHARE = 0.02
PAIRS = 100_000
"""Scored in a step, of the dev part."""
WORK = {
    "prepare": "preparing, an impression",
    "draw": "drawing an epoch, a training row",
    "words": "a step over words, an impression",
    "dense": 'a step over item ids, `tables="all"`, an impression',
    "rows": 'a step over item ids, `tables="touched"`, an impression',
    "score": "scoring with caches, a pair",
}


def prepare(*, work: str, items: int, impressions: int) -> tuple[Callable[[int], int], dict[str, Any]]:
    """The step of a row: it does some of the work and says how much."""
    torch.set_num_threads(1)
    raw = made_up(items, impressions, max(100, impressions // 10))
    data = MIND(str(raw), history=HISTORY)
    if work == "prepare":
        out = home() / "bench" / "growing"

        def prepared(_: int) -> int:
            made = data_prepare.prepare(data, out, force=True)
            return sum(made.manifest["counts"]["impressions"].values())

        return prepared, {"bytes": sum(path.stat().st_size for path in Path(raw).rglob("*.tsv"))}
    attention, pool = Attention(heads=8, pool=Additive(hidden=256)), Additive(hidden=256)
    words = Recommender(attention, attention, Dot(), reads=TITLE, width=64)
    model = words if work in ("words", "score") else Recommender(ItemID(), pool, Dot(), width=64)
    training = Training(tables="touched" if work == "rows" else "all")
    compiled = compiled_of(Experiment(data=data, model=model, task=Matching(negatives=4), training=training))
    if work == "draw":
        return lambda number: len(Batches.of_epoch(compiled, number).rows), {}
    if work == "score":
        return _scoring(compiled), {}
    optimizer = make_optimizer(compiled.pipeline, training)
    return stepping(compiled, batches(compiled, plain=False), optimizer), {}


def _scoring(compiled: Any) -> Callable[[int], int]:
    part = compiled.store.part("test").recent(HISTORY)
    end = max(1, int(np.searchsorted(part.candidates.offsets, PAIRS)))
    part = part.take(np.arange(min(end, len(part))))
    compiled.pipeline.eval()

    def scored(_: int) -> int:
        scores = score.cached(compiled.pipeline, part, compiled.store.users)
        measured((GAUC(),), scores, part.labels, offsets=part.candidates.offsets)
        return len(scores)

    return scored


def measure(*, quick: bool, seconds: float, rounds: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Every work at every size; the sizes of one work take turns."""
    share = float(os.environ.get("LEGO_BENCH_SHARE", SHARE))
    sizes = [(60, 40), (120, 80)] if quick else [(items, int(rows * share)) for items, rows in SIZES]
    found: dict[str, Any] = {"sizes": sizes, "work": {}}
    with Pool("growth") as pool:
        for work in WORK:
            jobs = {
                name: {"work": work, "items": items, "impressions": rows}
                for name, (items, rows) in zip(_names(sizes), sizes, strict=True)
            }
            rows_of = pool.interleave(jobs, rounds=rounds, seconds=seconds, say=say)
            first = rows_of[next(iter(jobs))]
            found["work"][work] = {
                name: {
                    "cost": row.cost,
                    "peak": row.peak,
                    "ratio": row.ratio(first),
                    "about": dict(row.about),
                }
                for name, row in rows_of.items()
            }
    return found


def page(numbers: Mapping[str, Any], machine: Mapping[str, Any]) -> str:
    """As Markdown."""
    names = _names(numbers["sizes"])
    lines = [
        HEAD.format(
            processor=machine["processor"],
            torch=machine["torch"],
            rounds="1 round" if numbers["rounds"] == 1 else f"{numbers['rounds']} rounds",
        ),
        f"| µs of CPU for | {' | '.join(names)} |",
        "|---|" + "---:|" * len(names),
    ]
    for work, rows in numbers["work"].items():
        lines.append(
            f"| {WORK[work]} | " + " | ".join(f"{1e6 * rows[name]['cost']:,.1f}" for name in names) + " |"
        )
    lines += ["", f"| peak MB while | {' | '.join(names)} |", "|---|" + "---:|" * len(names)]
    for work, rows in numbers["work"].items():
        what = WORK[work].rpartition(",")[0]
        lines.append(f"| {what} | " + " | ".join(f"{rows[name]['peak'] / 1e6:,.0f}" for name in names) + " |")
    return "\n".join(lines) + "\n" + TAIL.format(**_far(numbers))


def _names(sizes: Iterable[tuple[int, int]]) -> list[str]:
    """What the columns are called: those of the last run, for a release keeps those of other sizes too."""
    return [f"{items:,} items, {rows:,} impressions" for items, rows in sizes]


def _far(numbers: Mapping[str, Any]) -> dict[str, str]:
    """What the largest size says of larger ones, where cost is in proportion."""
    last = {work: rows[_names(numbers["sizes"])[-1]]["cost"] for work, rows in numbers["work"].items()}
    return {
        "prepare_large": f"{2.2e6 * last['prepare'] / 60:,.1f}",
        "epoch_large": f"{3.4e6 * last['words'] / 3600:,.1f}",
        "score_large": f"{13.4e6 * last['score'] / 60:,.0f}",
        "prepare_amazon": f"{570e6 * last['prepare'] / 3600:,.1f}",
        "epoch_amazon": f"{570e6 * last['rows'] / 3600:,.0f}",
    }


HEAD = """# How cost grows

`make bench ONLY=growth` on one thread of {processor}, torch {torch}: made-up news of three sizes, CPU time, the median of
{rounds}, sizes taking turns. A cost that is in proportion has the same number in each column. `LEGO_BENCH_SHARE=1` takes 0.1, 1
and 10 million impressions; what is below was measured with the impressions that stand above its
columns. Pages of mapped files count into a peak.
"""
TAIL = """
Scoring encodes the items of its part, so that where few pairs meet many items, a pair pays for more of them. Over whole tables a
step updates every row, and grows with the catalogue; over the rows that it looks up it does not.

## What follows for larger data

These numbers follow from the last column, of which they are multiples, with as many items to an impression as there; none of them
was measured. Each step names what gives way first.

**MIND-large** (160 thousand news, 2.2 million impressions, 3.4 million clicks, 13.4 million pairs to score): {prepare_large}
minutes to prepare, {epoch_large} hours an epoch of the model over words, {score_large} minutes to score the dev part. All of it
fits into memory many times. *The step* is what takes the time, and in it the products of matrices: more threads.

**Amazon** (50 million items, 570 million reviews): {prepare_amazon} hours to prepare, {epoch_amazon} hours an epoch of item ids
over rows. *Memory of the item table* gives way first: 50 million vectors of 64 floats are 13 GB, with the averages of Adam 38 GB,
and an update over the whole of it takes longer than the step. Over rows the update stays as it is, and the memory does not
shrink; a model that reads what an item says has no such table. The vectors that a catalogue is ranked or evaluated by are 13 GB
again, where all items occur, and one user who is ranked by all of them costs 6.4 billion operations; users in batches share the
reading. Hidden states of a language model 384 wide are half a terabyte in bf16 for titles of 14 tokens, 38 GB where an item has
one state: on disk, mapped, read as they are needed, so that *the disk* is next. Indices of an epoch, about 32 bytes a training
row, are 18 GB, since an epoch is drawn at once: a window of time (`split="time"`) or a smaller `core` of users is the way out.

**Beyond one machine**: *there is no distributed training*. What can be shared out today is what does not learn: states and
vectors of items (`lego embed`), seeds and configurations of a sweep, and scores, which `lego evaluate --scores FOLDER` reads from
several processes. A table of items over several machines is what would have to come first, and then the mean of gradients.
"""
