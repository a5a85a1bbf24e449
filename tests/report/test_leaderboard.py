from __future__ import annotations

import csv
import io

import pytest
from rich.console import Console

from lego.report.leaderboard import Line, comma_separated, html, markdown, print_leaderboard, ranked

LINES = [
    Line(name="plain", text="A()", mean={"dev gauc": 0.6, "gauc": 0.7}, std={"gauc": 0.01}, seeds=2),
    Line(name="best | of all", text="B(x=1, y=2)", mean={"dev gauc": 0.8, "gauc": 0.5}, seeds=1),
    Line(name="random", mean={"gauc": 0.5}, seeds=1, status="baseline"),
    Line(name="wrong", text="C()", status="invalid", error="it | does\nnot fit"),
    Line(name="as good", text="D()", mean={"dev gauc": 0.6, "gauc": 0.9}, seeds=2),
    Line(name="unmeasured", text="E()", mean={"gauc": 0.99}, seeds=1),
]


def test_ranks_are_by_one_metric_and_shared_by_equals():
    """The best first; what has no number, or is no finished model, stands behind without a rank, in its order."""
    found = ranked(LINES, "dev gauc")
    assert [(each.name, each.rank) for each in found] == [
        ("best | of all", 1),
        ("plain", 2),
        ("as good", 2),
        ("unmeasured", None),
        ("random", None),
        ("wrong", None),
    ]
    turned = ranked(LINES, "dev gauc", larger_is_better=False)
    assert [each.rank for each in turned] == [1, 1, 3, None, None, None]


def test_markdown_has_a_row_for_each_and_the_reasons():
    """Cells cannot break the table; deviations stand where there are any; errors have a table of their own."""
    text = markdown(ranked(LINES, "dev gauc"), title="News", caption="Read me.")
    lines = text.splitlines()
    assert lines[0] == "## News"
    assert lines[2] == "| # | model | seeds | dev gauc | gauc |"
    assert lines[4] == r"| 1 | best \| of all | 1 | 0.8000 | 0.5000 |"
    assert "| 2 | plain | 2 | 0.6000 | 0.7000 ± 0.0100 |" in lines
    assert "| – | random | 1 | – | 0.5000 |" in lines
    assert "Read me." in lines
    assert r"| wrong | invalid | it \| does not fit |" in lines
    assert {line.replace(r"\|", "").count("|") for line in lines if line.startswith("|")} == {6, 4}


def test_csv_keeps_every_digit_and_every_line():
    """Any reader of CSV gets the numbers in full and the expressions unharmed."""
    third = [*LINES, Line(name="third", text="F()", mean={"gauc": 1 / 3}, seeds=1)]
    rows = list(csv.DictReader(io.StringIO(comma_separated(third))))
    assert [row["name"] for row in rows] == [line.name for line in third]
    assert float(rows[-1]["gauc"]) == 1 / 3
    assert rows[1]["text"] == "B(x=1, y=2)"
    assert rows[3]["error"] == "it | does\nnot fit"
    assert (rows[0]["gauc std"], rows[1]["gauc std"]) == ("0.01", "")
    assert "data" not in rows[0]
    grouped = comma_separated([Line(name="a", group="MIND"), Line(name="b", group="MovieLens")])
    assert [row["data"] for row in csv.DictReader(io.StringIO(grouped))] == ["MIND", "MovieLens"]


def test_html_is_escaped():
    """Texts are texts."""
    text = html([Line(name="<b>", mean={"gauc": 0.5}, error="a < b")], title="<t>", caption="<c>")
    assert "&lt;b&gt;" in text
    assert "a &lt; b" in text
    assert "<b>" not in text
    assert "<c>" not in text


def test_a_pipe_gets_aligned_lines():
    """Plain lines, however narrow; names left, numbers right."""
    pipe = io.StringIO()
    print_leaderboard(LINES[:2], Console(file=pipe, width=20), caption="Read me.", metrics=["gauc"])
    assert pipe.getvalue().splitlines() == [
        "#  model          seeds             gauc",
        "–  plain              2  0.7000 ± 0.0100",
        "–  best | of all      1           0.5000",
        "Read me.",
    ]


@pytest.mark.parametrize(("width", "shown"), [(120, 4), (75, 2), (55, 1), (30, 4)])
def test_a_terminal_shows_as_many_metrics_as_fit(width, shown):
    """The first ones, whole: no number is cut; where no table fits, lines have them all."""
    names = ["gauc", "mrr", "ndcg@5", "ndcg@10"]
    line = Line(
        name="a rather long name of a model",
        mean=dict.fromkeys(names, 0.5),
        std=dict.fromkeys(names, 0.1),
        seeds=3,
    )
    screen = io.StringIO()
    print_leaderboard([line], Console(file=screen, width=width, force_terminal=True))
    assert screen.getvalue().count("0.5000 ± 0.1000") == shown
