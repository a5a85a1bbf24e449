from __future__ import annotations

import pytest

from lego.board.published import ROWS


def test_the_board_is_printed(lego, tmp_path):
    """As lines, as JSON and as a page; what was not run has no numbers."""
    shown = lego("board", "--out", tmp_path)
    assert shown.code == 0, shown.err
    for text in ("minddemo/nrms", "0.6127 | unrun", "cannot be run: ", "https://arxiv.org/abs/2412.15973"):
        assert text in shown.out, text
    rows = lego("board", "--out", tmp_path, "--json").json["rows"]
    assert [row["name"] for row in rows] == [row.name for row in ROWS]
    assert {row["status"] for row in rows} == {"unrun"}
    assert lego("board", "--out", tmp_path, "--markdown").out.startswith("# The board")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("minddemo/nrms",), "name the folder of the data with --data (MINDdemo: MINDdemo_train"),
        (("minddemo/nrms", "--data", "x"), "needs --glove (word vectors"),
        (("minddemo/npa", "--data", "x"), "cannot be run"),
        (("table2/nrsm", "--data", "x"), "Did you mean 'table2/nrms'"),
        (("table2/nrms", "--data", "x", "--set", "training.lrr=1"), "lrr"),
        (("--data", "x"), "name the rows to run again"),
        (("--json", "--markdown"), "one of the two"),
    ],
)
def test_wrong_use_is_answered(lego, arguments, words):
    """Before anything is trained."""
    answer = lego("board", *arguments)
    assert answer.code == 2
    assert words in answer.err
