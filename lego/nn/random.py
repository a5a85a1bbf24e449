"""Chance for torch's own initialisers and dropout, which take no generator: a stream of their own, given back afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Everything drawn on the CPU inside follows from `seed`; the stream outside goes on as if nothing had happened."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield
