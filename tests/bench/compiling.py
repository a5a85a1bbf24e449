"""What torch.compile gives: a training step as it is and compiled, taking turns, and what compiling costs.

Kernels are made in this process and kept nowhere, so that what they cost is counted, whatever was made before.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from typing import Any

from measure import Pool, children_too
from step import DEV, IMPRESSIONS, NEWS, OURS, experiment_of, keep_memory, stepping
from step import batches as batches_of
from step import prepare as step_of

from lego.compiler.assemble import compile as compiled_of
from lego.errors import RunError
from lego.runtime.compiling import compiled_operators, require_compiler
from lego.runtime.fit import make_optimizer

PAGE = "compiling.md"
MODELS: tuple[tuple[str, int], ...] = (("NRMS", 64), ("NRMS", 256), ("NAML, one view", 64))
AS_IT_IS, COMPILED = "as it is", "compiled"
FIRST = 8
"""Steps whose shapes graphs are made for, before anything is measured."""


def prepare(
    *, model: str, width: int, batch: int, how: str, size: tuple[int, int, int]
) -> tuple[Callable[[int], int], dict[str, Any]]:
    """The step of a row; the first ones, which compile, are behind it."""
    if how == AS_IT_IS:
        return step_of(model=model, width=width, batch=batch, how=OURS, size=size)
    folder = tempfile.mkdtemp()
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    # Before torch's compiler is imported: one process, so that its time is counted, and nothing of an earlier run.
    os.environ |= {"TORCHINDUCTOR_CACHE_DIR": folder, "TORCHINDUCTOR_COMPILE_THREADS": "1"}
    compiled = compiled_of(experiment_of(model, width, batch, tuple(size)))
    keep_memory()
    optimizer = make_optimizer(compiled.pipeline, compiled.experiment.training)
    step = stepping(compiled, batches_of(compiled, plain=False), optimizer)
    block = compiled_operators(compiled.pipeline)
    block.__enter__()  # for as long as this process lives
    _held.append(block)
    begun, spent = time.monotonic(), children_too()
    for number in range(FIRST):
        step(number)
    return step, {"compiling": children_too() - spent, "clock": time.monotonic() - begun}


_held: list[Any] = []


def measure(*, quick: bool, seconds: float, rounds: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Every model; as it is and compiled take turns."""
    try:
        require_compiler("cpu")
    except RunError as problem:
        say(f"compiling: nothing is measured. {problem}")
        return {"batch": 64, "steps": {}}
    size = (300, 400, 20) if quick else (NEWS, IMPRESSIONS, DEV)
    batch = 8 if quick else 64
    found: dict[str, Any] = {"batch": batch, "steps": {}}
    for model, width in MODELS[:1] if quick else MODELS:
        job = {"model": model, "width": 16 if quick else width, "batch": batch, "size": size}
        with Pool("compiling") as pool:
            rows = pool.interleave(
                {how: {**job, "how": how} for how in (AS_IT_IS, COMPILED)},
                rounds=max(5, rounds),
                seconds=seconds,
                say=say,
            )
        found["steps"][f"{model}, width {job['width']}"] = {
            "cost": {how: 1e3 * batch * row.cost for how, row in rows.items()},
            "ratio": rows[COMPILED].ratio(rows[AS_IT_IS]),
            "compiling": rows[COMPILED].about["compiling"] - FIRST * batch * rows[COMPILED].cost,
        }
    return found


def page(numbers: Mapping[str, Any], machine: Mapping[str, Any]) -> str:
    """As Markdown."""
    lines = [
        HEAD.format(
            processor=machine["processor"], torch=machine["torch"], batch=numbers["batch"], first=FIRST
        ),
        "| a step | as it is, ms | compiled, ms | times as fast | CPU seconds to compile |",
        "|---|---:|---:|---:|---:|",
    ]
    for name, each in numbers["steps"].items():
        middle, least, most = each["ratio"]
        spent = each["compiling"]
        lines.append(
            f"| {name} | {each['cost'][AS_IT_IS]:,.0f} | {each['cost'][COMPILED]:,.0f} "
            f"| {middle:.2f} ({least:.2f} to {most:.2f}) | {'–' if spent is None else f'{spent:,.0f}'} |"
        )
    return "\n".join(lines) + "\n"


HEAD = """# What compiling gives

`make bench ONLY=compiling` on one thread of {processor}, torch {torch}: a training step ({batch} impressions, made-up news with
the statistics of MIND) as it is and with `Training(compile=True)`, CPU time, the median of the rounds. The two take turns, the
brackets are the spread of the ratio, whose median is not the ratio of the medians. To compile is what the first {first} steps
cost above as many later ones, the C++ compiler included, with nothing kept from an earlier run.
"""
