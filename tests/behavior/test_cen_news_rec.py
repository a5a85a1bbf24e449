from __future__ import annotations

import torch
from torch import nn

from lego.behavior.cen_news_rec import CenNewsRec
from lego.contract import Needs
from lego.spec import Context
from lego.testing import BehaviorTests

CONTEXT = Context(width=8, input_width=8, length=6)
LENGTHS = (6, 4, 2, 0)
MASK = torch.arange(6) < torch.tensor(LENGTHS)[:, None]


def pooled(pool, vectors):
    logits = pool.query(torch.tanh(pool.project(vectors))).squeeze(-1)
    return torch.softmax(logits, 0) @ vectors


class TestCenNewsRec(BehaviorTests):
    operator = CenNewsRec

    def test_equals_its_parts_one_after_the_other(self):
        """torch's attention over all clicks, torch's cell over the last three, and a weighted sum of the two users."""
        module = CenNewsRec(recent=3, heads=2, hidden=5).build(CONTEXT).eval()
        own, inner = nn.MultiheadAttention(8, 2, bias=False, batch_first=True), module.attention
        cell = nn.GRUCell(8, 8)
        cell.load_state_dict({name[:-3]: value for name, value in module.recurrence.state_dict().items()})
        with torch.no_grad():
            own.in_proj_weight.copy_(torch.cat([inner.query.weight, inner.key.weight, inner.value.weight]))
            own.out_proj.weight.copy_(torch.eye(8))
        history = torch.randn(4, 6, 8)
        found = module(history, MASK, Needs()).tensor
        for row, length in enumerate(LENGTHS[:3]):
            clicks = history[row : row + 1, :length]
            looked, _ = own(clicks, clicks, clicks)
            short = torch.zeros(8)
            for place in range(max(0, length - 3), length):
                short = cell(history[row, place], short)
            both = torch.stack([short, pooled(module.pool, looked[0])])
            torch.testing.assert_close(found[row], pooled(module.join, both), atol=1e-5, rtol=1e-5)
        assert torch.equal(found[3], module.default.vector)
