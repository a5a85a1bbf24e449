"""What a batch holds is what the rows say, padding aside."""

from __future__ import annotations

import attrs
import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lego.contract import Candidates
from lego.data.batch import Batch, collate
from lego.data.sampling import Rows, draw
from lego.data.store import Impressions, Users
from lego.errors import DataError
from lego.ragged import Ragged


def world(histories: list[list[int]]) -> tuple[Impressions, Users]:
    """One impression for each history, whose users are counted from 1, so that no user's row is that of the impression."""
    everyone = [[8, 8], *histories]
    history = Ragged.from_lengths(
        np.array([each for row in everyone for each in row], np.int32),
        np.array([len(row) for row in everyone]),
    )
    count = len(histories)
    impressions = Impressions(
        impression=np.arange(count, dtype=np.int64),
        user=np.arange(1, count + 1, dtype=np.int32),
        start=history.offsets[1:-1].copy(),
        stop=history.offsets[2:].copy(),
        time=None,
        candidates=Ragged.from_lengths(np.zeros(0, np.int32), np.zeros(count, np.int64)),
        labels=np.zeros(0, np.int8),
    )
    return impressions, Users(
        user_ids=pa.array([str(n) for n in range(count + 1)]), history=history, times=None
    )


def rows(impression: list[int], items: list[list[int]], labels: list[list[float]]) -> Rows:
    return Rows(np.array(impression), np.array(items, np.int32), np.array(labels, np.float32))


def lookup(batch: Batch, places: torch.Tensor) -> list[list[int]]:
    """Item rows where the batch has places, 0 where it has padding."""
    return torch.cat([torch.zeros(1, dtype=torch.int64), batch.items])[places].tolist()


@given(
    histories=st.lists(st.lists(st.integers(1, 9), max_size=5), min_size=1, max_size=5),
    candidates=st.lists(st.integers(0, 9), min_size=2, max_size=2),
    deduplicate=st.booleans(),
)
@settings(max_examples=80, deadline=None)
def test_looking_items_up_gives_the_rows_back(
    histories: list[list[int]], candidates: list[int], deduplicate: bool
) -> None:
    """Histories and candidates read through `items` are those of the data, padded behind with 0, in both ways to make a batch."""
    candidates = sorted(candidates, reverse=True)
    impressions, users = world(histories)
    chosen = np.arange(len(histories))[::-1]
    made = rows(list(range(len(histories))), [candidates] * len(histories), [[1.0, 0.0]] * len(histories))
    batch = collate(impressions, users, made, chosen, deduplicate=deduplicate)
    longest = max(1, *map(len, histories), 1)
    expected = [histories[each] + [0] * (longest - len(histories[each])) for each in chosen]
    assert lookup(batch, batch.history) == expected
    assert batch.history_mask.tolist() == [[item > 0 for item in row] for row in expected]
    assert lookup(batch, batch.candidates) == [candidates] * len(histories)
    assert batch.candidate_mask.tolist() == [[item > 0 for item in candidates]] * len(histories)
    assert batch.users.tolist() == (chosen + 1).tolist()
    everything = [item for row in [*expected, *[candidates] * len(histories)] for item in row]
    assert batch.slots == len(everything)
    assert batch.real == sum(item > 0 for item in everything)
    assert batch.distinct == len(set(everything) - {0})
    if deduplicate:
        assert batch.items.tolist() == sorted(set(everything) - {0})
    else:
        assert sorted(batch.items.tolist()) == sorted(item for item in everything if item)


def test_padding_is_never_an_item() -> None:
    """No padded slot points to an item, not even to the first of the batch, and no item is row 0."""
    impressions, users = world([[5], [5, 6, 7]])
    made = rows([0, 1], [[1, 0], [2, 3]], [[1, 0], [1, 0]])
    batch = collate(impressions, users, made, np.array([0, 1]))
    assert not batch.history[~batch.history_mask].any()
    assert not batch.candidates[~batch.candidate_mask].any()
    assert (batch.history[batch.history_mask] > 0).all()
    assert (batch.items > 0).all()


def test_the_most_recent_clicks_are_kept() -> None:
    """A history cut to two keeps the last two clicks, oldest first."""
    impressions, users = world([[1, 2, 3, 4]])
    batch = collate(impressions.recent(2), users, rows([0], [[9]], [[1]]), np.array([0]))
    assert lookup(batch, batch.history) == [[3, 4]]


def test_a_batch_without_any_history_has_one_padded_slot() -> None:
    """Operators always see at least one slot."""
    impressions, users = world([[], []])
    batch = collate(impressions, users, rows([0, 1], [[1], [2]], [[1], [1]]), np.array([0, 1]))
    assert batch.history.shape == (2, 1)
    assert not batch.history_mask.any()


@pytest.mark.parametrize("deduplicate", [True, False])
def test_inputs_are_never_written(deduplicate: bool) -> None:
    """Arrays that cannot be written to will do, and what the batch does to its tensors never reaches them."""
    impressions, users = world([[1, 2], [2]])
    made = rows([0, 1], [[3, 1], [2, 0]], [[1, 0], [1, 0]])
    arrays = [
        users.history.values,
        impressions.start,
        impressions.stop,
        impressions.user,
        made.items,
        made.labels,
    ]
    for array in arrays:
        array.flags.writeable = False
    before = [array.copy() for array in arrays]
    batch = collate(impressions, users, made, np.array([0, 1]), deduplicate=deduplicate)
    for tensor in (batch.items, batch.history, batch.candidates, batch.labels, batch.users):
        tensor.zero_()
    assert all(np.array_equal(left, right) for left, right in zip(before, arrays, strict=True))


def test_types_are_those_of_the_contract() -> None:
    """Places and users are int64, masks bool, labels float32 and 0 at padding."""
    impressions, users = world([[1, 2]])
    batch = collate(impressions, users, rows([0], [[3, 0]], [[1, 1]]), np.array([0]))
    assert {t.dtype for t in (batch.items, batch.history, batch.candidates, batch.users)} == {torch.int64}
    assert batch.history_mask.dtype == batch.candidate_mask.dtype == torch.bool
    assert batch.labels.dtype == torch.float32
    assert batch.labels.tolist() == [[1, 0]]


def test_to_moves_every_tensor() -> None:
    """Nothing stays behind but the rows of items, which are looked up on the host; the counts stay."""
    impressions, users = world([[1, 2]])
    batch = collate(impressions, users, rows([0], [[3]], [[1]]), np.array([0]))
    moved = batch.to("meta")
    tensors = [
        batch.history,
        batch.history_mask,
        batch.candidates,
        batch.candidate_mask,
        batch.labels,
        batch.users,
    ]
    names = [name for name in Batch.__slots__ if isinstance(getattr(batch, name, None), torch.Tensor)]
    names.remove("items")
    assert len(names) == len(tensors)
    assert all(getattr(moved, name).device.type == "meta" for name in names)
    assert moved.items.device.type == "cpu"
    assert (moved.slots, moved.real, moved.distinct) == (3, 3, 3)


def test_row_zero_in_a_history_is_refused() -> None:
    """A damaged store cannot make a padding row look like an item."""
    impressions, users = world([[1, 0]])
    with pytest.raises(DataError, match="row 0"):
        collate(impressions, users, rows([0], [[3]], [[1]]), np.array([0]))


@pytest.mark.parametrize("deduplicate", [True, False])
def test_a_batch_whose_rows_share_candidates(deduplicate: bool) -> None:
    """The positive stands first and is the only one labelled, padding behind; offsets go with the items."""
    impressions, users = world([[1, 2], [3], [3]])
    labels = np.array([1, 1, 1], np.int8)
    log = attrs.evolve(
        impressions,
        candidates=Ragged.from_lengths(np.array([5, 6, 5], np.int32), np.ones(3, np.int64)),
        labels=labels,
    )
    want = Candidates(None, "batch", "frequency")
    made = draw(log, want, users, 9, np.random.default_rng(0))
    batch = collate(log, users, made, np.array([0, 1, 2]), deduplicate=deduplicate)
    assert lookup(batch, batch.candidates) == [[5, 6], [6, 5], [5, 6]]
    assert batch.labels.tolist() == [[1, 0]] * 3
    five, six = -np.log(2 / 3), -np.log(1 / 3)
    assert batch.offsets is not None
    assert np.allclose(batch.offsets.numpy(), [[five, six], [six, five], [five, six]])
    alone = collate(log, users, made, np.array([0, 2]), deduplicate=deduplicate)
    assert lookup(alone, alone.candidates) == [[5], [5]]
