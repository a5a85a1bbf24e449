"""The embed file: which vectors are given, for words, for items or for columns."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from lego.migrate.data import Data
from lego.migrate.notes import Options, Told
from lego.spec import Tokens
from lego.tokens.glove import GloVe
from lego.tokens.pretrained import PretrainedTokens

ITEMS = ("item_id", "nid", "iid", "item")
"""Vocabularies whose words are items."""

MODELS: Mapping[str, str] = {
    "bert": "google-bert/bert-base-uncased",
    "llama1": "huggyllama/llama-7b",
    "llama2": "meta-llama/Llama-2-7b-hf",
    "llama3": "meta-llama/Meta-Llama-3-8B",
    "opt": "facebook/opt-350m",
    "glm": "zai-org/glm-4-9b-hf",
}
"""Vocabularies of words, by the language model that they are of."""


@attrs.frozen(kw_only=True)
class Given:
    """A matrix of the file."""

    path: str
    frozen: bool
    vocabulary: str | None
    column: str | None


@attrs.define
class Vectors:
    """What the embed file gives."""

    given: tuple[Given, ...]
    told: Told
    used: set[str] = attrs.field(factory=set)

    def of_items(self) -> Given | None:
        """Vectors of items, by their vocabulary or by a column that is not read: both are told of where nothing reads them."""
        found = [each for each in self.given if (each.vocabulary or "").lower() in ITEMS]
        columns = [each for each in self.given if each.column]
        if not found and columns:
            what = f"{columns[0].column}: by col_name it was ignored, and a table at random learned; lego reads it"
            self.told.note("embed.embeddings", what)
        return self._use(next(iter([*found, *columns]), None))

    def of_column(self, name: str) -> Given | None:
        """Vectors of a column."""
        return self._use(next((each for each in self.given if each.column == name), None))

    def of_words(self, data: Data) -> Given | None:
        """Vectors of the tokens that the columns are made of."""
        wanted = {each.vocabulary for each in data.texts if each.vocabulary}
        return self._use(next((each for each in self.given if each.vocabulary in wanted), None))

    def tokens_of(self, data: Data, checkpoints: Mapping[str, str]) -> Tokens | None:
        """How text becomes vectors; None for words of the corpus, which begin at random."""
        names = {each.vocabulary for each in data.texts if each.vocabulary}
        if len(names) > 1:
            what = f"columns of several vocabularies, {', '.join(sorted(names))}: lego has one way of making tokens"
            self.told.note("data.item.inputs", what)
        name = next((each.vocabulary for each in data.texts if each.vocabulary), None)
        if name is None:
            return None
        given = self.of_words(data)
        if name.lower().startswith("glove"):
            if given is None:
                self.told.note(
                    "data.item.inputs",
                    f"{name} without an embed file began at random; so do the words in lego",
                )
                return None
            text = str(Path(given.path).with_suffix(".txt"))
            what = (
                f"lego reads the text file of GloVe, not a matrix: put it at {text}, or name it in GloVe(…)"
            )
            self.told.note("embed.embeddings", what)
            return GloVe(text, trainable=not given.frozen)
        model = checkpoints.get(name.lower()) or MODELS.get(name.lower())
        if model is None:
            what = f"the vocabulary {name} is not known: words of the corpus stand for it"
            self.told.note("data.item.inputs", what)
            return None
        if given is None:
            what = f"{name} without an embed file began at random; in lego its vectors are those of {model}"
            self.told.note("data.item.inputs", what)
        return PretrainedTokens(model, trainable=given is None or not given.frozen)

    def close(self) -> None:
        """Tells of matrices that nothing reads."""
        for each in self.given:
            if each.path not in self.used:
                name = each.vocabulary or each.column
                self.told.note("embed.embeddings", f"{each.path} ({name}) left out: no column reads it")

    def _use(self, given: Given | None) -> Given | None:
        if given is not None:
            self.used.add(given.path)
        return given


def vectors_of(document: Mapping[str, Any], root: Path, told: Told) -> Vectors:
    """What an embed file says; nothing where there is none."""
    options = Options(document, "embed", told)
    options.take("name")
    made = []
    entries = options.take("embeddings", [])
    for number, entry in enumerate(entries if isinstance(entries, list) else [entries]):
        row = Options(entry, f"embed.embeddings[{number}]", told)
        path, vocabulary, column = (row.take(each) for each in ("path", "vocab_name", "col_name"))
        row.unneeded("it was read and never used", "transformation", "transformation_dropout")
        frozen = row.flag("frozen", default=True)
        row.close()
        if not path:
            told.problem(row.where, "it names no file", "write path: FILE.npy")
        elif not vocabulary and not column:
            told.problem(
                row.where, "it says neither vocab_name nor col_name", "write which of them it belongs to"
            )
        elif str(vocabulary).startswith("<"):
            fix = "write the vocabulary: what stands behind @ in the data file"
            told.problem(f"{row.where}.vocab_name", f"{vocabulary} is a place to be filled", fix)
        else:
            whole = str(path) if Path(str(path)).is_absolute() else str(root / str(path))
            made.append(
                Given(
                    path=whole,
                    frozen=frozen,
                    vocabulary=None if vocabulary is None else str(vocabulary),
                    column=None if column is None else str(column),
                )
            )
    if options.take("transformation", "auto") == "linear":
        told.note("embed.transformation", "linear left out: lego has a linear layer where widths differ")
    options.unneeded("lego has no dropout behind the vectors of words", "transformation_dropout")
    options.close()
    return Vectors(given=tuple(made), told=told)
