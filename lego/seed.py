"""Chance, handed out in separate streams, so that drawing more of one never moves another. No global seed is set for good."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


def stream(seed: int, *path: str | int) -> np.random.SeedSequence:
    """The stream of a purpose: `stream(7, "negatives", epoch)`. The same words give the same stream, whatever else is drawn."""
    words = [zlib.crc32(each.encode()) if isinstance(each, str) else each for each in path]
    return np.random.SeedSequence(entropy=seed, spawn_key=tuple(words))


def numpy_generator(seed: int, *path: str | int) -> np.random.Generator:
    """A numpy generator of a stream."""
    return np.random.Generator(np.random.PCG64(stream(seed, *path)))


def torch_seed(seed: int, *path: str | int) -> int:
    """A seed for torch of a stream."""
    return int(stream(seed, *path).generate_state(1, np.uint64)[0] >> np.uint64(1))


def torch_generator(seed: int, *path: str | int) -> torch.Generator:
    """A torch generator of a stream."""
    return torch.Generator().manual_seed(torch_seed(seed, *path))


@contextmanager
def lent(seed: int, *path: str | int) -> Iterator[None]:
    """Lends torch's own generators to a stream, and gives them back as they were.

    torch's initialisers and dropout draw from the global generators only, so these are seeded for the time of the block.
    """
    devices = list(range(torch.cuda.device_count())) if torch.cuda.is_available() else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(torch_seed(seed, *path))
        yield
