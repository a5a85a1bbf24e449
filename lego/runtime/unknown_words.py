"""New items of which the vocabulary of a run knows no word."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lego.contract import Reads
from lego.data.text import encode_items
from lego.runtime.extend import TEXT_PAGE

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from lego.compiler.assemble import Compiled


def without_known_words(compiled: Compiled, new: pa.Table) -> int:
    """How many lines of `new` have words or values, and none that the model knows; 0 where it reads them in another way too."""
    fed = [each for each in compiled.fed.values() if each.leaf.spec.reads is not Reads.ROWS]
    read = [
        (each.leaf.reads, None if each.leaf.encoder is None else compiled.encoders[each.leaf.encoder])
        for each in fed
    ]
    knows = [getattr(encoder, "knows", None) for _, encoder in read]
    if None in knows:
        return 0
    found = 0
    for at in range(0, new.num_rows, TEXT_PAGE):
        page = new.slice(at, TEXT_PAGE)
        filled, known = np.zeros((2, page.num_rows), np.bool_)
        for (reads, encoder), tells in zip(read, knows, strict=True):
            assert encoder is not None  # what is None tells nothing
            assert tells is not None
            tokens = encode_items(page, reads, encoder)
            filled |= tokens.lengths > 0
            inside: NDArray[np.bool_] = tells(tokens.values)
            known |= (
                np.bincount(
                    np.repeat(np.arange(page.num_rows), tokens.lengths)[inside], minlength=page.num_rows
                )
                > 0
            )
        found += int((filled & ~known).sum())
    return found
