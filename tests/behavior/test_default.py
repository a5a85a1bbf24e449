from __future__ import annotations

import pytest
import torch

from lego.behavior.default import Default
from lego.behavior.history import History
from lego.behavior.lstur import LSTUR
from lego.behavior.poly_attention import PolyAttention
from lego.behavior.target_attention import TargetAttention
from lego.contract import Form, Need, Needs
from lego.errors import SpecError
from lego.sequence.attention import Attention
from lego.sequence.mean import Mean
from lego.spec import Context, any_of
from lego.testing import BehaviorTests

CONTEXT = Context(width=4, input_width=4, length=3, users=5)
MASK = torch.tensor([[True, True, True], [False, False, False]])


class TestDefault(BehaviorTests):
    specs = (*Default.examples(), Default(Mean()), Default(TargetAttention(heads=2)))

    def test_only_users_without_history_change(self):
        """They get the learned vector in the place of zeros, as a vector and for each interest."""
        for op in (Mean(), PolyAttention(interests=2, hidden=3)):
            module = Default(op).build(CONTEXT).eval()
            history = torch.randn(2, 3, 4)
            found, plain = module(history, MASK, Needs()).tensor, module.op(history, MASK, Needs()).tensor
            assert torch.equal(found[0], plain[0])
            assert not plain[1].any()
            assert torch.equal(found[1], module.default.vector.expand_as(found[1]))

    def test_what_is_known_without_history_stays(self):
        """Two users without history are two users where the operator knows who they are."""
        module = Default(LSTUR(hidden=4)).build(CONTEXT).eval()
        found = module(torch.zeros(2, 3, 4), MASK & False, Needs(user=torch.tensor([1, 2]))).tensor
        torch.testing.assert_close(found, module.op.users.weight[[1, 2]] + module.default.vector)

    def test_is_like_what_it_wraps(self):
        """Needs and form are those of its operator, and what that one is not built for is told."""
        assert Default(LSTUR()).needs == {Need.USER}
        assert Default(TargetAttention()).gives is Form.PER_CANDIDATE
        (problem,) = Default(Attention(heads=3)).problems(64, "behavior=…")
        assert problem.where == "behavior=…, op=Attention(heads=3)"

    def test_a_sequence_has_no_place_for_it(self):
        """So an operator that gives one is refused, as one of several choices too."""
        for op in (History(), any_of(Mean(), History())):
            with pytest.raises(
                SpecError, match=r"History\(\) gives sequence \(B, S, D\), which has no place for a default"
            ):
                Default(op)
