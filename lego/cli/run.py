"""`lego run`: compile, prepare if needed, train, test, report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lego.runtime.repeat import Repeated


def run(
    script: str = typer.Argument(
        ..., metavar="SCRIPT", help="A Python script that defines `experiment`, or SCRIPT:NAME."
    ),
    changes: list[str] = typer.Option(
        [],
        "--set",
        metavar="PATH=VALUE",
        help="Replace a value, as in 'model.behavior=GRU(hidden=128)' or training.lr=3e-4.",
    ),
    name: str = typer.Option("", help="The run's name; the script's unless given."),
    out: Path = typer.Option(Path("runs"), help="The folder that run folders are made in."),
    seed: int | None = typer.Option(None, min=0, help="The training seed; the script's unless given."),
    seeds: int | None = typer.Option(
        None,
        min=1,
        metavar="N",
        help="Run N times, with N training seeds in a row, and show mean and standard deviation.",
    ),
    device: str = typer.Option("auto", help="cpu, cuda, cuda:1, mps, or auto."),
    resume: bool = typer.Option(
        False,
        "--resume",
        help="Go on with the unfinished run of the same experiment; with --seeds, keep the finished ones.",
    ),
    track: list[str] = typer.Option(
        [],
        "--track",
        metavar="TRACKER",
        help="Tell a tracker of the run, as in 'CSV()' (see `lego catalog tracker`); may be given several times.",
    ),
    no_cache: bool = typer.Option(False, "--no-cache", help="Test without caches: slower, the same numbers."),
    profile: bool = typer.Option(
        False, "--profile", help="Also tell where the time went, and what would save some of it."
    ),
    as_json: bool = typer.Option(
        False, "--json", help="Print one JSON document as the last line of standard output."
    ),
) -> None:
    """Run an experiment: prepare the data if needed, train, test, and show the metrics."""
    from lego.cli import INTERRUPTED
    from lego.cli.experiment import read
    from lego.cli.output import errors, fail, print_json
    from lego.errors import SpecError
    from lego.runtime.fit import Stopped
    from lego.runtime.progress import Screen
    from lego.runtime.repeat import Repeated

    if profile and seeds is not None:
        raise SpecError("lego run: --profile looks at one run; leave out --seeds.")
    experiment, path = read(script, changes, seed, track)
    try:
        made = experiment.run(
            seeds=seeds,
            name=name or None,
            out=out,
            script=path,
            device=device,
            resume=resume,
            cache=not no_cache,
            **({"profile": True} if profile else {}),
            screen=Screen(errors()),
        )
    except Stopped:
        words = "stopped as asked; the checkpoint is kept. Go on with the same command and --resume."
        raise fail(words, INTERRUPTED) from None
    except KeyboardInterrupt:
        words = "interrupted; what was finished before is kept. Go on with the same command and --resume."
        raise fail(words, INTERRUPTED) from None
    if isinstance(made, Repeated):
        print_json(made.record) if as_json else show_repeated(made)
    elif as_json:
        told = {"profile": made.profile} if profile else {}
        print_json({**{key: made.record[key] for key in SHAPE}, **told})
    else:
        show(made.record)
        if profile and made.profile is not None:
            show_profile(made.profile)


SHAPE = ("run", "protocol", "test", "groups", "seconds", "speedup")
"""What `--json` promises."""


def show_repeated(made: Repeated) -> None:
    """The table of means and deviations beside the baselines and the seeds, and where the runs are."""
    from lego.cli.output import console
    from lego.report.table import print_metrics
    from lego.runtime.evaluation import groups_told

    screen, record = console(as_json=False), made.record
    print_metrics(made.rows, screen, title=f"test ({groups_told(made.runs[0].record)})")
    note = "standard deviation (n - 1) and 95% interval of the mean (Student's t) over seeds; the data is the same for all"
    for line in (
        f"protocol {record['protocol']}; {note}",
        *(f"run folder: {each}" for each in record["runs"]),
    ):
        screen.print(line, markup=False, soft_wrap=True)


def show(record: Mapping[str, Any]) -> None:
    """The table of metrics, and what is needed to read it."""
    from lego.cli.output import console
    from lego.metric.protocol import told
    from lego.report.table import print_metrics
    from lego.runtime.evaluation import groups_told

    screen = console(as_json=False)
    counts, reading = record["counts"], record["reading"]
    rows = {"this model": record["test"], **record["baselines"]}
    print_metrics(rows, screen, title=f"{record['part']} ({groups_told(record)})")
    dropped = "left out" if reading["left_out"] else "kept"
    undefined = reading.get("undefined", {})
    # Where gauc is defined by no group, what follows says why; labels that nobody knows are not of one class.
    one_class = "" if "gauc" in undefined else f"{counts['left_out']:,} of one class left out of gauc, "
    protocol = (
        f"protocol {record['protocol']}: per {reading['grouping']}, ties {record['ties']} ({counts['tie_rate']:.1%} have one), "
        f"{one_class}{counts['without_history']:,} impressions without history {dropped}"
    )
    strange = [name for name in record["not_applicable"] if name not in undefined]
    no_logits = (
        [f"{', '.join(strange)}: not applicable, these scores are no logits of a click"] if strange else []
    )
    lines = [protocol, *told(undefined), *no_logits, "seconds: " + json.dumps(record["seconds"])]
    speedups = record["speedups"]
    if speedups:
        lines.append(
            f"cached evaluation: {speedups['pair_by_pair']:,.1f} times as fast as pair by pair, "
            f"{speedups['impression_by_impression']:,.1f} times as fast as impression by impression "
            f"(measured on {speedups['sampled_pairs']} pairs and {speedups['sampled_impressions']} impressions)"
        )
    lines.append(f"run folder: {record['run']}")
    for line in lines:
        screen.print(line, markup=False, soft_wrap=True)


def show_profile(told: dict[str, Any]) -> None:
    """Where the time went, what was not read twice, and what would save time."""
    from lego.cli.output import console
    from lego.report.table import print_metrics
    from lego.runtime.profile import rows_of

    screen = console(as_json=False)
    whole = sum(sum(stages.values()) for stages in told["seconds"].values())
    threads = f"{told['threads']} thread{'s' if told['threads'] > 1 else ''}"
    title = f"where {whole:,.1f} seconds went ({threads}, {told['cpu']:,.1f} seconds of processor)"
    screen.print()
    print_metrics(rows_of(told["seconds"]), screen, title=title, digits=2)
    for line in (*told["redundancy"], *(f"advice: {each}" for each in told["advice"])):
        screen.print(line, markup=False, soft_wrap=True)
