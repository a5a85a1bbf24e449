"""Answers that are kept: one file of JSON lines for each model and its parameters, to which lines are added and nothing else.

A line is written and on disk before anybody looks at the answer, so what was paid for is there however the job ends. What a crash
left of its last line is taken away before the next one is written, so that a line cut short never stands between others.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from io import FileIO
from pathlib import Path
from threading import Lock
from typing import Any

import attrs
from filelock import FileLock, Timeout

from lego.errors import GeneratorError, Problem
from lego.generator.base import Question, Reply, digest
from lego.home import home, written
from lego.spec import Generator


def file_of(generator: Generator) -> Path:
    """The file of a generator's answers, below the home of lego."""
    return (
        home()
        / "answers"
        / f"{type(generator).__name__.lower()}-{digest(dict(generator.identity))[:16]}.jsonl"
    )


@attrs.frozen(kw_only=True)
class Entry:
    """A line of the file."""

    key: str
    """Prompt, model and parameters, hashed."""
    prompt: str
    """The prompt alone, hashed."""
    attempt: int
    step: str
    about: str
    answer: str
    model: str
    prompt_tokens: int
    answer_tokens: int
    cost: float | None
    seconds: float
    """What it took, its share of a call for several."""
    time: str
    """When it was kept, UTC."""


_LAST = 200

Keep = Callable[[Question, Mapping[str, Any], Reply, float], Entry]
"""Keeps a reply to a question of an identity, and how many seconds it took."""


class Cache:
    """The answers of one generator. Many may read; one process at a time writes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = Lock()
        self._entries = {entry.key: entry for entry in entries(path)}

    def __len__(self) -> int:
        return len(self._entries)

    def speed(self, step: str | None = None) -> float | None:
        """Tokens written per second, of the last answers kept, or the last of a change; None where there are none."""
        last = [each for each in self._entries.values() if step in (None, each.step)][-_LAST:]
        seconds = sum(entry.seconds for entry in last)
        return sum(entry.answer_tokens for entry in last) / seconds if seconds else None

    def find(self, question: Question, identity: Mapping[str, Any]) -> Entry | None:
        """The answer to a question; None where there is none."""
        return self._entries.get(question.key(identity))

    @contextmanager
    def writing(self) -> Iterator[Keep]:
        """A function that keeps a reply; GeneratorError where another process is writing."""
        with written(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self.path.with_suffix(".lock"))
            try:
                lock.acquire(timeout=0)
            except Timeout:
                what, fix = "another process adds answers of this model", "wait until it is done"
                raise GeneratorError([Problem(str(self.path), what, fix)]) from None
        try:
            # What another process kept before we had the lock is not asked for again.
            self._entries = {entry.key: entry for entry in entries(self.path)}
            with written(self.path):
                file = self.path.open("a+b", buffering=0)
            with file:
                with written(self.path):
                    _mend(file)
                yield lambda *told: self._keep(file, *told)
        finally:
            lock.release()

    def _keep(
        self, file: FileIO, question: Question, identity: Mapping[str, Any], reply: Reply, seconds: float
    ) -> Entry:
        entry = Entry(
            key=question.key(identity),
            prompt=question.prompt,
            attempt=question.attempt,
            step=question.step,
            about=question.about,
            answer=reply.text,
            model=reply.model,
            prompt_tokens=reply.prompt_tokens,
            answer_tokens=reply.answer_tokens,
            cost=reply.cost,
            seconds=round(seconds, 3),
            time=datetime.now(UTC).isoformat(timespec="seconds"),
        )
        line = json.dumps(attrs.asdict(entry), ensure_ascii=False) + "\n"
        with self._lock, written(self.path):
            _append(file, line.encode())
            self._entries[entry.key] = entry
        return entry


def entries(path: Path) -> Iterator[Entry]:
    """The lines of a file that are whole, in order; none where there is no file."""
    if not path.exists():
        return
    names = {field.name for field in attrs.fields(Entry)}
    with path.open("rb") as file:
        for line in file:
            try:
                record = json.loads(line)
            except ValueError:  # cut short by a crash
                continue
            if isinstance(record, dict) and names <= record.keys():
                yield Entry(**{name: record[name] for name in names})


def _append(file: FileIO, line: bytes) -> None:
    """A line behind the others, on disk; nothing of it where the disk does not take it whole."""
    end = file.seek(0, os.SEEK_END)
    try:
        left = memoryview(line)
        while left:
            left = left[file.write(left) :]
        os.fsync(file.fileno())
    except OSError:
        file.truncate(end)
        raise


def _mend(file: FileIO) -> None:
    """Ends the last line where it is whole, and takes away what a crash left of it."""
    end = start = file.seek(0, os.SEEK_END)
    tail = b""
    while start and b"\n" not in tail:
        step = min(start, _BLOCK)
        start = file.seek(start - step)
        tail = file.read(step) + tail
    last = tail[tail.rfind(b"\n") + 1 :]
    if not last:
        return
    try:
        json.loads(last)
    except ValueError:
        file.truncate(end - len(last))
    else:
        _append(file, b"\n")


_BLOCK = 1 << 16
