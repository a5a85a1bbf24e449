"""How commands read an experiment: the script, then `--set`, then `--seed`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lego.experiment import Experiment


def read(script: str, changes: list[str], seed: int | None = None) -> tuple[Experiment, Path]:
    """The experiment of a script with its changes. Paths in it are relative to it, those of `--set` to the working directory."""
    from lego.errors import CatalogError, ExpressionError
    from lego.runtime.script import load_experiment, load_module, names_with

    experiment, path = load_experiment(script)
    names = names_with(load_module(path))
    if seed is not None:
        changes = [*changes, f"training.seed={seed}"]
    for change in changes:
        try:
            experiment = experiment.set(change, names=names)
        except (ExpressionError, CatalogError) as error:
            error.args = (f"{error}{_quoted(change)}",)
            raise
    return experiment.rebased(Path.cwd()), path


def _quoted(change: str) -> str:
    """What a shell makes of quotes is what goes wrong most often: it takes one pair away."""
    place, sign, value = change.partition("=")
    if not sign or not value.strip() or any(mark in value for mark in "'\"()[]{}"):
        return ""
    text = value.strip()
    return (
        f"\n  If {text} is a text, it wants quotes of its own inside those of the shell: "
        f"--set \"{place.strip()}='{text}'\""
    )
