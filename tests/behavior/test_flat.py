from __future__ import annotations

import pytest
import torch

from lego.behavior.flat import Flat
from lego.contract import Needs
from lego.errors import SpecError
from lego.sequence.attention import Attention
from lego.sequence.gru import GRU
from lego.sequence.mean import Mean
from lego.spec import Context, any_of
from lego.testing import BehaviorTests

CONTEXT = Context(width=8, input_width=8, length=3, token_width=6, token_length=7)
SLOTS = torch.tensor([[1, 1, 2, 3, 3, 3, 0], [1, 1, 0, 0, 0, 0, 0], [0] * 7])


class TestFlat(BehaviorTests):
    specs = (*Flat.examples(), Flat(GRU(hidden=6)))

    def test_an_item_begins_with_the_separator(self):
        """The first token of each item has the learned vector added; the rest and the padding do not."""
        module = Flat(Mean()).build(CONTEXT).eval()
        seen = []
        module.op.register_forward_pre_hook(lambda _, inputs: seen.append(inputs))
        tokens = torch.randn(3, 7, 6)
        module(
            torch.randn(3, 3, 8), torch.ones(3, 3, dtype=torch.bool), Needs(tokens=tokens, token_slots=SLOTS)
        )
        ((found, mask, _),) = seen
        added = torch.zeros(3, 7, 1)
        for row, column in ((0, 0), (0, 2), (0, 3), (1, 0)):
            added[row, column] = 1
        assert torch.equal(mask, SLOTS > 0)
        torch.testing.assert_close(found, ((tokens + added * module.separator) * mask.unsqueeze(-1)))

    def test_a_token_looks_at_those_of_other_items(self):
        """Equal to its operator over all tokens of the history at once, from the width of tokens to that of the model."""
        module = Flat(Attention(heads=2, positions=True)).build(CONTEXT).eval()
        tokens = torch.randn(3, 7, 6)
        with torch.no_grad():
            module.separator.zero_()
        found = module(
            torch.randn(3, 3, 8), torch.ones(3, 3, dtype=torch.bool), Needs(tokens=tokens, token_slots=SLOTS)
        )
        torch.testing.assert_close(found.tensor, module.op(tokens, SLOTS > 0, Needs()).tensor)
        assert found.tensor.shape == (3, 8)

    def test_its_operator_gives_one_vector(self):
        """One that gives a sequence has a place per token, which no user has; as one of several choices too."""
        for op in (Attention(pool=None), any_of(Mean(), Attention(pool=None))):
            with pytest.raises(
                SpecError, match=r"gives sequence \(B, S, D\), with a place for each token\. Give it a pool"
            ):
                Flat(op)
