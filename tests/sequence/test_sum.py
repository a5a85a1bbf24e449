from __future__ import annotations

import torch

from lego.contract import Needs
from lego.sequence.attention import Attention
from lego.sequence.cnn import CNN
from lego.sequence.mean import Mean
from lego.sequence.sum import Sum
from lego.spec import Context
from lego.testing import SequenceTests

CONTEXT = Context(width=8, input_width=8, length=5)


class TestSum(SequenceTests):
    operator = Sum

    def test_equals_adding_by_hand(self):
        """What the parts give, added, with the parts' own weights."""
        module = Sum(CNN(), Mean(), Attention(heads=2)).build(CONTEXT).eval()
        sequence, mask = torch.randn(2, 5, 8), torch.tensor([[True] * 5, [True] * 2 + [False] * 3])
        wanted = sum(part(sequence, mask, Needs()).tensor for part in module.parts)
        torch.testing.assert_close(module(sequence, mask, Needs()).tensor, wanted)
