"""One thread of torch and two: a training step of a small, a wider and a language model, taking turns.

A second thread is worth something where a core is idle for it; how busy the machine was before stands on the page.
LEGO_BENCH_MODELS=NRMS takes a part of the table.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from statistics import median
from typing import Any

import language_models
import torch
from measure import Pool, Row
from step import DEV, IMPRESSIONS, NEWS, OURS
from step import prepare as step_of

from lego.pretrained.packaged import MINILM

PAGE = "threads.md"
THREADS = (1, 2)
MODELS: Mapping[str, int] = {"NRMS, width 64": 64, "NRMS, width 256": 256}
LANGUAGE = "MiniLM, all layers learning"


def prepare(
    *, threads: int, language: bool = False, **job: Any
) -> tuple[Callable[[int], int], dict[str, Any]]:
    """The step of a row, on so many threads of torch."""
    if language:
        step, _ = language_models.prepare(**job)
    else:
        step, _ = step_of(how=OURS, **job)
    torch.set_num_threads(threads)
    return step, {"threads": torch.get_num_threads()}


def measure(*, quick: bool, seconds: float, rounds: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Every model; one thread and two take turns, each in a process of its own."""
    size = (300, 400, 20) if quick else (NEWS, IMPRESSIONS, DEV)
    batch = 8 if quick else 64
    jobs: dict[str, dict[str, Any]] = {
        name: {"model": "NRMS", "width": 16 if quick else width, "batch": batch, "size": size}
        for name, width in MODELS.items()
    }
    if MINILM.find() is None:
        say(f"threads: MiniLM is left out, its package {MINILM.package} is not installed")
    else:
        full = language_models.groups("MiniLM", quick=quick)[0][language_models.FULL]
        jobs[LANGUAGE] = {"language": True, **full}
    wanted = os.environ.get("LEGO_BENCH_MODELS", "")
    jobs = {name: job for name, job in jobs.items() if wanted in name}
    found: dict[str, Any] = {"batch": batch, "load": os.getloadavg()[0], "steps": {}}
    with Pool("threads", threads=max(THREADS)) as pool:
        for name, job in jobs.items():
            # Steps of a language model are long: fewer of them tell as much.
            turns = rounds if "language" in job else max(5, rounds)
            rows = pool.interleave(
                {str(threads): {"threads": threads, **job} for threads in THREADS},
                rounds=turns,
                seconds=seconds,
                say=say,
            )
            found["steps"][name] = _compared(rows, job.get("batch") or job["rows"])
    return found


def _compared(rows: Mapping[str, Row], batch: int) -> dict[str, Any]:
    one, two = (rows[str(threads)] for threads in THREADS)
    walls = [
        (first.wall / first.work) / (second.wall / second.work)
        for first, second in zip(one.turns, two.turns, strict=True)
    ]
    return {
        "cpu": {threads: 1e3 * batch * row.cost for threads, row in rows.items()},
        "wall": {
            threads: 1e3 * batch * median(turn.wall / turn.work for turn in row.turns)
            for threads, row in rows.items()
        },
        "ratio": (median(walls), min(walls), max(walls)),
        "over one in CPU": one.ratio(two),
    }


def page(numbers: Mapping[str, Any], machine: Mapping[str, Any]) -> str:
    """As Markdown."""
    lines = [
        HEAD.format(
            processor=machine["processor"],
            cores=machine["cores"],
            torch=machine["torch"],
            batch=numbers["batch"],
            load=numbers["load"],
        ),
        "| a step | one thread, ms | of CPU | two threads, ms | of CPU | times as fast | times the CPU |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for name, each in numbers["steps"].items():
        cells = [
            *(f"{each[what][str(threads)]:,.0f}" for threads in THREADS for what in ("wall", "cpu")),
            *(f"{middle:.2f} ({least:.2f} to {most:.2f})" for middle, least, most in (
                each["ratio"], each["over one in CPU"]
            )),
        ]  # fmt: skip
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n" + TAIL


HEAD = """# One thread and two

`make bench ONLY=threads` on {processor} with {cores} cores, torch {torch}: a training step ({batch} impressions, made-up
news with the statistics of MIND) on one thread of torch and on two, in time of the clock and in CPU time of all threads. The two
took turns; medians of the rounds, brackets are the spread. When it began, {load:.1f} other processes were running or waiting for
a core on average: the more there are, the less a second thread finds to run on, and a thread that waits for another one spins.
"""
TAIL = """
`OMP_NUM_THREADS` says how many threads a run takes.
"""
