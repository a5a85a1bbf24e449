"""`make bench`: what a step, a cache or a metric costs, each beside the plain way, and written to the docs.

    python tests/bench --only language_models
    python tests/bench --only language_models --quick --page -
    python tests/bench --only step --json tests/bench/releases/0.1.0.json
    python tests/bench --only step --page - --against tests/bench/releases/0.1.0.json
    python tests/bench --only overall

A suite of full size that writes its page also writes its numbers into those of the release, of which `overall` makes the table of
docs/speed.md, without measuring anything.
Rows of one table take turns, so that what else the machine does hits all alike; each has a process of its own.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Annotated, Any

import compiling
import evaluation
import factors
import growth
import language_models
import limits
import memory
import metrics
import overall
import preparing
import retrieval
import rounding
import start
import step
import threads
import typer
from measure import machine, regressions
from rich.console import Console

ROOT = Path(__file__).resolve().parents[2]
SUITES: dict[str, Any] = {
    "compiling": compiling,
    "evaluation": evaluation,
    "factors": factors,
    "growth": growth,
    "language_models": language_models,
    "limits": limits,
    "memory": memory,
    "metrics": metrics,
    "preparing": preparing,
    "retrieval": retrieval,
    "rounding": rounding,
    "start": start,
    "step": step,
    "threads": threads,
}


def main(
    only: Annotated[str, typer.Option(help="One suite, or overall; all unless given.")] = "",
    quick: Annotated[bool, typer.Option(help="Tiny sizes: whether it works, not what it costs.")] = False,
    seconds: Annotated[float, typer.Option(help="How long a row works in each round.")] = 2.0,
    rounds: Annotated[int, typer.Option(help="How often the rows take turns.")] = 3,
    as_json: Annotated[
        Path | None,
        typer.Option("--json", help="Also write the numbers there, beside those of other suites."),
    ] = None,
    against: Annotated[
        Path | None,
        typer.Option(help="Numbers of another time, to compare ratios with; exit 1 where one is worse."),
    ] = None,
    page: Annotated[str, typer.Option(help="Where the table goes; - for the terminal.")] = "",
) -> None:
    """Measures and writes."""
    console = Console(soft_wrap=True, highlight=False, stderr=True)
    unknown = only not in ("", "overall", *SUITES)
    if unknown:
        raise typer.BadParameter(f"there is no suite {only!r}; there are {', '.join(SUITES)}, overall")
    if not (as_json or quick or page):
        as_json = overall.RELEASE
    before = json.loads(as_json.read_text(encoding="utf-8")) if as_json and as_json.exists() else {}
    numbers: dict[str, Any] = {} if only == "overall" else {"machine": machine()}
    for name, suite in SUITES.items():
        if only in ("", name):
            begun = time.monotonic()
            numbers[name] = suite.measure(quick=quick, seconds=seconds, rounds=rounds, say=console.print)
            numbers[name] |= {"minutes": (time.monotonic() - begun) / 60, "rounds": rounds, "quick": quick}
            numbers[name] = merged(before.get(name, {}), numbers[name])
            text = suite.page(numbers[name], numbers["machine"])
            place = page or str(ROOT / "docs" / suite.PAGE)
            if place == "-":
                print(text)  # noqa: T201 - this is its output
            else:
                Path(place).write_text(text, encoding="utf-8")
    if as_json:
        known = {**before, **numbers}
        as_json.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")
        if as_json == overall.RELEASE:
            text = overall.PAGE.read_text(encoding="utf-8")
            overall.PAGE.write_text(overall.written(text, known), encoding="utf-8")
    if against:
        lines = regressions(json.loads(against.read_text(encoding="utf-8")), numbers)
        console.print("\n".join(lines) or f"no ratio is worse than in {against}")
        raise typer.Exit(1 if lines else 0)


def merged(before: Any, now: Any) -> Any:
    """What is new in the place of what was there: a part of a suite leaves the numbers of its other parts alone."""
    if not (isinstance(before, dict) and isinstance(now, dict)):
        return now
    return {**before, **{key: merged(before.get(key), value) for key, value in now.items()}}


if __name__ == "__main__":
    typer.run(main)
