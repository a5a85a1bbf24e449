from __future__ import annotations

import pytest
import torch

from lego.errors import CheckpointError, RunError
from lego.pretrained.checkpoint import resolve
from lego.pretrained.families import FAMILIES, shape_of
from lego.pretrained.layers import frozen, full, lora, split
from lego.pretrained.model import linear_maps, load
from lego.testing.checkpoint import SIZES, tiny_checkpoint

LAYERS = 3


@pytest.fixture(scope="module", params=sorted(FAMILIES))
def checkpoint(request, tmp_path_factory):
    """A tiny model of each family."""
    return resolve(str(tiny_checkpoint(tmp_path_factory.mktemp(request.param), request.param, layers=LAYERS)))


def inputs():
    """Ids and mask of four items, the last of them empty."""
    tokens = torch.randint(3, 15, (4, 7), generator=torch.Generator().manual_seed(3))
    return tokens, torch.arange(7) < torch.tensor([7, 4, 1, 0])[:, None]


def reference(checkpoint):
    """Transformers' own model."""
    from transformers import AutoModel

    return AutoModel.from_pretrained(checkpoint.folder, dtype=torch.float32).eval()


def near(found, wanted, mask):
    torch.testing.assert_close(found[mask], wanted[mask], rtol=1e-5, atol=1e-5)


def test_every_family_has_a_tiny_model():
    """A row that is added to the table is tested here."""
    assert set(SIZES) == set(FAMILIES)


def test_whole_model_equals_transformers(checkpoint):
    """Fully tuned or frozen, without a cache, the final hidden states are those of transformers' own forward."""
    tokens, mask = inputs()
    with torch.no_grad():
        wanted = reference(checkpoint)(input_ids=tokens, attention_mask=mask.long()).last_hidden_state
        for layers in (full(), frozen(), split(1)):
            near(load(checkpoint, layers).eval()(tokens, mask), wanted, mask)
    assert wanted.shape[-1] == shape_of(checkpoint).output


def test_the_states_of_all_layers_are_those_of_transformers(checkpoint):
    """Pooled as they are made, from what the lowest layer reads to the final states, they are what transformers hands out."""
    tokens, mask = inputs()
    shape, whole = shape_of(checkpoint), reference(checkpoint)
    last: list[torch.Tensor] = []
    whole.get_submodule(shape.family.layers)[-1].register_forward_hook(
        lambda _layer, _given, gave: last.append(gave[0] if isinstance(gave, tuple) else gave)
    )
    with torch.no_grad():
        given = whole(input_ids=tokens, attention_mask=mask.long(), output_hidden_states=True).hidden_states
        model = load(checkpoint, frozen())
        found = model.pooled_layers(tokens, mask, lambda states: states[:, 0])
    if shape.output != shape.hidden:
        given = (*given[:-1], last[0])
    assert found.shape == (4, LAYERS + 1, shape.hidden)
    near(found[:3], torch.stack([states[:3, 0] for states in given], 1), torch.ones(3, LAYERS + 1).bool())
    with pytest.raises(RunError, match="is not all frozen"):
        load(checkpoint, split(1)).pooled_layers(tokens, mask, lambda states: states[:, 0])
    model.drop_lower()
    with pytest.raises(RunError, match="left out of memory"):
        model.pooled_layers(tokens, mask, lambda states: states[:, 0])


@pytest.mark.parametrize("at", range(LAYERS))
def test_upper_layers_on_cached_states_equal_the_whole(checkpoint, at):
    """For every split, the upper layers alone, fed with the lower ones' states, give what the whole model gives."""
    tokens, mask = inputs()
    with torch.no_grad():
        wanted = reference(checkpoint)(input_ids=tokens, attention_mask=mask.long()).last_hidden_state
        model = load(checkpoint, split(at)).eval()
        states = model.lower(tokens, mask)
        assert states.shape == (4, 7, shape_of(checkpoint).hidden)
        packed = torch.where(mask[..., None], states, 0.0)  # what a cache without padding gives back
        near(model(tokens, mask, packed), wanted, mask)
        before = sum(value.numel() for value in model.parameters())
        model.drop_lower()
        near(model(tokens, mask, packed), wanted, mask)
        assert (sum(value.numel() for value in model.parameters()) < before) == (at > 0)
        assert not torch.allclose(model(tokens, mask, packed.flip(-1))[mask], wanted[mask], atol=1e-3)


@pytest.mark.parametrize("at", range(LAYERS))
def test_states_are_those_between_the_layers(checkpoint, at):
    """What is cached at `split(n)` is the input of layer n: layer n is neither skipped nor run twice."""
    tokens, mask = inputs()
    with torch.no_grad():
        told = reference(checkpoint)(input_ids=tokens, attention_mask=mask.long(), output_hidden_states=True)
        near(load(checkpoint, split(at)).lower(tokens, mask), told.hidden_states[at], mask)


def test_what_learns_is_what_was_asked_for(checkpoint):
    """The layers above the split and what stands behind them learn, nothing else; every one of them gets a gradient."""
    tokens, mask = inputs()
    model = load(checkpoint, split(-1)).train()
    model(tokens, mask)[mask].square().sum().backward()
    trained = {name for name, value in model.named_parameters() if value.grad is not None}
    assert trained == {name for name, value in model.named_parameters() if value.requires_grad}
    assert len(trained) == len(list(model.learning()))
    top = tuple(
        f"model.{path}."
        for path in (
            f"{FAMILIES[shape_of(checkpoint).kind].layers}.2",
            *FAMILIES[shape_of(checkpoint).kind].top,
        )
    )
    assert all(name.startswith(top) for name in trained)
    assert any(name.startswith(top[0]) for name in trained)


def test_table_names_the_token_embeddings(checkpoint):
    """The row's table is the tensor that transformers calls the input embeddings."""
    from lego.pretrained.table import table_shape, token_table

    wanted = reference(checkpoint).get_input_embeddings().weight
    torch.testing.assert_close(token_table(checkpoint), wanted.detach())
    assert table_shape(checkpoint) == tuple(wanted.shape)


def test_unknown_family_says_what_a_row_needs(tmp_path):
    """A family that is not in the table is refused with what would have to be written."""
    folder = tiny_checkpoint(tmp_path, "bert", layers=1)
    config = folder / "config.json"
    config.write_text(config.read_text().replace('"bert"', '"berd"'))
    with pytest.raises(CheckpointError, match=r"'berd'.*(?s:.)*Did you mean 'bert'.*path to the layers"):
        shape_of(resolve(str(folder)))


def test_shapes_without_numbers(checkpoint):
    """On the meta device every family gives the shapes that it gives with weights."""
    tokens, mask = inputs()
    with torch.device("meta"):
        model = load(checkpoint, split(1), weights=False)
    found = model(tokens.to("meta"), mask.to("meta"))
    assert found.is_meta
    assert found.shape == (4, 7, shape_of(checkpoint).output)


@pytest.mark.parametrize("layers", [full(), split(1), split(1) | lora()], ids=str)
def test_gradients_do_not_depend_on_checkpointing(checkpoint, layers):
    """Layers that are run again, with the same dropout, give the same states and gradients; in evaluation none is run again."""
    tokens, mask = inputs()
    outcomes, runs, calls = [], [], []
    for again in (False, True):
        torch.manual_seed(4)  # adapters are drawn
        model = load(checkpoint, layers).train()
        states = model.lower(tokens, mask) if layers.caches else None
        if again:
            model.checkpoint_gradients()
            model.checkpoint_gradients()  # twice is once
        last = list(model.model.get_submodule(model.family.layers))[-1]
        inside = next(each for each in last.modules() if not list(each.children()))
        inside.register_forward_hook(lambda *_: calls.append(1))
        calls.clear()
        torch.manual_seed(5)
        out = model(tokens, mask, states)
        forward = len(calls)
        out[mask].square().mean().backward()
        runs.append(len(calls) > forward)
        outcomes.append((out.detach(), {name: each.grad for name, each in model.named_parameters()}))
        calls.clear()
        with torch.no_grad():
            model.eval()(tokens, mask, states)
        assert len(calls) == forward
    assert runs == [False, True]
    (plain, gradients), (other, others) = outcomes
    torch.testing.assert_close(other, plain)
    assert gradients.keys() == others.keys()
    assert any(grad is not None and float(grad.abs().max()) > 0 for grad in gradients.values())
    for name, grad in gradients.items():
        assert (grad is None) == (others[name] is None)
        if grad is not None:
            torch.testing.assert_close(others[name], grad, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("layers", [lora(rank=2), split(-1) | lora(rank=2, alpha=6)], ids=str)
def test_adapters_are_the_product_beside_frozen_weights(checkpoint, layers):
    """Only adapters of the wanted layers learn; a drawn product equals the same product added to the weights by hand."""
    tokens, mask = inputs()
    family, first = FAMILIES[shape_of(checkpoint).kind], layers.first(LAYERS)
    model = load(checkpoint, layers).eval()
    with torch.no_grad():
        wanted = load(checkpoint, full()).eval()(tokens, mask)
        torch.testing.assert_close(model(tokens, mask), wanted)  # B is zero at first
    plain = load(checkpoint, full()).eval()
    weights = dict(plain.model.named_parameters())
    learned = {name: value for name, value in model.model.named_parameters() if value.requires_grad}
    maps = {full for names in linear_maps(plain.model, family, first).values() for full in names}
    assert learned
    assert all("lora_A" in name or "lora_B" in name for name in learned)
    scale = layers.adapters.scale / layers.adapters.rank
    drawn = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name in [each for each in learned if "lora_B" in each]:
            learned[name].copy_(torch.randn(learned[name].shape, generator=drawn) * 0.3)
            product = scale * learned[name] @ learned[name.replace("lora_B", "lora_A")]
            path = next(each for each in maps if _same(each, name))
            weight = weights[f"{path}.weight"]
            weight.add_(product if weight.shape == product.shape and "c_attn" not in path else product.T)
        assert not torch.allclose(model(tokens, mask)[mask], wanted[mask], atol=1e-3)
        near(model(tokens, mask), plain(tokens, mask), mask)
    model.train()(tokens, mask)[mask].square().sum().backward()
    assert all(value.grad is not None for value in learned.values())


def _same(path, adapter):
    """Whether an adapter stands beside a linear map; inside the model each layer is wrapped once."""
    mine = adapter.partition(".lora_")[0].split(".")
    return any(path.split(".") == [*mine[:place], *mine[place + 1 :]] for place in range(len(mine)))


@pytest.mark.parametrize("layers", [split(1), lora(rank=2)], ids=str)
def test_frozen_weights_in_bfloat16_are_the_same_model_rounded(checkpoint, layers):
    """Held in half the memory, states are near those of float32, cached or not; what learns keeps float32 and gets gradients."""
    tokens, mask = inputs()
    torch.manual_seed(3)
    plain = load(checkpoint, layers).eval()
    torch.manual_seed(3)
    model = load(checkpoint, layers, held="bf16").eval()
    learned = {name for name, value in model.named_parameters() if value.requires_grad}
    kinds = {value.dtype for name, value in model.named_parameters() if name not in learned}
    assert torch.bfloat16 in kinds
    assert all(value.dtype is torch.float32 for value in model.learning())
    assert {name for name, value in plain.named_parameters() if value.requires_grad} == learned
    with torch.no_grad():
        wanted, found = plain(tokens, mask)[mask], model(tokens, mask)[mask]
        error = float((found - wanted).norm() / wanted.norm())
        assert 0 < error < 0.05
        assert found.dtype is torch.float32
    if learned:
        model(tokens, mask)[mask].square().sum().backward()
        assert any(value.grad is not None for value in model.learning())
    if layers.caches:
        with torch.no_grad():
            states = torch.where(mask[..., None], model.lower(tokens, mask), 0.0)
            assert states.dtype is torch.float32
            near(model(tokens, mask, states)[mask], found, slice(None))
            model.drop_lower()
            near(model(tokens, mask, states)[mask], found, slice(None))
