"""Every combination of an experiment with choices: checked, run so that it can be gone on with, and ranked on the dev part."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from textwrap import shorten
from typing import Any

import attrs
import torch
from filelock import FileLock, Timeout

from lego.compiler.assemble import unfit
from lego.compiler.check import check
from lego.data.prepare import prepare
from lego.data.store import Store
from lego.errors import LegoError, Problem, RunError, SpecError
from lego.expansion import CASES, Combination, Expansion
from lego.experiment import Experiment
from lego.expression import to_json
from lego.home import home
from lego.metric.parse import parse_metric
from lego.runtime.device import choose_device
from lego.runtime.evaluation import misread
from lego.runtime.folder import finished
from lego.runtime.jobs import Here, Job, Outcome, Processes, Runner, dev_of
from lego.runtime.outside import run_id
from lego.runtime.progress import Screen
from lego.runtime.search import Search, require_optuna, shuffled
from lego.runtime.standings import Board, Entry, Sweep, standings
from lego.scorer.base import Baseline
from lego.seed import numpy_generator
from lego.spec import Choice, choices

TOGETHER = 4
"""Trials that a search asks for before it is told of any: as many whatever the number of processes, so that it finds the same."""

TITLE = 60
"""Letters of the best so far that are told again with every run."""

TOLD = 20
"""How many combinations that are not run are told one by one; the files have all."""

KEEP_SECONDS = 10.0
"""How often the files are written while runs are made."""


def sweep(
    experiment: Experiment,
    *,
    name: str | None = None,
    out: str | Path = "runs",
    script: Path | None = None,
    seeds: int = 1,
    limit: int | None = None,
    budget: int | None = None,
    jobs: int = 1,
    device: str = "auto",
    screen: Screen | None = None,
) -> Sweep:
    """Runs every combination of the choices of an experiment, and ranks them by the monitored metric on the dev part.

    All combinations are checked first; those that are wrong are rows with their reason, and are not run. A run that fails is a
    row as well. Called again, finished runs are read from their folders and unfinished ones go on. Each is run with `seeds`
    training seeds in a row. `limit` takes a sample of so many, drawn by the experiment's training seed; `budget` searches with
    optuna instead, with so many trials for each value of `model` where that is a choice. `jobs` runs are made at once, in
    processes of their own that share the threads of this one.

    `out/name/` gets `leaderboard.csv`, `.md` and `.json`, and a run folder for each run. SpecError for options that cannot be;
    RunError where another sweep is at work in the folder.
    """
    for option, value in (("seeds", seeds), ("limit", limit), ("budget", budget), ("jobs", jobs)):
        if value is not None and value < 1:
            raise SpecError.wrong_value("sweep", option, value, "at least 1")
    if limit is not None and budget is not None:
        raise SpecError("sweep: limit draws a sample and budget searches. Give one of the two.")
    name = name or (script.stem if script else "sweep")
    if Path(name).name != name or name in (".", ".."):
        raise RunError(f"--name {name!r} must be a plain folder name.")
    experiment = experiment.rebased(Path.cwd())
    if jobs > 1 and _only_here(to_json(experiment)):
        raise SpecError(
            "sweep: a class of the experiment is defined where other processes cannot import it. "
            "Put it into a script or a module, or leave jobs at 1."
        )
    making = _Sweep(
        experiment=experiment,
        expansion=Expansion(experiment),
        path=Path(out) / name,
        name=name,
        out=Path(out),
        script=script,
        seeds=seeds,
        limit=limit,
        budget=budget,
        device=choose_device(device),
        screen=screen or Screen(),
    )
    if budget is not None:
        making.require_one_board()
        require_optuna()
    with _held(making.path):
        threads = max(1, torch.get_num_threads() // jobs)
        with contextlib.ExitStack() as stack:
            runner: Runner = (
                Here(_Quiet(making.screen.console))
                if jobs == 1
                else stack.enter_context(Processes(jobs, threads))
            )
            making.run(runner)
    return making.made()


def _only_here(record: Any) -> bool:
    """Whether a record names a class of the main module, as notebooks define them."""
    if isinstance(record, dict):
        named = str(record.get("$", "")).startswith("__main__:")
        return named or any(_only_here(each) for each in record.values())
    return isinstance(record, list) and any(_only_here(each) for each in record)


@contextlib.contextmanager
def _held(path: Path) -> Iterator[None]:
    """Keeps other sweeps out of a folder."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise RunError(
            f"The folder {path} cannot be made: {problem.strerror}. Choose another with --out."
        ) from None
    lock = FileLock(path / ".sweep.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise RunError(
            f"{path} is being swept by another process. Wait for it, or choose another --name."
        ) from None
    try:
        yield
    finally:
        lock.release()


class _Quiet(Screen):
    """Shows the bars of a run on a terminal, and not its lines: the sweep has a line for each run."""

    def say(self, text: str) -> None:
        """Nothing."""

    @contextlib.contextmanager
    def bar(self, what: str, total: int, unit: str) -> Iterator[Any]:
        """The bar, where there is a terminal."""
        shown = self.console if self.console is not None and self.console.is_terminal else None
        with Screen(shown).bar(what, total, unit) as bar:
            yield bar


@attrs.define(eq=False, kw_only=True)
class _Sweep:
    """A sweep under way."""

    experiment: Experiment
    expansion: Expansion
    path: Path
    name: str
    out: Path
    script: Path | None
    seeds: int
    limit: int | None
    budget: int | None
    device: str
    screen: Screen
    entries: list[Entry] = attrs.field(factory=list)
    boards: list[Board] = attrs.field(factory=list)
    stores: dict[Any, Store | LegoError] = attrs.field(factory=dict)
    done: int = 0
    seen: set[Experiment] = attrs.field(factory=set)
    _paths: set[str] = attrs.field(factory=set)
    _told: int = 0
    _kept: float = attrs.field(factory=time.monotonic)

    def run(self, runner: Runner) -> None:
        """All of it; what was found until then is kept where it is interrupted."""
        count = self.expansion.count
        self.screen.say(f"{count:,} combination{'' if count == 1 else 's'}")
        try:
            if self.budget is None:
                self._list()
                self._run([each for each in self.entries if each.problem is None], runner)
            else:
                self._search(self.budget, runner)
            for board in self.boards:
                board.measure_baselines()
        finally:
            self.made().keep()

    # --- what is checked ---

    def _list(self) -> None:
        """Distinct combinations, checked: all, or a sample that has `limit` valid ones."""
        count, wanted = self.expansion.count, self.limit
        order: Iterator[int] = iter(range(count))
        if wanted is not None:
            order = shuffled(count, numpy_generator(self._seed, "sweep"))
        found: dict[int, Entry] = {}
        valid = 0
        with self.screen.bar("checking", count, "combination") as bar:
            for number in order:
                if valid == wanted:
                    break
                entry = self._judged(self.expansion.at(number))
                bar.advance(1)
                if entry is not None:
                    found[number] = entry
                    valid += entry.problem is None
        self.entries = [found[number] for number in sorted(found)]
        for place, entry in enumerate(self.entries, 1):
            entry.number = place
            self._tell_invalid(entry)
        invalid = len(self.entries) - valid
        seeds = f", each with {self.seeds} seeds" if self.seeds > 1 else ""
        self.screen.say(f"{valid:,} to run{seeds}; {invalid:,} invalid")

    def _judged(self, combination: Combination) -> Entry | None:
        """The combination, with its reason where it cannot be run; None where an equal one is there."""
        experiment = combination.experiment
        if experiment in self.seen:
            return None
        entry = Entry(combination=combination, number=len(self.entries) + 1)
        self._paths.update(path for path, _ in combination.picks)
        if experiment is None:
            entry.problem = str(combination.error)
            return entry
        self.seen.add(experiment)
        problems = [*check(experiment), *misread(experiment)]
        if not problems:
            store = self._store(experiment)
            if isinstance(store, LegoError):
                entry.problem = str(store)
                return entry
            problems = unfit(experiment, store)
            entry.board = self._board(experiment, store)
        if problems:
            entry.problem = "; ".join(map(_sentence, problems))
        first, model = experiment.training.seed, experiment.model
        deaf = isinstance(model, Baseline) and model.seeded(first) == model  # to seeds: one run says it all
        entry.seeds = tuple(range(first, first + (1 if deaf else self.seeds)))
        return entry

    def _store(self, experiment: Experiment) -> Store | LegoError:
        """The prepared data, made once for all; or why it cannot be made."""
        if experiment.data not in self.stores:
            try:
                made: Store | LegoError = prepare(
                    experiment.data, home() / "data", progress=self.screen.progress
                )
            except LegoError as error:
                made = error
            self.stores[experiment.data] = made
        return self.stores[experiment.data]

    def _board(self, experiment: Experiment, store: Store) -> int:
        """The number of the leaderboard that an experiment stands on."""
        for number, board in enumerate(self.boards):
            if board.fits(experiment):
                return number
        self.boards.append(Board(experiment=experiment, store=store))
        return len(self.boards) - 1

    @property
    def _seed(self) -> int:
        """What a sample and a search are drawn by: the training seed, where it is one."""
        seed = getattr(self.experiment.training, "seed", 0)
        return seed if isinstance(seed, int) else 0

    # --- what is run ---

    def _run(self, entries: Sequence[Entry], runner: Runner) -> None:
        """Every seed of the entries: what is finished already is read first, then the others are made."""
        waiting: dict[Experiment, Job] = {}
        wanted: dict[Experiment, list[tuple[Entry, int]]] = {}
        reused = 0
        for entry in entries:
            for seed in entry.seeds:
                job = self._job(entry, seed)
                found = self._finished(job)
                if found is None:  # entries whose seeds are a choice may ask for one run twice
                    waiting[job.experiment] = job
                    wanted.setdefault(job.experiment, []).append((entry, seed))
                else:
                    entry.take(seed, found)
                    reused += 1
        self.done += reused
        if reused:
            self.screen.say(f"finished already: {reused:,} run{'' if reused == 1 else 's'}")
        jobs = list(waiting.values())
        begun = time.monotonic()
        for place, found in runner.run(jobs):
            for entry, seed in wanted[jobs[place].experiment]:
                entry.take(seed, found)
                self.done += 1
                self._tell(entry, seed, found, time.monotonic() - begun)
            begun = time.monotonic()
            if begun - self._kept > KEEP_SECONDS:
                self.made().keep()
                self._kept = time.monotonic()

    def _job(self, entry: Entry, seed: int) -> Job:
        assert entry.combination.experiment is not None
        chosen = entry.combination.experiment.set(f"training.seed={seed}")
        return Job(experiment=chosen, name=self.name, out=self.out, script=self.script, device=self.device)

    def _finished(self, job: Job) -> Outcome | None:
        """The outcome of a run that was made before."""
        store = self.stores[job.experiment.data]
        assert isinstance(store, Store)
        folder = finished(self.out, self.name, run_id(job.experiment, store.fingerprint))
        if folder is None:
            return None
        try:
            return Outcome(path=str(folder.path), dev=dev_of(folder.path, job.experiment))
        except LegoError as error:
            return Outcome(error=str(error))

    def _search(self, budget: int, runner: Runner) -> None:
        """A study for each value of `model`, all with the same budget, in rounds."""
        model: Any = self.experiment.model
        fixed: list[dict[str, int]] = [{}]
        if isinstance(model, Choice):
            fixed = [{CASES if model.tied else "model": place} for place in range(len(model.values))]
        metric = parse_metric(self.experiment.training.monitor)
        at_work = [
            Search(
                Expansion(self.experiment, fixed=each),
                seed=self._seed,
                budget=budget,
                larger_is_better=metric.larger_is_better,
            )
            for each in fixed
        ]
        models = f" for each of {len(fixed)} models" if len(fixed) > 1 else ""
        self.screen.say(f"a search of {budget:,} trial{'' if budget == 1 else 's'}{models}")
        while at_work:
            asked: list[tuple[Search, Entry]] = []
            going_on = []
            for search in at_work:
                for _ in range(TOGETHER):
                    if search.ask(self._asked) is None:
                        break
                    asked.append((search, self.entries[-1]))
                else:
                    going_on.append(search)
            self._run([entry for _, entry in asked], runner)
            for search, entry in asked:
                search.tell(entry.combination, entry.dev[0] if entry.status == "finished" else None)
            at_work = going_on

    def _asked(self, combination: Combination) -> bool:
        """Notes what a search asks for; whether it is to be run."""
        entry = self._judged(combination)
        if entry is None:
            return False
        self.entries.append(entry)
        self._tell_invalid(entry)
        return entry.problem is None

    def require_one_board(self) -> None:
        """A search compares trials on the dev part, which is fair on the same data by the same rules alone."""
        experiment = self.experiment
        for path, value in (
            ("data", experiment.data),
            ("evaluation", experiment.evaluation),
            ("training.monitor", getattr(experiment.training, "monitor", experiment.training)),
        ):
            if any(choices(value)):
                raise SpecError(
                    f"sweep: {path} holds a choice, and a search cannot compare trials across it. "
                    f"Leave budget out, or choose one with --set {path}=VALUE."
                )

    # --- what is told ---

    def _tell(self, entry: Entry, seed: int, found: Outcome, seconds: float) -> None:
        every = sum(len(each.seeds) for each in self.entries if each.problem is None)
        name = self._title(entry) + (f", seed {seed}" if self.seeds > 1 else "")
        if found.error is not None:
            told = f"failed: {(found.error.splitlines() or [''])[0]}"
        else:
            value = "is missing" if found.dev is None else f"{found.dev:.4f}"
            told = f"{self.boards[entry.board].column} {value}{self._best_so_far(entry.board)}"
        self.screen.say(f"{self.done:,}/{every:,} {name}: {told}, {seconds:.1f} s")

    def _best_so_far(self, board: int) -> str:
        known = {
            each.number: (each, value)
            for each in self.entries
            if each.board == board and each.status == "finished" and (value := each.dev[0]) is not None
        }
        if not known:
            return ""
        pick = max if self.boards[board].larger_is_better else min
        best, value = pick(known.values(), key=lambda each: each[1])
        return f" (best so far {value:.4f}: {shorten(self._title(best), TITLE, placeholder=' …')})"

    def _tell_invalid(self, entry: Entry) -> None:
        if entry.problem is None:
            return
        self._told += 1
        if self._told <= TOLD:
            self.screen.say(f"not run: {self._title(entry)}: {entry.problem}")
        elif self._told == TOLD + 1:
            self.screen.say(f"not run: others, which {self.path / 'leaderboard.csv'} lists")

    def _title(self, entry: Entry) -> str:
        """What tells a combination from the others, with paths as short as they can be."""
        picks = entry.combination.picks
        if not picks:
            return repr(self.experiment.model)
        ends = Counter(path.rpartition(".")[2] for path in self._paths)
        shorts = ((path.rpartition(".")[2], path, text) for path, text in picks)
        return ", ".join(f"{path if ends[end] > 1 else end}={text}" for end, path, text in shorts)

    def made(self) -> Sweep:
        """What was found so far."""
        return standings(
            self.path,
            self.entries,
            self.boards,
            {each.number: self._title(each) for each in self.entries},
            text=self.experiment.text(),
            combinations=self.expansion.count,
            seeds=self.seeds,
            limit=self.limit,
            budget=self.budget,
        )


def _sentence(problem: Problem) -> str:
    return f"{problem.where}: {problem.what} (fix: {problem.fix})"
