from __future__ import annotations

from types import MappingProxyType

import numpy as np
import pytest

from lego import Attention, Experiment, ItemID, MovieLens, Popularity, load
from lego.errors import SpecError
from lego.metric.gauc import GAUC
from lego.metric.ranking import Ranking
from lego.ragged import Ragged
from lego.runtime import word_vectors as module
from lego.runtime.beyond import (
    beyond_accuracy,
    beyond_per_user,
    category_of,
    clicks_of,
    slices,
    vectors_of,
    vectors_told,
)
from lego.runtime.reading import beside, scored
from lego.runtime.retrieval import by_chance, measure, most_clicked, retrieval
from lego.runtime.word_vectors import WIDTH, word_vectors


@pytest.fixture(scope="module")
def made(small, tmp_path_factory):
    """A finished run of a text model."""
    return small(content=Attention(heads=2), epochs=1).run(out=tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="module")
def genres(movielens, tmp_path_factory):
    """A baseline on movies that have genres."""
    experiment = Experiment(data=MovieLens(movielens, negatives=3), model=Popularity())
    return experiment.run(out=tmp_path_factory.mktemp("runs"))


def test_numbers_beyond_accuracy(made, genres):
    """Each is in its range; what the data lacks is None; the popular are popular."""
    found = scored(made.path)
    vectors = vectors_of(found)
    assert vectors.shape == (found.store.item_count + 1, 8)
    assert not vectors[0].any()
    values = beyond_accuracy(found, 3, vectors=vectors)
    assert 0 <= values["diversity@3"] <= 2
    assert 0 <= values["serendipity@3"] <= 2
    assert 0 < values["catalog_share@3"] <= 1
    other = scored(genres.path)
    assert np.array_equal(vectors_of(other), word_vectors(other.store)), (
        "a scorer without vectors has those of the words"
    )
    assert vectors_told(other) == "the words of title, genres"
    assert np.array_equal(vectors_of(found, "words"), word_vectors(found.store))
    assert vectors_told(found) == "the item vectors of the run"
    values = beyond_accuracy(other, 2, vectors=vectors_of(other))
    assert 0.5 < values["diversity@2"] < 1.1, "titles of movies share few words"
    assert values["popularity@2"] > 0.8
    assert values["category_entropy@2"] <= 1
    assert values["miscalibration@2"] > 0
    with pytest.raises(SpecError, match="Items have no category 'genre'"):
        beyond_accuracy(other, 2, category="genre")
    with pytest.raises(SpecError, match="k must be at least 1"):
        beyond_accuracy(other, 0)


def test_numbers_of_each_user(genres):
    """A row for each user; their mean is the number that is shown, and nobody is counted twice."""
    found = scored(genres.path)
    table = beyond_per_user(found, 2)
    assert len(set(table["user"].to_pylist())) == table.num_rows
    assert sum(table["impressions"].to_pylist()) == len(found.impressions)
    for name, value in beyond_accuracy(found, 2).items():
        if name in table.column_names:
            known = [each for each in table[name].to_pylist() if each is not None]
            assert np.mean(known) == pytest.approx(value), name
    assert {"novelty@2", "miscalibration@2"} <= set(table.column_names)


def test_slices_are_of_the_clicks_inside(genres):
    """Each impression is in one slice of history; cold and warm clicks are all clicks; GAUC by hand."""
    found = scored(genres.path)
    made = slices(found)
    total = len(found.impressions)
    assert sum(each["impressions"] for each in made["history"].values()) == total
    clicks = int(found.impressions.labels.sum())
    assert made["item"]["warm"]["clicks"] + made["item"]["cold"]["clicks"] == clicks
    assert made["history"]["0"]["gauc"] is None
    assert made["history"]["0"]["impressions"] == 0
    codes, names = category_of(found.store)
    items, labels = found.impressions.candidates.values, found.impressions.labels == 1
    name, values = next(iter(made["category"].items()))
    inside = ~labels | (codes[items] == names.index(name))
    rows = found.rows
    expected = GAUC().measure(Ranking(found.scores[inside], labels[inside], rows.impression[inside]))
    assert values["gauc"] == pytest.approx(expected)
    assert values["clicks"] == int((labels & (codes[items] == names.index(name))).sum())
    assert (clicks_of(found.store)[items[labels]] > 0).sum() == made["item"]["warm"]["clicks"]


def test_retrieval_measures_against_a_loop():
    """Recall, nDCG, hits and MRR of lists with the clicks among them, one list at a time."""
    rng = np.random.default_rng(0)
    rows = np.stack([rng.permutation(30)[:8] + 1 for _ in range(12)])
    rows[0, 5:] = 0
    clicks = [rng.choice(30, size=int(rng.integers(1, 6)), replace=False) + 1 for _ in range(12)]
    found = measure(
        rows, Ragged.from_lengths(np.concatenate(clicks), np.array([len(c) for c in clicks])), (1, 5, 20)
    )
    for cut in (1, 5, 20):
        recall, gain, hit = [], [], []
        for row, wanted in zip(rows, clicks, strict=True):
            head = [int(item in wanted) for item in row[:cut]]
            best = sum(1 / np.log2(rank + 2) for rank in range(min(cut, 8, len(wanted))))
            recall.append(sum(head) / len(wanted))
            gain.append(sum(one / np.log2(rank + 2) for rank, one in enumerate(head)) / best)
            hit.append(any(head))
        assert found[f"recall@{cut}"] == pytest.approx(np.mean(recall))
        assert found[f"ndcg@{cut}"] == pytest.approx(np.mean(gain))
        assert found[f"hit@{cut}"] == pytest.approx(np.mean(hit))


@pytest.mark.parametrize("exclude_seen", [True, False])
def test_all_items_are_ranked_as_they_are_recommended(made, exclude_seen):
    """For the first impressions the best items are those that `recommend` gives by the same history."""
    loaded = load(made.path)
    found = retrieval(loaded, cuts=(5, 200), exclude_seen=exclude_seen)
    assert found["items"] == loaded.store.item_count
    if not exclude_seen:
        assert found["metrics"]["recall@200"] == 1.0, "all items are found among all items"
        assert found["clicks_on_seen"] == 0
    impressions, users = loaded.store.part("test"), loaded.store.users
    hits, total = 0, 0
    for at in range(len(impressions)):
        part = slice(impressions.candidates.offsets[at], impressions.candidates.offsets[at + 1])
        clicked = impressions.candidates.values[part][impressions.labels[part] == 1]
        history = users.history.values[impressions.start[at] : impressions.stop[at]]
        clicked = clicked[~np.isin(clicked, history)] if exclude_seen else clicked
        ids = loaded.store.item_ids.take(history - 1).to_pylist()
        table = loaded.recommend(history=ids, k=5, exclude_seen=exclude_seen)
        best = loaded.store.item_rows(table["item"].to_pylist())
        hits += np.isin(clicked, best).sum() / max(1, len(clicked))
        total += len(clicked) > 0
    assert found["impressions"] == total
    assert found["metrics"]["recall@5"] == pytest.approx(hits / total)


def test_retrieval_of_a_baseline(genres, small, tmp_path):
    """Popularity ranks all items too; wrong cuts are answered."""
    found = retrieval(load(genres.path), cuts=(10, 100))
    assert found["metrics"]["recall@100"] > found["metrics"]["recall@10"] > 0
    with pytest.raises(SpecError, match="every k must be at least 1"):
        retrieval(load(genres.path), cuts=(0,))
    by_row = small(content=ItemID(), epochs=1).run(out=tmp_path)
    assert retrieval(load(by_row.path))["metrics"]["hit@100"] > 0


def test_baselines_stand_beside(genres, small):
    """The same part by chance and by popularity, in the metrics that apply to them."""
    found = scored(genres.path)
    others = beside(found)
    assert list(others) == ["random", "popularity"]
    assert np.array_equal(others["popularity"].scores, found.scores)
    assert beyond_accuracy(others["popularity"], 2) == beyond_accuracy(found, 2)
    assert beyond_accuracy(others["random"], 2)["popularity@2"] < beyond_accuracy(found, 2)["popularity@2"]


def test_word_vectors_have_the_cosines_of_tf_idf(genres):
    """Those of scikit-learn, about; the order of items does not count."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    store = scored(genres.path).store
    vectors = word_vectors(store)
    assert vectors.shape == (store.item_count + 1, WIDTH)
    assert not vectors[0].any()
    texts = [
        f"{row['title']} {' '.join(row['genres'] or ())}"
        for row in store.items.select(["title", "genres"]).to_pylist()
    ]
    every = TfidfVectorizer(token_pattern=r"\w+").fit(texts).transform(texts[:400])
    exact = (every @ every.T).toarray()
    off = vectors[1:401] @ vectors[1:401].T - exact
    assert abs(off[~np.eye(400, dtype=bool)].mean()) < 0.015, (
        "frequent words are in many pairs, so that these err together"
    )
    assert off[~np.eye(400, dtype=bool)].std() < 1.2 / np.sqrt(WIDTH)

    class Turned:
        items = store.items.take(np.arange(store.item_count)[::-1])
        manifest = store.manifest

    turned = word_vectors(Turned())
    np.testing.assert_allclose(turned[:0:-1], vectors[1:], atol=1e-5)


def test_directions_of_words_are_those_of_one_draw(genres, monkeypatch):
    """Some words and some items at a time give, to the last digit, what all of them at once give."""
    store = scored(genres.path).store
    whole = word_vectors(store)
    monkeypatch.setattr(module, "_WORDS", 7)
    monkeypatch.setattr(module, "_PAIRS", 50)
    assert np.array_equal(word_vectors(store), whole)
    drawn = np.random.default_rng(0).integers(0, 2, (100, WIDTH), dtype=np.int8)
    assert np.array_equal(np.unpackbits(module._chance(100), axis=1), drawn)


def test_items_without_words_have_no_vectors():
    """There is nothing to compare by."""
    import pyarrow as pa

    class Silent:
        items = pa.table({"title": ["", "…"]})
        manifest = MappingProxyType({"reads": ["title"]})

    assert word_vectors(Silent()) is None


def test_chance_is_the_mean_over_orders():
    """Of many random orders, with fewer items left than ranks looked at, too."""
    rng = np.random.default_rng(0)
    free, clicks, cuts, width = np.array([6, 9, 3]), np.array([2, 1, 3]), (1, 5, 20), 8
    drawn = []
    for _ in range(20_000):
        rows = np.zeros((3, width), np.int64)
        for user, count in enumerate(free):
            rows[user, : min(count, width)] = (rng.permutation(count) + 1)[:width]
        drawn.append(measure(rows, Ragged.from_lengths(np.array([1, 2, 1, 1, 2, 3]), clicks), cuts))
    found = by_chance(free, clicks, cuts, width)
    assert list(found) == list(drawn[0])
    for name, value in found.items():
        assert value == pytest.approx(np.mean([each[name] for each in drawn]), abs=0.005), name


def test_the_most_clicked_are_what_popularity_recommends(genres):
    """The same lists as by scoring all items for each user, whatever was seen; nothing is left of a seen catalog."""
    loaded = load(genres.path)
    found = retrieval(loaded, cuts=(5, 50))
    assert found["metrics"] == found["baselines"]["popularity"]
    assert found["baselines"]["random"]["recall@50"] < found["metrics"]["recall@50"]
    counts = np.array([0, 1, 5, 5, 0])
    seen = Ragged.from_lengths(np.array([2, 1, 2, 3, 4, 9]), np.array([0, 1, 5]))
    assert most_clicked(counts, seen, 3).tolist() == [[2, 3, 1], [3, 1, 4], [0, 0, 0]]
