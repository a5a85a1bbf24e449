from __future__ import annotations

import pytest
import torch
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from lego.contract import Needs
from lego.sequence.additive import Additive
from lego.sequence.lstm import LSTM
from lego.spec import Context
from lego.testing import SequenceTests


class TestLSTM(SequenceTests):
    specs = (*LSTM.examples(), LSTM(hidden=6, pool=Additive(hidden=5)))

    @pytest.mark.parametrize("layers", [1, 2])
    def test_equals_packing(self, layers):
        """Last states and whole sequences are torch's over packed rows, in value and gradient."""
        context = Context(width=8, input_width=6, length=5)
        last = LSTM(hidden=8, layers=layers).build(context)
        whole = LSTM(hidden=8, layers=layers, pool=None).build(context)
        whole.load_state_dict(last.state_dict())
        sequence, lengths = torch.randn(3, 5, 6, requires_grad=True), torch.tensor([5, 3, 1])
        mask = torch.arange(5) < lengths[:, None]
        packed = pack_padded_sequence(sequence, lengths, batch_first=True)
        states, (final, _) = last.recurrence(packed)
        wanted, _ = pad_packed_sequence(states, batch_first=True)
        torch.testing.assert_close(last(sequence, mask, Needs()).tensor, final[-1])
        torch.testing.assert_close(whole(sequence, mask, Needs()).tensor, wanted)
        (found,) = torch.autograd.grad(last(sequence, mask, Needs()).tensor.square().sum(), sequence)
        (right,) = torch.autograd.grad(final[-1].square().sum(), sequence)
        torch.testing.assert_close(found, right)

    def test_another_hidden_width_is_projected(self):
        """The last state, 6 wide, goes through a linear layer to the model's 8."""
        module = LSTM(hidden=6).build(Context(width=8, input_width=8, length=5)).eval()
        sequence, everywhere = torch.randn(2, 5, 8), torch.ones(2, 5, dtype=torch.bool)
        _, (final, _) = module.recurrence(sequence)
        torch.testing.assert_close(
            module(sequence, everywhere, Needs()).tensor, module.pool.project(final[-1])
        )

    def test_dropout_of_a_single_layer_is_not_ignored(self):
        """torch drops between layers alone; here it falls on what the last layer gives too."""
        module = LSTM(hidden=8, dropout=0.5).build(Context(width=8, input_width=8, length=5)).train()
        sequence, everywhere = torch.randn(4, 5, 8), torch.ones(4, 5, dtype=torch.bool)
        assert (module(sequence, everywhere, Needs()).tensor == 0).any()
