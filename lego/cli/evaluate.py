"""`lego evaluate`: score a checkpoint again."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

import typer


class Part(StrEnum):
    """The parts of the data."""

    train = "train"
    dev = "dev"
    test = "test"


def evaluate(
    run: Path = typer.Argument(..., metavar="RUN", help="A run folder, as printed by `lego run`."),
    part: Part = typer.Option(Part.test, help="Which part of the data."),
    protocol: str = typer.Option("", help="Read the scores by this protocol; the run's own unless given."),
    device: str = typer.Option("auto", help="cpu, cuda, mps, or auto."),
    no_cache: bool = typer.Option(
        False, "--no-cache", help="Score without caches: slower, the same numbers."
    ),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON document."),
) -> None:
    """Score the kept checkpoint of a run again: the same numbers, to the last digit."""
    import attrs

    from lego.cli.output import errors, print_json
    from lego.cli.run import SHAPE, show
    from lego.runtime.load import load
    from lego.runtime.progress import Screen

    loaded = load(run, device=device, screen=Screen(errors()))
    if protocol:
        experiment = loaded.experiment.set(f"evaluation.protocol={protocol!r}")
        loaded = attrs.evolve(loaded, experiment=experiment)
    record = loaded.evaluate(part.value, cache=not no_cache)
    if as_json:
        print_json({**{key: record[key] for key in SHAPE}, "part": record["part"]})
    else:
        show(record)
