"""Text as a checkpoint's own tokenizer reads it: what a pretrained content operator brings along."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import attrs
import pyarrow as pa
from torch import nn

from lego.pretrained.checkpoint import resolve
from lego.pretrained.families import shape_of
from lego.pretrained.packaged import MINILM
from lego.pretrained.table import token_table
from lego.pretrained.tokenizer import PretrainedEncoder
from lego.spec import Context, Tokens, operator


@operator
class CheckpointTokens(Tokens):
    """The tokenizer of a checkpoint, and its token embeddings as they are."""

    checkpoint: str = attrs.field(kw_only=False)

    def fit(self, columns: Mapping[str, pa.ChunkedArray]) -> PretrainedEncoder:
        """The checkpoint's tokenizer; the columns change nothing."""
        return PretrainedEncoder.of(resolve(self.checkpoint))

    def load(self, folder: Path) -> PretrainedEncoder:
        """The encoder that was saved."""
        return PretrainedEncoder.read(folder)

    def width(self, width: int) -> int:
        """W, the width of the checkpoint's token embeddings, whatever the model's width."""
        return token_table(resolve(self.checkpoint)).shape[1]

    def build(self, context: Context) -> nn.Module:
        """ids (N, L) → vectors (N, L, W), frozen."""
        checkpoint = resolve(self.checkpoint)
        if not context.weights:
            return nn.Embedding(shape_of(checkpoint).vocabulary, self.width(context.width))
        return nn.Embedding.from_pretrained(token_table(checkpoint))

    @classmethod
    def examples(cls) -> Iterable[CheckpointTokens]:
        """That of the small checkpoint, where it is installed."""
        return (cls(MINILM.name),) if MINILM.find() else ()
