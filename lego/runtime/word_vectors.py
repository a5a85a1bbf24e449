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
    signs = np.random.default_rng(0).integers(0, 2, (len(vocabulary), WIDTH), dtype=np.int8)
    made = functional.embedding_bag(
        torch.from_numpy(word),
        torch.from_numpy(signs).float() * 2 - 1,
        torch.from_numpy(offsets_of(np.bincount(owner, minlength=len(lengths)))[:-1]),
        mode="sum",
        per_sample_weights=torch.from_numpy(weights).float(),
    )
    found: NDArray[np.float32] = functional.normalize(made, dim=1).numpy()
    return found
