"""Runs of many experiments: one after the other in this process, or several at once in processes of their own.

A process is given experiments as JSON, a line each, and answers in lines of JSON. It lives as long as its input is open, so that
none outlives the sweep, however that ends.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any, Protocol, Self

import attrs

from lego.errors import DataError, LegoError
from lego.experiment import Experiment
from lego.expression import from_json, to_json
from lego.metric.parse import parse_metric
from lego.runtime.fit import Stopped
from lego.runtime.folder import read_json
from lego.runtime.load import load
from lego.runtime.progress import Screen
from lego.runtime.run import run_experiment
from lego.runtime.script import load_module, names_of_record

PATIENCE = 60.0
"""Seconds in which an interrupted process may write its position down."""

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS")
"""What libraries read how many threads they may use from."""


@attrs.frozen(kw_only=True)
class Job:
    """One run to be made."""

    experiment: Experiment
    name: str
    out: Path
    script: Path | None
    device: str

    def record(self) -> dict[str, Any]:
        """In plain JSON types."""
        return {
            "experiment": to_json(self.experiment),
            "name": self.name,
            "out": str(self.out),
            "script": None if self.script is None else str(self.script),
            "device": self.device,
        }

    @classmethod
    def of(cls, record: dict[str, Any]) -> Job:
        """The reverse of `record`."""
        script = None if record["script"] is None else Path(record["script"])
        module = None if script is None else load_module(script)
        names = names_of_record(module, None if script is None else script.parent)
        return cls(
            experiment=from_json(record["experiment"], names),
            name=record["name"],
            out=Path(record["out"]),
            script=script,
            device=record["device"],
        )


@attrs.frozen(kw_only=True)
class Outcome:
    """What became of a job: the folder of a finished run, or an error."""

    path: str | None = None
    dev: float | None = None
    """The monitored metric of the kept weights on the dev part; None where it has none."""
    error: str | None = None


class Runner(Protocol):
    """What makes runs."""

    def run(self, jobs: Sequence[Job]) -> Iterator[tuple[int, Outcome]]:
        """Position and outcome of each job, as they come."""
        ...


def outcome(job: Job, screen: Screen) -> Outcome:
    """Makes a run, goes on with it, or finds it finished. What goes wrong is an outcome; only who interrupts is let through."""
    try:
        made = run_experiment(
            job.experiment,
            name=job.name,
            out=job.out,
            script=job.script,
            device=job.device,
            resume=True,
            reuse=True,
            screen=screen,
        )
        return Outcome(path=str(made.path), dev=dev_of(made.path, job.experiment))
    except (Stopped, KeyboardInterrupt):
        raise
    except LegoError as error:
        return Outcome(error=str(error))
    except (Exception, SystemExit) as error:  # noqa: BLE001 - one model that fails is not the end of the others
        return Outcome(error=f"{type(error).__name__}: {error}")


def dev_of(path: Path, experiment: Experiment) -> float | None:
    """The monitored metric of a finished run on the dev part: of its best epoch, or measured now where it has none."""
    dev: float | None = read_json(path / "metrics.json")["fit"].get("dev")
    if dev is None:
        with contextlib.suppress(DataError):  # there is no such part
            dev = load(path).evaluate("dev")["test"][parse_metric(experiment.training.monitor).name]
    return dev


class Here:
    """Runs in this process, one after the other."""

    def __init__(self, screen: Screen) -> None:
        self.screen = screen

    def run(self, jobs: Sequence[Job]) -> Iterator[tuple[int, Outcome]]:
        """In order."""
        for place, job in enumerate(jobs):
            yield place, outcome(job, self.screen)


class Processes:
    """Runs in `count` processes with `threads` threads each; one that dies takes its own run along and no other."""

    def __init__(self, count: int, threads: int) -> None:
        self.threads = threads
        self._slots: list[_Process | None] = [None] * count
        self._lock = threading.Lock()
        self._leaving = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Ends the processes; in an emergency each is asked to write down where it is first."""
        with self._lock:
            self._leaving = True
            alive = [each for each in self._slots if each is not None]
        if kind is not None:
            for each in alive:
                each.interrupt()
            with contextlib.suppress(KeyboardInterrupt):  # who asks twice does not want to wait
                for each in alive:
                    each.wait(PATIENCE)
        for each in alive:
            each.close()

    def run(self, jobs: Sequence[Job]) -> Iterator[tuple[int, Outcome]]:
        """As they end."""
        waiting: queue.SimpleQueue[tuple[int, Job]] = queue.SimpleQueue()
        answers: queue.SimpleQueue[tuple[int, Outcome]] = queue.SimpleQueue()
        for each in enumerate(jobs):
            waiting.put(each)

        def serve(slot: int) -> None:
            while not self._leaving:
                try:
                    place, job = waiting.get_nowait()
                except queue.Empty:
                    return
                answers.put((place, self._ask(slot, job)))

        for slot in range(min(len(self._slots), len(jobs))):
            threading.Thread(target=serve, args=(slot,), daemon=True).start()
        for _ in jobs:
            yield answers.get()

    def _ask(self, slot: int, job: Job) -> Outcome:
        """The outcome of a job in the process of a slot, which is started where none lives."""
        with self._lock:
            if self._leaving:
                return Outcome(error="the sweep was stopped before")
            process = self._slots[slot] = self._slots[slot] or _Process(self.threads)
        answer = process.ask(job)
        if answer is None:
            self._slots[slot] = None
            words = process.last_words
            process.close()
            return Outcome(error=words)
        return answer


class _Process:
    """A child that runs `lego.runtime.jobs`."""

    def __init__(self, threads: int) -> None:
        self.told = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as the process
        self.child = subprocess.Popen(
            [sys.executable, "-m", "lego.runtime.jobs"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.told,
            text=True,
            encoding="utf-8",
            env={**os.environ, **dict.fromkeys(THREADS, str(threads))},
            start_new_session=True,  # Ctrl-C is handed on once, by us
        )

    def ask(self, job: Job) -> Outcome | None:
        """What it answers; None where it died over it."""
        assert self.child.stdin is not None
        assert self.child.stdout is not None
        try:
            self.child.stdin.write(json.dumps(job.record()) + "\n")
            self.child.stdin.flush()
            line = self.child.stdout.readline()
        except (OSError, ValueError):
            return None
        return Outcome(**json.loads(line)) if line.endswith("\n") else None

    @property
    def last_words(self) -> str:
        """How it ended, and the last line that it wrote."""
        code = self.child.wait()
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        lines: list[str] = []
        with contextlib.suppress(OSError, ValueError):  # it is closed when the sweep is left
            self.told.seek(0)
            lines = self.told.read().decode(errors="replace").split("\n")
        last = next((line.strip() for line in reversed(lines) if line.strip()), "")
        return f"the process of this run ended with {how}" + (f": {last}" if last else "")

    def interrupt(self) -> None:
        """Ctrl-C, to it alone."""
        with contextlib.suppress(OSError):
            if os.name == "nt":
                self.child.terminate()
            else:
                self.child.send_signal(signal.SIGINT)

    def wait(self, seconds: float) -> None:
        """Until it ends, but no longer than this."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.child.wait(seconds)

    def close(self) -> None:
        """Ends it where it still lives."""
        self.child.kill()
        self.child.wait()
        for pipe in (self.child.stdin, self.child.stdout, self.told):
            with contextlib.suppress(OSError):
                if pipe is not None:
                    pipe.close()


def main() -> None:
    """Answers jobs from standard input until it is closed; what libraries print goes to standard error."""
    answers: IO[str] = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    jobs: queue.SimpleQueue[str] = queue.SimpleQueue()

    def listen() -> None:
        for line in sys.stdin:
            jobs.put(line)
        os._exit(0)  # nobody waits for an answer any more; a run that is under way is resumed another time

    threading.Thread(target=listen, daemon=True).start()
    while True:
        line = jobs.get()
        try:
            found = outcome(Job.of(json.loads(line)), Screen())
        except LegoError as error:
            found = Outcome(error=str(error))
        except (Stopped, KeyboardInterrupt):
            found = Outcome(error="stopped as asked; what was finished before is kept")
            _answer(answers, found)
            return
        _answer(answers, found)


def _answer(answers: IO[str], found: Outcome) -> None:
    answers.write(json.dumps(attrs.asdict(found)) + "\n")
    answers.flush()


if __name__ == "__main__":
    main()
