"""`lego sweep`: every combination of the choices of an experiment, resumable, ending in a leaderboard."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from lego.runtime.standings import Sweep


def sweep(
    script: str = typer.Argument(
        ..., metavar="SCRIPT", help="A Python script that defines `experiment`, or SCRIPT:NAME."
    ),
    changes: list[str] = typer.Option(
        [],
        "--set",
        metavar="PATH=VALUE",
        help="Replace a value, as in 'model.behavior=any_of(GRU(), Additive())' or training.lr=3e-4.",
    ),
    name: str = typer.Option("", help="The sweep's name; the script's unless given."),
    out: Path = typer.Option(Path("runs"), help="The folder that the sweep's folder is made in."),
    seeds: int = typer.Option(1, min=1, metavar="N", help="Run each combination with N training seeds."),
    limit: int | None = typer.Option(None, min=1, metavar="N", help="Run a sample of N combinations."),
    budget: int | None = typer.Option(
        None,
        min=1,
        metavar="N",
        help="Search with N trials for each model instead of running every combination (wants optuna).",
    ),
    jobs: int = typer.Option(1, min=1, metavar="J", help="Make J runs at once."),
    device: str = typer.Option("auto", help="cpu, cuda, cuda:1, mps, or auto."),
    resume: bool = typer.Option(
        True, "--resume", help="Go on where it was stopped: what a sweep always does.", show_default=False
    ),
    track: list[str] = typer.Option(
        [],
        "--track",
        metavar="TRACKER",
        help="Tell a tracker of every run, as in 'CSV()' (see `lego catalog tracker`); may be given several times.",
    ),
    as_json: bool = typer.Option(
        False, "--json", help="Print one JSON document as the last line of standard output."
    ),
) -> None:
    """Run every combination of any_of(…) and cases(…) in an experiment, and rank them on the dev part."""
    from lego.cli import INTERRUPTED
    from lego.cli.experiment import read
    from lego.cli.output import errors, fail, print_json
    from lego.runtime.fit import Stopped
    from lego.runtime.progress import Screen

    experiment, path = read(script, changes, None, track)
    try:
        made = experiment.sweep(
            name=name or None,
            out=out,
            script=path,
            seeds=seeds,
            limit=limit,
            budget=budget,
            jobs=jobs,
            device=device,
            screen=Screen(errors()),
        )
    except (Stopped, KeyboardInterrupt):
        words = "stopped; what was finished is kept. The same command goes on where it was."
        raise fail(words, INTERRUPTED) from None
    if as_json:
        print_json(made.record)
    else:
        show(made)
    counts = made.record["counts"]
    if not counts["finished"]:
        # Everything there is was wrong as it was written, or was tried and failed.
        raise SystemExit(1 if counts["failed"] else 2)


SHOWN = ("gauc", "mrr", "ndcg@5", "ndcg@10")
"""The test metrics beside the monitored one, where they were asked for; the files have all."""


def show(made: Sweep) -> None:
    """The leaderboards, what failed, and where the files are."""
    from lego.cli.output import console
    from lego.report.leaderboard import metrics_of, print_leaderboard

    screen = console(as_json=False)
    for lines, title, caption in made.parts:
        wanted = [each for each in metrics_of(lines) if each.startswith("dev ") or each in SHOWN]
        print_leaderboard(lines, screen, title=title, caption=caption, metrics=wanted)
        for line in lines:
            if line.status == "failed":
                screen.print(f"failed: {line.name}: {line.error}", markup=False, soft_wrap=True)
    counts = made.record["counts"]
    told = ", ".join(f"{count:,} {kind}" for kind, count in counts.items() if count)
    where = f"leaderboard: {made.path / 'leaderboard.md'} (and .csv, .json)"
    screen.print(f"{told}\n{where}", markup=False, soft_wrap=True)
