from __future__ import annotations

import pytest
import torch
from torch import nn

from lego.behavior.poly_attention import PolyAttention
from lego.behavior.user_attributes import UserAttributes
from lego.contract import Form, Need, Needs, Out
from lego.errors import SpecError
from lego.nn.masked import masked_mean
from lego.sequence.attention import Attention
from lego.sequence.gru import GRU
from lego.sequence.mean import Mean
from lego.sequence.positions import Positions
from lego.spec import Behavior, Context, any_of, operator
from lego.testing import BehaviorTests, SequenceTests

CONTEXT = Context(width=8, input_width=6, length=5)


@operator
class Aware(Behavior):
    """A user for each candidate: their product."""

    @property
    def needs(self):
        return frozenset({Need.CANDIDATES})

    @property
    def gives(self):
        return Form.PER_CANDIDATE

    def build(self, context):
        return _Aware(context.input_width, context.width)


class _Aware(nn.Module):
    def __init__(self, input_width, width):
        super().__init__()
        self.linear = nn.Linear(input_width, width)

    def forward(self, history, mask, candidates, candidate_mask, needs):
        return Out(self.linear(masked_mean(history, mask)).unsqueeze(1) * candidates)


class TestPositions(SequenceTests):
    operator = Positions

    def test_equals_adding_them_by_hand(self):
        """What stands inside reads the input with a vector added to each real place."""
        for backwards in (False, True):
            module = Positions(Mean(), backwards=backwards).build(CONTEXT).eval()
            sequence, mask = torch.randn(2, 4, 6), torch.tensor([[True] * 4, [True] * 2 + [False] * 2])
            places = [[3, 2, 1, 0], [1, 0, 4, 4]] if backwards else [[0, 1, 2, 3]] * 2
            wanted = module.op(sequence + module.positions.table[torch.tensor(places)], mask, Needs()).tensor
            torch.testing.assert_close(module(sequence, mask, Needs()).tensor, wanted)

    def test_order_counts(self):
        """An operator that does not know the order does inside."""
        sequence, everywhere = torch.randn(1, 4, 6), torch.ones(1, 4, dtype=torch.bool)
        for spec, same in ((Attention(), True), (Positions(Attention()), False)):
            module = spec.build(CONTEXT).eval()
            found = [module(each, everywhere, Needs()).tensor for each in (sequence, sequence.flip(1))]
            assert torch.allclose(*found, atol=1e-5) is same

    def test_is_what_stands_inside_in_all_else(self):
        """Form, needs and attributes are those of the operator inside, whatever it gives."""
        spec = Positions(UserAttributes(attributes=("age",)))
        assert (spec.needs, spec.user_attributes) == ({Need.PROFILE}, ("age",))
        assert Positions(PolyAttention()).gives is Form.INTERESTS
        assert Positions(GRU(pool=None)).gives is Form.SEQUENCE
        assert Positions(Aware()).needs == {Need.CANDIDATES}

    def test_stands_in_a_chain(self):
        """On either side of >>."""
        assert (Positions(Attention(pool=None)) >> GRU()).gives is Form.VECTOR
        assert (GRU(pool=None) >> Positions(Attention())).gives is Form.VECTOR

    def test_a_choice_inside_has_no_form_yet(self):
        """It describes several models."""
        with pytest.raises(SpecError, match="several models"):
            _ = Positions(any_of(GRU(), Mean())).gives


class TestPositionsOfInterests(BehaviorTests):
    specs = (Positions(PolyAttention(interests=2, hidden=5)),)


class TestPositionsOfCandidateAware(BehaviorTests):
    specs = (Positions(Aware(), backwards=True),)

    def test_text_round_trip(self, spec):
        """A double is not in the catalog, so no text names it."""

    def test_json_round_trip(self, spec):
        """Nor does a record."""
