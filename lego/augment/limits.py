"""What keeps a job within bounds: how fast, how much, and how long it waits before it tries again."""

from __future__ import annotations

import random
import threading
import time
from collections import deque
from collections.abc import Callable

import attrs


@attrs.frozen(kw_only=True)
class Limits:
    """What a job may do. None is no limit."""

    max_tokens: int | None = None
    """Read and written, of this job."""
    max_cost: float | None = None
    """In the currency of the generator's prices."""
    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None
    concurrency: int = 4
    """Requests under way at once."""
    retries: int = 6
    """How often a request that failed in passing is sent again."""
    backoff: float = 1.0
    """Seconds before the first try again; each further wait is twice as long, a minute at most, and a little at random."""

    def least(self, requests: int, tokens: float) -> float:
        """Seconds that so many requests of so many tokens each take at least, in the long run."""
        a_minute = 60.0 * requests
        by_requests = a_minute / self.requests_per_minute if self.requests_per_minute else 0.0
        return max(by_requests, a_minute * tokens / self.tokens_per_minute if self.tokens_per_minute else 0.0)

    def wait(self, failure: int, after: float | None, chance: random.Random) -> float:
        """Seconds before the next try behind the `failure`-th failure, counted from 0; at least what the server asks for."""
        grown = min(60.0, self.backoff * 2.0**failure)
        return max(after or 0.0, grown * (0.5 + chance.random() / 2))


class Pace:
    """Requests and tokens per minute, over the last minute. Callers wait until there is room."""

    def __init__(
        self,
        limits: Limits,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        stopped: Callable[[], bool] = lambda: False,
    ) -> None:
        self.limits, self.clock, self.sleep, self.stopped = limits, clock, sleep, stopped
        self._lock = threading.Lock()
        self._sent: deque[tuple[float, float]] = deque()

    def enter(self, tokens: float) -> None:
        """Waits until a request of about so many tokens may be sent, or nothing is sent any more."""
        if self.limits.requests_per_minute is None and self.limits.tokens_per_minute is None:
            return
        while not self.stopped():
            with self._lock:
                wait = self._wait(tokens)
                if wait <= 0:
                    self._sent.append((self.clock(), tokens))
                    return
            self.sleep(wait)

    def _wait(self, tokens: float) -> float:
        now = self.clock()
        while self._sent and self._sent[0][0] <= now - 60:
            self._sent.popleft()
        requests, most = self.limits.requests_per_minute, self.limits.tokens_per_minute
        wait = 0.0
        if requests is not None and len(self._sent) >= max(1, int(requests)):
            wait = self._sent[len(self._sent) - max(1, int(requests))][0] + 60 - now
        if most is not None:
            over = sum(each for _, each in self._sent) + tokens - most
            for sent, each in self._sent:  # a request larger than the limit waits for an empty minute
                if over <= 0:
                    break
                wait = max(wait, sent + 60 - now)
                over -= each
        return wait


class Spent(Exception):  # noqa: N818 - it ends a job in order
    """The next request could go beyond the budget."""


class Purse:
    """Tokens and cost of a job. Room is reserved before a request, so that those under way together stay within the budget."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._lock = threading.Lock()
        self.prompt_tokens = self.answer_tokens = 0
        self.cost = 0.0
        self._reserved_tokens = 0.0
        self._reserved_cost = 0.0

    def reserve(self, tokens: float, cost: float | None) -> None:
        """Room for a request; Spent where there is none."""
        with self._lock:
            tokens_then = self.prompt_tokens + self.answer_tokens + self._reserved_tokens + tokens
            cost_then = self.cost + self._reserved_cost + (cost or 0.0)
            if self.limits.max_tokens is not None and tokens_then > self.limits.max_tokens:
                message = f"--max-tokens {self.limits.max_tokens:,}"
                raise Spent(message)
            if self.limits.max_cost is not None and cost_then > self.limits.max_cost + 1e-12:
                message = f"--max-cost {self.limits.max_cost:g}"
                raise Spent(message)
            self._reserved_tokens += tokens
            self._reserved_cost += cost or 0.0

    def release(self, tokens: float, cost: float | None) -> None:
        """The request is over."""
        with self._lock:
            self._reserved_tokens -= tokens
            self._reserved_cost -= cost or 0.0

    def pay(self, prompt_tokens: int, answer_tokens: int, cost: float | None) -> None:
        """What it took."""
        with self._lock:
            self.prompt_tokens += prompt_tokens
            self.answer_tokens += answer_tokens
            self.cost += cost or 0.0
