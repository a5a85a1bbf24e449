"""Dice, the data-adaptive activation (Zhou et al. 2018, https://arxiv.org/abs/1706.06978, equation 3)."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from lego.nn.score import Score


class Dice(nn.Module):
    """f(s) = p(s) s + (1 − p(s)) α s with p(s) = sigmoid((s − E[s]) / sqrt(Var[s] + ε)), ε = 1e-8.

    In training the mean and the variance of each unit are those of the batch's real places; the running ones that
    evaluation reads move by a tenth at each step, as in batch normalisation.
    """

    mean: Tensor
    variance: Tensor

    def __init__(self, width: int, momentum: float = 0.1, epsilon: float = 1e-8) -> None:
        super().__init__()
        self.momentum = momentum
        self.epsilon = epsilon
        self.alpha = nn.Parameter(torch.zeros(width))
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("variance", torch.ones(width))

    def forward(self, units: Tensor, mask: Tensor) -> Tensor:
        """units (..., W), mask (...) -> (..., W)."""
        mean, variance = self._measure(units.float(), mask) if self.training else (self.mean, self.variance)
        gate = torch.sigmoid((units.float() - mean) * torch.rsqrt(variance + self.epsilon)).to(units.dtype)
        return units * (gate + (1 - gate) * self.alpha.to(units.dtype))

    def _measure(self, units: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        real = mask.unsqueeze(-1)
        count = mask.sum()
        places = tuple(range(mask.ndim))
        mean = units.masked_fill(~real, 0).sum(places) / count.clamp(min=1)
        variance = (units - mean).masked_fill(~real, 0).square().sum(places) / count.clamp(min=1)
        with torch.no_grad():
            # A batch without real places teaches nothing; one real place has no variance to speak of.
            step = self.momentum * (count > 1)
            unbiased = variance * count / (count - 1).clamp(min=1)
            self.mean.lerp_(mean, step)
            self.variance.lerp_(unbiased, step)
        return mean, variance


class DiceScore(nn.Module):
    """A perceptron whose activation is Dice, and the score behind it."""

    def __init__(self, input_width: int, hidden: tuple[int, ...], dropout: float) -> None:
        super().__init__()
        sizes = [input_width, *hidden]
        self.layers = nn.ModuleList(nn.Linear(*each) for each in pairwise(sizes))
        self.dice = nn.ModuleList(Dice(each) for each in hidden)
        self.dropout = nn.Dropout(dropout)
        self.score = Score(sizes[-1])

    def forward(self, vectors: Tensor, mask: Tensor) -> Tensor:
        """vectors (B, C, W), mask (B, C) -> (B, C), float32."""
        for layer, dice in zip(self.layers, self.dice, strict=True):
            vectors = self.dropout(dice(layer(vectors), mask))
        return self.score(vectors)
