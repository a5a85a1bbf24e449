from __future__ import annotations

import torch
from torch import nn

from lego.behavior.target_attention import TargetAttention
from lego.contract import Needs
from lego.nn import blocks
from lego.spec import Context
from lego.testing import BehaviorTests

CONTEXT = Context(width=8, input_width=8, length=5)
MASK = torch.arange(5) < torch.tensor([5, 2, 0])[:, None]
EVERYONE = torch.ones(3, 4, dtype=torch.bool)


class TestTargetAttention(BehaviorTests):
    operator = TargetAttention

    def test_equals_torch(self, monkeypatch):
        """torch's multi-head attention with candidates as queries, in blocks of one too; a user without history is learned."""
        module = TargetAttention(heads=2).build(CONTEXT).eval()
        own, layer = nn.MultiheadAttention(8, 2, bias=False, batch_first=True), module.layer
        with torch.no_grad():
            own.in_proj_weight.copy_(torch.cat([layer.query.weight, layer.key.weight, layer.value.weight]))
            own.out_proj.weight.copy_(layer.output.weight)
        history, candidates = torch.randn(3, 5, 8), torch.randn(3, 4, 8)
        wanted, _ = own(candidates[:2], history[:2], history[:2], key_padding_mask=~MASK[:2])
        for block in (blocks.BLOCK, 1):
            monkeypatch.setattr(blocks, "BLOCK", block)
            found = module(history, MASK, candidates, EVERYONE, Needs()).tensor
            torch.testing.assert_close(found[:2], wanted)
            assert torch.equal(found[2], layer.default.vector.expand(4, 8))
