"""Token ids of items: cut, joined, kept on disk, and never stale."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from lego.data.text import encode_items, item_tokens, longest
from lego.errors import CompositionError
from lego.ragged import Ragged, concatenate


class Letters:
    """A tokenizer that a reader can follow: a letter is a token; 99 stands between attributes. It counts its work."""

    def __init__(self, identity: str = "letters", shift: int = 0) -> None:
        self.identity, self.shift, self.encoded = identity, shift, []

    vocab_size = 200

    def encode(self, attribute: str, values: pa.ChunkedArray) -> Ragged:
        self.encoded.append(attribute)
        texts = [value or "" for value in values.to_pylist()]
        ids = [ord(letter) - 96 + self.shift for text in texts for letter in text]
        return Ragged.from_lengths(np.array(ids, np.int32), np.array([len(text) for text in texts], np.int64))

    def join(self, parts: list[Ragged]) -> Ragged:
        between = Ragged.from_lengths(np.full(len(parts[0]), 99, np.int32), np.ones(len(parts[0]), np.int64))
        pieces = [piece for part in parts for piece in (between, part)]
        return concatenate(pieces[1:])


def store(**columns: list[Any]) -> Any:
    table = pa.table({"item_id": [str(n) for n in range(len(next(iter(columns.values()))))], **columns})
    return SimpleNamespace(items=table, fingerprint="f")


def rows(tokens: Ragged) -> list[list[int]]:
    return [tokens[row].tolist() for row in range(len(tokens))]


def test_items_are_cut_to_their_first_tokens_and_joined_in_the_order_read(tmp_path: Path) -> None:
    """Each attribute keeps its first tokens, the order of `reads` counts, and items that lost some are counted."""
    items = store(title=["abcd", "ab", None], category=["x", "yz", "z"])
    found = item_tokens(items, {"category": 1, "title": 3}, Letters(), tmp_path)
    assert rows(found.tokens) == [[], [24, 99, 1, 2, 3], [25, 99, 1, 2], [26, 99]]
    assert found.tokens.values.dtype == np.int32
    assert found.truncated == {"category": 1, "title": 1}
    assert found.length == longest({"category": 1, "title": 3}, Letters()) == 5


def test_row_zero_is_empty_and_no_item(tmp_path: Path) -> None:
    """Item row r is line r of the table counted from 1; row 0 has no token."""
    found = item_tokens(store(title=["a", "b"]), {"title": 2}, Letters(), tmp_path)
    assert len(found.tokens) == 3
    assert rows(found.tokens) == [[], [1], [2]]


def test_items_outside_a_store_are_read_the_same_way(tmp_path: Path) -> None:
    """A new item gets the tokens that it would have in the store."""
    items, reads = store(title=["abcd", "ab"], category=["x", None]), {"title": 2, "category": 1}
    inside = item_tokens(items, reads, Letters(), tmp_path).tokens
    assert rows(encode_items(items.items, reads, Letters())) == rows(inside)[1:]


def test_an_attribute_is_encoded_once(tmp_path: Path) -> None:
    """A second call reads what the first wrote, memory-mapped; another budget or order needs no new encoding."""
    items, reads = store(title=["abcd"], category=["x"]), {"title": 3, "category": 1}
    first = item_tokens(items, reads, Letters(), tmp_path)
    encoder = Letters()
    again = item_tokens(items, reads, encoder, tmp_path)
    other = item_tokens(items, {"category": 1, "title": 9}, encoder, tmp_path)
    assert encoder.encoded == []
    assert rows(again.tokens) == rows(first.tokens)
    assert rows(other.tokens) == [[], [24, 99, 1, 2, 3, 4]]
    only = item_tokens(
        items, {"title": 9}, SimpleNamespace(identity="letters", join=lambda parts: parts[0]), tmp_path
    )
    assert isinstance(only.tokens.values, np.memmap)
    assert not only.tokens.values.flags.writeable


@pytest.mark.parametrize(
    ("items", "encoder"),
    [
        (store(title=["abce"]), Letters()),
        (store(title=["abcd"]), Letters("other letters", shift=1)),
        (store(title=["abcd", "e"]), Letters()),
    ],
    ids=["text", "encoder", "items"],
)
def test_a_changed_input_is_never_answered_from_the_cache(
    items: Any, encoder: Letters, tmp_path: Path
) -> None:
    """Other text or another encoder gives other ids and another identity, though the store calls itself the same."""
    before = item_tokens(store(title=["abcd"]), {"title": 4}, Letters(), tmp_path)
    after = item_tokens(items, {"title": 4}, encoder, tmp_path)
    assert encoder.encoded == ["title"]
    assert rows(after.tokens) == [[], *rows(encoder.encode("title", items.items["title"]))]
    assert after.identity != before.identity


def test_identity_tells_all_that_changes_an_id(tmp_path: Path) -> None:
    """Budgets, their order and the attributes count; how the column is chunked does not."""
    items = store(title=["abcd", "e"], category=["x", "y"])
    chunked = SimpleNamespace(
        items=pa.concat_tables([items.items.slice(0, 1), items.items.slice(1)]), fingerprint="g"
    )

    def identity(of: Any, **reads: int) -> str:
        return item_tokens(of, reads, Letters(), tmp_path).identity

    base = identity(items, title=3, category=1)
    assert identity(chunked, title=3, category=1) == base
    others = [
        identity(items, title=2, category=1),
        identity(items, category=1, title=3),
        identity(items, title=3),
    ]
    assert len({base, *others}) == 4


@pytest.mark.parametrize(
    "damage", ["empty", "short", "missing", "folder", "another id", "another boundary", "no sums"]
)
def test_a_damaged_cache_is_made_again(damage: str, tmp_path: Path) -> None:
    """A file that is cut off, missing, or of the right shape with another content is replaced and said; what is read is right."""
    items = store(title=["abcd", "ef"])
    item_tokens(items, {"title": 4}, Letters(), tmp_path)
    (folder,) = tmp_path.iterdir()
    values = folder / "values.npy"
    if damage == "empty":
        values.write_bytes(b"")
    elif damage == "short":
        np.save(values, np.zeros(3, np.int32))
    elif damage == "missing":
        values.unlink()
    elif damage == "another id":
        np.save(values, np.array([1, 2, 3, 5, 5, 6], np.int32))
    elif damage == "another boundary":
        np.save(folder / "offsets.npy", np.array([0, 3, 6]))
    elif damage == "no sums":
        (folder / "sums.json").unlink()
    else:
        values.unlink()
        values.mkdir()
    encoder = Letters()
    with pytest.warns(UserWarning, match="are damaged. They are made again"):
        found = item_tokens(items, {"title": 4}, encoder, tmp_path)
    assert rows(found.tokens) == [[], [1, 2, 3, 4], [5, 6]]
    assert encoder.encoded == ["title"]
    item_tokens(items, {"title": 4}, encoder, tmp_path)
    assert encoder.encoded == ["title"]


def test_nothing_half_written_stays(tmp_path: Path) -> None:
    """An encoder that fails leaves no folder that could be taken for a result."""

    class Failing(Letters):
        def encode(self, attribute: str, values: pa.ChunkedArray) -> Ragged:
            raise RuntimeError(attribute)

    with pytest.raises(RuntimeError):
        item_tokens(store(title=["a"]), {"title": 1}, Failing(), tmp_path)
    assert list(tmp_path.iterdir()) == []
    item_tokens(store(title=["a"]), {"title": 1}, Letters(), tmp_path)
    assert [each.name.startswith(".") for each in tmp_path.iterdir()] == [False]


def test_items_without_any_text_have_no_token(tmp_path: Path) -> None:
    """A column of nulls is read, kept and found again, though there is nothing to map."""
    items = store(title=pa.array([None, None], pa.string()))
    for _ in range(2):
        found = item_tokens(items, {"title": 4}, Letters(), tmp_path)
        assert rows(found.tokens) == [[], [], []]


def test_all_wrong_reads_are_told_at_once(tmp_path: Path) -> None:
    """Unknown attributes come with the nearest name and those there are; budgets below one are refused beside them."""
    items = store(title=["a"], category=["b"])
    with pytest.raises(CompositionError) as caught:
        item_tokens(items, {"titel": 3, "category": 0, "title": 2}, Letters(), tmp_path)
    text = str(caught.value)
    assert len(caught.value.problems) == 2
    assert "'titel'" in text
    assert "Did you mean 'title'?" in text
    assert "title, category" in text
    assert "item_id" not in text
    assert "budget of 'category' is 0" in text
    with pytest.raises(CompositionError, match="names no attribute"):
        encode_items(items.items, {}, Letters())
