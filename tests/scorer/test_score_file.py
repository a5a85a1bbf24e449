from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from lego import Experiment, MovieLens, Popularity, ScoreFile
from lego.errors import DataError
from lego.runtime.compare import compare


@pytest.fixture(scope="module")
def run(movies, tmp_path_factory):
    """A run whose scores stand for those of another system."""
    experiment = Experiment(data=MovieLens(movies, negatives=5), model=Popularity())
    return experiment.run(out=tmp_path_factory.mktemp("runs"))


@pytest.mark.parametrize("ending", ["parquet", "csv"])
def test_a_file_is_run_as_a_model(run, movies, tmp_path, ending):
    """In any order of rows it gives the numbers of the system that made it, and can be compared with it."""
    table = run.scores.select(["score", "item", "impression"])
    table = table.take(np.random.default_rng(0).permutation(table.num_rows))
    path = tmp_path / f"theirs.{ending}"
    pq.write_table(table, path) if ending == "parquet" else pyarrow.csv.write_csv(table, path)
    made = Experiment(data=MovieLens(movies, negatives=5), model=ScoreFile(str(path))).run(out=tmp_path)
    assert made.metrics == pytest.approx(run.metrics)
    np.testing.assert_allclose(made.scores["score"].to_numpy(), run.scores["score"].to_numpy(), rtol=1e-6)
    found = compare([run.path, made.path], resamples=99)
    assert found.tests[0].difference == 0
    assert found.tests[0].p == 1


def test_what_it_lacks_is_told(run, movies, tmp_path):
    """Candidates without a score are counted, with the first of them; ids that the data lacks are not read."""
    table = run.scores.select(["impression", "item", "score"])
    first = table.slice(0, 1).to_pylist()[0]
    path = tmp_path / "part.parquet"
    strange = pa.table(
        {"impression": [first["impression"]], "item": ["nothing"], "score": pa.array([1.0], pa.float32())}
    )
    pq.write_table(pa.concat_tables([table.slice(1), strange.cast(table.schema)]), path)
    experiment = Experiment(data=MovieLens(movies, negatives=5), model=ScoreFile(str(path)))
    words = f"has no score for 1 of {table.num_rows} candidates .impression {first['impression']}, item {first['item']}"
    with pytest.raises(DataError, match=words):
        experiment.run(out=tmp_path)
    pq.write_table(table.drop(["score"]), path)
    with pytest.raises(DataError, match="there is no column score"):
        experiment.run(out=tmp_path)


def test_a_scorer_of_a_script_runs(lego_script, tmp_path):
    """A class of a script that scores by a function of its own is run, kept and loaded as a model is."""
    from lego.runtime.load import load
    from lego.runtime.run import run_experiment
    from lego.runtime.script import load_experiment

    experiment, path = load_experiment(str(lego_script))
    made = run_experiment(experiment, out=tmp_path / "runs", script=path)
    assert load(made.path).evaluate()["test"] == made.metrics


@pytest.fixture
def lego_script(movies, tmp_path):
    """An experiment whose model is a scorer defined in the script."""
    path = tmp_path / "mine.py"
    path.write_text(
        f"""
import numpy as np

from lego import Experiment, MovieLens
from lego.scorer.base import Baseline
from lego.spec import operator


def score(impressions):
    return -impressions.candidates.values.astype(np.float32)


@operator
class Oldest(Baseline):
    \"\"\"Items that were added early.\"\"\"

    def fitted(self):
        return self

    def fit(self, data):
        pass

    def score(self, impressions):
        return score(impressions)


experiment = Experiment(data=MovieLens({str(movies)!r}, negatives=5), model=Oldest())
"""
    )
    return path
