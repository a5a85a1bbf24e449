from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from lego.contract import Needs
from lego.sequence.fastformer import Fastformer
from lego.spec import Context
from lego.testing import SequenceTests


def softmax(values):
    return np.exp(values - values.max()) / np.exp(values - values.max()).sum()


def normal(values, weight, bias):
    centred = values - values.mean(-1, keepdims=True)
    return centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5) * weight + bias


def gelu(values):
    return torch.nn.functional.gelu(torch.from_numpy(values)).numpy()


def slow(row, weights, heads):
    """One layer over one row without padding, head by head: section 3.2 of the paper, then output layer and feed-forward."""

    def linear(values, name):
        return values @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]

    query, key = linear(row, "attention.query"), linear(row, "attention.key")
    value = linear(row, "attention.value") if "attention.value.weight" in weights else query
    size = query.shape[1] // heads
    joined = np.empty_like(query)
    for head in range(heads):
        part = slice(head * size, (head + 1) * size)
        q, k, v = query[:, part], key[:, part], value[:, part]
        alpha = softmax(q @ weights["attention.query_weights"][head] / np.sqrt(size))
        global_query = sum(a * each for a, each in zip(alpha, q, strict=True))
        p = np.stack([global_query * each for each in k])
        beta = softmax(p @ weights["attention.key_weights"][head] / np.sqrt(size))
        global_key = sum(b * each for b, each in zip(beta, p, strict=True))
        joined[:, part] = np.stack([global_key * each for each in v])
    found = linear(linear(joined, "attention.transform") + query, "projection")
    row = normal(row + found, weights["attention_norm.weight"], weights["attention_norm.bias"])
    forward = linear(gelu(linear(row, "feed_forward.0")), "feed_forward.3")
    return normal(row + forward, weights["forward_norm.weight"], weights["forward_norm.bias"])


class TestFastformer(SequenceTests):
    operator = Fastformer

    @pytest.mark.parametrize("shared", [True, False])
    def test_equals_the_formula(self, shared):
        """Two layers and positions, in numpy, one row after the other without its padding, place by place."""
        spec = Fastformer(layers=2, heads=2, feed_forward=2, shared=shared, pool=None)
        module = spec.build(Context(width=8, input_width=8, length=5)).double().eval()
        for parameter in module.parameters():
            nn.init.normal_(parameter, std=0.5)
        sequence, lengths = torch.randn(3, 5, 8, dtype=torch.float64), [5, 2, 1]
        mask = torch.arange(5) < torch.tensor(lengths)[:, None]
        found = module(sequence, mask, Needs()).tensor.detach().numpy()
        weights = {name: value.detach().numpy() for name, value in module.named_parameters()}
        for row, length in enumerate(lengths):
            states = sequence[row, :length].numpy() + weights["positions.table"][:length]
            states = normal(states, weights["norm.weight"], weights["norm.bias"])
            for layer in (0, 1):
                own = {
                    name.removeprefix(f"layers.{layer}."): value
                    for name, value in weights.items()
                    if name.startswith(f"layers.{layer}.")
                }
                states = slow(states, own, heads=2)
            np.testing.assert_allclose(found[row, :length], states, rtol=1e-9, atol=1e-9)

    def test_values_are_queries_unless_told_otherwise(self):
        """As published, one projection serves both."""
        context = Context(width=8, input_width=8, length=5)
        shared, apart = (Fastformer(layers=1, heads=2, shared=each).build(context) for each in (True, False))
        assert shared.layers[0].attention.value is None
        assert apart.layers[0].attention.value.weight.shape == (8, 8)

    def test_heads_must_divide_the_width(self):
        """Told before anything is built, with a number that would do."""
        (problem,) = Fastformer().problems(24, "content=Fastformer()")
        assert problem.what == "width 24 does not divide into 16 heads"
        assert "such as 12" in problem.fix
