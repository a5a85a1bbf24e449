"""`lego explain`: what a script will do, before it does it."""

from __future__ import annotations

import typer


def explain(
    script: str = typer.Argument(
        ..., metavar="SCRIPT", help="A Python script that defines `experiment`, or SCRIPT:NAME."
    ),
    changes: list[str] = typer.Option([], "--set", metavar="PATH=VALUE", help="Replace a value first."),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON document."),
) -> None:
    """Show the plan: every option with its value, shapes, weights, caches, and the work of a step. Prepares data if needed."""
    from lego.cli.experiment import read
    from lego.cli.output import console, errors, print_json
    from lego.compiler.plan import plan_of
    from lego.runtime.progress import Screen

    experiment, _ = read(script, changes)
    plan = plan_of(experiment, progress=Screen(errors()).progress)
    if as_json:
        print_json(plan.record())
        return
    screen = console(as_json=False)
    for line in plan.lines():
        screen.print(line, markup=False, soft_wrap=True)
