"""Results as a table: drawn on a terminal, plain aligned lines in a pipe or a file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

Rows = Mapping[str, Mapping[str, float | None]]
"""The numbers of each scorer: name → metric → value, None where the metric does not apply."""

MISSING = "–"
WIDE = 10_000
"""Columns of a terminal in which every table fits: to ask how wide one wants to be."""


def metrics_table(rows: Rows, *, title: str | None = None, heading: str = "", digits: int = 4) -> Table:
    """A row for each scorer, a column for each metric in the order of first mention; whole numbers stay whole."""
    header, *body = cells_of(rows, heading, digits)
    table = Table(title=title, title_justify="left")
    for place, name in enumerate(header):
        table.add_column(Text(name), justify="right" if place else "left", no_wrap=True)
    for cells in body:
        table.add_row(*map(Text, cells))
    return table


def metrics_lines(
    rows: Rows, *, title: str | None = None, heading: str = "", digits: int = 4
) -> Iterator[str]:
    """The same as lines without borders or color, columns two blanks apart, never wrapped."""
    cells = list(cells_of(rows, heading, digits))
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    if title:
        yield title
    for line in cells:
        first, *rest = (
            cell.rjust(width) if place else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        yield "  ".join([first, *rest]).rstrip()


def print_metrics(
    rows: Rows, console: Console, *, title: str | None = None, heading: str = "", digits: int = 4
) -> None:
    """The table where the console is a terminal, the lines elsewhere.

    On a terminal that is too narrow for a column a metric, metrics are the rows; on one too narrow for that,
    lines without borders. No number is ever cut.
    """
    if console.is_terminal:
        wide = console.options.update(width=WIDE)
        for way in (rows, turned(rows)):
            table = metrics_table(way, title=title, heading=heading, digits=digits)
            if console.measure(table, options=wide).maximum <= console.width:
                console.print(table)
                return
        rows = turned(rows)
    for line in metrics_lines(rows, title=title, heading=heading, digits=digits):
        console.print(line, soft_wrap=True, markup=False, highlight=False, emoji=False)


def turned(rows: Rows) -> Rows:
    """The numbers the other way round: metric → scorer → value."""
    names = dict.fromkeys(name for row in rows.values() for name in row)
    return {name: {scorer: row[name] for scorer, row in rows.items() if name in row} for name in names}


def cells_of(rows: Rows, heading: str, digits: int) -> Iterator[Sequence[str]]:
    """The header, then a line for each scorer, as texts."""
    names = list(dict.fromkeys(name for row in rows.values() for name in row))
    yield [heading, *names]
    for scorer, row in rows.items():
        yield [scorer, *(_cell(row.get(name), digits) for name in names)]


def _cell(value: float | None, digits: int) -> str:
    if value is None:
        return MISSING
    return str(value) if isinstance(value, int) else f"{value:.{digits}f}"
