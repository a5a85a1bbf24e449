from __future__ import annotations

import pytest
import torch
from torch import nn

from lego.contract import Needs
from lego.errors import SpecError
from lego.nn.rotary import rotated
from lego.sequence.transformer import Transformer
from lego.spec import Context
from lego.testing import SequenceTests

CONTEXT = Context(width=8, input_width=8, length=6)


def torch_layers(module, *, activation, heads, hidden):
    """torch's own layers with the weights of ours."""
    layer = nn.TransformerEncoderLayer(
        8, heads, hidden, 0.0, activation=activation, batch_first=True, norm_first=True
    )
    own = nn.TransformerEncoder(layer, len(module.layers), norm=nn.LayerNorm(8), enable_nested_tensor=False)
    with torch.no_grad():
        for theirs, ours in zip(own.layers, module.layers, strict=True):
            inner = ours.attention
            for kind in ("weight", "bias"):
                joined = torch.cat([getattr(each, kind) for each in (inner.query, inner.key, inner.value)])
                getattr(theirs.self_attn, f"in_proj_{kind}").copy_(joined)
            theirs.self_attn.out_proj.load_state_dict(ours.projection.state_dict())
            theirs.linear1.load_state_dict(ours.feed_forward[0].state_dict())
            theirs.linear2.load_state_dict(ours.feed_forward[3].state_dict())
            theirs.norm1.load_state_dict(ours.attention_norm.state_dict())
            theirs.norm2.load_state_dict(ours.forward_norm.state_dict())
        own.norm.load_state_dict(module.norm.state_dict())
    return own.eval()


class TestTransformer(SequenceTests):
    operator = Transformer

    @pytest.mark.parametrize("causal", [False, True])
    @pytest.mark.parametrize("activation", ["relu", "gelu"])
    def test_equals_torch(self, activation, causal):
        """With copied weights it is torch's encoder of pre-norm layers over input and positions, at every real place."""
        spec = Transformer(layers=2, heads=2, feed_forward=3, activation=activation, causal=causal, pool=None)
        module = spec.build(CONTEXT).eval()
        for parameter in module.parameters():
            nn.init.normal_(parameter, std=0.3)  # biases too
        own = torch_layers(module, activation=activation, heads=2, hidden=24)
        sequence, mask = torch.randn(3, 5, 8), torch.arange(5) < torch.tensor([[5], [3], [1]])
        wanted = own(
            sequence + module.positions.table[:5],
            mask=torch.ones(5, 5, dtype=torch.bool).triu(1) if causal else None,
            src_key_padding_mask=~mask,
        )
        torch.testing.assert_close(module(sequence, mask, Needs()).tensor[mask], wanted[mask])

    @pytest.mark.parametrize("positions", ["learned", "rotary", None])
    def test_causal_looks_back_only(self, positions):
        """Another last item changes no earlier place; without `causal` it does."""
        sequence, everywhere = torch.randn(1, 5, 8), torch.ones(1, 5, dtype=torch.bool)
        other = sequence.clone()
        other[:, -1] = 3 * torch.randn(8)
        for causal in (True, False):
            spec = Transformer(heads=2, positions=positions, causal=causal, pool=None)
            module = spec.build(CONTEXT).eval()
            found = [module(each, everywhere, Needs()).tensor[:, :-1] for each in (sequence, other)]
            assert torch.allclose(*found, atol=1e-6) is causal

    def test_order_counts_with_positions_alone(self):
        """A history in another order is the same user without positions, another one with either kind."""
        sequence, everywhere = torch.randn(1, 5, 8), torch.ones(1, 5, dtype=torch.bool)
        for positions in ("learned", "rotary", None):
            module = Transformer(heads=2, positions=positions).build(CONTEXT).eval()
            found = [module(each, everywhere, Needs()).tensor for each in (sequence, sequence.flip(1))]
            assert torch.allclose(*found, atol=1e-5) is (positions is None)

    def test_rotary_positions_know_distances_only(self):
        """What each place makes of each other does not depend on how many places stand before both."""
        heads = torch.randn(2, 1, 4, 8)
        later = torch.cat([torch.zeros(2, 1, 2, 8), heads], 2)
        found, shifted = (rotated(query) @ rotated(key).mT for query, key in (heads, later))
        torch.testing.assert_close(shifted[:, 2:, 2:], found, atol=1e-5, rtol=1e-5)

    def test_heads_and_pairs_are_checked_before_building(self):
        """Heads must divide the width; rotary positions want heads of even width. The fix is a number that would do."""
        (problem,) = Transformer(heads=3).problems(64, "behavior=…")
        assert problem.what == "width 64 does not divide into 3 heads"
        assert "such as 2" in problem.fix
        (problem,) = Transformer(heads=8, positions="rotary").problems(8, "behavior=…")
        assert problem.what == "width 8 does not divide into 8 heads of even width"
        assert "such as 4" in problem.fix
        (problem,) = Transformer(heads=1, positions="rotary").problems(7, "behavior=…")
        assert problem.fix == "change Recommender(width=…)"
        assert not list(Transformer(positions="rotary").problems(64, "behavior=…"))

    @pytest.mark.parametrize(
        "options", [{"layers": 0}, {"heads": 0}, {"positions": "sinus"}, {"dropout": 1.0}]
    )
    def test_wrong_values_are_refused(self, options):
        """No layers, no heads, positions of an unknown kind, a dropout that leaves nothing."""
        with pytest.raises(SpecError, match=next(iter(options))):
            Transformer(**options)
