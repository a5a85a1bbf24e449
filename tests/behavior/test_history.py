from __future__ import annotations

import torch

from lego.behavior.history import History
from lego.contract import Needs
from lego.spec import Context
from lego.testing import BehaviorTests


class TestHistory(BehaviorTests):
    operator = History

    def test_is_the_history_itself(self):
        """Real places are untouched, padded ones are zero, and there is nothing to learn."""
        module = History().build(Context(width=3, input_width=3, length=4))
        history, mask = torch.randn(2, 4, 3), torch.arange(4) < torch.tensor([[4], [1]])
        out = module(history, mask, Needs())
        assert torch.equal(out.tensor[mask], history[mask])
        assert not out.tensor[~mask].any()
        assert not list(module.parameters())
