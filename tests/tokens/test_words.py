"""A vocabulary from the corpus."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lego.errors import CompositionError, RunError
from lego.ragged import Ragged
from lego.spec import Context
from lego.tokens.vocabulary import PADDING, SEPARATOR, UNKNOWN, WordEncoder
from lego.tokens.words import Words


def text(*values: str | None) -> pa.ChunkedArray:
    return pa.chunked_array([pa.array(values, pa.string())])


def category(*values: str | None) -> pa.ChunkedArray:
    return pa.chunked_array([pa.array(values, pa.string()).dictionary_encode()])


def lists(*values: list[str | None] | None) -> pa.ChunkedArray:
    return pa.chunked_array([pa.array(values, pa.list_(pa.string()))])


def rows(tokens: Ragged) -> list[list[int]]:
    return [tokens[row].tolist() for row in range(len(tokens))]


def context(encoder: WordEncoder, width: int = 16, *, weights: bool = True, seed: int = 0) -> Context:
    generator = torch.Generator().manual_seed(seed)
    return Context(
        width=width, input_width=width, length=9, encoder=encoder, generator=generator, weights=weights
    )


def spelled(encoder: WordEncoder, attribute: str, values: pa.ChunkedArray) -> list[list[str]]:
    """What each id stands for."""
    known = [*encoder.words, *(value for name in sorted(encoder.values) for value in encoder.values[name])]
    return [
        [known[each - 3] if each > 2 else "?" for each in row]
        for row in rows(encoder.encode(attribute, values))
    ]


@given(
    texts=st.lists(st.text("abAB ,.-'é", max_size=12), max_size=8),
    min_count=st.integers(1, 3),
    max_size=st.integers(1, 6),
)
@settings(max_examples=100, deadline=None)
def test_words_are_those_of_a_slow_count(texts: list[str], min_count: int, max_size: int) -> None:
    """The vocabulary is the most frequent words, ties by the word, and each text becomes its words, others unknown."""
    cut = [re.findall(r"\w+|[^\w\s]", each.lower()) for each in texts]
    counts = Counter(word for words in cut for word in words)
    order = sorted(
        (word for word in counts if counts[word] >= min_count), key=lambda word: (-counts[word], word)
    )
    kept = order[:max_size]
    encoder = Words(min_count=min_count, max_size=max_size).fit({"title": text(*texts)})
    assert list(encoder.words) == kept
    assert encoder.vocab_size == 3 + len(kept)
    expected = [[3 + kept.index(word) if word in kept else UNKNOWN for word in words] for words in cut]
    assert rows(encoder.encode("title", text(*texts))) == expected
    assert encoder.coverage.occurrences == sum(counts.values())
    assert encoder.coverage.unknown_occurrences == sum(each.count(UNKNOWN) for each in expected)
    assert (encoder.coverage.words, encoder.coverage.unknown) == (len(kept), len(counts) - len(kept))


def test_text_is_cut_in_any_script() -> None:
    """Case goes, accents stay in one spelling, punctuation stands alone, an ideograph is a word."""
    encoder = Words().fit({"title": text("Café", "CAFÉ – don't", "中文 News")})
    found = spelled(encoder, "title", text("cafe\u0301 Don't", "新中文"))
    assert found == [["café", "don", "'", "t"], ["?", "中", "文"]]


def test_a_value_is_one_token_and_no_word() -> None:
    """A category is not the word that spells it, nor the equal value of another attribute; case and blanks belong to it."""
    columns = {
        "title": text("sports", "Film Noir"),
        "category": category("sports", "Film Noir"),
        "genres": lists(["Film Noir", "sports"], []),
    }
    encoder = Words().fit(columns)
    ids = {name: rows(encoder.encode(name, column)) for name, column in columns.items()}
    assert [len(row) for row in ids["category"]] == [1, 1]
    assert [len(row) for row in ids["genres"]] == [2, 0]
    spread = [set(np.concatenate(each).astype(int).tolist()) for each in ids.values()]
    assert sum(map(len, spread)) == len(set.union(*spread)) == 7
    assert rows(encoder.encode("category", category("SPORTS", "film noir"))) == [[UNKNOWN], [UNKNOWN]]


def test_values_are_read_as_values_however_they_come() -> None:
    """At serving, a category may arrive as a plain string and a list as a large one; ids are the same."""
    encoder = Words().fit({"category": category("a", "b"), "genres": lists(["x", "y"])})
    assert rows(encoder.encode("category", text("b", "new", None))) == [
        *rows(encoder.encode("category", category("b"))),
        [UNKNOWN],
        [],
    ]
    large = pa.chunked_array([pa.array([["y", "x"]], pa.large_list(pa.large_string()))])
    assert rows(encoder.encode("genres", large)) == rows(encoder.encode("genres", lists(["y", "x"])))


def test_nothing_has_no_token() -> None:
    """Null, the empty string, an empty list and a null inside a list give no token; rows stay in their place over chunks."""
    columns = {"title": text("a"), "category": category("a"), "genres": lists(["a"])}
    encoder = Words().fit(columns)
    (a,) = encoder.encode("category", category("a")).values.tolist()
    chunks = [pa.array(["a", None]).dictionary_encode(), pa.array(["", "a"]).dictionary_encode()]
    assert rows(encoder.encode("category", pa.chunked_array(chunks))) == [[a], [], [], [a]]
    assert [len(row) for row in rows(encoder.encode("genres", lists(None, [], [None, "a", ""], ["a"])))] == [
        0,
        0,
        1,
        1,
    ]
    assert rows(encoder.encode("title", text(None, "", " ", "a"))) == [[], [], [], [3]]
    assert rows(encoder.encode("title", pa.chunked_array([], pa.string()))) == []


def test_no_text_spells_a_special_token() -> None:
    """Texts that look like special tokens, here or in other libraries, are words."""
    texts = text("[PAD] <unk> no word", "unknown word next attribute")
    ids = Words().fit({"title": texts}).encode("title", texts).values
    assert ids.min() > SEPARATOR


def test_the_separator_stands_between_attributes_that_have_tokens() -> None:
    """An attribute without tokens leaves no separator; an item without any token stays empty."""
    columns = {
        "title": text("a", None, "a", None),
        "category": category(None, "c", "c", None),
        "genres": lists(["g"], ["g", "h"], None, None),
    }
    encoder = Words().fit(columns)
    parts = [encoder.encode(name, column) for name, column in columns.items()]
    joined = encoder.join(parts)
    title, single, several = (rows(part) for part in parts)
    expected = [
        [*title[0], SEPARATOR, *several[0]],
        [*single[1], SEPARATOR, *several[1]],
        [*title[2], SEPARATOR, *single[2]],
        [],
    ]
    assert rows(joined) == expected
    assert joined.values.dtype == np.int32


def test_the_order_of_columns_and_rows_does_not_matter() -> None:
    """Ids depend on counts and spelling alone."""
    title, other, kind = text("b a", "c"), text("a d"), category("x", "y", "y")
    first = Words(max_size=4).fit({"title": title, "other": other, "category": kind})
    second = Words(max_size=4).fit(
        {"category": category("y", "x", "y"), "other": other, "title": text("c", "a b")}
    )
    assert (first.words, first.values) == (second.words, second.values)
    assert first.identity == second.identity


def test_limits_hold_over_words_and_values_together() -> None:
    """`max_size` and `min_count` leave out rare values as well as rare words; special tokens are not counted."""
    columns = {"title": text("a a a b"), "category": category("x", "x", "y")}
    assert Words(max_size=2).fit(columns).vocab_size == 5
    common = Words(min_count=2).fit(columns)
    assert common.words == ("a",)
    assert common.values == {"category": ("x",)}
    assert rows(common.encode("category", category("y"))) == [[UNKNOWN]]


def test_saved_and_loaded_is_the_same(tmp_path: Path) -> None:
    """Plain JSON files bring back every id, the identity and the coverage."""
    columns = {
        "title": text('A "quoted" word\n', "中 é"),
        "category": category("x y", "é"),
        "genres": lists(["g"], []),
    }
    encoder = Words(max_size=6).fit(columns)
    encoder.save(tmp_path)
    loaded = Words().load(tmp_path)
    assert loaded.identity == encoder.identity
    assert loaded.vocab_size == encoder.vocab_size
    assert (loaded.words, loaded.values, loaded.attributes) == (
        encoder.words,
        encoder.values,
        encoder.attributes,
    )
    for name, column in columns.items():
        assert rows(loaded.encode(name, column)) == rows(encoder.encode(name, column))
    for file in tmp_path.iterdir():
        json.loads(file.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    "columns",
    [
        {"title": text("a b c"), "category": category("x")},
        {"title": text("a b"), "category": category("z")},
        {"title": text("a b"), "kind": category("x")},
        {"title": text("a b"), "category": text("x")},
    ],
)
def test_identity_changes_with_what_changes_an_id(columns: dict[str, pa.ChunkedArray]) -> None:
    """Another word, value, attribute or way to read one is another identity."""
    base = Words().fit({"title": text("a b"), "category": category("x")})
    assert Words().fit(columns).identity != base.identity


def test_a_damaged_vocabulary_is_refused(tmp_path: Path) -> None:
    """The error names the folder and the way out."""
    Words().fit({"title": text("a")}).save(tmp_path)
    (tmp_path / "values.json").write_text("{")
    with pytest.raises(RunError, match="train again"):
        Words().load(tmp_path)


def test_an_attribute_it_was_not_fitted_on_is_refused() -> None:
    """Reading an unknown attribute would make unknown tokens in silence."""
    encoder = Words().fit({"title": text("a")})
    with pytest.raises(CompositionError, match="Did you mean 'title'"):
        encoder.encode("titel", text("a"))


def test_the_table_learns_words_and_leaves_padding_alone() -> None:
    """Padding is zero and gets no gradient; words begin with a length of about one at any width; unknown begins as zero."""
    encoder = Words().fit({"title": text(" ".join(f"w{n}" for n in range(500)))})
    for width in (8, 64):
        table = Words().build(context(encoder, width))
        lengths = table.weight.norm(dim=1).detach()
        assert table.weight.shape == (encoder.vocab_size, width)
        assert lengths[[PADDING, UNKNOWN]].tolist() == [0, 0]
        assert 0.9 < lengths[3:].mean() < 1.1
    table(torch.tensor([[PADDING, UNKNOWN, 3]])).sum().backward()
    assert table.weight.grad.abs().sum(1)[:4].tolist() == [0, 64, 0, 64]


def test_vectors_come_from_the_given_generator() -> None:
    """The same seed gives the same table, another seed another one; torch's own stream is not what decides."""
    encoder = Words().fit({"title": text("a b c")})
    first, again, other = (Words().build(context(encoder, seed=seed)).weight for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_shapes_alone_need_no_memory() -> None:
    """For a plan the table stands on the meta device."""
    encoder = Words().fit({"title": text("a b c")})
    with torch.device("meta"):
        table = Words().build(context(encoder, weights=False))
    assert table.weight.is_meta
    assert table.weight.shape == (6, 16)


def test_a_corpus_without_words_is_no_error() -> None:
    """All text unknown is still a model."""
    encoder = Words().fit({"title": text(None, "")})
    assert encoder.vocab_size == 3
    assert rows(encoder.encode("title", text("new", None))) == [[UNKNOWN], []]


def test_a_number_is_a_value() -> None:
    """Each different number is one token, as a category is; a missing one has none."""
    column = pa.chunked_array([pa.array([2004.0, None, 3.5, 2004.0])])
    encoder = Words().fit({"year": column})
    assert encoder.values == {"year": ("2004", "3.5")}
    first = encoder.encode("year", column)
    assert rows(first)[0] == rows(first)[3] != rows(first)[2]
    assert first.lengths.tolist() == [1, 0, 1, 1]
