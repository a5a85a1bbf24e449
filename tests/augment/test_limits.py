from __future__ import annotations

import random

import pytest

from lego.augment.limits import Limits, Pace, Purse, Spent


def paced(limits: Limits, sizes: list[float]) -> list[float]:
    """When each request is sent, by a clock that only sleeping moves."""
    now = [0.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    pace = Pace(limits, clock=lambda: now[0], sleep=sleep)
    sent = []
    for size in sizes:
        pace.enter(size)
        sent.append(now[0])
    return sent


def test_requests_keep_to_their_minute():
    """No minute, wherever it begins, has more requests than allowed."""
    sent = paced(Limits(requests_per_minute=3), [1.0] * 9)
    assert sent == [0, 0, 0, 60, 60, 60, 120, 120, 120]


def test_the_end_of_a_job_is_not_waited_for():
    """Who waits for room when nothing is sent any more goes on at once."""
    stopped = []
    pace = Pace(
        Limits(requests_per_minute=1),
        clock=lambda: 0.0,
        sleep=stopped.append,
        stopped=lambda: len(stopped) > 2,
    )
    for _ in range(3):
        pace.enter(1.0)
    assert len(stopped) == 3


def test_tokens_keep_to_their_minute():
    """Tokens of any minute stay within the limit; a request larger than it waits for an empty minute."""
    assert paced(Limits(tokens_per_minute=100), [60, 40, 10, 300, 1]) == [0, 0, 60, 120, 180]


def test_waits_grow_and_keep_to_what_the_server_asks():
    """Each wait is about twice the last, a minute at most, never shorter than asked for."""
    limits, chance = Limits(backoff=1.0), random.Random(0)
    waits = [limits.wait(failure, None, chance) for failure in range(10)]
    assert all(0.5 * 2**place <= wait <= 2**place for place, wait in enumerate(waits[:6]))
    assert max(waits) <= 60
    assert limits.wait(0, 17.0, chance) == 17


def test_what_is_under_way_counts():
    """Two requests that would fit one by one, and not together, are not both begun."""
    purse = Purse(Limits(max_tokens=100))
    purse.reserve(60, None)
    with pytest.raises(Spent, match="max-tokens"):
        purse.reserve(60, None)
    purse.release(60, None)
    purse.pay(10, 10, None)
    purse.reserve(80, None)
