from __future__ import annotations

import numpy as np
import pytest
import torch

from lego.contract import Needs, Out
from lego.predictor.dcn import DCN
from lego.spec import Context
from lego.testing import PredictorTests

CONTEXT = Context(width=4, input_width=4, length=5)


class TestDCN(PredictorTests):
    operator = DCN

    @pytest.mark.parametrize("hidden", [(), (5,)])
    def test_equals_the_formula(self, hidden):
        """x_{l+1} = x_0 (w_l · x_l) + b_l + x_l, joined to the perceptron over x_0, in numpy."""
        module = DCN(cross=3, hidden=hidden).build(CONTEXT).eval()
        for layer in module.cross:
            torch.nn.init.normal_(layer.bias)
        user, candidates, mask = torch.randn(2, 4), torch.randn(2, 3, 4), torch.ones(2, 3, dtype=torch.bool)
        found = module(Out(user), candidates, mask, Needs()).detach().numpy()
        weights = {name: value.detach().numpy() for name, value in module.named_parameters()}
        for row in range(2):
            for place in range(3):
                first = np.concatenate([user[row].numpy(), candidates[row, place].numpy()])
                crossed = first
                for layer in range(3):
                    weight, bias = weights[f"cross.{layer}.weight.weight"][0], weights[f"cross.{layer}.bias"]
                    crossed = first * (weight @ crossed) + bias + crossed
                deep = [
                    np.maximum(weights["deep.layers.0.weight"] @ first + weights["deep.layers.0.bias"], 0)
                    for _ in hidden
                ]
                joined = np.concatenate([crossed, *deep])
                wanted = weights["score.linear.weight"][0] @ joined + weights["score.linear.bias"][0]
                assert found[row, place] == pytest.approx(wanted, abs=1e-4)
