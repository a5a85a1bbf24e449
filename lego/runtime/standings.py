"""What became of the combinations of a sweep, and the leaderboards made of it."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pyarrow as pa

from lego.data.store import Store
from lego.errors import LegoError
from lego.expansion import Combination
from lego.experiment import Experiment
from lego.metric.parse import parse_metric
from lego.report.leaderboard import Line, comma_separated, html, markdown, ranked
from lego.runtime.evaluation import BASELINES, evaluate_part, protocol_of
from lego.runtime.folder import plain, read_json, write_json, written_aside
from lego.runtime.jobs import Outcome
from lego.runtime.run import numbers

Numbers = dict[str, float | None]


@attrs.define(eq=False, kw_only=True)
class Entry:
    """A combination, and what became of it."""

    combination: Combination
    number: int
    """Counted from 1, in the order of the expansion, or of the search."""
    board: int = -1
    """Which leaderboard it stands on; -1 where it could not be prepared for any."""
    seeds: tuple[int, ...] = ()
    problem: str | None = None
    """Why it is not run."""
    outcomes: dict[int, Outcome] = attrs.field(factory=dict)
    records: dict[int, Mapping[str, Any]] = attrs.field(factory=dict)
    """What the finished runs recorded, by seed."""

    def take(self, seed: int, outcome: Outcome) -> None:
        """Notes what became of one run."""
        self.outcomes[seed] = outcome
        if outcome.path is not None:
            self.records[seed] = numbers(read_json(Path(outcome.path) / "metrics.json"))

    @property
    def status(self) -> str:
        """Invalid ones are never run; waiting ones were not run yet; one seed that fails makes the whole fail."""
        if self.problem is not None:
            return "invalid"
        if any(each.error is not None for each in self.outcomes.values()):
            return "failed"
        return "finished" if len(self.outcomes) == len(self.seeds) else "waiting"

    @property
    def error(self) -> str | None:
        """What is or went wrong, in one text."""
        if self.problem is not None:
            return self.problem
        wrong = {seed: self.outcomes[seed].error for seed in sorted(self.outcomes)}
        several = len(self.seeds) > 1
        told = [
            f"seed {seed}: {each}" if several else each for seed, each in wrong.items() if each is not None
        ]
        return "; ".join(told) or None

    @property
    def dev(self) -> tuple[float | None, float | None]:
        """Mean and deviation of the monitored metric on the dev part."""
        return over([self.outcomes[seed].dev for seed in sorted(self.records)])

    @property
    def test(self) -> tuple[Numbers, Numbers]:
        """Means and deviations of the test metrics."""
        rows = [self.records[seed]["test"] for seed in sorted(self.records)]
        names = dict.fromkeys(name for row in rows for name in row)
        found = {name: over([row.get(name) for row in rows]) for name in names}
        return {name: mean for name, (mean, _) in found.items()}, {
            name: std for name, (_, std) in found.items()
        }

    @property
    def seconds(self) -> float:
        """Of all that its finished runs did."""
        return round(sum(sum(record["seconds"].values()) for record in self.records.values()), 3)


def over(values: Sequence[float | None]) -> tuple[float | None, float | None]:
    """Mean and standard deviation (of a sample: n - 1); None where a value is missing, the deviation also for one value alone."""
    known = [each for each in values if each is not None and math.isfinite(each)]
    if not known or len(known) < len(values):
        return None, None
    return float(np.mean(known)), float(np.std(known, ddof=1)) if len(known) > 1 else None


@attrs.define(eq=False, kw_only=True)
class Board:
    """What combinations are compared on: data, rules of evaluation, monitored metric."""

    experiment: Experiment
    store: Store
    baselines: dict[str, Numbers] = attrs.field(factory=dict)

    def fits(self, experiment: Experiment) -> bool:
        """Whether an experiment is compared here."""
        mine = self.experiment
        return (mine.data, mine.evaluation, mine.training.monitor) == (
            experiment.data,
            experiment.evaluation,
            experiment.training.monitor,
        )

    @property
    def monitor(self) -> str:
        """The name of the monitored metric."""
        return parse_metric(self.experiment.training.monitor).name

    @property
    def larger_is_better(self) -> bool:
        """Of the monitored metric."""
        return parse_metric(self.experiment.training.monitor).larger_is_better

    @property
    def column(self) -> str:
        """What the monitored metric on the dev part is called, beside the test metrics."""
        return f"dev {self.monitor}"

    @property
    def name(self) -> str:
        """What tells it from other boards."""
        return f"{self.experiment.data!r}, {protocol_of(self.experiment)}, monitor {self.monitor}"

    def measure_baselines(self) -> None:
        """Random and popularity on both parts, once."""
        for name, baseline in BASELINES.items():
            if name in self.baselines:
                continue
            scorer = baseline.fitted()
            scorer.fit(self.store)
            row: Numbers = {}
            with contextlib.suppress(LegoError):  # a part without impressions
                dev = evaluate_part(self.experiment, scorer, self.store.part("dev")).metrics
                row[self.column] = dev[self.monitor]
            with contextlib.suppress(LegoError):
                row.update(evaluate_part(self.experiment, scorer, self.store.part("test")).metrics)
            self.baselines[name] = row


@attrs.frozen(eq=False, kw_only=True, repr=False)
class Sweep:
    """A sweep: its folder, and what was found."""

    path: Path
    record: Mapping[str, Any]
    """What `leaderboard.json` holds."""
    lines: tuple[tuple[Line, ...], ...]
    """Each leaderboard, best first."""

    @property
    def rows(self) -> pa.Table:
        """An Arrow table, a row for each combination: number, rank, status, name, n, dev, metrics, error, text, runs."""
        metrics = dict.fromkeys(name for row in self.record["rows"] for name in row["mean"])
        numbers_of = ((name, kind, end) for name in metrics for kind, end in (("mean", ""), ("std", " std")))
        columns = list(numbers_of)
        made = [
            {
                **{key: row[key] for key in ("number", "board", "rank", "status", "name", "n")},
                "dev": row["dev"]["mean"],
                "dev std": row["dev"]["std"],
                **{name + end: row[kind].get(name) for name, kind, end in columns},
                **{key: row[key] for key in ("error", "seconds", "text", "runs")},
            }
            for row in self.record["rows"]
        ]
        return pa.Table.from_pylist(plain(made))

    @property
    def best(self) -> Mapping[str, Any] | None:
        """The row that is best on the dev part, of the first leaderboard; None where nothing was finished."""
        number = self.record["boards"][0]["best"] if self.record["boards"] else None
        return next((row for row in self.record["rows"] if row["number"] == number), None)

    @property
    def parts(self) -> list[tuple[Sequence[Line], str, str]]:
        """Lines, title and caption of each leaderboard."""
        told = [(board["title"], board["caption"]) for board in self.record["boards"]]
        return [(lines, *each) for lines, each in zip(self.lines, told, strict=True)]

    def __repr__(self) -> str:
        counts = ", ".join(f"{count} {status}" for status, count in self.record["counts"].items() if count)
        best = self.best
        found = "" if best is None else f"; best on dev: {best['name']}"
        return f"Sweep({str(self.path)!r}: {counts}{found})"

    def _repr_html_(self) -> str:
        """For notebooks."""
        return "".join(html(lines, title=title, caption=caption) for lines, title, caption in self.parts)

    def keep(self) -> None:
        """Writes `leaderboard.json`, `.csv` and `.md`. RunError where the disk does not take them."""
        texts = {
            "leaderboard.csv": comma_separated([line for lines in self.lines for line in lines]),
            "leaderboard.md": "\n".join(
                markdown(lines, title=title, caption=caption) for lines, title, caption in self.parts
            ),
        }
        for name, text in texts.items():
            with written_aside(self.path / name) as aside:
                aside.write_bytes(text.encode())
        write_json(self.path / "leaderboard.json", self.record)


def standings(
    path: Path, entries: Sequence[Entry], boards: Sequence[Board], names: Mapping[int, str], **told: Any
) -> Sweep:
    """The leaderboards of entries as they are now. `names` by the entries' numbers; `told` goes into the record as it is."""
    ranks: dict[int, int | None] = {}
    every, made = [], []
    for place, board in enumerate(boards):
        # What could not be prepared for any board is told on the first.
        members = [each for each in entries if each.board == place or (each.board < 0 and place == 0)]
        lines = ranked(
            _lines(board, members, names, several=len(boards) > 1),
            board.column,
            larger_is_better=board.larger_is_better,
        )
        rank = {line.text: line.rank for line in lines if line.rank is not None}
        ranks.update({each.number: rank.get(_text(each)) for each in members if each.status == "finished"})
        best = next((each for each in members if ranks.get(each.number) == 1), None)
        every.append(tuple(lines))
        made.append(_board_record(board, members, best, names, several=len(boards) > 1))
    if not boards and entries:  # all of them are wrong
        every.append(tuple(_line(each, None, names) for each in entries))
        made.append(
            {"title": "", "caption": "Nothing was run.", "monitor": None, "baselines": {}, "best": None}
        )
    kinds = ("finished", "failed", "invalid", "waiting")
    record = {
        "sweep": str(path),
        **told,
        "counts": {kind: sum(each.status == kind for each in entries) for kind in kinds},
        "boards": made,
        "rows": [_row(each, boards, names, ranks) for each in entries],
    }
    return Sweep(path=path, record=record, lines=tuple(every))


def _text(entry: Entry) -> str:
    experiment = entry.combination.experiment
    return "" if experiment is None else experiment.text()


def _line(entry: Entry, board: Board | None, names: Mapping[int, str], *, several: bool = False) -> Line:
    mean, std = entry.test
    if board is not None and entry.records:
        dev, spread = entry.dev
        mean, std = {board.column: dev, **mean}, {board.column: spread, **std}
    return Line(
        name=names[entry.number],
        text=_text(entry),
        mean=mean,
        std=std,
        seeds=len(entry.records),
        status=entry.status,
        error=entry.error,
        group=board.name if several and board is not None else "",
    )


def _lines(board: Board, members: Iterable[Entry], names: Mapping[int, str], *, several: bool) -> list[Line]:
    """Finished ones, the baselines, then what failed, what waits and what is wrong."""
    made = [_line(each, board, names, several=several) for each in members]
    group = board.name if several else ""
    baselines = [
        Line(name=name, text=f"{name.title()}()", mean=row, seeds=1, status="baseline", group=group)
        for name, row in board.baselines.items()
    ]
    kinds = ("finished", "baseline", "failed", "waiting", "invalid")
    return sorted([*made, *baselines], key=lambda line: kinds.index(line.status))


def _board_record(
    board: Board, members: Sequence[Entry], best: Entry | None, names: Mapping[int, str], *, several: bool
) -> dict[str, Any]:
    finished = [record for each in members for record in each.records.values()]
    seeds = max((len(each.seeds) for each in members), default=0)
    caption = f"Ranked by {board.column}, measured on the dev part; the other columns are of the test part, and choose nothing."
    if best is not None:
        caption += f" Best on dev: {names[best.number]}."
    if seeds > 1:
        caption += f" Mean ± standard deviation (n - 1) over {seeds} training seeds."
    tested = f", {finished[0]['groups']:,} impressions tested" if finished else ""
    caption += f" Protocol {protocol_of(board.experiment)}{tested}."
    return {
        "title": board.name if several else "",
        "caption": caption,
        "data": repr(board.experiment.data),
        "protocol": protocol_of(board.experiment),
        "monitor": board.monitor,
        "baselines": board.baselines,
        "best": None if best is None else best.number,
    }


def _row(
    entry: Entry, boards: Sequence[Board], names: Mapping[int, str], ranks: Mapping[int, int | None]
) -> dict[str, Any]:
    mean, std = entry.test
    dev, spread = entry.dev
    return {
        "number": entry.number,
        "board": max(entry.board, 0),
        "rank": ranks.get(entry.number),
        "status": entry.status,
        "name": names[entry.number],
        "changes": list(entry.combination.changes),
        "text": _text(entry),
        "seeds": list(entry.seeds),
        "n": len(entry.records),
        "dev": {
            "metric": boards[entry.board].monitor if entry.board >= 0 else None,
            "mean": dev,
            "std": spread,
        },
        "mean": mean,
        "std": std,
        "error": entry.error,
        "seconds": entry.seconds,
        "runs": [str(entry.outcomes[seed].path) for seed in sorted(entry.records)],
    }
