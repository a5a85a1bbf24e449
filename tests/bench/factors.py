"""What each lever is worth, switched on one by one, from the plain way to what `lego` does and to what it offers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import language_models
import torch
from measure import Pool, Row
from plain import padded
from step import DEV, IMPRESSIONS, NEWS, batches, experiment_of, keep_memory, megabytes, stepping

from lego.compiler.assemble import compile as compiled_of
from lego.pretrained.packaged import MINILM
from lego.runtime.fit import make_optimizer

PAGE = "speed_by_factor.md"
LEVERS = (
    "the plain way",
    "padding among the slots is not encoded",
    "each distinct item once",
    "no text longer than the longest of the batch",
    "pages by length",
    "a fused optimiser",
    "memory that is kept between steps: what `lego` does",
    'rows of tables alone: `Training(tables="touched")`',
)
PLAIN, PADDED, ONCE, TRIMMED, SORTED, FUSED, KEPT, ROWS = range(len(LEVERS))
MODELS = ("NRMS", "NAML, one view")


def prepare(**job: Any) -> tuple[Callable[[int], int], dict[str, Any]]:
    """The step of a row: it trains on a batch and says of how many impressions."""
    return language_models.prepare(**job) if "checkpoint" in job else _words(**job)


def _words(
    *, model: str, width: int, batch: int, lever: int, size: tuple[int, int, int]
) -> tuple[Callable[[int], int], dict[str, Any]]:
    torch.set_num_threads(1)
    training = {"deduplicate": lever >= ONCE, "tables": "touched" if lever >= ROWS else "all"}
    compiled = compiled_of(experiment_of(model, width, batch, tuple(size), **training))
    pipeline = compiled.pipeline
    make = batches(compiled, plain=lever == PLAIN)
    if lever < TRIMMED:
        pipeline.feed = padded(pipeline.feed)
    elif lever < SORTED:
        pipeline.feed = padded(pipeline.feed, trimmed=True)
    if lever < FUSED:
        optimizer: torch.optim.Optimizer = torch.optim.Adam(pipeline.parameters(), lr=1e-3)
    else:
        optimizer = make_optimizer(pipeline, compiled.experiment.training)
    if lever >= KEPT:
        keep_memory()
    return stepping(compiled, make, optimizer), {}


def measure(*, quick: bool, seconds: float, rounds: int, say: Callable[[str], None]) -> dict[str, Any]:
    """All levers of a model in turn."""
    size = (300, 400, 20) if quick else (NEWS, IMPRESSIONS, DEV)
    run = {"rounds": rounds, "seconds": seconds, "say": say}
    found: dict[str, Any] = {"words": {}, "language": {}}
    with Pool("factors") as pool:
        for model in MODELS:
            for width in (16,) if quick else (64, 256):
                jobs = {
                    name: {
                        "model": model,
                        "width": width,
                        "batch": 8 if quick else 64,
                        "lever": lever,
                        "size": size,
                    }
                    for lever, name in enumerate(LEVERS)
                }
                rows = pool.interleave(jobs, **run)
                found["words"][f"{model}, width {width}"] = _steps(rows)
        if MINILM.find() is None:
            say(f"factors: MiniLM is left out, its package {MINILM.package} is not installed")
            return found
        found["language"] = _steps(pool.interleave(language_jobs(quick=quick), **run))
    return found


def language_jobs(*, quick: bool) -> dict[str, dict[str, Any]]:
    """A language model: what is frozen, then what is kept, on top of the rest."""
    groups = language_models.groups("MiniLM", quick=quick)
    plain, once, full = (
        groups[0][each] for each in (language_models.PLAIN, language_models.ONCE, language_models.FULL)
    )
    top = "split(5)"
    return {
        LEVERS[PLAIN]: plain,
        LEVERS[ONCE]: once,
        LEVERS[SORTED]: full,
        "five of six layers frozen, run in every step": groups[2][f"{top}, run each time"],
        "their states kept: `split(-1)`": groups[1][top],
    }


def _steps(rows: Mapping[str, Row]) -> list[dict[str, Any]]:
    names = list(rows)
    first = rows[names[0]]
    lines = []
    for before, name in zip([names[0], *names], names, strict=False):
        row = rows[name]
        lines.append(
            {
                "name": name,
                "cost": row.cost,
                "over plain": row.ratio(first),
                "over before": row.ratio(rows[before]),
                "peak": row.peak,
            }
        )
    return lines


def page(numbers: Mapping[str, Any], machine: Mapping[str, Any]) -> str:
    """As Markdown."""
    lines = [HEAD.format(processor=machine["processor"], torch=machine["torch"])]
    if (
        "note" in numbers
    ):  # what was special when these were taken, written by hand into the file of a release
        lines.append(f"{numbers['note']}\n")
    for name, steps in numbers["words"].items():
        lines += [f"## {name}\n", *_table(steps, "ms an impression"), ""]
    if numbers["language"]:
        lines += ["## MiniLM\n", LANGUAGE, *_table(numbers["language"], "ms an impression"), ""]
    return "\n".join(lines)


def _table(steps: list[dict[str, Any]], unit: str) -> list[str]:
    lines = [
        f"| lever | {unit} | over the plain way | over the row above | peak MB |",
        "|---|---:|---:|---:|---:|",
    ]
    for each in steps:
        over, before = each["over plain"], each["over before"]
        lines.append(
            f"| {each['name']} | {1e3 * each['cost']:.2f} | {over[0]:.2f} ({over[1]:.2f} to {over[2]:.2f}) | "
            f"{before[0]:.2f} | {megabytes(each['peak'])} |"
        )
    return lines


HEAD = """# The speed by factor

`make bench ONLY=factors` on one thread of {processor}, torch {torch}: a training step (64 impressions, CPU time) on made-up news
with the statistics of MIND, each lever on top of those above it. Rows take turns; costs and ratios are each the
median of the rounds, so that one need not follow from the other, and brackets are the spread of the ratio.
"""
LANGUAGE = """The same for a small language model (six layers, 384 wide) that reads the titles, and what freezing gives on top.
Batches are of 64 impressions, which the plain way takes in eight parts; the page on [language models](language_models.md) has
more splits.
"""
