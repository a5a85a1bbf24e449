"""One thread that makes the next batches while the current one is worked on."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Given = TypeVar("Given")
Made = TypeVar("Made")


def prefetched(make: Callable[[Given], Made], wanted: Iterable[Given], ahead: int = 2) -> Iterator[Made]:
    """`make(each)` for each wanted, in order, up to `ahead` of them made before they are asked for."""
    with ThreadPoolExecutor(1) as pool:
        waiting: deque[Future[Made]] = deque()
        try:
            for each in wanted:
                waiting.append(pool.submit(make, each))
                if len(waiting) > ahead:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for left in waiting:
                left.cancel()
