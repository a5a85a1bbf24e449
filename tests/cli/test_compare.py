from __future__ import annotations

import pytest

from lego import Experiment, MovieLens, Random


@pytest.fixture(scope="module")
def runs(movies, tmp_path_factory):
    """The folders of two baselines, one with two seeds."""
    out = tmp_path_factory.mktemp("runs")
    experiment = Experiment(data=MovieLens(movies, negatives=5), model=Random())
    seeds = [experiment.set(f"training.seed={seed}").run(out=out).path for seed in (0, 1)]
    return [*seeds, experiment.set("model=Popularity()").run(out=out).path]


def test_shapes(lego, runs):
    """JSON has models and tests; on a terminal, in Markdown and in LaTeX the same numbers."""
    found = lego("compare", *runs, "--resamples", 99, "--json").json
    assert {"text", "runs", "seeds", "mean", "std"} <= found["models"][0].keys()
    assert found["models"][0]["seeds"] == [0, 1]
    assert {"metric", "difference", "interval", "effect", "p", "p_holm", "groups"} <= found["tests"][0].keys()
    mean = f"{found['models'][1]['mean']['gauc']:.4f}"
    for options in ((), ("--markdown",), ("--latex",)):
        answer = lego("compare", *runs, "--resamples", 99, *options)
        assert answer.code == 0, answer.err
        assert mean in answer.out
        assert "corrected by Holm for" in answer.out
    lines = lego("compare", *runs, "--metric", "mrr", "--resamples", 99).out.splitlines()
    assert len([line for line in lines if "A - B" in line]) == 1


def test_wrong_use(lego, runs):
    """No run, an unknown metric, two ways to print."""
    assert lego("compare").code == 2
    assert "Did you mean" in lego("compare", *runs, "--metric", "mmr").err
    assert "one of the three" in lego("compare", *runs, "--latex", "--json").err
    assert "There is no run folder" in lego("compare", "nowhere").err
