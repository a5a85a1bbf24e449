"""What metrics cost at the size of MIND-small's dev part, beside a loop over impressions with scikit-learn and beside ranx.

All rows measure the same scores in five metrics: AUC, both MRRs, nDCG@5 and nDCG@10; ranx has no AUC and one MRR, and
measures five of its own. The loop is what most codes of the field do: scikit-learn for AUC and nDCG, numpy for the MRRs,
impression by impression. Legommenders, which lego comes from, spreads such a loop over processes: five new ones for each
metric, and a task for each group.
"""

from __future__ import annotations

import itertools
import multiprocessing
import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from measure import interleave

from lego.metric.gauc import GAUC
from lego.metric.mrr import MRR
from lego.metric.mrr_all import MRRAll
from lego.metric.ndcg import NDCG
from lego.metric.ranking import Ranking

PAGE = "speed_of_metrics.md"
IMPRESSIONS = 73_152
"""Of MIND-small's dev part; with 37 candidates in the mean they have 2.7 million scores. LEGO_BENCH_SHARE=30 is 80 million."""
SAMPLE = 2_000
"""Impressions that the slow ways measure in a step."""
METRICS = (GAUC(), MRR(), MRRAll(), NDCG(5), NDCG(10))
OURS, SORTED, LOOP, TASKS, RANX, RANX_READY = (
    "lego",
    "lego, after the sort",
    "scikit-learn, per impression",
    "scikit-learn, a task for each impression (Legommenders)",
    "ranx",
    "ranx, once its tables are made",
)
HOW = {OURS: "all", SORTED: "sorted", LOOP: "loop", TASKS: "tasks", RANX: "ranx", RANX_READY: "ranx ready"}
LARGE = "at more"
"""Where the numbers of more impressions than those stand."""
PROCESSES = 5
"""That Legommenders starts for each metric."""


def scores_of(impressions: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores, labels and offsets of impressions with 2 to 72 candidates, a twentieth of which is clicked; one at least."""
    generator = np.random.default_rng(0)
    sizes = generator.integers(2, 73, impressions)
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    labels = (generator.random(offsets[-1]) < 0.04).astype(np.int8)
    labels[offsets[:-1]], labels[offsets[1:] - 1] = 1, 0
    return generator.normal(size=offsets[-1]).astype(np.float32), labels, offsets


def prepare(*, how: str, impressions: int) -> tuple[Callable[[int], int], dict[str, Any]]:
    """The step of a row: it measures impressions and says how many."""
    scores, labels, offsets = scores_of(impressions)
    part = min(SAMPLE, impressions)
    cut = offsets[: part + 1]
    about = {"scores": len(scores), "impressions": impressions}
    if how == "all":
        return lambda _: _measured(Ranking(scores, labels, offsets=offsets)), about
    if how == "sorted":
        ranking = Ranking(scores, labels, offsets=offsets)
        return lambda _: _measured(ranking), about
    # The slow ways need not hold what they do not measure.
    scores, labels = scores[: cut[-1]].copy(), labels[: cut[-1]].copy()
    if how == "loop":
        return lambda _: _loop(scores, labels, cut), about
    if how == "tasks":
        return lambda _: _tasks(scores, labels, cut), about
    from ranx import Qrels, Run, evaluate

    wanted = ["mrr", "map", "ndcg@5", "ndcg@10", "recall@10"]

    def tables() -> tuple[Any, Any]:
        names = [f"d{at}" for at in range(int(np.diff(cut).max()))]
        rows = list(itertools.pairwise(cut))
        judged = {
            f"q{at}": {names[each]: 1 for each in np.flatnonzero(labels[begin:end])}
            for at, (begin, end) in enumerate(rows)
        }
        given = {
            f"q{at}": dict(zip(names, scores[begin:end].tolist(), strict=False))
            for at, (begin, end) in enumerate(rows)
        }
        return Qrels(judged), Run(given)

    if how == "ranx":

        def whole(_: int) -> int:
            evaluate(*tables(), wanted)
            return part

        return whole, about
    ready = tables()

    def again(_: int) -> int:
        evaluate(*ready, wanted)
        return part

    return again, about


def _measured(ranking: Ranking) -> int:
    for metric in METRICS:
        metric.measure(ranking)
    return ranking.groups


def _loop(scores: np.ndarray, labels: np.ndarray, offsets: np.ndarray) -> int:
    ways = _slow().values()
    found = [[way(*one) for way in ways] for one in _one_by_one(scores, labels, offsets)]
    np.mean(found, axis=0)
    return len(found)


def _tasks(scores: np.ndarray, labels: np.ndarray, offsets: np.ndarray) -> int:
    each = list(_one_by_one(scores, labels, offsets))
    for name in _slow():
        pool = multiprocessing.get_context("fork").Pool(PROCESSES)
        np.mean(pool.starmap(_task, [(name, *one) for one in each], chunksize=1))
        pool.close()
        pool.join()
    return len(each)


def _task(name: str, marks: np.ndarray, values: np.ndarray) -> float:
    return float(_slow()[name](marks, values))


def _one_by_one(
    scores: np.ndarray, labels: np.ndarray, offsets: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The labels and scores of each impression."""
    for begin, end in itertools.pairwise(offsets):
        yield labels[begin:end], scores[begin:end]


def _slow() -> dict[str, Callable[[np.ndarray, np.ndarray], float]]:
    """The same five metrics of one impression's labels and scores, in the order of `METRICS`."""
    from sklearn.metrics import ndcg_score, roc_auc_score

    def ranks(marks: np.ndarray, values: np.ndarray) -> np.ndarray:
        return np.flatnonzero(marks[np.argsort(-values, kind="stable")]) + 1

    return {
        "gauc": roc_auc_score,
        "mrr": lambda marks, values: 1 / ranks(marks, values)[0],
        "mrr_all": lambda marks, values: (1 / ranks(marks, values)).mean(),
        "ndcg@5": lambda marks, values: ndcg_score([marks], [values], k=5),
        "ndcg@10": lambda marks, values: ndcg_score([marks], [values], k=10),
    }


def measure(*, quick: bool, seconds: float, rounds: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Each way in turn."""
    impressions = 300 if quick else int(IMPRESSIONS * float(os.environ.get("LEGO_BENCH_SHARE", "1")))
    jobs = {name: {"how": how, "impressions": impressions} for name, how in HOW.items()}
    rows = interleave("metrics", jobs, rounds=rounds, seconds=seconds, say=say)
    records = {name: {**row.record(), "ratio": rows[OURS].ratio(row)} for name, row in rows.items()}
    found = {"rows": records, "table": _table(rows)}
    return {LARGE: found} if impressions > IMPRESSIONS else found


def _table(rows: Mapping[str, Any]) -> list[list[str]]:
    ours = rows[OURS]
    about = ours.about
    lines = []
    for name, row in rows.items():
        middle, least, most = ours.ratio(row)
        seconds = row.cost * about["impressions"]
        ratio = "1" if row is ours else f"{_times(middle)} ({_times(least)} to {_times(most)})"
        lines.append([name, f"{1e6 * row.cost:,.1f}", f"{seconds:,.2f}", ratio])
    return lines


def _times(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"


def page(numbers: Mapping[str, Any], machine: Mapping[str, Any]) -> str:
    """As Markdown."""
    parts = [f"# The speed of metrics\n\n{HEAD.format(processor=machine['processor'], processes=PROCESSES)}"]
    for found, command in ((numbers, ""), (numbers.get(LARGE, {}), "LEGO_BENCH_SHARE=30 ")):
        if "rows" not in found:
            continue
        about, ours = found["rows"][OURS]["about"], found["rows"][OURS]
        peak = (
            f" At its most the process holds {ours['peak'] / 1e9:.1f} GB, {(ours['peak'] - ours['held']) / 1e9:.1f} of which the "
            "measuring adds."
            if command
            else ""
        )
        parts.append(
            f"## {about['scores']:,} scores\n\n"
            f"Of {about['impressions']:,} impressions (`{command}make bench ONLY=metrics`).{peak}\n"
        )
        rows = [
            "| way | µs an impression | seconds for all | times as long as lego |",
            "|---|---:|---:|---:|",
        ]
        rows += ["| " + " | ".join(row) + " |" for row in found["table"]]
        parts.append("\n".join(rows) + "\n")
    return "\n".join(parts)


HEAD = """\
Five metrics on one core of {processor}, the first at the size of MIND-small's dev part. CPU seconds, the median of the rounds;
ways take turns. The slow ones measure a part of the impressions, and their seconds for all are that times as many. The loop over
impressions, with scikit-learn for AUC and nDCG and numpy for the MRRs, is what most codes of the field do; Legommenders starts
{processes} processes for each metric and gives them a task for each group. ranx has no AUC and measures five of its own; its
tables are made from dicts.
"""
