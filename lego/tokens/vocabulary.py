"""A vocabulary of whole words and values, with its ids: what `Words` and `GloVe` give each in its own way.

    0  padding      1  anything unknown      2  stands between attributes      3 …  words, then values

Text is lower-cased and cut at blanks and around punctuation; an ideograph is a word, accents stay. A value of a category
or of a list is one token of its attribute, exactly as written: the category `sports` is not the word `sports`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path

import attrs
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

from lego.errors import CompositionError, Problem, RunError, did_you_mean
from lego.ragged import Ragged, concatenate, offsets_of
from lego.spec import Encoder

PADDING, UNKNOWN, SEPARATOR = range(3)

_SPECIAL = ("no word", "unknown word", "next attribute")
"""Names of the first ids. A word never holds a blank, so no text can spell them."""

_FILE, _VALUES = "tokenizer.json", "values.json"

_BATCH = 65_536
"""Texts tokenized in one call, to bound what the encodings take."""


def tokenizer_of(words: Iterable[str]) -> Tokenizer:
    """Cuts text into words, which are numbered in the given order behind the special ids."""
    vocabulary = {word: number for number, word in enumerate([*_SPECIAL, *words])}
    made = Tokenizer(models.WordLevel(vocabulary, unk_token=_SPECIAL[UNKNOWN]))
    made.normalizer = normalizers.Sequence(
        [
            normalizers.NFC(),
            normalizers.BertNormalizer(
                clean_text=True, handle_chinese_chars=True, strip_accents=False, lowercase=True
            ),
        ]
    )
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation()]
    )
    return made


@attrs.frozen(eq=False, kw_only=True)
class Coverage:
    """How much of the text it was fitted on a vocabulary knows."""

    words: int
    """Different words and values that it knows."""
    unknown: int
    """Different ones that it does not."""
    occurrences: int
    """Words and values of the whole text."""
    unknown_occurrences: int
    """Those of them that become the unknown token."""


@attrs.frozen(eq=False, kw_only=True, slots=False)
class WordEncoder:
    """A fitted vocabulary; an `Encoder`."""

    words: tuple[str, ...]
    values: Mapping[str, tuple[str, ...]]
    """Values of each attribute that is read as values; the others are read as text."""
    attributes: tuple[str, ...]
    """What it was fitted on."""
    coverage: Coverage

    @property
    def vocab_size(self) -> int:
        """Ids are below this."""
        return len(_SPECIAL) + len(self.words) + sum(map(len, self.values.values()))

    @cached_property
    def identity(self) -> str:
        """A hash of the words, the values, and the rules by which text is cut."""
        values = {attribute: list(self.values[attribute]) for attribute in sorted(self.values)}
        content = json.dumps([self._tokenizer.to_str(), values])
        return hashlib.sha256(content.encode()).hexdigest()

    @cached_property
    def _tokenizer(self) -> Tokenizer:
        return tokenizer_of(self.words)

    @cached_property
    def _first(self) -> Mapping[str, int]:
        """The id of the first value of each attribute."""
        names = sorted(self.values)
        sizes = np.array([len(self.values[name]) for name in names], np.int64)
        return dict(
            zip(names, (offsets_of(sizes)[:-1] + len(_SPECIAL) + len(self.words)).tolist(), strict=True)
        )

    def encode(self, attribute: str, values: pa.ChunkedArray) -> Ragged:
        """Ids (int32) of each value, untruncated; a null has none."""
        if attribute not in self.attributes:
            what = f"the vocabulary was fitted without the attribute {attribute!r}"
            known = ", ".join(sorted(self.attributes))
            fix = f"{did_you_mean(attribute, self.attributes)}read one of {known}, or fit again"
            raise CompositionError([Problem("tokens", what, fix)])
        if attribute not in self.values:
            return encode_text(self._tokenizer, texts_of(values))
        flat, lengths = _flat_values(values)
        places = pc.fill_null(pc.index_in(flat, value_set=pa.array(self.values[attribute], pa.string())), -1)
        place = places.to_numpy().astype(np.int32)
        return Ragged.from_lengths(
            np.where(place < 0, np.int32(UNKNOWN), place + self._first[attribute]), lengths
        )

    def knows(self, ids: NDArray[np.int32]) -> NDArray[np.bool_]:
        """Which of the ids are words or values that it was fitted on."""
        return ids >= len(_SPECIAL)

    def join(self, parts: list[Ragged]) -> Ragged:
        """Attributes of each item in order, with the separator between those that have tokens."""
        behind = np.zeros(len(parts[0]), np.bool_)
        pieces: list[Ragged] = []
        for part in parts:
            filled = part.lengths > 0
            between = behind & filled
            pieces += [Ragged.from_lengths(np.full(int(between.sum()), SEPARATOR, np.int32), between), part]
            behind |= filled
        return concatenate(pieces)

    def save(self, folder: Path) -> None:
        """Writes tokenizer.json (words) and values.json (the rest)."""
        folder.mkdir(parents=True, exist_ok=True)
        self._tokenizer.save(str(folder / _FILE))
        rest = {
            "attributes": list(self.attributes),
            "values": {attribute: list(values) for attribute, values in self.values.items()},
            "coverage": attrs.asdict(self.coverage),
        }
        (folder / _VALUES).write_text(json.dumps(rest, ensure_ascii=False, indent=1), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> WordEncoder:
        """What `save` wrote; RunError where files are missing or damaged."""
        try:
            numbered = json.loads((folder / _FILE).read_text(encoding="utf-8"))["model"]["vocab"]
            rest = json.loads((folder / _VALUES).read_text(encoding="utf-8"))
            return cls(
                words=tuple(sorted(numbered, key=numbered.__getitem__)[len(_SPECIAL) :]),
                values={attribute: tuple(values) for attribute, values in rest["values"].items()},
                attributes=tuple(rest["attributes"]),
                coverage=Coverage(**rest["coverage"]),
            )
        except (OSError, ValueError, KeyError, TypeError) as problem:
            what = f"{folder}: the vocabulary ({_FILE}, {_VALUES}) cannot be read: {problem}."
            raise RunError(f"{what} Copy the run folder again, or train again.") from problem


def fitted(encoder: Encoder | None) -> Encoder:
    """`context.encoder`, which a token table cannot be built without."""
    if encoder is None:
        raise TypeError(
            "a token table is built from context.encoder, which is None: give what `fit` or `load` returned"
        )
    return encoder


# --- counting -----------------------------------------------------------------------------------------------------------------


def count_words(texts: Iterable[pa.ChunkedArray]) -> dict[str, int]:
    """How often each word occurs, the most frequent first, then by the word itself."""
    columns = list(texts)
    trained = tokenizer_of(())
    # It trains on the words of the text alone, so the most frequent comes first and nothing is left out.
    trainer = trainers.WordLevelTrainer(vocab_size=2**31, min_frequency=0, show_progress=False)
    trained.train_from_iterator((text for column in columns for text in _strings(column)), trainer)
    vocabulary = trained.get_vocab()
    if not vocabulary:
        return {}
    trained.model = models.WordLevel(vocabulary, unk_token=next(iter(vocabulary)))
    counts = np.zeros(len(vocabulary), np.int64)
    for column in columns:
        counts += np.bincount(encode_text(trained, column).values, minlength=len(vocabulary))
    return _ordered({word: int(counts[number]) for word, number in vocabulary.items()})


def count_values(values: pa.ChunkedArray) -> dict[str, int]:
    """How often each value of a category or a list occurs, the most frequent first, then by the value itself."""
    flat, _ = _flat_values(values)
    counted = pc.value_counts(flat)
    return _ordered(
        dict(zip(counted.field("values").to_pylist(), counted.field("counts").to_pylist(), strict=True))
    )


def _ordered(counts: Mapping[str, int]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda each: (-each[1], each[0])))


def coverage_of(counts: Iterable[Mapping[str, int]], known: Iterable[Iterable[str]]) -> Coverage:
    """Counts of the text against what is known of it."""
    words = unknown = occurrences = unknown_occurrences = 0
    for counted, kept in zip(counts, known, strict=True):
        total, names = sum(counted.values()), list(kept)
        words += len(names)
        unknown += len(counted) - len(names)
        occurrences += total
        unknown_occurrences += total - sum(counted[name] for name in names)
    return Coverage(
        words=words, unknown=unknown, occurrences=occurrences, unknown_occurrences=unknown_occurrences
    )


# --- columns ------------------------------------------------------------------------------------------------------------------


def is_text(values: pa.ChunkedArray) -> bool:
    """A column of strings; categories are dictionaries, the rest are lists."""
    return pa.types.is_string(values.type) or pa.types.is_large_string(values.type)


def texts_of(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """The column as text: the values of a list with blanks between them."""
    if not _is_list(values.type):
        return values.cast(pa.string())
    flat, lengths = _flat_values(values)
    joined = pc.binary_join(pa.ListArray.from_arrays(pa.array(offsets_of(lengths), pa.int32()), flat), " ")
    return pa.chunked_array([joined])


def encode_text(tokenizer: Tokenizer, texts: pa.ChunkedArray) -> Ragged:
    """Ids (int32) of each text; a null has none."""
    lengths: list[NDArray[np.int64]] = [np.zeros(0, np.int64)]
    values: list[NDArray[np.int32]] = [np.zeros(0, np.int32)]
    for first in range(0, len(texts), _BATCH):
        batch = [text or "" for text in texts.slice(first, _BATCH).to_pylist()]
        ids = [encoding.ids for encoding in tokenizer.encode_batch_fast(batch, add_special_tokens=False)]
        lengths.append(np.fromiter(map(len, ids), np.int64, len(ids)))
        values.append(np.fromiter((each for row in ids for each in row), np.int32, int(lengths[-1].sum())))
    return Ragged.from_lengths(np.concatenate(values), np.concatenate(lengths))


def _strings(texts: pa.ChunkedArray) -> Iterator[str]:
    for chunk in texts.chunks:
        yield from (text for text in chunk.to_pylist() if text)


def _is_list(kind: pa.DataType) -> bool:
    return pa.types.is_list(kind) or pa.types.is_large_list(kind)


def _flat_values(values: pa.ChunkedArray) -> tuple[pa.Array, NDArray[np.int64]]:
    """All values one after the other as strings, and how many each row has; nulls and empty strings are none."""
    if _is_list(values.type):
        flat, row = pc.list_flatten(values), pc.list_parent_indices(values)
    else:
        flat, row = values, pa.array(np.arange(len(values)))
    flat = flat.cast(pa.string())
    if isinstance(flat, pa.ChunkedArray):
        flat = flat.combine_chunks()
    if isinstance(row, pa.ChunkedArray):
        row = row.combine_chunks()
    real = pc.fill_null(pc.not_equal(flat, ""), False)
    lengths = np.bincount(row.filter(real).to_numpy(), minlength=len(values))
    return flat.filter(real), lengths.astype(np.int64)
