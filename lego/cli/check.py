"""`lego check`: is this experiment right? No weight is loaded, nothing is trained."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from lego.errors import Problem
    from lego.experiment import Experiment


def check(
    script: str = typer.Argument(
        ..., metavar="SCRIPT", help="A Python script that defines `experiment`, or SCRIPT:NAME."
    ),
    changes: list[str] = typer.Option([], "--set", metavar="PATH=VALUE", help="Replace a value first."),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON document."),
) -> None:
    """Check an experiment and list all that is wrong with it, each with its fix. Loads no weights and prepares nothing.

    Of an experiment with choices every combination is checked.
    """
    from lego.cli.experiment import read
    from lego.cli.output import console, print_json
    from lego.errors import CompositionError
    from lego.spec import choices

    experiment, _ = read(script, changes)
    if next(choices(experiment), None) is not None:
        _check_all(experiment, as_json=as_json)
        return
    problems = _problems_of(experiment)
    if as_json:
        print_json({"text": experiment.text(), "problems": [_record(each) for each in problems]})
        raise SystemExit(2 if problems else 0)
    if problems:
        raise CompositionError(problems)
    screen = console(as_json=False)
    screen.print(experiment.text(), markup=False, soft_wrap=True)
    screen.print("fits together", markup=False)


def _problems_of(experiment: Experiment) -> list[Problem]:
    from lego.compiler.check import check as problems_of
    from lego.runtime.evaluation import misread

    return problems_of(experiment) or misread(experiment)


def _record(problem: Problem) -> dict[str, str]:
    return {"where": problem.where, "what": problem.what, "fix": problem.fix}


def _check_all(experiment: Experiment, *, as_json: bool) -> None:
    """Every combination of the choices; those that are wrong with their reasons, and exit code 2 where there are any."""
    from lego.cli.output import console, print_json
    from lego.expansion import Expansion

    found: list[tuple[tuple[str, ...], list[dict[str, str]]]] = []
    for combination in Expansion(experiment):
        if combination.experiment is None:
            problems = [{"where": "", "what": str(combination.error), "fix": ""}]
        else:
            problems = [_record(each) for each in _problems_of(combination.experiment)]
        found.append((combination.changes, problems))
    wrong = [(changes, problems) for changes, problems in found if problems]
    if as_json:
        rows = [{"changes": list(changes), "problems": problems} for changes, problems in found]
        print_json({"text": experiment.text(), "combinations": rows})
    else:
        lines = [experiment.text()]
        for changes, problems in wrong:
            lines += ["", "  ".join(changes)]
            for each in problems:
                lines.append(f"  {each['where']}: {each['what']}" if each["where"] else f"  {each['what']}")
                lines += [f"    fix: {each['fix']}"] if each["fix"] else []
        told = f"{len(found) - len(wrong):,} right, {len(wrong):,} wrong" if wrong else "all fit together"
        lines += ["", f"{len(found):,} combinations: {told}"]
        console(as_json=False).print("\n".join(lines), markup=False, soft_wrap=True)
    raise SystemExit(2 if wrong else 0)
