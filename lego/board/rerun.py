"""A published result run again: tuned with a budget that all rows share, trained with several seeds, and kept."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal

import attrs

from lego.board.row import HEADINGS, Row
from lego.errors import LegoError, RunError, SpecError
from lego.experiment import Experiment
from lego.runtime.folder import read_json, write_json
from lego.runtime.load import opened
from lego.runtime.progress import Screen

SPACE: Final = ("training.lr=any_of(1e-4, 3e-4, 1e-3, 3e-3)",)
"""What a budget is spent on unless told, the same for every row."""

SEEDS: Final = 3

Status = Literal["unrun", "rerun", "other data"]


@attrs.frozen(kw_only=True)
class Rerun:
    """What running a row again gave."""

    name: str
    text: str
    """The experiment that was run, with its chosen options."""
    changes: Sequence[str]
    """What was changed of the row's experiment by hand."""
    seeds: Sequence[int]
    mean: Mapping[str, float | None]
    std: Mapping[str, float | None]
    """Over the seeds (n - 1); None for one."""
    budget: int
    """How many settings were tried on the dev part; 1 is the published setting alone."""
    space: Sequence[str]
    """What they were drawn from; empty where nothing was tried."""
    chosen: Sequence[str]
    """The setting that was best on the dev part."""
    tested: int
    """Impressions of the test part."""
    fingerprint: str
    runs: Sequence[str]

    @property
    def record(self) -> dict[str, Any]:
        """In plain JSON types."""
        return attrs.asdict(self)

    def status(self, row: Row) -> Status:
        """Whether it was run on the data that the row is on."""
        return "rerun" if self.tested == row.edition.tested else "other data"


def rerun(
    row: Row,
    data: str | Path,
    *,
    given: Mapping[str, str] | None = None,
    seeds: int = SEEDS,
    budget: int = 1,
    space: Sequence[str] = SPACE,
    changes: Sequence[str] = (),
    out: str | Path = "runs/board",
    device: str = "auto",
    screen: Screen | None = None,
) -> Rerun:
    """Runs a row again on the data of a folder, and keeps what came out in `out/row/board.json`.

    `budget` settings are drawn from `space`, tried with one seed, and the one that is best on the dev part is trained with
    `seeds` seeds; with a budget of 1 it is the row's own setting. Finished runs are read from their folders. SpecError for a row
    that cannot be run and for files that are missing, and what a run raises.
    """
    if seeds < 1 or budget < 1:
        raise SpecError(f"board: seeds and budget must be at least 1, were {seeds} and {budget}.")
    experiment = row.experiment(str(data), given or {}).set(*changes)
    folder = Path(out) / row.name.replace("/", "-")
    chosen: Sequence[str] = ()
    if budget > 1:
        chosen = _tuned(experiment.set(*space), folder, budget, device, screen)
        experiment = experiment.set(*chosen)
    made = experiment.run(seeds=seeds, name="seeds", out=folder, resume=True, device=device, screen=screen)
    run = opened(made.runs[0].path, screen)
    found = Rerun(
        name=row.name,
        text=experiment.text(),
        changes=tuple(changes),
        seeds=made.seeds,
        mean={name: made.metrics.get(name) for name in HEADINGS},
        std={name: made.deviations.get(name) for name in HEADINGS},
        budget=budget,
        space=tuple(space) if budget > 1 else (),
        chosen=tuple(chosen),
        tested=len(run.store.part("test")),
        fingerprint=run.store.fingerprint,
        runs=[str(each.path) for each in made.runs],
    )
    write_json(folder / "board.json", found.record)
    return found


def _tuned(
    experiment: Experiment, folder: Path, budget: int, device: str, screen: Screen | None
) -> Sequence[str]:
    """The changes that were best on the dev part."""
    swept = experiment.sweep(name=f"tuning-{budget}", out=folder, limit=budget, device=device, screen=screen)
    if swept.best is None:
        told = "; ".join(sorted({str(row["error"]) for row in swept.record["rows"] if row["error"]}))
        raise RunError(f"None of the {budget} settings could be run: {told}")
    changes: Sequence[str] = swept.best["changes"]
    return changes


def kept(rows: Iterable[Row], out: str | Path = "runs/board") -> dict[str, Rerun]:
    """What was kept of rows, by their names; those that were not run are not in it."""
    found = {}
    for row in rows:
        path = Path(out) / row.name.replace("/", "-") / "board.json"
        if path.is_file():
            try:
                found[row.name] = Rerun(**read_json(path))
            except (LegoError, TypeError) as problem:
                raise RunError(
                    f"{path} is no record of the board: {problem}. Remove it, and run the row again."
                ) from None
    return found
