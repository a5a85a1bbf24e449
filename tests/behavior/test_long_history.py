from __future__ import annotations

import pytest
import torch

from lego.behavior.long_history import LongHistory, most
from lego.behavior.target_attention import TargetAttention
from lego.contract import Need, Needs
from lego.nn import blocks
from lego.spec import Context
from lego.testing import BehaviorTests

CONTEXT = Context(width=8, input_width=8, length=9)
LENGTHS = (9, 4, 0)
MASK = torch.arange(9) < torch.tensor(LENGTHS)[:, None]
EVERYONE = torch.ones(3, 5, dtype=torch.bool)
CATEGORIES = Needs(
    history={
        "category": torch.tensor([[1, 2, 1, 3, 1, 2, 2, 1, 3], [2, 3, 3, 2] + [0] * 5, [0] * 9]).unsqueeze(-1)
    },
    candidates={"category": torch.tensor([[[1, 0], [2, 3], [4, 0], [0, 0], [3, 0]]]).expand(3, -1, -1)},
)


class TestLongHistoryByCategory(BehaviorTests):
    specs = tuple(each for each in LongHistory.examples() if each.select == "category")

    @pytest.fixture
    def context(self, input_width):
        """All items of the inputs are of the one category there is, so that candidates find clicks."""
        return Context(
            width=8, input_width=input_width, length=8, items=12, users=5, item_vocabularies={"category": 2}
        )


def wanted_clicks(spec, module, history, candidates, row, column, k):
    """The clicks of a user that a candidate looks at, chosen one by one in Python."""
    clicks = range(LENGTHS[row])
    v = candidates[row, column]
    if spec.select == "similarity":
        fit = {s: float(v @ history[row, s]) for s in clicks}
    elif spec.select == "hash":
        signs = [(each @ module.projection) > 0 for each in (v, *history[row])]
        fit = {s: int((signs[0] == signs[s + 1]).sum()) for s in clicks}
    else:
        own = set(CATEGORIES.candidates["category"][row, column].tolist()) - {0}
        fit = {s: 0 for s in clicks if int(CATEGORIES.history["category"][row, s]) in own}
    return sorted(fit, key=lambda s: (fit[s], s))[-k:]


class TestLongHistory(BehaviorTests):
    specs = tuple(each for each in LongHistory.examples() if each.select != "category")

    @pytest.mark.parametrize("block", [blocks.BLOCK, 1])
    @pytest.mark.parametrize("select", ["similarity", "hash", "category"])
    def test_is_target_attention_over_the_chosen_clicks(self, select, block, monkeypatch):
        """Chosen one by one in Python; a candidate that no click fits has the learned vector."""
        monkeypatch.setattr(blocks, "BLOCK", block)
        spec = LongHistory(select=select, k=3, heads=2, bits=6)
        module = spec.build(CONTEXT).eval()
        plain = TargetAttention(heads=2).build(CONTEXT).eval()
        plain.layer.load_state_dict(module.layer.state_dict())
        history, candidates = torch.randn(3, 9, 8), torch.randn(3, 5, 8)
        found = module(history, MASK, candidates, EVERYONE, CATEGORIES).tensor
        empty = 0
        for row in range(3):
            for column in range(5):
                chosen = wanted_clicks(spec, module, history, candidates, row, column, 3)
                empty += not chosen
                one = candidates[row : row + 1, column : column + 1]
                padded = torch.cat([history[row, chosen], torch.zeros(1, 8)]).unsqueeze(0)
                real = torch.arange(len(chosen) + 1).unsqueeze(0) < len(chosen)
                wanted = plain(padded, real, one, EVERYONE[:1, :1], Needs()).tensor[0, 0]
                torch.testing.assert_close(found[row, column], wanted)
        assert empty == (10 if select == "category" else 5)

    def test_with_room_for_all_it_is_target_attention(self):
        """k beyond the history chooses every click."""
        module = LongHistory(k=20, heads=2).build(CONTEXT).eval()
        plain = TargetAttention(heads=2).build(CONTEXT).eval()
        plain.layer.load_state_dict(module.layer.state_dict())
        inputs = (torch.randn(3, 9, 8), MASK, torch.randn(3, 5, 8), EVERYONE, Needs())
        torch.testing.assert_close(module(*inputs).tensor, plain(*inputs).tensor)

    def test_needs_attributes_only_where_categories_choose(self):
        """And names the category then."""
        assert LongHistory().needs == {Need.CANDIDATES}
        assert LongHistory().item_attributes == ()
        assert LongHistory(select="category").needs == {Need.CANDIDATES, Need.ATTRIBUTES}
        assert LongHistory(select="category", category="genre").item_attributes == ("genre",)

    def test_most_never_chooses_padding(self):
        """However well it would fit."""
        fit = torch.tensor([[1.0, 2.0, 3.0, 99.0]])
        real = torch.tensor([[True, True, True, False]])
        assert most(fit, real, 2).tolist() == [[False, True, True, False]]
        assert most(fit, real, 9).tolist() == [[True, True, True, False]]
