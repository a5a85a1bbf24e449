"""The trackers of a run: told of its steps, its epochs and its end. One that fails is left alone from then on."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import attrs

from lego.contract import Tracked, Tracking
from lego.errors import LegoError, RunError
from lego.runtime.progress import Screen
from lego.spec import Spec, Tracker, field_names

if TYPE_CHECKING:
    from lego.experiment import Experiment
    from lego.runtime.folder import Folder

Values = Mapping[str, float | None]


@attrs.define(eq=False)
class Trackers:
    """All that are told of a run; none where nobody asked."""

    _open: list[tuple[Tracker, Tracking]] = attrs.field(factory=list)
    _screen: Screen = attrs.field(factory=Screen)

    @classmethod
    def open(cls, specs: tuple[Tracker, ...], run: Tracked, screen: Screen) -> Trackers:
        """Each begun; RunError where one cannot begin, which is better known before the training than behind it."""
        made = cls([], screen)
        for spec in specs:
            try:
                made._open.append((spec, spec.open(run)))
            except Exception as problem:
                made.close("failed")
                if isinstance(problem, LegoError):
                    raise
                what = f"{type(problem).__name__}: {problem}"
                fix = "Correct its options, or run without it."
                raise RunError(f"The tracker {spec!r} cannot begin: {what}. {fix}") from problem
        return made

    def __bool__(self) -> bool:
        return bool(self._open)

    def step(self, step: int, values: Values) -> None:
        """While an epoch goes on."""
        self._tell("step", step, _finite(values))

    def epoch(self, epoch: int, values: Values) -> None:
        """Behind an epoch."""
        self._tell("epoch", epoch, _finite(values))

    def close(self, state: Literal["finished", "stopped", "failed"], values: Values | None = None) -> None:
        """At the end of the run."""
        self._tell("close", state, _finite(values or {}))
        self._open.clear()

    def _tell(self, event: str, *what: Any) -> None:
        for spec, tracking in list(self._open):
            try:
                getattr(tracking, event)(*what)
            except Exception as problem:  # noqa: BLE001 - no log is worth a training
                self._open.remove((spec, tracking))
                self._screen.say(
                    f"the tracker {spec!r} failed, and the run goes on without it: {type(problem).__name__}: {problem}"
                )


def told_of(experiment: Experiment, folder: Folder, *, going_on: bool) -> Tracked:
    """What trackers are told of a run when it begins."""
    return Tracked(
        name=folder.path.parent.name,
        id=folder.path.name,
        folder=folder.path.resolve(),
        text=experiment.text(),
        options=dict(_options(experiment, "")),
        resumed=going_on,
    )


def _options(spec: Spec, place: str) -> list[tuple[str, str | float | bool | None]]:
    """Path and value of every option, inner ones behind the expression that they are part of."""
    found: list[tuple[str, str | float | bool | None]] = []
    for name in field_names(type(spec)):
        value, path = getattr(spec, name), f"{place}{name}"
        if isinstance(value, Spec):
            found += [(path, value.text()), *_options(value, f"{path}.")]
        elif value is None or isinstance(value, str | int | float | bool):
            found.append((path, value))
        elif path != "trackers":
            found.append((path, repr(value)))
    return found


def _finite(values: Values) -> dict[str, float]:
    """Those that are numbers: a metric that does not apply has none."""
    return {
        name: float(value) for name, value in values.items() if value is not None and math.isfinite(value)
    }
