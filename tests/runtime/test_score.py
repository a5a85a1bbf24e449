from __future__ import annotations

from typing import ClassVar

import attrs
import numpy as np
import pytest
import torch
from torch import nn

from lego import (
    CNN,
    DCN,
    DIN,
    DNN,
    GRU,
    Additive,
    Attention,
    Dot,
    Embedding,
    Experiment,
    History,
    InterestAttention,
    ItemID,
    Mean,
    MovieLens,
    PolyAttention,
    Pretrained,
    Recommender,
    compile,  # noqa: A004
    frozen,
    full,
    split,
)
from lego.compiler.gather import batch_of
from lego.compiler.pipeline import Pipeline
from lego.contract import Form, Need, Needs, Out
from lego.nn.masked import masked_mean
from lego.ragged import Ragged
from lego.runtime import score
from lego.spec import Behavior, Context, operator
from lego.testing.checkpoint import tiny_checkpoint

WIDTH = 8
TOKENS = Attention(
    heads=2, dropout=0.5, pool=None
)  # dropout is high, so that a pipeline left in training mode is seen


@operator
class OwnTaste(Behavior):
    """The mean of the history and a vector of the user's own."""

    needs: ClassVar[frozenset[Need]] = frozenset({Need.USER})

    def build(self, context: Context) -> nn.Module:
        """The torch of it."""
        return _OwnTaste(context.users, context.width)


class _OwnTaste(nn.Module):
    def __init__(self, users: int, width: int) -> None:
        super().__init__()
        self.own = nn.Embedding(users, width)

    def forward(self, sequence: torch.Tensor, mask: torch.Tensor, needs: Needs) -> Out:
        return Out(masked_mean(sequence, mask) + self.own(needs.user))


@operator
class Aware(Behavior):
    """The mean of the history, gated by each candidate."""

    needs: ClassVar[frozenset[Need]] = frozenset({Need.CANDIDATES})

    @property
    def gives(self) -> Form:
        """A user for each candidate."""
        return Form.PER_CANDIDATE

    def build(self, context: Context) -> nn.Module:
        """The torch of it."""
        return _Aware(context.width)


class _Aware(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.gate = nn.Linear(width, width)

    def forward(self, history, mask, candidates, candidate_mask, needs):
        return Out(masked_mean(history, mask).unsqueeze(1) * torch.sigmoid(self.gate(candidates)))


CONTENTS = {
    "id": ItemID(),
    "mean": Mean(),
    "additive": Additive(hidden=6),
    "cnn": CNN(),
    "attention": Attention(heads=2),
    "gru": GRU(hidden=6),
    "chain": Attention(heads=2, pool=None) >> GRU(hidden=6),
    "embedding": None,
    "full": None,
    "frozen": None,
    "split": None,
}
VECTORS = {
    "mean": Mean(),
    "additive": Additive(hidden=6),
    "cnn": CNN(),
    "attention": Attention(heads=2, positions=True, residual=True),
    "gru": GRU(hidden=6),
    "chain": CNN(pool=None) >> Attention(heads=2),
    "own": OwnTaste(),
}
PAIRS = {
    **{
        f"{name}-{predictor!r}": (behavior, predictor)
        for name, behavior in VECTORS.items()
        for predictor in (Dot(), DNN(hidden=(6,)), DCN(cross=2, hidden=(6,)))
    },
    "history-DIN": (History(), DIN(attention=(6,), hidden=(6,))),
    "attention-DIN": (TOKENS, DIN(attention=(), hidden=(6,), candidate=False)),
    "gru-DIN": (GRU(hidden=6, pool=None), DIN(attention=(6,), hidden=(6,))),
    "poly-InterestAttention": (PolyAttention(interests=3, hidden=6), InterestAttention()),
    "aware-DNN": (Aware(), DNN(hidden=(6,))),
    "aware-Dot": (Aware(), Dot()),
}


@pytest.fixture(scope="module")
def experiment(movies):
    """Candidates are what the user disliked or was not shown, histories have up to six items."""

    def make(content, behavior=None, predictor=None):
        model = Recommender(
            content=content, behavior=behavior or Mean(), predictor=predictor or Dot(), width=WIDTH
        )
        return Experiment(data=MovieLens(movies, negatives=6, history=6, test=0.3), model=model)

    return make


def stirred(pipeline):
    """The pipeline in evaluation, with weights that are far from zero, so that a difference is seen."""
    generator = torch.Generator().manual_seed(3)
    for name, parameter in pipeline.named_parameters():
        if "language" not in name and "table" not in name:
            parameter.data += 0.3 * torch.randn(parameter.shape, generator=generator)
    return pipeline.eval()


def same(found, expected):
    """Equal but for rounding in float32, which goes by the largest of the numbers."""
    return found == pytest.approx(expected, rel=1e-6, abs=1e-6 * max(1.0, float(np.abs(expected).max())))


@pytest.fixture(scope="module")
def stages(experiment, tmp_path_factory):
    """Each content operator and each pair of the other two, compiled once and put together anew by each test."""
    folder = tmp_path_factory.mktemp("stages")
    words = [f"w{topic}x{word}" for topic in range(4) for word in range(8)]
    bert = str(tiny_checkpoint(folder / "bert", layers=3, words=words))
    np.save(folder / "vectors.npy", np.random.default_rng(0).normal(size=(120, 5)).astype(np.float32))
    contents = {
        **CONTENTS,
        "embedding": Embedding(str(folder / "vectors.npy")),
        "full": Pretrained(bert, layers=full()),
        "frozen": Pretrained(bert, layers=frozen()),
        "split": Pretrained(bert, layers=split(2)),
    }
    made: dict[object, Pipeline] = {}

    def stage(content=None, behavior=None, predictor=None):
        key = (content, behavior, predictor)
        if key not in made:
            given = (contents[content],) if content else (ItemID(), behavior, predictor)
            made[key] = stirred(compile(experiment(*given)).pipeline)
        return made[key]

    def put_together(content, behavior, predictor):
        first, rest = stage(content=content), stage(behavior=behavior, predictor=predictor)
        return Pipeline(
            first.content,
            rest.behavior,
            rest.predictor,
            feed=first.feed,
            gather=rest.gather,
            candidate_aware=rest.candidate_aware,
        ).eval()

    return put_together


@pytest.fixture(scope="module")
def store(experiment):
    """The prepared data."""
    return compile(experiment(ItemID())).store


@pytest.fixture(scope="module")
def asked(store):
    """Impressions as nobody would like them.

    Some users are filtered out and the rest shuffled, some have no history, several of a user share one, and the numbers of
    candidates differ.
    """
    generator = np.random.default_rng(1)
    part = store.part("test").recent(6)
    rows = generator.permutation(np.flatnonzero(part.user % 3 != 0))[:36]
    part = part.take(np.concatenate([rows, rows[:4]]))
    keep = generator.random(len(part.candidates.values)) < 0.6
    keep[part.candidates.offsets[:-1]] = True
    owner = np.repeat(np.arange(len(part)), part.candidates.lengths)
    candidates = Ragged.from_lengths(
        part.candidates.values[keep], np.bincount(owner[keep], minlength=len(part))
    )
    start = np.where(np.arange(len(part)) % 5 == 2, part.stop, part.start)
    start[:4] = part.start[:4]
    start[-4:] = start[:4]
    found = attrs.evolve(part, start=start, candidates=candidates, labels=part.labels[keep])
    assert len(set(candidates.lengths)) > 3
    assert (found.start == found.stop).any()
    assert len(np.unique(found.stop - found.start)) > 3
    return found


@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize("content", CONTENTS)
def test_cached_scores_are_the_naive_ones(stages, store, asked, content, pair):
    """For every valid model: what is encoded once and shared gives what is encoded where it stands."""
    pipeline = stages(content, *PAIRS[pair])
    fast = score.cached(pipeline, asked, store.users)
    assert fast.std() > 1e-4
    assert same(fast, score.naive(pipeline, asked, store.users, page=7))


SOME = [
    ("id", "own-Dot()"),
    ("mean", "gru-DNN(hidden=(6,))"),
    ("cnn", "history-DIN"),
    ("attention", "poly-InterestAttention"),
    ("gru", "attention-DIN"),
    ("full", "additive-DCN(cross=2, hidden=(6,))"),
    ("split", "aware-DNN"),
]
"""A few models that have every kind of user, and every kind of item."""


@pytest.mark.parametrize(("content", "pair"), SOME)
def test_scores_do_not_depend_on_page_sizes(stages, store, asked, monkeypatch, content, pair):
    """Pages of items, of users and of candidates only bound memory."""
    pipeline = stages(content, *PAIRS[pair])
    at_once = score.cached(pipeline, asked, store.users)
    for name, size in (("ITEM_PAGE", 5), ("USER_PAGE", 3), ("PLACES", 11)):
        monkeypatch.setattr(score, name, size)
        assert score.cached(pipeline, asked, store.users) == pytest.approx(at_once, rel=1e-5, abs=1e-5)
    pipeline.feed = attrs.evolve(pipeline.feed, page_cost=10**6)
    assert score.cached(pipeline, asked, store.users) == pytest.approx(at_once, rel=1e-5, abs=1e-5)


@pytest.mark.parametrize(("content", "pair"), SOME)
def test_candidate_order_moves_scores_along(stages, store, asked, content, pair):
    """A score belongs to the user and the candidate, not to the place or to what stands beside it."""
    pipeline = stages(content, *PAIRS[pair])
    generator = np.random.default_rng(5)
    owner = np.repeat(np.arange(len(asked)), asked.candidates.lengths)
    order = np.lexsort((generator.random(len(owner)), owner))
    assert (order != np.arange(len(order))).any()
    candidates = Ragged(asked.candidates.values[order], asked.candidates.offsets)
    moved = attrs.evolve(asked, candidates=candidates, labels=asked.labels[order])
    expected = score.cached(pipeline, asked, store.users)[order]
    assert same(score.cached(pipeline, moved, store.users), expected)
    first = attrs.evolve(
        asked,
        candidates=Ragged(asked.candidates.values[asked.candidates.offsets[:-1]], np.arange(len(asked) + 1)),
        labels=asked.labels[asked.candidates.offsets[:-1]],
    )
    alone = score.cached(pipeline, first, store.users)
    assert same(alone, score.cached(pipeline, asked, store.users)[asked.candidates.offsets[:-1]])


@pytest.mark.parametrize(("content", "pair"), SOME)
def test_an_impression_scores_alone_as_among_others(stages, store, asked, content, pair):
    """Neither the order of the impressions nor the longer histories and candidates of others reach a score."""
    pipeline = stages(content, *PAIRS[pair])
    together = Ragged(score.cached(pipeline, asked, store.users), asked.candidates.offsets)
    backwards = asked.take(np.arange(len(asked))[::-1])
    turned = Ragged(score.cached(pipeline, backwards, store.users), backwards.candidates.offsets)
    for row in range(len(asked)):
        assert same(turned[len(asked) - 1 - row], together[row])
    for row in (0, 2, 5):
        assert same(score.cached(pipeline, asked.take([row]), store.users), together[row])


@pytest.mark.parametrize(("content", "pair"), SOME)
def test_longer_padding_changes_nothing(stages, store, asked, content, pair):
    """Padding behind histories and candidates is not looked at, whatever stands in it."""
    pipeline = stages(content, *PAIRS[pair])
    rows = score.impression_rows(asked, np.arange(len(asked)))
    batch = batch_of(pipeline.gather, asked, store.users, rows, np.arange(len(asked)))
    wide = attrs.evolve(
        batch,
        history=torch.nn.functional.pad(batch.history, (0, 9 - batch.history.shape[1]), value=1),
        history_mask=torch.nn.functional.pad(batch.history_mask, (0, 9 - batch.history.shape[1])),
        candidates=torch.nn.functional.pad(batch.candidates, (0, 3), value=2),
        candidate_mask=torch.nn.functional.pad(batch.candidate_mask, (0, 3)),
    )
    wide.history[~wide.history_mask] = 1  # a real item
    wide.candidates[~wide.candidate_mask] = 2
    with torch.no_grad():
        narrow, padded = pipeline(batch).tensor, pipeline(wide).tensor
    assert same(padded[wide.candidate_mask].numpy(), narrow[batch.candidate_mask].numpy())


def test_needs_are_part_of_what_makes_a_user(stages, store, asked):
    """Two users of one history share their vector only where the behavior operator does not ask who they are."""
    someone, other = attrs.evolve(asked.take([0])), attrs.evolve(asked.take([0]), user=asked.user[:1] + 1)
    pipeline = stages("id", OwnTaste(), Dot())
    assert (
        score.cached(pipeline, someone, store.users).tolist()
        != score.cached(pipeline, other, store.users).tolist()
    )
    both = attrs.evolve(asked.take([0, 0]), user=np.array([asked.user[0], asked.user[0] + 1], np.int32))
    count = len(asked.candidates[0])
    found = score.cached(pipeline, both, store.users)
    assert same(found[:count], score.cached(pipeline, someone, store.users))
    assert same(found[count:], score.cached(pipeline, other, store.users))


def test_each_item_and_each_history_is_encoded_once(stages, store, asked, monkeypatch):
    """The work is that of distinct items and distinct histories, whatever the number of candidates."""
    pipeline = stages("mean", Mean(), Dot())
    items, users = [], []
    encode_items, encode_users = pipeline.encode_items, pipeline.encode_users
    monkeypatch.setattr(pipeline, "encode_items", lambda rows: (items.append(rows), encode_items(rows))[1])
    monkeypatch.setattr(
        pipeline,
        "encode_users",
        lambda history, mask, needs: (users.append(len(mask)), encode_users(history, mask, needs))[1],
    )
    told = []
    score.cached(pipeline, asked, store.users, told.append)
    rows = torch.cat(items).tolist()
    assert len(rows) == len(set(rows)) < len(asked.candidates.values)
    empty = asked.start == asked.stop
    distinct = len(set(zip(asked.start[~empty], asked.stop[~empty], strict=True))) + int(empty.any())
    assert sum(users) == distinct < len(asked)
    assert sum(told) == len(asked.candidates.values)


def test_naive_encodes_every_slot_where_it_stands(stages, store, asked, monkeypatch):
    """The yardstick keeps nothing: each slot of histories and candidates is encoded."""
    pipeline = stages("mean", Mean(), Dot())
    items = []
    encode_items = pipeline.encode_items
    monkeypatch.setattr(
        pipeline, "encode_items", lambda rows: (items.append(len(rows)), encode_items(rows))[1]
    )
    score.naive(pipeline, asked, store.users, page=3)
    assert sum(items) == len(asked.candidates.values) + int((asked.stop - asked.start).sum())
