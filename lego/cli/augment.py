"""`lego augment`: lets a language model write what the data of a script asks for; resumable, within a budget, told before."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from lego.augment.estimate import Writers
    from lego.augment.job import Report
    from lego.augment.limits import Limits
    from lego.augment.plan import Plan
    from lego.augment.source import Augment


def augment(
    script: str = typer.Argument(
        ..., metavar="SCRIPT", help="A Python script whose `experiment` has data=Augment(…), or SCRIPT:NAME."
    ),
    changes: list[str] = typer.Option(
        [],
        "--set",
        metavar="PATH=VALUE",
        help="Replace a value, as in 'data.generator=LocalModel()' or data.missing='\"empty\"'.",
    ),
    yes: bool = typer.Option(False, "--yes", "-y", help="Begin without asking."),
    dry_run: bool = typer.Option(False, "--dry-run", help="Estimate, and stop."),
    max_tokens: int | None = typer.Option(
        None, "--max-tokens", min=1, metavar="N", help="Stop before more than N tokens are read and written."
    ),
    max_cost: float | None = typer.Option(
        None,
        "--max-cost",
        min=0,
        metavar="X",
        help="Stop before more than X is spent, by the generator's prices.",
    ),
    concurrency: int = typer.Option(
        4, "--concurrency", min=1, metavar="N", help="Requests under way at once."
    ),
    requests: float | None = typer.Option(
        None, "--requests-per-minute", min=1, metavar="N", help="No more requests than that."
    ),
    tokens: float | None = typer.Option(
        None, "--tokens-per-minute", min=1, metavar="N", help="No more tokens than that."
    ),
    retries: int = typer.Option(
        6, "--retries", min=0, metavar="N", help="Send a request that failed again N times."
    ),
    backoff: float = typer.Option(
        1.0,
        "--backoff",
        min=0,
        metavar="SECONDS",
        help="Wait so long before the first time, then twice as long.",
    ),
    answers: Path | None = typer.Option(
        None,
        "--answers",
        metavar="FILE",
        help="Write the answers that are used as JSON lines, for Replay(FILE).",
    ),
    tables: Path | None = typer.Option(
        None,
        "--tables",
        metavar="DIR",
        help="Write a Parquet file for each new attribute, for `lego data join`.",
    ),
    as_json: bool = typer.Option(
        False, "--json", help="Print one JSON document as the last line of standard output."
    ),
) -> None:
    """Let a language model write the attributes, profiles and items that a script's data asks for."""
    from lego.augment.estimate import Writers, estimate
    from lego.augment.job import INTERRUPTION
    from lego.augment.limits import Limits
    from lego.augment.plan import planned
    from lego.cli import INTERRUPTED
    from lego.cli.experiment import read
    from lego.cli.output import errors, fail, print_json
    from lego.errors import GeneratorError

    experiment, _ = read(script, changes)
    source = _augmented(experiment.data, script)
    limits = Limits(
        max_tokens=max_tokens,
        max_cost=max_cost,
        requests_per_minute=requests,
        tokens_per_minute=tokens,
        concurrency=concurrency,
        retries=retries,
        backoff=backoff,
    )
    screen = errors()

    def say(text: str) -> None:
        screen.print(text, markup=False, soft_wrap=True)

    with Writers() as writers:
        plan = planned(source, limits)
        told = estimate(source, limits, writers, say, plan=plan)
        if told.problems and not dry_run:
            raise GeneratorError(told.problems)
        say(told.words())
        if dry_run:
            for problem in told.problems:
                say(f"before it can begin:\n{problem}")
            if as_json:
                print_json({"estimate": _plain(told)})
            raise typer.Exit(1 if told.problems else 0)
        record: dict[str, Any] = {"estimate": _plain(told)}
        if told.calls:
            _agree(yes=yes)
            each = (told.prompt_tokens + told.answer_tokens) / told.calls
            report = _run(source, limits, writers, plan, limits.least(1, each))
            path = _kept(report)
            for line in _lines(report):
                say(line)
            say(f"report: {path}")
            record |= {"report": report.record(), "path": str(path)}
    if answers is not None:
        record["answers"] = _export(source, answers)
        say(f"{record['answers']:,} answers: {answers}")
    if tables is not None:
        record["tables"] = _tables(source, tables)
    if as_json:
        print_json(record)
    if told.calls and not report.complete:
        why = report.stopped or "some questions got no reply"
        code = INTERRUPTED if report.stopped == INTERRUPTION else 1
        raise fail(f"not complete ({why}); what was answered is kept. The same command goes on.", code)


def _augmented(data: Any, script: str) -> Augment:
    from lego.augment.source import Augment
    from lego.errors import SpecError

    if not isinstance(data, Augment):
        raise SpecError(
            f"{script}: its data is {data!r}, which asks a language model for nothing. "
            'Write data=Augment(…, title=Rewrite("{title}")).'
        )
    return data


def _agree(*, yes: bool) -> None:
    from lego.cli.output import fail

    if yes:
        return
    if not sys.stdin.isatty():
        raise fail("Nothing was asked: give --yes to begin without a question.", 2)
    if not typer.confirm("Begin?", err=True):
        raise typer.Exit(1)


def _run(source: Augment, limits: Limits, writers: Writers, plan: Plan, least: float) -> Report:
    """The job, with a bar for each change. A question takes `least` seconds within the rate limits."""
    from lego.augment.job import generate
    from lego.cli.output import errors
    from lego.errors import LegoError, RunError
    from lego.runtime.progress import Screen

    screen = Screen(errors())
    bars: dict[str, Any] = {}

    def tell(name: str, done: int, total: int, note: str) -> None:
        if name not in bars:
            for _, context in bars.values():
                context.__exit__(None, None, None)
            context = screen.bar(name, total, "question")
            bars[name] = (context.__enter__(), context)
        bar = bars[name][0]
        bar.advance(done - bar.done, note, least * (total - done))

    try:
        return generate(source, limits, tell=tell, warn=screen.say, writers=writers, plan=plan)
    except LegoError as fault:
        if (report := getattr(fault, "report", None)) is not None and report.calls:
            for line in _lines(report):
                screen.say(line)
            try:
                screen.say(f"report: {_kept(report)}")
            except RunError:  # of the same disk, mostly; what ended the job is what to tell
                screen.say("report: could not be kept")
        raise
    finally:
        for _, context in bars.values():
            context.__exit__(None, None, None)


def _lines(report: Report) -> list[str]:
    """The report, for reading."""
    lines = [
        f"{step.name}: {step.fitting:,} of {step.questions:,} answered ({step.kept:,} were before), "
        f"{step.unfit:,} did not fit, {step.open:,} open"
        for step in report.steps
    ]
    cost = "cost not known" if report.cost is None else f"cost {report.cost:,.4g}"
    lines.append(
        f"{report.calls:,} replies, {report.retried:,} tries again, {report.prompt_tokens:,} tokens read, "
        f"{report.answer_tokens:,} written ({report.tokens_per_second:,.1f}/s), {cost}, {report.seconds:.0f} s"
    )
    return [*lines, *(f"failed {count:,} times: {why}" for why, count in report.failures.items())]


def _kept(report: Report) -> Path:
    """The report in a file of its own."""
    from datetime import UTC, datetime

    from lego.home import home, written

    folder = home() / "answers"
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%f")
    path = folder / f"report-{stamp}.json"
    with written(path):
        folder.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(report.record(), indent=1, ensure_ascii=False) + "\n", "utf-8")
    return path


def _export(source: Augment, path: Path) -> int:
    from lego.augment.job import export

    lines = [json.dumps(line, ensure_ascii=False) for line in export(source)]
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.partial")
    aside.write_text("".join(line + "\n" for line in lines), "utf-8")
    aside.replace(path)
    return len(lines)


def _tables(source: Augment, folder: Path) -> list[str]:
    """A file for each new attribute: id, value, model, prompt, time, those rows alone that were generated."""
    import pyarrow.parquet as pq

    from lego.augment.source import side_tables

    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, table in side_tables(source).items():
        path = folder / f"{name}.parquet"
        pq.write_table(table, path)
        written.append(str(path))
    return written


def _plain(told: Any) -> dict[str, Any]:
    import attrs

    return dict(attrs.asdict(told))
