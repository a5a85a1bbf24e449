"""Predicting the topic of an item from its vector."""

from __future__ import annotations

import json

import pytest
import torch
from torch.nn import functional

from lego import CNN, Dot, Experiment, Mean, MovieLens, Recommender, TopicAware, Training, compile  # noqa: A004
from lego.contract import Needs
from lego.errors import CompositionError
from lego.spec import Context
from lego.testing.suite import SpecTests


class TestTopicAware(SpecTests):
    """Text, JSON, equality, refusals."""

    operator = TopicAware


def test_the_loss_is_the_cross_entropy_of_the_topic():
    """The oracle is torch's own over the codes from 1 on; several values count alike, and an item without any not at all."""
    context = Context(width=4, input_width=4, length=1, item_vocabularies={"topic": 4})
    module = TopicAware(Mean(), label="topic", weight=0.5).build_combiner(context).train()
    views = torch.randn(3, 1, 4, requires_grad=True)
    codes = torch.tensor([[2, 0], [1, 3], [0, 0]])
    out = module(views, torch.ones(3, 1, dtype=torch.bool), Needs(items={"topic": codes}))
    logits = module.topic(views[:, 0])[:, 1:]
    first = functional.cross_entropy(logits[0], torch.tensor(1))
    second = (
        functional.cross_entropy(logits[1], torch.tensor(0))
        + functional.cross_entropy(logits[1], torch.tensor(2))
    ) / 2
    torch.testing.assert_close(out.losses["topic"], 0.5 * (first + second) / 2)
    out.losses["topic"].backward()
    assert views.grad[:2].any()
    assert not views.grad[2].any()
    assert torch.equal(out.tensor, views[:, 0])
    assert set(out.losses) == set(TopicAware(Mean(), label="topic").losses)
    assert TopicAware(Mean(), label="topic", weight=0).losses == ()
    assert not module.eval()(views, torch.ones(3, 1, dtype=torch.bool), Needs(items={"topic": codes})).losses


def test_the_log_shows_the_loss_by_name(movielens, tmp_path):
    """It is trained with, under its own name, and falls; scores are those of the operator inside."""
    model = Recommender(TopicAware(CNN(), label="genres", weight=1.0), Mean(), Dot(), width=8)
    experiment = Experiment(
        data=MovieLens(movielens, users=20, negatives=6, history=6),
        model=model,
        training=Training(epochs=4, lr=0.01, patience=4),
    )
    run = experiment.run(out=tmp_path)

    records = [json.loads(line) for line in (run.path / "log.jsonl").read_text().splitlines()]
    losses = [record["topic"] for record in records if "topic" in record]
    assert len(losses) == 4
    assert losses[-1] < losses[0]


def test_a_label_that_is_not_there_is_named(movies):
    """With those that are."""
    model = Recommender(TopicAware(CNN()), Mean(), Dot(), width=8)
    with pytest.raises(CompositionError, match="genres"):
        compile(Experiment(data=MovieLens(movies), model=model))
