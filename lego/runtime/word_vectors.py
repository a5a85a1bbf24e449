"""Vectors of items by their words, for what compares items where no model does: nothing is learned, no checkpoint is read.

An item is the tf-idf of its words, tf(w) · (1 + log((1 + N) / (1 + N_w))), where N_w of N items have w, made as long as 1. Chance
directions keep its angles in few numbers (Johnson and Lindenstrauss 1984; Achlioptas 2003,
https://doi.org/10.1016/S0022-0000(03)00025-4): a cosine is right on average, and off by about 1 / √WIDTH.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import torch
from torch.nn import functional

from lego.ragged import offsets_of
from lego.scorer.words import words_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lego.data.store import Store

WIDTH: Final = 256
_WORDS: Final = 1 << 14
"""Words whose directions are drawn at a time."""
_PAIRS: Final = 1 << 16
"""Words of items that are summed up at a time, but those of one item are never apart."""


def word_vectors(store: Store) -> NDArray[np.float32] | None:
    """(items + 1, WIDTH), of length 1; zeros for row 0 and for items without words. None where no item has any.

    The words are those of the attributes that the source reads. The same items in another order have the same vectors.
    """
    every, vocabulary = words_of(store, tuple(store.manifest["reads"]))
    if not vocabulary:
        return None
    # Directions by the alphabet, so that which item comes first does not count.
    rank = np.empty(len(vocabulary), np.int64)
    rank[[vocabulary[word] for word in sorted(vocabulary)]] = np.arange(len(vocabulary))
    lengths = np.array([0, *map(len, every)])
    owner = np.repeat(np.arange(len(lengths)), lengths)
    word = rank[np.array([each for words in every for each in words], np.int64)]
    pairs, counts = np.unique(owner * len(vocabulary) + word, return_counts=True)
    owner, word = np.divmod(pairs, len(vocabulary))
    having = np.bincount(word, minlength=len(vocabulary))
    weights = counts * (1 + np.log((1 + len(every)) / (1 + having[word])))
    bags = offsets_of(np.bincount(owner, minlength=len(lengths)))
    signs = _chance(len(vocabulary))
    found = np.zeros((len(lengths), WIDTH), np.float32)
    first = 0
    while first < len(lengths):
        last = max(int(np.searchsorted(bags, bags[first] + _PAIRS, "right")) - 1, first + 1)
        inside = slice(bags[first], bags[last])
        here, place = np.unique(word[inside], return_inverse=True)
        made = functional.embedding_bag(
            torch.from_numpy(place),
            torch.from_numpy(np.unpackbits(signs[here], axis=1)).float() * 2 - 1,
            torch.from_numpy(bags[first:last] - bags[first]),
            mode="sum",
            per_sample_weights=torch.from_numpy(weights[inside]).float(),
        )
        found[first:last] = functional.normalize(made, dim=1).numpy()
        first = last
    return found


def _chance(words: int) -> NDArray[np.uint8]:
    """A direction for each word, a bit for each sign of it; drawn some words at a time, which changes none."""
    generator = np.random.default_rng(0)
    made = np.empty((words, WIDTH // 8), np.uint8)
    for begin in range(0, words, _WORDS):
        end = min(begin + _WORDS, words)
        made[begin:end] = np.packbits(generator.integers(0, 2, (end - begin, WIDTH), dtype=np.int8), axis=1)
    return made
