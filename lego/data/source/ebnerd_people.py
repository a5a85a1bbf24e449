"""What the impressions of EB-NeRD say of their users."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lego.data.raw.growing import MANY
from lego.data.table import CATEGORY, TEXT, flat

PEOPLE = ("gender", "postcode", "age")


class People:
    """What the first impression of each user that says it, says. No more is held, however many impressions there are."""

    def __init__(self) -> None:
        self.said = {
            name: pa.table(
                {"user": pa.array([], pa.int64()), "time": pa.array([], pa.int64()), name: pa.array([], TEXT)}
            )
            for name in PEOPLE
        }
        self._settled = dict.fromkeys(PEOPLE, 0)

    def add(self, table: pa.Table) -> None:
        """User, time and what is said of them, of impressions behind those that were added before."""
        for name in PEOPLE:
            some = table.select(["user", "time", name]).drop_null()
            said = pa.concat_tables([self.said[name], some])
            if said.num_rows > MANY and said.num_rows > 2 * self._settled[name]:
                said = _first_of_each(said)
                self._settled[name] = said.num_rows
            self.said[name] = said

    def join(self, later: People) -> None:
        """What those of a later file say as well."""
        for name in PEOPLE:
            self.said[name] = _first_of_each(pa.concat_tables([self.said[name], later.said[name]]))

    def of(self, users: pa.Array) -> dict[str, pa.Array]:
        """An attribute of each name for these users."""
        found = {}
        for name in PEOPLE:
            known = _first_of_each(self.said[name])
            place = pc.index_in(users, value_set=_one(known["user"]))
            found[name] = pc.cast(_one(known[name]).take(place).dictionary_encode(), CATEGORY)
        return found


def _first_of_each(said: pa.Table) -> pa.Table:
    """The earliest row of each user; of those at one time the one that stands first."""
    order = np.lexsort((flat(said["time"]), flat(said["user"])))
    user = flat(said["user"])[order]
    begins = np.ones(len(user), bool)
    begins[1:] = user[1:] != user[:-1]
    return said.take(pa.array(order[begins]))


def _one(column: pa.ChunkedArray) -> pa.Array:
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)
