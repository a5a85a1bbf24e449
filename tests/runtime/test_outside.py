from __future__ import annotations

import shutil

import numpy as np
import pytest

from lego import Embedding, Pretrained
from lego.runtime.outside import fetch, outside, run_id, specs_in
from lego.spec import Spec
from lego.testing.checkpoint import tiny_checkpoint


def test_other_weights_and_vectors_are_another_run(small, tmp_path):
    """What stands in a checkpoint or a file of vectors is part of a run's name, not only the path to it."""
    path = tmp_path / "vectors.npy"
    np.save(path, np.zeros((3, 2), np.float32))
    tiny_checkpoint(tmp_path / "bert", layers=1)
    for content, change in (
        (Embedding(str(path)), lambda: np.save(path, np.ones((3, 2), np.float32))),
        (Pretrained(str(tmp_path / "bert")), lambda: _another(tmp_path / "bert")),
    ):
        experiment = small(content=content)
        first = run_id(experiment, "data")
        assert run_id(experiment, "data") == first != run_id(experiment, "other data")
        assert len(outside(experiment)) == 1
        change()
        assert run_id(experiment, "data") != first


def test_a_run_has_one_name_before_and_after_its_checkpoint_is_there(small, tmp_path, monkeypatch):
    """A checkpoint is fetched before the run is named, so the second run of an experiment has the name of the first."""
    from lego.errors import CheckpointError
    from lego.pretrained import checkpoint

    source, resolve, here = tiny_checkpoint(tmp_path / "hub", layers=1), checkpoint.resolve, []

    def stub(name, *, download=True):
        if name != "acme/bert":
            return resolve(name, download=download)
        if download:
            here.append(name)
        if not here:
            raise CheckpointError(name, "is not here", "fetch it")
        return resolve(str(source), download=download)

    monkeypatch.setattr(checkpoint, "resolve", stub)
    experiment = small(content=Pretrained("acme/bert"))
    absent = run_id(experiment, "data")
    fetch(experiment)
    assert here == ["acme/bert"]
    named = run_id(experiment, "data")
    assert named != absent
    fetch(experiment)
    assert run_id(experiment, "data") == named

    import lego.runtime.run as module

    here.clear()
    names = []

    def stop(out, name, folder, **_):
        names.append(folder)
        raise RuntimeError

    monkeypatch.setattr(module, "checked", lambda experiment: None)
    monkeypatch.setattr(module, "create", stop)
    for _ in range(2):
        with pytest.raises(RuntimeError):
            experiment.run(out=tmp_path / "runs")
    assert names[0] == names[1]
    assert here


def _another(folder):
    shutil.rmtree(folder)
    tiny_checkpoint(folder, layers=1, seed=1)


def test_versions_of_plugins_are_another_run(small, distribution):
    """An operator of another distribution brings its version into the name of the run."""
    source = "from lego.spec import Behavior, operator\n\n@operator\nclass Mine(Behavior):\n    pass\n"
    distribution("acme", "[lego.behavior]\nMine = acme_mine:Mine\n", version="2.5", acme_mine=source)
    from lego import catalog

    experiment = small(behavior=catalog.load("behavior", "Mine")())
    assert outside(experiment) == {"acme": "2.5"}
    assert outside(small()) == {}


def test_every_spec_is_found(small):
    """Those inside options too."""
    from lego import Attention

    found = [type(each).__name__ for each in specs_in(small(content=Attention(heads=2)))]
    assert {"Experiment", "MovieLens", "Recommender", "Attention", "Additive", "Dot", "Training"} <= set(
        found
    )
    assert all(isinstance(each, Spec) for each in specs_in(small()))


def test_a_run_without_its_plugin_says_what_to_install(tmp_path):
    """Opening a run whose operator's distribution is gone names the distribution, its version and the command."""
    import json

    import pytest

    from lego.errors import RunError
    from lego.expression import KIND
    from lego.runtime.load import recorded

    def write(name, record):
        (tmp_path / name).write_text(json.dumps(record))

    write("experiment.json", {"experiment": {KIND: "GoneMean"}, "data": {}})
    write(
        "environment.json",
        {"operators": {"GoneMean": ["legorec_gone", "0.3.0"], "GRU": ["legorec", "0.1.0"]}},
    )
    with pytest.raises(RunError, match=r"made with legorec-gone 0\.3\.0") as caught:
        recorded(tmp_path)
    assert 'pip install "legorec-gone==0.3.0"' in str(caught.value)
