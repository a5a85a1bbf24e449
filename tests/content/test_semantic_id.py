"""Items as codes of their vectors."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lego import SemanticID
from lego.contract import Needs
from lego.errors import DataError
from lego.spec import Context
from lego.testing import ContentTests
from lego.testing.suite import build

VECTORS = np.random.default_rng(0).normal(size=(11, 6)).astype(np.float32)


class TestSemanticID(ContentTests):
    """What holds for every content operator."""

    @pytest.fixture(params=["sum", "concat", "product"])
    def spec(self, request, tmp_path):
        """Of a file with a vector for each item."""
        np.save(tmp_path / "items.npy", VECTORS)
        kind = {"product": {"kind": "product"}}.get(request.param, {"combine": request.param})
        return SemanticID(str(tmp_path / "items.npy"), levels=2, codes=3, **kind)

    def test_gradients_reach_every_trainable_weight(self, spec, context, inputs):
        """The items of a call touch the codes that they have; the others wait."""
        module = build(spec, context).train()
        module(*inputs).tensor.square().sum().backward()
        assert torch.isfinite(module.table.grad).all()
        assert module.table.grad.any()


def test_items_of_like_vectors_share_what_is_learned(tmp_path):
    """Equal vectors have equal codes and one vector; a new vector far away has codes of its own."""
    vectors = np.concatenate([VECTORS[:4], VECTORS[:4], 50 + VECTORS[4:7]])
    np.save(tmp_path / "items.npy", vectors)
    context = Context(width=4, input_width=4, length=1, items=12)
    module = build(SemanticID(str(tmp_path / "items.npy"), levels=2, codes=4), context).eval()
    rows = torch.arange(1, 12).unsqueeze(1)
    found = module(rows, torch.ones_like(rows, dtype=torch.bool), Needs()).tensor
    assert torch.equal(found[:4], found[4:8])
    assert not torch.equal(found[0], found[8])
    assert not module(torch.tensor([[0]]), torch.tensor([[True]]), Needs()).tensor.any()


def test_a_file_of_other_items_is_refused(tmp_path):
    """As many vectors as items, or an error."""
    np.save(tmp_path / "items.npy", VECTORS)
    with pytest.raises(DataError, match="11 vectors"):
        build(SemanticID(str(tmp_path / "items.npy")), Context(width=4, input_width=4, length=1, items=5))
