"""`lego compare`: runs side by side."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

import typer


class Way(StrEnum):
    """How differences are tested."""

    permutation = "permutation"
    bootstrap = "bootstrap"


def compare(
    runs: list[Path] = typer.Argument(..., metavar="RUN…", help="Run folders, as printed by `lego run`."),
    metric: list[str] = typer.Option(
        [], metavar="NAME", help="Test in this metric; may be given several times."
    ),
    test: Way = typer.Option(Way.permutation, help="How paired differences are tested."),
    resamples: int = typer.Option(9999, min=1, help="How many draws a test is made of."),
    seed: int = typer.Option(0, min=0, help="The seed of the draws."),
    augmented: bool = typer.Option(
        False,
        "--augmented",
        help="Only impressions whose history holds an item that a language model invented.",
    ),
    markdown: bool = typer.Option(False, "--markdown", help="Print Markdown."),
    latex: bool = typer.Option(False, "--latex", help="Print LaTeX tables, for the package booktabs."),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON document."),
) -> None:
    """Compare runs: mean and spread over seeds, and paired tests on the same impressions."""
    import sys

    from lego.cli.output import console, print_json
    from lego.errors import SpecError
    from lego.runtime.compare import compare as compared

    if markdown + latex + as_json > 1:
        raise SpecError("lego compare: --markdown, --latex and --json are one of the three.")
    found = compared(
        runs, metrics=metric, test=test.value, resamples=resamples, seed=seed, augmented=augmented
    )
    if as_json:
        print_json(found.record)
    elif markdown or latex:
        sys.stdout.write(found.markdown() if markdown else found.latex())
    else:
        found.print(console(as_json=False))
