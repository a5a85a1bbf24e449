from __future__ import annotations

import numpy as np
import pytest
import torch

from lego.contract import Needs, Out
from lego.errors import SpecError
from lego.predictor.dnn import DNN
from lego.spec import Context
from lego.testing import PredictorTests


class TestDNN(PredictorTests):
    specs = (*DNN.examples(), DNN(hidden=()))

    def test_equals_the_formula(self):
        """Layers over [u; v] in numpy."""
        module = DNN(hidden=(5,)).build(Context(width=4, input_width=4, length=5)).eval()
        user, candidates, mask = torch.randn(2, 4), torch.randn(2, 3, 4), torch.ones(2, 3, dtype=torch.bool)
        found = module(Out(user), candidates, mask, Needs()).detach().numpy()
        first, first_bias, last, last_bias = (value.detach().numpy() for value in module.parameters())
        for row in range(2):
            for place in range(3):
                pair = np.concatenate([user[row].numpy(), candidates[row, place].numpy()])
                wanted = last[0] @ np.maximum(first @ pair + first_bias, 0) + last_bias[0]
                assert found[row, place] == pytest.approx(wanted, abs=1e-5)

    def test_a_width_of_nothing_is_refused(self):
        """Every hidden width is at least 1."""
        with pytest.raises(SpecError, match="at least 1 each"):
            DNN(hidden=(4, 0))
