from __future__ import annotations

import math
import sys

import numpy as np
import pytest

from lego import BM25, Experiment, MovieLens, load
from lego.data.prepare import prepare
from lego.errors import LegoError

pytestmark = pytest.mark.filterwarnings("ignore:.*(no history|are new|in the data already):UserWarning")


@pytest.fixture(scope="module")
def data(movies):
    return MovieLens(movies, negatives=5, history=6)


@pytest.fixture(scope="module")
def store(data, tmp_path_factory):
    return prepare(data, tmp_path_factory.mktemp("data"))


def slow(store, query, document, k1=1.5, b=0.75):
    """The formula, word by word, of item rows and one item row."""
    texts = [text.lower().split() for text in store.items["title"].to_pylist()]
    mean = np.mean([len(each) for each in texts])
    own, score = texts[document - 1], 0.0
    for item in query:
        for word in texts[item - 1]:
            having = sum(word in each for each in texts)
            idf = math.log(1 + (len(texts) - having + 0.5) / (having + 0.5))
            count = own.count(word)
            score += idf * count / (count + k1 * (1 - b + b * len(own) / mean))
    return score


@pytest.mark.parametrize("options", [{}, {"k1": 0.5, "b": 0.0}])
def test_scores_are_the_formula(store, options):
    """Each candidate against the words of its history, one word at a time."""
    scorer = BM25(reads=("title",), **options).fitted()
    scorer.fit(store)
    part = store.part("test")
    scores = scorer.score(part)
    for row in range(0, len(part), 5):
        history = store.users.history.values[part.start[row] : part.stop[row]]
        for at in range(part.candidates.offsets[row], part.candidates.offsets[row + 1]):
            expected = slow(store, history, part.candidates.values[at], **options)
            assert scores[at] == pytest.approx(expected, rel=1e-5, abs=1e-6)


def test_small_pages_change_nothing(store, monkeypatch):
    """Users in blocks of one give the same scores, and all items ranked have those of the candidates."""
    import lego.scorer.bm25 as module

    scorer = BM25().fitted()
    scorer.fit(store)
    part = store.part("test")
    whole = scorer.score(part)
    monkeypatch.setattr(module, "_PLACES", 1)
    np.testing.assert_array_equal(scorer.score(part), whole)
    history = store.users.history.take(part.user[:3])
    rows = np.arange(1, store.item_count + 3)
    scores = scorer.against(history, store.items.slice(0, 2))(rows)
    assert scores.shape == (3, store.item_count + 2)
    assert not scores[:, -2:].any(), "new items are not known"
    monkeypatch.undo()
    np.testing.assert_array_equal(scorer.against(history, store.items.slice(0, 2))(rows), scores)


def test_it_runs_as_a_model_does(data, tmp_path):
    """Titles have the words of topics, and users like topics: it beats chance; it can recommend."""
    run = Experiment(data=data, model=BM25()).run(out=tmp_path)
    assert run.metrics["gauc"] > run.record["baselines"]["random"]["gauc"] + 0.1
    table = load(run.path).recommend(history=["1", "5"], k=3)
    assert table.num_rows == 3
    assert load(run.path).recommend(history=[], k=1).column("score")[0].as_py() == 0.0


def test_without_the_library_the_extra_is_named(store, monkeypatch):
    """The way out is in the sentence."""
    monkeypatch.setitem(sys.modules, "bm25s", None)
    with pytest.raises(LegoError, match=r"pip install 'legorec\[bm25\]'"):
        BM25().fitted().fit(store)
