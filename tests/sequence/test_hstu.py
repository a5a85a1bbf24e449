from __future__ import annotations

import attrs
import numpy as np
import pytest
import torch
from torch import nn

from lego.contract import Need, Needs
from lego.sequence.hstu import HSTU
from lego.sequence.last import Last
from lego.spec import Context
from lego.testing import BehaviorTests, SequenceTests


def silu(values):
    return values / (1 + np.exp(-values))


def normal(values, weight, bias):
    centred = values - values.mean(-1, keepdims=True)
    return centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5) * weight + bias


def slow(row, weights, *, heads, causal, times=None):
    """One layer over one row without padding, pair by pair: equations 1 to 3 of the paper."""
    width, size = row.shape[1], row.shape[1] // heads
    x = normal(row, weights["input_norm.weight"], weights["input_norm.bias"])
    u, v, q, k = np.split(silu(x @ weights["inputs.weight"].T + weights["inputs.bias"]), 4, axis=1)
    found = np.zeros((len(row), width))
    middle = 0 if causal else (len(weights["distances"]) - 1) // 2
    for head in range(heads):
        part = slice(head * size, (head + 1) * size)
        for i in range(len(row)):
            seen = range(i + 1) if causal else range(len(row))
            for j in seen:
                bias = weights["distances"][middle + i - j]
                if times is not None:
                    bias += weights["times"][int(np.floor(np.log2(abs(times[i] - times[j]) + 1)))]
                found[i, part] += silu(q[i, part] @ k[j, part] + bias) * v[j, part] / len(seen)
    found = normal(found, weights["output_norm.weight"], weights["output_norm.bias"]) * u
    return row + found @ weights["output.weight"].T + weights["output.bias"]


class TestHSTU(SequenceTests):
    operator = HSTU

    @pytest.mark.parametrize("times", [False, True])
    @pytest.mark.parametrize("causal", [True, False])
    def test_equals_the_formula(self, causal, times):
        """Two layers in numpy, one row after the other without its padding, pair by pair."""
        spec = HSTU(layers=2, heads=2, causal=causal, times=times, pool=None)
        module = spec.build(Context(width=8, input_width=8, length=6)).double().eval()
        for parameter in module.parameters():
            nn.init.normal_(parameter, std=0.5)
        sequence, lengths = torch.randn(3, 5, 8, dtype=torch.float64), [5, 2, 1]
        mask = torch.arange(5) < torch.tensor(lengths)[:, None]
        gaps = torch.tensor([[900000, 86400, 3600, 50, 0], [77, 3, 0, 0, 0], [5, 0, 0, 0, 0]])
        found = module(sequence, mask, Needs(times=gaps if times else None)).tensor.detach().numpy()
        weights = {name: value.detach().numpy() for name, value in module.named_parameters()}
        for row, length in enumerate(lengths):
            states = sequence[row, :length].numpy()
            for layer in ("layers.0.", "layers.1."):
                own = {
                    name.removeprefix(layer): value
                    for name, value in weights.items()
                    if name.startswith(layer)
                }
                clicks = gaps[row].numpy() if times else None
                states = slow(states, own, heads=2, causal=causal, times=clicks)
            states = normal(states, weights["norm.weight"], weights["norm.bias"])
            np.testing.assert_allclose(found[row, :length], states, rtol=1e-9, atol=1e-9)

    def test_longer_than_told_is_the_farthest(self):
        """Beyond the length it was built for, distances count as the longest one."""
        module = HSTU(heads=2, pool=Last()).build(Context(width=8, input_width=8, length=3)).eval()
        out = module(torch.randn(1, 6, 8), torch.ones(1, 6, dtype=torch.bool), Needs())
        assert torch.isfinite(out.tensor).all()


class TestHSTUWithTimes(BehaviorTests):
    specs = (
        HSTU(layers=1, heads=2, times=True),
        HSTU(layers=1, heads=2, times=True, causal=False, pool=None),
    )

    @pytest.fixture
    def inputs(self, spec, context):
        """Times of clicks, as the slot hands them over."""
        sequence, mask, needs = BehaviorTests.inputs.__wrapped__(self, spec, context)
        apart = torch.tensor([0, 1, 5, 90, 4000, 70000]).flip(0)[: mask.size(1)]
        return sequence, mask, attrs.evolve(needs, times=apart.expand(len(mask), -1).masked_fill(~mask, 0))

    # A batch meets a few of the buckets that times fall into.
    def test_gradients_reach_every_trainable_weight(self, spec, context, inputs):
        """Those of the buckets that occur, too."""
        super().test_gradients_reach_every_trainable_weight(spec, context, inputs)

    def test_times_matter(self, module, inputs):
        """Other times between the clicks make another user."""
        sequence, mask, needs = inputs
        other = attrs.evolve(needs, times=needs.times * 1000)
        found = [module(sequence, mask, each).tensor for each in (needs, other)]
        assert not torch.equal(*found)
        assert HSTU(times=True).needs == {Need.TIMES}
        assert not HSTU().needs
