"""How commands read an experiment: the script, then `--set`, then `--seed`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lego.experiment import Experiment


def read(
    script: str, changes: list[str], seed: int | None = None, track: list[str] | None = None
) -> tuple[Experiment, Path]:
    """The experiment of a script with its changes, and with further trackers.

    Paths in it are relative to it, those of `--set` and `--track` to the working directory.
    """
    from lego.errors import CatalogError, ExpressionError
    from lego.runtime.script import load_experiment, load_module, names_with

    experiment, path = load_experiment(script)
    names = names_with(load_module(path))
    seeded = [] if seed is None else [f"training.seed={seed}"]
    tracked = [] if not track else [f"trackers=({', '.join([*map(repr, experiment.trackers), *track])},)"]
    for change in [*changes, *seeded, *tracked]:
        try:
            experiment = experiment.set(change, names=names)
        except (ExpressionError, CatalogError) as error:
            error.args = (f"{error}{_quoted(change)}",)
            raise
    if seed is not None:
        _refuse_idle_seed(experiment, seed)
    return experiment.rebased(Path.cwd()), path


def _refuse_idle_seed(experiment: Experiment, seed: int) -> None:
    """A seed that would reach nothing is not taken in silence."""
    from lego.errors import SpecError
    from lego.scorer.base import Baseline

    model = experiment.model
    if isinstance(model, Baseline) and model.seeded(seed) == model:
        why = "has a seed of its own" if getattr(model, "seed", None) is not None else "draws nothing"
        raise SpecError(
            f"--seed {seed}: {model!r} {why}, so the seed would change nothing. Leave --seed out."
        )


def _quoted(change: str) -> str:
    """What a shell makes of quotes is what goes wrong most often: it takes one pair away."""
    place, _, value = change.partition("=")
    if not place.strip() or not value.strip() or any(mark in value for mark in "'\"()[]{}"):
        return ""
    text = value.strip()
    return (
        f"\n  If {text} is a text, it wants quotes of its own inside those of the shell: "
        f"--set \"{place.strip()}='{text}'\""
    )
