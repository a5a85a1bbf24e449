from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from lego import Experiment, ItemID, MovieLens, Popularity, Random
from lego.errors import RunError, SpecError
from lego.runtime import compare as module
from lego.runtime.compare import compare


@pytest.fixture(scope="module")
def runs(small, movies, tmp_path_factory):
    """Two seeds of one model, and a baseline, on the same data."""
    out = tmp_path_factory.mktemp("runs")
    models = [small(content=ItemID(), seed=seed, epochs=1).run(out=out) for seed in (0, 1)]
    data = MovieLens(movies, negatives=5, history=6)
    return [*models, Experiment(data=data, model=Popularity()).run(out=out)]


def paths(runs):
    return [run.path for run in runs]


def test_runs_of_one_expression_are_one_model(runs):
    """Mean and spread are over the seeds; of one run there is no spread."""
    found = compare(paths(runs), resamples=99)
    first, second = found.models
    assert (first.seeds, second.seeds) == ([0, 1], [0])
    values = [run.metrics["gauc"] for run in runs[:2]]
    assert first.mean["gauc"] == pytest.approx(np.mean(values))
    assert first.std["gauc"] == pytest.approx(np.std(values, ddof=1))
    assert second.std["gauc"] is None
    assert first.std.keys() == first.mean.keys()
    assert "Popularity()" in second.text
    assert [model.name for model in found.models] == ["A", "B"]


def test_tests_are_of_the_same_impressions(runs):
    """The difference is that of the means over runs, in each metric that is tested; p-values are corrected together."""
    found = compare(paths(runs), resamples=99)
    assert [each.metric for each in found.tests] == list(module.TESTED)
    for each in found.tests:
        mine, theirs = (model.mean[each.metric] for model in found.models)
        assert each.difference == pytest.approx(mine - theirs, abs=1e-9)
        assert each.interval[0] <= each.difference <= each.interval[1]
        assert each.p <= each.p_holm <= min(1, each.p * len(found.tests)) + 1e-12
        assert each.groups == runs[0].record["groups"]
    again = compare(paths(runs), metrics=["gauc"], resamples=99)
    assert again.tests[0].p == found.tests[0].p, "a test does not depend on which others are made"
    other = compare(paths(runs), metrics=["recall@2"], test="bootstrap", resamples=99)
    assert [each.metric for each in other.tests] == ["recall@2"]


def test_unlike_runs_are_refused(runs, movies, tmp_path):
    """Protocol, data and part must agree; the error says what each is."""
    data = MovieLens(movies, negatives=5, history=6)
    experiment = Experiment(data=data, model=Random())
    other = experiment.set("evaluation.protocol='recbench'").run(out=tmp_path)
    with pytest.raises(RunError, match=r"its protocol is recbench, and that of .* is mind"):
        compare([runs[2].path, other.path])
    other = experiment.set("data.negatives=4").run(out=tmp_path)
    with pytest.raises(RunError, match="its data fingerprint is"):
        compare([runs[2].path, other.path])
    copy = shutil.copytree(runs[2].path, tmp_path / "copy")
    record = json.loads((copy / "metrics.json").read_text())
    (copy / "metrics.json").write_text(json.dumps({**record, "part": "dev"}))
    with pytest.raises(RunError, match="its part is dev, and that of"):
        compare([runs[2].path, copy])
    (copy / "metrics.json").unlink()
    with pytest.raises(RunError, match="is not finished"):
        compare([runs[2].path, copy])


def test_protocols_that_leave_out_ask_the_data(movies, tmp_path):
    """Values per user, without those that have no history."""
    data = MovieLens(movies, negatives=5, history=6)
    made = [
        Experiment(data=data, model=model).set("evaluation.protocol='legommenders'").run(out=tmp_path)
        for model in (Random(), Popularity())
    ]
    found = compare(paths(made), resamples=99)
    assert found.protocol == "legommenders"
    assert found.tests[0].difference == pytest.approx(made[0].metrics["gauc"] - made[1].metrics["gauc"])
    assert found.record["grouping"] == "user"
    assert f"{found.groups} users, data" in found.caption
    assert "paired per user" in found.caption


def test_without_scipy_there_are_no_tests(runs, monkeypatch):
    """Means and spreads are shown, and the note names the extra."""
    monkeypatch.setattr(module, "available", lambda: False)
    found = compare(paths(runs))
    assert found.tests == []
    assert "legorec[compare]" in found.notes[0]
    assert "legorec[compare]" in found.markdown()


def test_what_cannot_be_tested_is_told(runs):
    """Pooled metrics have no pairs; unknown ones are answered."""
    with pytest.raises(SpecError, match="auc is one number of all rows"):
        compare(paths(runs), metrics=["auc"])
    with pytest.raises(SpecError, match="at least one"):
        compare([])
    twice = compare([runs[0].path, runs[0].path, runs[1].path])
    assert twice.models[0].seeds == [0, 1]
    assert twice.tests == []


def test_pages(lego_tables, runs):
    """Markdown has as many cells in each line; LaTeX escapes; both name the models, the protocol and the test."""
    found = compare(paths(runs), resamples=99)
    text = found.markdown()
    for table in lego_tables(text):
        assert len({line.count(" | ") for line in table}) == 1
    assert "Protocol" not in text.splitlines()[0]
    for words in ("protocol mind", "A - B", "Popularity()", "Holm", "±"):
        assert words in text, words
    latex = found.latex()
    assert r"mrr\_all" in latex
    assert r"$\pm$" in latex
    assert latex.count(r"\begin{tabular}") == latex.count(r"\end{tabular}") == 2


@pytest.fixture
def lego_tables():
    """The Markdown tables of a text, as lists of lines."""

    def split(text):
        blocks = [block.splitlines() for block in text.split("\n\n")]
        return [block for block in blocks if block[0].startswith("|")]

    return split
