"""Results as a table in a notebook: plain HTML, every text escaped."""

from __future__ import annotations

from html import escape

from lego.report.table import Rows, cells_of


def metrics_html(rows: Rows, *, title: str = "", note: str = "", heading: str = "", digits: int = 4) -> str:
    """A row for each scorer, a column for each metric in the order of first mention."""
    header, *body = cells_of(rows, heading, digits)
    head = "".join(f"<th>{escape(name)}</th>" for name in header)
    lines = "".join(
        "<tr>"
        f"<th>{escape(cells[0])}</th>" + "".join(f"<td>{escape(each)}</td>" for each in cells[1:]) + "</tr>"
        for cells in body
    )
    caption = f"<caption>{escape(title)}</caption>" if title else ""
    below = f"<p>{escape(note)}</p>" if note else ""
    return f"<table>{caption}<thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table>{below}"
