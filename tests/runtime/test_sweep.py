from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lego import (
    Additive,
    Attention,
    ItemID,
    Mean,
    MovieLens,
    Recommender,
    any_of,
    cases,
    sweep,
)
from lego.errors import RunError, SpecError
from lego.runtime import sweep as sweeping
from lego.runtime.folder import held, write_json
from lego.runtime.jobs import Outcome
from lego.runtime.progress import Screen
from lego.runtime.search import shuffled
from lego.seed import numpy_generator

FOLDERS = ("runs", "sweep", "seconds")


def told(made):
    """What a sweep found, without its folders and times."""
    rows = [{key: value for key, value in row.items() if key not in FOLDERS} for row in made.record["rows"]]
    return rows, made.record["boards"], made.record["counts"]


class Heard(Screen):
    """A screen that remembers what it was told."""

    def __init__(self):
        super().__init__()
        self.lines = []

    def say(self, text):
        self.lines.append(text)


@pytest.fixture
def faked(monkeypatch):
    """Runs that are not made: their dev and test numbers are those of a function of the experiment, and calls are noted."""
    made = []

    def use(numbers):
        class Faked:
            def __init__(self, screen):
                pass

            def run(self, jobs):
                for place, job in enumerate(jobs):
                    dev, test = numbers(job.experiment)
                    path = job.out / job.name / f"fake-{len(made)}"
                    made.append(job.experiment)
                    record = {"test": {"gauc": test}, "fit": {"dev": dev}, "seconds": {}, "groups": 3}
                    write_json(path / "metrics.json", record)
                    yield place, Outcome(path=str(path), dev=dev)

        monkeypatch.setattr(sweeping, "Here", Faked)
        return made

    return use


def test_a_sweep_runs_every_valid_combination(small, tmp_path):
    """Invalid ones are rows with their reason; the others have mean and spread over seeds, and rank by the dev part."""
    open_ = small(content=any_of(ItemID(), Attention(heads=3), Mean()), epochs=1, lr=any_of(0.01, 0.1))
    heard = Heard()
    made = sweep(open_, out=tmp_path, seeds=2, screen=heard)
    rows = made.record["rows"]
    assert [row["status"] for row in rows] == ["finished"] * 2 + ["invalid"] * 2 + ["finished"] * 2
    assert all("does not divide into 3 heads" in row["error"] for row in rows[2:4])
    assert [row["name"] for row in rows[:2]] == ["content=ItemID(), lr=0.01", "content=ItemID(), lr=0.1"]
    assert all(open_.set(*row["changes"]).text() == row["text"] for row in rows)
    for row in rows[:2] + rows[4:]:
        found = [json.loads((Path(path) / "metrics.json").read_text()) for path in row["runs"]]
        assert row["n"] == len(found) == 2
        assert row["mean"]["gauc"] == pytest.approx(sum(each["test"]["gauc"] for each in found) / 2)
        assert row["dev"]["mean"] == pytest.approx(sum(each["fit"]["dev"] for each in found) / 2)
        first, second = (each["test"]["gauc"] for each in found)
        assert row["std"]["gauc"] == pytest.approx(abs(first - second) / 2**0.5)
    by_dev = sorted((row for row in rows if row["rank"]), key=lambda row: -row["dev"]["mean"])
    assert [row["rank"] for row in by_dev] == sorted(row["rank"] for row in by_dev)
    assert made.best == by_dev[0]
    assert sum("not run: content=Attention(heads=3)" in line for line in heard.lines) == 2
    assert any("best so far" in line for line in heard.lines)


def test_the_leaderboard_is_kept(small, tmp_path):
    """Three files in the sweep's folder, with the baselines, which are those that a run reports; and views of it in Python."""
    made = small(content=any_of(ItemID(), Mean()), epochs=1).sweep(out=tmp_path, name="first")
    assert made.path == tmp_path / "first"
    assert json.loads((made.path / "leaderboard.json").read_text())["rows"] == made.record["rows"]
    with (made.path / "leaderboard.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert [line["status"] for line in lines] == ["finished", "finished", "baseline", "baseline"]
    assert [line["rank"] for line in lines[:2]] == ["1", "2"]
    assert float(lines[0]["dev gauc"]) == made.best["dev"]["mean"]
    text = (made.path / "leaderboard.md").read_text()
    assert "Ranked by dev gauc" in text
    assert "choose nothing" in text
    one = json.loads((Path(made.best["runs"][0]) / "metrics.json").read_text())["baselines"]
    (board,) = made.record["boards"]
    for name in ("random", "popularity"):
        assert board["baselines"][name]["gauc"] == one[name]["gauc"]
        assert name in text
    assert made.rows.num_rows == 2
    assert made.rows.column("gauc").to_pylist() == [row["mean"]["gauc"] for row in made.record["rows"]]
    assert "<table>" in made._repr_html_()
    assert f"best on dev: {made.best['name']}" in repr(made)


def test_finished_runs_are_reused(small, tmp_path):
    """A second sweep makes no run that is there, and a wider one only what is new; the numbers are the same."""
    open_ = small(content=any_of(ItemID(), Mean()), epochs=1)
    first = sweep(open_, out=tmp_path)
    times = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("metrics.json")}
    heard = Heard()
    assert told(sweep(open_, out=tmp_path, screen=heard)) == told(first)
    assert "finished already: 2 runs" in heard.lines
    wider = sweep(open_.set("training.lr=any_of(0.01, 0.02)"), out=tmp_path)
    assert wider.record["counts"]["finished"] == 4
    assert len(list(tmp_path.rglob("metrics.json"))) == 4
    assert {path: path.stat().st_mtime_ns for path in times} == times


def test_equal_combinations_are_run_once(small, tmp_path, faked):
    """Two ways to say one thing are one row; seeds that meet are one run, and a row of each."""
    calls = faked(lambda each: (0.5, 0.5))
    made = sweep(small(content=any_of(Mean(), any_of(Mean(), Mean()))), out=tmp_path)
    assert (len(made.record["rows"]), len(calls)) == (1, 1)
    made = sweep(small(seed=any_of(0, 1)), out=tmp_path, name="seeds", seeds=2)
    assert [row["seeds"] for row in made.record["rows"]] == [[0, 1], [1, 2]]
    assert len(calls) == 1 + 3


def test_a_failed_model_is_a_row(small, tmp_path):
    """What goes wrong in a run stands in its row, and the others are run and ranked."""
    made = sweep(small(content=Mean(), epochs=2, lr=any_of(0.01, 1e30, 0.02)), out=tmp_path)
    good, bad, other = made.record["rows"]
    assert (good["status"], bad["status"], other["status"]) == ("finished", "failed", "finished")
    assert "The loss is not finite" in bad["error"]
    assert {good["rank"], other["rank"]} == {1, 2}
    assert bad["rank"] is None
    assert "The loss is not finite" in (made.path / "leaderboard.md").read_text()


def test_models_that_are_not_trained_have_a_dev_number_too(small, tmp_path, movies):
    """Baselines as choices, and models with no epoch, are ranked with the others."""
    open_ = small(epochs=any_of(0, 1))
    open_ = open_.set("model=any_of(Popularity(), Recommender(ItemID(), Mean(), Dot(), width=8))")
    made = sweep(open_, out=tmp_path)
    rows = made.record["rows"]
    assert sorted(row["rank"] for row in rows) in ([1, 2, 3, 3], [1, 1, 3, 4], [1, 2, 2, 4])
    popular = made.record["boards"][0]["baselines"]["popularity"]
    assert rows[0]["dev"]["mean"] == popular["dev gauc"]
    assert rows[0]["mean"]["gauc"] == popular["gauc"]


def test_combinations_on_other_data_have_a_board_of_their_own(small, tmp_path, movies, faked):
    """What cannot be compared is not: a best, a caption and baselines for each."""
    faked(lambda each: (0.5 + each.training.lr, 0.5))
    data = any_of(MovieLens(movies, negatives=5, history=6), MovieLens(movies, negatives=3, history=6))
    made = sweep(small(data=data, lr=any_of(0.01, 0.02)), out=tmp_path)
    assert [row["rank"] for row in made.record["rows"]] == [2, 1, 2, 1]
    assert [board["best"] for board in made.record["boards"]] == [2, 4]
    assert "negatives=3" in made.record["boards"][1]["title"]
    with (made.path / "leaderboard.csv").open(newline="") as file:
        assert len({line["data"] for line in csv.DictReader(file)}) == 2


def test_a_metric_where_less_is_better_is_ranked_so(small, tmp_path, faked):
    """The direction is that of the monitored metric."""
    faked(lambda each: (each.training.lr, 0.5))
    from lego import Ranking

    made = sweep(small(task=Ranking(), monitor="logloss", lr=any_of(0.3, 0.1, 0.2)), out=tmp_path)
    assert [row["rank"] for row in made.record["rows"]] == [3, 1, 2]


def test_the_best_is_chosen_on_dev(small, tmp_path, faked):
    """Where dev and test disagree, dev decides, in a list and in a search; the test numbers are shown."""
    rates = tuple(round(0.001 * each, 3) for each in range(1, 41))
    calls = faked(lambda each: (1 - (each.training.lr - 0.007) ** 2, (each.training.lr - 0.007) ** 2))
    every = sweep(small(lr=any_of(*rates)), out=tmp_path, name="list")
    assert every.best["changes"] == ["training.lr=0.007"]
    assert every.best["mean"]["gauc"] == min(row["mean"]["gauc"] for row in every.record["rows"])
    pytest.importorskip("optuna")
    calls.clear()
    found = sweep(
        small(lr=any_of(*rates), batch_size=any_of(16, 32, 64)), out=tmp_path, name="search", budget=30
    )
    assert len(calls) == 30 == len(set(calls))
    best = max(found.record["rows"], key=lambda row: row["dev"]["mean"])
    assert found.best == best
    # The search learned from the dev part: later trials are where dev is high more often than chance would have them.
    later = calls[10:]
    assert sum(abs(each.training.lr - 0.007) < 0.005 for each in later) / len(later) > 1.5 * 9 / 40


def test_a_search_gives_each_model_the_same_budget(small, tmp_path, faked):
    """A study for each value of `model`; what is invalid is listed, and does not count; a small space is used up."""
    pytest.importorskip("optuna")
    calls = faked(lambda each: (each.training.lr, 0.5))
    plain = small()
    recommender = plain.model
    models = any_of(
        Recommender(
            any_of(ItemID(), Mean()),
            any_of(Mean(), Additive(), Attention(heads=3)),
            recommender.predictor,
            width=8,
        ),
        Recommender(ItemID(), Mean(), recommender.predictor, width=any_of(8, 16)),
    )
    open_ = small(lr=any_of(0.1, 0.2, 0.3, 0.4))
    open_ = type(open_)(data=open_.data, model=models, training=open_.training)
    made = sweep(open_, out=tmp_path, budget=7)
    first = [each for each in calls if each.model.width == 8 and each.model != recommender]
    assert len(made.record["rows"]) == len(calls) + made.record["counts"]["invalid"]
    assert made.record["counts"]["finished"] == len(calls) == 14
    assert len(set(calls)) == 14
    assert 7 - 4 <= len(first) <= 7
    assert all(row["error"] for row in made.record["rows"] if row["status"] == "invalid")
    calls.clear()
    everything = sweep(open_, out=tmp_path, name="all", budget=100)
    assert (
        everything.record["counts"]["finished"] == len(calls) == 16 + 8 - 4
    )  # ItemID, Mean at width 8 are of both models


def test_a_search_that_is_run_again_asks_for_the_same(small, tmp_path, faked):
    """Its trials follow from seed and numbers, so that finished ones are found again."""
    pytest.importorskip("optuna")
    open_ = small(
        content=any_of(ItemID(), Mean()), lr=any_of(0.1, 0.2, 0.3, 0.4), batch_size=any_of(16, 32, 64)
    )
    calls = faked(lambda each: (each.training.lr, 0.5))
    first = told(sweep(open_, out=tmp_path, name="one", budget=12))
    asked = list(calls)
    calls.clear()
    assert told(sweep(open_, out=tmp_path, name="two", budget=12)) == first
    assert calls == asked
    other = sweep(open_.set("training.seed=1"), out=tmp_path, name="three", budget=12)
    assert [row["changes"] for row in other.record["rows"]] != [row["changes"] for row in first[0]]


def test_a_search_wants_optuna(small, tmp_path, monkeypatch):
    """Without it the sentence says how to get it, before anything is prepared."""
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(RunError, match=r"pip install 'legorec\[search\]'"):
        sweep(small(lr=any_of(0.1, 0.2)), out=tmp_path, budget=3)
    assert not list(tmp_path.iterdir())


def test_a_sample_is_drawn_by_the_seed(small, tmp_path, faked):
    """So many valid ones, the same each time, others with another seed, and a larger sample has the smaller one in it."""
    calls = faked(lambda each: (0.5, 0.5))
    content = any_of(ItemID(), Attention(heads=3), Mean())
    open_ = small(content=content, lr=any_of(*(0.01 * each for each in range(1, 11))))

    def drawn(name, limit, changed=open_):
        calls.clear()
        made = sweep(changed, out=tmp_path, name=name, limit=limit)
        assert made.record["counts"]["finished"] == limit == len(calls)
        return {each.set("training.seed=0") for each in calls}

    assert drawn("a", 5) == drawn("b", 5)
    assert drawn("a", 5) < drawn("c", 9)
    assert drawn("a", 5) != drawn("d", 5, open_.set("training.seed=1"))


def test_numbers_are_shuffled_without_a_list():
    """Each once, in an order that follows from the generator, also where nobody could list them."""
    order = list(shuffled(50, numpy_generator(3, "sweep")))
    assert sorted(order) == list(range(50))
    assert order != sorted(order)
    firsts = [next(shuffled(10, numpy_generator(seed, "sweep"))) for seed in range(400)]
    assert set(firsts) == set(range(10))
    huge = shuffled(10**18, numpy_generator(0, "sweep"))
    assert len({next(huge) for _ in range(100)}) == 100


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"seeds": 0}, "seeds must be at least 1"),
        ({"limit": 0}, "limit must be at least 1"),
        ({"jobs": 0}, "jobs must be at least 1"),
        ({"limit": 2, "budget": 2}, "Give one of the two"),
        ({"name": "a/b"}, "plain folder name"),
    ],
)
def test_wrong_options_are_told_before_anything(small, tmp_path, options, words):
    """A sentence, and no folder."""
    with pytest.raises((SpecError, RunError), match=words):
        sweep(small(lr=any_of(0.1, 0.2)), out=tmp_path, **options)
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_compared_is_not_searched(small, tmp_path):
    """A choice of data or monitor with a budget, and cases that do not match, are errors."""
    with pytest.raises(SpecError, match="data holds a choice"):
        sweep(small().set("data.history=any_of(3, 4)"), out=tmp_path, budget=2)
    with pytest.raises(SpecError, match=r"training\.monitor holds a choice"):
        sweep(small(monitor=any_of("gauc", "mrr")), out=tmp_path, budget=2)
    with pytest.raises(SpecError, match="equally many"):
        sweep(small(lr=cases(0.1, 0.2), epochs=cases(1, 2, 3)), out=tmp_path)


def test_data_that_is_not_there_makes_invalid_rows(small, tmp_path, faked):
    """The others are run."""
    calls = faked(lambda each: (0.5, 0.5))
    open_ = small()
    made = sweep(open_.set(f"data.path=any_of({open_.data.path!r}, '{tmp_path}/nowhere')"), out=tmp_path)
    assert [row["status"] for row in made.record["rows"]] == ["finished", "invalid"]
    assert "nowhere" in made.record["rows"][1]["error"]
    assert len(calls) == 1


def test_two_sweeps_do_not_share_a_folder(small, tmp_path):
    """The second is told so."""
    with sweeping._held(tmp_path / "sweep"), pytest.raises(RunError, match="being swept by another process"):
        sweep(small(), out=tmp_path)


SCRIPT = """
import os, signal
from lego import (
    Attention, Dot, Experiment, ItemID, Matching, Mean, MovieLens, Recommender, Training, any_of, cases,
)
from lego.contract import Candidates
from lego.spec import Task, operator


@operator
class Deadly(Task):
    candidates = Candidates(negatives=1)

    def build(self, context):
        os.kill(os.getpid(), signal.SIGKILL)


experiment = Experiment(
    data=MovieLens({movies!r}, negatives=5, history=6),
    model=Recommender(cases(ItemID(), Attention(heads=2)), Mean(), Dot(), width=8),
    training=Training(epochs=2, batch_size=32, lr=any_of(0.01, 0.02)),
)
deadly = Experiment(
    data=experiment.data,
    model=Recommender(cases(ItemID(), Attention(heads=2), Mean()), Mean(), Dot(), width=8),
    task=cases(Matching(), Matching(), Deadly()),
    training=Training(epochs=2, batch_size=32, lr=any_of(0.01, cases(0.02, 0.02, 0.01))),
)
long = experiment.set("training.epochs=cases(1, 12)", "training.batch_size=8", "model.content=any_of(ItemID(), Mean())")
"""


@pytest.fixture
def script(movies, tmp_path):
    path = tmp_path / "swept.py"
    path.write_text(SCRIPT.replace("{movies!r}", repr(str(movies))))
    return path


def started(script, name, *options):
    """`lego sweep` in a process of its own."""
    program = "from lego.cli import main; main()"
    command = [
        sys.executable,
        "-c",
        program,
        "sweep",
        f"{script}:{name}",
        "--out",
        script.parent / "runs",
        *options,
    ]
    return subprocess.Popen(
        [*map(str, command)], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    )


def test_two_jobs_find_what_one_finds(script, tmp_path):
    """To the last digit; a process that dies takes its run along, and no other."""
    from lego.runtime.script import load_experiment

    open_, path = load_experiment(str(script))
    deadly, _ = load_experiment(f"{script}:deadly")
    alone = sweep(open_, out=tmp_path / "one", script=path)
    together = sweep(deadly, out=tmp_path / "two", script=path, jobs=2)
    assert [row["status"] for row in together.record["rows"]] == ["finished"] * 4 + ["failed"]
    assert "SIGKILL" in together.record["rows"][4]["error"]
    keys = ("number", "rank", "text", "n", "dev", "mean", "std")
    for one, two in zip(alone.record["rows"], together.record["rows"][:4], strict=True):
        assert {key: one[key] for key in keys} == {key: two[key] for key in keys}
    assert alone.record["boards"][0]["best"] == together.record["boards"][0]["best"]


@pytest.mark.skipif(os.name == "nt", reason="there is no SIGKILL")
def test_a_killed_sweep_goes_on(script, tmp_path):
    """Its processes end with it; finished runs are kept, the one in the middle goes on, and the numbers are the same."""
    from lego.runtime.script import load_experiment

    process = started(script, "long", "--jobs", "2")
    seen = next(line for line in process.stderr if line.startswith(("1/", "2/")))
    assert "dev gauc" in seen
    unfinished = _in_the_middle(tmp_path / "runs")
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stderr.close()
    for folder in unfinished:
        _released(folder)
    kept = {path: path.stat().st_mtime_ns for path in tmp_path.glob("runs/swept/*/metrics.json")}
    assert 1 <= len(kept) < 4

    open_, path = load_experiment(f"{script}:long")
    heard = Heard()
    gone_on = sweep(open_, out=tmp_path / "runs", script=path, screen=heard)
    assert f"finished already: {len(kept)} run{'s' if len(kept) > 1 else ''}" in heard.lines
    assert {each: each.stat().st_mtime_ns for each in kept} == kept
    assert {Path(run) for row in gone_on.record["rows"] for run in row["runs"]} >= {*unfinished}
    assert told(gone_on) == told(sweep(open_, out=tmp_path / "undisturbed", script=path))


def _in_the_middle(out):
    """The folders of runs that have an epoch behind them and are not finished; waits until there is one."""
    end = time.monotonic() + 120
    while True:
        logs = list(out.glob("swept/*/log.jsonl"))
        found = [
            each.parent
            for each in logs
            if '"epoch"' in each.read_text() and not (each.parent / "metrics.json").exists()
        ]
        if found:
            return found
        assert time.monotonic() < end, "no run was caught in the middle"
        time.sleep(0.01)


def _released(folder):
    """Waits until no process is at work in a run folder."""
    from lego.runtime.folder import Folder

    end = time.monotonic() + 20
    while True:
        try:
            with held(Folder(folder)):
                return
        except RunError:
            assert time.monotonic() < end, "a process of the killed sweep is still at work"
            time.sleep(0.05)
