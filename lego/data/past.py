"""What was known of an item at a moment: how often it was shown and clicked before, and how old it was.

    past_shown        impressions that had it among their candidates before the moment
    past_clicks       clicks on it before the moment
    past_rate         clicks by impressions whose labels are known; unknown where it was in none
    past_age          seconds since it was first shown; unknown where it was not

Behind an @ stands how many hours count (`past_rate@24` is of the day before), or, for the age, the attribute of the items that
says when they were published, in unix seconds (`past_age@published`).

*Before* is earlier: what happens at the moment itself, or later, changes nothing. Impressions of all parts count, as a live
system would count them. Where candidates were drawn instead of logged, to be shown is to be drawn; clicks are clicks anywhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING

import attrs
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from lego.data.table import PAST, flat
from lego.errors import did_you_mean

if TYPE_CHECKING:
    from lego.data.store import Store

Ints = NDArray[np.int64]

AGE = "past_age"
HOUR = 3600


def is_past(name: str) -> bool:
    """Whether a signal of this name is counted, not stored."""
    return name.partition("@")[0] in PAST


def problem_of(name: str, attributes: Mapping[str, str]) -> str | None:
    """What is wrong with the name of what is counted, with attributes of the items; None where nothing is."""
    kind, at, told = name.partition("@")
    if kind == AGE and at and attributes.get(told) != "number":
        numbers = [each for each, of in attributes.items() if of == "number"]
        known = f"those that are: {', '.join(numbers)}" if numbers else "there is none that is"
        return f"{told!r} is no attribute of the items that is a number. {did_you_mean(told, numbers)}{known}"
    if kind != AGE and at and _hours(told) is None:
        return f"behind the @ of {name} stands a number of hours above 0, as in {kind}@24"
    return None


def _hours(told: str) -> float | None:
    try:
        hours = float(told)
    except ValueError:
        return None
    return hours if 0 < hours < np.inf else None


@attrs.define(eq=False, slots=False)
class Past:
    """Counts of a log, made when they are first asked for: one sort of its candidates, then a search for each number."""

    store: Store

    def __call__(self, name: str, items: Ints, time: Ints) -> NDArray[np.float32]:
        """items (B, C) rows, time (B,) unix seconds, -1 unknown → (B, C): NaN where it is not known, 0 at padding."""
        kind, _, told = name.partition("@")
        # Items that the data lacks, such as new ones, are never met; they are asked for as padding is.
        known = np.where(items <= self.store.item_count, items, 0)
        moment = time[:, None]  # searched for once a row
        if kind == AGE:
            born = self._born(told)[known]
            # Seen means seen before; what is published at the moment is there at it.
            values = np.where(born <= moment if told else born < moment, moment - born, np.nan)
        else:
            since = np.zeros_like(moment) if not told else moment - int((_hours(told) or 0) * HOUR)
            values = self._counted(kind, known, since, moment)
        values = np.where((moment >= 0) & (items > 0), values, np.nan)
        return np.where(items > 0, values, 0).astype(np.float32)

    @property
    def end(self) -> int:
        """The moment behind the whole log."""
        return int(self._moments[-1]) + 1 if len(self._moments) else 0

    def _counted(self, kind: str, items: Ints, since: Ints, moment: Ints) -> NDArray[np.float64]:
        def count(keys: Ints) -> Ints:
            until = np.searchsorted(keys, self._keys(items, moment))
            return np.asarray(until - np.searchsorted(keys, self._keys(items, since)), np.int64)

        if kind == "past_shown":
            return count(self._shown).astype(np.float64)
        clicks = count(self._clicked).astype(np.float64)
        if kind == "past_clicks":
            return clicks
        shown = count(self._judged)
        return np.divide(clicks, shown, out=np.full(clicks.shape, np.nan), where=shown > 0)

    def _keys(self, items: Ints, moment: Ints) -> Ints:
        """Numbers that go by item, then by time; of a moment itself, what is before all that happened then."""
        place = np.searchsorted(self._moments, moment)
        return np.asarray(items * (len(self._moments) + 1) + place, np.int64)

    @cached_property
    def _moments(self) -> Ints:
        """The different times of the log, ascending."""
        times = [self.store.part(part).time for part in self.store.parts]
        found = np.unique(
            np.concatenate([np.empty(0, np.int64), *(each for each in times if each is not None)])
        )
        return found[found >= 0]

    @cached_property
    def _shown(self) -> Ints:
        """The key of each candidate of the log whose time is known, ascending."""
        return self._events(self.store.parts)

    @cached_property
    def _judged(self) -> Ints:
        """Of those of which it is known whether they were clicked."""
        labeled = self._labeled
        return self._shown if len(labeled) == len(self.store.parts) else self._events(labeled)

    @cached_property
    def _clicked(self) -> Ints:
        """Of those that were clicked."""
        return self._events(self._labeled, clicked=True)

    @property
    def _labeled(self) -> tuple[str, ...]:
        return tuple(part for part in self.store.parts if self.store.part(part).labeled)

    def _events(self, parts: tuple[str, ...], *, clicked: bool = False) -> Ints:
        found = [np.empty(0, np.int64)]
        for part in parts:
            impressions = self.store.part(part)
            if impressions.time is None:
                continue
            real = slice(int(impressions.candidates.offsets[0]), int(impressions.candidates.offsets[-1]))
            items = impressions.candidates.values[real].astype(np.int64)
            place = np.searchsorted(self._moments, impressions.time)
            wanted = np.repeat(impressions.time >= 0, impressions.candidates.lengths)
            if clicked:
                wanted &= impressions.labels[real] > 0
            keys = items * (len(self._moments) + 1) + np.repeat(place, impressions.candidates.lengths)
            found.append(keys[wanted])
        keys = np.concatenate(found)
        keys.sort()
        return keys

    def _born(self, attribute: str) -> NDArray[np.float64]:
        """When each item row was published or, where no attribute says so, first shown; infinity where that is not known."""
        if attribute not in self._births:
            self._births[attribute] = self._published(attribute) if attribute else self._first_shown()
        return self._births[attribute]

    @cached_property
    def _births(self) -> dict[str, NDArray[np.float64]]:
        return {}

    def _published(self, attribute: str) -> NDArray[np.float64]:
        column = self.store.items[attribute].cast(pa.float64())
        return np.concatenate([[np.inf], flat(pc.fill_null(column, float("inf")))])

    def _first_shown(self) -> NDArray[np.float64]:
        born = np.full(self.store.item_count + 1, np.inf)
        size = len(self._moments) + 1
        items, first = np.unique(self._shown // size, return_index=True)
        born[items] = self._moments[self._shown[first] % size]
        return born
