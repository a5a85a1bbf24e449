from __future__ import annotations

import pytest
import torch
from torch import nn

from lego.contract import Form, Needs
from lego.errors import SpecError
from lego.sequence.cnn import CNN
from lego.sequence.mean import Mean
from lego.spec import Context
from lego.testing import SequenceTests


class TestCNN(SequenceTests):
    operator = CNN

    @pytest.mark.parametrize("kernel", [1, 3, 5])
    def test_equals_torch_on_each_row_by_itself(self, kernel):
        """Without a pool, a row is torch's convolution with same padding of that row alone, after a ReLU."""
        module = CNN(kernel=kernel, pool=None).build(Context(width=8, input_width=6, length=5)).eval()
        own = nn.Conv1d(6, 8, kernel, padding="same")
        own.load_state_dict(module.convolution.state_dict())
        sequence, lengths = torch.randn(3, 5, 6), [5, 3, 1]
        mask = torch.arange(5) < torch.tensor(lengths)[:, None]
        found = module(sequence, mask, Needs()).tensor
        for row, length in enumerate(lengths):
            wanted = own(sequence[row, :length].T).relu().T
            torch.testing.assert_close(found[row, :length], wanted, atol=1e-5, rtol=1e-5)

    @pytest.mark.parametrize("kernel", [2, 4])
    def test_even_kernels_keep_the_length(self, kernel):
        """An even kernel reaches one place further ahead than back."""
        module = CNN(kernel=kernel, pool=None).build(Context(width=8, input_width=6, length=5)).eval()
        out = module(torch.randn(2, 5, 6), torch.ones(2, 5, dtype=torch.bool), Needs())
        assert out.tensor.shape == (2, 5, 8)

    def test_pool_reads_the_convolution(self):
        """With a pool the vector is that pool over the sequence."""
        context = Context(width=8, input_width=6, length=5)
        whole, pooled = CNN(pool=None).build(context).eval(), CNN(pool=Mean()).build(context).eval()
        pooled.convolution.load_state_dict(whole.convolution.state_dict())
        sequence, mask = torch.randn(2, 5, 6), torch.tensor([[True] * 5, [True] * 2 + [False] * 3])
        found = pooled(sequence, mask, Needs()).tensor
        torch.testing.assert_close(found[1], whole(sequence, mask, Needs()).tensor[1, :2].mean(0))

    def test_pool_decides_the_form(self):
        """A vector with a pool, the sequence without."""
        assert CNN().gives is Form.VECTOR
        assert CNN(pool=None).gives is Form.SEQUENCE

    @pytest.mark.parametrize("options", [{"kernel": 0}, {"dropout": 1.0}, {"dropout": -0.1}, {"pool": CNN()}])
    def test_wrong_values_are_refused(self, options):
        """A kernel of nothing, a dropout that leaves nothing, an encoder for a pool."""
        with pytest.raises(SpecError):
            CNN(**options)
