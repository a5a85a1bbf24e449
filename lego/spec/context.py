"""`Context`: what an operator is told when it is built."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

    from lego.data.store import Store
    from lego.spec.slots import Encoder


@attrs.frozen(kw_only=True, eq=False)
class Context:
    """What an operator is told when it is built: plain values, and chance."""

    width: int
    """D, the width of items and users; what the operator gives."""
    input_width: int
    """Width of the vectors it reads: of the tokens in the content slot, D behind it."""
    length: int
    """The longest sequence it will read: tokens of an item, or history slots."""
    numbers: NDArray[np.float32] | None = None
    """With `Reads.NUMBERS`: the number of each item row, NaN where there is none; None where only shapes are wanted."""
    token_width: int = 0
    """W, the width of the token vectors that Need.TOKENS hands over; 0 where the model has none."""
    token_length: int = 0
    """T, the most tokens that a whole history can have; 0 where the model has none."""
    items: int = 0
    """Rows of the item table, row 0 (never an item) included."""
    users: int = 0
    """Users that the train part has, and one more: user 0 is one that it does not have."""
    item_vocabularies: Mapping[str, int] = attrs.field(factory=dict)
    """Values of each categorical attribute of the items, 0 included; of those that an operator of the model asks for."""
    user_vocabularies: Mapping[str, int] = attrs.field(factory=dict)
    """The same of the users."""
    impression_vocabularies: Mapping[str, int] = attrs.field(factory=dict)
    """The same of the impressions, all of their categorical attributes, where an operator asks for these."""
    store: Store | None = None
    """The prepared data, for operators that read more of it than tokens (ready-made vectors)."""
    encoder: Encoder | None = None
    """The tokenizer that made the token ids, where there is one."""
    generator: torch.Generator | None = None
    """Chance for what is drawn by hand; torch's own initialisers draw from a stream that the compiler seeds."""
    weights: bool = True
    """False where only shapes are wanted: a pretrained operator then makes its module without loading weights."""
