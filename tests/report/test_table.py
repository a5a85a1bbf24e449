from __future__ import annotations

import io
import subprocess
import sys

import pytest
from rich.console import Console

from lego.report.table import metrics_lines, metrics_table, print_metrics

ROWS = {
    "model": {"gauc": 0.61234567, "ndcg@5": 0.3, "groups": 120},
    "popularity": {"gauc": 0.5, "groups": 7, "[red]auc": 1.0},
}


def test_lines_are_aligned_and_plain():
    """Names stand left, numbers right; what a scorer lacks is a dash."""
    assert list(metrics_lines(ROWS, title="test", heading="scorer")) == [
        "test",
        "scorer        gauc  ndcg@5  groups  [red]auc",
        "model       0.6123  0.3000     120         –",
        "popularity  0.5000       –       7    1.0000",
    ]


def test_a_pipe_gets_lines_that_never_wrap():
    """Outside a terminal there is no border, no color, and no fold, however narrow."""
    pipe = io.StringIO()
    print_metrics(ROWS, Console(file=pipe, width=20), heading="scorer")
    assert pipe.getvalue().splitlines() == list(metrics_lines(ROWS, heading="scorer"))


def test_a_terminal_gets_a_table():
    """On a terminal the same cells stand in a drawn table, and a name is never read as markup."""
    screen = io.StringIO()
    print_metrics(ROWS, Console(file=screen, width=100, force_terminal=True), title="test", digits=2)
    shown = screen.getvalue()
    assert "│" in shown
    for cell in ("test", "model", "0.61", "120", "[red]auc"):
        assert cell in shown
    assert metrics_table(ROWS).row_count == 2


def test_no_number_is_cut_on_a_narrow_terminal():
    """Where a column a metric is too wide for the terminal, metrics become rows, and every number is whole."""
    rows = {name: {f"metric@{number}": 0.12345 for number in range(9)} for name in ("this model", "random")}
    screen = io.StringIO()
    print_metrics(rows, Console(file=screen, width=60, force_terminal=True, color_system=None))
    assert "…" not in screen.getvalue()
    assert screen.getvalue().count("0.1235") == 18


@pytest.mark.parametrize("rows", [{}, {"model": {}}])
def test_nothing_to_show(rows):
    """No scorers, or no metrics, make a table of what there is."""
    assert len(list(metrics_lines(rows))) == 1 + len(rows)
    assert metrics_table(rows).row_count == len(rows)


def test_torch_is_not_imported():
    """Neither the table nor the metrics need torch."""
    code = "import sys, lego.report.table, lego.metric.evaluate, lego.metric.parse; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_terminal_of_forty_columns_gets_whole_numbers_and_names():
    """Where no table fits, lines do: nothing is cut and nothing is wrapped."""
    rows = {
        name: {"gauc": 0.51234, "mrr_all": 0.2, "ndcg@10": 0.3}
        for name in ("this model", "random", "popularity")
    }
    file = io.StringIO()
    print_metrics(rows, Console(file=file, force_terminal=True, color_system=None, width=40))
    assert file.getvalue().splitlines() == [
        "         this model  random  popularity",
        "gauc         0.5123  0.5123      0.5123",
        "mrr_all      0.2000  0.2000      0.2000",
        "ndcg@10      0.3000  0.3000      0.3000",
    ]
