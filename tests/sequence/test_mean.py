from __future__ import annotations

import torch

from lego.contract import Needs
from lego.sequence.mean import Mean
from lego.spec import Context
from lego.testing import SequenceTests


class TestMean(SequenceTests):
    operator = Mean

    def test_reads_the_real_places(self):
        """Of two real places and one of padding, numbers by hand; an empty row gives zeros."""
        pool = Mean().build(Context(width=2, input_width=2, length=3))
        sequence = torch.tensor([[[4.0, -3.0], [2.0, -1.0], [9.0, 9.0]]] * 2)
        mask = torch.tensor([[True, True, False], [False] * 3])
        assert pool(sequence, mask, Needs()).tensor.tolist() == [[3.0, -2.0], [0.0, 0.0]]

    def test_has_weights_only_where_widths_differ(self):
        """A linear layer leads from the width it reads to the model's, where these differ."""
        assert not list(Mean().build(Context(width=4, input_width=4, length=3)).parameters())
        (weight,) = Mean().build(Context(width=4, input_width=3, length=3)).parameters()
        assert weight.shape == (4, 3)
