from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

SCRIPT = """
from lego import Attention, Dot, Experiment, ItemID, Mean, MovieLens, Recommender, Training, any_of, cases

experiment = Experiment(
    data=MovieLens({path!r}, negatives=5, history=6),
    model=Recommender(content=any_of(ItemID(), Attention(heads=3)), behavior=Mean(), predictor=Dot(), width=8),
    training=Training(epochs=1, lr=any_of(0.01, 0.02)),
)
untied = experiment.set("training.lr=cases(0.1, 0.2)", "training.epochs=cases(1, 2, 3)")
"""


@pytest.fixture
def script(movies, tmp_path, monkeypatch):
    """A script, in a working directory of its own."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "scripts" / "mine.py"
    path.parent.mkdir()
    path.write_text(SCRIPT.replace("{path!r}", repr(os.path.relpath(movies, path.parent))))
    return path


def test_a_sweep_ends_in_a_leaderboard(lego, script, tmp_path):
    """People get a table with the baselines, what chose the best, and where the files are; progress goes to stderr."""
    answer = lego("sweep", script)
    assert answer.code == 0, answer.err
    for words in (
        "dev gauc",
        "content=ItemID(), lr=0.01",
        "random",
        "popularity",
        "Ranked by dev gauc",
        "choose nothing",
    ):
        assert words in answer.out, words
    assert answer.out.splitlines()[-2:] == [
        "2 finished, 2 invalid",
        "leaderboard: runs/mine/leaderboard.md (and .csv, .json)",
    ]
    assert "not run: content=Attention(heads=3), lr=0.01" in answer.err
    assert "does not divide into 3 heads" in answer.err
    assert "best so far" in answer.err
    assert "best so far" not in answer.out
    for name in ("leaderboard.md", "leaderboard.csv", "leaderboard.json"):
        assert (tmp_path / "runs" / "mine" / name).exists()
    run = next(each for each in (tmp_path / "runs" / "mine").iterdir() if each.is_dir())
    assert lego("evaluate", run, "--json").json["part"] == "test"


def test_check_looks_at_every_combination(lego, script):
    """The wrong ones with their reasons, nothing run, and a code that says so; none wrong is code 0."""
    answer = lego("check", script)
    assert answer.code == 2
    assert answer.out.count("does not divide into 3 heads") == 2
    assert "4 combinations: 2 right, 2 wrong" in answer.out
    rows = json.loads(lego("check", script, "--json").out)["combinations"]
    assert [bool(row["problems"]) for row in rows] == [False, False, True, True]
    right = lego("check", script, "--set", "model.content=ItemID()")
    assert right.code == 0
    assert "2 combinations: all fit together" in right.out


def test_json_is_the_last_line(lego, script):
    """The same document that leaderboard.json holds; a second call reuses what is there."""
    options = ("--name", "other", "--seeds", "2", "--set", "training.lr=0.01", "--json")
    found = json.loads(lego("sweep", script, *options).out.splitlines()[-1])
    assert list(found) == [
        *("sweep", "text", "combinations", "seeds", "limit", "budget", "counts", "boards", "rows"),
    ]
    assert (found["sweep"], found["combinations"], found["seeds"]) == ("runs/other", 2, 2)
    assert found["counts"] == {"finished": 1, "failed": 0, "invalid": 1, "waiting": 0}
    row = found["rows"][0]
    assert (row["rank"], row["n"], row["changes"]) == (1, 2, ["model.content=ItemID()"])
    assert json.loads((Path(found["sweep"]) / "leaderboard.json").read_text()) == found
    again = lego("sweep", script, *options, "--resume")
    assert json.loads(again.out.splitlines()[-1]) == found
    assert "finished already: 2 runs" in again.err


def test_a_sample(lego, script):
    """--limit runs so many valid ones."""
    found = json.loads(lego("sweep", script, "--limit", "1", "--json").out.splitlines()[-1])
    assert found["counts"]["finished"] == 1
    assert found["limit"] == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--limit", "1", "--budget", "1"), "Give one of the two"),
        (("--seeds", "0"), "greater than or equal to 1"),
        (("--set", "training.lrr=1"), "Did you mean 'lr'"),
        (("--set", "training.epochs=any_of(1, -1)"), "at least 0"),
    ],
)
def test_wrong_use_is_told_before_anything_runs(lego, script, tmp_path, arguments, words):
    """Exit code 2, a sentence on standard error, no traceback and no folder."""
    answer = lego("sweep", script, *arguments)
    assert answer.code == 2
    assert words in " ".join(answer.err.replace("│", " ").split())
    assert "Traceback" not in answer.err
    assert not (tmp_path / "runs").exists()


def test_cases_that_do_not_match(lego, script):
    """Both are named."""
    answer = lego("sweep", f"{script}:untied")
    assert answer.code == 2
    assert "cases(0.1, 0.2) has 2 and cases(1, 2, 3) has 3" in answer.err


def test_nothing_to_run_is_wrong_use(lego, script, tmp_path):
    """Where every combination is invalid, they are listed, and the exit code is 2."""
    answer = lego("sweep", script, "--set", "model.content=Attention(heads=3)")
    assert answer.code == 2
    assert "2 invalid" in answer.out
    assert "does not divide" in (tmp_path / "runs" / "mine" / "leaderboard.md").read_text()


def test_nothing_that_finished_is_a_failure(lego, script):
    """Where every run failed, the exit code is 1, and each says why."""
    answer = lego(
        "sweep",
        script,
        "--set",
        "training.lr=1e30",
        "--set",
        "model.content=Mean()",
        "--set",
        "training.epochs=2",
    )
    assert answer.code == 1
    assert "not finite" in answer.out


def test_run_points_to_sweep(lego, script, tmp_path):
    """`lego run` of an experiment with choices says which command runs them."""
    answer = lego("run", script)
    assert answer.code == 2
    assert "`lego sweep SCRIPT`" in answer.err
    assert not (tmp_path / "runs").exists()
