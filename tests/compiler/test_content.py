"""The content slot as a tree: parts that are fed in different ways become one vector."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lego import (
    CNN,
    Attention,
    Concat,
    Dot,
    Experiment,
    Gate,
    History,
    ItemID,
    Lookup,
    Mean,
    MovieLens,
    Pretrained,
    Recommender,
    Sum,
    Training,
    Views,
    compile,  # noqa: A004
    load,
    split,
)
from lego.errors import CompositionError
from lego.runtime import score
from lego.testing.checkpoint import tiny_checkpoint

WORDS = [f"w{topic}x{word}" for topic in range(4) for word in range(8)]


@pytest.fixture(scope="module")
def experiment(movies):
    """A model over movies with titles and genres."""

    def make(content, **options):
        model = Recommender(content, Mean(), Dot(), width=8, **options)
        return Experiment(
            data=MovieLens(movies, negatives=6, history=6), model=model, training=Training(epochs=1)
        )

    return make


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    """A small language model."""
    return str(tiny_checkpoint(tmp_path_factory.mktemp("tree") / "bert", layers=3, words=WORDS))


def test_a_sum_is_the_sum_of_its_parts(experiment, bert):
    """Ids, words and a language model side by side: the oracle adds what each part gives when it is encoded alone."""
    made = compile(experiment(Sum(ItemID(), Mean(), Pretrained(bert, layers=split(2)))))
    pipeline = made.pipeline.eval()
    rows = torch.tensor([9, 4, 30, 2])
    alone = []
    for part, feed in zip(pipeline.content.parts, pipeline.feed.parts, strict=True):
        found = torch.zeros(4, 8)
        for page in feed.pages(rows):
            found[page.places] = part(page.tokens, page.mask, page.needs).tensor
        alone.append(found)
    torch.testing.assert_close(pipeline.encode_items(rows).tensor, sum(alone))
    assert sorted(made.encoders) == ["", "3"]


CONTENTS = {
    "sum": lambda bert: Sum(ItemID(), Pretrained(bert, layers=split(2))),
    "concat": lambda _: Concat(ItemID(), CNN(), Lookup("genres")),
    "gate": lambda bert: Gate(Pretrained(bert), Mean()),
    "nested": lambda _: Sum(ItemID(), Views(title=CNN(), genres=Lookup())),
}


@pytest.mark.parametrize("name", CONTENTS)
def test_combinations_train_evaluate_and_load(experiment, bert, tmp_path, name):
    """Scores of the run, of the opened run, and of the slow way are the same."""
    run = experiment(CONTENTS[name](bert)).run(out=tmp_path)
    opened = load(run.path)
    impressions = opened.store.part("test").recent(6)
    slow = score.naive(opened.compiled.pipeline, impressions, opened.store.users)
    np.testing.assert_allclose(run.scores["score"].to_numpy(), slow, rtol=1e-5, atol=1e-5)


def test_every_part_is_told_from_the_others_by_its_place(experiment):
    """Changing one part leaves the first weights of the others alone."""
    first = compile(experiment(Sum(ItemID(), CNN(), Lookup("genres"))))
    other = compile(experiment(Sum(ItemID(), Attention(heads=2), Lookup("genres"))))
    for place in (0, 2):
        for one, two in zip(
            first.pipeline.content.parts[place].parameters(),
            other.pipeline.content.parts[place].parameters(),
            strict=True,
        ):
            assert torch.equal(one, two)


@pytest.mark.parametrize(
    ("content", "behavior"),
    [(Sum(History(), CNN(pool=None)), Mean()), (Mean(), Sum(ItemID(), Mean()))],
)
def test_parts_of_the_other_slot_are_named(experiment, content, behavior):
    """What fits one slot alone is refused in the other, before any work."""
    with pytest.raises(CompositionError, match="does not fit the"):
        compile(experiment(content).set(f"model.behavior={behavior!r}"))
