"""The plugin as its author tests it: the conformance suite, and the formula written once more, slowly."""

from __future__ import annotations

from math import erf, sqrt

import attrs
import numpy as np
import pytest
import torch

from lego import catalog
from lego.contract import Need, Needs, Reads
from lego.errors import CheckpointError, RunError, SpecError
from lego.pretrained.states import HiddenStates
from lego.ragged import Ragged
from lego.spec import Context
from lego.testing import ContentTests
from lego.testing.checkpoint import tiny_checkpoint

pytest.importorskip("legorec_iisan", reason="the plugin is not installed: pip install -e lego_plugins/iisan")

from legorec_iisan import IISAN

LAYERS = 4
CONTEXT = Context(width=8, input_width=8, length=8)
VARIANTS = {
    "all layers": {},
    "every second": {"every": 2},
    "without embeddings, normalised": {"embeddings": False, "norm": True, "every": 3},
    "first token": {"pool": "cls", "hidden": 3},
    "last token": {"pool": "last", "every": 2, "embeddings": False},
}


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    """A tiny BERT of four layers."""
    return str(tiny_checkpoint(tmp_path_factory.mktemp("bert"), "bert", layers=LAYERS))


@pytest.fixture(scope="module")
def llama(tmp_path_factory):
    """A tiny LLaMA of four layers."""
    return str(tiny_checkpoint(tmp_path_factory.mktemp("llama"), "llama", layers=LAYERS))


class TestIISAN(ContentTests):
    """What holds for every content operator holds here, for an encoder and for a decoder."""

    vocabulary = 18

    @pytest.fixture(
        params=["bert, all layers", "bert, every second", "llama, without embeddings, normalised"]
    )
    def spec(self, request, bert, llama):
        family, _, variant = request.param.partition(", ")
        return IISAN({"bert": bert, "llama": llama}[family], **{"hidden": 4, **VARIANTS[variant]})


def inputs():
    """Ids and mask of four items, the last of them empty."""
    tokens = torch.randint(3, 18, (4, 6), generator=torch.Generator().manual_seed(3))
    return tokens, torch.arange(6) < torch.tensor([6, 4, 1, 0])[:, None]


def moved(module):
    """The same module with gates, biases and norms that are not what they begin as."""
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for name, value in module.named_parameters():
            if not name.startswith("language."):
                value.add_(0.3 * torch.randn(value.shape, generator=generator))
    return module.eval()


def plain(spec, module, tokens, mask):
    """The formula, item by item, layer by layer, on what transformers' own forward gives."""
    from transformers import AutoModel

    model = AutoModel.from_pretrained(spec.checkpoint, dtype=torch.float32).eval()
    weights = {
        name: value.double().numpy() for name, value in module.state_dict().items() if "base" not in name
    }

    def linear(name, x):
        return weights[f"{name}.weight"] @ x + weights[f"{name}.bias"]

    def block(place, x):
        inner = linear(f"blocks.{place}.down", x)
        inner = np.array([0.5 * each * (1 + erf(each / sqrt(2))) for each in inner])
        x = x + linear(f"blocks.{place}.up", inner)
        if spec.norm:
            x = (x - x.mean()) / np.sqrt(((x - x.mean()) ** 2).mean() + 1e-5)
            x = x * weights[f"blocks.{place}.norm.weight"] + weights[f"blocks.{place}.norm.bias"]
        return x

    items = []
    for row, real in zip(tokens, mask, strict=True):
        count = int(real.sum())
        layers = [np.zeros(16)] * (LAYERS + 1)
        if count:
            with torch.no_grad():
                found = model(input_ids=row[None, :count], output_hidden_states=True).hidden_states
            take = {"mean": lambda x: x.mean(0), "cls": lambda x: x[0], "last": lambda x: x[-1]}[spec.pool]
            layers = [take(each[0].double().numpy()) for each in found]
        chosen = [place for place in range(1, LAYERS + 1) if (LAYERS - place) % spec.every == 0]
        if spec.embeddings:
            chosen = [0, *chosen]
        state = block(0, layers[chosen[0]])
        for place in range(1, len(chosen)):
            gate = 1 / (1 + np.exp(-weights["gates"][place - 1] / 0.1))
            state = block(place, gate * layers[chosen[place]] + (1 - gate) * state)
        items.append(linear("project", state))
    return torch.from_numpy(np.stack(items)).float()


@pytest.mark.parametrize("family", ["bert", "llama"])
@pytest.mark.parametrize("variant", list(VARIANTS))
def test_it_is_the_formula(request, family, variant):
    """Items equal those of the formula in numpy over transformers' own hidden states."""
    spec = IISAN(request.getfixturevalue(family), **VARIANTS[variant])
    module = moved(spec.build(CONTEXT))
    tokens, mask = inputs()
    found = module(tokens, mask, Needs()).tensor.detach()
    torch.testing.assert_close(found, plain(spec, module, tokens, mask), rtol=1e-4, atol=1e-4)


def test_it_says_what_it_reads_and_needs(bert):
    """Token ids of its own tokenizer, and the states of the layers, always."""
    spec = IISAN(bert)
    assert spec.reads is Reads.TOKENS
    assert spec.item_needs == {Need.STATES}
    assert spec.tokens.checkpoint == bert


def test_layers_are_counted_down_from_the_last(bert):
    """However many are skipped, the last layer is read."""
    assert IISAN(bert).chosen(5) == (0, 1, 2, 3, 4, 5)
    assert IISAN(bert, every=2).chosen(5) == (0, 1, 3, 5)
    assert IISAN(bert, every=2, embeddings=False).chosen(6) == (2, 4, 6)
    assert IISAN(bert, every=4).chosen(4) == (0, 4)


def test_nothing_of_the_language_model_learns(bert):
    """What learns is the side network, and its weights alone are saved, with the hash of the frozen ones."""
    module = IISAN(bert, hidden=4).build(CONTEXT)
    assert not any(value.requires_grad for value in module.language.parameters())
    assert {name for name in module.state_dict() if name.startswith("language.")} == {"language.base"}
    assert all(value.requires_grad for name, value in module.named_parameters() if "language" not in name)


def test_other_frozen_weights_are_refused(bert, tmp_path):
    """A side network belongs on the layers that it was trained beside."""
    module = IISAN(bert, hidden=4).build(CONTEXT)
    other = IISAN(str(tiny_checkpoint(tmp_path / "other", "bert", layers=LAYERS, seed=7)), hidden=4)
    with pytest.raises(CheckpointError, match="belong on frozen weights"):
        other.build(CONTEXT).load_state_dict(module.state_dict())


@pytest.mark.parametrize("variant", list(VARIANTS))
def test_cached_states_give_the_same_items(bert, tmp_path, variant):
    """From states on disk, one an item, and without the language model in memory, items are what they were."""
    spec = IISAN(bert, **VARIANTS[variant])
    module = moved(spec.build(CONTEXT))
    tokens, mask = inputs()
    wanted = module(tokens, mask, Needs()).tensor
    ragged = Ragged.from_lengths(tokens[mask].numpy().astype(np.int32), mask.sum(1).numpy())
    options = {"per": module.states_per, "dtype": module.states_dtype, "lower": module.lower}
    cache = HiddenStates.build(
        tmp_path, key=module.states_key, tokens=ragged, tokens_identity="t", page_tokens=6, **options
    )
    assert cache.width == module.states_width == len(spec.chosen(LAYERS)) * 16
    assert cache.bytes == 3 * cache.width * 4  # of four items one is empty
    module.drop_lower()
    states = cache.gather(np.arange(4), 6)
    assert states.shape == (4, 1, cache.width)
    torch.testing.assert_close(module(tokens, mask, Needs(states=states)).tensor, wanted)
    with pytest.raises(RunError, match="left out of memory"):
        module(tokens, mask, Needs())


def test_the_key_changes_with_what_changes_a_state(bert, llama, tmp_path):
    """Layers, pool and weights are in the key; the side network's own options are not, so that its variants share states."""

    def key(checkpoint=bert, **options):
        return IISAN(checkpoint, **options).build(CONTEXT).states_key

    other = str(tiny_checkpoint(tmp_path / "other", "bert", layers=LAYERS, seed=7))
    keys = [key(), key(every=2), key(embeddings=False), key(pool="cls"), key(llama), key(other)]
    assert len(set(keys)) == len(keys)
    assert key(hidden=3, norm=True, dropout=0.5) == keys[0]


def test_impossible_options_are_told_before_weights_load(bert):
    """A length without a template, layers skipped beyond the first, a checkpoint that is not there, a template that is none."""
    (problem,) = IISAN(bert, length=8).problems(8, "content")
    assert "template" in problem.fix
    (problem,) = IISAN(bert, every=5).problems(8, "content")
    assert "from 1 to 4" in problem.fix
    (problem,) = IISAN("nobody/nothing").problems(8, "content")
    assert problem.where == "content"
    with pytest.raises(SpecError, match="braces"):
        IISAN(bert, template="no attribute")
    with pytest.raises(CheckpointError, match="at most 64"):
        IISAN(bert).build(attrs.evolve(CONTEXT, length=65))


def test_it_is_found_by_name():
    """The catalog lists it from the metadata of this distribution."""
    found = {entry.name: entry for entry in catalog.entries("content")}
    if "IISAN" not in found:
        pytest.skip("the plugin is on the path, and not installed")
    assert found["IISAN"].qualified == "legorec_iisan.IISAN"
    assert catalog.load("content", "IISAN") is IISAN


def test_an_experiment_with_it_is_planned_trained_opened_and_reads_new_items(bert, tmp_path):
    """States on disk as planned, the same numbers when opened, a new item scored as an old one that says the same."""
    from lego import Attention, Dot, Experiment, Matching, MovieLens, Recommender, Training, load

    words = ("toy", "story", "war", "worlds", "comedy", "drama", "night", "day")
    movies = [f"{row},{words[row % 8]} {words[(row // 8) % 8]} ({1990 + row}),Drama" for row in range(1, 30)]
    (tmp_path / "movies.csv").write_text("\n".join(["movieId,title,genres", *movies]) + "\n")
    ratings = [
        f"{user},{1 + (3 * user + 2 * step) % 29},4.5,{1000 * step + user}"
        for user in range(1, 31)
        for step in range(8)
    ]
    (tmp_path / "ratings.csv").write_text("\n".join(["userId,movieId,rating,timestamp", *ratings]) + "\n")
    experiment = Experiment(
        data=MovieLens(str(tmp_path), negatives=5),
        model=Recommender(
            content=IISAN(bert, hidden=4, every=2), behavior=Attention(heads=2), predictor=Dot(), width=8
        ),
        task=Matching(negatives=2),
        training=Training(epochs=1, batch_size=16),
    )
    (planned,) = (line.bytes for line in experiment.plan().caches if "states" in line.what)
    assert planned == 29 * 3 * 16 * 4
    run = experiment.run(out=tmp_path / "runs", device="cpu")
    opened = load(run.path, device="cpu")
    assert opened.evaluate()["test"] == run.record["test"]
    first = {name: opened.store.items[name][0].as_py() for name in ("title", "genres")}
    history = opened.store.items["item_id"].slice(1, 2).to_pylist()
    old = opened.recommend(history=history, items=[{"item_id": opened.store.items["item_id"][0].as_py()}])
    new = opened.recommend(history=history, items=[{"item_id": "new", **first}])
    assert new["score"][0].as_py() == pytest.approx(old["score"][0].as_py(), rel=1e-5)
