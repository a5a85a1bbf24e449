from __future__ import annotations

import pytest
import torch

from lego.errors import CheckpointError
from lego.pretrained.checkpoint import resolve
from lego.pretrained.families import FAMILIES, shape_of
from lego.pretrained.layers import frozen, full, split
from lego.pretrained.model import load
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


@pytest.mark.parametrize("layers", [full(), split(1)], ids=str)
def test_gradients_do_not_depend_on_checkpointing(checkpoint, layers):
    """Layers that are run again, with the same dropout, give the same states and gradients; in evaluation none is run again."""
    tokens, mask = inputs()
    outcomes, runs, calls = [], [], []
    for again in (False, True):
        model = load(checkpoint, layers).train()
        states = model.lower(tokens, mask) if layers == split(1) else None
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
