from __future__ import annotations

import torch
from torch import nn

from lego.contract import Needs
from lego.sequence.attention import Attention
from lego.sequence.gru import GRU
from lego.spec import Context
from lego.testing import SequenceTests

CONTEXT = Context(width=8, input_width=8, length=5)


class TestAttention(SequenceTests):
    operator = Attention

    def test_equals_torch_with_projection(self):
        """With an output projection and copied weights it is torch's multi-head attention, at every real place."""
        module = Attention(heads=2, projection=True, pool=None).build(CONTEXT).eval()
        own = nn.MultiheadAttention(8, 2, batch_first=True)
        inner = module.attention
        with torch.no_grad():
            own.in_proj_weight.copy_(torch.cat([inner.query.weight, inner.key.weight, inner.value.weight]))
            own.in_proj_bias.zero_()
            own.out_proj.load_state_dict(module.projection.state_dict())
        sequence, mask = torch.randn(3, 5, 8), torch.arange(5) < torch.tensor([[5], [3], [1]])
        wanted, _ = own(sequence, sequence, sequence, key_padding_mask=~mask)
        torch.testing.assert_close(module(sequence, mask, Needs()).tensor[mask], wanted[mask])

    def test_order_counts_with_positions_alone(self):
        """Without positions a history in another order gives the same user, with positions another."""
        sequence, everywhere = torch.randn(1, 5, 8), torch.ones(1, 5, dtype=torch.bool)
        plain, placed = Attention().build(CONTEXT).eval(), Attention(positions=True).build(CONTEXT).eval()
        turned = sequence.flip(1)
        found = [
            module(each, everywhere, Needs()).tensor
            for module in (plain, placed)
            for each in (sequence, turned)
        ]
        torch.testing.assert_close(found[0], found[1])
        assert not torch.allclose(found[2], found[3])

    def test_residual_adds_the_input(self):
        """The difference to the same weights without it is the input."""
        plain = Attention(pool=None).build(CONTEXT).eval()
        added = Attention(pool=None, residual=True).build(CONTEXT).eval()
        added.load_state_dict(plain.state_dict())
        sequence, everywhere = torch.randn(2, 5, 8), torch.ones(2, 5, dtype=torch.bool)
        difference = added(sequence, everywhere, Needs()).tensor - plain(sequence, everywhere, Needs()).tensor
        torch.testing.assert_close(difference, sequence, atol=1e-6, rtol=1e-5)

    def test_heads_that_do_not_divide_the_width_are_told_before_building(self):
        """Where, what and a number that would do, for the inside of a chain too."""
        (problem,) = Attention(heads=3).problems(64, "behavior=Attention(heads=3)")
        assert problem.where == "behavior=Attention(heads=3)"
        assert problem.what == "width 64 does not divide into 3 heads"
        assert "such as 2" in problem.fix
        chain = Attention(heads=5, pool=None) >> GRU(pool=None) >> Attention(heads=7)
        assert [each.where for each in chain.problems(64, "content=…")] == [
            "content=…, parts=Attention(heads=5, pool=None)",
            "content=…, parts=Attention(heads=7)",
        ]
        assert not list(Attention(heads=16).problems(64, "content=…"))
