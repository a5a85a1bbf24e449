from __future__ import annotations

import torch

from lego.contract import Needs
from lego.sequence.first import First
from lego.spec import Context
from lego.testing import SequenceTests


class TestFirst(SequenceTests):
    operator = First
    reads_history = False  # the last item, which the suite exchanges, is not the first

    def test_reads_the_first_place(self):
        """The first of two real places, numbers by hand; an empty row gives zeros."""
        pool = First().build(Context(width=2, input_width=2, length=3))
        sequence = torch.tensor([[[4.0, -3.0], [2.0, -1.0], [9.0, 9.0]]] * 2)
        mask = torch.tensor([[True, True, False], [False] * 3])
        assert pool(sequence, mask, Needs()).tensor.tolist() == [[4.0, -3.0], [0.0, 0.0]]

    def test_has_weights_only_where_widths_differ(self):
        """A linear layer leads from the width it reads to the model's, where these differ."""
        assert not list(First().build(Context(width=4, input_width=4, length=3)).parameters())
        (weight,) = First().build(Context(width=4, input_width=3, length=3)).parameters()
        assert weight.shape == (4, 3)
