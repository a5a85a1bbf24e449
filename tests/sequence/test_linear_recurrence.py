from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from lego.contract import Needs
from lego.sequence.linear_recurrence import LinearRecurrence
from lego.spec import Context
from lego.testing import SequenceTests


def sigmoid(values):
    return 1 / (1 + np.exp(-values))


def normal(values, weight, bias):
    centred = values - values.mean(-1, keepdims=True)
    return centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5) * weight + bias


def gelu(values):
    return torch.nn.functional.gelu(torch.from_numpy(values)).numpy()


class Slow:
    """One block over one row without padding, one step after the other, from the formulas."""

    def __init__(self, weights, cell, kernel):
        self.weights, self.cell, self.kernel = weights, cell, kernel

    def linear(self, values, name):
        return values @ self.weights[f"{name}.weight"].T + self.weights[f"{name}.bias"]

    def norm(self, values, name):
        return normal(values, self.weights[f"{name}.weight"], self.weights[f"{name}.bias"])

    def step(self, state, x):
        if self.cell == "minGRU":
            z = sigmoid(self.linear(x, "cell.update"))
            return (1 - z) * state + z * self.linear(x, "cell.candidate")
        r, i = sigmoid(self.linear(x, "cell.recurrence")), sigmoid(self.linear(x, "cell.input"))
        a = np.exp(-8 * np.log1p(np.exp(self.weights["cell.memory"])) * r)
        return a * state + np.sqrt(1 - a**2) * (i * x)

    def __call__(self, row):
        x = self.norm(row, "recurrence_norm")
        branch = self.linear(x, "branch")
        if self.kernel > 1:
            behind = np.concatenate([np.zeros((self.kernel - 1, row.shape[1])), branch])
            filters = self.weights["convolution.weight"][:, 0].T  # (kernel, D)
            branch = self.weights["convolution.bias"] + np.stack(
                [(behind[place : place + self.kernel] * filters).sum(0) for place in range(len(row))]
            )
        state, states = np.zeros(row.shape[1]), []
        for each in branch:
            state = self.step(state, each)
            states.append(state)
        row = row + self.linear(gelu(self.linear(x, "gate")) * np.stack(states), "projection")
        inner = gelu(self.linear(self.norm(row, "forward_norm"), "feed_forward.0"))
        return row + self.linear(inner, "feed_forward.3")


class TestLinearRecurrence(SequenceTests):
    operator = LinearRecurrence

    @pytest.mark.parametrize("kernel", [1, 3])
    @pytest.mark.parametrize("cell", ["minGRU", "RG-LRU"])
    def test_equals_the_loop(self, cell, kernel):
        """Two blocks in numpy, one row after the other without its padding, one step after the other."""
        spec = LinearRecurrence(cell=cell, layers=2, kernel=kernel, feed_forward=2, pool=None)
        module = spec.build(Context(width=8, input_width=8, length=7)).double().eval()
        for parameter in module.parameters():
            nn.init.normal_(parameter, std=0.5)
        sequence, lengths = torch.randn(3, 7, 8, dtype=torch.float64), [7, 4, 1]
        mask = torch.arange(7) < torch.tensor(lengths)[:, None]
        found = module(sequence, mask, Needs()).tensor.detach().numpy()
        weights = {name: value.detach().numpy() for name, value in module.named_parameters()}
        for row, length in enumerate(lengths):
            states = sequence[row, :length].numpy()
            for block in ("blocks.0.", "blocks.1."):
                own = {
                    name.removeprefix(block): value
                    for name, value in weights.items()
                    if name.startswith(block)
                }
                states = Slow(own, cell, kernel)(states)
            states = normal(states, weights["norm.weight"], weights["norm.bias"])
            # The recurrence itself runs in float32.
            np.testing.assert_allclose(found[row, :length], states, rtol=1e-4, atol=1e-4)

    def test_memory_begins_long(self):
        """Where its gate is open, the state of an RG-LRU decays by 0.9 to 0.999 a step at the start, as published."""
        module = LinearRecurrence(cell="RG-LRU").build(Context(width=64, input_width=64, length=5))
        for block in module.blocks:
            decay = torch.exp(-8 * nn.functional.softplus(block.cell.memory))
            assert 0.9 <= decay.min() < 0.93
            assert 0.97 < decay.max() <= 0.9991

    @pytest.mark.parametrize("cell", ["minGRU", "RG-LRU"])
    def test_long_sequences_are_finite(self, cell):
        """A thousand places, at half precision too, in value and in gradient."""
        module = LinearRecurrence(cell=cell, layers=1).build(Context(width=8, input_width=8, length=1000))
        sequence = torch.randn(2, 1000, 8, requires_grad=True)
        mask = torch.arange(1000) < torch.tensor([[1000], [0]])
        with torch.autocast("cpu", torch.bfloat16):
            found = module(10 * sequence, mask, Needs()).tensor
        assert torch.isfinite(found).all()
        found.sum().backward()
        assert torch.isfinite(sequence.grad).all()
