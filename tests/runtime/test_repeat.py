from __future__ import annotations

import math
import statistics

import pytest
from scipy import stats

from lego.errors import SpecError
from lego.runtime.fit import Fit
from lego.runtime.repeat import spread


def test_spread_is_that_of_a_sample():
    """Mean and standard deviation (n - 1); what does not apply has neither, one row no deviation."""
    rows = [{"gauc": 0.5, "logloss": None}, {"gauc": 0.7, "logloss": None}, {"gauc": 0.9, "logloss": None}]
    assert spread(rows) == {
        "gauc": (pytest.approx(0.7), pytest.approx(statistics.stdev([0.5, 0.7, 0.9]))),
        "logloss": (None, None),
    }
    assert spread(rows[:1])["gauc"] == (0.5, None)
    assert math.isnan(spread([{"x": math.nan}, {"x": 1.0}])["x"][0])


def test_a_repetition_that_breaks_off_keeps_what_is_finished(small, tmp_path, monkeypatch):
    """Resumed, finished seeds are read, the unfinished one goes on, and the rest is run; the means are those of single runs."""
    experiment = small(epochs=1, seed=7)
    step = Fit._step

    def broken(fitting, *given):
        if fitting.compiled.experiment.training.seed == 8 and fitting.position.step == 2:
            raise RuntimeError("out of memory")
        return step(fitting, *given)

    with monkeypatch.context() as patch:
        patch.setattr(Fit, "_step", broken)
        with pytest.raises(RuntimeError, match="out of memory"):
            experiment.run(seeds=3, out=tmp_path)
    begun = {each: (each / "metrics.json").exists() for each in (tmp_path / "run").iterdir()}
    assert sorted(begun.values()) == [False, True]
    done = next(each for each, finished in begun.items() if finished)
    before = (done / "log.jsonl").read_bytes()
    found = experiment.run(seeds=3, out=tmp_path, resume=True)
    assert found.seeds == (7, 8, 9)
    assert found.runs[0].path == done
    assert (done / "log.jsonl").read_bytes() == before
    assert {run.path for run in found.runs} > set(begun)
    alone = small(epochs=1, seed=8).run(out=tmp_path / "alone")
    assert found.runs[1].metrics == alone.metrics
    values = [run.metrics["gauc"] for run in found.runs]
    assert found.metrics["gauc"] == pytest.approx(statistics.mean(values))
    assert found.deviations["gauc"] == pytest.approx(statistics.stdev(values))
    low, high = stats.t.interval(0.95, 2, statistics.mean(values), statistics.stdev(values) / math.sqrt(3))
    assert found.intervals["gauc"] == (pytest.approx(low), pytest.approx(high))
    assert found.intervals["logloss"] is None
    assert found.rows["95% interval ±"]["gauc"] == pytest.approx((high - low) / 2)
    assert repr(found).startswith(f"Repeated(3 seeds: gauc {statistics.mean(values):.4f} ± ")
    assert "<td>" in found._repr_html_()
    assert list(found.rows)[-3:] == ["seed 7", "seed 8", "seed 9"]


def test_at_least_one_seed(small, tmp_path):
    """None is no repetition."""
    with pytest.raises(SpecError, match="seeds must be at least 1"):
        small().run(seeds=0, out=tmp_path)
    assert not list(tmp_path.iterdir())
