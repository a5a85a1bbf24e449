from __future__ import annotations

import torch
from torch import nn

from lego.behavior.mins import MINS
from lego.contract import Needs
from lego.spec import Context
from lego.testing import BehaviorTests

CONTEXT = Context(width=8, input_width=8, length=5)
LENGTHS = (5, 2, 0)
MASK = torch.arange(5) < torch.tensor(LENGTHS)[:, None]


class TestMINS(BehaviorTests):
    operator = MINS

    def test_equals_its_parts_one_after_the_other(self):
        """torch's attention over the clicks of a user, torch's cell over each channel, a weighted sum over the clicks."""
        module = MINS(channels=2, heads=2, hidden=5).build(CONTEXT).eval()
        own = nn.MultiheadAttention(8, 2, bias=False, batch_first=True)
        inner = module.attention
        with torch.no_grad():
            own.in_proj_weight.copy_(torch.cat([inner.query.weight, inner.key.weight, inner.value.weight]))
            own.out_proj.weight.copy_(torch.eye(8))
        history = torch.randn(3, 5, 8)
        found = module(history, MASK, Needs()).tensor
        for row, length in enumerate(LENGTHS[:2]):
            clicks = history[row : row + 1, :length]
            looked, _ = own(clicks, clicks, clicks)
            states = torch.empty(length, 8)
            for channel, part in zip(module.channels, (slice(0, 4), slice(4, 8)), strict=True):
                cell = nn.GRUCell(4, 4)
                cell.load_state_dict({name[:-3]: value for name, value in channel.state_dict().items()})
                state = torch.zeros(4)
                for place in range(length):
                    state = cell(looked[0, place, part], state)
                    states[place, part] = state
            logits = module.pool.query(torch.tanh(module.pool.project(states))).squeeze(-1)
            torch.testing.assert_close(found[row], torch.softmax(logits, 0) @ states, atol=1e-5, rtol=1e-5)
        assert torch.equal(found[2], module.default.vector)

    def test_channels_that_do_not_divide_the_width_are_told_before_building(self):
        """As heads are."""
        problems = list(MINS(channels=3, heads=5).problems(64, "behavior=…"))
        assert [each.what for each in problems] == [
            "width 64 does not divide into 5 heads",
            "width 64 does not divide into 3 channels",
        ]
        assert "choose channels that divide 64, such as 2" in problems[1].fix
