from __future__ import annotations

import torch

from lego.contract import Needs, Out
from lego.predictor.bilinear import Bilinear
from lego.spec import Context
from lego.testing import PredictorTests

CONTEXT = Context(width=4, input_width=4, length=5)
MASK = torch.ones(2, 3, dtype=torch.bool)


class TestBilinear(PredictorTests):
    operator = Bilinear

    def test_is_the_bilinear_form_of_torch(self):
        """torch's own `bilinear` with the same matrix, for a user and for a user per candidate."""
        module = Bilinear().build(CONTEXT)
        torch.nn.init.normal_(module.weight)
        user, candidates = torch.randn(2, 3, 4), torch.randn(2, 3, 4)
        weight = module.weight.unsqueeze(0)
        wanted = torch.nn.functional.bilinear(user, candidates, weight).squeeze(-1)
        torch.testing.assert_close(module(Out(user), candidates, MASK, Needs()), wanted)
        user = user[:, :1].expand(2, 3, 4).contiguous()
        wanted = torch.nn.functional.bilinear(user, candidates, weight).squeeze(-1)
        torch.testing.assert_close(module(Out(user[:, 0]), candidates, MASK, Needs()), wanted)

    def test_it_begins_as_the_inner_product(self):
        """W is the identity until something is learned."""
        user, candidates = torch.randn(2, 4), torch.randn(2, 3, 4)
        found = Bilinear().build(CONTEXT)(Out(user), candidates, MASK, Needs())
        torch.testing.assert_close(found, torch.einsum("bd,bcd->bc", user, candidates))
