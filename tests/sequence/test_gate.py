from __future__ import annotations

import numpy as np
import pytest
import torch

from lego.contract import Needs
from lego.sequence.attention import Attention
from lego.sequence.cnn import CNN
from lego.sequence.gate import Gate
from lego.sequence.mean import Mean
from lego.spec import Context
from lego.testing import SequenceTests

CONTEXT = Context(width=8, input_width=8, length=5)


class TestGate(SequenceTests):
    operator = Gate

    @pytest.mark.parametrize("kind", ["softmax", "sigmoid"])
    def test_equals_the_formula(self, kind):
        """Σ_k z_k ⊙ x_k in numpy, one row and one dimension after the other."""
        module = Gate(CNN(), Mean(), Attention(heads=2), kind=kind).build(CONTEXT).eval()
        sequence, mask = torch.randn(2, 5, 8), torch.tensor([[True] * 5, [True] * 2 + [False] * 3])
        found = module(sequence, mask, Needs()).tensor.detach().numpy()
        parts = [part(sequence, mask, Needs()).tensor.detach().numpy() for part in module.parts]
        weight, bias = (each.detach().numpy() for each in (module.gates.weight, module.gates.bias))
        for row in range(2):
            together = np.concatenate([part[row] for part in parts])
            logits = (weight @ together + bias).reshape(3, 8)
            for place in range(8):
                shares = np.exp(logits[:, place])
                shares = shares / (shares.sum() if kind == "softmax" else 1 + shares)
                wanted = sum(share * part[row, place] for share, part in zip(shares, parts, strict=True))
                np.testing.assert_allclose(found[row, place], wanted, rtol=1e-5, atol=1e-6)

    def test_two_parts_are_a_gate_and_its_rest(self):
        """With a softmax, one vector lies between the parts, dimension by dimension: z and 1 − z of the paper."""
        module = Gate(CNN(), Mean()).build(CONTEXT).eval()
        first, second = torch.randn(4, 8), torch.randn(4, 8)
        found = module.combine([first, second])
        assert (found <= torch.maximum(first, second) + 1e-6).all()
        assert (found >= torch.minimum(first, second) - 1e-6).all()
