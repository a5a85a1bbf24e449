"""Rows that take turns, each in a process of its own: CPU seconds, wall seconds and the peak of its memory."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import json
import os
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median
from typing import Any, Self

import attrs

HERE = Path(__file__).parent


@attrs.frozen(kw_only=True)
class Turn:
    """What a row did in one round."""

    work: int
    """In units of the row's work."""
    cpu: float
    """Seconds, of all threads."""
    wall: float


@attrs.define(kw_only=True)
class Row:
    """What is known of a row."""

    name: str
    turns: list[Turn] = attrs.field(factory=list)
    held: int = 0
    """Bytes of memory before it worked for the first time: the interpreter, the libraries, data and weights."""
    peak: int = 0
    """Bytes of memory at the most, while it worked."""
    about: Mapping[str, Any] = attrs.field(factory=dict)

    @property
    def cost(self) -> float:
        """CPU seconds a unit of work, the median over the rounds."""
        return median(each.cpu / each.work for each in self.turns)

    def ratio(self, other: Row) -> tuple[float, float, float]:
        """How many times as cheap as another row: median, least and most over the rounds that both took turns in."""
        each = [
            (theirs.cpu / theirs.work) / (mine.cpu / mine.work)
            for mine, theirs in zip(self.turns, other.turns, strict=True)
        ]
        return median(each), min(each), max(each)

    def record(self) -> dict[str, Any]:
        """In plain JSON types."""
        return attrs.asdict(self)


def interleave(
    suite: str,
    jobs: Mapping[str, Mapping[str, Any]],
    *,
    rounds: int,
    seconds: float,
    threads: int = 1,
    say: Callable[[str], None],
) -> dict[str, Row]:
    """Starts a process for each job (`suite.prepare(**job)` gives its step), warms it up, and lets all take turns."""
    with Pool(suite, threads=threads) as pool:
        return pool.interleave(jobs, rounds=rounds, seconds=seconds, say=say)


class Pool:
    """Processes that one group of jobs after the other is given to: a job of a group each, and what was before is forgotten.

    `together` gives all jobs of a group to one process: where there are many, and their memory is not asked for.
    """

    def __init__(self, suite: str, *, threads: int = 1, together: bool = False) -> None:
        self.suite = suite
        self.threads = threads
        self.together = together
        self._workers: list[_Worker] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._workers:
            worker.process.kill()
            worker.process.communicate()

    def interleave(
        self,
        jobs: Mapping[str, Mapping[str, Any]],
        *,
        rounds: int,
        seconds: float,
        say: Callable[[str], None],
    ) -> dict[str, Row]:
        """Prepares the step of each job, warms it up, and lets all take turns."""
        while len(self._workers) < (1 if self.together else len(jobs)):
            self._workers.append(_Worker(self.suite, self.threads))
        for worker in self._workers:
            worker.asked({"do": "forget"})
        workers = dict(zip(jobs, self._workers * (len(jobs) if self.together else 1), strict=False))
        rows = {}
        for name, worker in workers.items():
            begun = time.monotonic()
            asked = {"do": "prepare", "name": name, "job": dict(jobs[name])}
            rows[name] = Row(name=name, about=worker.asked(asked))
            say(f"{self.suite}: {name} is ready after {time.monotonic() - begun:.0f} s")
        for number in range(rounds):
            for name, worker in workers.items():
                turn = Turn(**worker.asked({"do": "work", "name": name, "seconds": seconds}))
                rows[name].turns.append(turn)
                say(f"{self.suite}: round {number + 1}, {name}: {1e3 * turn.cpu / turn.work:.3f} ms each")
        for name, worker in workers.items():
            memory = worker.asked({"do": "memory", "name": name})
            rows[name].held, rows[name].peak = memory["held"], memory["peak"]
        return rows


class _Worker:
    def __init__(self, suite: str, threads: int) -> None:
        environment = {
            **os.environ,
            "OMP_NUM_THREADS": str(threads),
            "MKL_NUM_THREADS": str(threads),
            "TOKENIZERS_PARALLELISM": "false",
            "HF_HUB_OFFLINE": "1",
        }
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / "measure.py"), suite],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )

    def asked(self, what: Mapping[str, Any]) -> dict[str, Any]:
        """Sends a line and reads one."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(what) + "\n")
        self.process.stdin.flush()
        for line in self.process.stdout:
            if line.startswith("{"):
                return dict(json.loads(line))
        raise RuntimeError(f"a row ended with code {self.process.wait()}; what it said stands above")


def ratios(numbers: Any, path: tuple[str, ...] = ()) -> dict[str, tuple[float, float, float]]:
    """Every `ratio` (median, least, most) in what suites gave, by where it stands."""
    found: dict[str, tuple[float, float, float]] = {}
    if isinstance(numbers, Mapping):
        for key, value in numbers.items():
            if key == "ratio" or str(key).startswith("over "):
                found[" / ".join((*path, str(key)))] = tuple(value)
            else:
                found |= ratios(value, (*path, str(key)))
    elif isinstance(numbers, list):
        for number, value in enumerate(numbers):
            name = value.get("name", number) if isinstance(value, Mapping) else number
            found |= ratios(value, (*path, str(name)))
    return found


def regressions(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What `lego` gains less of than before, in lines: where even the best round of now is below the worst of then.

    Ratios are compared, not seconds, so that the two may be of different machines, if of one kind.
    """
    then = ratios(before)
    return [
        f"{place}: {ratio[0]:.2f} ({ratio[1]:.2f} to {ratio[2]:.2f}), was {then[place][0]:.2f} "
        f"({then[place][1]:.2f} to {then[place][2]:.2f})"
        for place, ratio in ratios(now).items()
        if place in then and ratio[2] < then[place][1]
    ]


def machine() -> dict[str, Any]:
    """What the numbers were measured on."""
    import torch

    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "torch": torch.__version__,
        "peak GFLOP/s": _peak(),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")


def _peak() -> float:
    """Billions of operations a second of one thread in a product of large matrices, float32, by torch's own library or oneDNN."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    left, right = torch.rand(1024, 1024), torch.rand(1024, 1024)
    best = 0.0
    ways = [lambda: left @ right]
    if torch.backends.mkldnn.is_available():
        ways.append(lambda: torch.ops.mkldnn._linear_pointwise(left, right, None, "none", [], ""))
    for number in range(32):
        begun = time.process_time()
        ways[number % len(ways)]()
        best = max(best, 2 * 1024**3 / max(1e-9, time.process_time() - begun) / 1e9)
    torch.set_num_threads(threads)
    return round(best, 1)


# --- inside a row's process -----------------------------------------------------------------------------------------------------


def _trim() -> None:
    """Gives back what was freed: rows wait for each other, and what one keeps the others lack."""
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)


def _forget_peak() -> int:
    """From here on the peak is that of the work, not of what was read to begin it. Gives the bytes that are held."""
    _trim()
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    return _status("VmRSS")


def _status(name: str) -> int:
    """Bytes, of the fields of the process; 0 where the system does not tell."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
            if line.startswith(name):
                return int(line.split()[1]) * 1024
    return 0


def children_too() -> float:
    """Seconds of this process and of the ones it started and waited for."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def _serve(suite: str) -> None:
    module = importlib.import_module(suite)
    steps: dict[str, Callable[[int], int]] = {}
    done: dict[str, int] = {}
    held: dict[str, int] = {}
    for line in sys.stdin:
        asked = json.loads(line)
        name, answer = asked.get("name", ""), {}
        if asked["do"] == "forget":
            steps.clear()
            _trim()
        elif asked["do"] == "prepare":
            steps[name], answer = module.prepare(**asked["job"])
            held[name] = _forget_peak()
            steps[name](0)
            _trim()
            done[name] = 1
        elif asked["do"] == "work":
            work, cpu, wall = 0, children_too(), time.perf_counter()
            while not work or time.perf_counter() - wall < asked["seconds"]:
                work += steps[name](done[name])
                done[name] += 1
            answer = {"work": work, "cpu": children_too() - cpu, "wall": time.perf_counter() - wall}
            _trim()
        else:
            answer = {"held": held[name], "peak": _status("VmHWM")}
        print(json.dumps(answer), flush=True)  # noqa: T201 - the other process reads it


if __name__ == "__main__":
    _serve(sys.argv[1])
