from __future__ import annotations

import numpy as np
import pytest
import torch

from lego.contract import Needs
from lego.errors import SpecError
from lego.sequence.additive import Additive
from lego.spec import Context
from lego.testing import SequenceTests


class TestAdditive(SequenceTests):
    operator = Additive

    def test_equals_the_formula(self):
        """Σ a x with a = softmax(q · tanh(W x + b)), in numpy, one row after the other without its padding."""
        module = Additive(hidden=7).build(Context(width=4, input_width=4, length=5))
        sequence, lengths = torch.randn(3, 5, 4), [5, 2, 1]
        mask = torch.arange(5) < torch.tensor(lengths)[:, None]
        found = module(sequence, mask, Needs()).tensor.detach().numpy()
        weights = {name: value.detach().numpy() for name, value in module.named_parameters()}
        for row, length in enumerate(lengths):
            real = sequence[row, :length].numpy()
            logits = np.tanh(real @ weights["pool.project.weight"].T + weights["pool.project.bias"])
            logits = logits @ weights["pool.query.weight"][0]
            share = np.exp(logits) / np.exp(logits).sum()
            np.testing.assert_allclose(found[row], share @ real, rtol=1e-5, atol=1e-6)

    def test_hidden_is_at_least_one(self):
        """A width of nothing is refused where it is written."""
        with pytest.raises(SpecError, match="at least 1"):
            Additive(hidden=0)
