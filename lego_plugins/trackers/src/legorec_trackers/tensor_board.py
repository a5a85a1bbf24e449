"""Curves in TensorBoard: `tensorboard --logdir runs` shows every run that was tracked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal, Self

import attrs
import tensorboard  # noqa: F401 - the extra: without it the catalog says what to install, and nothing below is tried
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.utils.tensorboard import SummaryWriter

from lego.contract import Tracked
from lego.spec import PATH, Tracker, operator


@operator
class TensorBoard(Tracker):
    """Losses and metrics as curves, the experiment as a text; the numbers of the test part stand at the last epoch.

    The events are in `tensorboard/` of the run's folder, or in `NAME/ID` of a `folder` of many runs. Curves named `step/…` count
    batches, all others epochs. Where a run goes on, what stands there already is not written again.
    """

    folder: str | None = attrs.field(default=None, kw_only=False, metadata=PATH)

    def open(self, run: Tracked) -> _TensorBoard:
        """Begins a file of events."""
        place = (
            run.folder / "tensorboard"
            if self.folder is None
            else Path(self.folder).expanduser() / run.name / run.id
        )
        made = _TensorBoard(place, _known(place) if run.resumed and place.is_dir() else set())
        if not run.resumed:
            made.writer.add_text("experiment", f"```python\n{run.text}\n```")
            rows = "\n".join(f"| {name} | {value} |" for name, value in run.options.items())
            made.writer.add_text("options", f"| option | value |\n|---|---|\n{rows}")
        return made

    @classmethod
    def examples(cls) -> Iterable[Self]:
        """In the run's folder, and in one of many runs."""
        return (cls(), cls("tracked"))


class _TensorBoard:
    def __init__(self, place: Path, known: set[tuple[str, int]]) -> None:
        self.writer = SummaryWriter(str(place))
        self.known = known
        self.last = max((step for name, step in known if not name.startswith("step/")), default=0)

    def step(self, step: int, values: Mapping[str, float]) -> None:
        """Curves over batches."""
        self._add({f"step/{name.removeprefix('train/')}": value for name, value in values.items()}, step)

    def epoch(self, epoch: int, values: Mapping[str, float]) -> None:
        """Curves over epochs, at once on disk."""
        self.last = epoch
        self._add(values, epoch)
        self.writer.flush()

    def close(self, state: Literal["finished", "stopped", "failed"], values: Mapping[str, float]) -> None:
        """The last points."""
        self._add(values, self.last)
        self.writer.close()

    def _add(self, values: Mapping[str, float], step: int) -> None:
        for name, value in values.items():
            if (name, step) not in self.known:
                self.writer.add_scalar(name, value, step)


def _known(place: Path) -> set[tuple[str, int]]:
    """The points that stand in the events of a folder."""
    events = EventAccumulator(str(place), size_guidance={"scalars": 0})
    events.Reload()
    return {(name, each.step) for name in events.Tags()["scalars"] for each in events.Scalars(name)}
