"""Ready-made vectors through whitening experts."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lego import WhitenedExperts
from lego.contract import Needs
from lego.spec import Context
from lego.testing import ContentTests
from lego.testing.suite import build

VECTORS = np.random.default_rng(0).normal(size=(11, 6)).astype(np.float32)


class TestWhitenedExperts(ContentTests):
    """What holds for every content operator."""

    @pytest.fixture
    def spec(self, tmp_path):
        """Of a file with a vector for each item."""
        np.save(tmp_path / "items.npy", VECTORS)
        return WhitenedExperts(str(tmp_path / "items.npy"), experts=3)


def test_equals_the_formula(tmp_path):
    """A slow version of Σ_k g_k (x − b_k) W_k in numpy."""
    np.save(tmp_path / "items.npy", VECTORS)
    context = Context(width=4, input_width=4, length=1, items=12)
    module = build(WhitenedExperts(str(tmp_path / "items.npy"), experts=2), context).eval()
    torch.nn.init.normal_(module.shift)
    gate, shift, whiten = (
        each.detach().numpy() for each in (module.gate.weight, module.shift, module.whiten)
    )
    rows = torch.tensor([[3], [11]])
    found = module(rows, torch.ones_like(rows, dtype=torch.bool), Needs()).tensor.detach().numpy()
    for place, row in enumerate((3, 11)):
        x = VECTORS[row - 1]
        weights = np.exp(gate @ x) / np.exp(gate @ x).sum()
        wanted = sum(weights[k] * ((x - shift[k]) @ whiten[k]) for k in range(2))
        np.testing.assert_allclose(found[place], wanted, rtol=1e-4, atol=1e-5)
