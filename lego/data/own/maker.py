"""Items, users and a log that were read → the tables of prepared data: candidates, histories, parts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lego.data import table
from lego.data.impressions.candidates import draw_unseen, impressions_of_clicks
from lego.data.impressions.events import counts_of, how_many
from lego.data.impressions.log import (
    Clicks,
    behind,
    clicks_before,
    drop_missing,
    join_logs,
    one_class,
    part_of_log,
    side_by_side,
    sorted_sets,
    users_of,
)
from lego.data.impressions.parts import are_of, behind_later_parts, cut, in_words
from lego.data.impressions.shared_histories import share_histories, signals_of_shared
from lego.data.own.known_users import KnownUsers
from lego.data.raw.growing import (
    MANY,
    Growing,
    blocks,
    filtered,
    gathered,
    looked_up,
    on_disk,
    one_array,
    owners_of,
    places_where,
)
from lego.data.raw.order import sorted_rows
from lego.data.raw.spool import taken
from lego.data.table import PARTS, lists
from lego.errors import DataError, Problem
from lego.ragged import Ragged

if TYPE_CHECKING:
    from lego.data.own.reader import ReadTables
    from lego.data.source.tables import Tables


@attrs.define(eq=False)
class TableMaker:
    """Makes the tables of a `Tables` of what was read for it. `dropped` and `rules` go into the manifest."""

    spec: Tables
    read: ReadTables
    dropped: dict[str, int]
    rules: dict[str, Any]

    def make(self) -> table.Tables:
        """Impressions with candidates and histories; DataError where there is nothing to make them of."""
        read = self.read
        base = KnownUsers.of(read.users, read.items.num_rows, self.dropped)
        if read.clicks:
            return self._of_clicks(read.items, base, read.clicks, made_parts=read.made_parts)
        return self._of_logs(read.items, base, read.impressions, made_parts=read.made_parts)

    def _of_clicks(
        self, items: pa.Table, base: KnownUsers, logs: list[Clicks], *, made_parts: bool
    ) -> table.Tables:
        """Each click is an impression with drawn candidates."""
        spec = self.spec
        log = Clicks.joined(logs)
        if self.read.labels and not how_many(log.click):
            raise self._no_label_of_a_click(len(log))
        count = items.num_rows
        inside = on_disk(len(log), np.bool_, lambda begin, end: log.item[begin:end] <= count)
        if outside := len(log) - how_many(inside):
            self._count_dropped(missing_items=len(self.read.missing), rows_of_missing_items=outside)
            log = log.where(inside)
        if not how_many(log.click):
            raise _nothing(spec.log_option, "there is no click")
        names = base.with_names(log.names)
        timed = not how_many(on_disk(len(log), np.bool_, lambda begin, end: log.time[begin:end] < 0))
        columns: dict[str, NDArray[Any]] = {
            "user": log.user,
            "time": log.time if timed else np.broadcast_to(np.int64(0), len(log)),
            "part": log.part,
            "item": log.item,
            "click": log.click,
            **({} if log.attributes is None else {"row": on_disk(len(log), np.int64, np.arange)}),
            **{f"signal {name}": values for name, values in log.signals.items()},
        }
        columns = sorted_rows(columns, ("user", "time", "part"))
        clicked = columns.pop("click")
        columns = {name: filtered(values, clicked) for name, values in columns.items()}
        user, time, part = columns["user"], columns["time"], columns["part"]
        clicks = Ragged.from_lengths(columns["item"], counts_of(user, len(names)))
        if made_parts:
            part = self._cut_dev(part, user, time, timed=timed)
            self._count_dropped(train_impressions_behind_later_parts=behind_later_parts(user, time, part))
        else:
            part = self._split(user, time, timed=timed, unit="clicks")
        before = base.history_of(names)
        history = side_by_side(before, clicks)
        whole_part = behind(before, -1, Ragged(part, clicks.offsets)).values
        moments = behind(before, 0, Ragged(time, clicks.offsets)) if timed else None
        times = None if len(before.values) else moments
        met = sorted_sets(
            one_array([log.user, owners_of(before)]),
            one_array([log.item, before.values]),
            len(names),
        )
        urn = (
            clicks.values
            if spec.candidates == "popularity"
            else np.arange(1, items.num_rows + 1, dtype=np.int32)
        )

        def draw(owners: NDArray[np.int64], generator: np.random.Generator) -> Ragged:
            return draw_unseen(urn, owners, met, spec.negatives, generator)

        impressions, without = impressions_of_clicks(history, moments, whole_part, draw, spec.seed)
        if log.attributes is not None:
            of_click = behind(before, -1, Ragged(columns["row"], clicks.offsets))
            impressions = {
                name: _with_attributes(made, log.attributes, of_click) for name, made in impressions.items()
            }
        signals = {
            name: behind(before, np.nan, Ragged(columns[f"signal {name}"], clicks.offsets))
            for name in log.signals
        }
        self._count_dropped(impressions_without_negatives=without)
        after = ", behind the history in users" if len(before.values) else ""
        drawn = {"popularity": "by their clicks in all parts", "uniform": "each as likely as the others"}
        self.rules |= {
            "click": self._click_rule(),
            "order": "time, then the log" if timed else "the log",
            "history": f"all clicks of the user before the impression{after}",
            "candidates": f"the click and up to {spec.negatives} items that the user never met, {drawn[spec.candidates]}, "
            f"without putting back; places random; seed {spec.seed}",
        }
        return self._tables(items, base, names, history, times, impressions, signals)

    def _of_logs(
        self,
        items: pa.Table,
        base: KnownUsers,
        found: list[tuple[Any, NDArray[np.int8] | None]],
        *,
        made_parts: bool,
    ) -> table.Tables:
        """Impressions stay as they were logged."""
        spec, logs = self.spec, [log for log, _ in found]
        parts = [
            np.broadcast_to(np.int8(-1), len(log.impression)) if part is None else part for log, part in found
        ]
        if spec.missing == "drop" and len(self.read.missing):
            numbered = [
                attrs.evolve(log, impression=on_disk(len(log.impression), np.int64, np.arange))
                for log in logs
            ]
            kept_rows = drop_missing(numbered, items.num_rows, len(self.read.missing), self.dropped)
            parts = [looked_up(part, log.impression) for part, log in zip(parts, kept_rows, strict=True)]
            logs = [
                attrs.evolve(new, impression=looked_up(old.impression, new.impression))
                for old, new in zip(logs, kept_rows, strict=True)
            ]
        log, part = join_logs(logs), one_array(parts)
        if not len(part):
            raise _nothing(spec.log_option, "no impression is left")
        names, user = base.users_with(users_of([log.user]).chunk(0))
        timed = not how_many(on_disk(len(log.time), np.bool_, lambda begin, end: log.time[begin:end] < 0))
        if made_parts:
            part = self._cut_dev(part, user, log.time, timed=timed)
            if not self.read.own_history:
                moments = log.time if timed else np.broadcast_to(np.int64(0), len(user))
                self._count_dropped(
                    train_impressions_behind_later_parts=behind_later_parts(user, moments, part)
                )
        else:
            part = self._split(user, log.time, timed=timed, unit="impressions")
        signals: dict[str, Ragged] = {}
        if self.read.own_history:
            shared, row, stop = share_histories([log])
            signals = signals_of_shared([log], row)
            names, history = base.with_others(shared["user_id"], table.ragged(shared["history"]))
            # Who has no impression has no numbers either.
            signals = {name: _lengthened(each, history) for name, each in signals.items()}
            times = None
            self.rules["history"] = "that of the row"
        else:
            row = user
            before = base.history_of(names)
            history, times, stop = clicks_before(log, part, user, before, timed=timed)
            after = ", behind the history in users" if len(before.values) else ""
            self.rules["history"] = f"the clicks of the user in the impressions before{after}"
        self.rules |= {
            "click": self._click_rule(),
            "order": "time, then the log" if timed else "the log",
            "candidates": "those of the log, in its order",
        }
        impressions, single = {}, {}
        for number, name in enumerate(PARTS):
            here = are_of(part, number)
            rows, seen = places_where(here), filtered(stop, here)
            impressions[name] = part_of_log(log, rows, filtered(row, here), seen, timed=timed)
            single[name] = one_class(log, rows)
        self.rules["one_class"] = single
        return self._tables(items, base, names, history, times, impressions, signals)

    def _tables(
        self,
        items: pa.Table,
        base: KnownUsers,
        names: pa.Array,
        history: Ragged,
        times: Ragged | None,
        impressions: Mapping[str, pa.Table],
        signals: Mapping[str, Ragged],
    ) -> table.Tables:
        columns = {"user_id": names, "history": lists(history, pa.int32())}
        if times is not None:
            columns["times"] = lists(times, pa.int64())
        attributes, unknown = base.attributes_of(names)
        if attributes:
            self._count_dropped(users_without_attributes=unknown)
        beside = {name: table.signal(each) for name, each in signals.items()}
        if twice := sorted(beside.keys() & attributes.keys()):
            what = f"numbers beside the history have the name of an attribute of users: {', '.join(twice)}"
            raise DataError([Problem(self.spec.log_option, what, "rename one of the columns")])
        self.rules["reads"] = "texts of the items, with room for 19 of 20"
        return table.Tables(
            items=items,
            users=pa.table({**columns, **attributes, **beside}),
            impressions=impressions,
            dropped=self.dropped,
            rules=self.rules,
        )

    def _count_dropped(self, **counts: int) -> None:
        for name, count in counts.items():
            self.dropped[name] = self.dropped.get(name, 0) + count

    def _click_rule(self) -> str:
        above = self.spec.above
        return (
            "label 1, or every row where there are no labels" if above is None else f"label above {above:g}"
        )

    def _no_label_of_a_click(self, rows: int) -> DataError:
        above = self.spec.above
        what = (
            f"all {rows:,} labels are 0" if above is None else f"none of {rows:,} labels is above {above:g}"
        )
        fix = (
            "1 is a click: name the column that says what was clicked in columns={'label': 'COLUMN'}, or rename "
            "this one where every row is a click"
            if above is None
            else "choose a lower above="
        )
        return DataError([Problem(" and ".join(self.read.labels), f"{what}, so there is no click", fix)])

    # --- parts

    def _split(
        self, user: NDArray[np.int32], time: NDArray[np.int64], *, timed: bool, unit: str
    ) -> NDArray[np.int8]:
        spec = self.spec
        rule = spec.split or ("time" if timed else "leave_last_out")
        if rule == "time" and not timed:
            fix = "name the column in columns={'time': 'COLUMN'}, or choose split='leave_last_out' or split='user'"
            raise DataError([Problem(spec.log_option, "split='time' needs times, and there are none", fix)])
        moment = time if timed else np.broadcast_to(np.int64(0), len(user))
        part = cut(rule, user, moment, spec.dev, spec.test, spec.seed)
        self.rules["split"] = in_words(rule, spec.dev, spec.test, spec.seed, unit)
        if not (counts_of(part, 3)[0]):
            raise _nothing(spec.log_option, f"{len(user)} {unit} are too few to have a train part")
        return part

    def _cut_dev(
        self, part: NDArray[np.int8], user: NDArray[np.int32], time: NDArray[np.int64], *, timed: bool
    ) -> NDArray[np.int8]:
        """Ready-made parts; where dev is not among them, a share of train is."""
        spec = self.spec
        self.rules["split"] = "ready-made"
        counts = counts_of(on_disk(len(part), np.int8, lambda begin, end: part[begin:end] + 1), 4)[1:]
        absent = [name for number, name in enumerate(PARTS) if name != "dev" and not counts[number]]
        if absent:
            fix = "name files of train and test, or one file without a column of parts, which split= cuts"
            raise DataError(
                [Problem(spec.log_option, f"there is no impression in {' and '.join(absent)}", fix)]
            )
        if counts[1] or spec.dev == 0:
            return part
        train = on_disk(len(part), np.bool_, lambda begin, end: part[begin:end] == 0)
        rule = spec.split or ("time" if timed else "leave_last_out")
        moment = filtered(time, train) if timed else np.broadcast_to(np.int64(0), int(counts[0]))
        latest = cut(rule, filtered(user, train), moment, 0.0, spec.dev, spec.seed)
        before = 0

        def piece(begin: int, end: int) -> NDArray[np.int8]:
            nonlocal before
            made, here = part[begin:end].copy(), train[begin:end]
            made[here] = latest[before : before + int(here.sum())] // 2
            before += int(here.sum())
            return made

        part = on_disk(len(part), np.int8, piece)
        self.rules["split"] = (
            f"ready-made; dev is of train: {in_words(rule, 0.0, spec.dev, spec.seed, 'impressions')}"
        )
        return part


def _with_attributes(made: pa.Table, attributes: pa.Table, of_click: Ragged) -> pa.Table:
    """Impressions of clicks with what the rows of the log say, `of_click` being the row of each click of the histories."""
    user, stop = table.flat(made["user"]), table.flat(made["stop"])
    rows = on_disk(
        len(user),
        np.int64,
        lambda begin, end: gathered(of_click.values, of_click.offsets[user[begin:end]] + stop[begin:end]),
    )
    chosen = taken(attributes, rows)
    for name in chosen.column_names:
        made = made.append_column(name, chosen[name])
    return made


def _lengthened(numbers: Ragged, history: Ragged) -> Ragged:
    """The numbers of the first rows, and missing ones for the rows behind."""
    made = Growing(np.float32)
    for begin, end in blocks(len(numbers.values), MANY):
        made.add(numbers.values[begin:end])
    for begin, end in blocks(len(history.values) - len(numbers.values), MANY):
        made.add(np.full(end - begin, np.nan, np.float32))
    return Ragged(made.array(), history.offsets)


def _nothing(where: str, what: str) -> DataError:
    return DataError([Problem(where, what, "give more of the log, or other options")])
