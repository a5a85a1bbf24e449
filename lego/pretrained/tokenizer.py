"""The tokenizer of a checkpoint as an `Encoder`: its own vocabulary, its own special tokens."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lego.errors import CheckpointError
from lego.pretrained.families import shape_of
from lego.pretrained.template import fields_of, rendered
from lego.ragged import Ragged, concatenate
from lego.spec import Checkpoint

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from tokenizers import Tokenizer

_RULE = "lego pretrained encoder 1"
"""Changes with the rules of this file, since they can change an id."""

_FILE = "tokenizer.json"
_TEMPLATE = "template.json"
_WHOLE = "template"
"""What the text that a template makes is called among attributes."""
_PAGE = 16_384
"""Texts that are tokenized at a time."""


class PretrainedEncoder:
    """Text to the ids of a checkpoint's tokenizer.

    Attributes of an item are joined as the tokenizer joins a pair: `[CLS] a [SEP] b [SEP]`, `<s> a </s> </s> b </s>`. Where it
    puts nothing between two texts, or begins anew (language models that write on), a line break stands there. An attribute
    without text leaves no separator, an item without text has no token at all. Text that spells a special token is text.
    """

    def __init__(self, tokenizer: Tokenizer, template: str | None = None, length: int | None = None) -> None:
        tokenizer.no_truncation()
        tokenizer.no_padding()
        tokenizer.encode_special_tokens = True
        self.tokenizer = tokenizer
        self.template = template
        self.length = length
        self.prefix, self.separator, self.suffix = _special(tokenizer)

    @classmethod
    def of(
        cls, checkpoint: Checkpoint, template: str | None = None, length: int | None = None
    ) -> PretrainedEncoder:
        """The encoder of a checkpoint; CheckpointError where the tokenizer cannot be read, or is not that of the weights."""
        encoder = cls(_tokenizer(checkpoint), template, length)
        vocabulary = shape_of(checkpoint).vocabulary
        if encoder.vocab_size > vocabulary:
            what = f"its tokenizer makes ids below {encoder.vocab_size}, its weights know {vocabulary} tokens"
            raise CheckpointError(
                checkpoint.name, what, "put the tokenizer files that belong to these weights beside them"
            )
        return encoder

    @classmethod
    def read(cls, folder: Path) -> PretrainedEncoder:
        """The encoder that `save` wrote."""
        from tokenizers import Tokenizer

        template: dict[str, Any] = {}
        if (folder / _TEMPLATE).exists():
            template = json.loads((folder / _TEMPLATE).read_text("utf-8"))
        return cls(Tokenizer.from_file(str(folder / _FILE)), **template)

    def save(self, folder: Path) -> None:
        """Writes tokenizer.json, and what makes one text of several where that is wanted."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / _FILE).write_text(self.tokenizer.to_str(), "utf-8")
        if self.template is not None:
            (folder / _TEMPLATE).write_text(
                json.dumps({"template": self.template, "length": self.length}), "utf-8"
            )

    @cached_property
    def vocab_size(self) -> int:
        """Ids are below this. Special tokens that were added and that nothing here ever writes do not count."""
        ids = [
            *self.tokenizer.get_vocab(with_added_tokens=False).values(),
            *self.prefix,
            *self.separator,
            *self.suffix,
        ]
        ids += [
            place for place, added in self.tokenizer.get_added_tokens_decoder().items() if not added.special
        ]
        return max(ids, default=-1) + 1

    @cached_property
    def identity(self) -> str:
        """A hash of the tokenizer and of the rules that join attributes."""
        record = [_RULE, json.loads(self.tokenizer.to_str()), self.prefix, self.separator, self.suffix]
        if self.template is not None:
            record += [self.template, self.length]
        return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()

    def one_text(
        self, columns: Mapping[str, pa.ChunkedArray], reads: Mapping[str, int]
    ) -> tuple[dict[str, pa.ChunkedArray], dict[str, int]] | None:
        """The one column of text that the template makes of these, and its budget; None where there is no template."""
        if self.template is None:
            return None
        budget = (
            self.length if self.length is not None else sum(reads[name] for name in fields_of(self.template))
        )
        return {_WHOLE: pa.chunked_array([rendered(self.template, columns)])}, {_WHOLE: budget}

    def encode(self, attribute: str, values: pa.ChunkedArray) -> Ragged:
        """Ids (int32) of each value, untruncated, without special tokens; several values are joined by a comma; null has none."""
        distinct, codes = _distinct(values)
        encoded = self._encode(distinct)
        return encoded.take(codes)

    def _encode(self, texts: list[str]) -> Ragged:
        """Ids of each text, and a last row without any: what null takes."""
        pages, lengths = [np.empty(0, np.int32)], [np.empty(0, np.int64)]
        for start in range(0, len(texts), _PAGE):
            found = self.tokenizer.encode_batch_fast(texts[start : start + _PAGE], add_special_tokens=False)
            ids = [each.ids for each in found]
            pages.append(np.fromiter(chain.from_iterable(ids), np.int32))
            lengths.append(np.fromiter(map(len, ids), np.int64, len(ids)))
        return Ragged.from_lengths(np.concatenate(pages), np.concatenate([*lengths, np.zeros(1, np.int64)]))

    def join(self, parts: list[Ragged]) -> Ragged:
        """Row r of each part, in order, with the special tokens; a row without any token stays empty."""
        full = np.stack([part.lengths > 0 for part in parts])
        before = np.logical_or.accumulate(full, axis=0)  # whether this part or one before it has tokens
        pieces = [_repeated(self.prefix, full.any(0))]
        for index, part in enumerate(parts):
            if index:
                pieces.append(_repeated(self.separator, full[index] & before[index - 1]))
            pieces.append(part)
        pieces.append(_repeated(self.suffix, full.any(0)))
        return concatenate(pieces)


def _repeated(ids: tuple[int, ...], where: Any) -> Ragged:
    """The ids in the rows that want them, nothing in the others."""
    return Ragged.from_lengths(np.tile(np.array(ids, np.int32), int(where.sum())), where * len(ids))


def _distinct(values: pa.ChunkedArray) -> tuple[list[str], NDArray[np.int64]]:
    """The different texts of a column, and for each row the place of its own; null rows point behind the last."""
    array = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    if isinstance(array, pa.ChunkedArray):  # a column without a single chunk
        array = pa.array([], values.type)
    if pa.types.is_list(array.type) or pa.types.is_large_list(array.type):
        array = pc.binary_join(pc.cast(array, pa.list_(pa.string())), ", ")
    elif not pa.types.is_dictionary(array.type):
        array = pc.cast(array, pa.string())
    encoded = array if pa.types.is_dictionary(array.type) else pc.dictionary_encode(array)
    texts = [text or "" for text in pc.cast(encoded.dictionary, pa.string()).to_pylist()]
    codes = pc.fill_null(pc.cast(encoded.indices, pa.int64()), len(texts))
    return texts, codes.to_numpy(zero_copy_only=False)


def _special(tokenizer: Tokenizer) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    """What the tokenizer puts before a text, between two, and behind: read off a pair that it encodes."""
    pair = tokenizer.encode("a", "a")
    sides = pair.sequence_ids
    first = [place for place, side in enumerate(sides) if side == 0]
    second = [place for place, side in enumerate(sides) if side == 1]
    if not first or not second:
        return (), (), ()
    prefix = tuple(pair.ids[: first[0]])
    between = tuple(pair.ids[first[-1] + 1 : second[0]])
    suffix = tuple(pair.ids[second[-1] + 1 :])
    if not between or between == prefix:
        between = next((found for text in ("\n", ",") if (found := _plain(tokenizer, text))), ())
    return prefix, between, suffix


def _plain(tokenizer: Tokenizer, text: str) -> tuple[int, ...]:
    return tuple(tokenizer.encode(text, add_special_tokens=False).ids)


def _tokenizer(checkpoint: Checkpoint) -> Any:
    """tokenizer.json; where there is only an older form, what transformers makes of it."""
    from tokenizers import Tokenizer

    path = checkpoint.folder / _FILE
    fix = "put the tokenizer files that belong to the weights into its folder, tokenizer.json best of all"
    if path.exists():
        try:
            return Tokenizer.from_file(str(path))
        except Exception as problem:  # noqa: BLE001 - the library raises just that
            raise CheckpointError(checkpoint.name, f"{path} cannot be read: {problem}", fix) from None
    from transformers import AutoTokenizer

    try:
        made = AutoTokenizer.from_pretrained(
            checkpoint.folder, local_files_only=True, trust_remote_code=False
        )
        return Tokenizer.from_str(made.backend_tokenizer.to_str())
    except Exception as problem:  # noqa: BLE001 - conversions fail in many ways (missing packages among them)
        raise CheckpointError(checkpoint.name, f"its tokenizer cannot be read: {problem}", fix) from None
