"""A run: compile, prepare, fit, evaluate, record."""

from __future__ import annotations

import contextlib
import math
import shutil
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs
import pyarrow as pa

from lego.compiler.assemble import Compiled, checked, compile  # noqa: A004
from lego.data.describe import dropped_line
from lego.data.prepare import prepare
from lego.data.store import Store
from lego.errors import CompositionError, DataError, Problem, RunError
from lego.experiment import Experiment
from lego.expression import to_json
from lego.home import home
from lego.metric.parse import parse_metric
from lego.metric.protocol import told
from lego.recommender import Recommender
from lego.report.html import metrics_html
from lego.runtime.compiling import require_compiler
from lego.runtime.device import choose_device
from lego.runtime.evaluation import (
    CompiledScorer,
    evaluate_part,
    evaluation_record,
    fresh,
    groups_told,
    ignored,
    misread,
    undefined_in,
)
from lego.runtime.fit import Fit, Stopped
from lego.runtime.folder import (
    Folder,
    code_version,
    create,
    environment,
    finished,
    held,
    read_json,
    write_json,
    written_aside,
)
from lego.runtime.outside import fetch, run_id, specs_in
from lego.runtime.profile import Profile, attached, profiling
from lego.runtime.progress import Screen
from lego.runtime.scored import kept_table
from lego.runtime.script import hash_of
from lego.runtime.tracking import Trackers, told_of
from lego.scorer.base import Fitted

PROFILE = "profile.json"
"""Where a run folder keeps where its time went."""


@attrs.frozen(eq=False, kw_only=True, repr=False)
class Run:
    """A finished run: its folder, and the numbers in it."""

    path: Path
    record: Mapping[str, Any]

    @property
    def metrics(self) -> dict[str, float | None]:
        """The test metrics by name; None where one does not apply to scores of this kind."""
        return dict(self.record["test"])

    @property
    def scores(self) -> pa.Table:
        """An Arrow table of the test part: impression, user, item, label, score."""
        return kept_table(Folder(self.path).scores / "test.parquet")

    @property
    def profile(self) -> dict[str, Any] | None:
        """Where the time went: seconds by phase and stage, what the batches held, advice; None unless the run was profiled."""
        path = self.path / PROFILE
        return dict(read_json(path)) if path.exists() else None

    @property
    def rows(self) -> dict[str, Mapping[str, float | None]]:
        """The test metrics, beside those of the baselines on the same part."""
        return {"this model": self.record["test"], **self.record["baselines"]}

    def __repr__(self) -> str:
        told = [f"{name} {value:.4f}" for name, value in self.metrics.items() if value is not None]
        shown = ", ".join(told[:3])
        return f"Run({str(self.path)!r}: {shown}, …)"

    def _repr_html_(self) -> str:
        """For notebooks."""
        title = f"{self.record['part']} ({groups_told(self.record)}), protocol {self.record['protocol']}"
        return metrics_html(self.rows, title=title, note=f"run folder: {self.path}")


def run_experiment(
    experiment: Experiment,
    *,
    name: str | None = None,
    out: str | Path = "runs",
    script: Path | None = None,
    device: str = "auto",
    resume: bool = False,
    reuse: bool = False,
    cache: bool = True,
    profile: bool = False,
    screen: Screen | None = None,
) -> Run:
    """Checks, prepares, fits, tests and records. Raises before any work where something can be known to be wrong.

    `resume` goes on with the unfinished run of the same experiment, `reuse` gives the finished one, where there is one.
    `profile` tells where the time went (`Run.profile`, and profile.json in the folder), from where a resumed run goes on.
    """
    screen = screen or Screen()
    experiment = experiment.rebased(Path.cwd())
    checked(experiment)
    problems = misread(experiment)
    if profile and not isinstance(experiment.model, Recommender):
        what = "a baseline has no stages that could be told apart"
        problems.append(Problem("profile", what, "leave out --profile, or run a Recommender"))
    if problems:
        raise CompositionError(problems)
    device = choose_device(device)
    if experiment.training.compile and isinstance(experiment.model, Recommender):
        require_compiler(device)
    seconds: dict[str, float] = {}
    with timed(seconds, "prepare"):
        store = prepare(experiment.data, home() / "data", progress=screen.progress)
    if (left_out := dropped_line(store.manifest)) is not None:
        screen.say(left_out)
    trackers, experiment = experiment.trackers, experiment.untracked
    record = to_json(experiment)
    name = name or (script.stem if script else "run")
    with timed(seconds, "compile"):
        fetch(experiment)
    name_of_folder = run_id(experiment, store.fingerprint)
    if reuse and (done := finished(Path(out), name, name_of_folder)) is not None:
        screen.say(f"finished already: {done.path}")
        return Run(path=done.path, record=numbers(read_json(done.path / "metrics.json")))
    _require_parts(experiment, store, screen)
    folder = create(Path(out), name, name_of_folder, resume=resume, tell=None if reuse else screen.say)
    with held(folder):
        screen.say(f"run folder: {folder.path}")
        if (idle := ignored(experiment)) is not None:
            screen.say(idle)
        going_on = resume and (folder.path / "experiment.json").exists()
        _record(folder, experiment, record, store, script)
        told = Trackers()
        try:
            told = Trackers.open(trackers, told_of(experiment, folder, going_on=going_on), screen)
            made = _run_in(
                folder,
                experiment,
                store,
                device,
                seconds,
                screen,
                told,
                cache=cache,
                resume=resume,
                profile=Profile() if profile else None,
            )
        except (Stopped, KeyboardInterrupt):
            folder.log("stopped")
            told.close("stopped")
            raise
        except Exception as error:
            with contextlib.suppress(RunError):  # a full disk does not take this line either
                folder.log("failed", error=f"{type(error).__name__}: {error}")
            told.close("failed")
            raise
        told.close("finished", {f"{made.record['part']}/{key}": value for key, value in made.metrics.items()})
        return made


def numbers(value: Any) -> Any:
    """A record as it was before it became JSON, which has no NaN, in its metrics."""
    absent = value.get("not_applicable", ())
    test = {
        name: math.nan if number is None and name not in absent else number
        for name, number in value["test"].items()
    }
    return {**value, "test": test}


def _require_parts(experiment: Experiment, store: Store, screen: Screen) -> None:
    """What is measured must be there, which is better known before the training than behind it.

    Without the monitored metric no epoch could be chosen; what the test part does not define is told, and is then missing.
    """
    trained = isinstance(experiment.model, Recommender) and experiment.training.epochs > 0
    wanted = {"train": trained, "dev": trained, "test": True}
    what, fix = "the part has no impressions", "give it a share of the data: see the options of the source"
    empty = [part for part, needed in wanted.items() if needed and not len(store.part(part))]
    if empty:
        raise DataError([Problem(f"{store.path.name}, {part}", what, fix) for part in empty])
    monitor = parse_metric(experiment.training.monitor).name
    if trained and (why := undefined_in(experiment, store.part("dev"), store.users).get(monitor)):
        what = f"{monitor} is monitored, and it is not defined there: {why}"
        fix = "give the impressions of dev both clicked and unclicked candidates, or monitor a metric that they define"
        raise DataError([Problem(f"{store.path.name}, dev", what, fix)])
    if undefined := undefined_in(experiment, store.part("test"), store.users):
        screen.say(f"warning: in the test part {'; '.join(told(undefined))}")


def _run_in(
    folder: Folder,
    experiment: Experiment,
    store: Store,
    device: str,
    seconds: dict[str, float],
    screen: Screen,
    trackers: Trackers,
    *,
    cache: bool,
    resume: bool,
    profile: Profile | None,
) -> Run:
    compiled: Compiled | None = None
    fitted: dict[str, Any] = {}
    scorer: Fitted
    with contextlib.ExitStack() as looked:
        if isinstance(experiment.model, Recommender):
            with timed(seconds, "compile"):
                compiled = compile(experiment, store=store, device=device, progress=screen.progress)
            _say_plan(compiled, screen)
            for encoder_name, encoder in compiled.encoders.items():
                encoder.save(folder.path / "tokens" / encoder_name)
            scorer = CompiledScorer(compiled, cache=cache, screen=screen)
            if profile is not None:
                looked.enter_context(attached(profile, compiled.pipeline))
                looked.enter_context(profiling(profile))
            dev = store.part("dev")
            measured = Fit(
                compiled=compiled,
                folder=folder,
                screen=screen,
                measure=lambda: evaluate_part(experiment, CompiledScorer(compiled), dev).metrics,
                trackers=trackers,
            ).run(resume=resume)
            seconds["fit"] = measured.seconds
            fitted = {"epochs": measured.epoch, "best_epoch": measured.best_epoch, "dev": measured.best}
        else:
            scorer = fresh(experiment, device, screen)
            with timed(seconds, "fit"):
                scorer.fit(store)
        record = evaluation_record(
            folder.path, experiment, store, scorer, "test", compiled, seconds, cache=cache, own=True
        )
    if profile is not None and compiled is not None:
        write_json(folder.path / PROFILE, profile.record(compiled))
    write_json(folder.path / "metrics.json", {**record, "fit": fitted})
    folder.log(
        "finished", **{key: record[key] for key in ("protocol", "test", "groups", "seconds", "speedup")}
    )
    return Run(path=folder.path, record=record)


def _record(folder: Folder, experiment: Experiment, record: Any, store: Store, script: Path | None) -> None:
    """What was asked for, on what, where: written before any work."""
    kept: dict[str, Any] = {
        "text": experiment.text(),
        "experiment": record,
        "data": {"fingerprint": store.fingerprint, "base": store.base},
    }
    kept["data"]["path"] = str(store.path)
    if script is not None:
        copy = folder.path / "script.py"
        if not copy.exists():
            with written_aside(copy) as aside:
                shutil.copyfile(script, aside)
        kept["script"] = {"path": str(script), "sha256": hash_of(copy)}
    if not (folder.path / "experiment.json").exists():
        write_json(folder.path / "experiment.json", kept)
    write_json(
        folder.path / "environment.json",
        environment(sorted({type(each) for each in specs_in(experiment)}, key=lambda each: each.__name__)),
    )
    folder.log("begun", text=experiment.text(), code=code_version())


def _say_plan(compiled: Compiled, screen: Screen) -> None:
    trainable = sum(each.numel() for each in compiled.pipeline.parameters() if each.requires_grad)
    frozen = sum(each.numel() for each in compiled.pipeline.parameters() if not each.requires_grad)
    screen.say(f"model: {compiled.model!r}")
    screen.say(f"weights: {trainable:,} trainable, {frozen:,} frozen in memory")
    for name, count in compiled.truncated.items():
        if count:
            share = count / max(1, compiled.store.items.num_rows)
            screen.say(
                f"{name}: {count:,} items ({share:.1%}) are longer than {compiled.budgets[name]} tokens and were cut"
            )


@contextlib.contextmanager
def timed(seconds: dict[str, float], what: str) -> Iterator[None]:
    """Adds the time of the block to `seconds[what]`."""
    begun = time.perf_counter()
    try:
        yield
    finally:
        seconds[what] = seconds.get(what, 0.0) + time.perf_counter() - begun
