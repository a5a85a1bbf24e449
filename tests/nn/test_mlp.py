from __future__ import annotations

import torch
from torch import nn

from lego.nn.mlp import MLP


def test_equals_the_layers_one_by_one():
    """Linear, ReLU, linear, ReLU, and a plain linear layer at the end."""
    mlp, vectors = MLP(4, (6, 5), output=2), torch.randn(3, 7, 4)
    first, second, last = (layer for layer in mlp.modules() if isinstance(layer, nn.Linear))
    torch.testing.assert_close(mlp(vectors), last(second(first(vectors).relu()).relu()))
    assert mlp.width == 2


def test_no_hidden_layer_and_no_output_is_nothing():
    """It gives what it gets, and says so in its width."""
    mlp, vectors = MLP(4, ()), torch.randn(3, 4)
    assert torch.equal(mlp(vectors), vectors)
    assert mlp.width == 4


def test_dropout_is_for_training_alone():
    """In evaluation the same input gives the same output."""
    mlp, vectors = MLP(4, (64,), dropout=0.5), torch.ones(1, 4)
    assert not torch.equal(mlp(vectors), mlp(vectors))
    mlp.eval()
    assert torch.equal(mlp(vectors), mlp(vectors))
