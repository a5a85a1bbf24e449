"""A leaderboard: a line for each model, mean and spread of each metric; as Markdown, CSV, HTML, and on a terminal."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape

import attrs
from rich.console import Console
from rich.table import Table
from rich.text import Text

from lego.report.table import MISSING, WIDE

Numbers = Mapping[str, float | None]
"""Metric → value, None where the metric does not apply."""


@attrs.frozen(kw_only=True)
class Line:
    """What a leaderboard says of one model."""

    name: str
    text: str = ""
    """The expression that makes it."""
    mean: Numbers = attrs.field(factory=dict)
    """Of each metric, over the seeds."""
    std: Numbers = attrs.field(factory=dict)
    """The standard deviation of each metric over the seeds; None, or no entry, where there is one seed."""
    seeds: int = 0
    """How many runs the numbers are of."""
    rank: int | None = None
    """Its place, counted from 1; None where it takes none."""
    status: str = "finished"
    """In a word: finished, failed, invalid, baseline."""
    error: str | None = None
    group: str = ""
    """What it was measured on; lines of two groups cannot be compared."""


def ranked(lines: Iterable[Line], metric: str, *, larger_is_better: bool = True) -> list[Line]:
    """Finished lines by the mean of a metric, best first, with their ranks; then the others as they came.

    Equal numbers share a rank. A finished line without the number stands behind those that have it, and has no rank.
    """
    every = list(lines)
    measured = [each for each in every if each.status == "finished" and each.mean.get(metric) is not None]
    values = {id(each): _value(each, metric) * (-1 if larger_is_better else 1) for each in measured}
    measured.sort(key=lambda each: values[id(each)])
    behind = [each for each in every if id(each) not in values]
    behind.sort(key=lambda each: each.status != "finished")
    best_first = [
        attrs.evolve(each, rank=1 + sum(values[id(other)] < values[id(each)] for other in measured))
        for each in measured
    ]
    return best_first + [attrs.evolve(each, rank=None) for each in behind]


def _value(line: Line, metric: str) -> float:
    return float(line.mean[metric] or 0.0)


def metrics_of(lines: Iterable[Line]) -> list[str]:
    """Every metric, in the order of first mention."""
    return list(dict.fromkeys(name for line in lines for name in line.mean))


def cells_of(lines: Sequence[Line], metrics: Sequence[str], digits: int = 4) -> Iterator[list[str]]:
    """The header, then rank, name, number of seeds and metrics of each line, as texts."""
    yield ["#", "model", "seeds", *metrics]
    for line in lines:
        rank = str(line.rank) if line.rank is not None else MISSING
        seeds = str(line.seeds) if line.seeds else MISSING
        yield [rank, line.name, seeds, *(_cell(line, name, digits) for name in metrics)]


def _cell(line: Line, metric: str, digits: int) -> str:
    mean, std = line.mean.get(metric), line.std.get(metric)
    if mean is None:
        return MISSING
    return f"{mean:.{digits}f}" if std is None else f"{mean:.{digits}f} ± {std:.{digits}f}"


def markdown(
    lines: Sequence[Line],
    *,
    title: str = "",
    caption: str = "",
    metrics: Sequence[str] | None = None,
    digits: int = 4,
) -> str:
    """A Markdown table of the lines that have numbers, and below it what went wrong with the others."""
    measured = [each for each in lines if each.mean]
    header, *body = cells_of(measured, metrics_of(measured) if metrics is None else metrics, digits)
    parts = [f"## {title}"] if title else []
    if measured:
        rule = ["---:", "---", *["---:"] * (len(header) - 2)]
        parts.append("\n".join(_row(each) for each in (header, rule, *body)))
    if caption:
        parts.append(caption)
    wrong = [each for each in lines if each.error]
    if wrong:
        rows = (
            ["model", "", "why"],
            ["---", "---", "---"],
            *([each.name, each.status, each.error or ""] for each in wrong),
        )
        parts.append("\n".join(_row(each) for each in rows))
    return "\n\n".join(parts) + "\n"


def _row(cells: Sequence[str]) -> str:
    """One line of a Markdown table: no cell ends it early."""
    return "| " + " | ".join(" ".join(each.split()).replace("|", "\\|") for each in cells) + " |"


def comma_separated(lines: Sequence[Line]) -> str:
    """CSV (RFC 4180) of all lines, each number in full: a column for the mean of each metric and one for its deviation."""
    metrics = metrics_of(lines)
    grouped = any(line.group for line in lines)
    out = io.StringIO()
    writer = csv.writer(out)
    names = [name for metric in metrics for name in (metric, f"{metric} std")]
    writer.writerow([*["data"] * grouped, "rank", "status", "name", "seeds", *names, "error", "text"])
    for line in lines:
        numbers = [value for metric in metrics for value in (line.mean.get(metric), line.std.get(metric))]
        given = [line.rank, line.status, line.name, line.seeds, *numbers, line.error, line.text]
        writer.writerow([*[line.group] * grouped, *("" if each is None else each for each in given)])
    return out.getvalue()


def html(lines: Sequence[Line], *, title: str = "", caption: str = "", digits: int = 4) -> str:
    """A table for notebooks, every text escaped; below it what went wrong."""
    measured = [each for each in lines if each.mean]
    header, *body = cells_of(measured, metrics_of(measured), digits)
    head = "".join(f"<th>{escape(each)}</th>" for each in header)
    rows = "".join(f"<tr>{''.join(f'<td>{escape(each)}</td>' for each in row)}</tr>" for row in body)
    above = f"<caption>{escape(title)}</caption>" if title else ""
    below = f"<p>{escape(caption)}</p>" if caption else ""
    wrong = "".join(
        f"<li>{escape(each.name)} ({escape(each.status)}): {escape(each.error)}</li>"
        for each in lines
        if each.error
    )
    told = f"<ul>{wrong}</ul>" if wrong else ""
    return f"<table>{above}<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>{below}{told}"


def print_leaderboard(
    lines: Sequence[Line],
    console: Console,
    *,
    title: str = "",
    caption: str = "",
    metrics: Sequence[str] | None = None,
    digits: int = 4,
) -> None:
    """The lines that have numbers: a table where the console is a terminal, aligned lines elsewhere.

    Of the metrics, a table shows as many of the first as the terminal is wide enough for: no number is ever cut.
    """
    measured = [each for each in lines if each.mean]
    names = list(metrics_of(measured) if metrics is None else metrics)
    fitting = _fitting(measured, names, console, digits) if measured and console.is_terminal else 0
    if fitting:
        console.print(_table(measured, names[:fitting], digits, title=title))
    elif measured:
        if title:
            console.print(title, soft_wrap=True, markup=False, highlight=False, emoji=False)
        cells = list(cells_of(measured, names, digits))
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        for row in cells:
            placed = (
                cell.ljust(width) if place == 1 else cell.rjust(width)
                for place, (cell, width) in enumerate(zip(row, widths, strict=True))
            )
            line = "  ".join(placed).rstrip()
            console.print(line, soft_wrap=True, markup=False, highlight=False, emoji=False)
    if caption:
        console.print(caption, soft_wrap=True, markup=False, highlight=False, emoji=False)


NAME_WIDTH = 16
"""Columns that the name of a model has at least on a terminal; a longer one is folded."""


def _fitting(lines: Sequence[Line], metrics: Sequence[str], console: Console, digits: int) -> int:
    """How many of the metrics a table has room for."""
    wide = console.options.update(width=WIDE)
    for count in range(len(metrics), 0, -1):
        least = _table(lines, metrics[:count], digits, narrow=True)
        if console.measure(least, options=wide).maximum <= console.width:
            return count
    return 0


def _table(
    lines: Sequence[Line], metrics: Sequence[str], digits: int, *, title: str = "", narrow: bool = False
) -> Table:
    """The rich table; `narrow` cuts the names, to ask how narrow it can be."""
    header, *body = cells_of(lines, metrics, digits)
    table = Table(title=title or None, title_justify="left")
    for place, name in enumerate(header):
        if place == 1:
            table.add_column(Text(name), overflow="fold", min_width=min(NAME_WIDTH, max(map(_length, lines))))
        else:
            table.add_column(Text(name), justify="right", no_wrap=True)
    for row in body:
        if narrow:
            row[1] = row[1][:NAME_WIDTH]
        table.add_row(*map(Text, row))
    return table


def _length(line: Line) -> int:
    return len(line.name)
