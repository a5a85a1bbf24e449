"""What operators ask for beyond their tensors reaches them in training, cached and uncached scoring alike."""

from __future__ import annotations

from typing import Any, ClassVar

import attrs
import numpy as np
import pyarrow as pa
import pytest
import torch
from torch import Tensor, nn

from lego import DeepFM, Dot, Experiment, Mean, Ranking, Recommender, SignalWeight, Training, compile  # noqa: A004
from lego.compiler.gather import Seen, batch_of
from lego.contract import Form, Need, Needs, Out
from lego.data.prepare import prepare
from lego.data.sampling import draw
from lego.data.source.movielens import MovieLens
from lego.data.table import CATEGORY, LIST, SIGNAL, Tables
from lego.errors import CompositionError
from lego.nn.masked import masked_mean
from lego.ragged import Ragged
from lego.runtime import score
from lego.spec import Behavior, Context, Predictor, Source, operator

WIDTH = 4
HISTORIES = [[1, 2, 3], [1, 2, 3], [4, 5], [6, 1, 2, 4], [2, 3]]
TIMES = [[10, 20, 50], [10, 40, 50], [0, 5], [1, 2, 3, 4], [7, 8]]


@operator
class Made(Source):
    """Five users with attributes and times; the first two have one history."""

    reads: ClassVar[dict[str, int]] = {"title": 4}  # type: ignore[assignment]
    history: int = 4
    timed: bool = True
    grouped: bool = True
    known: bool = True
    dated: bool = True

    def fingerprint(self) -> Any:
        """The options that move tables."""
        return {"timed": self.timed, "grouped": self.grouped, "known": self.known, "dated": self.dated}

    def files(self) -> Any:
        """None."""
        return ()

    def tables(self) -> Tables:
        """Users 0 … 3 are trained on; user 4 stands in the test part alone, and so does a second row of user c."""
        items = pa.table(
            {
                "item_id": [f"i{row}" for row in range(1, 7)],
                "title": ["a b", "b c", "c", "d a", "e", "f g h"],
                "topic": pa.array(["x", "y", "x", None, "z", "y"]).dictionary_encode().cast(CATEGORY),
                "genres": pa.array([["p", "q"], ["q"], [], ["r"], None, ["p", "q", "r"]], LIST),
            }
        )
        users = {
            "user_id": ["a", "b", "c", "d", "e", "c"],
            "history": pa.array([*HISTORIES, [5, 6]], pa.list_(pa.int32())),
            "times": pa.array([*TIMES, [6, 7]], pa.list_(pa.int64())),
            "group": pa.array(["m", "f", "m", None, "f", "f"]).dictionary_encode().cast(CATEGORY),
            "read_time": pa.array([[1, 2, None], [3, 2, 1], [5, 5], [1, 0, 2, 0], [7, 7], [1, None]], SIGNAL),
        }
        if not self.timed:
            del users["times"]
        if not self.grouped:
            del users["group"]
        if not self.known:
            del users["read_time"]

        def part(rows: list[tuple[int, int, int | None]]) -> pa.Table:
            count = len(rows)
            return pa.table(
                {
                    "impression": pa.array(range(count), pa.int64()),
                    "user": pa.array([user for user, _, _ in rows], pa.int32()),
                    "start": pa.array([0] * count, pa.int32()),
                    "stop": pa.array([stop for _, stop, _ in rows], pa.int32()),
                    "time": pa.array([time if self.dated else None for _, _, time in rows], pa.int64()),
                    "candidates": pa.array([[4, 5, 6, 1]] * count, pa.list_(pa.int32())),
                    "labels": pa.array([[0, 1, 0, 0]] * count, pa.list_(pa.int8())),
                    **(
                        {
                            "device": pa.array(
                                ["p", "q", "p", None, "z", "p", "q", "q", "q"][:count], CATEGORY
                            ),
                            "position": pa.array([[1, 2, None, 4 + row] for row in range(count)], SIGNAL),
                        }
                        if self.known
                        else {}
                    ),
                }
            )

        test = [
            (0, 3, 100),
            (1, 3, 100),
            (0, 3, 900),
            (2, 2, None),
            (4, 2, 60),
            (5, 2, 60),
            (3, 0, 5),
            (1, 0, 5),
            (0, 3, 100),
        ]
        return Tables(
            items=items,
            users=pa.table(users),
            impressions={
                "train": part([(0, 3, 60), (1, 3, 70), (2, 2, 9), (3, 4, 9)]),
                "dev": part([(0, 3, 99)]),
                "test": part(test),
            },
        )


def told(needs: Needs, mask: Tensor) -> Tensor:
    """Everything that stands in the needs of B users, as one number each, (B,)."""
    total = torch.zeros(len(mask))
    if needs.user is not None:
        total = total + needs.user * 1.0
    for each in needs.profile.values():
        total = total + 10.0 * each.sum(-1)
    for each in needs.impression.values():
        total = total + 5.0 * each.sum(-1)
    for signal in needs.signals.values():
        total = total + signal.nan_to_num(nan=-0.5).sum(-1)
    if needs.times is not None:
        total = total + (needs.times / 7.0).masked_fill(~mask, 0).sum(-1)
    for each in needs.history.values():
        total = total + 3.0 * each.sum(-1).masked_fill(~mask, 0).sum(-1)
    if needs.tokens is not None and needs.token_slots is not None:
        total = total + (needs.tokens.sum(-1) * needs.token_slots).sum(-1)
    return total


@operator
class Asks(Behavior):
    """The mean of the history, moved by what it is told."""

    asked: tuple[str, ...] = ()

    @property
    def needs(self) -> frozenset[Need]:
        """As asked."""
        return frozenset(Need[name] for name in self.asked)

    def build(self, context: Context) -> nn.Module:
        """The torch of it."""
        return _Asks()


class _Asks(nn.Module):
    def forward(self, history: Tensor, mask: Tensor, needs: Needs) -> Out:
        return Out(
            masked_mean(history, mask) + told(needs, mask).unsqueeze(-1) * torch.tensor([1.0, -1.0, 0.5, 2.0])
        )


@operator
class AsksAware(Behavior):
    """The same, seen from each candidate."""

    needs: ClassVar[frozenset[Need]] = frozenset(set(Need) - {Need.STATES})

    @property
    def gives(self) -> Form:
        """A user for each candidate."""
        return Form.PER_CANDIDATE

    def build(self, context: Context) -> nn.Module:
        """The torch of it."""
        return _AsksAware()


class _AsksAware(nn.Module):
    def forward(
        self, history: Tensor, mask: Tensor, candidates: Tensor, candidate_mask: Tensor, needs: Needs
    ) -> Out:
        user = masked_mean(history, mask) + told(needs, mask).unsqueeze(-1)
        codes: Any = sum(each.sum(-1) for each in needs.candidates.values())
        for each in needs.candidate_signals.values():
            codes = codes + each.nan_to_num(nan=0.5)
        return Out(user.unsqueeze(1) * candidates + torch.as_tensor(codes).unsqueeze(-1))


@operator
class AsksPredictor(Predictor):
    """A product, moved by the candidate's attributes and the user."""

    needs: ClassVar[frozenset[Need]] = frozenset(
        {
            Need.ATTRIBUTES,
            Need.USER,
            Need.PROFILE,
            Need.TIMES,
            Need.TOKENS,
            Need.IMPRESSION,
            Need.SIGNALS,
            Need.CANDIDATE_SIGNALS,
        }
    )

    @property
    def item_attributes(self) -> tuple[str, ...]:
        """One of them."""
        return ("topic",)

    @property
    def candidate_signals(self) -> tuple[str, ...]:
        """What the data has, and what is counted from it."""
        return ("position", "past_clicks", "past_rate@0.01", "past_age")

    def build(self, context: Context) -> nn.Module:
        """The torch of it."""
        assert "topic" in context.item_vocabularies
        assert "group" in context.user_vocabularies
        return _AsksPredictor()


class _AsksPredictor(nn.Module):
    def forward(self, user: Out, candidates: Tensor, candidate_mask: Tensor, needs: Needs) -> Tensor:
        assert needs.user is not None
        own = needs.user + 7 * needs.profile["group"].sum(-1)
        # A predictor has no mask of the history: what is padding is 0 in all that it is told.
        assert needs.times is not None
        everywhere = torch.ones_like(needs.times, dtype=torch.bool)
        own = own + told(attrs.evolve(needs, user=None, profile={}), everywhere)
        product = (user.tensor.unsqueeze(1) * candidates).sum(-1)
        for place, each in enumerate(needs.candidate_signals.values()):
            product = product + (place + 1) * each.nan_to_num(nan=0.5)
        return product + needs.candidates["topic"].sum(-1) * own.unsqueeze(-1)


ALL = ("USER", "PROFILE", "TIMES", "ATTRIBUTES", "TOKENS", "IMPRESSION", "SIGNALS")
MODELS: dict[str, tuple[Behavior, Predictor]] = {
    **{name: (Asks(asked=(name,)), Dot()) for name in ALL},
    "all": (Asks(asked=ALL), Dot()),
    "aware": (AsksAware(), Dot()),
    "predictor": (Mean(), AsksPredictor()),
    "nothing": (Mean(), Dot()),
    "fields": (Mean(), DeepFM(hidden=(4,), dropout=0, fields="context")),
    "weighed": (SignalWeight(Mean()), Dot()),
}


def compiled(name: str, **options: Any) -> Any:
    behavior, predictor = MODELS[name]
    model = Recommender(Mean(), behavior, predictor, width=WIDTH)
    made = compile(Experiment(data=Made(**options), model=model))
    made.pipeline.eval()
    return made


def scores(name: str, part: str = "test") -> Ragged:
    made = compiled(name)
    impressions = made.store.part(part)
    return Ragged(score.cached(made.pipeline, impressions, made.store.users), impressions.candidates.offsets)


@pytest.mark.parametrize("name", MODELS)
def test_cached_scores_are_the_naive_ones(name):
    """What is shared between impressions gives what each of them gives alone, whatever is asked for."""
    made = compiled(name)
    for part in ("train", "test"):
        impressions = made.store.part(part)
        fast = score.cached(made.pipeline, impressions, made.store.users)
        slow = score.naive(made.pipeline, impressions, made.store.users, page=2)
        assert fast == pytest.approx(slow, rel=1e-5, abs=1e-5)


@pytest.mark.parametrize(
    ("name", "same", "other"),
    [
        ("nothing", [(0, 1), (0, 2), (0, 8), (6, 7)], []),
        ("USER", [(0, 2), (0, 8)], [(0, 1), (6, 7)]),
        ("PROFILE", [(0, 2), (0, 8)], [(0, 1), (6, 7)]),
        ("TIMES", [(0, 8), (6, 7)], [(0, 1), (0, 2)]),
        ("ATTRIBUTES", [(0, 1), (0, 2), (0, 8), (6, 7)], []),
        ("IMPRESSION", [(0, 2), (1, 8), (6, 7)], [(0, 1), (0, 8)]),
        ("SIGNALS", [(0, 2), (0, 8), (6, 7)], [(0, 1)]),
        ("aware", [], [(0, 1), (0, 2), (0, 8), (6, 7)]),
        ("predictor", [], [(0, 1), (0, 2), (0, 8), (6, 7)]),
    ],
)
def test_users_of_one_history_share_a_vector_only_where_that_is_right(name, same, other):
    """Impressions 0 and 1 are two users, 0 and 2 one user at two times, 6 and 7 two users without history."""
    found = scores(name)
    for first, second in same:
        assert found[first].tolist() == found[second].tolist()
    for first, second in other:
        assert found[first].tolist() != found[second].tolist()


@pytest.mark.parametrize("need", [Need.USER, Need.PROFILE, Need.TIMES])
def test_a_cache_key_that_forgets_a_need_is_seen(monkeypatch, need):
    """Without the need in the key the cached scores are not the naive ones: the test above can fail."""
    made = compiled("all")
    impressions, users = made.store.part("test"), made.store.users
    right = score.naive(made.pipeline, impressions, users)
    assert score.cached(made.pipeline, impressions, users) == pytest.approx(right, rel=1e-5, abs=1e-5)
    distinct = score._distinct

    def forgetful(impressions: Any, users: Any, needs: frozenset[Need], told: Any) -> Any:
        whole, less = distinct(impressions, users, needs, told), distinct(impressions, users, frozenset())
        kept = needs - ({need} if need is Need.TIMES else {Need.USER, Need.PROFILE})
        made = distinct(impressions, users, kept, told)
        first = np.unique(made.of_impression, return_index=True)[1]
        times = whole.times.take(whole.of_impression[first])
        assert len(less.start) < len(whole.start)
        return attrs.evolve(made, user=impressions.user[first].astype(np.int64), times=times)

    monkeypatch.setattr(score, "_distinct", forgetful)
    assert score.cached(made.pipeline, impressions, users) != pytest.approx(right, rel=1e-3, abs=1e-3)


def test_rows_of_one_user_are_one_and_strangers_are_nobody():
    """A user id has one number over all its rows; 0 is a user that the train part does not have."""
    gather = compiled("USER").pipeline.gather
    seen = Seen(user=np.array([0, 1, 2, 3, 4, 5, -1]), history=np.zeros((7, 1), np.int64))
    assert gather(seen).user.tolist() == [1, 2, 3, 4, 0, 3, 0]
    assert gather.user_count == 5


def test_times_count_back_from_the_impression():
    """Seconds from each click; from the latest click where the impression's time is not known; never below 0."""
    made = compiled("TIMES")
    test = made.store.part("test")
    rows = draw(test, Ranking().candidates, made.store.users, 6, np.random.default_rng(0))
    order = np.argsort(rows.impression)
    batch = batch_of(made.pipeline.gather, test, made.store.users, rows, order)
    assert batch.needs.times[[0, 2, 3, 6]].tolist() == [[90, 80, 50], [890, 880, 850], [5, 0, 0], [0, 0, 0]]


def test_tokens_of_a_history_stand_in_its_order():
    """Items behind each other with the slot of each token; padding has slot 0."""
    made = compiled("TOKENS")
    gather = made.pipeline.gather
    needs = gather(Seen(user=np.array([0, 0]), history=np.array([[3, 1, 6], [2, 0, 0]])))
    item = made.fed[""].tokens.tokens
    assert needs.tokens.tolist() == [[*item[3], *item[1], *item[6]], [*item[2], 0, 0, 0, 0]]
    assert needs.token_slots.tolist() == [[1, 2, 2, 3, 3, 3], [1, 1, 0, 0, 0, 0]]


def test_attributes_of_several_values_are_padded_with_nothing():
    """(B, S, V), V as many as the longest has; padding, missing values and padded places are 0."""
    gather = compiled("ATTRIBUTES").pipeline.gather
    needs = gather(Seen(user=np.array([0]), history=np.array([[1, 4, 0]]), candidates=np.array([[6, 5]])))
    assert needs.history["genres"].tolist() == [[[1, 2], [3, 0], [0, 0]]]
    assert needs.history["topic"].tolist() == [[[1], [0], [0]]]
    assert needs.candidates["genres"].tolist() == [[[1, 2, 3], [0, 0, 0]]]


def test_attributes_of_impressions_are_those_that_training_met():
    """Another value than train has is 0, as a missing one; outside of an impression nothing is known."""
    made = compiled("IMPRESSION")
    test = made.store.part("test")
    found = made.pipeline.gather.of_impressions(test, np.array([0, 1, 3, 4]))
    assert found["device"].tolist() == [[1], [2], [0], [0]]
    needs = made.pipeline.gather(Seen(user=np.array([0]), history=np.zeros((1, 1), np.int64)))
    assert needs.impression["device"].tolist() == [[0]]


def test_numbers_stand_beside_their_clicks():
    """Of the most recent clicks where a history is cut; NaN where one is missing, 0 at padding."""
    made = compiled("SIGNALS")
    test = made.store.part("test").recent(2)
    rows = score.impression_rows(test, np.array([0, 2, 6]))
    batch = batch_of(made.pipeline.gather, test, made.store.users, rows, np.arange(3))
    assert torch.nan_to_num(batch.needs.signals["read_time"], nan=-1).tolist() == [[2, -1], [2, -1], [0, 0]]
    given = made.pipeline.gather(Seen(user=np.array([-1]), history=np.array([[3, 0]])))
    assert torch.nan_to_num(given.signals["read_time"], nan=-1).tolist() == [[-1, 0]]


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("IMPRESSION", "attributes of the impression"),
        ("SIGNALS", "this data has none"),
        ("predictor", "position beside the candidates, and this data has none"),
    ],
)
def test_data_without_context_is_refused_for_operators_that_need_it(name, sentence):
    """Before any weight is made."""
    with pytest.raises(CompositionError, match=sentence):
        compiled(name, known=False)


def test_data_without_times_is_refused_for_operators_that_need_them():
    """Before any weight is made, with a way out."""
    with pytest.raises(CompositionError, match=r"times of the clicks.*\n.*Positions"):
        compiled("TIMES", timed=False)


@operator
class AsksForTitles(Asks):
    """Names a text where a categorical attribute is wanted."""

    asked: tuple[str, ...] = ("ATTRIBUTES", "PROFILE")

    @property
    def item_attributes(self) -> tuple[str, ...]:
        """One that is a text, one that is not there."""
        return ("title", "topik")


def test_attributes_that_cannot_be_given_are_named(monkeypatch):
    """All problems at once, with the attributes there are."""
    monkeypatch.setitem(MODELS, "titles", (AsksForTitles(), Dot()))
    with pytest.raises(CompositionError) as caught:
        compiled("titles")
    assert "title" in str(caught.value)
    assert "Did you mean 'topic'" in str(caught.value)


def test_training_hands_over_the_same_needs(tmp_path):
    """A fit with all needs runs and is the same with and without deduplication."""
    model = Recommender(
        Mean(), Asks(asked=("USER", "PROFILE", "TIMES", "ATTRIBUTES", "TOKENS")), AsksPredictor(), width=WIDTH
    )
    losses = []
    for deduplicate in (True, False):
        training = Training(epochs=1, batch_size=2, deduplicate=deduplicate)
        made = Experiment(data=Made(), model=model, task=Ranking(negatives=2), training=training).run(
            out=tmp_path
        )
        losses.append(made.metrics["logloss"])
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


def test_movielens_has_times(movies, tmp_path):
    """So operators that ask for times run on it."""
    assert prepare(MovieLens(movies, negatives=3), tmp_path / "data").users.times is not None


def test_values_of_users_that_training_lacks_are_unknown():
    """An attribute that only users of the test part have is no value of the model."""
    gather = compiled("PROFILE").pipeline.gather
    assert gather.profile["group"].vocabulary.to_pylist() == ["f", "m"]
    needs = gather(Seen(user=np.array([0, 1, 3, 4]), history=np.zeros((4, 1), np.int64)))
    assert needs.profile["group"].squeeze(1).tolist() == [2, 1, 0, 1]


def test_user_attributes_that_no_user_has_are_refused_early():
    """Before tokens are made, with a way out; a predictor goes without."""
    from lego import DCN, UserAttributes

    class_of = MODELS.setdefault
    class_of("attributes", (UserAttributes(), Dot()))
    with pytest.raises(CompositionError, match="have none that is categorical"):
        compiled("attributes", grouped=False)
    class_of("fields", (Mean(), DCN(fields="attributes", hidden=(4,))))
    assert not compiled("fields", grouped=False).pipeline.gather.profile


def test_numbers_stand_beside_their_candidates():
    """Of drawn candidates they are missing, of repeated ones those of the first; padding is 0."""
    made = compiled("predictor")
    test = made.store.part("test")
    candidates = np.array([[4, 1, 6, 2], [1, 5, 0, 0]])
    found = made.pipeline.gather.beside(test, np.array([2, 4]), candidates)["position"]
    assert torch.nan_to_num(found, nan=-1).tolist() == [[1, 6, -1, -1], [8, 2, 0, 0]]
    outside = made.pipeline.gather.beside_items(np.array([[1, 0]]))
    assert torch.nan_to_num(outside["position"], nan=-1).tolist() == [[-1, 0]]
    assert outside["past_clicks"].tolist() == [[0, 0]]
    # Item 5 is clicked in each impression of the log; the time of one of them is not known.
    count = sum(int((made.store.part(part).time >= 0).sum()) for part in made.store.parts)
    assert made.pipeline.gather.beside_items(np.array([[5]]))["past_clicks"].tolist() == [[count]]


def test_data_without_times_of_impressions_has_no_past():
    """Whoever asks for what was before is told so, with the way out, before any work."""
    with pytest.raises(CompositionError, match=r"the impressions of this data have no times") as caught:
        compiled("predictor", dated=False)
    assert "past_age is of what was before an impression" in str(caught.value)
    assert "columns={'time': 'COLUMN'}" in str(caught.value)


def test_who_makes_the_user_before_the_candidates_are_known_cannot_read_what_is_beside_them():
    """The check says so, and what to declare."""
    model = Recommender(Mean(), Asks(asked=("CANDIDATE_SIGNALS",)), Dot(), width=WIDTH)
    with pytest.raises(CompositionError, match=r"(?s)before they are known.*declare Need\.CANDIDATES"):
        compile(Experiment(data=Made(), model=model))
