"""A run: compile, prepare, fit, evaluate, record. And a run that was made, opened again."""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lego.compiler.assemble import Compiled, checked, compile, history_of  # noqa: A004
from lego.data.store import Store, prepare
from lego.errors import DataError, Problem, RunError
from lego.experiment import Experiment
from lego.expression import from_json, to_json
from lego.home import home
from lego.metric.evaluate import COUNTS, measure
from lego.metric.parse import parse_metric
from lego.recommender import Recommender
from lego.runtime import score
from lego.runtime.checkpoint import load_weights
from lego.runtime.device import choose_device
from lego.runtime.fit import Fit, Stopped
from lego.runtime.folder import (
    Folder,
    code_version,
    create,
    environment,
    held,
    identity,
    read_json,
    write_json,
    written_aside,
)
from lego.runtime.progress import Screen
from lego.runtime.script import hash_of, load_module, names_of_record
from lego.runtime.seed import numpy_generator
from lego.scorer import Baseline, Fitted, Popularity, Random
from lego.spec import FrozenMap, Metric, Spec, field_names

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lego.data.store import Impressions

ALWAYS = ("mrr", "mrr_all")
"""Metrics that are reported whatever was asked for, since papers mean the one or the other by MRR."""

SAMPLED_PAIRS = 256
"""Pairs that the speed-up over scoring pair by pair is measured on."""
SAMPLED_IMPRESSIONS = 64
"""Impressions that the speed-up over scoring impression by impression is measured on."""


@attrs.frozen(eq=False, kw_only=True)
class Run:
    """A finished run: its folder, and the numbers in it."""

    path: Path
    record: Mapping[str, Any]

    @property
    def metrics(self) -> dict[str, float]:
        """The test metrics by name."""
        return dict(self.record["test"])

    @property
    def scores(self) -> pa.Table:
        """An Arrow table of the test part: impression, user, item, label, score."""
        return pq.read_table(Folder(self.path).scores / "test.parquet")


@attrs.frozen
class Evaluated:
    """What evaluating one part gave."""

    metrics: dict[str, float]
    counts: dict[str, float]
    seconds: float
    scores: NDArray[np.float32]


class CompiledScorer:
    """A compiled Recommender as a scorer; `fit` is `lego.runtime.fit.Fit`, which wants a run folder."""

    def __init__(self, compiled: Compiled, *, cache: bool = True, screen: Screen | None = None) -> None:
        self.compiled = compiled
        self.cache = cache
        self.screen = screen or Screen()

    def fit(self, data: Store) -> None:
        """Refused: a Recommender is fitted in a run folder."""
        raise RunError(f"Fit a Recommender with Experiment(…).run(), not on {data.path} alone.")

    def score(self, impressions: Impressions) -> NDArray[np.float32]:
        """One score per candidate, in flat order."""
        pipeline, users = self.compiled.pipeline, self.compiled.store.users
        pipeline.eval()
        recent = impressions.recent(self.compiled.history)
        how = score.cached if self.cache else score.naive
        with self.screen.bar("scoring", len(impressions.candidates.values), "candidate") as bar:
            return how(pipeline, recent, users, bar.advance)


def metrics_of(experiment: Experiment) -> list[Metric]:
    """The metrics asked for, the monitored one, and both MRRs; each once."""
    asked = [
        each if isinstance(each, Metric) else parse_metric(each) for each in experiment.evaluation.metrics
    ]
    asked += [parse_metric(name) for name in (experiment.training.monitor, *ALWAYS)]
    return list({metric.name: metric for metric in asked}.values())


def evaluate_scores(
    experiment: Experiment, impressions: Impressions, scores: NDArray[Any], seconds: float
) -> Evaluated:
    """Scores of a part in the experiment's metrics, by its protocol."""
    found = measure(
        metrics_of(experiment),
        scores,
        impressions.labels,
        offsets=impressions.candidates.offsets,
        ties=experiment.evaluation.ties,
    )
    counts = {name: found.pop(name) for name in COUNTS}
    return Evaluated(found, counts, seconds, np.asarray(scores, np.float32))


def evaluate_part(experiment: Experiment, scorer: Fitted, impressions: Impressions) -> Evaluated:
    """A part, scored and measured; the time is that of both."""
    if not len(impressions.impression):
        raise DataError("The part has no impressions, so there is nothing to evaluate.")
    begun = time.perf_counter()
    scores = scorer.score(impressions)
    evaluated = evaluate_scores(experiment, impressions, scores, 0.0)
    return attrs.evolve(evaluated, seconds=time.perf_counter() - begun)


def protocol_of(experiment: Experiment) -> str:
    """The named protocol; the data set's own unless the experiment says otherwise."""
    name = experiment.evaluation.protocol or experiment.data.protocol
    # A protocol names its tie rule too: with another one it is another protocol, and says so.
    return name if experiment.evaluation.ties == "average" else f"{name}, ties {experiment.evaluation.ties}"


def run_experiment(
    experiment: Experiment,
    *,
    name: str | None = None,
    out: str | Path = "runs",
    script: Path | None = None,
    device: str = "auto",
    resume: bool = False,
    cache: bool = True,
    screen: Screen | None = None,
) -> Run:
    """Checks, prepares, fits, tests and records. Raises before any work where something can be known to be wrong."""
    screen = screen or Screen()
    experiment = experiment.rebased(Path.cwd())
    checked(experiment)
    seconds: dict[str, float] = {}
    with timed(seconds, "prepare"):
        store = prepare(experiment.data, home() / "data", progress=screen.progress)
    _require_parts(experiment, store)
    record = to_json(experiment)
    folder = create(
        Path(out),
        name or (script.stem if script else "run"),
        identity(record, store.fingerprint),
        resume=resume,
    )
    with held(folder):
        screen.say(f"run folder: {folder.path}")
        _record(folder, experiment, record, store, script)
        try:
            return _run_in(
                folder, experiment, store, choose_device(device), seconds, screen, cache=cache, resume=resume
            )
        except Stopped:
            folder.log("stopped")
            raise
        except Exception as error:
            folder.log("failed", error=f"{type(error).__name__}: {error}")
            raise


def _require_parts(experiment: Experiment, store: Store) -> None:
    """What is measured must be there, which is better known before the training than behind it."""
    trained = isinstance(experiment.model, Recommender) and experiment.training.epochs > 0
    wanted = {"train": trained, "dev": trained, "test": True}
    what, fix = "the part has no impressions", "give it a share of the data: see the options of the source"
    empty = [part for part, needed in wanted.items() if needed and not len(store.part(part))]
    if empty:
        raise DataError([Problem(f"{store.path.name}, {part}", what, fix) for part in empty])


def _run_in(
    folder: Folder,
    experiment: Experiment,
    store: Store,
    device: str,
    seconds: dict[str, float],
    screen: Screen,
    *,
    cache: bool,
    resume: bool,
) -> Run:
    compiled: Compiled | None = None
    fitted: dict[str, Any] = {}
    scorer: Fitted
    if isinstance(experiment.model, Recommender):
        with timed(seconds, "compile"):
            compiled = compile(experiment, store=store, device=device, progress=screen.progress)
        _say_plan(compiled, screen)
        if compiled.encoder is not None:
            compiled.encoder.save(folder.path / "tokens")
        scorer = CompiledScorer(compiled, cache=cache, screen=screen)
        dev = store.part("dev")
        with timed(seconds, "fit"):
            measured = Fit(
                compiled=compiled,
                folder=folder,
                screen=screen,
                measure=lambda: evaluate_part(experiment, CompiledScorer(compiled), dev).metrics,
            ).run(resume=resume)
        fitted = {"epochs": measured.epoch, "best_epoch": measured.best_epoch, "dev": measured.best}
    else:
        scorer = _baseline(experiment.model)
        with timed(seconds, "fit"):
            scorer.fit(store)
    record = evaluation_record(
        folder.path, experiment, store, scorer, "test", compiled, seconds, cache=cache, own=True
    )
    write_json(folder.path / "metrics.json", {**record, "fit": fitted})
    folder.log(
        "finished", **{key: record[key] for key in ("protocol", "test", "groups", "seconds", "speedup")}
    )
    return Run(path=folder.path, record=record)


def _baseline(model: object) -> Fitted:
    if not isinstance(model, Baseline):
        raise RunError(f"{model!r} is neither a Recommender nor a baseline: see `lego catalog scorer`.")
    return model.fitted()


def evaluation_record(
    path: Path,
    experiment: Experiment,
    store: Store,
    scorer: Fitted,
    part: str,
    compiled: Compiled | None,
    seconds: dict[str, float],
    *,
    cache: bool,
    own: bool = False,
) -> dict[str, Any]:
    """Scores a part, keeps the scores, and says all that the numbers need to be read: protocol, groups, ties, time, baselines."""
    impressions = store.part(part)
    evaluated = evaluate_part(experiment, scorer, impressions)
    folder = Folder(path)
    kept = folder.scores / f"{part}.parquet"
    # The run's own scores are those of its final weights; looking again adds other parts, once the run is over.
    if own or (folder.finished and not kept.exists()):
        write_scores(kept, store, impressions, evaluated.scores)
    seconds["evaluate"] = evaluated.seconds
    baselines = {}
    for name, baseline in (("random", Random()), ("popularity", Popularity())):
        other = baseline.fitted()
        other.fit(store)
        baselines[name] = evaluate_part(experiment, other, impressions).metrics
    faster = speedups(compiled, impressions, evaluated.seconds) if compiled is not None and cache else {}
    empty = int((impressions.stop <= impressions.start).sum())
    return {
        "run": str(path),
        "protocol": protocol_of(experiment),
        "part": part,
        "test": evaluated.metrics,
        "groups": int(evaluated.counts["groups"]),
        "counts": {**evaluated.counts, "without_history": empty},
        "ties": experiment.evaluation.ties,
        "seconds": {key: round(value, 3) for key, value in seconds.items()},
        "speedup": faster.get("pair_by_pair"),
        "speedups": faster,
        "baselines": baselines,
    }


def speedups(compiled: Compiled, impressions: Impressions, seconds: float) -> dict[str, float]:
    """How many times longer the same part would take without caches: measured on a seeded sample, and scaled to the whole."""
    users, pipeline = compiled.store.users, compiled.pipeline
    recent = impressions.recent(compiled.history)
    generator = numpy_generator(compiled.experiment.training.seed, "speed-up")
    pairs_there, count = len(recent.candidates.values), len(recent.impression)
    pairs = np.sort(generator.choice(pairs_there, min(SAMPLED_PAIRS, pairs_there), replace=False))
    chosen = np.sort(generator.choice(count, min(SAMPLED_IMPRESSIONS, count), replace=False))
    begun = time.perf_counter()
    score.pairwise(pipeline, recent, users, pairs)
    by_pair = (time.perf_counter() - begun) / len(pairs) * pairs_there
    sample = recent.take(chosen)
    begun = time.perf_counter()
    score.naive(pipeline, sample, users)
    sampled_pairs = max(1, len(sample.candidates.values))
    by_impression = (time.perf_counter() - begun) / sampled_pairs * pairs_there
    return {
        "pair_by_pair": round(by_pair / seconds, 2),
        "impression_by_impression": round(by_impression / seconds, 2),
        "sampled_pairs": len(pairs),
        "sampled_impressions": len(chosen),
    }


def write_scores(path: Path, store: Store, impressions: Impressions, scores: NDArray[np.float32]) -> None:
    """impression, user, item, label, score: what any other tool can read."""
    counts = impressions.candidates.lengths
    table = pa.table(
        {
            "impression": np.repeat(impressions.impression, counts),
            "user": store.users.user_ids.take(pa.array(np.repeat(impressions.user, counts))),
            "item": store.items.column("item_id").take(pa.array(impressions.candidates.values - 1)),
            "label": impressions.labels.astype(np.int8),
            "score": scores,
        }
    )
    with written_aside(path) as aside:
        pq.write_table(table, aside, compression="zstd")


def _record(folder: Folder, experiment: Experiment, record: Any, store: Store, script: Path | None) -> None:
    """What was asked for, on what, where: written before any work."""
    kept: dict[str, Any] = {
        "text": experiment.text(),
        "experiment": record,
        "data": {"fingerprint": store.fingerprint},
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
        environment(sorted(_classes(experiment), key=lambda each: each.__name__)),
    )
    folder.log("begun", text=experiment.text(), code=code_version())


def _classes(value: object) -> set[type]:
    """Every spec class in a value."""
    if isinstance(value, tuple):
        return {cls for each in value for cls in _classes(each)}
    if isinstance(value, FrozenMap):
        return {cls for each in value.values() for cls in _classes(each)}
    if not isinstance(value, Spec):
        return set()
    inner = (getattr(value, name) for name in field_names(type(value)))
    return {type(value), *(cls for each in inner for cls in _classes(each))}


def _say_plan(compiled: Compiled, screen: Screen) -> None:
    trainable = sum(each.numel() for each in compiled.pipeline.parameters() if each.requires_grad)
    frozen = sum(each.numel() for each in compiled.pipeline.parameters() if not each.requires_grad)
    screen.say(f"model: {compiled.model!r}")
    screen.say(f"weights: {trainable:,} trainable, {frozen:,} frozen in memory")
    for name, count in (compiled.tokens.truncated if compiled.tokens else {}).items():
        if count:
            share = count / max(1, compiled.store.items.num_rows)
            screen.say(
                f"{name}: {count:,} items ({share:.1%}) are longer than {compiled.reads[name]} tokens and were cut"
            )


@contextlib.contextmanager
def timed(seconds: dict[str, float], what: str) -> Iterator[None]:
    """Adds the time of the block to `seconds[what]`."""
    begun = time.perf_counter()
    try:
        yield
    finally:
        seconds[what] = seconds.get(what, 0.0) + time.perf_counter() - begun


# --- a run that was made ------------------------------------------------------------------------------------------------------


@attrs.frozen(eq=False, kw_only=True)
class Loaded:
    """A run opened again: its experiment, its data, and the model with the kept weights."""

    path: Path
    experiment: Experiment
    store: Store
    scorer: Fitted
    compiled: Compiled | None

    def evaluate(self, part: str = "test", *, cache: bool = True) -> dict[str, Any]:
        """The same numbers as the run's own, to the last digit."""
        if isinstance(self.scorer, CompiledScorer):
            self.scorer.cache = cache
        seconds: dict[str, float] = {}
        return evaluation_record(
            self.path, self.experiment, self.store, self.scorer, part, self.compiled, seconds, cache=cache
        )


def load(path: str | Path, *, device: str = "auto", screen: Screen | None = None) -> Loaded:
    """Opens a run folder. RunError where it is not one, where its script has changed, or its data has."""
    folder = Folder(Path(path))
    if not folder.path.is_dir():
        raise RunError(f"There is no run folder {path}.")
    kept = read_json(folder.path / "experiment.json")
    if not isinstance(kept, dict) or not {"experiment", "data"} <= kept.keys():
        raise RunError(
            f"{folder.path / 'experiment.json'} is not the record of a run: it lacks the experiment."
        )
    experiment = from_json(
        kept["experiment"], names_of_record(_script_of(folder, kept), _script_folder(kept))
    )
    if not isinstance(experiment, Experiment):
        raise RunError(f"{folder.path / 'experiment.json'} holds no experiment.")
    screen = screen or Screen()
    store = prepare(experiment.data, home() / "data", progress=screen.progress)
    if store.fingerprint != kept["data"]["fingerprint"]:
        raise RunError(
            f"The data of {folder.path} has changed since: it was {kept['data']['fingerprint'][:12]}, it is "
            f"{store.fingerprint[:12]} now. Put the same raw files back, or run the experiment again."
        )
    if not isinstance(experiment.model, Recommender):
        scorer = _baseline(experiment.model)
        scorer.fit(store)
        return Loaded(path=folder.path, experiment=experiment, store=store, scorer=scorer, compiled=None)
    tokenizer = experiment.model.tokenizer
    encoder = None if tokenizer is None else tokenizer.load(folder.path / "tokens")
    compiled = compile(
        experiment, store=store, encoder=encoder, device=choose_device(device), progress=screen.progress
    )
    load_weights(folder.checkpoint / "model.safetensors", compiled.pipeline)
    compiled.pipeline.eval()
    scorer = CompiledScorer(compiled, screen=screen)
    return Loaded(path=folder.path, experiment=experiment, store=store, scorer=scorer, compiled=compiled)


def _script_of(folder: Folder, kept: Mapping[str, Any]) -> Any:
    """The script as it was, for classes that it defines; refused where the copy is not the one that ran."""
    if "script" not in kept:
        return None
    copy = folder.path / "script.py"
    if not copy.exists() or hash_of(copy) != kept["script"]["sha256"]:
        raise RunError(
            f"{copy} is not the script that made this run (its hash differs). Put the original back."
        )
    if '"lego_script_' not in str(kept["experiment"]).replace("'", '"'):
        return None
    return load_module(copy, Path(kept["script"]["path"]).parent)


def _script_folder(kept: Mapping[str, Any]) -> Path | None:
    return Path(kept["script"]["path"]).parent if "script" in kept else None


__all__ = [
    "Evaluated",
    "Loaded",
    "Run",
    "evaluate_part",
    "evaluate_scores",
    "history_of",
    "load",
    "run_experiment",
]
