"""What a person sees while a job runs: a bar on a terminal, a plain line now and then in a pipe."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from rich.console import Console

EVERY_SECONDS = 10.0
"""How often a plain line is printed where there is no terminal."""


@attrs.define(eq=False)
class Bar:
    """One phase of work under way."""

    show: _Show
    done: int = 0

    def advance(self, count: int, note: str = "", least: float = 0.0) -> None:
        """`count` more are done; `note` is shown behind the numbers. The rest takes `least` seconds at the least."""
        self.done += count
        self.show.update(self.done, note, least)


class _Show:
    """How a bar is drawn."""

    def update(self, done: int, note: str, least: float) -> None:
        """`done` so far."""

    def close(self) -> None:
        """The phase is over."""


class _Rich(_Show):
    def __init__(self, console: Console, what: str, total: int, unit: str) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}"),
            TextColumn("{task.fields[speed]}"),
            TextColumn("{task.fields[left]}"),
            console=console,
            transient=True,
        )
        self.unit = unit
        self.begun = time.monotonic()
        self.progress.start()
        self.task = self.progress.add_task(what, total=total, note="", speed="", left="")

    def update(self, done: int, note: str, least: float) -> None:
        seconds = max(time.monotonic() - self.begun, 1e-9)
        speed = f"{done / seconds:,.0f} {self.unit}/s"
        self.progress.update(self.task, completed=done, note=note, speed=speed)
        known = self.progress.tasks[self.task].time_remaining
        if known is not None or least:
            minutes, rest = divmod(round(max(least, known or 0.0)), 60)
            left = f"{minutes // 60}:{minutes % 60:02}:{rest:02} left"
            self.progress.update(self.task, left=left)

    def close(self) -> None:
        self.progress.stop()


class _Plain(_Show):
    def __init__(self, console: Console, what: str, total: int, unit: str) -> None:
        self.console, self.what, self.total, self.unit = console, what, total, unit
        self.begun = self.printed = time.monotonic()

    def update(self, done: int, note: str, least: float) -> None:
        now = time.monotonic()
        if now - self.printed < EVERY_SECONDS:
            return
        self.printed = now
        speed = done / max(now - self.begun, 1e-9)
        left = max(least, (self.total - done) / speed if speed else 0.0)
        wait = f"{left:.0f} s" if left or speed else "–"
        line = f"{self.what}: {done:,}/{self.total:,} {note} {speed:,.0f} {self.unit}/s, {wait} left"
        self.console.print(line, highlight=False, markup=False, soft_wrap=True)


@attrs.define(eq=False)
class Screen:
    """Where a job talks to: a console, or nowhere."""

    console: Console | None = None

    def say(self, text: str) -> None:
        """A line, printed as it is (square brackets are text, not markup)."""
        if self.console is not None:
            self.console.print(text, highlight=False, markup=False, soft_wrap=True)

    @contextmanager
    def bar(self, what: str, total: int, unit: str) -> Iterator[Bar]:
        """A phase of `total` units of work."""
        if self.console is None:
            show = _Show()
        elif self.console.is_terminal:
            show = _Rich(self.console, what, total, unit)
        else:
            show = _Plain(self.console, what, total, unit)
        try:
            yield Bar(show)
        finally:
            show.close()

    def progress(self, what: str, done: int = 0, total: int = 0) -> None:
        """For jobs that tell how far they are by a call: plain lines, where there are numbers at most one every few seconds."""
        if not total:
            self.say(what)
            return
        now = time.monotonic()
        if done < total and now - self._told < EVERY_SECONDS / 2:
            return
        self._told = now
        self.say(f"{what}: {done:,}/{total:,}")

    _told: float = attrs.field(default=0.0, init=False)
