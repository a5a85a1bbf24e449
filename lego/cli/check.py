"""`lego check`: is this experiment right? No weight is loaded, nothing is trained."""

from __future__ import annotations

import typer


def check(
    script: str = typer.Argument(
        ..., metavar="SCRIPT", help="A Python script that defines `experiment`, or SCRIPT:NAME."
    ),
    changes: list[str] = typer.Option([], "--set", metavar="PATH=VALUE", help="Replace a value first."),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON document."),
) -> None:
    """Check an experiment and list all that is wrong with it, each with its fix. Loads no weights and prepares nothing."""
    from lego.cli.experiment import read
    from lego.cli.output import console, print_json
    from lego.compiler.check import check as problems_of
    from lego.errors import CompositionError

    experiment, _ = read(script, changes)
    problems = problems_of(experiment)
    if as_json:
        print_json(
            {
                "text": experiment.text(),
                "problems": [{"where": each.where, "what": each.what, "fix": each.fix} for each in problems],
            }
        )
        raise SystemExit(2 if problems else 0)
    if problems:
        raise CompositionError(problems)
    screen = console(as_json=False)
    screen.print(experiment.text(), markup=False, soft_wrap=True)
    screen.print("fits together", markup=False)
