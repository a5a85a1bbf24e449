from __future__ import annotations

import json

import numpy as np
import pytest

from lego import Experiment, ItemID, Matching, MovieLens, Popularity, Random, Ranking, Training, load
from lego.errors import CompositionError
from lego.runtime.evaluation import ignored


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
