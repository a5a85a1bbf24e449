"""Vectors of texts by a language model that is not tuned."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lego.errors import CheckpointError
from lego.pretrained import vectors
from lego.pretrained.checkpoint import resolve
from lego.pretrained.vectors import POOLINGS, encode, layers_below, pooled, reader
from lego.ragged import Ragged
from lego.testing.checkpoint import tiny_checkpoint

LAYERS = 3


@pytest.fixture(scope="module", params=["bert", "llama", "opt"])
def checkpoint(request, tmp_path_factory):
    """A tiny encoder, a decoder, and a decoder whose final states are narrower than those between its layers."""
    return resolve(str(tiny_checkpoint(tmp_path_factory.mktemp(request.param), request.param, layers=LAYERS)))


def texts(count=9):
    """Ids of texts of all lengths, the second of them empty."""
    drawn = np.random.default_rng(0)
    lengths = np.array([3, 0, *drawn.integers(1, 9, count - 2)])
    return Ragged.from_lengths(drawn.integers(4, 14, lengths.sum()).astype(np.int32), lengths)


@pytest.fixture(scope="module")
def plain(checkpoint):
    """transformers' own model of it."""
    from transformers import AutoModel

    return AutoModel.from_pretrained(checkpoint.folder, dtype=torch.float32).eval()


def by_hand(model, ids, pool, layer):
    """transformers' own forward over one text, and the pool in numpy."""
    with torch.no_grad():
        told = model(torch.tensor([ids.tolist()]), output_hidden_states=True)
    final = layer is None or layer == LAYERS
    states = (told.last_hidden_state if final else told.hidden_states[layer])[0].numpy()
    return {"mean": states.mean(0), "cls": states[0], "last": states[-1]}[pool]


@pytest.mark.parametrize("layer", [None, *range(-LAYERS, LAYERS + 1)])
def test_vectors_are_those_of_transformers(checkpoint, plain, layer, monkeypatch):
    """For every layer and pool: transformers' states of each text alone, pooled by hand; zeros for an empty one."""
    monkeypatch.setattr(vectors, "PAGE_TOKENS", 20)
    tokens, model = texts(), reader(checkpoint, layers_below(checkpoint, layer))
    # Of the states below the last layer, counted from the top: transformers counts the final states, too.
    place = layer if layer is None or layer >= 0 else LAYERS + layer
    for pool in POOLINGS:
        done = []
        found = encode(model, tokens, pool, told=done.append)
        for row in range(len(tokens)):
            wanted = by_hand(plain, tokens[row], pool, place) if len(tokens[row]) else 0
            np.testing.assert_allclose(found[row], wanted, rtol=1e-5, atol=1e-5)
        assert sum(done) == len(tokens) - 1
        assert len(done) > 1


def test_padding_does_not_reach_a_vector():
    """What stands behind the tokens of a row changes nothing; without any token the vector is zeros."""
    mask = torch.tensor([[True, True, False], [False] * 3])
    states = torch.randn(2, 3, 4)
    for pool in POOLINGS:
        other = torch.where(mask[..., None], states, 1e6)
        assert torch.equal(pooled(states, mask, pool), pooled(other, mask, pool))
        assert not pooled(states, mask, pool)[1].any()
    assert torch.equal(pooled(states, mask, "last")[0], states[0, 1])


def test_no_text_at_all(checkpoint):
    """Items of which none has a text get zeros of the model's width."""
    model = reader(checkpoint)
    wide = encode(model, texts(), "mean").shape[1]
    found = encode(model, Ragged.from_lengths(np.zeros(0, np.int32), np.zeros(4, np.int64)), "mean")
    assert found.shape == (4, wide)
    assert not found.any()


@pytest.mark.parametrize("layer", [LAYERS + 1, -LAYERS - 1])
def test_a_layer_that_is_not_there_is_refused(checkpoint, layer):
    """The error says how many there are."""
    with pytest.raises(CheckpointError, match=rf"has {LAYERS} layers(?s:.)*from -{LAYERS} to {LAYERS}"):
        layers_below(checkpoint, layer)
