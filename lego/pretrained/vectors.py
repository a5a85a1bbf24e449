"""A vector of each text: a pool over the hidden states of a language model, of whichever layer.

Sentence vectors are the mean in Reimers and Gurevych 2019, https://arxiv.org/abs/1908.10084; models that write on have read the
whole text at its last token alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
import torch

from lego.errors import CheckpointError
from lego.pretrained.families import shape_of
from lego.pretrained.layers import Frozen, Layers, Split
from lego.pretrained.model import LanguageModel, load
from lego.ragged import Ragged

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from lego.spec import Checkpoint

Pooling = Literal["mean", "cls", "last"]
"""Of the states of a text: their mean, the first one, the last one."""

POOLINGS: tuple[str, ...] = get_args(Pooling)

PAGE_TOKENS = 16_384
"""Tokens of a call of the model, padding included."""


def layers_below(checkpoint: Checkpoint, layer: int | None = None) -> Layers:
    """What is frozen for the states behind `layer` layers: the final ones unless given; negative numbers count from the top.

    Layers count as `split` counts them: the states are those that `split(layer)` keeps, and those of all layers are the final
    ones. CheckpointError where there is no such layer.
    """
    if layer is None:
        return Frozen()
    count = shape_of(checkpoint).layers
    if not -count <= layer <= count:
        what = f"it has {count} layers, so there are no states behind {layer} of them"
        raise CheckpointError(checkpoint.name, what, f"choose a layer from -{count} to {count}")
    return Frozen() if layer == count else Split(layer)


def reader(checkpoint: Checkpoint, layers: Layers | None = None) -> LanguageModel:
    """The model, whose `lower` gives the states below what learns; CheckpointError where the weights cannot be had."""
    return load(checkpoint, layers or Frozen()).eval()


def pooled(states: Tensor, mask: Tensor, pool: str) -> Tensor:
    """states (n, L, H), mask (n, L) -> (n, H) float32; zeros for a row without a token."""
    states, count = states.float(), mask.sum(1)
    if pool == "mean":
        return (states * mask.unsqueeze(-1)).sum(1) / count.clamp(min=1).unsqueeze(-1)
    place = (count - 1).clamp(min=0) if pool == "last" else torch.zeros_like(count)
    found = states[torch.arange(len(states), device=states.device), place]
    return found * (count > 0).unsqueeze(-1)


def encode(
    model: LanguageModel,
    tokens: Ragged,
    pool: str,
    *,
    told: Callable[[int], None] | None = None,
) -> NDArray[np.float32]:
    """tokens (n rows) -> (n, H), zeros for a row without tokens; `told` hears how many rows more are done."""
    found: NDArray[np.float32] | None = None
    for rows in _pages(tokens.lengths):
        page = _page(model, tokens.take(rows), pool)
        if found is None:
            found = np.zeros((len(tokens), page.shape[1]), np.float32)
        found[rows] = page
        if told is not None:
            told(len(rows))
    if found is None:  # not a single token: the model itself is asked for its width
        one = Ragged.from_lengths(np.zeros(1, np.int32), np.ones(1, np.int64))
        found = np.zeros((len(tokens), _page(model, one, pool).shape[1]), np.float32)
    return found


def _pages(lengths: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    """The rows that have tokens, longest first, so many at a time as the page takes."""
    order = np.argsort(-lengths, kind="stable")
    order = order[: int((lengths > 0).sum())]
    place = 0
    while place < len(order):
        rows = order[place : place + max(1, PAGE_TOKENS // int(lengths[order[place]]))]
        place += len(rows)
        yield rows


def _page(model: LanguageModel, tokens: Ragged, pool: str) -> NDArray[np.float32]:
    table, mask = tokens.padded()
    device = model.base.device
    real = torch.from_numpy(mask).to(device)
    with torch.inference_mode():
        states = model.lower(torch.from_numpy(table.astype(np.int64)).to(device), real)
        vectors: NDArray[np.float32] = pooled(states, real, pool).cpu().numpy()
    return vectors
