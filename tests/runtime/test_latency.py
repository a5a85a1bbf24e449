from __future__ import annotations

import numpy as np
import pytest

from lego import Attention, Experiment, ItemID, MovieLens, Popularity, load
from lego.errors import RunError, SpecError
from lego.runtime import latency as module
from lego.runtime.latency import STAGES, latency


@pytest.fixture(scope="module")
def made(small, tmp_path_factory):
    """A finished run, opened."""
    run = small(content=ItemID(), behavior=Attention(heads=2), epochs=1).run(
        out=tmp_path_factory.mktemp("runs")
    )
    return load(run.path)


def test_stages_make_up_the_whole(made):
    """Each batch size has every stage; the mean of the whole is the sum of theirs, and without items it is less."""
    found = latency(made, sizes=(1, 4), repeats=6, warmup=1)
    assert [each["batch_size"] for each in found["batches"]] == [1, 4]
    for each in found["batches"]:
        ms = each["ms"]
        assert set(ms) == {*STAGES, "whole", "items_cached"}
        assert ms["whole"]["mean"] == pytest.approx(sum(ms[stage]["mean"] for stage in STAGES))
        assert ms["items_cached"]["mean"] < ms["whole"]["mean"]
        for row in ms.values():
            assert 0 < row["p50"] <= row["p90"] <= row["p99"]
        assert each["impressions_per_second"] == pytest.approx(1e3 * each["batch_size"] / ms["whole"]["mean"])


def test_the_warm_up_does_not_count(made, monkeypatch):
    """Slow first batches leave no trace; the device is waited for around every stage."""
    calls, waits = [], []

    def stages(*_):
        calls.append(1)
        return dict.fromkeys(STAGES, 100.0 if len(calls) <= 3 else 0.001)

    with monkeypatch.context() as patch:
        patch.setattr(module, "_stages", stages)
        found = latency(made, sizes=(2,), repeats=4, warmup=3)["batches"][0]["ms"]
        assert len(calls) == 7
        assert found["whole"]["p99"] == pytest.approx(4.0)
    monkeypatch.setattr(module, "wait_for", waits.append)
    latency(made, sizes=(2,), repeats=1, warmup=0)
    assert len(waits) == 2 * len(STAGES)


def test_the_stages_score_as_the_model_does(made, monkeypatch):
    """What is timed is the model: the last stage gives the scores of the batch."""
    given = []
    score = made.compiled.pipeline.score
    monkeypatch.setattr(made.compiled.pipeline, "score", lambda *a: given.append(score(*a)) or given[-1])
    latency(made, sizes=(10**6,), repeats=1, warmup=0)
    counts = made.store.part("test").candidates.lengths
    mask = np.arange(given[0].tensor.shape[1]) < counts[:, None]
    np.testing.assert_allclose(given[0].tensor.numpy()[mask], made.score(), rtol=1e-5, atol=1e-6)


def test_wrong_use_is_answered(made, movies, tmp_path):
    """Numbers below 1, and a baseline."""
    with pytest.raises(SpecError, match="at least 1"):
        latency(made, sizes=(0,))
    run = Experiment(data=MovieLens(movies, negatives=5), model=Popularity()).run(out=tmp_path)
    with pytest.raises(RunError, match="is no model of stages"):
        latency(load(run.path))
