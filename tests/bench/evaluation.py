"""What evaluation costs with caches and without: impression by impression, and pair by pair as a loop over rows does.

The cached way scores the whole dev part and measures it in five metrics. The others encode every slot where it stands, padded,
and score a part of it; what metrics cost beside them is left out. How much a cache saves depends on how often users and items
come again and on what encoding them costs, so both are varied: users share histories, items are folded onto fewer rows.
LEGO_BENCH_MODELS=Dot takes a part of the models.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import attrs
import numpy as np
import torch
from measure import Pool
from plain import every_slot, padded
from step import DEV, HISTORY, IMPRESSIONS, NEWS, TITLE, made_up, megabytes

from lego import DCN, DIN, MIND, Attention, Dot, Experiment, Mean, Recommender, Training, zoo
from lego.behavior.history import History
from lego.compiler.assemble import Compiled
from lego.compiler.assemble import compile as compiled_of
from lego.data.sampling import Rows
from lego.data.store import Impressions
from lego.metric.evaluate import measure as measured
from lego.metric.gauc import GAUC
from lego.metric.mrr import MRR
from lego.metric.mrr_all import MRRAll
from lego.metric.ndcg import NDCG
from lego.ragged import Ragged
from lego.runtime import score
from lego.sequence.additive import Additive
from lego.sequence.transformer import Transformer
from lego.task.matching import Matching
from lego.task.ranking import Ranking

PAGE = "speed_of_evaluation.md"
METRICS = (GAUC(), MRR(), MRRAll(), NDCG(5), NDCG(10))
CACHED, BY_IMPRESSION, BY_PAIR = "cached, with metrics", "impression by impression", "pair by pair"
WIDTH = 64
SAMPLE = {BY_IMPRESSION: 64, BY_PAIR: 256}
"""Impressions, or pairs, that the slow ways score in a step."""
FEW = 1_024
"""Impressions of the curves; LEGO_BENCH_SHARE=0.25 takes a quarter of them."""
SOME = 2_000
"""Impressions of the dev part that models are scored on whose scorer, and not the encoding, is what costs: all but Dot."""
USERS, ITEMS = (1, 8, 64), (1, 8, 64)
"""By what users and items are made fewer."""


def models() -> dict[str, Recommender]:
    """By what scores: a product, a network over two vectors, one that looks at every click, and a user as candidates see it."""
    pool = Additive(hidden=256)
    words: dict[str, Any] = {"reads": TITLE, "width": WIDTH}
    attention, hidden = Attention(heads=8, pool=pool), (1000, 1000, 1000)
    return {
        "Dot": Recommender(attention, attention, Dot(), **words),
        "DCN": Recommender(attention, Mean(), DCN(cross=3, hidden=hidden), **words),
        "DIN": Recommender(attention, History(), DIN(attention=(64,), hidden=hidden), **words),
        "CAUM, candidate-aware": attrs.evolve(zoo.caum(setting="table2", reads=TITLE), width=WIDTH),
    }


def contents() -> dict[str, Recommender]:
    """Dot behind item encoders of growing cost."""
    pool = Additive(hidden=256)
    made = {
        "the mean of the words": Mean(),
        "attention": Attention(heads=8, pool=pool),
        "a transformer of 3 layers": Transformer(layers=3, heads=8, pool=pool),
    }
    return {name: Recommender(each, pool, Dot(), reads=TITLE, width=WIDTH) for name, each in made.items()}


@cache
def _compiled(model: str, size: tuple[int, int, int]) -> Compiled:
    made = {**models(), **contents()}[model]
    task = Ranking(negatives=4) if model in ("DCN", "DIN") else Matching(negatives=4)
    experiment = Experiment(
        data=MIND(str(made_up(*size)), history=HISTORY), model=made, task=task, training=Training()
    )
    compiled = compiled_of(experiment)
    compiled.pipeline.eval()
    return compiled


def prepare(
    *, model: str, how: str, size: tuple[int, int, int], users: int = 1, items: int = 1, limit: int = 0
) -> tuple[Callable[[int], int], dict[str, Any]]:
    """The step of a row: it scores candidates and says how many."""
    torch.set_num_threads(1)
    compiled = _compiled(model, tuple(size))
    part = compiled.store.part("test").recent(HISTORY)
    if limit:
        part = part.take(np.arange(min(limit, len(part))))
    part, known = fewer(part, compiled.store.users, users, items)
    pipeline, feed = compiled.pipeline, compiled.pipeline.feed
    lengths = part.stop - part.start
    slots = int(lengths.sum()) + len(part.candidates.values)
    about = {
        "impressions": len(part),
        "pairs": len(part.candidates.values),
        "of a user": len(part) / len(np.unique(np.stack([part.start, part.stop]), axis=1).T),
        "of an item": slots
        / len(score._used_items(part, known, score._distinct(part, known, pipeline.needs))),
    }

    def cached(_: int) -> int:
        pipeline.feed = feed
        scores = score.cached(pipeline, part, known)
        measured(METRICS, scores, part.labels, offsets=part.candidates.offsets)
        return len(scores)

    def by_impression(number: int) -> int:
        pipeline.feed = padded(feed)
        first = number * SAMPLE[how] % max(1, len(part) - SAMPLE[how])
        return len(score.naive(pipeline, part.take(np.arange(len(part))[first:][: SAMPLE[how]]), known))

    def by_pair(number: int) -> int:
        pipeline.feed = padded(feed)
        total = len(part.candidates.values)
        pairs = np.random.default_rng(number).choice(total, min(total, SAMPLE[how]), replace=False)
        owner = np.searchsorted(part.candidates.offsets, pairs, side="right") - 1
        shown = part.candidates.values[pairs][:, None]
        rows = Rows(impression=owner, items=shown, labels=np.zeros(shown.shape, np.float32))
        with torch.inference_mode():
            for places in np.array_split(np.arange(len(pairs)), -(-len(pairs) // 64)):
                made = compiled.batch(part, rows, places, deduplicate=False)
                pipeline(every_slot(made, HISTORY))
        return len(pairs)

    return {CACHED: cached, BY_IMPRESSION: by_impression, BY_PAIR: by_pair}[how], about


def fewer(part: Impressions, users: Any, by: int, items: int) -> tuple[Impressions, Any]:
    """The same impressions, of a `by`-th of the users; and items, also those of histories, folded onto a share of the rows."""
    rows = np.arange(len(part)) % -(-len(part) // by)
    most = max(int(part.candidates.values.max()), int(users.history.values.max()))
    kept = max(1, most // items)

    def folded(values: Any) -> Any:
        return values if items == 1 else np.where(values > 0, 1 + (values - 1) % kept, 0)

    there = Ragged(folded(part.candidates.values), part.candidates.offsets)
    past = Ragged(folded(users.history.values), users.history.offsets)
    part = attrs.evolve(
        part, user=part.user[rows], start=part.start[rows], stop=part.stop[rows], candidates=there
    )
    return part, attrs.evolve(users, history=past)


# --- the rows -------------------------------------------------------------------------------------------------------------------


def measure(*, quick: bool, seconds: float, rounds: int, say: Callable[[str], None]) -> dict[str, Any]:
    """The three ways on the whole part for each model; then the curves."""
    size = (300, 400, 20) if quick else (NEWS, IMPRESSIONS, DEV)
    limit = 16 if quick else int(FEW * float(os.environ.get("LEGO_BENCH_SHARE", "1")))
    wanted = [each for each in models() if os.environ.get("LEGO_BENCH_MODELS", "") in each]
    found: dict[str, Any] = {"whole": {}, "repeats": {}, "cost": {}, "size": size, "few": limit}
    run = {"rounds": rounds, "seconds": seconds, "say": say}
    with Pool("evaluation") as pool:
        for model in wanted:
            part = 0 if model == "Dot" else SOME
            jobs = {
                how: {"model": model, "how": how, "size": size, "limit": part} for how in (CACHED, *SAMPLE)
            }
            rows = pool.interleave(jobs, **run)
            found["whole"][model] = {
                how: {**row.record(), "cost": row.cost, "ratio": rows[CACHED].ratio(row)}
                for how, row in rows.items()
            }
    with Pool("evaluation", together=True) as pool:
        for model in wanted:
            jobs = {BY_IMPRESSION: {"model": model, "how": BY_IMPRESSION, "size": size, "limit": limit}}
            for users in USERS:
                for items in ITEMS:
                    jobs[f"{users}, {items}"] = {
                        "model": model,
                        "how": CACHED,
                        "size": size,
                        "limit": limit,
                        "users": users,
                        "items": items,
                    }
            rows = pool.interleave(jobs, **run)
            slow = rows.pop(BY_IMPRESSION)
            found["repeats"][model] = {
                name: {"about": dict(row.about), "ratio": row.ratio(slow)} for name, row in rows.items()
            }
        for content in contents():
            base = {"model": content, "size": size, "limit": limit}
            rows = pool.interleave({how: {**base, "how": how} for how in (CACHED, *SAMPLE)}, **run)
            found["cost"][content] = {
                how: {"cost": row.cost, "ratio": rows[CACHED].ratio(row)} for how, row in rows.items()
            }
    return found


# --- the page -------------------------------------------------------------------------------------------------------------------


def _spread(ratio: tuple[float, float, float]) -> str:
    middle, least, most = (f"{each:,.0f}" if each >= 10 else f"{each:.1f}" for each in ratio)
    return f"{middle} ({least} to {most})"


def page(numbers: Mapping[str, Any], machine: Mapping[str, Any]) -> str:
    """As Markdown."""
    one = next(iter(numbers["whole"].values()))[CACHED]["about"]
    lines = [
        HEAD.format(
            processor=machine["processor"],
            torch=machine["torch"],
            pairs=f"{one['pairs']:,}",
            impressions=f"{one['impressions']:,}",
            users=one["of a user"],
            items=one["of an item"],
            width=WIDTH,
        ),
        "| scored by | pairs | pairs / s | seconds for all | over impressions | over pairs | peak MB | pair by pair, MB |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for model, rows in numbers["whole"].items():
        ours = rows[CACHED]
        cells = [
            model,
            f"{ours['about']['pairs']:,}",
            f"{1 / ours['cost']:,.0f}",
            f"{ours['cost'] * ours['about']['pairs']:.1f}",
            _spread(rows[BY_IMPRESSION]["ratio"]),
            _spread(rows[BY_PAIR]["ratio"]),
            *(megabytes(row["peak"]) for row in (ours, rows[BY_PAIR])),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    lines += [REPEATS.format(few=f"{numbers['few']:,}")]
    cells = next(iter(numbers["repeats"].values()))
    lines += [
        "| a user has | an item stands in | " + " | ".join(numbers["repeats"]) + " |",
        "|---:|---:|" + "---:|" * len(numbers["repeats"]),
    ]
    for name, each in cells.items():
        about = each["about"]
        ratios = [f"{rows[name]['ratio'][0]:,.1f}" for rows in numbers["repeats"].values()]
        lines.append(
            f"| {about['of a user']:,.1f} impressions | {about['of an item']:,.1f} slots | {' | '.join(ratios)} |"
        )
    lines += [
        COST,
        "| an item is | µs a pair, cached | µs, pair by pair | over impression by impression | over pair by pair |",
    ]
    lines += ["|---|---:|---:|---:|---:|"]
    for content, rows in numbers["cost"].items():
        cells = [
            content,
            f"{1e6 * rows[CACHED]['cost']:,.1f}",
            f"{1e6 * rows[BY_PAIR]['cost']:,.0f}",
            _spread(rows[BY_IMPRESSION]["ratio"]),
            _spread(rows[BY_PAIR]["ratio"]),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    note = f"\n{numbers['note']}\n" if "note" in numbers else ""  # of this release
    return "\n".join(lines) + "\n" + note


HEAD = """# The speed of evaluation

`make bench ONLY=evaluation` on one thread of {processor}, torch {torch}: {pairs} pairs of {impressions} impressions of made-up
news, with GAUC, both MRRs, nDCG@5 and nDCG@10, at width {width}. A history comes in {users:.1f} impressions in the mean, an item
in {items:.0f} slots. Cached: each item is encoded once, each history once, then only the scorer runs. Impression by impression:
every slot is encoded where it stands, a history once for all candidates of its impression, titles padded to the longest. Pair by
pair: a history again for each candidate, and its empty slots too, which is what a loop over rows does. Both slow ways score a
sample and measure nothing. CPU time, the median of the rounds; ways take turns, brackets are the spread over the rounds.

All items are read by attention over their words. `lego evaluate --no-cache` scores a run of your own without caches.
"""
REPEATS = """
## By how often users and items come again

How many times as fast as impression by impression, on {few} impressions. Users are made fewer by giving impressions the same
history, items by folding their rows. What a cache saves grows with repeats until the scorer itself is what is left: a product
costs nothing beside encoding, a network over each pair or each click is run for every pair whatever is cached.
"""
COST = """
## By what encoding an item costs

Scored by a product, users pooled by additive attention.
"""
