from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
import torch

from lego import Experiment, MovieLens, TextSimilarity, load
from lego.data.prepare import prepare
from lego.errors import CheckpointError, DataError
from lego.pretrained.checkpoint import resolve
from lego.pretrained.layers import Frozen
from lego.pretrained.model import load as load_language
from lego.pretrained.tokenizer import PretrainedEncoder
from lego.testing.checkpoint import tiny_checkpoint

WORDS = [f"w{place}x{word}" for place in range(4) for word in range(8)]
pytestmark = pytest.mark.filterwarnings("ignore:.*(no history|are new|in the data already):UserWarning")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return str(tiny_checkpoint(tmp_path_factory.mktemp("models") / "bert", layers=2, words=WORDS))


@pytest.fixture(scope="module")
def data(movies):
    return MovieLens(movies, negatives=5, history=6)


@pytest.fixture(scope="module")
def store(data, tmp_path_factory):
    return prepare(data, tmp_path_factory.mktemp("data"))


def vectors_of(checkpoint, texts, pool):
    """The slow way: one text at a time."""
    found = resolve(checkpoint)
    model, encoder = load_language(found, Frozen()).eval(), PretrainedEncoder.of(found)
    vectors = []
    for text in texts:
        ids = encoder.join([encoder.encode("title", pa.chunked_array([[text]]))]).values
        states = model.lower(
            torch.tensor(ids[None].astype(np.int64)), torch.ones(1, len(ids), dtype=torch.bool)
        )[0]
        vector = {"mean": states.mean(0), "first": states[0], "last": states[-1]}[pool].numpy()
        vectors.append(vector / np.linalg.norm(vector))
    return np.stack(vectors)


def slow(vectors, store, part):
    """The cosine of each candidate to the mean of its history, one pair at a time."""
    values, scores = store.users.history.values, []
    for row in range(len(part)):
        past = values[part.start[row] : part.stop[row]]
        for candidate in part.candidates[row]:
            if not len(past):
                scores.append(0.0)
                continue
            mean = vectors[past - 1].mean(0)
            scores.append(float(mean @ vectors[candidate - 1] / np.linalg.norm(mean)))
    return np.array(scores)


@pytest.mark.parametrize("pool", ["mean", "first", "last"])
def test_scores_are_the_cosines_of_the_formula(checkpoint, store, pool):
    """Each score is the cosine between the candidate and the mean of the history, computed text by text."""
    scorer = TextSimilarity(checkpoint, reads={"title": 12}, pool=pool).fitted()
    scorer.fit(store)
    part = store.part("test").recent(6)
    wanted = slow(vectors_of(checkpoint, store.items["title"].to_pylist(), pool), store, part)
    assert scorer.score(part) == pytest.approx(wanted, abs=1e-5)
    assert len(set(np.round(wanted, 4).tolist())) > 20


def test_a_user_without_history_scores_nothing(checkpoint, store):
    """All candidates of an empty history have 0."""
    import attrs

    scorer = TextSimilarity(checkpoint, reads={"title": 12}).fitted()
    scorer.fit(store)
    part = store.part("test")
    empty = attrs.evolve(part, start=part.stop)
    assert not scorer.score(empty).any()
    assert scorer.score(part).any()


def test_vectors_are_made_once(checkpoint, store, monkeypatch):
    """A second scorer reads what the first one wrote; other settings have vectors of their own."""
    first = TextSimilarity(checkpoint, reads={"title": 11}).fitted()
    first.fit(store)
    made = []
    from lego.scorer import text_similarity

    real = text_similarity._Checkpoint._encode
    monkeypatch.setattr(
        text_similarity._Checkpoint,
        "_encode",
        lambda *given, **named: made.append(1) or real(*given, **named),
    )
    again = TextSimilarity(checkpoint, reads={"title": 11}).fitted()
    again.fit(store)
    assert not made
    assert np.array_equal(again.table, first.table)
    TextSimilarity(checkpoint, reads={"title": 10}).fitted().fit(store)
    assert made


def test_it_runs_and_recommends_like_a_model(checkpoint, data, tmp_path):
    """A run, opened again, gives the same numbers; new items with the text of old ones have their scores."""
    run = Experiment(data=data, model=TextSimilarity(checkpoint, reads={"title": 12})).run(out=tmp_path)
    loaded = load(run.path)
    assert loaded.evaluate()["test"] == run.metrics
    ids = loaded.store.item_ids.to_pylist()
    history = [ids[row - 1] for row in loaded.store.users.history[2][-6:]]
    old = loaded.recommend(history=history, k=200, exclude_seen=False)
    scores = dict(zip(old["item"].to_pylist(), old["score"].to_pylist(), strict=True))
    titles = loaded.store.items["title"].to_pylist()
    new = [{"item_id": f"new {item}", "title": title} for item, title in zip(ids, titles, strict=True)]
    for asked in (history, [f"new {item}" for item in history]):
        found = loaded.recommend(history=asked, items=new, k=200, exclude_seen=False)
        again = dict(zip(found["item"].to_pylist(), found["score"].to_pylist(), strict=True))
        assert again == pytest.approx({f"new {item}": score for item, score in scores.items()}, abs=1e-5)


def test_vectors_come_from_a_file(store, tmp_path):
    """Vectors somebody made are compared as they are; of new items nothing is known."""
    vectors = np.random.default_rng(0).normal(size=(store.item_count, 5)).astype(np.float32)
    np.save(tmp_path / "vectors.npy", vectors)
    scorer = TextSimilarity(str(tmp_path / "vectors.npy")).fitted()
    scorer.fit(store)
    part = store.part("test")
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    assert scorer.score(part) == pytest.approx(slow(unit, store, part), abs=1e-5)
    assert scorer.blind
    np.save(tmp_path / "vectors.npy", vectors[:-1])
    with pytest.raises(DataError, match="has 119 vectors, the data has 120 items"):
        scorer.fit(store)


def test_what_cannot_be_had_is_told(checkpoint, store):
    """A checkpoint that is nowhere, and texts longer than it reads."""
    with pytest.raises(CheckpointError, match="no folder"):
        TextSimilarity("/nowhere/at/all").fitted().fit(store)
    with pytest.raises(DataError, match="it reads at most"):
        TextSimilarity(checkpoint, reads={"title": 500}).fitted().fit(store)
