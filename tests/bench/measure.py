"""Rows that take turns, each in a process of its own: CPU seconds, wall seconds and the peak of its memory."""

from __future__ import annotations

import ctypes
import importlib
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

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
    rows = {}
    with _workers(suite, jobs, threads) as workers:
        for name, worker in workers.items():
            begun = time.monotonic()
            rows[name] = Row(name=name, about=worker.asked({"do": "prepare", "job": dict(jobs[name])}))
            say(f"{suite}: {name} is ready after {time.monotonic() - begun:.0f} s")
        for number in range(rounds):
            for name, worker in workers.items():
                turn = Turn(**worker.asked({"do": "work", "seconds": seconds}))
                rows[name].turns.append(turn)
                say(f"{suite}: round {number + 1}, {name}: {1e3 * turn.cpu / turn.work:.3f} ms each")
        for name, worker in workers.items():
            rows[name].peak = worker.asked({"do": "peak"})["bytes"]
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


@contextmanager
def _workers(
    suite: str, jobs: Sequence[str] | Mapping[str, Any], threads: int
) -> Iterator[dict[str, _Worker]]:
    made: dict[str, _Worker] = {}
    try:
        for name in jobs:
            made[name] = _Worker(suite, threads)
        yield made
    finally:
        for worker in made.values():
            worker.process.kill()
            worker.process.communicate()


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
    """Billions of operations a second of one thread in a product of matrices, float32."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    left, right = torch.rand(1024, 1024), torch.rand(1024, 1024)
    best = 0.0
    for _ in range(8):
        begun = time.process_time()
        left @ right
        best = max(best, 2 * 1024**3 / max(1e-9, time.process_time() - begun) / 1e9)
    torch.set_num_threads(threads)
    return round(best, 1)


# --- inside a row's process -----------------------------------------------------------------------------------------------------


def _forget_peak() -> None:
    """From here on the peak is that of the work, not of what was read to begin it."""
    import gc

    gc.collect()
    try:
        ctypes.CDLL("libc.so.6").malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return


def _peak_bytes() -> int:
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) * 1024
    return 0


def _serve(suite: str) -> None:
    module = importlib.import_module(suite)
    step: Callable[[int], int] = lambda number: 0  # noqa: E731 - replaced by the first line
    done = 0
    for line in sys.stdin:
        asked = json.loads(line)
        answer: dict[str, Any] = {}
        if asked["do"] == "prepare":
            step, answer = module.prepare(**asked["job"])
            _forget_peak()
            step(0)
            done = 1
        elif asked["do"] == "work":
            work, cpu, wall = 0, time.process_time(), time.perf_counter()
            while not work or time.perf_counter() - wall < asked["seconds"]:
                work += step(done)
                done += 1
            answer = {"work": work, "cpu": time.process_time() - cpu, "wall": time.perf_counter() - wall}
        else:
            answer = {"bytes": _peak_bytes()}
        print(json.dumps(answer), flush=True)  # noqa: T201 - the other process reads it


if __name__ == "__main__":
    _serve(sys.argv[1])
