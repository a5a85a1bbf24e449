"""What a bar says of the time that is left."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from lego.augment.limits import Limits
from lego.runtime import progress
from lego.runtime.progress import Screen


@pytest.mark.parametrize("terminal", [True, False])
def test_the_time_left_is_that_of_a_limit_where_the_work_was_faster_so_far(monkeypatch, terminal):
    """Six of 96 questions in a second, then no more than six a minute: a quarter of an hour, not a quarter of a minute."""
    monkeypatch.setattr(progress, "EVERY_SECONDS", 0.0)
    written = io.StringIO()
    console = Console(file=written, force_terminal=terminal, width=200)
    least = Limits(requests_per_minute=6).least(90, 10)
    assert least == 900
    with Screen(console).bar("title", 96, "question") as bar:
        bar.advance(3)
        bar.advance(3, "quick", least)
        if terminal:
            bar.show.progress.refresh()
    assert ("0:15:00 left" if terminal else "900 s left") in written.getvalue()


def test_the_stricter_limit_counts():
    """Requests or tokens a minute; nothing where there is no limit."""
    assert Limits().least(5, 100) == 0
    assert Limits(requests_per_minute=60, tokens_per_minute=100).least(2, 100) == 120
    assert Limits(requests_per_minute=1, tokens_per_minute=100).least(2, 10) == 120


def test_time_left_is_not_told_before_it_is_known(monkeypatch):
    """A plain line has no time left while nothing is done, and what is left at that speed behind."""
    clock = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: clock[0])
    told = io.StringIO()
    with progress.Screen(Console(file=told)).bar("title", 10, "question") as bar:
        for done in (0, 5):
            clock[0] += 10
            bar.advance(done)
    first, second = told.getvalue().splitlines()
    assert first.endswith("– left")
    assert second.endswith("20 s left")
