"""Words of the corpus, with vectors that are learned from scratch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import attrs
import pyarrow as pa
import torch
from torch import nn

from lego.spec import Context, Tokens, ge, operator
from lego.tokens.vocabulary import (
    PADDING,
    UNKNOWN,
    WordEncoder,
    count_values,
    count_words,
    coverage_of,
    fitted,
    is_text,
)


@operator
class Words(Tokens):
    """The words of the attributes read, each with a vector of the model's width that learns; so have values of categories.

    Words and values that occur fewer than `min_count` times become the unknown token, and so do those behind the `max_size`
    most frequent.
    """

    min_count: int = attrs.field(default=1, validator=ge(1))
    max_size: int = attrs.field(default=50_000, validator=ge(1))

    def fit(self, columns: Mapping[str, pa.ChunkedArray]) -> WordEncoder:
        """The vocabulary of these columns."""
        texts = {attribute: values for attribute, values in columns.items() if is_text(values)}
        counts = {"": count_words(texts[attribute] for attribute in sorted(texts))}
        counts |= {
            attribute: count_values(columns[attribute])
            for attribute in sorted(columns)
            if attribute not in texts
        }
        kept = self._kept(counts)
        return WordEncoder(
            words=kept[""],
            values={attribute: values for attribute, values in kept.items() if attribute},
            attributes=tuple(columns),
            coverage=coverage_of(counts.values(), kept.values()),
        )

    def _kept(self, counts: Mapping[str, Mapping[str, int]]) -> dict[str, tuple[str, ...]]:
        """The most frequent of all, by kind. Ties go by kind, then by the word, never by the order of the columns."""
        ranked = sorted(
            (-count, kind, word) for kind, counted in counts.items() for word, count in counted.items()
        )
        chosen = {(kind, word) for count, kind, word in ranked[: self.max_size] if -count >= self.min_count}
        return {
            kind: tuple(word for word in counted if (kind, word) in chosen)
            for kind, counted in counts.items()
        }

    def load(self, folder: Path) -> WordEncoder:
        """The vocabulary that was saved."""
        return WordEncoder.load(folder)

    def width(self, width: int) -> int:
        """That of the model."""
        return width

    def build(self, context: Context) -> nn.Module:
        """A table of vectors that learns.

        Vectors begin with a length of about 1 at any width. torch's own N(0, 1) gives them the length √W, at which attention
        over them begins saturated, and which steps of a usual learning rate hardly change. The unknown token begins as zero:
        with `min_count=1` it never occurs in training, and what never learned should say nothing about a new item.
        """
        encoder = fitted(context.encoder)
        table = nn.Embedding(encoder.vocab_size, context.width, padding_idx=PADDING)
        if context.weights:
            with torch.no_grad():
                nn.init.normal_(table.weight, std=context.width**-0.5, generator=context.generator)
                table.weight[[PADDING, UNKNOWN]] = 0
        return table

    @classmethod
    def examples(cls) -> Iterable[Words]:
        """With and without limits."""
        return (cls(), cls(min_count=2, max_size=100))
