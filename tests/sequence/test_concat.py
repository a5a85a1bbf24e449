from __future__ import annotations

import torch

from lego.contract import Needs
from lego.sequence.cnn import CNN
from lego.sequence.concat import Concat
from lego.sequence.mean import Mean
from lego.spec import Context
from lego.testing import SequenceTests

CONTEXT = Context(width=8, input_width=8, length=5)


class TestConcat(SequenceTests):
    operator = Concat

    def test_equals_joining_by_hand(self):
        """W [x; y] + b is the sum of what two halves of W make of the parts."""
        module = Concat(CNN(), Mean()).build(CONTEXT).eval()
        sequence, mask = torch.randn(2, 5, 8), torch.tensor([[True] * 5, [True] * 2 + [False] * 3])
        first, second = (part(sequence, mask, Needs()).tensor for part in module.parts)
        weight, bias = module.project.weight, module.project.bias
        wanted = first @ weight[:, :8].T + second @ weight[:, 8:].T + bias
        torch.testing.assert_close(module(sequence, mask, Needs()).tensor, wanted)
