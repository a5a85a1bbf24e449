"""A run is killed for real, by SIGKILL, at points that a seed chooses, and goes on to the end of an undisturbed one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from lego import Attention, Pretrained, split
from lego.testing.checkpoint import tiny_checkpoint

SERVER = Path(__file__).with_name("killed.py")

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="forks, and kills the forks")


def served(chains):
    """What became of each chain of runs, in order; and what was told on the way."""
    done = subprocess.run(
        [sys.executable, str(SERVER)],
        input=json.dumps({"chains": chains}),
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"},
    )
    assert done.returncode == 0, done.stderr
    answers = [json.loads(line)["folders"] for line in done.stdout.splitlines()]
    assert [each["code"] for answer in answers for each in answer if each["code"]] == [], done.stderr
    return answers


def chain(experiment, folder, points=(), *, often=False):
    """Runs of one experiment, each killed at its point and gone on with, and a last one that comes to its end."""
    return {
        "experiment": experiment.text(),
        "folder": str(folder),
        "often": often,
        "points": points,
    }


def outcome(folder):
    """All that must not depend on what happened on the way: numbers, scores, weights. And nothing half-written is left."""
    (run,) = (folder / "runs" / "run").iterdir()
    record = json.loads((run / "metrics.json").read_text())
    left = [str(each) for each in folder.rglob("*") if each.name.endswith((".aside", ".partial"))]
    assert not left
    return {
        **{key: record[key] for key in ("test", "groups", "counts", "fit", "baselines")},
        "scores": pq.read_table(run / "scores" / "test.parquet").to_pydict(),
        "weights": (run / "checkpoint" / "model.safetensors").read_bytes(),
        "epochs": _epochs(run),
    }


def _epochs(run):
    """The losses of each epoch as they were logged, the last word on each."""
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    names = ("loss", "dev gauc", "slots", "real", "distinct")
    return {line["epoch"]: [line[name] for name in names] for line in lines if line["event"] == "epoch"}


@pytest.fixture(scope="module")
def experiment(small, tmp_path_factory):
    """Text through a language model whose lower layer is frozen and cached, with dropout above: every cache and every stream."""
    bert = tiny_checkpoint(tmp_path_factory.mktemp("checkpoint") / "bert", layers=2)
    return small(
        content=Pretrained(str(bert), layers=split(1)),
        behavior=Attention(heads=2, dropout=0.3),
        epochs=2,
        batch_size=32,
        accumulate=2,
        pretrained_lr=1e-3,
    )


PHASES = (
    # About the order in which a run comes by them: a later one goes on from there.
    "table half written",
    "before a rename",
    "array half written",
    "page of hidden states",
    "page of hidden states",
    "text half written",
    "step",
    "before a sync",
    "weights half written",
    "step",
    "before a replace",
    "step",
    "scoring",
    "before a sync",
    "scoring",
)
LIMITS = {"table half written": 4, "before a sync": 15, "before a replace": 8, "step": 6, "scoring": 5}
"""Up to which call of a kind a point is drawn, where a run makes many."""


def test_a_run_killed_anywhere_ends_as_if_it_had_not_been(experiment, tmp_path):
    """In preparation, tokens, hidden states, training and evaluation, many times in a row, at points that a seed draws."""
    plans = []
    for seed in range(2):
        generator = np.random.default_rng(seed)
        points = [[event, int(generator.integers(1, LIMITS.get(event, 2) + 1))] for event in PHASES]
        plans.append(chain(experiment, tmp_path / str(seed), points, often=seed > 0))
    (undisturbed,), *killed = served([chain(experiment, tmp_path / "undisturbed"), *plans])
    expected = outcome(Path(undisturbed["folder"]))
    for plan, folders in zip(plans, killed, strict=True):
        assert [point for each in folders for point in each["reached"]] == plan["points"]
        for each in folders:
            assert outcome(Path(each["folder"])) == expected
    assert {*undisturbed["counts"]} == {*PHASES}
