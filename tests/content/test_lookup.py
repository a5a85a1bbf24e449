"""A table for a categorical attribute."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
import torch

from lego.content.lookup import Lookup
from lego.contract import Needs
from lego.spec import Context
from lego.testing.content import ContentTests
from lego.testing.suite import build


class TestLookup(ContentTests):
    """What holds for every content operator; codes are below 20."""

    operator = Lookup

    @pytest.fixture
    def context(self, input_width: int) -> Context:
        """With a vocabulary."""
        return Context(
            width=self.width, input_width=input_width, length=1, items=12, item_vocabularies={"genres": 20}
        )


def encode(codes: list[list[int]], **options: Any) -> tuple[Any, torch.Tensor]:
    module = build(
        Lookup(**options), Context(width=3, input_width=3, length=1, item_vocabularies={"genres": 4})
    ).eval()
    tokens = torch.tensor(codes)
    return module, module(tokens, tokens >= 0, Needs()).tensor


def test_several_values_are_their_mean_and_unknown_ones_are_left_out():
    """The oracle is the table itself; code 0 counts for nothing, not as zeros."""
    module, found = encode([[1, 2], [3, 3], [0, 2], [0, 0]])
    table = module.table.weight
    torch.testing.assert_close(
        found, torch.stack([(table[1] + table[2]) / 2, table[3], table[2], torch.zeros(3)])
    )


def test_projection_leaves_nothing_of_what_is_not_there():
    """The bias of the linear layer does not make a view of no value."""
    module, found = encode([[1], [0]], project=True)
    assert not found[1].any()
    torch.testing.assert_close(found[0], torch.relu(module.project[0](module.table.weight[1])))


def test_the_attribute_is_what_a_model_reads():
    """Named, it reads that one whatever the source would read; unnamed, what it is given."""
    assert Lookup("genres").reads_of({"title": 30}) == {"genres": 1}
    assert Lookup().reads_of({"category": 1}) == {"category": 1}
    assert attrs.evolve(Lookup("a"), attribute="b") == Lookup("b")
