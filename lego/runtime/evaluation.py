"""Scores of a part, measured, compared with baselines, and written down."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import attrs
import numpy as np
import pyarrow.compute as pc

from lego.compiler.assemble import Compiled, history_of
from lego.data.store import Store
from lego.data.table import flat
from lego.errors import DataError, Problem, RunError
from lego.experiment import Experiment, Training
from lego.metric.parse import parse_metric
from lego.metric.protocol import Reading, Rows, protocol
from lego.recommender import Recommender
from lego.runtime import score
from lego.runtime.folder import Folder
from lego.runtime.profile import stage
from lego.runtime.progress import Screen
from lego.runtime.scored import scores_table, write_table
from lego.scorer.base import Baseline, Fitted
from lego.scorer.popularity import Popularity
from lego.scorer.random import Random
from lego.seed import numpy_generator
from lego.spec import Metric, field_names
from lego.task.matching import Matching

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lego.data.store import Impressions, Users

BASELINES: Final[Mapping[str, Baseline]] = {"random": Random(), "popularity": Popularity()}
"""What stands beside every result."""

ALWAYS = ("mrr", "mrr_all")
"""Metrics that are reported whatever was asked for, since papers mean the one or the other by MRR."""

SAMPLED_PAIRS = 256
"""Pairs that the speed-up over scoring pair by pair is measured on."""
SAMPLED_IMPRESSIONS = 64
"""Impressions that the speed-up over scoring impression by impression is measured on."""


@attrs.frozen
class Evaluated:
    """What evaluating one part gave."""

    metrics: dict[str, float | None]
    """None where a metric does not apply to such scores, or no group defines it."""
    counts: dict[str, float]
    seconds: float
    scores: NDArray[np.float32]
    reading: Reading


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
    experiment: Experiment,
    impressions: Impressions,
    scores: NDArray[Any],
    seconds: float,
    *,
    logits: bool = False,
    users: Users | None = None,
) -> Evaluated:
    """Scores of a part in the experiment's metrics, by its protocol. `logits` says whether they are such of a click.

    Where the protocol groups by user, rows of `users` that share an id are one.
    """
    wanted = experiment.evaluation
    read = protocol(wanted.protocol or experiment.data.protocol).read(
        metrics_of(experiment),
        rows_of(impressions, scores, users),
        ties=wanted.ties,
        logits=logits,
        whole=False,
    )
    return Evaluated(read.values, read.counts, seconds, np.asarray(scores, np.float32), read)


def rows_of(impressions: Impressions, scores: NDArray[Any], users: Users | None = None) -> Rows:
    """Scored candidates of a part, as protocols read them."""
    counts = impressions.candidates.lengths
    user = impressions.user.astype(np.int64) if users is None else users_of(impressions, users)
    return Rows(
        scores=np.asarray(scores),
        labels=impressions.labels,
        impression=np.repeat(np.arange(len(impressions)), counts),
        user=np.repeat(user, counts),
        history=np.repeat(np.maximum(impressions.stop - impressions.start, 0), counts),
        labeled=impressions.labeled,
    )


def users_of(impressions: Impressions, users: Users) -> NDArray[np.int64]:
    """(impressions,): a whole number for each user id, by the first of its rows; rows of users that share an id are one."""
    return flat(pc.index_in(users.user_ids, users.user_ids)).astype(np.int64)[impressions.user]


def evaluate_part(
    experiment: Experiment, scorer: Fitted, impressions: Impressions, users: Users | None = None
) -> Evaluated:
    """A part, scored and measured; the time is that of both."""
    if not len(impressions.impression):
        raise DataError("The part has no impressions, so there is nothing to evaluate.")
    begun = time.perf_counter()
    scores = scorer.score(impressions.recent(history_of(experiment)))
    logits = isinstance(scorer, CompiledScorer) and experiment.task.logits
    with stage("metrics"):
        evaluated = evaluate_scores(experiment, impressions, scores, 0.0, logits=logits, users=users)
    return attrs.evolve(evaluated, seconds=time.perf_counter() - begun)


def undefined_in(experiment: Experiment, impressions: Impressions, users: Users) -> dict[str, str]:
    """Metrics that the groups of a part do not define, whatever the scores, and why; as where all are of one class.

    DataError where the protocol leaves out all impressions.
    """
    # Sure of every other candidate: a metric that asks for a threshold, or refuses scores that are all alike, has what it needs.
    some = np.where(np.arange(len(impressions.labels)) % 2, 20, -20).astype(np.float32)
    logits = isinstance(experiment.model, Recommender) and experiment.task.logits
    read = evaluate_scores(experiment, impressions, some, 0.0, logits=logits, users=users).reading
    return read.why_undefined


def protocol_of(experiment: Experiment) -> str:
    """The named protocol; the data set's own unless the experiment says otherwise."""
    name = experiment.evaluation.protocol or experiment.data.protocol
    # A protocol names its tie rule too: with another one it is another protocol, and says so.
    ties = experiment.evaluation.ties
    return name if ties in (None, protocol(name).ties) else f"{name}, ties {ties}"


def fresh(experiment: Experiment, device: str = "cpu", screen: Screen | None = None) -> Fitted:
    """The scorer of a baseline, not fitted yet; RunError where the experiment's model is none."""
    model = experiment.model
    if not isinstance(model, Baseline):
        raise RunError(f"{model!r} is neither a Recommender nor a baseline: see `lego catalog scorer`.")
    made = model.seeded(experiment.training.seed).fitted()
    use = getattr(made, "use", None)
    if use is not None:
        use(device, (screen or Screen()).progress)
    return made


def ignored(experiment: Experiment) -> str | None:
    """What a baseline does not read of an experiment, in a sentence; None where nothing was asked of it in vain."""
    model = experiment.model
    if not isinstance(model, Baseline):
        return None
    asked, usual = experiment.training, Training()
    names = [name for name in field_names(Training) if name not in ("seed", "monitor")]
    told = [
        f"training.{name}={getattr(asked, name)!r}"
        for name in names
        if getattr(asked, name) != getattr(usual, name)
    ]
    if asked.seed != usual.seed and model.seeded(asked.seed) == model:
        told.append(f"training.seed={asked.seed}")
    if experiment.task != Matching():
        told.append(f"task={experiment.task!r}")
    return f"{model!r} is not trained: {', '.join(told)} change nothing." if told else None


def misread(experiment: Experiment) -> list[Problem]:
    """A monitored metric that does not apply to the scores of the task."""
    metric = parse_metric(experiment.training.monitor)
    if not isinstance(experiment.model, Recommender) or experiment.task.logits or not metric.logits:
        return []
    what = f"it reads scores as logits of a click, and {experiment.task!r} makes none"
    fix = "monitor another metric, such as gauc, or train with task=Ranking()"
    return [Problem(f"training.monitor={experiment.training.monitor!r}", what, fix)]


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
    with stage("test"):
        evaluated = evaluate_part(experiment, scorer, impressions, store.users)
    folder = Folder(path)
    kept = folder.scores / f"{part}.parquet"
    # The run's own scores are those of its final weights; looking again adds other parts, once the run is over.
    if own or (folder.finished and not kept.exists()):
        try:
            write_table(kept, scores_table(store, impressions, evaluated.scores))
        except RunError:
            if own:
                raise  # Looking again needs no writing: a run folder may be read-only.
    seconds["evaluate"] = evaluated.seconds
    baselines = {}
    with stage("beside"):
        for name, baseline in BASELINES.items():
            other = baseline.fitted()
            other.fit(store)
            baselines[name] = evaluate_part(experiment, other, impressions, store.users).metrics
        faster = speedups(compiled, impressions, evaluated.seconds) if compiled is not None and cache else {}
    empty = int((impressions.stop <= impressions.start).sum())
    return {
        "run": str(path),
        "protocol": protocol_of(experiment),
        "part": part,
        "test": evaluated.metrics,
        "not_applicable": [name for name, value in evaluated.metrics.items() if value is None],
        "groups": int(evaluated.counts["groups"]),
        "counts": {**evaluated.counts, "without_history": empty},
        "ties": experiment.evaluation.ties or evaluated.reading.protocol.ties,
        "reading": evaluated.reading.record,
        "seconds": {key: round(value, 3) for key, value in seconds.items()},
        "speedup": faster.get("pair_by_pair"),
        "speedups": faster,
        "baselines": baselines,
    }


def groups_told(record: Mapping[str, Any]) -> str:
    """What the numbers of a run are means over, as in `1,234 impressions`; users where its protocol groups by them."""
    reading = record.get("reading", {})
    return f"{record['groups']:,} {reading.get('grouping', 'impression')}s"


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
