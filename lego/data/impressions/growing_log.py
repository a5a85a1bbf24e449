"""A log of impressions that grows while its file is read: on disk if it is long."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pyarrow as pa

from lego.data.impressions.log import Catalog, Log, add_users
from lego.data.raw.growing import MANY, Growing, blocks, rows_of
from lego.data.raw.spool import Spool
from lego.data.raw.words import Words
from lego.data.table import CATEGORY
from lego.ragged import Ragged


class GrowingLog:
    """`add` puts impressions behind those that are there; `log` gives all of them and ends it.

    All that is added has the same attributes and signals. What is held are the ids of the users, and the words of categories.
    """

    def __init__(self) -> None:
        self.impressions = 0
        self._users = _Users()
        self._impression, self._time = Growing(np.int64), Growing(np.int64)
        self._history, self._candidates = _Rows(), _Rows()
        self._labels = Growing(np.int8)
        self._signals: dict[str, Growing] = {}
        self._history_signals: dict[str, Growing] = {}
        self._attributes: _Attributes | None = None

    @classmethod
    def of(cls, logs: Iterable[Log]) -> Log:
        """One log of several, each of which is let go before the next one is asked for."""
        made = cls()
        for each in logs:
            made.add(each)
        return made.log()

    def add(self, log: Log) -> None:
        """The impressions of a piece of the file."""
        self.impressions += len(log.impression)
        self._impression.add(log.impression)
        self._time.add(log.time)
        self._labels.add(log.labels)
        self._users.add(log.user)
        self._history.add(log.history)
        self._candidates.add(log.candidates)
        for grown, signals in (
            (self._signals, log.signals),
            (self._history_signals, log.history_signals),
        ):
            for name, values in signals.items():
                grown.setdefault(name, Growing(np.float32)).add(values)
        if log.attributes is not None:
            self._attributes = self._attributes or _Attributes(log.attributes.schema)
            self._attributes.add(log.attributes)

    def log(self) -> Log:
        """All of them."""
        return Log(
            impression=self._impression.array(),
            user=self._users.column(),
            time=self._time.array(),
            history=self._history.rows(),
            candidates=self._candidates.rows(),
            labels=self._labels.array(),
            attributes=None if self._attributes is None else self._attributes.table(),
            signals={name: grown.array() for name, grown in self._signals.items()},
            history_signals={name: grown.array() for name, grown in self._history_signals.items()},
        )


class _Users:
    """Those of impressions; so many at a time are looked up that the ids are not gone through for each piece."""

    def __init__(self) -> None:
        self._ids, self._places = Catalog(pa.array([], pa.string())), Growing(np.int32)
        self._pending: list[pa.Array] = []
        self._rows = 0

    def add(self, column: pa.ChunkedArray) -> None:
        """Some behind those that are there."""
        self._pending += column.chunks
        self._rows += len(column)
        if self._rows > MANY:
            self._settle()

    def column(self) -> pa.ChunkedArray:
        """All of them, coded."""
        self._settle()
        users = pa.DictionaryArray.from_arrays(pa.array(self._places.array()), self._ids.missing)
        return pa.chunked_array([users])

    def _settle(self) -> None:
        if self._pending:
            add_users(self._ids, self._places, pa.chunked_array(self._pending))
        self._pending, self._rows = [], 0


class _Rows:
    """Rows of items."""

    def __init__(self) -> None:
        self._values, self._lengths = Growing(np.int32), Growing(np.int64)

    def add(self, rows: Ragged) -> None:
        """Some behind those that are there."""
        self._values.add(rows.values)
        self._lengths.add(rows.lengths)

    def rows(self) -> Ragged:
        """All of them."""
        return rows_of(self._values.array(), self._lengths.array())


class _Attributes:
    """Columns of attributes; a category is held as the number of its word."""

    def __init__(self, schema: pa.Schema) -> None:
        self._words = {field.name: Words() for field in schema if field.type == CATEGORY}
        coded = [field.with_type(pa.int32()) if field.name in self._words else field for field in schema]
        self._spool = Spool(pa.schema(coded))

    def add(self, table: pa.Table) -> None:
        """Some behind those that are there."""
        for begin, end in blocks(table.num_rows, MANY):
            for piece in table.slice(begin, end - begin).to_batches():
                columns = [
                    self._words[name].coded(column) if name in self._words else column
                    for name, column in zip(piece.schema.names, piece.columns, strict=True)
                ]
                self._spool.add(pa.RecordBatch.from_arrays(columns, names=piece.schema.names))

    def table(self) -> pa.Table:
        """All of them."""
        made = self._spool.table()
        for place, (name, column) in enumerate(zip(made.column_names, made.columns, strict=True)):
            if name in self._words:
                known = self._words[name].known
                chunks = [pa.DictionaryArray.from_arrays(chunk, known) for chunk in column.chunks]
                made = made.set_column(place, name, pa.chunked_array(chunks, CATEGORY))
        return made
