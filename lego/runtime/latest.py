"""Where the latest history of a user stands: an id may have several rows of users, one a part or a window of the history."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lego.data.table import PARTS, flat

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lego.data.store import Store


@attrs.frozen(eq=False, kw_only=True)
class Latest:
    """The latest histories of n users: `users.history.values[start:stop]`."""

    row: NDArray[np.int64]
    """User rows; -1 where no user has the id."""
    start: NDArray[np.int64]
    stop: NDArray[np.int64]


def latest_of(store: Store, ids: pa.Array) -> Latest:
    """The history that each of these user ids (strings) has at the latest impression of the id.

    That is the impression with the greatest time; where none is known, one of the latest part (test, then dev, then train), and
    of these the one with the longest history. A user without impressions has the longest history of its rows, whole.
    """
    users = store.users
    offsets = users.history.offsets.astype(np.int64)
    rows, starts, stops = [np.arange(len(users))], [offsets[:-1]], [offsets[1:]]
    time, part = [np.full(len(users), -1, np.int64)], [np.full(len(users), -1, np.int64)]
    for name in store.parts:
        given = store.part(name)
        rows.append(given.user.astype(np.int64))
        starts.append(given.start)
        stops.append(given.stop)
        time.append(np.full(len(given), -1, np.int64) if given.time is None else given.time)
        part.append(np.full(len(given), PARTS.index(name), np.int64))
    row, start, stop = np.concatenate(rows), np.concatenate(starts), np.concatenate(stops)
    encoded = pc.dictionary_encode(users.user_ids)
    who = flat(encoded.indices).astype(np.int64)[row]
    # The last of each user is the latest; on a tie, the row that comes first.
    order = np.lexsort((-row, stop - start, np.concatenate(part), np.concatenate(time), who))
    last = order[np.append(who[order][1:] != who[order][:-1], True)] if len(order) else order
    place = flat(pc.fill_null(pc.index_in(ids, value_set=encoded.dictionary), -1)).astype(np.int64)
    known = place >= 0
    chosen = last[place[known]]

    def put(values: NDArray[np.int64], otherwise: int) -> NDArray[np.int64]:
        found = np.full(len(place), otherwise, np.int64)
        found[known] = values[chosen]
        return found

    return Latest(row=put(row, -1), start=put(start, 0), stop=put(stop, 0))
