from __future__ import annotations

import pytest
import torch

from lego import (
    GRU,
    Additive,
    Attention,
    Dot,
    Experiment,
    ItemID,
    Mean,
    MovieLens,
    Pretrained,
    Recommender,
    Words,
    compile,  # noqa: A004
    frozen,
    split,
)
from lego.compiler.plan import _a_batch, plan_of
from lego.testing.checkpoint import tiny_checkpoint


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    """A tiny language model of three layers."""
    return str(tiny_checkpoint(tmp_path_factory.mktemp("bert") / "bert", layers=3))


@pytest.fixture(scope="module")
def experiment(movies):
    """An experiment of some parts."""

    def make(content, behavior=None, predictor=None, **options):
        model = Recommender(
            content=content, behavior=behavior or Mean(), predictor=predictor or Dot(), width=8, **options
        )
        return Experiment(data=MovieLens(movies, negatives=5, history=4), model=model)

    return make


def test_compiling_does_not_move_chance(experiment, bert):
    """torch's own generator is where it was, whatever was initialised, and where it was does not matter."""
    asked = experiment(Pretrained(bert, layers=split(1)), Attention(heads=2))
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = compile(asked).pipeline.state_dict()
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    again = compile(asked).pipeline.state_dict()
    assert all(torch.equal(first[name], again[name]) for name in first)


def test_each_slot_starts_from_chance_of_its_own(experiment):
    """The same operator in two slots does not begin with the same weights twice."""
    pipeline = compile(experiment(Attention(heads=2), Attention(heads=2), tokens=Words())).pipeline
    content, behavior = list(pipeline.content.parameters()), list(pipeline.behavior.parameters())
    shared = [(a, b) for a in content for b in behavior if a.shape == b.shape and a.std() > 0]
    assert shared
    assert not any(torch.equal(a, b) for a, b in shared)


def test_attributes_are_read_in_their_order_and_budgets(experiment):
    """Unless the model says otherwise the source's own; each attribute is cut to its budget."""
    default = compile(experiment(Mean()))
    assert dict(default.reads) == {"title": 30, "genres": 16}
    short = compile(experiment(Mean(), reads={"title": 2}))
    assert int(short.fed[""].tokens.tokens.lengths.max()) == 2
    words = [len(title.split()) for title in short.store.items["title"].to_pylist()]
    assert dict(short.truncated) == {"title": sum(count > 2 for count in words)}
    assert compile(experiment(ItemID())).fed[""].tokens is None


def test_tokens_are_those_that_were_asked_for(experiment):
    """`tokens=` is what makes the ids and the first vectors."""
    compiled = compile(experiment(Mean(), tokens=Words(min_count=10**6)))
    assert compiled.encoders[""].vocab_size < compile(experiment(Mean())).encoders[""].vocab_size


def test_frozen_layers_leave_memory(experiment, bert):
    """What is made once is not kept as weights, nor written to a checkpoint."""
    whole = compile(experiment(Pretrained(bert)))
    cut = compile(experiment(Pretrained(bert, layers=split(2))))
    none = compile(experiment(Pretrained(bert, layers=frozen())))
    sizes = [sum(each.numel() for each in made.pipeline.parameters()) for made in (whole, cut, none)]
    assert sizes == sorted(sizes, reverse=True)
    assert len(set(sizes)) == 3
    assert [len(made.caches) for made in (whole, cut, none)] == [1, 2, 2]


@pytest.mark.parametrize("content", ["mean", "id", "chain", "full", "split", "frozen"])
def test_the_plan_counts_the_weights_that_learn(experiment, bert, content):
    """The plan is made on shapes, yet its counts are those of the model that is trained; work and caches are estimated."""
    asked = experiment(
        {
            "mean": Mean(),
            "id": ItemID(),
            "chain": Attention(heads=2, pool=None) >> GRU(hidden=6),
            "full": Pretrained(bert),
            "split": Pretrained(bert, layers=split(2)),
            "frozen": Pretrained(bert, layers=frozen()),
        }[content],
        Additive(hidden=6),
    )
    plan, compiled = plan_of(asked), compile(asked)
    learning = sum(each.numel() for each in compiled.pipeline.parameters() if each.requires_grad)
    assert plan.trainable == learning
    assert plan.flops_per_step > 0
    assert (plan.bytes["learning"], plan.bytes["training"]) == (4 * learning, 12 * learning)
    assert plan.bytes["loaded"] == 4 * (plan.trainable + plan.frozen)
    assert plan.bytes["cached"] == sum(cache.bytes for cache in plan.caches)
    if content not in ("split", "frozen"):  # there the lower layers are counted, though they leave memory
        assert plan.frozen == sum(each.numel() for each in compiled.pipeline.parameters()) - learning
    cached = {cache.what: cache.bytes for cache in plan.caches}
    states = compiled.pipeline.feed.states
    assert cached.get("hidden states of the frozen layers", 0) == (0 if states is None else states.bytes)
    assert plan.batch["distinct"] <= plan.batch["real"] <= plan.batch["slots"]
    assert plan.data["items"] == 120
    assert all(text in "\n".join(plan.lines()) for text in ("weights: ", "history (B, S=4, D=8)", "cache: "))


def test_the_work_of_a_layer_is_what_is_counted_by_hand(experiment, bert):
    """One layer more that learns costs its own products three times, but for inputs that need no gradient, which move down."""
    plans, pages = {}, []
    for at in (1, 2):
        asked = experiment(Pretrained(bert, layers=split(at), dropout=0.0))
        compiled = compile(asked)
        pages = [page.tokens.shape for page in compiled.pipeline.feed.pages(_a_batch(compiled).items)]
        plans[at] = plan_of(asked).flops_per_step
    width, inner, by_hand = 16, 24, 0
    for items, length in pages:
        square = 2 * items * length * width * width
        wide = 2 * items * length * width * inner
        scores = 2 * items * length * length * width
        # queries, keys, values: forward and the gradient of their weights; now also that of the input of the layer above
        by_hand += 3 * square * 2 + 3 * square
        by_hand += 3 * square  # the map behind attention
        by_hand += 2 * wide * 3  # into the inner width and back
        by_hand += 2 * scores * 3  # scores, and the sum of values
    assert plans[1] - plans[2] == by_hand


def test_the_plan_loads_no_weights(experiment, bert, monkeypatch):
    """A plan of a model that does not fit into memory is no less a plan."""
    import safetensors.torch

    def refuse(*given, **options):
        raise AssertionError("weights were read")

    monkeypatch.setattr(safetensors.torch, "load_file", refuse)
    monkeypatch.setattr("lego.pretrained.model.load_file", refuse, raising=False)
    plan = plan_of(experiment(Pretrained(bert, layers=split(1))))
    assert plan.frozen > 0
    compiled = compile(experiment(Pretrained(bert, layers=split(1))), weights=False)
    assert {each.device.type for each in compiled.pipeline.parameters()} == {"meta"}
