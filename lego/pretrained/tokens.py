"""Text as a checkpoint's own tokenizer reads it: what a pretrained content operator brings along."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import attrs
import pyarrow as pa
from torch import nn

from lego.pretrained.checkpoint import resolve
from lego.pretrained.packaged import MINILM
from lego.pretrained.table import frozen_table, table_shape
from lego.pretrained.tokenizer import PretrainedEncoder
from lego.spec import PATH_IF_THERE, Context, Tokens, operator


@operator
class CheckpointTokens(Tokens):
    """The tokenizer of a checkpoint, and its token embeddings as they are."""

    checkpoint: str = attrs.field(kw_only=False, metadata=PATH_IF_THERE)
    template: str | None = None
    length: int | None = None

    def fit(self, columns: Mapping[str, pa.ChunkedArray]) -> PretrainedEncoder:
        """The checkpoint's tokenizer; the columns change nothing."""
        return PretrainedEncoder.of(resolve(self.checkpoint), self.template, self.length)

    def load(self, folder: Path) -> PretrainedEncoder:
        """The encoder that was saved."""
        return PretrainedEncoder.read(folder)

    def width(self, width: int) -> int:
        """W, the width of the checkpoint's token embeddings, whatever the model's width."""
        return table_shape(resolve(self.checkpoint))[1]

    def build(self, context: Context) -> nn.Module:
        """ids (N, L) → vectors (N, L, W), frozen."""
        return frozen_table(resolve(self.checkpoint), weights=context.weights)

    @classmethod
    def examples(cls) -> Iterable[CheckpointTokens]:
        """That of the small checkpoint, where it is installed."""
        return (cls(MINILM.name),) if MINILM.find() else ()
