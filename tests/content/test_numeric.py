"""Numbers as mixtures of bucket vectors."""

from __future__ import annotations

import numpy as np
import torch

from lego.content.numeric import Numeric
from lego.contract import Needs
from lego.spec import Context
from lego.testing.content import ContentTests
from lego.testing.suite import build


class TestNumeric(ContentTests):
    """What holds for every content operator."""

    operator = Numeric


def made(numbers: list[float], buckets: int) -> torch.nn.Module:
    known = np.array([np.nan, *numbers], np.float32)
    return build(Numeric(buckets=buckets), Context(width=2, input_width=2, length=1, numbers=known)).eval()


def test_numbers_between_two_buckets_mix_their_vectors():
    """The oracle is numpy's linear interpolation, one coordinate at a time; beyond the ends the end stands."""
    module = made([0, 1, 2, 3, 10, 20, 30, 100], 4)
    asked = np.array([-5, 0, 1.3, 2.5, 7, 25, 64, 1000], np.float32)
    tokens = torch.from_numpy(asked).unsqueeze(1)
    found = module(tokens, torch.ones_like(tokens, dtype=torch.bool), Needs()).tensor.detach().numpy()
    for place in range(2):
        wanted = np.interp(asked, module.middles.numpy(), module.table.detach().numpy()[:, place])
        np.testing.assert_allclose(found[:, place], wanted, rtol=1e-5, atol=1e-6)


def test_buckets_hold_equally_many_items():
    """Quantiles, so that a long tail does not leave all items in one bucket; missing numbers are not counted."""
    module = made([float("nan"), *range(100), 1e6], 4)
    np.testing.assert_allclose(module.middles.numpy(), [12.5, 37.5, 62.5, 87.5], atol=0.6)


def test_one_number_for_all_is_one_bucket():
    """A constant, and data without any number, still make a vector."""
    for numbers in ([3.0, 3.0], []):
        module = made(numbers, 4)
        tokens = torch.tensor([[3.0], [9.0]])
        assert torch.isfinite(module(tokens, torch.ones_like(tokens, dtype=torch.bool), Needs()).tensor).all()
