from __future__ import annotations

import torch
from torch import nn

from lego.nn.dice import Dice


def both(width: int = 4) -> tuple[Dice, nn.BatchNorm1d]:
    """Dice, and torch's own way to its statistics."""
    return Dice(width), nn.BatchNorm1d(width, eps=1e-8, affine=False)


def test_equals_the_formula_over_batch_normalisation():
    """f(s) = p s + (1 − p) α s with p the sigmoid of the normalised s, in training and in evaluation."""
    dice, norm = both()
    nn.init.uniform_(dice.alpha)
    units = torch.randn(50, 4) * 3 + 1
    for _ in range(3):
        gate = torch.sigmoid(norm(units))
        wanted = gate * units + (1 - gate) * dice.alpha * units
        torch.testing.assert_close(dice(units, torch.ones(50, dtype=torch.bool)), wanted)
    torch.testing.assert_close(dice.mean, norm.running_mean)
    torch.testing.assert_close(dice.variance, norm.running_var)
    dice.eval()
    norm.eval()
    gate = torch.sigmoid(norm(units))
    wanted = gate * units + (1 - gate) * dice.alpha * units
    torch.testing.assert_close(dice(units, torch.ones(50, dtype=torch.bool)), wanted)


def test_padding_is_in_no_statistic():
    """Real places are normalised by real places alone; what stands at padding is not seen."""
    dice, norm = both()
    units = torch.randn(3, 5, 4)
    mask = torch.arange(5) < torch.tensor([[5], [2], [0]])
    found = dice(torch.where(mask.unsqueeze(-1), units, 1e4), mask)[mask]
    torch.testing.assert_close(found, units[mask] * torch.sigmoid(norm(units[mask])))
    torch.testing.assert_close(dice.variance, norm.running_var)


def test_a_batch_without_real_places_teaches_nothing():
    """Statistics stay as they are, and the output is finite, with a single real place too."""
    dice, _ = both()
    for count in (0, 1):
        mask = torch.arange(3) < count
        found = dice(torch.randn(3, 4), mask)
        assert torch.isfinite(found).all()
        assert dice.mean.tolist() == [0] * 4
        assert dice.variance.tolist() == [1] * 4
