"""What is known of users beside a log: their attributes, and what they took before it."""

from __future__ import annotations

from collections.abc import Mapping

import attrs
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from lego.data.impressions.log import no_rows, one_after_another
from lego.data.table import flat
from lego.ragged import Ragged, offsets_of


@attrs.frozen(eq=False)
class UserTable:
    """What `users` says: ids, attributes, and the history before the log."""

    ids: pa.Array
    attributes: Mapping[str, pa.Array]
    history: Ragged


@attrs.frozen(eq=False)
class KnownUsers:
    """The same for whoever has no such table."""

    users: UserTable

    @classmethod
    def of(cls, users: UserTable | None, items: int, dropped: dict[str, int]) -> KnownUsers:
        """Without the items whose rows are beyond `items`, which are missing; they are counted."""
        if users is None:
            return cls(UserTable(pa.array([], pa.string()), {}, no_rows(0)))
        inside = users.history.values <= items
        if inside.all():
            return cls(users)
        dropped["earlier_clicks_of_missing_items"] = int((~inside).sum())
        before = offsets_of(inside)
        history = Ragged(users.history.values[inside], before[users.history.offsets])
        return cls(UserTable(users.ids, users.attributes, history))

    def users_with(self, users: pa.DictionaryArray) -> tuple[pa.Array, NDArray[np.int32]]:
        """All users, those of the log first; and for each row of the log the place of its user."""
        return self.with_names(users.dictionary), flat(users.indices)

    def with_names(self, names: pa.Array) -> pa.Array:
        """These users, and behind them the others that are known."""
        others = self.users.ids.filter(pc.invert(pc.is_in(self.users.ids, value_set=names)))
        return pa.concat_arrays([names, others])

    def history_of(self, names: pa.Array) -> Ragged:
        """The history before the log of each of these users."""
        place = flat(pc.fill_null(pc.index_in(names, value_set=self.users.ids), -1)).astype(np.int64)
        known = place >= 0
        taken = self.users.history.take(place[known])
        lengths = np.zeros(len(place), np.int64)
        lengths[known] = taken.lengths
        return Ragged.from_lengths(taken.values, lengths)

    def with_others(self, names: pa.ChunkedArray, history: Ragged) -> tuple[pa.Array, Ragged]:
        """Users and their histories, and behind them the users that the log lacks."""
        first = pc.cast(names, pa.string()).combine_chunks()
        first = pa.concat_arrays(first.chunks) if isinstance(first, pa.ChunkedArray) else first
        others = self.users.ids.filter(pc.invert(pc.is_in(self.users.ids, value_set=pc.unique(first))))
        return pa.concat_arrays([first, others]), one_after_another([history, self.history_of(others)])

    def attributes_of(self, names: pa.Array) -> tuple[dict[str, pa.Array], int]:
        """The attributes of these users, and how many of the users have none."""
        place = pc.index_in(names, value_set=self.users.ids)
        unknown = len(pc.unique(names.filter(place.is_null())))
        return {name: column.take(place) for name, column in self.users.attributes.items()}, unknown
