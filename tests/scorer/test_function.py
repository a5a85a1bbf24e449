from __future__ import annotations

import numpy as np
import pytest

from lego import Experiment, MovieLens, Popularity, load
from lego.errors import DataError, SpecError
from lego.runtime.compare import compare
from lego.runtime.reading import scored
from lego.runtime.script import load_experiment
from lego.scorer.function import scorer

SCRIPT = '''
import numpy as np

from lego import Experiment, MovieLens
from lego.scorer.function import scorer


@scorer
def clicks(data, impressions, *, power: float = 1.0):
    """Clicks of the train part, to a power."""
    train = data.part("train")
    counts = np.bincount(train.candidates.values[train.labels == 1], minlength=len(data.items) + 1)
    return counts[impressions.candidates.values].astype(float) ** power


experiment = Experiment(data=MovieLens({movies!r}, negatives=5), model=clicks(power=2))
'''


@pytest.fixture(scope="module")
def script(movies, tmp_path_factory):
    """A script whose scorer is a function that orders as Popularity does."""
    path = tmp_path_factory.mktemp("script") / "clicks.py"
    path.write_text(SCRIPT.format(movies=str(movies)))
    return path


@pytest.fixture(scope="module")
def run(script, tmp_path_factory):
    """A finished run of it."""
    experiment, path = load_experiment(str(script))
    return experiment.run(script=path, out=tmp_path_factory.mktemp("runs"))


def test_a_function_is_run_as_a_model_is(run, movies, tmp_path):
    """It is measured, opened again to the same digits, read in other protocols, and compared."""
    other = Experiment(data=MovieLens(movies, negatives=5), model=Popularity()).run(out=tmp_path)
    assert run.metrics["gauc"] == other.metrics["gauc"], "powers do not change the order"
    assert load(run.path).evaluate()["test"] == run.metrics
    assert "recbench" in scored(run.path).read("all").found
    found = compare([run.path, other.path], resamples=99)
    assert found.tests[0].difference == 0.0
    assert "clicks(power=2.0)" in found.models[0].text


def test_options_are_checked_as_those_of_operators_are(script):
    """By name and by annotation; they can be set."""
    experiment, _ = load_experiment(str(script))
    assert experiment.set("model.power=3").model.power == 3.0
    with pytest.raises(SpecError, match="power"):
        experiment.set("model.power='a'")
    with pytest.raises(SpecError, match="Did you mean"):
        type(experiment.model)(powr=2)


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (lambda count: np.zeros(count - 1), r"returned the shape \(\d+,\) for \d+ candidates"),
        (lambda count: np.where(np.arange(count) == 1, np.nan, 0), "1 of .* not finite .candidate 1: nan"),
        (lambda count: ["a"] * count, "not numbers"),
    ],
)
def test_what_it_returns_is_checked(movies, tmp_path, made, words):
    """Too few, infinite and no numbers are refused with the name of the function."""

    @scorer
    def mine(data, impressions):
        return made(len(impressions.candidates.values))

    with pytest.raises(DataError, match=rf"mine\(…\).*{words}"):
        Experiment(data=MovieLens(movies, negatives=5), model=mine()).run(out=tmp_path)


@pytest.mark.parametrize(
    "function", [lambda data, impressions: 0, lambda data: 0, lambda *rows: 0], ids=["lambda", "one", "rows"]
)
def test_other_functions_are_refused(function):
    """With how one is written."""
    with pytest.raises(SpecError, match="is no function of data and impressions"):
        scorer(function)
