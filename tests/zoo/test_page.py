from __future__ import annotations

from pathlib import Path

from lego import zoo

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "zoo.md").read_text(encoding="utf-8")


def rows(section: str) -> list[list[str]]:
    """The cells of the table in a section of the page, without its head."""
    text = PAGE.partition(f"## {section}\n")[2].partition("\n## ")[0]
    lines = [line for line in text.splitlines() if line.startswith("| ")][1:]
    return [
        [cell.strip().replace("¦", "|") for cell in line.replace("\\|", "¦").strip("|").split("|")]
        for line in lines
    ]


def test_every_model_has_its_row():
    """Name, expression, paper, task and what it reads are those of the zoo; an expression that cannot be made is left out."""
    assert rows("Models") == [
        [
            f"`zoo.{entry.name}`",
            "–" if entry.words else f"`{entry.model().text()}`",
            f"[{entry.paper}]({entry.url})",
            f"`{entry.task.text()}`",
            entry.reads,
        ]
        for entry in zoo.entries()
    ]


def test_every_row_of_table_2_is_there():
    """Expressions and the paper's numbers."""
    assert rows("Table 2 of the paper") == [
        [
            row.name,
            f"`{row.text}`",
            *(f"{each:.2f}" for each in (row.auc, row.mrr, row.ndcg)),
            row.needs or "–",
        ]
        for row in zoo.ROWS
    ]


def test_what_is_left_out_is_told():
    """Every model that the contract does not admit, with the reason."""
    assert rows("Not in it") == [[f"`{name}`", why] for name, why in zoo.OMITTED.items()]
