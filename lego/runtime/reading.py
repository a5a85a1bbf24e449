"""One set of scores in every dialect: of a run, by the scores that it kept, or of a file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from lego.data.scores import read_scores
from lego.errors import DataError
from lego.experiment import Evaluation, Experiment
from lego.metric.parse import parse_metric
from lego.metric.protocol import PROTOCOLS, Protocol, Reading, Rows, headline, protocol
from lego.metric.ranking import Ties
from lego.recommender import Recommender
from lego.runtime.evaluation import BASELINES, metrics_of, rows_of
from lego.runtime.load import load, opened
from lego.runtime.progress import Screen
from lego.runtime.scored import kept_scores, rows_of_table
from lego.spec import Metric

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from lego.data.store import Impressions, Store

ALL = "all"
"""The name that asks for every protocol."""


@attrs.frozen(eq=False, kw_only=True)
class Scored:
    """A part of a run's data, and the scores of its candidates."""

    path: Path
    experiment: Experiment
    store: Store
    part: str
    impressions: Impressions
    scores: NDArray[np.float32]
    reranked: bool = False
    """Whether the scores tell an order that a re-ranker gave."""

    @property
    def logits(self) -> bool:
        """Whether a score is the logit of a click."""
        return (
            not self.reranked
            and isinstance(self.experiment.model, Recommender)
            and self.experiment.task.logits
        )

    @property
    def rows(self) -> Rows:
        """As protocols read them."""
        return rows_of(self.impressions, self.scores, self.store.users)

    def read(self, name: str = "", metrics: Iterable[str | Metric] = ()) -> Readings:
        """In the run's own protocol and tie rule, or in the protocol of a name, or in all; in the run's metrics and these."""
        wanted = self.experiment.evaluation
        every = (*metrics_of(self.experiment), *map(_made, metrics))
        own = name or wanted.protocol or self.experiment.data.protocol
        ties = None if name else wanted.ties
        return readings(own, every, self.rows, logits=self.logits, ties=ties, measured=False)


def beside(found: Scored) -> dict[str, Scored]:
    """The same part as the baselines score it, by their names."""
    made = {}
    for name, baseline in BASELINES.items():
        scorer = baseline.fitted()
        scorer.fit(found.store)
        made[name] = attrs.evolve(
            found,
            experiment=found.experiment.set(f"model={baseline!r}"),
            scores=scorer.score(found.impressions),
            reranked=False,
        )
    return made


@attrs.frozen(eq=False, kw_only=True)
class Readings:
    """The same scores by protocol."""

    found: Mapping[str, Reading]
    refused: Mapping[str, str]
    """Protocols that cannot read such scores, and why."""

    @property
    def record(self) -> dict[str, Any]:
        """protocols, called (the same by the names that each source prints), rules, refused; in plain JSON types."""
        return {
            "protocols": {name: each.values for name, each in self.found.items()},
            "called": {name: each.called for name, each in self.found.items()},
            "rules": {name: each.record for name, each in self.found.items()},
            "refused": dict(self.refused),
        }


def scored(
    path: str | Path,
    part: str = "test",
    *,
    device: str = "auto",
    cache: bool = True,
    screen: Screen | None = None,
) -> Scored:
    """The scores of a part: those that the run kept, where it did; else the part is scored."""
    run = opened(path, screen)
    impressions = run.store.part(part)
    if not len(impressions):
        raise DataError(
            f"The part {part} of {run.store.path} has no impressions, so there is nothing to evaluate."
        )
    scores = kept_scores(run.folder.scores / f"{part}.parquet", impressions)
    if scores is None:
        scores = load(path, device=device, screen=screen).score(part, cache=cache)
    return Scored(
        path=run.folder.path,
        experiment=run.experiment,
        store=run.store,
        part=part,
        impressions=impressions,
        scores=scores,
    )


def read_file(
    path: str | Path, name: str = ALL, metrics: Iterable[str | Metric] = (), *, logits: bool = False
) -> Readings:
    """A file of scores (see `read_scores`) in one protocol or in all; in the usual metrics unless some are named."""
    asked = tuple(metrics) or Evaluation().metrics
    made = [_made(each) for each in asked]
    return readings(name, made, rows_of_table(read_scores(path)), logits=logits)


def _made(metric: str | Metric) -> Metric:
    return metric if isinstance(metric, Metric) else parse_metric(metric)


def readings(
    name: str,
    metrics: Iterable[Metric],
    rows: Rows,
    *,
    logits: bool,
    ties: Ties | None = None,
    measured: bool = True,
) -> Readings:
    """Rows in the protocol of a name, or in all; what the sources of the protocols print is always among the metrics.

    A metric that is defined for no group is None, counted over 0 groups. `ties` takes the place of the protocol's rule.
    DataError where the one protocol cannot read them, or, if they must be `measured`, no metric is defined; where all are asked
    for, `refused` says so.
    """

    def read(rule: Protocol, ties: Ties | None) -> Reading:
        made = rule.read(every, rows, ties=ties, logits=logits, whole=False)
        if measured and made.undefined and all(value is None for value in made.values.values()):
            raise DataError(list(made.undefined.values())[:1])
        return made

    every = list({metric.name: metric for metric in (*metrics, *headline())}.values())
    if name != ALL:
        return Readings(found={name: read(protocol(name), ties)}, refused={})
    found, refused = {}, {}
    for each in PROTOCOLS.values():
        try:
            found[each.name] = read(each, None)
        except DataError as problem:
            refused[each.name] = "; ".join(f"{each.where}: {each.what}" for each in problem.problems) or str(
                problem
            )
    if not found:
        raise DataError("; ".join(dict.fromkeys(refused.values())))
    return Readings(found=found, refused=refused)
