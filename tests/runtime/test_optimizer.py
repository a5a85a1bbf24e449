"""The optimiser: of torch where gradients are dense; of tables, the touched rows."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from lego import Attention, Training, compile  # noqa: A004
from lego.runtime.optimizer import TouchedAdamW, clip_gradients, make_optimizer


class Words(nn.Module):
    """A table and a layer, as small as a text model can be."""

    def __init__(self, *, sparse: bool) -> None:
        super().__init__()
        self.table = nn.Embedding(7, 4, padding_idx=0, sparse=sparse)
        self.layer = nn.Linear(4, 3)

    def forward(self, rows):
        """rows (n,) -> a loss."""
        return (self.layer(self.table(rows)) ** 2).sum()


def pair(**options):
    """The same weights under AdamW and under the rows that are touched."""
    torch.manual_seed(3)
    dense = Words(sparse=False)
    sparse = copy.deepcopy(dense)
    sparse.table.sparse = True
    return (
        (dense, torch.optim.AdamW(dense.parameters(), lr=0.05, **options)),
        (sparse, TouchedAdamW(sparse.parameters(), lr=0.05, **options)),
    )


def trained(model, optimizer, steps):
    """The weights after the steps, each with the rows it reads."""
    for rows in steps:
        model(torch.tensor(rows)).backward()
        optimizer.step()
        optimizer.zero_grad()
    return model.state_dict()


@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_where_all_rows_are_read_it_is_adamw(decay):
    """Repeated rows are summed; padding has no gradient, and is left alone by both where nothing decays."""
    steps = [[0, 1, 2, 3, 4, 5, 6, 3], [6, 5, 4, 3, 2, 1], [1, 1, 2, 3, 4, 5, 6]]
    (dense, its), (sparse, theirs) = pair(weight_decay=decay)
    wanted, found = trained(dense, its, steps), trained(sparse, theirs, steps)
    for name, value in wanted.items():
        rows = slice(1, None) if name == "table.weight" else slice(None)
        torch.testing.assert_close(found[name][rows], value[rows], rtol=1e-6, atol=1e-7)


def test_a_row_that_is_not_read_keeps_its_value():
    """AdamW moves it on by what it remembers; here it waits, its running means as they were."""
    (dense, its), (sparse, theirs) = pair(weight_decay=0.1)
    trained(dense, its, [[1, 2]]), trained(sparse, theirs, [[1, 2]])
    before = sparse.table.weight[2].clone(), theirs.state[sparse.table.weight]["exp_avg"][2].clone()
    kept = dense.table.weight[2].clone()
    trained(dense, its, [[1, 3]]), trained(sparse, theirs, [[1, 3]])
    assert torch.equal(sparse.table.weight[2], before[0])
    assert torch.equal(theirs.state[sparse.table.weight]["exp_avg"][2], before[1])
    assert not torch.equal(dense.table.weight[2], kept)
    torch.testing.assert_close(sparse.table.weight[1], dense.table.weight[1])


def test_sparse_gradients_are_clipped_like_dense_ones():
    """The norm counts repeated rows once, summed, and is that of tables and layers together."""
    (dense, _), (sparse, _) = pair()
    for model in (dense, sparse):
        model(torch.tensor([1, 1, 5])).backward()
        clip_gradients(model.parameters(), 0.5)
    norm = sum(float((each.grad**2).sum()) for each in dense.parameters()) ** 0.5
    assert norm == pytest.approx(0.5, rel=1e-5)
    for theirs, mine in zip(dense.parameters(), sparse.parameters(), strict=True):
        torch.testing.assert_close(mine.grad.to_dense(), theirs.grad)


def test_the_tables_of_a_model_are_found(small):
    """Asked for, each table that learns gives a sparse gradient; else none does."""
    for tables, expected in (("touched", True), ("all", False)):
        pipeline = compile(small(content=Attention(heads=2))).pipeline
        made = make_optimizer(pipeline, Training(tables=tables))
        assert isinstance(made, TouchedAdamW) is expected
        found = [each.sparse for each in pipeline.modules() if isinstance(each, nn.Embedding)]
        assert found
        assert set(found) == {expected}
