from __future__ import annotations

import pytest
import torch
from torch import nn

from lego.contract import Form, Needs
from lego.errors import SpecError
from lego.sequence.multi_cnn import MultiCNN
from lego.spec import Context, any_of
from lego.testing import SequenceTests


class TestMultiCNN(SequenceTests):
    operator = MultiCNN

    def test_equals_torch_on_each_row_by_itself(self):
        """Each kernel is torch's convolution with same padding, a ReLU and the maximum over places; a linear layer joins them."""
        module = (
            MultiCNN(kernels=(1, 3, 5), filters=4).build(Context(width=8, input_width=6, length=5)).eval()
        )
        sequence, lengths = torch.randn(3, 5, 6), [5, 3, 1]
        mask = torch.arange(5) < torch.tensor(lengths)[:, None]
        found = module(sequence, mask, Needs()).tensor
        for row, length in enumerate(lengths):
            maps = []
            for kernel, ours in zip((1, 3, 5), module.convolutions, strict=True):
                own = nn.Conv1d(6, 4, kernel, padding="same")
                own.load_state_dict(ours.state_dict())
                maps.append(own(sequence[row, :length].T).relu().amax(-1))
            torch.testing.assert_close(found[row], module.pool.project(torch.cat(maps)), atol=1e-5, rtol=1e-5)

    def test_without_a_pool_each_place_has_every_map(self):
        """The sequence is as long as the input and as wide as the model."""
        module = MultiCNN(kernels=(2, 4), filters=3, pool=None).build(
            Context(width=8, input_width=6, length=5)
        )
        out = module.eval()(torch.randn(2, 5, 6), torch.ones(2, 5, dtype=torch.bool), Needs())
        assert out.tensor.shape == (2, 5, 8)
        assert MultiCNN(pool=None).gives is Form.SEQUENCE

    @pytest.mark.parametrize("kernels", [(), (0,), (3, -1), (2.5,), any_of((3,), ()), (any_of(3, 4), 0)])
    def test_wrong_kernels_are_refused(self, kernels):
        """No kernel, or one that reaches nothing; among choices too."""
        with pytest.raises(SpecError, match="kernels"):
            MultiCNN(kernels=kernels)

    def test_choices_of_kernels_are_admitted(self):
        """Whole tuples, or one size of a tuple."""
        assert MultiCNN(kernels=any_of((3,), (3, 4))) != MultiCNN(kernels=(any_of(3, 4), 5))
