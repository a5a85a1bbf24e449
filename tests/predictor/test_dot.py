from __future__ import annotations

import torch

from lego.contract import Needs, Out
from lego.predictor.dot import Dot
from lego.spec import Context
from lego.testing import PredictorTests


class TestDot(PredictorTests):
    operator = Dot

    def test_is_the_inner_product(self):
        """One user against each candidate, and a user per candidate against its own."""
        module = Dot().build(Context(width=4, input_width=4, length=5))
        user, candidates, mask = torch.randn(2, 4), torch.randn(2, 3, 4), torch.ones(2, 3, dtype=torch.bool)
        wanted = torch.einsum("bd,bcd->bc", user, candidates)
        torch.testing.assert_close(module(Out(user), candidates, mask, Needs()), wanted)
        wanted = torch.einsum("bcd,bcd->bc", candidates.flip(0), candidates)
        torch.testing.assert_close(module(Out(candidates.flip(0)), candidates, mask, Needs()), wanted)
