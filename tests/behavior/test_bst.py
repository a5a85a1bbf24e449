from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from lego.behavior.bst import BST
from lego.contract import Need, Needs
from lego.nn import blocks
from lego.nn.gaps import buckets
from lego.spec import Context
from lego.testing import BehaviorTests

CONTEXT = Context(width=8, input_width=8, length=6)
LENGTHS = (5, 2, 0)
MASK = torch.arange(5) < torch.tensor(LENGTHS)[:, None]
TIMES = (torch.arange(5).flip(0) * 7000).expand(3, -1).masked_fill(~MASK, 0)
EVERYONE = torch.ones(3, 4, dtype=torch.bool)


def reference(module, layers):
    """torch's own encoder with the weights of the module."""
    own = nn.TransformerEncoder(
        nn.TransformerEncoderLayer(8, 2, 16, 0.0, functional.leaky_relu, batch_first=True),
        layers,
        enable_nested_tensor=False,
    ).eval()
    with torch.no_grad():
        for theirs, ours in zip(own.layers, module.layers, strict=True):
            theirs.self_attn.in_proj_weight.copy_(
                torch.cat([ours.query.weight, ours.key.weight, ours.value.weight])
            )
            theirs.self_attn.in_proj_bias.zero_()
            theirs.self_attn.out_proj.weight.copy_(ours.output.weight)
            theirs.self_attn.out_proj.bias.zero_()
            theirs.linear1.load_state_dict(ours.inner.state_dict())
            theirs.linear2.load_state_dict(ours.outer.state_dict())
            for norm, each in zip((theirs.norm1, theirs.norm2), ours.norms, strict=True):
                norm.load_state_dict(each.state_dict())
    return own


class TestBST(BehaviorTests):
    operator = BST

    @pytest.mark.parametrize("times", [False, True])
    @pytest.mark.parametrize("layers", [1, 2, 3])
    @pytest.mark.parametrize("output", ["candidate", "all"])
    def test_equals_torch_over_history_and_candidate(self, layers, output, times):
        """Each candidate alone before its history, the most recent click first, through torch's own encoder."""
        module = BST(layers=layers, heads=2, feed_forward=2, output=output, times=times).build(CONTEXT).eval()
        nn.init.normal_(module.places.weight)
        history, candidates = torch.randn(3, 5, 8), torch.randn(3, 4, 8)
        found = module(history, MASK, candidates, EVERYONE, Needs(times=TIMES)).tensor
        own = reference(module, layers)
        for row, length in enumerate(LENGTHS):
            clicks = history[row, :length].flip(0)
            for column in range(4):
                sequence = torch.cat([candidates[row, column, None], clicks])
                gaps = torch.cat([torch.zeros(1, dtype=torch.int64), TIMES[row, :length].flip(0)])
                places = buckets(gaps) if times else torch.arange(length + 1)
                wanted = own((sequence + module.places.weight[places]).unsqueeze(0))[0]
                if output == "all":
                    flat = functional.pad(wanted, (0, 0, 0, 6 - length)).flatten()
                    wanted = module.join.weight @ flat + module.join.bias
                else:
                    wanted = wanted[0]
                torch.testing.assert_close(found[row, column], wanted, atol=1e-5, rtol=1e-5)

    @pytest.mark.parametrize("output", ["candidate", "all"])
    def test_blocks_of_candidates_change_nothing(self, output, monkeypatch):
        """A candidate at a time gives what all at once give."""
        module = BST(layers=2, heads=2, output=output).build(CONTEXT).eval()
        history, candidates = torch.randn(3, 5, 8), torch.randn(3, 4, 8)
        wanted = module(history, MASK, candidates, EVERYONE, Needs()).tensor
        monkeypatch.setattr(blocks, "BLOCK", 1)
        torch.testing.assert_close(module(history, MASK, candidates, EVERYONE, Needs()).tensor, wanted)

    def test_needs_times_only_where_it_reads_them(self):
        """And the candidates always."""
        assert BST().needs == {Need.CANDIDATES}
        assert BST(times=True).needs == {Need.CANDIDATES, Need.TIMES}

    def test_heads_that_do_not_divide_the_width_are_told_before_building(self):
        """8 heads divide the default width, 7 do not."""
        assert not list(BST().problems(64, "behavior=BST()"))
        (problem,) = BST(heads=7).problems(64, "behavior=BST(heads=7)")
        assert problem.what == "width 64 does not divide into 7 heads"
