"""Text models learn taste from words, and nothing where there is nothing to learn."""

from __future__ import annotations

import pytest

from lego import (
    CNN,
    DCN,
    DIN,
    GRU,
    Additive,
    Attention,
    Dot,
    Experiment,
    History,
    Matching,
    Mean,
    MovieLens,
    Ranking,
    Recommender,
    Training,
)

MODELS = {
    "mean-additive-dot": (Mean(), Additive(hidden=16), Dot(), Matching()),
    "cnn-additive-dot": (CNN(), Additive(hidden=16), Dot(), Matching()),
    "attention-attention-dot": (Attention(heads=2), Attention(heads=2), Dot(), Matching()),
    "gru-additive-dot": (GRU(hidden=16), Additive(hidden=16), Dot(), Matching()),
    "mean-mean-dcn": (Mean(), Mean(), DCN(hidden=(32,)), Ranking(negatives=4)),
    "mean-history-din": (Mean(), History(), DIN(attention=(16,), hidden=(32,)), Ranking(negatives=4)),
}


@pytest.fixture(scope="module")
def taste(make_movies, tmp_path_factory):
    """Movies whose titles tell their topics, and the same with titles dealt out anew.

    There are far more movies than clicks, so that no movie can be learned by heart.
    """
    folder = tmp_path_factory.mktemp("taste")
    size = {"users": 160, "movies": 3000, "topics": 6, "clicks": (12, 24), "words": 12, "seed": 4}
    return {
        "titles": str(make_movies(folder / "titles", **size)),
        "shuffled": str(make_movies(folder / "shuffled", **size, shuffle=True)),
    }


@pytest.fixture(scope="module")
def run(taste, tmp_path_factory):
    """Trains and tests a model on one of the two."""
    out = tmp_path_factory.mktemp("runs")

    def train(name, titles):
        content, behavior, predictor, task = MODELS[name]
        experiment = Experiment(
            data=MovieLens(taste[titles], negatives=5, candidates="uniform", history=10, dev=0.1, test=0.3),
            model=Recommender(
                content=content, behavior=behavior, predictor=predictor, width=16, reads={"title": 5}
            ),
            task=task,
            training=Training(epochs=4, batch_size=64, lr=0.01, patience=2),
        )
        return experiment.run(out=out)

    return train


@pytest.mark.parametrize("name", MODELS)
def test_a_text_model_learns_taste(run, name):
    """It ranks clicks of known topics far above chance and popularity."""
    found = run(name, "titles")
    baselines = {key: values["gauc"] for key, values in found.record["baselines"].items()}
    assert all(0.42 < gauc < 0.58 for gauc in baselines.values()), baselines
    assert found.metrics["gauc"] > 0.65
    assert found.metrics["gauc"] > max(baselines.values()) + 0.1


@pytest.mark.parametrize("name", MODELS)
def test_shuffled_titles_teach_nothing(run, name):
    """The same model on the same clicks is no better than chance where titles stand at the wrong movies."""
    assert 0.44 < run(name, "shuffled").metrics["gauc"] < 0.56
