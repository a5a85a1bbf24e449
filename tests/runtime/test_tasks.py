"""Every task trains and is evaluated, and what operators add to its loss is named."""

from __future__ import annotations

import json

import numpy as np
import pytest

from lego import (
    DIEN,
    DNN,
    GBCE,
    Cosine,
    CosineContrastive,
    FinalNet,
    History,
    InterestAttention,
    Matching,
    Pairwise,
    PolyAttention,
    Ranking,
    SupervisedContrastive,
    compile,  # noqa: A004
)
from lego.compiler.check import check
from lego.compiler.plan import plan_of
from lego.runtime.fit import Batches, task_context

TASKS = (
    Matching(source="batch"),
    Matching(source="batch", negatives=3),
    Matching(source="batch", correction=True),
    Matching(source="popularity", correction=True),
    SupervisedContrastive(0.2),
    SupervisedContrastive(0.2, source="batch"),
    Pairwise(),
    GBCE(negatives=8),
    CosineContrastive(),
    Ranking(loss="mse"),
    Ranking(negatives=2, correction=True),
)


@pytest.mark.parametrize("task", TASKS, ids=repr)
def test_it_trains_and_is_evaluated(small, tmp_path, task):
    """Six epochs lower its loss and end in measures; there is a logloss where scores are log-odds of a click."""
    predictor = Cosine(temperature=1) if task.cosines else None
    run = small(task=task, predictor=predictor, epochs=6, patience=6, lr=0.03).run(out=tmp_path)

    losses = [json.loads(line).get("loss") for line in (run.path / "log.jsonl").read_text().splitlines()]
    losses = [each for each in losses if each is not None]
    assert len(losses) == 6
    assert losses[-1] < losses[0]
    assert 0 < run.metrics["gauc"] < 1
    assert (run.metrics["logloss"] is not None) == task.logits


@pytest.mark.parametrize("deduplicate", [True, False])
def test_candidates_of_a_batch_go_with_what_operators_ask_of_them(small, deduplicate):
    """Attributes of candidates that rows share are those of these items, in both ways to make a batch."""
    experiment = small(
        task=Matching(source="batch"), predictor=FinalNet(first=(4,), second=(), fields="attributes"), width=4
    )
    made = compile(experiment)
    batches = Batches.of_epoch(made, 0)
    batch = made.batch(batches.train, batches.rows, batches.chosen(0), deduplicate=deduplicate)
    rows = np.concatenate([[0], batch.items.numpy()])[batch.candidates.numpy()]
    assert batch.candidates.shape[1] > 5
    wanted = made.pipeline.gather.of_candidates(rows)
    assert wanted
    assert all((batch.needs.candidates[name] == each).all() for name, each in wanted.items())


def test_calibrated_probabilities_have_the_share_of_clicks(small, tmp_path):
    """Trained on one negative of five, the mean probability is that of the data with a correction, and far above without."""
    means = {}
    for correction in (False, True):
        task = Ranking(negatives=1, correction=correction)
        options = {"epochs": 25, "patience": 25, "monitor": "logloss"}
        experiment = small(task=task, predictor=DNN(hidden=(8,), dropout=0.0), **options)
        scores = experiment.run(out=tmp_path / str(correction)).scores["score"].to_numpy()
        means[correction] = float(np.mean(1 / (1 + np.exp(-scores))))
    assert means[True] == pytest.approx(1 / 6, abs=0.05)
    assert means[False] > 0.3


def test_a_batch_of_one_row_is_refused_where_rows_are_negatives(small):
    """There is nothing to take negatives from."""
    (problem,) = check(small(task=Matching(source="batch"), batch_size=1))
    assert "training.batch_size=1" in problem.where
    assert not check(small(task=Matching(), batch_size=1))


@pytest.mark.parametrize(
    ("parts", "names"),
    [
        ({}, ()),
        (
            {"behavior": PolyAttention(interests=2, hidden=4), "predictor": InterestAttention()},
            ("disagreement",),
        ),
        ({"behavior": History(), "predictor": DIEN(hidden=(4,))}, ("next_item",)),
        ({"predictor": FinalNet(first=(4,), second=(4,))}, ("distillation",)),
    ],
    ids=["none", "disagreement", "next_item", "distillation"],
)
def test_losses_are_planned_and_logged_by_name(small, tmp_path, parts, names):
    """What `lego explain` lists beside the task's loss is what each epoch logs, and no more."""
    experiment = small(epochs=1, **parts)
    plan = plan_of(experiment)
    assert plan.losses == names
    assert plan.record()["losses"] == list(names)
    assert any(
        line.startswith("losses") and line.endswith(", ".join(names)) for line in plan.lines()
    ) == bool(names)

    run = experiment.run(out=tmp_path)
    records = [json.loads(line) for line in (run.path / "log.jsonl").read_text().splitlines()]
    (epoch,) = [record for record in records if record.get("event") == "epoch"]
    told = set(epoch) & {"disagreement", "next_item", "distillation", "topic"}
    assert told == set(names)
    assert all(np.isfinite(epoch[name]) for name in names)


def test_a_task_is_told_how_many_items_there_are(small):
    """What GBCE makes up for depends on it."""
    made = compile(small(task=GBCE(1.0, negatives=8)))
    others = made.store.items.num_rows - 1
    module = made.experiment.task.build(task_context(made))
    assert module.power == pytest.approx(8 / others)
