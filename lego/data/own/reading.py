"""What is known while the files of a log are read, and how their columns with a role are read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from lego.data.impressions.log import Catalog
from lego.data.own.missing import Met
from lego.data.problems import Problems
from lego.data.raw.frame import Frame
from lego.data.raw.growing import Growing, on_disk, rows_of
from lego.data.raw.guess import Roles, looks_like, roles
from lego.data.raw.values import IdLists, array_of, id_lists, ids_of, shown, times_of
from lego.data.table import PARTS, flat
from lego.ragged import Ragged

if TYPE_CHECKING:
    from lego.data.own.beside import Beside
    from lego.data.source.tables import Tables

DOUBTS = "doubts"
"""The rule of the manifest that lists what may have been misread."""

_MADE_PARTS = {**{part: part for part in PARTS}, "valid": "dev", "validation": "dev", "val": "dev"}
"""What a column of parts may hold."""
_NUMBERS = np.array([PARTS.index(part) for part in _MADE_PARTS.values()], np.int8)


@attrs.define(eq=False)
class Reading:
    """Of the log of a `Tables`, whose items are known."""

    spec: Tables
    problems: Problems = attrs.field(factory=Problems)
    rules: dict[str, Any] = attrs.field(factory=dict)
    """What the manifest says of it."""
    catalog: Catalog = attrs.field(factory=lambda: Catalog(pa.array([], pa.string())))
    met: list[Met] = attrs.field(factory=list)
    own_history: set[bool] = attrs.field(factory=set)
    """Whether impressions have a history of their own, of each file."""
    labels: list[str] = attrs.field(factory=list)
    """File and column of labels."""
    log_kinds: dict[str, str] = attrs.field(factory=dict)
    """What the first file of the log showed its columns to be; the others are read alike."""

    def ids(self, frame: Frame, found: Roles, role: str) -> pa.Array | None:
        """Those of the column of a role; None where there is none, or one cannot be read."""
        return ids_of(frame, found.columns[role], self.problems) if role in found.columns else None

    def lists(self, frame: Frame, column: str) -> Ragged | None:
        """Item rows of lists of ids."""
        read = id_lists(frame, column, self.problems)
        if read is None:
            return None
        self.rules[f"{frame.name} {column}"] = read.written.in_words()
        before, values, every = len(self.problems), Growing(np.int32), Growing(np.int64)
        for piece, ids, lengths in read.pieces(self.problems):
            values.add(self.rows_of(piece, column, ids, partial(ids_again, read, piece)))
            every.add(lengths)
        return None if len(self.problems) > before else rows_of(values.array(), every.array())

    def people(self, frame: Frame, found: Roles) -> pa.ChunkedArray | None:
        """The user of each row, each of them named once; None where there is no column of them, or one cannot be read."""
        column = found.columns.get("user")
        if column is None:
            return None
        users, place, before = Catalog(pa.array([], pa.string())), Growing(np.int32), len(self.problems)
        for piece in frame.pieces():
            ids = ids_of(piece, column, self.problems)
            if ids is not None:
                place.add(places_of(users, ids) - 1)
            elif self.of_column(frame):
                break
        if len(self.problems) > before:
            return None
        return pa.chunked_array([pa.DictionaryArray.from_arrays(pa.array(place.array()), users.missing)])

    def of_column(self, frame: Frame) -> bool:
        """Whether something is wrong with a whole column, which is said once."""
        return any(each.where.startswith(f"{frame.name}, column ") for each in self.problems.shown)

    def rows_of(
        self,
        frame: Frame,
        column: str,
        ids: pa.Array,
        again: Callable[[], tuple[pa.Array, NDArray[np.int64]]] | None = None,
    ) -> NDArray[np.int32]:
        """Item rows of ids, which `again` reads once more with the row of each, see `Met`."""
        self.met.append(Met(frame, column, again))
        return places_of(self.catalog, ids)

    def roles(self, frame: Frame, needed: tuple[str, ...], optional: tuple[str, ...]) -> Roles:
        """What the columns of a file are."""
        option = self.spec.log_option
        if isinstance(getattr(self.spec, option), Mapping):
            optional = tuple(role for role in optional if role != "part")
        found = roles(frame, option, needed, optional, self.spec.columns, self.problems)
        self.rules[frame.name] = in_words(found, ())
        self._doubt(frame, found, optional)
        return found

    def _doubt(self, frame: Frame, found: Roles, optional: tuple[str, ...]) -> None:
        """Says of each column without a role that it looks like one that no column has, unless its kind was chosen."""
        instead = {
            "label": "every row is taken for a click",
            "time": "the order of the log is taken for that of time",
        }
        absent = [role for role in instead if role in optional and role not in found.columns]
        for column in found.rest:
            kinds = self.spec.kinds
            if {column, f"{self.spec.log_option}.{column}"} & kinds.keys():
                continue
            role = looks_like(frame.table[column]) if absent else None
            if role in absent:
                doubt = (
                    f"{frame.name}: no column is known to be the {role}, so {instead[role]}; the column {column} looks like "
                    f"it. If it is: columns={{{role!r}: {column!r}}}; if not: kinds={{{column!r}: 'none'}}, or its kind"
                )
                self.rules.setdefault(DOUBTS, []).append(doubt)

    def times(self, frame: Frame, found: Roles) -> NDArray[np.int64] | None:
        """Unix seconds, -1 in each row where there is no such column; None where one cannot be read."""
        if "time" not in found.columns:
            count = frame.table.num_rows
            return on_disk(count, np.int64, lambda begin, end: np.full(end - begin, -1))
        read = times_of(frame, found.columns["time"], self.problems)
        if read is None:
            return None
        self.rules[f"{frame.name} {found.columns['time']}"] = read[1]
        return read[0]

    def parts(self, frame: Frame, column: str | None) -> NDArray[np.int8] | None:
        """The part of each row; None where there is no such column, or one cannot be read."""
        if column is None:
            return None
        made, good = Growing(np.int8), True
        for piece in frame.pieces():
            words = pc.utf8_lower(pc.fill_null(pc.cast(array_of(piece, column), pa.string()), ""))
            place = pc.index_in(words, value_set=pa.array(list(_MADE_PARTS)))
            wrong = flat(place.is_null())
            if wrong.any():
                good = False

                def what(row: int, words: pa.Array = words) -> str:
                    return f"{', '.join(PARTS)} is expected, {shown(words[row].as_py())} found"

                fix = "correct it, or rename the column where it is not the part"
                piece.complain(wrong, column, what, fix, self.problems)
            else:
                made.add(_NUMBERS[flat(place)])
        return made.array() if good else None


def impression_codes(reading: Reading, frame: Frame, column: str) -> tuple[NDArray[np.int64], bool] | None:
    """A number for each impression id: itself where all are whole numbers, and whether they are; None where one is missing.

    Ids that are no numbers are held, each once.
    """
    whole, before = True, len(reading.problems)
    for piece in frame.pieces():
        ids = ids_of(piece, column, reading.problems)
        if ids is not None:
            whole = whole and pc.all(pc.match_substring_regex(ids, r"^(0|[1-9]\d{0,14})$")).as_py()
        elif reading.of_column(frame):
            break
    if len(reading.problems) > before:
        return None
    names, codes = Catalog(pa.array([], pa.string())), Growing(np.int64)
    for piece in frame.pieces():
        ids = ids_of(piece, column, reading.problems)
        codes.add(flat(pc.cast(ids, pa.int64())) if whole else places_of(names, ids))
    return codes.array(), whole


def ids_again(lists: IdLists, piece: Frame) -> tuple[pa.Array, NDArray[np.int64]]:
    """The ids of a piece that was read without a problem, and the row of each."""
    _, ids, lengths = next(attrs.evolve(lists, frame=piece).pieces(Problems()))
    return ids, np.repeat(np.arange(len(lengths)), lengths)


def places_of(catalog: Catalog, ids: pa.Array) -> NDArray[np.int32]:
    """The row of each id, which is looked up once where it stands in several places."""
    coded = ids.dictionary_encode()
    return catalog.rows(coded.dictionary)[flat(coded.indices)]


def in_words(found: Roles, attributes: Iterable[str], log: Beside | None = None) -> str:
    """For the manifest: what was taken for what."""
    made = list(attributes)
    left_out = [column for column in found.rest if column not in made]
    parts = [found.told()]
    if log is None:
        parts += [f"attributes: {', '.join(made)}"] if made else []
    else:
        parts += [f"attributes of the impression: {', '.join(log.attributes)}"] if log.attributes else []
        for of, names in log.beside.items():
            parts += [f"beside the {of}: {', '.join(names)}"] if names else []
    parts += [f"not read: {', '.join(left_out)}"] if left_out else []
    return "; ".join(parts)
