"""How long a model takes to answer: by stage, after a warm-up, in percentiles, for batches of several sizes."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch
from torch.nn import functional

from lego.compiler.gather import batch_of
from lego.compiler.pipeline import with_padding
from lego.errors import DataError, RunError, SpecError
from lego.runtime.device import wait_for
from lego.runtime.score import impression_rows
from lego.seed import numpy_generator

if TYPE_CHECKING:
    from lego.compiler.assemble import Compiled
    from lego.runtime.load import Loaded

SIZES: Final = (1, 64)
STAGES: Final = ("read", "items", "users", "predictor")
"""Making the tensors of a batch, encoding its distinct items, encoding its users, scoring its candidates."""
PERCENTILES: Final = (50, 90, 99)


def latency(
    loaded: Loaded,
    part: str = "test",
    *,
    sizes: Sequence[int] = SIZES,
    repeats: int = 50,
    warmup: int = 5,
    seed: int = 0,
) -> dict[str, Any]:
    """Milliseconds of each stage for batches of impressions, drawn at random: mean and percentiles over `repeats` batches.

    `whole` is all stages together; `items_cached` is without the items, as where their vectors were made before. The first
    `warmup` batches do not count. Work of a device is waited for before the clock is read. An operator that looks at the
    candidates to make a user works in the stage of the predictor. RunError for a baseline, DataError for a part without
    impressions, SpecError for numbers below 1.
    """
    if min(repeats, *sizes) < 1 or warmup < 0 or not sizes:
        raise SpecError("latency: batch sizes and repeats must be at least 1, and the warm-up at least 0.")
    compiled = loaded.compiled
    if compiled is None:
        raise RunError(
            f"{loaded.experiment.model!r} is no model of stages, so there is nothing to take apart."
        )
    impressions = loaded.store.part(part)
    if not len(impressions):
        raise DataError(f"The part {part} of {loaded.store.path} has no impressions.")
    impressions = impressions.recent(loaded.history)
    device = compiled.pipeline.device
    compiled.pipeline.eval()
    made = []
    for size in sizes:
        generator = numpy_generator(seed, f"latency {size}")
        taken = min(size, len(impressions))
        rows = []
        for number in range(warmup + repeats):
            chosen = np.sort(generator.choice(len(impressions), taken, replace=False))
            times = _stages(compiled, impressions, chosen, device)
            if number >= warmup:
                rows.append(times)
        seconds = {stage: np.array([row[stage] for row in rows]) for stage in STAGES}
        whole = sum(seconds.values())
        told = {**seconds, "whole": whole, "items_cached": whole - seconds["items"]}
        made.append(
            {
                "batch_size": taken,
                "repeats": repeats,
                "warmup": warmup,
                "ms": {stage: _summary(each) for stage, each in told.items()},
                "impressions_per_second": float(taken / np.mean(whole)),
            }
        )
    return {"part": part, "device": str(device), "threads": torch.get_num_threads(), "batches": made}


def _stages(compiled: Compiled, impressions: Any, chosen: Any, device: torch.device) -> dict[str, float]:
    """Seconds of each stage for one batch."""
    pipeline = compiled.pipeline
    seconds: dict[str, float] = {}

    def timed(stage: str, work: Callable[[], Any]) -> Any:
        wait_for(device)
        begun = time.perf_counter()
        found = work()
        wait_for(device)
        seconds[stage] = time.perf_counter() - begun
        return found

    rows = impression_rows(impressions, chosen)
    with torch.inference_mode():
        batch = timed(
            "read",
            lambda: batch_of(
                pipeline.gather, impressions, compiled.store.users, rows, np.arange(len(chosen))
            ).to(device),
        )
        items = timed("items", lambda: pipeline.encode_items(batch.items))

        def users() -> Any:
            table = with_padding(items.tensor)
            needs = pipeline.with_vectors(batch.needs)
            history = functional.embedding(batch.history, table)
            return table, needs, pipeline.encode_users(history, batch.history_mask, needs)

        table, needs, user = timed("users", users)
        timed(
            "predictor",
            lambda: pipeline.score(
                user, functional.embedding(batch.candidates, table), batch.candidate_mask, needs
            ),
        )
    return seconds


def _summary(seconds: Any) -> dict[str, float]:
    """Milliseconds."""
    found = {"mean": float(1e3 * np.mean(seconds))}
    return found | {f"p{each}": float(1e3 * np.percentile(seconds, each)) for each in PERCENTILES}
