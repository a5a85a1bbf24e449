"""The plugin as its author tests it: the conformance suite, the formulas written once more, slowly, and a whole run."""

from __future__ import annotations

import math

import numpy as np
import pytest

from lego import catalog, load, parse
from lego.contract import Lists
from lego.errors import SpecError
from lego.ragged import Ragged
from lego.testing import RerankTests
from lego.testing.command import call

pytest.importorskip(
    "legorec_rerank", reason="the plugin is not installed: pip install -e lego_plugins/rerank"
)

from legorec_rerank import MMR, Calibrated


class TestMMR(RerankTests):
    """What holds for every re-ranker."""

    operator = MMR

    @pytest.mark.parametrize("balance", [0.0, 0.4, 1.0])
    def test_it_is_the_formula(self, lists, balance):
        """The places are those of the formula, list by list, item by item."""
        found = MMR(balance).rerank(lists, 6)
        for row in range(len(lists)):
            items, score = lists.items[row], scaled(lists, row)
            chosen = []
            while len(chosen) < min(6, len(items)):

                def worth(place, chosen=chosen, items=items, score=score):
                    if not chosen:
                        return score[place]
                    near = max(
                        cosine(lists.vectors[items[place]], lists.vectors[items[each]]) for each in chosen
                    )
                    return balance * score[place] - (1 - balance) * near

                chosen.append(first_best([each for each in range(len(items)) if each not in chosen], worth))
            assert found[row].tolist() == chosen

    def test_the_score_alone_changes_nothing(self, lists):
        """With `balance` 1 each list stays as it is."""
        found = MMR(1.0).rerank(lists, 1000)
        assert all(found[row].tolist() == list(range(len(lists.items[row]))) for row in range(len(lists)))


class TestCalibrated(RerankTests):
    """What holds for every re-ranker."""

    operator = Calibrated

    @pytest.mark.parametrize("balance", [0.0, 0.4, 1.0])
    def test_it_is_the_formula(self, lists, balance):
        """The places are those of the formula: the whole list's divergence, computed anew for each choice."""
        found = Calibrated(balance).rerank(lists, 6)
        for row in range(len(lists)):
            items, score = lists.items[row], scaled(lists, row)
            wanted = shares([lists.categories[each] for each in lists.histories[row]])
            chosen = []
            while len(chosen) < min(6, len(items)):

                def worth(place, chosen=chosen, items=items, score=score, wanted=wanted):
                    if not wanted:
                        return score[place]
                    given = shares([lists.categories[items[each]] for each in (*chosen, place)])
                    total = sum(score[each] for each in (*chosen, place))
                    return (1 - balance) * total - balance * divergence(wanted, given)

                chosen.append(first_best([each for each in range(len(items)) if each not in chosen], worth))
            assert found[row].tolist() == chosen

    def test_a_list_takes_the_shares_of_the_history(self):
        """Somebody who read two of one and one of another is shown two of one and one of another."""
        category = np.array([-1, 0, 0, 0, 1, 1, 1])
        lists = Lists(
            items=Ragged.from_lengths(np.array([1, 2, 3, 4, 5, 6]), np.array([6])),
            scores=np.array([6, 5, 4, 3, 2, 1], np.float32),
            histories=Ragged.from_lengths(np.array([4, 5, 1]), np.array([3])),
            categories=category,
        )
        places = Calibrated(0.9).rerank(lists, 3)[0]
        assert sorted(category[lists.items.values[places]].tolist()) == [0, 1, 1]


def scaled(lists, row):
    begin, end = lists.items.offsets[row : row + 2]
    score = lists.scores[begin:end].astype(float)
    if not len(score) or score.max() == score.min():
        return np.ones(len(score))
    return (score - score.min()) / (score.max() - score.min())


def first_best(places, worth):
    """The earlier of equal ones; what differs by rounding alone is equal."""
    best = max(worth(place) for place in places)
    return next(place for place in places if worth(place) >= best - 1e-12)


def cosine(one, other):
    one, other = one.astype(float), other.astype(float)
    length = math.sqrt(one @ one) * math.sqrt(other @ other)
    return one @ other / length if length else 0.0


def shares(categories):
    known = [each for each in categories if each >= 0]
    return {each: known.count(each) / len(known) for each in set(known)}


def divergence(wanted, given):
    return sum(p * math.log(p / (0.99 * given.get(c, 0.0) + 0.01 * p)) for c, p in wanted.items())


# --- in use -------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A finished run on movies of four genres, where most users like two."""
    from lego import Dot, Experiment, Matching, Mean, MovieLens, Recommender, Training
    from lego import Sum as Together  # noqa: F401 - the names that lego gives are public

    folder = tmp_path_factory.mktemp("movies")
    chance = np.random.default_rng(0)
    genres = ("Drama", "Comedy", "War", "Horror")
    movies = [f"{row},w{row % 4}a w{row % 4}b{row % 3} x{row},{genres[row % 4]}" for row in range(1, 81)]
    ratings = []
    for user in range(1, 25):
        liked = np.flatnonzero(np.isin(np.arange(1, 81) % 4, [user % 4, (user + 1) % 4])) + 1
        for at, movie in enumerate(chance.choice(liked, 10, replace=False)):
            ratings.append(f"{user},{movie},5.0,{1000 * at + user}")
    (folder / "movies.csv").write_text("\n".join(["movieId,title,genres", *movies]) + "\n")
    (folder / "ratings.csv").write_text("\n".join(["userId,movieId,rating,timestamp", *ratings]) + "\n")
    experiment = Experiment(
        data=MovieLens(str(folder), negatives=15),
        model=Recommender(content=Mean(), behavior=Mean(), predictor=Dot(), width=8),
        task=Matching(),
        training=Training(epochs=1, batch_size=32),
    )
    return experiment.run(out=folder / "runs", device="cpu")


def beyond(run, *more):
    answer = call("evaluate", run.path, "--beyond", "-k", 5, "--json", *more)
    assert answer.code == 0, answer.err
    return parse_json(answer.out)["beyond"]


def parse_json(text):
    import json

    return json.loads(text)


def test_an_evaluation_is_varied_or_calibrated_as_asked(run):
    """Beyond-accuracy numbers move where a re-ranker moves them; the order by score moves none."""
    plain = beyond(run)
    assert beyond(run, "--rerank", "MMR(1.0)") == plain
    assert beyond(run, "--rerank", "MMR(0.2)")["diversity@5"] > plain["diversity@5"] + 0.02
    assert beyond(run, "--rerank", "Calibrated(0.9)")["miscalibration@5"] < 0.9 * plain["miscalibration@5"]


def test_accuracy_is_that_of_the_new_order(run):
    """`lego evaluate RUN --rerank` reads the run's own protocol: the order by score gives the run's own numbers."""
    answer = call("evaluate", run.path, "--rerank", "MMR(1.0)", "--json")
    assert answer.code == 0, answer.err
    told = parse_json(answer.out)
    (values,) = told["protocols"].values()
    assert told["rerank"] == "MMR(balance=1.0)"
    for name, value in run.metrics.items():
        assert value is None or values[name] == pytest.approx(value, abs=1e-12)
    other = parse_json(call("evaluate", run.path, "--rerank", "MMR(0.2)", "--json").out)["protocols"]
    assert next(iter(other.values()))["ndcg@5"] != values["ndcg@5"]


def test_recommendations_are_reranked(run):
    """From Python and from the command line; with the score alone they are what they were, new items may be among them."""
    loaded = load(run.path, device="cpu")
    history = loaded.store.items["item_id"].to_pylist()[:3]
    plain = loaded.recommend(history=history, k=6)
    assert loaded.recommend(history=history, k=6, rerank=MMR(1.0)).equals(plain)
    varied = loaded.recommend(history=history, k=6, rerank=MMR(0.1))
    assert varied.num_rows == 6
    assert varied["item"].to_pylist() != plain["item"].to_pylist()
    assert varied["item"][0] == plain["item"][0]
    new = [
        {"item_id": f"n{row}", "title": "w0a w0b1", "genres": "War" if row % 2 else "Drama"}
        for row in range(8)
    ]
    found = loaded.recommend(history=history, items=new, k=4, rerank=Calibrated(0.9))
    assert found["new"].to_pylist() == [True] * 4
    answer = call("recommend", run.path, "--history", *history, "-k", 6, "--rerank", "MMR(0.1)", "--json")
    assert [each["item"] for each in parse_json(answer.out)["items"]] == varied["item"].to_pylist()


def test_what_cannot_be_is_told(run):
    """A name that is none, a thing that is no re-ranker, a retrieval; a category that items lack."""
    assert "MMR" in call("evaluate", run.path, "--rerank", "MMRR()").err
    assert "no re-ranker" in call("recommend", run.path, "--history", "1", "--rerank", "GRU()").err
    assert call("evaluate", run.path, "--rerank", "MMR", "--retrieval").code == 2
    with pytest.raises(SpecError, match="Items have no category 'genre'"):
        load(run.path, device="cpu").recommend(history=["1"], rerank=Calibrated(), category="genre")


def test_it_is_found_by_name():
    """The catalog lists both from the metadata of this distribution, and an expression makes them."""
    found = {entry.name for entry in catalog.entries("rerank")}
    if "MMR" not in found:
        pytest.skip("the plugin is on the path, and not installed")
    assert parse("MMR(0.3)") == MMR(0.3)
    assert parse("Calibrated(among=5)") == Calibrated(among=5)
