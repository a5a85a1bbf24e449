"""Views: each attribute by its own operator, one vector out of them; and the tree that feeds them."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
import torch

from lego import (
    CNN,
    Additive,
    Attention,
    Dot,
    Experiment,
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
from lego.contract import Needs
from lego.errors import CompositionError, SpecError
from lego.expression import from_json, parse, to_json
from lego.runtime import score
from lego.testing.checkpoint import tiny_checkpoint
from lego.testing.suite import SpecTests

WORDS = [f"w{topic}x{word}" for topic in range(4) for word in range(8)]


class TestViews(SpecTests):
    """Text, JSON, equality, refusals."""

    operator = Views

    def test_unknown_option_is_refused(self, spec):
        """Any other name is an attribute, so what is refused is a value that is no operator."""
        with pytest.raises(SpecError, match="views"):
            Views(title=3)


@pytest.fixture(scope="module")
def experiment(movies):
    """A model over movies with titles and genres."""

    def make(content, **options):
        model = Recommender(content, Mean(), Dot(), width=8, **options)
        return Experiment(
            data=MovieLens(movies, negatives=6, history=6), model=model, training=Training(epochs=1)
        )

    return make


def test_views_are_written_as_they_are_read():
    """Names are keywords; a name that is an option stands in the mapping."""
    views = Views(title=CNN(), category=Lookup(), pool=Mean())
    assert repr(views) == "Views(title=CNN(), category=Lookup(), pool=Mean())"
    assert parse(repr(views)) == views
    odd = Views(views={"pool": Lookup(), "a b": Lookup()}, title=CNN())
    assert parse(repr(odd)) == odd
    assert from_json(json.loads(json.dumps(to_json(odd)))) == odd
    with pytest.raises(SpecError, match="no view is given"):
        Views()


def test_the_pool_reads_what_the_views_give(experiment):
    """The oracle encodes each attribute alone with the same weights; a view that an item lacks is masked."""
    made = compile(experiment(Views(title=Attention(heads=2), genres=Lookup(), pool=Additive(hidden=6))))
    pipeline = made.pipeline.eval()
    rows = torch.tensor([5, 3, 17, 2])
    tokens = made.fed["title"].tokens.tokens
    codes = made.fed["genres"].codes.rows
    title, genres = pipeline.content.parts
    views, real = [], []
    for row in rows.tolist():
        text, values = (
            torch.from_numpy(tokens[row].astype(np.int64))[None],
            torch.from_numpy(codes[row])[None],
        )
        alone = [
            title(text, torch.ones_like(text, dtype=torch.bool), Needs()).tensor,
            genres(values, torch.ones_like(values, dtype=torch.bool), Needs()).tensor
            if values.numel()
            else torch.zeros(1, 8),
        ]
        views.append(torch.stack(alone, 1))
        real.append([True, bool(values.numel())])
    wanted = pipeline.content.combiner(torch.cat(views), torch.tensor(real), Needs()).tensor
    torch.testing.assert_close(pipeline.encode_items(rows).tensor, wanted)


def test_text_views_share_words_and_are_saved_once(experiment):
    """One vocabulary and one table for all that read words."""
    made = compile(experiment(Views(title=CNN(), genres=Mean())))
    first, second = made.pipeline.content.parts
    assert first.table is second.table
    assert list(made.encoders) == [""]
    names = [name for name in made.pipeline.state_dict() if "table" in name]
    assert names == ["content.table.weight"]
    assert sum(parameter is first.table.weight for parameter in made.pipeline.parameters()) == 1


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    """A small language model."""
    return str(tiny_checkpoint(tmp_path_factory.mktemp("views") / "bert", layers=3, words=WORDS))


CONTENTS = {
    "words": lambda _: Views(title=CNN(), genres=Lookup()),
    "language": lambda bert: Views(title=Pretrained(bert, layers=split(2)), genres=Lookup()),
    "both": lambda bert: Views(title=Pretrained(bert), genres=Attention(heads=2)),
    "one": lambda _: Lookup("genres"),
}


@pytest.mark.parametrize("name", CONTENTS)
def test_models_with_views_train_evaluate_and_load(experiment, bert, tmp_path, name):
    """Scores of the run, of the opened run, and of the slow way are the same."""
    run = experiment(CONTENTS[name](bert)).run(out=tmp_path)
    opened = load(run.path)
    assert opened.evaluate()["test"] == pytest.approx(run.metrics, nan_ok=True)
    impressions = opened.store.part("test").recent(6)
    slow = score.naive(opened.compiled.pipeline, impressions, opened.store.users)
    np.testing.assert_allclose(run.scores["score"].to_numpy(), slow, rtol=1e-5, atol=1e-5)


def test_new_items_are_read_by_every_view(experiment, tmp_path):
    """An item with the attributes of one of the catalog gets its score."""
    opened = load(experiment(CONTENTS["words"](None)).run(out=tmp_path).path)
    old = opened.store.items.slice(6, 1)
    known = opened.recommend(history=["1"], items=old, k=1)["score"][0].as_py()
    new = old.set_column(0, "item_id", [["new"]])
    assert opened.recommend(history=["1"], items=new, k=1)["score"][0].as_py() == pytest.approx(
        known, rel=1e-5
    )


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        (Views(titel=CNN()), {}, "titel.*no such attribute.*Did you mean 'title'"),
        (Views(title=Lookup()), {}, "text attribute"),
        (Views(title=CNN(pool=None)), {}, "one vector"),
        (Views(title=CNN()), {"reads": {"title": 5, "genres": 3}}, "genres.*reads title alone"),
        (Views(title=Attention(heads=3)), {}, "does not divide"),
        (Lookup(), {}, "reads one attribute"),
    ],
)
def test_what_cannot_be_viewed_is_said_before_any_work(experiment, content, options, message):
    """With the attribute or the operator that would do."""
    with pytest.raises(CompositionError) as caught:
        compile(experiment(content, **options))
    assert re.search(message, str(caught.value).replace("\n", " "))


def test_a_model_of_views_reads_their_attributes_alone(experiment):
    """Budgets come from the source, or from the model."""
    assert dict(compile(experiment(Views(title=CNN()))).reads) == {"title": 30}
    made = compile(experiment(Views(title=CNN(), genres=Lookup()), reads={"title": 2, "genres": 1}))
    assert made.fed["title"].tokens.tokens.lengths.max() == 2
    assert ItemID().reads_of({"title": 3}) == {"title": 3}


def test_an_unknown_value_is_no_view(experiment, tmp_path):
    """A new item with a genre that the data lacks has the vector of one without any genre."""
    opened = load(experiment(Views(title=Mean(), genres=Lookup(), pool=Mean())).run(out=tmp_path).path)
    title = opened.store.items["title"][3].as_py()
    items = [
        {"item_id": "x", "title": title, "genres": ["never seen"]},
        {"item_id": "y", "title": title, "genres": []},
    ]
    first, second = opened.item_vectors(items)["vector"].to_pylist()
    assert first == pytest.approx(second, rel=1e-6)
    assert any(first)


def test_what_no_part_reads_is_refused_of_any_combination(experiment):
    """`reads` that a lookup by its own attribute leaves out is not dropped in silence."""
    with pytest.raises(CompositionError, match=r"title.*reads genres alone"):
        compile(experiment(Sum(ItemID(), Lookup("genres")), reads={"title": 30}))
