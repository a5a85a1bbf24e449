from __future__ import annotations

from lego import Dot, Experiment, ItemID, Mean, MovieLens, Recommender, Training


def test_latency(lego, movies, tmp_path):
    """A table for each batch size, and the same as JSON."""
    model = Recommender(content=ItemID(), behavior=Mean(), predictor=Dot(), width=4)
    data = MovieLens(movies, negatives=5)
    run = Experiment(data=data, model=model, training=Training(epochs=1)).run(out=tmp_path)
    options = (run.path, "--batch-size", 2, "--repeats", 3, "--warmup", 1)
    found = lego("latency", *options, "--json").json
    assert found["run"] == str(run.path)
    assert found["batches"][0]["batch_size"] == 2
    shown = lego("latency", *options)
    for text in ("2 impressions a batch on cpu", "items_cached", "p99", "predictor"):
        assert text in shown.out, text
    assert lego("latency", run.path, "--part", "none").code == 2
