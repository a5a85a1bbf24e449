"""How commands read an experiment: the script, then `--set`, then `--seed`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lego.experiment import Experiment


def read(script: str, changes: list[str], seed: int | None = None) -> tuple[Experiment, Path]:
    """The experiment of a script with its changes. Paths in it are relative to it, those of `--set` to the working directory."""
    from lego.runtime.script import load_experiment, load_module, names_with

    experiment, path = load_experiment(script)
    names = names_with(load_module(path))
    if seed is not None:
        changes = [*changes, f"training.seed={seed}"]
    return experiment.set(*changes, names=names).rebased(Path.cwd()), path


def run_error(text: str, code: int) -> SystemExit:
    """A sentence on standard error, and an exit code."""
    sys.stderr.write(text + "\n")
    return SystemExit(code)
