from __future__ import annotations

import numpy as np
import torch

from lego.behavior.history import History
from lego.behavior.lstur import LSTUR
from lego.behavior.signal_weight import SignalWeight
from lego.contract import Form, Need, Needs
from lego.sequence.attention import Attention
from lego.sequence.mean import Mean
from lego.spec import Context
from lego.testing import BehaviorTests

CONTEXT = Context(width=4, input_width=4, length=3, users=5)
MASK = torch.tensor([[True, True, True], [True, False, False]])
READ = torch.tensor([[0.0, 99.0, torch.nan], [7.0, 0, 0]])


class TestSignalWeight(BehaviorTests):
    specs = (*SignalWeight.examples(), SignalWeight(Mean()), SignalWeight(LSTUR(hidden=8)))

    def test_each_click_counts_by_its_number(self):
        """2 / (1 + exp(-(a ln(1 + x) + b))) times the click; a missing number has a weight of its own."""
        module = SignalWeight(History()).build(CONTEXT).eval()
        with torch.no_grad():
            module.slope.fill_(0.5)
            module.shift.fill_(-1.0)
            module.missing.fill_(0.25)
        history = torch.randn(2, 3, 4)
        found = module(history, MASK, Needs(signals={"read_time": READ})).tensor.detach().numpy()
        told = 0.5 * np.log1p(READ.numpy()) - 1.0
        told[0, 2] = 0.25
        weight = 2 / (1 + np.exp(-told))
        np.testing.assert_allclose(
            found, history.numpy() * weight[..., None] * MASK.numpy()[..., None], rtol=1e-5
        )

    def test_all_of_it_is_learned(self):
        """A gradient reaches the slope, the shift and the weight of a missing number, and none is NaN."""
        module = SignalWeight(Mean()).build(CONTEXT)
        module(torch.randn(2, 3, 4), MASK, Needs(signals={"read_time": READ})).tensor.sum().backward()
        for parameter in module.parameters():
            assert torch.isfinite(parameter.grad).all()
            assert parameter.grad.abs().sum() > 0

    def test_is_like_what_it_wraps(self):
        """It needs numbers on top of what its operator needs, and gives and reads what that does."""
        assert SignalWeight(LSTUR()).needs == {Need.SIGNALS, Need.USER}
        assert SignalWeight(Attention(pool=None)).gives is Form.SEQUENCE
        assert SignalWeight(SignalWeight(Mean(), "scroll")).signals == ("read_time", "scroll")
