"""The board as a page, as lines for a terminal, and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from lego.board.rerun import Rerun
from lego.board.row import HEADINGS, Row

UNRUN = "unrun"
MISSING = "–"


def record(rows: Sequence[Row], found: Mapping[str, Rerun]) -> list[dict[str, Any]]:
    """Each row in plain JSON types: what is published, what was run, and their difference."""
    return [
        {
            "name": row.name,
            "model": row.model,
            "data": row.edition.name,
            "tested": row.edition.tested,
            "protocol": row.protocol,
            "source": row.source,
            "read": row.read,
            "published": {
                "metrics": dict(row.metrics),
                "std": dict(row.deviations),
                "seeds": row.seeds,
                "tuning": row.tuning,
            },
            "expression": row.text or None,
            "command": row.command or None,
            "needs": list(row.needs),
            "differs": row.differs,
            "missing": row.missing,
            "status": found[row.name].status(row) if row.name in found else UNRUN,
            "ours": found[row.name].record if row.name in found else None,
            "difference": differences(row, found.get(row.name)),
        }
        for row in rows
    ]


def differences(row: Row, ours: Rerun | None) -> dict[str, float]:
    """Ours minus theirs, for each metric that both have; none where the data is other data."""
    if ours is None or ours.status(row) != "rerun":
        return {}
    means = {name: ours.mean.get(name) for name in row.metrics}
    return {name: value - row.metrics[name] for name, value in means.items() if value is not None}


def cells(rows: Sequence[Row], found: Mapping[str, Rerun]) -> list[list[str]]:
    """A line for each row, theirs | ours for each metric."""
    metrics = [name for name in HEADINGS if any(name in row.metrics for row in rows)]
    lines = [["row", "model", *(HEADINGS[name] for name in metrics), "seeds", "budget"]]
    for row in rows:
        ours = found.get(row.name)
        values = [
            f"{_number(row.metrics.get(name), row.deviations.get(name))} | "
            f"{UNRUN if ours is None else _number(ours.mean.get(name), ours.std.get(name))}"
            for name in metrics
        ]
        seeds = f"{row.seeds or '?'} | {MISSING if ours is None else len(ours.seeds)}"
        budget = f"? | {MISSING if ours is None else ours.budget}"
        lines.append([row.name, row.model, *values, seeds, budget])
    return lines


def notes(rows: Sequence[Row], found: Mapping[str, Rerun]) -> Iterator[str]:
    """What must be known to read ours beside theirs, and rows beside each other."""
    for row in rows:
        ours = found.get(row.name)
        if ours is None:
            continue
        if ours.status(row) == "other data":
            yield (
                f"{row.name}: {ours.tested:,} impressions were tested, and the published numbers are on {row.edition.tested:,}: "
                "this is other data, and no rerun."
            )
        if ours.changes:
            yield f"{row.name}: changed by hand: {', '.join(ours.changes)}."
        if ours.chosen:
            yield f"{row.name}: chosen on dev among {ours.budget}: {', '.join(ours.chosen)}."
    for title, group in groupby(rows, key=_table):
        budgets = {
            (found[row.name].budget, tuple(found[row.name].space)) for row in group if row.name in found
        }
        if len(budgets) > 1:
            tried = ", ".join(str(budget) for budget, _ in sorted(budgets))
            yield f"{title}: budgets of tuning differ ({tried}), so these rows do not compare with each other."


def page(rows: Sequence[Row], found: Mapping[str, Rerun]) -> str:
    """Markdown: a table for each table of a source, then how each row is run, and why others are not."""
    parts = [_HEAD]
    for title, group in groupby(rows, key=_table):
        members = list(group)
        first = members[0]
        parts.append(f"## {title}")
        parts.append(
            f"{first.edition.note[0].upper()}{first.edition.note[1:]}: {first.edition.tested:,} impressions. Protocol "
            f"[`{first.protocol}`](evaluation.md#protocol). Each cell is theirs / ours."
        )
        header, *lines = cells(members, found)
        parts.append("\n".join(_markdown(header, lines, members)))
        told = list(notes(members, found))
        if told:
            parts.append("\n".join(f"- {each}" for each in told))
        parts.append("\n".join(_ways(members)))
    return "\n\n".join(parts) + "\n"


_HEAD = """# The board

Published results, with protocol and source, and the one command for each that runs it again and prints ours beside theirs, with
the spread over seeds. `unrun` means that it was not run, mostly since its data cannot be shipped; nothing is ever filled in. Made
by `lego board --markdown` from `lego/board/published.py`.

A rerun has three training seeds unless told (`--seeds`), and a standard deviation of a sample (n - 1); the sources that have one
divide by n. `--budget N` first tries N settings, drawn from the same space for every row (`--space`, learning rates unless told),
and keeps the one that is best on the dev part: rows compare with each other only where their budgets are equal, which the record
holds and the board checks. A budget of 1 is the published setting. On data with another number of test impressions the board says
that it is no rerun."""


def _table(row: Row) -> str:
    heads = {
        "minddemo": "MINDdemo: the notebooks of recommenders",
        "mind-small": "MIND-small: NewsReX",
        "table2": "MIND-small: Table 2 of Liu et al. 2025",
    }
    return heads.get(row.name.partition("/")[0], row.edition.title)


def _markdown(header: Sequence[str], lines: Sequence[Sequence[str]], rows: Sequence[Row]) -> Iterator[str]:
    yield "| " + " | ".join([*header, "source"]) + " |"
    yield "| " + " | ".join(["---", "---", *["---:"] * (len(header) - 2), "---"]) + " |"
    for line, row in zip(lines, rows, strict=True):
        shown = [f"`{line[0]}`", line[1], *(cell.replace(" | ", " / ") for cell in line[2:])]
        yield "| " + " | ".join([*shown, f"[{row.read}]({row.source})"]) + " |"


def _ways(rows: Sequence[Row]) -> Iterator[str]:
    """How each row is run, or why it is not."""
    yield "| row | command | known differences |"
    yield "| --- | --- | --- |"
    for row in rows:
        way = f"`{row.command}`" if row.runnable else "none"
        why = "; ".join(part for part in (row.missing, row.differs) if part)
        yield f"| `{row.name}` | {way} | {why or MISSING} |"


def _number(mean: float | None, std: float | None) -> str:
    if mean is None:
        return MISSING
    return f"{mean:.4f}" if std is None else f"{mean:.4f} ± {std:.4f}"
