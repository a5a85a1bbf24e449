"""What holds for everything that puts lists in another order."""

from __future__ import annotations

from typing import Any

import attrs
import numpy as np
import pytest
from numpy.typing import NDArray

from lego.contract import Lists
from lego.ragged import Ragged
from lego.testing.suite import SpecTests

ITEMS = 50
"""Items that there are."""


class RerankTests(SpecTests):
    """Ranked lists → the places of the new first k of each."""

    @pytest.fixture
    def lists(self, spec: Any) -> Lists:
        """30 lists of 0 to 14 items, equal scores among them, with what the re-ranker reads and nothing else.

        Some users have no history, one item has a vector of zeros, some have no category.
        """
        chance = np.random.default_rng(5)
        lengths = np.concatenate([[0, 1, 14], chance.integers(1, 15, 27)])
        rows = [chance.choice(np.arange(1, ITEMS + 1), size=length, replace=False) for length in lengths]
        scores = [np.sort(np.round(chance.normal(size=length), 1))[::-1] for length in lengths]
        read = chance.integers(0, 6, len(lengths))
        vectors = chance.normal(size=(ITEMS + 1, 4)).astype(np.float32)
        vectors[[0, 7]] = 0
        categories = chance.integers(-1, 5, ITEMS + 1)
        categories[0] = -1
        return frozen(
            Lists(
                items=Ragged.from_lengths(np.concatenate(rows).astype(np.int64), lengths),
                scores=np.concatenate(scores).astype(np.float32),
                histories=Ragged.from_lengths(chance.integers(1, ITEMS + 1, int(read.sum())), read),
                vectors=vectors if spec.reads_vectors else None,
                categories=categories if spec.reads_categories else None,
            )
        )

    @pytest.mark.parametrize("k", [1, 5, 1000])
    def test_it_chooses_the_first_k_of_each_list(self, spec: Any, lists: Lists, k: int) -> None:
        """k different places of a list, or all where it has fewer."""
        found = spec.rerank(lists, k)
        assert found.lengths.tolist() == np.minimum(lists.items.lengths, k).tolist()
        for row, length in enumerate(lists.items.lengths.tolist()):
            places = found[row].tolist()
            assert len(set(places)) == len(places)
            assert all(0 <= place < length for place in places)

    def test_calls_agree(self, spec: Any, lists: Lists) -> None:
        """The same lists have the same order, and what came in is not written to (it cannot be)."""
        assert np.array_equal(spec.rerank(lists, 4).values, spec.rerank(lists, 4).values)

    def test_the_first_of_more_are_the_first_of_fewer(self, spec: Any, lists: Lists) -> None:
        """What stands at the top does not depend on how long a list is asked for."""
        few, many = spec.rerank(lists, 3), spec.rerank(lists, 9)
        assert all(np.array_equal(few[row], many[row][:3]) for row in range(len(lists)))

    def test_lists_do_not_look_at_each_other(self, spec: Any, lists: Lists) -> None:
        """A list alone has the order that it has among others."""
        together = spec.rerank(lists, 6)
        for row in range(len(lists)):
            assert np.array_equal(spec.rerank(taken(lists, [row]), 6)[0], together[row])

    def test_numbers_of_items_do_not_matter(self, spec: Any, lists: Lists) -> None:
        """Items under other numbers, with what belongs to them, are in the same order."""
        number = np.concatenate([[0], 1 + np.random.default_rng(6).permutation(ITEMS)])
        back = np.argsort(number)
        other = attrs.evolve(
            lists,
            items=Ragged(number[lists.items.values], lists.items.offsets),
            histories=Ragged(number[lists.histories.values], lists.histories.offsets),
            vectors=None if lists.vectors is None else lists.vectors[back],
            categories=None if lists.categories is None else lists.categories[back],
        )
        assert np.array_equal(spec.rerank(other, 6).values, spec.rerank(lists, 6).values)

    def test_no_lists_at_all(self, spec: Any, lists: Lists) -> None:
        """Nothing in, nothing out."""
        assert len(spec.rerank(taken(lists, []), 3)) == 0

    def test_the_pool_holds_what_is_asked_for(self, spec: Any) -> None:
        """A recommendation of k items is chosen of at least k."""
        assert all(spec.pool(k) >= k for k in (1, 10, 500))


def taken(lists: Lists, rows: list[int]) -> Lists:
    """Some of the lists."""
    chosen = np.asarray(rows, np.int64)
    scores = Ragged(lists.scores, lists.items.offsets).take(chosen).values
    return attrs.evolve(
        lists, items=lists.items.take(chosen), scores=scores, histories=lists.histories.take(chosen)
    )


def frozen(lists: Lists) -> Lists:
    """The same, in arrays that cannot be written to."""
    arrays: list[NDArray[Any] | None] = [lists.items.values, lists.scores, lists.histories.values]
    for each in (*arrays, lists.vectors, lists.categories):
        if each is not None:
            each.setflags(write=False)
    return lists
