"""A training batch: each distinct item once, and where it stands in histories and candidates."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lego.contract import Needs
from lego.data.sampling import beside
from lego.errors import DataError
from lego.ragged import flat_positions

if TYPE_CHECKING:
    from lego.data.sampling import Rows
    from lego.data.store import Impressions, Users


@attrs.frozen(eq=False, kw_only=True)
class Batch:
    """Places in `items` count from 1, since 0 is padding: put a row of zeros before the encoded items, then gather."""

    items: Tensor
    """(N,) int64 item rows to encode, all real; distinct and ascending, unless the batch was made with `deduplicate=False`.

    They stay on the host, where what there is to read of them is looked up.
    """
    history: Tensor
    """(B, S) int64 places in `items`, oldest first; 0 is padding."""
    history_mask: Tensor
    """(B, S) bool."""
    candidates: Tensor
    """(B, C) int64 places in `items`; 0 is padding."""
    candidate_mask: Tensor
    """(B, C) bool."""
    labels: Tensor
    """(B, C) float32; 0.0 at padding."""
    users: Tensor
    """(B,) int64 user rows."""
    offsets: Tensor | None = None
    """(B, C) float32, added to the scores before the loss; 0.0 at padding, None where nothing is added."""
    needs: Needs = attrs.field(factory=Needs)
    """What operators ask for beyond; empty as `collate` gives it, `lego.compiler.gather.batch_of` fills it."""
    slots: int
    """B·(S+C), padding included: what would be encoded slot by slot."""
    real: int
    """Slots that hold an item."""
    distinct: int
    """Different items among them."""

    def to(self, device: torch.device | str, *, non_blocking: bool = False) -> Batch:
        """The same batch on a device."""
        return self._mapped(lambda value: value.to(device, non_blocking=non_blocking))

    def pinned(self) -> Batch:
        """The same batch in memory that a device can read by itself, while the host goes on."""
        return self._mapped(lambda value: value.pinned() if isinstance(value, Needs) else value.pin_memory())

    def _mapped(self, change: Callable[[Any], Any]) -> Batch:
        moved: dict[str, Any] = {
            field.name: change(value)
            for field in attrs.fields(Batch)
            if field.name != "items" and isinstance(value := getattr(self, field.name), Tensor | Needs)
        }
        return attrs.evolve(self, **moved)

    def __len__(self) -> int:
        return len(self.users)


def collate(
    impressions: Impressions,
    users: Users,
    rows: Rows,
    chosen: NDArray[np.integer],
    *,
    deduplicate: bool = True,
) -> Batch:
    """The rows at `chosen` (B,) as tensors, histories as long as the longest of them (one slot at least).

    A history is `users.history.values[start:stop]` of the row's impression: `Impressions.recent` decides how much of it. Where
    the rows are each other's negatives, C is what `lego.data.sampling.beside` finds in this batch. With `deduplicate=False`
    every real slot has an entry of its own in `items`: what the other way is measured and tested against. DataError where a
    history holds row 0.
    """
    impression = rows.impression[chosen]
    start, stop = impressions.start[impression], impressions.stop[impression]
    lengths = stop - start
    past = np.asarray(users.history.values[flat_positions(start, lengths)])
    if past.min(initial=1) < 1:
        raise DataError(
            "A history holds item row 0, which is never an item. Prepare the data again: lego data prepare."
        )
    history_mask = np.arange(lengths.max(initial=1)) < lengths[:, None]
    user = impressions.user[impression].astype(np.int64)
    candidates, labels = rows.items[chosen], rows.labels[chosen]
    if rows.shared is not None:
        candidates = beside(rows.shared, candidates[:, 0].astype(np.int64), user)
        labels = np.zeros(candidates.shape, np.float32)
        labels[:, 0] = 1
    candidate_mask = candidates > 0
    slots = np.concatenate([past, candidates[candidate_mask]]).astype(np.int64)

    distinct, place = np.unique(slots, return_inverse=True)
    items, place = (distinct, place) if deduplicate else (slots, np.arange(len(slots)))
    return Batch(
        items=torch.from_numpy(items),
        history=torch.from_numpy(_spread(place[: len(past)] + 1, history_mask)),
        history_mask=torch.from_numpy(history_mask),
        candidates=torch.from_numpy(_spread(place[len(past) :] + 1, candidate_mask)),
        candidate_mask=torch.from_numpy(candidate_mask),
        labels=torch.from_numpy(np.where(candidate_mask, labels, np.float32(0))),
        users=torch.from_numpy(user),
        offsets=None if rows.offsets is None else torch.from_numpy(rows.offsets[candidates]),
        slots=history_mask.size + candidate_mask.size,
        real=len(slots),
        distinct=len(distinct),
    )


def _spread(places: NDArray[np.integer], mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Places put where the mask is True, row by row; 0 elsewhere."""
    table = np.zeros(mask.shape, np.int64)
    table[mask] = places
    return table
