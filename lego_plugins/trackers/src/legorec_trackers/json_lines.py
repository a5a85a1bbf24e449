"""An event a line, for programs: what `jq` and data frames read."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, Self

import attrs

from lego.contract import Tracked
from lego.spec import PATH, Tracker, operator


@operator
class JSONLines(Tracker):
    """A file of JSON lines: `begin` with every option, `step`, `epoch` and `end`, each with the run's name, id and time (UTC).

    It is `events.jsonl` in the run's folder, or a `file` that many runs share. Lines are only ever added; where a run goes on,
    an epoch that stands there already is not told again.
    """

    file: str | None = attrs.field(default=None, kw_only=False, metadata=PATH)

    def open(self, run: Tracked) -> _JSONLines:
        """Adds the line that begins."""
        path = run.folder / "events.jsonl" if self.file is None else Path(self.file).expanduser()
        path.parent.mkdir(parents=True, exist_ok=True)
        made = _JSONLines(path, {"run": run.name, "id": run.id})
        if run.resumed and path.exists():
            made.known = _epochs(path, run.id)
        made.add("begin", resumed=run.resumed, text=run.text, options=dict(run.options))
        return made

    @classmethod
    def examples(cls) -> Iterable[Self]:
        """In the run's folder, and one for many runs."""
        return (cls(), cls("tracked.jsonl"))


class _JSONLines:
    def __init__(self, path: Path, who: Mapping[str, str]) -> None:
        self.path = path
        self.who = who
        self.known: set[int] = set()

    def step(self, step: int, values: Mapping[str, float]) -> None:
        """A line."""
        self.add("step", step=step, values=dict(values))

    def epoch(self, epoch: int, values: Mapping[str, float]) -> None:
        """A line, where there is none yet."""
        if epoch not in self.known:
            self.add("epoch", epoch=epoch, values=dict(values))

    def close(self, state: Literal["finished", "stopped", "failed"], values: Mapping[str, float]) -> None:
        """The last line."""
        self.add("end", state=state, values=dict(values))

    def add(self, event: str, **told: Any) -> None:
        """One write a line, behind what a killed process may have left of its last one."""
        time = datetime.now(UTC).isoformat(timespec="seconds")
        line = json.dumps({"event": event, **self.who, "time": time, **told}, allow_nan=False)
        with self.path.open("ab+") as file:
            torn = file.tell() and (file.seek(-1, 2), file.read(1))[1] != b"\n"
            file.write((b"\n" if torn else b"") + line.encode() + b"\n")


def _epochs(path: Path, run: str) -> set[int]:
    """The epochs of a run that stand in a file; half a line is none."""
    found = set()
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            told = json.loads(line)
        except ValueError:
            continue
        if told.get("event") == "epoch" and told.get("id") == run:
            found.add(told["epoch"])
    return found
