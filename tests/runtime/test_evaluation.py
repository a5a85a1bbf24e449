from __future__ import annotations

import json

import numpy as np
import pytest

from lego import Experiment, ItemID, Matching, MovieLens, Popularity, Random, Ranking, Tables, Training, load
from lego.errors import CompositionError, DataError
from lego.runtime.compare import compare
from lego.runtime.evaluation import ignored
from lego.runtime.progress import Screen


def test_log_loss_is_told_of_logits_alone(small, tmp_path):
    """It applies to a model trained pointwise; behind a softmax and for baselines it is no number, in JSON null."""
    pointwise = small(content=ItemID(), task=Ranking()).run(out=tmp_path)
    assert pointwise.metrics["logloss"] > 0
    softmax = small(content=ItemID()).run(out=tmp_path)
    assert softmax.metrics["logloss"] is None
    assert softmax.record["not_applicable"] == ["logloss"]
    assert pointwise.record["not_applicable"] == []
    for run in (pointwise, softmax):
        assert run.record["baselines"]["popularity"]["logloss"] is None
        assert run.record["baselines"]["random"]["gauc"] > 0
    kept = json.loads((softmax.path / "metrics.json").read_text())
    assert kept["test"]["logloss"] is None
    assert list(softmax.metrics) == list(pointwise.metrics)
    assert "<td>–</td>" in softmax._repr_html_()
    assert load(softmax.path).evaluate()["test"] == softmax.metrics


def test_a_metric_that_does_not_apply_is_not_monitored(small, tmp_path):
    """It is refused before any work, with what would do."""
    with pytest.raises(CompositionError, match=r"monitor='logloss': it reads scores as logits"):
        small(content=ItemID(), monitor="logloss").run(out=tmp_path / "runs")
    assert not (tmp_path / "runs").exists()
    small(content=ItemID(), monitor="logloss", task=Ranking(), epochs=1).run(out=tmp_path / "runs")


def test_the_training_seed_reaches_chance(movies, tmp_path):
    """Random draws from the training seed, unless it has one of its own."""
    data = MovieLens(movies, negatives=5)

    def scores(model, seed):
        run = Experiment(data=data, model=model, training=Training(seed=seed)).run(out=tmp_path)
        assert load(run.path).evaluate()["test"] == run.metrics
        return run.scores["score"].to_numpy()

    first, second = scores(Random(), 1), scores(Random(), 2)
    assert not np.array_equal(first, second)
    assert np.array_equal(scores(Random(seed=1), 2), first)


@pytest.mark.parametrize(
    ("model", "options", "words"),
    [
        (Popularity(), {}, None),
        (Random(), {"training": Training(seed=5)}, None),
        (
            Popularity(),
            {"training": Training(seed=5)},
            "Popularity() is not trained: training.seed=5 change nothing.",
        ),
        (Random(seed=2), {"training": Training(seed=5)}, "training.seed=5 change nothing"),
        (Popularity(), {"training": Training(lr=0.5), "task": Ranking()}, "training.lr=0.5, task=Ranking()"),
        (Popularity(), {"task": Matching(negatives=2)}, "task=Matching(negatives=2)"),
    ],
)
def test_what_a_baseline_does_not_read_is_told(movies, model, options, words):
    """Options that would change nothing are named, others are not."""
    told = ignored(Experiment(data=MovieLens(movies), model=model, **options))
    assert told is None if words is None else words in told


def _shown(clicked, count=6):
    """Impressions of three candidates each, with these labels."""
    return [
        {"user": f"u{at % 3}", "candidates": [f"i{(at + step) % 5}" for step in range(3)], "labels": clicked}
        for at in range(count)
    ]


@pytest.fixture
def one_class():
    """Makes data of which a part has impressions of one class alone."""

    def make(**labels):
        items = [{"item_id": f"i{at}", "title": f"word{at}"} for at in range(5)]
        parts = {"train": [1, 0, 0], "dev": [0, 1, 0], "test": [0, 0, 1], **labels}
        return Tables(items, impressions={part: _shown(each) for part, each in parts.items()})

    return make


@pytest.fixture
def lego_show(capsys):
    """What `lego run` shows of a record."""
    from lego.cli.run import show

    def shown(record):
        capsys.readouterr()
        show(record)
        return capsys.readouterr().out

    return shown


@pytest.mark.parametrize(("label", "lacks"), [(0, "6 have no positive, 0 no negative"), (1, "6 no negative")])
def test_a_test_part_of_one_class_ends_a_run_all_the_same(
    small, one_class, tmp_path, lego_show, label, lacks
):
    """The model is trained and kept; what the groups do not define is missing, told before and behind, and never a number."""
    experiment = small(content=ItemID(), data=one_class(test=[label] * 3))
    run = experiment.run(out=tmp_path)
    assert run.metrics["gauc"] is None
    assert "gauc" in run.record["not_applicable"]
    assert lacks in run.record["reading"]["undefined"]["gauc"]
    assert run.record["reading"]["counted"]["gauc"] == 0
    assert run.record["baselines"]["random"]["gauc"] is None
    assert (run.metrics["mrr"] is None) == (label == 0), "a group of clicks alone has a first click"
    assert load(run.path).evaluate()["test"] == run.metrics
    assert len(load(run.path).recommend(user="u0", k=2, exclude_seen=False)) == 2
    shown = lego_show(run.record)
    assert "not defined, none of the 6 groups can be counted" in shown
    other = experiment.set("model=Popularity()").run(out=tmp_path)
    found = compare([run.path, other.path], resamples=9)
    assert "gauc" not in {each.metric for each in found.tests}


def test_what_the_test_part_does_not_define_is_told_before_the_training(small, one_class, tmp_path):
    """In one line, with why."""
    said = []

    class Listener(Screen):
        def say(self, text):
            said.append(text)

    small(content=ItemID(), epochs=1, data=one_class(test=[0, 0, 0])).run(out=tmp_path, screen=Listener())
    warning = next(
        place for place, line in enumerate(said) if line.startswith("warning: in the test part gauc")
    )
    assert "6 have no positive" in said[warning]
    assert warning < next(place for place, line in enumerate(said) if line.startswith("epoch 1"))


def test_an_epoch_that_cannot_be_chosen_is_refused_before_the_training(small, one_class, tmp_path):
    """Where dev does not define what is monitored; what it does define may be."""
    data = one_class(dev=[1, 1, 1])
    with pytest.raises(
        DataError, match=r"dev: gauc is monitored, and it is not defined there: none of the 6 groups"
    ):
        small(content=ItemID(), data=data).run(out=tmp_path / "runs")
    assert not (tmp_path / "runs").exists()
    run = small(content=ItemID(), data=data, monitor="mrr", epochs=1).run(out=tmp_path / "runs")
    assert run.metrics["gauc"] is not None
