from __future__ import annotations

import torch

from lego.content.item_id import ItemID
from lego.contract import Needs, Reads
from lego.spec import Context
from lego.testing import ContentTests


class TestItemID(ContentTests):
    operator = ItemID

    def test_row_zero_is_no_item(self):
        """Padding, as row or as mask, gives zeros, and no gradient moves it."""
        module = ItemID().build(Context(width=4, input_width=4, length=1, items=5))
        rows, mask = torch.tensor([[0], [3], [4]]), torch.tensor([[True], [True], [False]])
        found = module(rows, mask, Needs()).tensor
        assert not found[[0, 2]].any()
        assert found[1].any()
        found.sum().backward()
        assert module.table.weight.grad.any(1).tolist() == [False, False, False, True, False]

    def test_reads_rows(self):
        """It is fed with item rows, one vector for each row of the table."""
        assert ItemID().reads is Reads.ROWS
        assert ItemID().build(Context(width=4, input_width=4, length=1, items=5)).table.weight.shape == (5, 4)
