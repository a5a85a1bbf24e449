"""A table of epochs that any spreadsheet opens."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal, Self

import attrs

from lego.contract import Tracked
from lego.spec import PATH, Tracker, operator


@operator
class CSV(Tracker):
    """A file with a line for each epoch, and one for the end with the numbers of the test part.

    It is `epochs.csv` in the run's folder, or `NAME-ID.csv` in a `folder` of many runs. A column that comes up later is empty in
    the lines before. It is written aside and moved into place with each line, so that it is never half a table.
    """

    folder: str | None = attrs.field(default=None, kw_only=False, metadata=PATH)

    def open(self, run: Tracked) -> _CSV:
        """The file with the lines that it has, where the run goes on."""
        path = (
            run.folder / "epochs.csv"
            if self.folder is None
            else Path(self.folder).expanduser() / f"{run.name}-{run.id}.csv"
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        made = _CSV(path)
        if run.resumed and path.exists():
            with path.open(encoding="utf-8", newline="") as file:
                made.rows = {row["epoch"]: row for row in csv.DictReader(file) if not row["state"]}
        made.write()
        return made

    @classmethod
    def examples(cls) -> Iterable[Self]:
        """In the run's folder, and in one of many runs."""
        return (cls(), cls("tracked"))


class _CSV:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: dict[str, Mapping[str, object]] = {}

    def step(self, step: int, values: Mapping[str, float]) -> None:
        """A table of epochs has no line for a step."""

    def epoch(self, epoch: int, values: Mapping[str, float]) -> None:
        """A line more, or another one in place of what an epoch told before."""
        self.rows[str(epoch)] = {"epoch": epoch, "state": "", **values}
        self.write()

    def close(self, state: Literal["finished", "stopped", "failed"], values: Mapping[str, float]) -> None:
        """The last line."""
        self.rows[""] = {"epoch": "", "state": state, **values}
        self.write()

    def write(self) -> None:
        """All of it."""
        columns = dict.fromkeys(["epoch", "state", *(name for row in self.rows.values() for name in row)])
        aside = self.path.with_name(f".{self.path.name}.aside")
        with aside.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, columns, restval="")
            writer.writeheader()
            writer.writerows(self.rows.values())
        aside.replace(self.path)
