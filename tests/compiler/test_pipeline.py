from __future__ import annotations

import itertools

import attrs
import numpy as np
import pytest
import torch
from torch import nn

from lego import (
    BST,
    CNN,
    DCN,
    DIN,
    DNN,
    GRU,
    Additive,
    Attention,
    Dot,
    Experiment,
    History,
    InterestAttention,
    ItemID,
    Matching,
    Mean,
    MovieLens,
    PolyAttention,
    Pretrained,
    Ranking,
    Recommender,
    compile,  # noqa: A004
    full,
    split,
)
from lego.compiler.feed import LEVELS, PAGE_TOKENS, ItemFeed, by_length
from lego.compiler.gather import Seen
from lego.compiler.pipeline import Pipeline, with_padding
from lego.contract import Needs, Out, summed
from lego.data.batch import collate
from lego.data.sampling import draw
from lego.ragged import Ragged
from lego.spec import Context
from lego.testing.checkpoint import tiny_checkpoint

WORDS = [f"w{topic}x{word}" for topic in range(4) for word in range(8)]


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    """A language model that leaves nothing out in training."""
    folder = tmp_path_factory.mktemp("bert") / "bert"
    return str(
        tiny_checkpoint(
            folder, layers=3, words=WORDS, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0
        )
    )


@pytest.fixture(scope="module")
def compiled(movies, bert):
    """Compiles a model over the movies."""

    def make(content, behavior, predictor, task):
        contents = {
            "full": Pretrained(bert, layers=full(), dropout=0.0),
            "split": Pretrained(bert, layers=split(2), dropout=0.0),
        }
        content = contents.get(content, content)
        model = Recommender(content=content, behavior=behavior, predictor=predictor, width=8)
        data = MovieLens(movies, negatives=6, history=6)
        return compile(Experiment(data=data, model=model, task=task))

    return make


ATTENTION = Attention(heads=2, dropout=0.0)
MODELS = {
    "id-mean-dot": (ItemID(), Mean(), Dot(), Matching()),
    "id-history-din": (ItemID(), History(), DIN(attention=(6,), hidden=(6,), dropout=0.0), Ranking()),
    "mean-gru-dnn": (Mean(), GRU(hidden=6), DNN(hidden=(6,), dropout=0.0), Ranking(loss="mse")),
    "attention-attention-dot": (ATTENTION, ATTENTION, Dot(), Matching()),
    "cnn-poly-interests": (
        CNN(dropout=0.0),
        PolyAttention(interests=3, hidden=6),
        InterestAttention(),
        Matching(),
    ),
    "gru-additive-dcn": (
        GRU(hidden=6),
        Additive(hidden=6),
        DCN(cross=2, hidden=(6,), dropout=0.0),
        Ranking(negatives=3),
    ),
    "full-additive-dot": ("full", Additive(hidden=6), Dot(), Matching(source="uniform")),
    "split-attention-dot": ("split", ATTENTION, Dot(), Matching()),
}


def gradients(compiled, *, deduplicate):
    """Loss and gradients of a batch whose histories share items."""
    pipeline, store, task = compiled.pipeline, compiled.store, compiled.experiment.task
    train = store.part("train").recent(compiled.history)
    rows = draw(train, task.candidates, store.users, store.items.num_rows, np.random.default_rng(2))
    batch = collate(train, store.users, rows, np.arange(24), deduplicate=deduplicate)
    assert batch.distinct < batch.real  # else there is nothing to share
    pipeline.train().zero_grad()
    out = pipeline(batch)
    loss = task.build(Context(width=8, input_width=8, length=6))(
        out.tensor, batch.labels, batch.candidate_mask
    )
    loss = loss + sum(out.losses.values())
    loss.backward()
    found = {
        name: parameter.grad for name, parameter in pipeline.named_parameters() if parameter.requires_grad
    }
    return float(loss.detach()), {
        name: torch.zeros(()) if grad is None else grad.clone() for name, grad in found.items()
    }


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_deduplicated_and_plain_batches_have_equal_gradients(compiled, model):
    """Encoding a distinct item once and encoding each slot of it is the same to every weight, where nothing is dropped."""
    made = compiled(*model)
    loss, shared = gradients(made, deduplicate=True)
    plain_loss, plain = gradients(made, deduplicate=False)
    assert loss == pytest.approx(plain_loss, rel=1e-6)
    assert any(float(grad.abs().max()) > 1e-6 for grad in shared.values())
    for name, grad in shared.items():
        torch.testing.assert_close(
            grad, plain[name], rtol=1e-4, atol=1e-6, msg=lambda text, name=name: name + text
        )


def test_losses_of_one_name_are_added(compiled):
    """A loss of one stage never takes the place of another's."""
    made = compiled(ItemID(), Mean(), Dot(), Matching())
    items = nn.Module()
    items.forward = lambda tokens, mask, needs: Out(
        torch.ones(len(tokens), 8), losses={"apart": torch.tensor(2.0)}
    )
    users = nn.Module()
    users.forward = lambda history, mask, needs: Out(
        history.sum(1), losses={"apart": torch.tensor(3.0), "own": torch.tensor(1.0)}
    )
    pipeline = Pipeline(items, users, made.pipeline.predictor, feed=made.pipeline.feed)
    train = made.store.part("train")
    rows = draw(train, Matching().candidates, made.store.users, 120, np.random.default_rng(0))
    out = pipeline(collate(train, made.store.users, rows, np.arange(4)))
    assert {name: float(loss) for name, loss in out.losses.items()} == {"apart": 5.0, "own": 1.0}
    assert summed({"loss": torch.tensor(1.0)}, {"loss": torch.tensor(2.0)})["loss"] == 3.0


def test_padding_is_zeros_that_no_gradient_reaches():
    """Row 0 of the table is what padding gathers."""
    items = torch.ones(3, 2, requires_grad=True)
    table = with_padding(items)
    assert table[0].tolist() == [0.0, 0.0]
    table[0].sum().backward()
    assert items.grad is None or not items.grad.any()


@pytest.mark.parametrize("page_cost", [0, 4, 10**6])
def test_pages_cover_each_item_once(page_cost):
    """Pages hold every item, with its own tokens, and no page is wider than its longest item."""
    lengths = np.array([0, 3, 1, 0, 7, 2, 5, 1, 4, 2, 6, 3, 1, 1, 2, 8, 9, 1])
    tokens = Ragged.from_lengths(np.arange(1, lengths.sum() + 1, dtype=np.int32), lengths)
    rows = torch.tensor([15, 4, 3, 9, 1, 2, 16, 11, 5, 6, 7, 8, 10, 12, 13, 14, 17])
    seen = {}
    for page in ItemFeed(tokens=tokens, page_cost=page_cost).pages(rows):
        assert page.tokens.shape == page.mask.shape
        assert page.tokens.shape[1] == max(1, int(page.mask.sum(1).max()))
        for place, row, mask in zip(page.places.tolist(), page.tokens, page.mask, strict=True):
            assert place not in seen
            seen[place] = row[mask].tolist()
    assert seen == {place: tokens[row].tolist() for place, row in enumerate(rows.tolist())}


@pytest.mark.parametrize("page_cost", [0, 3, 10, 40, 10**6])
def test_pages_cost_the_least_that_they_can(page_cost):
    """Beside all ways to cut the sorted lengths, tried one by one."""
    lengths = np.random.default_rng(page_cost).integers(0, 12, 9)
    ordered = np.maximum(np.sort(lengths), 1)

    def cost(parts):
        return sum(len(part) * max(part) + page_cost for part in parts)

    ways = [
        cost(np.split(ordered, cuts))
        for count in range(len(ordered))
        for cuts in itertools.combinations(range(1, len(ordered)), count)
    ]
    found = by_length(lengths, page_cost)
    assert cost([np.maximum(lengths[page], 1) for page in found]) == min(ways)
    assert sorted(np.concatenate(found).tolist()) == list(range(9))


def test_pages_of_many_lengths_and_items_are_bounded():
    """Lengths of hundreds of tokens are cut at few of them, close to the least; a page never holds more tokens than it may."""
    lengths = np.random.default_rng(0).integers(0, 2_000, 3_000)
    pages = by_length(lengths, 128)
    assert len(pages) > LEVELS
    assert max(len(page) * lengths[page].max() for page in pages) <= PAGE_TOKENS + lengths.max()
    assert sum(len(page) * lengths[page].max() for page in pages) < 1.05 * lengths.sum()
    assert sorted(np.concatenate(pages).tolist()) == list(range(3_000))
    assert by_length(np.zeros(0, np.int64), 128) == []
    assert [page.tolist() for page in by_length(np.zeros(3, np.int64), 128)] == [[0, 1, 2]]


def test_items_come_in_the_order_they_were_asked_for(compiled):
    """Sorting by length inside is not seen outside."""
    pipeline = compiled(Mean(), Mean(), Dot(), Matching()).pipeline.eval()
    rows = torch.tensor([7, 3, 99, 1, 120, 55, 12, 60, 61, 62, 63, 64, 65, 66, 67, 68, 69])
    together = pipeline.encode_items(rows).tensor
    alone = torch.cat([pipeline.encode_items(row[None]).tensor for row in rows])
    torch.testing.assert_close(together, alone)


def test_only_declared_needs_are_given(compiled):
    """Who a user is is nobody's business unless an operator asks for it."""
    pipeline = compiled(ItemID(), Mean(), Dot(), Matching()).pipeline
    needs = pipeline.needs_of(Seen(user=np.array([1]), history=np.array([[2]]), candidates=np.array([[3]])))
    assert attrs.asdict(needs) == attrs.asdict(Needs())


@pytest.mark.parametrize("count", [3, 12, 40])
def test_items_come_back_in_the_order_they_were_asked_for(compiled, count):
    """A few items fill one page, many several; each is where it was asked for."""
    pipeline = compiled(Mean(), Mean(), Dot(), Matching()).pipeline.eval()
    rows = torch.from_numpy(np.random.default_rng(0).integers(1, 100, count))
    lengths = pipeline.feed.tokens.lengths[rows.numpy()]
    assert (np.diff(lengths) < 0).any()  # else any order would do
    found = pipeline.encode_items(rows).tensor
    alone = torch.cat([pipeline.encode_items(row[None]).tensor for row in rows])
    torch.testing.assert_close(found, alone)


@pytest.mark.parametrize(
    ("behavior", "predictor"),
    [
        (Mean(), Dot()),
        (PolyAttention(interests=3, hidden=6), InterestAttention()),
        (BST(heads=2), DNN(hidden=(6,))),
    ],
)
def test_users_without_history_have_a_default_that_is_learned(compiled, behavior, predictor):
    """It moves their scores and nobody else's, and its gradient comes from them alone."""
    made = compiled(Mean(), behavior, predictor, Ranking())
    pipeline, store = made.pipeline.eval(), made.store
    train = store.part("train").recent(6).take(np.arange(6))
    start = train.start.copy()
    start[2] = train.stop[2]
    train = attrs.evolve(train, start=start)
    rows = draw(train, Ranking().candidates, store.users, store.items.num_rows, np.random.default_rng(0))
    order = np.argsort(rows.impression, kind="stable")
    batch = made.batch(train, rows, order)
    before = pipeline(batch).tensor
    empty = ~batch.history_mask.any(1)
    assert 0 < int(empty.sum()) < len(empty)
    before[~empty].sum().backward(retain_graph=True)
    assert not pipeline.nobody.grad.any()
    before[empty].square().sum().backward()
    with torch.no_grad():
        pipeline.nobody += 1
    after = pipeline(batch).tensor
    assert torch.equal(after[~empty], before[~empty])
    assert not torch.equal(after[empty], before[empty])
