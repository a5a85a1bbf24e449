"""Errors that changed results in silence in Legommenders, and cannot be made here.

One test for each row of the list that touches what there is; each docstring says what must be impossible.
"""

from __future__ import annotations

import math
import re
import shutil

import attrs
import numpy as np
import pytest
import torch

from lego import (
    GRU,
    Attention,
    Dot,
    Embedding,
    Experiment,
    InterestAttention,
    ItemID,
    Matching,
    Mean,
    MovieLens,
    PolyAttention,
    Pretrained,
    Recommender,
    Training,
    Words,
    compile,  # noqa: A004
    frozen,
    load,
    parse,
    split,
)
from lego.contract import Needs
from lego.data.batch import collate
from lego.data.sampling import draw
from lego.errors import DataError, LegoError, SpecError
from lego.metric.evaluate import measure
from lego.metric.parse import parse_metric
from lego.ragged import Ragged
from lego.runtime import score
from lego.runtime.fit import Fit
from lego.runtime.folder import Folder
from lego.runtime.optimizer import rate_factor
from lego.runtime.progress import Screen
from lego.testing.checkpoint import tiny_checkpoint

LAYERS = 3
VOCABULARY = [f"w{topic}x{word}" for topic in range(4) for word in range(8)]


@pytest.fixture(scope="module")
def experiment(movies):
    """Item ids, mean history, dot product, unless said otherwise."""

    def make(content=None, behavior=None, predictor=None, data=None, **training):
        model = Recommender(
            content=content or ItemID(), behavior=behavior or Mean(), predictor=predictor or Dot(), width=8
        )
        options = {"epochs": 1, "batch_size": 32, **training}
        data = data or MovieLens(movies, negatives=5, history=4)
        return Experiment(data=data, model=model, training=Training(**options))

    return make


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    return str(tiny_checkpoint(tmp_path_factory.mktemp("bert") / "bert", layers=LAYERS, words=VOCABULARY))


# --- language models ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("first", [0, 1, 2, -1, -3])
def test_no_layer_is_skipped(experiment, bert, first):
    """A split at k that leaves layer k out: the lower layers' states, fed to the upper ones, must give the whole model."""
    whole = compile(experiment(content=Pretrained(bert))).pipeline.eval()
    made = compile(experiment(content=Pretrained(bert, layers=split(first)))).pipeline.eval()
    rows = torch.arange(1, 121)
    with torch.no_grad():
        torch.testing.assert_close(
            made.encode_items(rows).tensor, whole.encode_items(rows).tensor, rtol=1e-5, atol=1e-5
        )


@pytest.mark.parametrize(("first", "learning"), [(0, {0, 1, 2}), (1, {1, 2}), (-1, {2}), (-3, {0, 1, 2})])
def test_a_split_means_one_thing(experiment, bert, first, learning):
    """A 0 taken for off in one place and for on in another: at each number it is plain which layers learn."""
    pipeline = compile(experiment(content=Pretrained(bert, layers=split(first)))).pipeline
    names = [name for name, each in pipeline.content.language.named_parameters() if each.requires_grad]
    found = {int(number) for name in names for number in re.findall(r"layers?\.(\d+)", name)}
    assert len(found) == len(learning), names
    assert not any("embedding" in name for name in names)
    states = pipeline.feed.states
    assert (states is None) == (first == 0)  # no cache that nobody reads


def test_a_split_of_all_layers_is_refused(experiment, bert):
    """A number of layers that leaves none to learn, or that the model does not have: an error that names the way out."""
    with pytest.raises(LegoError, match=r"frozen\(\)"):
        compile(experiment(content=Pretrained(bert, layers=split(LAYERS))))
    with pytest.raises(LegoError, match=f"the model has {LAYERS} layers"):
        compile(experiment(content=Pretrained(bert, layers=split(-LAYERS - 1))))


def test_frozen_states_follow_their_inputs(experiment, bert, movies, tmp_path):
    """States of other texts, other budgets or other weights reused because the key does not cover them."""
    folder = shutil.copytree(movies, tmp_path / "movies")
    text = (folder / "movies.csv").read_text()
    (folder / "movies.csv").write_text(text.replace("w0x", "w1x"))
    other_weights = str(tiny_checkpoint(tmp_path / "other", layers=LAYERS, words=VOCABULARY, seed=1))
    data = MovieLens(str(folder), negatives=5, history=4)

    def states(content, **changes):
        made = compile(attrs.evolve(experiment(content=content), **changes))
        return made.pipeline.feed.states.path

    base = Pretrained(bert, layers=frozen())
    model = experiment(content=base).model
    found = [
        states(base),
        states(base, data=data),
        states(base, model=attrs.evolve(model, reads={"title": 2})),
        states(Pretrained(other_weights, layers=frozen())),
        states(Pretrained(bert, layers=split(1))),
    ]
    assert len(set(found)) == len(found)
    assert states(base) == found[0]


def test_states_that_are_no_numbers_are_never_replaced(experiment, bert, tmp_path):
    """NaN states of a broken checkpoint turned into random vectors: they must stop the run."""
    from safetensors.torch import load_file, save_file

    broken = shutil.copytree(bert, tmp_path / "broken")
    weights = load_file(broken / "model.safetensors")
    name = next(each for each in weights if "layer.0" in each and each.endswith("weight"))
    weights[name].fill_(math.nan)
    save_file(weights, broken / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(LegoError, match=r"not (all )?(finite|numbers)|NaN|finite"):
        experiment(content=Pretrained(str(broken), layers=frozen())).run(out=tmp_path / "runs")


# --- histories and padding ----------------------------------------------------------------------------------------------------


def test_padding_is_never_an_item(experiment):
    """Short histories filled up with a real item: padding is row 0, which no item has, and no table has a vector for it."""
    compiled = compile(experiment())
    store = compiled.store
    for part in store.parts:
        assert store.part(part).candidates.values.min() >= 1
    assert store.users.history.values.min() >= 1
    train = store.part("train").recent(4)
    rows = draw(train, Matching().candidates, store.users, store.items.num_rows, np.random.default_rng(0))
    batch = collate(train, store.users, rows, np.arange(len(rows)))
    assert not batch.history_mask.all()  # else there is no padding
    assert (batch.history[~batch.history_mask] == 0).all()
    assert (batch.items >= 1).all()
    pipeline = compiled.pipeline.eval()
    with torch.no_grad():
        before = pipeline(batch).tensor
        pipeline.content.table.weight[0] += 9  # whatever stood there
        assert torch.equal(pipeline(batch).tensor, before)
    bad = attrs.evolve(
        store.users, history=Ragged(store.users.history.values * 0, store.users.history.offsets)
    )
    with pytest.raises(DataError, match="item row 0"):
        collate(train, bad, rows, np.arange(len(rows)))


def test_the_latest_clicks_are_kept(experiment):
    """Truncation that keeps the oldest clicks: a history is cut to the most recent ones, in training and in evaluation."""
    compiled = compile(experiment())
    users, part = compiled.store.users, compiled.store.part("test")
    long = np.flatnonzero(part.stop - part.start > 4)
    assert len(long)
    recent = part.recent(compiled.history)
    for row in long[:10]:
        whole = users.history.values[part.start[row] : part.stop[row]]
        assert users.history.values[recent.start[row] : recent.stop[row]].tolist() == whole[-4:].tolist()
        assert part.user[row] == np.searchsorted(users.history.offsets, part.start[row], side="right") - 1
    pipeline = compiled.pipeline.eval()
    found = Ragged(score.cached(pipeline, recent, users), part.candidates.offsets)
    table = pipeline.content.table.weight.detach().numpy()
    for row in long[:10]:
        user = table[users.history.values[part.start[row] : part.stop[row]][-4:]].mean(0)
        assert found[row] == pytest.approx(table[part.candidates[row]] @ user, rel=1e-5, abs=1e-6)


def test_a_user_vector_belongs_to_its_user(experiment):
    """Vectors found by position, so that filtering one user gives all later ones somebody else's."""
    compiled = compile(experiment())
    users, part = compiled.store.users, compiled.store.part("test").recent(4)
    pipeline = compiled.pipeline.eval()
    whole = Ragged(score.cached(pipeline, part, users), part.candidates.offsets)
    left = np.flatnonzero(part.user % 4 != 1)[::-1]
    filtered = part.take(left)
    found = Ragged(score.cached(pipeline, filtered, users), filtered.candidates.offsets)
    assert len({tuple(whole[row].round(4)) for row in range(len(part))}) > len(part) // 2
    for place, row in enumerate(left):
        assert found[place] == pytest.approx(whole[row], rel=1e-6, abs=1e-6)


def test_padding_gets_no_attention():
    """Masked slots with weight exp(0): what stands behind a history must not reach an interest."""
    from lego.spec import Context

    torch.manual_seed(0)
    module = PolyAttention(interests=3, hidden=6).build(Context(width=8, input_width=8, length=9))
    history = torch.randn(2, 9, 8)
    mask = torch.arange(9) < torch.tensor([[3], [0]])
    found = module(history, mask, Needs()).tensor
    torch.testing.assert_close(found[:1], module(history[:1, :3], mask[:1, :3], Needs()).tensor)
    moved = torch.where(mask.unsqueeze(-1), history, torch.full_like(history, 1e4))
    assert torch.equal(module(moved, mask, Needs()).tensor, found)
    assert not found[1].any()


def test_nothing_that_is_read_is_written_to(experiment):
    """Token ids and item samples changed in place at the first evaluation: tokens, histories and batches stay as they are."""
    compiled = compile(experiment(content=Attention(heads=2)))
    store, part = compiled.store, compiled.store.part("dev").recent(4)
    kept = [
        compiled.fed[""].tokens.tokens.values,
        compiled.fed[""].tokens.tokens.offsets,
        store.users.history.values,
        part.candidates.values,
        part.labels,
        part.start,
    ]
    before = [np.array(each) for each in kept]
    pipeline = compiled.pipeline.eval()
    first = score.cached(pipeline, part, store.users)
    rows = score.impression_rows(part, np.arange(len(part)))
    batch = collate(part, store.users, rows, np.arange(len(part)))
    copies = {
        name: value.clone() for name, value in attrs.asdict(batch).items() if isinstance(value, torch.Tensor)
    }
    pipeline(batch)
    assert all(torch.equal(getattr(batch, name), value) for name, value in copies.items())
    assert all((now == then).all() for now, then in zip(kept, before, strict=True))
    assert (score.cached(pipeline, part, store.users) == first).all()


# --- options ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "GRU(hiden=64)",
        "Training(epoch=3)",
        "Recommender(content=Mean(), behavior=Mean(), predictor=Dot(), hidden_size=64)",
        "Attention(heads='4')",
        "Training(lr='0.001')",
        "Training(schedule='cosin')",
        "Matching(negative=4)",
        "Words(cased=True, nothing=1)",
    ],
)
def test_no_option_is_ignored(text):
    """Misspelt keys and wrong values that evaluate to false: each is an error that names the option."""
    with pytest.raises(SpecError, match=r"has no option|must be"):
        parse(text)


def test_an_option_that_cannot_apply_is_refused(experiment, tmp_path):
    """Options that a path through the code never reads: `tokens=` and `reads=` beside an operator that reads no text."""
    np.save(tmp_path / "vectors.npy", np.zeros((120, 8), np.float32))
    for content in (ItemID(), Embedding(str(tmp_path / "vectors.npy"))):
        for option in ({"tokens": Words()}, {"reads": {"title": 3}}):
            asked = experiment(content=content)
            with pytest.raises(
                LegoError, match=f"{next(iter(option))}.*leave {next(iter(option))}= out|leave"
            ):
                compile(attrs.evolve(asked, model=attrs.evolve(asked.model, **option)))


# --- metrics ------------------------------------------------------------------------------------------------------------------


def test_ties_are_not_broken_by_input_order():
    """A model that scores everything alike looks perfect where positives are stored first."""
    labels, scores = [1, 0, 0, 0, 0], [0.5] * 5
    names = ("gauc", "auc", "mrr", "mrr_all", "ndcg@5", "hit@1", "recall@1")
    metrics = [parse_metric(name) for name in names]
    found = measure(metrics, scores, labels, [0] * 5)
    turned = measure(metrics, scores, labels[::-1], [0] * 5)
    assert {name: found[name] for name in names} == {name: turned[name] for name in names}
    assert found["gauc"] == found["auc"] == 0.5
    assert found["mrr"] == pytest.approx((1 + 1 / 2 + 1 / 3 + 1 / 4 + 1 / 5) / 5)
    assert found["hit@1"] == pytest.approx(0.2)


def test_both_mrrs_are_told_apart(experiment, tmp_path):
    """One name for two metrics: the first click's rank and the mean over all clicks are both reported, whatever is asked for."""
    labels, scores = [1, 1, 0, 0], [4.0, 1.0, 3.0, 2.0]
    found = measure([parse_metric("mrr"), parse_metric("mrr_all")], scores, labels, [0] * 4)
    assert (found["mrr"], found["mrr_all"]) == (1.0, (1 + 1 / 4) / 2)
    asked = experiment().set("evaluation.metrics=('gauc',)")
    assert set(asked.run(out=tmp_path).metrics) == {"gauc", "mrr", "mrr_all"}


def test_logloss_reads_scores_for_what_they_are():
    """A sigmoid forgotten, or taken twice: scores are logits, and 0 is a probability of one half."""
    logloss = parse_metric("logloss")
    assert measure([logloss], [0.0, 0.0], [1, 0], [0, 0])["logloss"] == pytest.approx(math.log(2))
    assert measure([logloss], [3.0, -200.0], [1, 0], [0, 0])["logloss"] == pytest.approx(
        math.log1p(math.exp(-3)) / 2
    )


@pytest.mark.parametrize("monitor", ["gauc", "logloss"])
def test_neither_nan_nor_a_tie_is_an_improvement(experiment, tmp_path, monitor):
    """When minimising, NaN and ties counted as better, so that the weights of the worst epoch were kept."""
    values = iter([math.nan, 0.5, 0.5, math.nan])
    fit = Fit(
        compiled=compile(experiment(epochs=4, patience=9, monitor=monitor)),
        folder=Folder(tmp_path),
        screen=Screen(),
        measure=lambda: {monitor: next(values)},
    )
    assert (fit.run().best_epoch, fit.position.best) == (2, 0.5)


# --- training -----------------------------------------------------------------------------------------------------------------


def test_accumulated_losses_are_scaled(experiment, tmp_path, monkeypatch):
    """Accumulation that adds up losses: the gradient of two batches together is their mean."""

    def gradient(size, count):
        fit = Fit(
            compiled=compile(experiment(batch_size=size, accumulate=count)),
            folder=Folder(tmp_path),
            screen=Screen(),
            measure=lambda: {"gauc": 0.5},
        )
        seen = []
        monkeypatch.setattr(
            Fit,
            "_update",
            lambda self, optimizer, *given: seen.append(
                self.compiled.pipeline.content.table.weight.grad.clone()
            ),
        )
        fit.run()
        return seen[0]

    torch.testing.assert_close(gradient(16, 2), gradient(32, 1), rtol=1e-4, atol=1e-8)


def test_the_schedule_counts_steps_of_the_optimiser():
    """A schedule as long as the batches, of which accumulation uses the first part only: the last step is near zero."""
    training = Training(schedule="linear", accumulate=4)
    assert rate_factor(training, 24, 25) == pytest.approx(1 / 25)


def test_dev_histories_go_up_to_the_impression(experiment):
    """Users whose histories stand still after training: a dev or test impression knows every click before it, and none after."""
    store = compile(experiment()).store
    users = store.users
    for name in ("train", "dev", "test"):
        part = store.part(name)
        assert (part.start == users.history.offsets[part.user]).all()
        clicked = part.candidates.values[part.labels == 1]
        assert (users.history.values[part.stop] == clicked).all()  # the very next click of the user


def test_dev_and_test_come_after_training(experiment):
    """Early stopping on users of the training period: dev follows train, and test follows dev, for each user."""
    store = compile(experiment()).store
    train, dev, test = (store.part(name) for name in ("train", "dev", "test"))
    for user in range(len(store.users)):
        assert train.stop[train.user == user].max() < dev.stop[dev.user == user].min()
        assert dev.stop[dev.user == user].max() < test.stop[test.user == user].min()


# --- caches and runs ----------------------------------------------------------------------------------------------------------


def test_prepared_data_follows_its_files(experiment, movies, tmp_path):
    """Filter caches that outlive the data they point into: other files or other options make other prepared data."""
    folder = shutil.copytree(movies, tmp_path / "movies")
    asked = [
        MovieLens(str(folder), negatives=5),
        MovieLens(str(folder), negatives=5, above=4.0),
        MovieLens(str(folder), negatives=5, minimum=6),
    ]
    prints = [compile(experiment(data=data)).store.fingerprint for data in asked]
    lines = (folder / "ratings.csv").read_text().splitlines()
    (folder / "ratings.csv").write_text("\n".join(lines[:-1]) + "\n")
    prints.append(compile(experiment(data=asked[0])).store.fingerprint)
    assert len(set(prints)) == 4


def test_tokens_follow_text_and_tokenizer(experiment, movies, tmp_path):
    """Token ids of another vocabulary, another text or another budget taken for the right ones."""
    folder = shutil.copytree(movies, tmp_path / "movies")
    text = (folder / "movies.csv").read_text()
    (folder / "movies.csv").write_text(text.replace("w0x1", "w1x0"))
    model = experiment(content=Mean()).model
    asked = [
        experiment(content=Mean()),
        experiment(content=Mean(), data=MovieLens(str(folder), negatives=5, history=4)),
        attrs.evolve(experiment(), model=attrs.evolve(model, reads={"title": 2})),
        attrs.evolve(experiment(), model=attrs.evolve(model, reads={"genres": 2, "title": 30})),
    ]
    found = [compile(each).fed[""].tokens.identity for each in asked]
    assert len(set(found)) == len(found)


def test_replicates_have_runs_of_their_own(experiment, tmp_path):
    """A seed that is not part of the signature, so that replicates overwrite each other's checkpoint, log and result."""
    runs = [experiment(seed=seed).run(out=tmp_path) for seed in (0, 1, 0)]
    assert len({run.path for run in runs}) == 3
    assert runs[0].path.name != runs[1].path.name
    for run in runs:
        assert load(run.path).evaluate()["test"] == run.metrics


def test_a_model_does_not_move_another(experiment, tmp_path):
    """Global phases and shared tables: two models in one process give what each gives alone."""
    alone = experiment(content=GRU(hidden=6)).run(out=tmp_path / "alone")
    compiled = compile(experiment(behavior=PolyAttention(interests=2), predictor=InterestAttention()))
    part = compiled.store.part("test").recent(4)
    before = score.cached(compiled.pipeline.eval(), part, compiled.store.users)
    beside = experiment(content=GRU(hidden=6)).run(out=tmp_path / "beside")
    assert beside.metrics == alone.metrics
    assert (score.cached(compiled.pipeline, part, compiled.store.users) == before).all()


def test_first_weights_do_not_depend_on_the_neighbours(experiment):
    """Chance in one stream: another predictor or behavior operator must not change what the content operator starts from."""
    first = compile(experiment(content=Attention(heads=2))).pipeline
    other = compile(
        experiment(content=Attention(heads=2), behavior=GRU(hidden=6), predictor=parse("DCN(hidden=(6,))"))
    ).pipeline
    again = compile(experiment(content=Attention(heads=2), seed=1)).pipeline
    states = [pipeline.content.state_dict() for pipeline in (first, other, again)]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert any(not torch.equal(states[0][name], states[2][name]) for name in states[0])
