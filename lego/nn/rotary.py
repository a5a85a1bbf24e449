"""Rotary positions (Su et al. 2021, https://arxiv.org/abs/2104.09864, equation 34)."""

from __future__ import annotations

import torch
from torch import Tensor


def rotated(vectors: Tensor, base: float = 10000.0) -> Tensor:
    """vectors (..., S, E), E even -> the same, the pair (i, i + E/2) of place s turned by the angle s · base^(−2i/E).

    The inner product of two places then depends on how far they are apart, not on where they are.
    """
    half = vectors.size(-1) // 2
    place = torch.arange(vectors.size(-2), device=vectors.device, dtype=torch.float32)
    speed = base ** (-torch.arange(half, device=vectors.device, dtype=torch.float32) / half)
    angle = place[:, None] * speed  # (S, E / 2)
    cosine, sine = angle.cos().to(vectors.dtype), angle.sin().to(vectors.dtype)
    first, second = vectors[..., :half], vectors[..., half:]
    return torch.cat([first * cosine - second * sine, second * cosine + first * sine], -1)
