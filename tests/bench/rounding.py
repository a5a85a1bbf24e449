"""What options that round, or that are exact only without dropout, do to quality: GAUC over five seeds on the embedded MovieLens.

Each way is trained from the same seeds, so that first weights, order, negatives and (but for the last way) dropout are the same,
and differences are paired. LEGO_BENCH_SEEDS and LEGO_BENCH_WAYS='bf16 compile' take fewer; what was trained is not trained again.
All of it takes some ten minutes of CPU from a fresh folder, compiling included.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from lego import Attention, Dot, Experiment, MovieLens, Recommender, Training
from lego.errors import RunError
from lego.home import home
from lego.runtime.compiling import require_compiler
from lego.sequence.additive import Additive
from lego.task.matching import Matching

PAGE = "rounding.md"
ROOT = Path(__file__).resolve().parents[2]
SEEDS = 5
BASE = "as it is"
WAYS: Mapping[str, Mapping[str, Any]] = {
    BASE: {},
    "touched": {"tables": "touched"},
    "slots": {"deduplicate": False},
    "bf16": {"precision": "bf16"},
    "compile": {"compile": True},
}
TOLD = {
    BASE: "one mask of dropout for each distinct item of a batch, float32",
    "touched": '`Training(tables="touched")`: rows that no batch reads keep still',
    "slots": "`Training(deduplicate=False)`: a mask of dropout for each slot",
    "bf16": '`Training(precision="bf16")`: products of the forward pass rounded to 8 bits',
    "compile": "`Training(compile=True)`: sums in another order",
}


def experiment_of(way: str, seed: int, *, quick: bool) -> Experiment:
    """A small model with dropout that reads titles, trained in one of the ways."""
    pool = Additive(hidden=32)
    model = Recommender(
        Attention(heads=4, dropout=0.2, pool=pool),
        Attention(heads=4, pool=pool),
        Dot(),
        reads={"title": 8, "genres": 4},
        width=16 if quick else 32,
    )
    training = Training(epochs=1, batch_size=256, lr=3e-3, seed=seed, **WAYS[way])
    data = MovieLens(str(ROOT / "examples" / "data" / "ml-latest-small"), history=4 if quick else 6)
    return Experiment(data=data, model=model, task=Matching(negatives=2), training=training)


def ways() -> tuple[str, ...]:
    """Those that are asked for and that this machine can do; always the first."""
    asked = os.environ.get("LEGO_BENCH_WAYS", "").split() or list(WAYS)
    try:
        require_compiler("cpu")
    except RunError:
        asked = [each for each in asked if each != "compile"]
    return tuple(each for each in WAYS if each in asked or each == BASE)


def measure(*, quick: bool, seconds: float, rounds: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Every way with every seed. It is quality that is measured: neither seconds nor rounds are asked for."""
    del seconds, rounds
    out = home() / "bench" / "runs"
    found: dict[str, dict[str, float]] = {way: {} for way in ways()}
    for seed in range(1 if quick else int(os.environ.get("LEGO_BENCH_SEEDS", SEEDS))):
        for way, of_seed in found.items():
            run = experiment_of(way, seed, quick=quick).run(
                out=out, name=f"rounding-{way.replace(' ', '-')}", reuse=True, device="cpu"
            )
            of_seed[str(seed)] = run.metrics["gauc"]
            say(f"rounding: {way}, seed {seed}: {of_seed[str(seed)]:.4f}")
    return {"gauc": found}


def page(numbers: Mapping[str, Any], machine: Mapping[str, Any]) -> str:
    """As Markdown."""
    found = numbers["gauc"]
    lines = [
        HEAD.format(processor=machine["processor"], torch=machine["torch"], seeds=len(found[BASE])),
        "| way | GAUC | difference, seed by seed | least and most |",
        "|---|---:|---:|---:|",
    ]
    for way, values in found.items():
        differences = [values[seed] - found[BASE][seed] for seed in values]
        told = "–" if way == BASE else f"{mean(differences):+.5f} ± {_spread(differences):.5f}"
        ends = "–" if way == BASE else f"{min(differences):+.5f}, {max(differences):+.5f}"
        lines.append(
            f"| {TOLD[way]} | {mean(values.values()):.4f} ± {_spread([*values.values()]):.4f} | {told} | {ends} |"
        )
    absent = [TOLD[way] for way in WAYS if way not in found]
    if absent:
        lines += ["", f"Not measured here: {'; '.join(absent)}."]
    return "\n".join(lines) + "\n"


def _spread(values: list[float]) -> float:
    return stdev(values) if len(values) > 1 else 0.0


HEAD = """# What rounding does

`make bench ONLY=rounding` on {processor}, torch {torch}: GAUC on the test part of the embedded MovieLens, of a small model of
attention over titles and genres with dropout 0.2, trained once over the data, {seeds} seeds. All ways begin with the same
weights and see the same batches, so that the difference of a seed is what the way does; ± is the standard deviation over the
seeds. A way whose difference is well below the spread of GAUC itself does no harm that these data could show.

All but the first are options, and off unless asked for. Without dropout the first and `deduplicate=False` give the same
gradients, which is tested.
"""
