"""The lowest part of a language model: its tokenizer and its token embeddings, without a layer above them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import attrs
import pyarrow as pa
from torch import nn

from lego.errors import CheckpointError, Problem
from lego.pretrained.checkpoint import resolve
from lego.pretrained.families import shape_of
from lego.pretrained.table import frozen_table, table_shape, token_table
from lego.pretrained.tokenizer import PretrainedEncoder
from lego.spec import PATH_IF_THERE, Context, Tokens, operator


@operator
class PretrainedTokens(Tokens):
    """Token ids and vectors of a language model, for content operators that read vectors; W is the width of its table.

    `checkpoint` is a folder, a hub id, or the name of one that an installed package ships. Only the table is read from its
    weights. The vectors stay as they are, and a run keeps their hash in place of them, unless `trainable=True`. W need not be
    the model's width: every operator that reads them has a layer that learns and maps them to that width.
    """

    checkpoint: str = attrs.field(kw_only=False, metadata=PATH_IF_THERE)
    trainable: bool = False

    def fit(self, columns: Mapping[str, pa.ChunkedArray]) -> PretrainedEncoder:
        """The checkpoint's tokenizer; the columns change nothing."""
        return PretrainedEncoder.of(resolve(self.checkpoint))

    def load(self, folder: Path) -> PretrainedEncoder:
        """The tokenizer that was saved."""
        return PretrainedEncoder.read(folder)

    def width(self, width: int) -> int:
        """That of the table."""
        return table_shape(resolve(self.checkpoint))[1]

    def problems(self, context_width: int, where: str) -> Iterator[Problem]:
        """Whether the checkpoint can be had; reads config.json, no weight."""
        try:
            shape_of(resolve(self.checkpoint, download=False))
        except CheckpointError as error:
            found = error.problem
            yield Problem(where, f"{found.where}: {found.what}", found.fix)
        yield from super().problems(context_width, where)

    def build(self, context: Context) -> nn.Module:
        """ids (N, L) → vectors (N, L, W).

        No row of it is set aside for padding: in many vocabularies id 0 is a token like any other, and the mask tells padding.
        """
        checkpoint = resolve(self.checkpoint)
        rows, width = table_shape(checkpoint)
        if context.encoder is not None and context.encoder.vocab_size > rows:
            what = f"the tokenizer makes ids below {context.encoder.vocab_size}, its table has {rows} rows"
            raise CheckpointError(
                self.checkpoint, what, "use the tokenizer files that belong to these weights"
            )
        if not self.trainable:
            return frozen_table(checkpoint, weights=context.weights)
        weight = token_table(checkpoint) if context.weights else None
        return nn.Embedding(rows, width, _weight=weight)

    @classmethod
    def examples(cls) -> Iterable[PretrainedTokens]:
        """Of the small checkpoint, as it is and learning on."""
        name = "sentence-transformers/all-MiniLM-L6-v2"
        return (cls(name), cls(name, trainable=True))
