"""An experiment with several training seeds: a run folder each, and what they have in common."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, Final

import attrs
import numpy as np

from lego.errors import SpecError
from lego.experiment import Experiment
from lego.metric.significance import student
from lego.report.html import metrics_html
from lego.runtime.evaluation import groups_told
from lego.runtime.run import Run, run_experiment

CONFIDENCE: Final = 0.95
"""Of the intervals of means over seeds."""

Rows = dict[str, dict[str, float | None]]


@attrs.frozen(eq=False, kw_only=True, repr=False)
class Repeated:
    """Finished runs that differ in their training seed alone."""

    seeds: tuple[int, ...]
    runs: tuple[Run, ...]

    @property
    def metrics(self) -> dict[str, float | None]:
        """The mean of each test metric over the seeds; None where one does not apply."""
        return {name: mean for name, (mean, _) in spread(run.metrics for run in self.runs).items()}

    @property
    def deviations(self) -> dict[str, float | None]:
        """The standard deviation of each test metric over the seeds (of a sample: n - 1); None where there is one seed."""
        return {name: deviation for name, (_, deviation) in spread(run.metrics for run in self.runs).items()}

    @property
    def intervals(self) -> dict[str, tuple[float, float] | None]:
        """The 95 % interval of each mean over the seeds, by Student's t; None where there is one seed."""
        return {
            name: None if half is None or mean is None else (mean - half, mean + half)
            for (name, half), mean in zip(self._halves.items(), self.metrics.values(), strict=True)
        }

    @property
    def _halves(self) -> dict[str, float | None]:
        """Half the width of the interval of each mean."""
        count = len(self.runs)
        factor = student(CONFIDENCE, count - 1) / math.sqrt(count) if count > 1 else 0.0
        return {name: None if std is None else factor * std for name, std in self.deviations.items()}

    @property
    def rows(self) -> Rows:
        """Mean, deviation, half the 95 % interval of the mean; then the baselines on the same part, then each seed's numbers."""
        return {
            f"mean of {len(self.runs)} seeds": self.metrics,
            **(
                {"standard deviation": self.deviations, "95% interval ±": self._halves}
                if len(self.runs) > 1
                else {}
            ),
            **{name: dict(metrics) for name, metrics in self.runs[0].record["baselines"].items()},
            **{f"seed {seed}": run.metrics for seed, run in zip(self.seeds, self.runs, strict=True)},
        }

    @property
    def record(self) -> dict[str, Any]:
        """In plain JSON types."""
        first = self.runs[0].record
        return {
            "runs": [str(run.path) for run in self.runs],
            "seeds": list(self.seeds),
            "n": len(self.runs),
            "protocol": first["protocol"],
            "groups": first["groups"],
            "mean": self.metrics,
            "std": self.deviations,
            "interval": self.intervals,
            "baselines": first["baselines"],
        }

    def __repr__(self) -> str:
        deviations = self.deviations
        shown = ", ".join(
            f"{name} {mean:.4f}" + ("" if deviations[name] is None else f" ± {deviations[name]:.4f}")
            for name, mean in list(self.metrics.items())[:3]
            if mean is not None
        )
        return f"Repeated({len(self.runs)} seeds: {shown}, …)"

    def _repr_html_(self) -> str:
        """For notebooks."""
        first = self.runs[0].record
        title = f"{first['part']} ({groups_told(first)}), protocol {first['protocol']}"
        return metrics_html(self.rows, title=title, note=f"run folders: {self.runs[0].path.parent}")


def repeat(experiment: Experiment, seeds: int, *, resume: bool = False, **options: Any) -> Repeated:
    """Runs the experiment with the training seeds `seed`, `seed + 1`, … (`seeds` of them), one after the other.

    Each is a run like any other, with its folder; the data is prepared once. With `resume`, seeds that are finished are read from
    their folders, and the unfinished one goes on. `options` are those of `run_experiment`.
    """
    if seeds < 1:
        raise SpecError.wrong_value("run", "seeds", seeds, "at least 1")
    screen = options.get("screen")
    first = experiment.training.seed
    every = tuple(range(first, first + seeds))
    runs = []
    for place, seed in enumerate(every, 1):
        if screen is not None:
            screen.say(f"seed {seed} ({place} of {seeds})")
        chosen = experiment.set(f"training.seed={seed}")
        runs.append(run_experiment(chosen, resume=resume, reuse=resume, **options))
    return Repeated(seeds=every, runs=tuple(runs))


def spread(rows: Iterable[Mapping[str, float | None]]) -> dict[str, tuple[float | None, float | None]]:
    """Mean and standard deviation (n - 1) of each name; None where a metric does not apply, and for the deviation of one row."""
    values: dict[str, list[float]] = {}
    for row in rows:
        for name, value in row.items():
            found = values.setdefault(name, [])
            if value is not None:
                found.append(value)
    return {
        name: (
            float(np.mean(found)) if found else None,
            float(np.std(found, ddof=1)) if len(found) > 1 else None,
        )
        for name, found in values.items()
    }
