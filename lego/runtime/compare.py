"""Runs side by side: those of one expression together, mean and spread over seeds, and paired tests on the same impressions."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from lego.errors import LegoError, Problem, RunError, SpecError
from lego.experiment import Experiment
from lego.metric.group import GroupMetric
from lego.metric.parse import parse_metric
from lego.metric.protocol import Rows, protocol
from lego.metric.ranking import Ranking
from lego.metric.significance import TESTS, WITHOUT_SCIPY, Test, available, holm, paired
from lego.report.comparison import Compared, Model, Pair
from lego.runtime.beyond import has_generated
from lego.runtime.folder import Folder, read_json
from lego.runtime.load import opened, recorded
from lego.runtime.reading import scored
from lego.runtime.repeat import spread
from lego.runtime.scored import kept_table, rows_of_table
from lego.seed import numpy_generator

TESTED = ("gauc", "mrr", "mrr_all", "ndcg@5", "ndcg@10")
"""Metrics that are tested unless others are named."""


@attrs.frozen(eq=False, kw_only=True)
class _One:
    """A run, as its folder says it is."""

    folder: Folder
    experiment: Experiment
    fingerprint: str
    base: str
    record: Mapping[str, Any]

    @property
    def text(self) -> str:
        """The expression without what differs between seeds."""
        return self.experiment.set("training.seed=0").text()

    @property
    def conditions(self) -> dict[str, Any]:
        """What must be the same in runs that are compared."""
        return {
            "protocol": self.record["protocol"],
            "data fingerprint": self.base,
            "part": self.record["part"],
            "number of groups": self.record["groups"],
        }

    @property
    def grouping(self) -> str:
        """What a group is."""
        return str(self.record.get("reading", {}).get("grouping", "impression"))


def compare(
    paths: Iterable[str | Path],
    *,
    metrics: Sequence[str] = (),
    test: Test = "permutation",
    resamples: int = 9999,
    confidence: float = 0.95,
    seed: int = 0,
    augmented: bool = False,
) -> Compared:
    """Finished runs, grouped by expression. Runs on data that only adds to other data are compared with runs on that.

    Every two models are tested in each of `metrics`, impression by impression (or user by user, as the protocol groups): the
    values of an impression are averaged over a model's seeds, and the differences of two models tested. The p-values of all
    tests together are corrected by Holm's rule. A test speaks of impressions like these, for the seeds that were run; the spread
    speaks of seeds. `augmented` reads only impressions whose history holds a generated item in the data of one of the runs;
    the tested metrics are then all that is shown.

    RunError where a folder is no finished run, or where protocol, data, part or candidates of two runs differ, with what
    differs. SpecError for unknown metrics and for those that are no mean over groups, which have no pairs. Without scipy there
    are no tests, and the result says so.
    """
    if test not in TESTS:
        raise SpecError.wrong_value("compare", "test", test, "one of " + ", ".join(map(repr, TESTS)))
    if resamples < 1 or not 0 < confidence < 1:
        raise SpecError("compare: resamples must be at least 1, and confidence between 0 and 1.")
    every = [_opened(Path(path)) for path in dict.fromkeys(map(str, paths))]
    if not every:
        raise SpecError("compare: name at least one run folder.")
    _refuse_unlike(every)
    chosen = list(_tested(metrics, every))
    groups: dict[str, list[_One]] = {}
    for one in every:
        groups.setdefault(one.text, []).append(one)
    names = dict(zip(groups, _letters(), strict=False))
    first = every[0]
    notes = []
    pairs: list[Pair] = []
    kept = _augmented(every) if augmented else None
    testing = len(groups) > 1 and available()
    values = _values(groups, chosen, kept) if testing or augmented else {}
    models = [
        _model(names[text], text, runs, values.get(text) if augmented else None)
        for text, runs in groups.items()
    ]
    if len(groups) > 1 and not available():
        notes.append(f"{WITHOUT_SCIPY}.")
    elif len(groups) > 1:
        pairs, untested = _tests(
            values, names, chosen, test=test, resamples=resamples, confidence=confidence, seed=seed
        )
        notes += untested
    if len({one.fingerprint for one in every}) > 1:
        notes.append(
            "The runs read different additions to the same data: impressions and candidates are the same."
        )
    if kept is not None:
        notes.append("Only impressions whose history holds a generated item in the data of one of the runs.")
    if any(len({one.experiment.training.seed for one in runs}) < len(runs) for runs in groups.values()):
        notes.append("Some runs of one model have the same seed: their spread is not one over seeds.")
    return Compared(
        models=models,
        tests=pairs,
        protocol=first.record["protocol"],
        part=first.record["part"],
        data=first.fingerprint,
        groups=first.record["groups"] if kept is None else _size(values),
        grouping=first.grouping,
        test=test,
        resamples=resamples,
        confidence=confidence,
        notes=notes,
    )


def _opened(path: Path) -> _One:
    run = recorded(path)
    if not run.folder.finished:
        raise RunError(f"{path} is not finished: go on with `lego run` and --resume, or leave it out.")
    record = read_json(run.folder.path / "metrics.json")
    return _One(
        folder=run.folder,
        experiment=run.experiment,
        fingerprint=run.kept["data"]["fingerprint"],
        base=run.kept["data"].get("base") or run.kept["data"]["fingerprint"],
        record=record,
    )


def _refuse_unlike(every: Sequence[_One]) -> None:
    """RunError that names each condition in which a run differs from the first."""
    first = every[0]
    problems = []
    for one in every[1:]:
        for name, value in one.conditions.items():
            wanted = first.conditions[name]
            if value != wanted:
                what = f"its {name} is {_short(value)}, and that of {first.folder.path} is {_short(wanted)}"
                fix = "compare runs on the same part of the same data, read by one protocol"
                problems.append(Problem(str(one.folder.path), what, fix))
    if problems:
        lines = "\n".join(map(str, problems))
        error = RunError(f"these runs cannot be compared:\n{lines}")
        error.problems = tuple(problems)
        raise error


def _short(value: object) -> str:
    return value[:12] if isinstance(value, str) and len(value) == 64 else f"{value}"


def _tested(metrics: Sequence[str], every: Sequence[_One]) -> Iterator[GroupMetric]:
    for name in metrics or TESTED:
        metric = parse_metric(name)
        if not isinstance(metric, GroupMetric):
            raise SpecError(
                f"{name} is one number of all rows, so it has no pairs to test: it is shown, and not tested."
            )
        if metrics or all(name in one.record["test"] for one in every):
            yield metric


def _augmented(every: Sequence[_One]) -> NDArray[np.bool_]:
    """Which impressions of the part, in its order, have a generated item in their history in one of the runs' data."""
    part = every[0].record["part"]
    stores = {one.fingerprint: one for one in every}
    found = [
        has_generated(store, store.part(part))
        for store in (opened(one.folder.path).store for one in stores.values())
    ]
    kept = np.logical_or.reduce(found)
    if not kept.any():
        raise SpecError(
            "compare: no history of these impressions holds a generated item, in the data of none of the runs. "
            "Name a run on data with Imagine(…), or leave --augmented away."
        )
    return kept


def _model(name: str, text: str, runs: Sequence[_One], values: _OfRuns | None) -> Model:
    """`values`: those of some impressions alone; else what was measured in all."""
    measured: Sequence[Mapping[str, float]] = (
        [one.record["test"] for one in runs]
        if values is None
        else [{metric: float(np.mean(found)) for metric, found in each.items()} for each in values]
    )
    found = spread(measured)
    return Model(
        name=name,
        text=text,
        runs=[str(one.folder.path) for one in runs],
        seeds=[one.experiment.training.seed for one in runs],
        mean={metric: mean for metric, (mean, _) in found.items() if mean is not None},
        std={metric: std for metric, (mean, std) in found.items() if mean is not None},
    )


def _tests(
    groups: Mapping[str, _OfRuns],
    names: Mapping[str, str],
    metrics: Sequence[GroupMetric],
    *,
    test: Test,
    resamples: int,
    confidence: float,
    seed: int,
) -> tuple[list[Pair], list[str]]:
    """The tests, and in a sentence each which metrics have too few groups for one."""
    values = {
        text: {metric.name: np.mean([found[metric.name] for found in runs], axis=0) for metric in metrics}
        for text, runs in groups.items()
    }
    made = []
    untested: dict[str, str] = {}
    for metric in metrics:
        for one, other in itertools.combinations(groups, 2):
            there = np.isfinite(values[one][metric.name] - values[other][metric.name])
            if there.sum() < 2:
                what = f"two models share {there.sum()} of {len(there):,} groups that define it"
                untested[metric.name] = f"{metric.name} is not tested: {what}, and a test wants two."
                continue
            generator = numpy_generator(seed, f"compare {metric.name} {one} {other}")
            found = paired(
                values[one][metric.name],
                values[other][metric.name],
                generator,
                test=test,
                resamples=resamples,
                confidence=confidence,
            )
            made.append((metric.name, names[one], names[other], found))
    corrected = holm([found.p for *_, found in made])
    pairs = [
        Pair(
            metric=metric,
            first=one,
            second=other,
            difference=found.difference,
            interval=found.interval,
            effect=found.effect,
            p=found.p,
            p_holm=p,
            groups=found.groups,
        )
        for (metric, one, other, found), p in zip(made, corrected, strict=True)
    ]
    return pairs, list(untested.values())


_OfRuns = Sequence[Mapping[str, NDArray[np.float64]]]
"""For each run: metric → the value of each group."""


def _size(values: Mapping[str, _OfRuns]) -> int:
    """How many groups there are."""
    return max(
        (len(each) for runs in values.values() for found in runs for each in found.values()), default=0
    )


def _values(
    groups: Mapping[str, Sequence[_One]], metrics: Sequence[GroupMetric], kept: NDArray[np.bool_] | None
) -> dict[str, _OfRuns]:
    """Expression → the values of its runs. RunError where candidates or labels differ."""
    same: tuple[Path, NDArray[Any], NDArray[Any]] | None = None
    values: dict[str, _OfRuns] = {}
    for text, runs in groups.items():
        of_runs = []
        for one in runs:
            found, impression, label = _per_group(one, metrics, kept)
            if same is None:
                same = (one.folder.path, impression, label)
            elif not (np.array_equal(same[1], impression) and np.array_equal(same[2], label)):
                raise RunError(
                    f"{one.folder.path} and {same[0]} were tested on other candidates or labels, so they cannot be compared."
                )
            of_runs.append(found)
        values[text] = of_runs
    return values


def _per_group(
    one: _One, metrics: Sequence[GroupMetric], kept: NDArray[np.bool_] | None
) -> tuple[dict[str, NDArray[np.float64]], NDArray[Any], NDArray[Any]]:
    rows = _rows(one)
    if kept is not None:
        rows = _cut(rows, kept)
    if not rows.labeled:
        what = f"the labels of its part {one.record['part']} are not known, so there is nothing to compare"
        raise RunError(f"{one.folder.path}: {what}.")
    evaluation = one.experiment.evaluation
    rule = protocol(one.record["protocol"].partition(",")[0])
    found = {}
    for metric in metrics:
        ranking: Ranking = rule.ranking(metric, rows, ties=evaluation.ties)
        found[metric.name] = rule.values(metric, ranking)
    return found, rows.impression, rows.labels


def _rows(one: _One) -> Rows:
    """By the kept scores alone, where that is enough; by the data too where the protocol asks for histories."""
    part = one.record["part"]
    path = one.folder.scores / f"{part}.parquet"
    if not path.exists():
        raise LegoError(
            f"{one.folder.path} keeps no scores of the part {part}. Make them with: lego evaluate {one.folder.path} --part {part}"
        )
    if protocol(one.record["protocol"].partition(",")[0]).drops_empty:
        return scored(one.folder.path, part).rows
    return rows_of_table(kept_table(path))


def _cut(rows: Rows, kept: NDArray[np.bool_]) -> Rows:
    """The rows of some impressions, named by their places in the part."""
    begins = np.flatnonzero(np.diff(rows.impression, prepend=rows.impression[:1] - 1))
    if len(begins) != len(kept):
        raise RunError("the scores of a run are not in the order of its part, so users cannot be told apart.")
    inside = np.repeat(kept, np.diff(begins, append=len(rows.impression)))
    return Rows(
        scores=rows.scores[inside],
        labels=rows.labels[inside],
        impression=rows.impression[inside],
        user=None if rows.user is None else rows.user[inside],
        history=None if rows.history is None else rows.history[inside],
        tested=None if rows.tested is None else rows.tested[inside],
        labeled=rows.labeled,
    )


def _letters() -> Iterator[str]:
    """A, B, …, Z, AA, AB, …"""
    for length in itertools.count(1):
        for letters in itertools.product("ABCDEFGHIJKLMNOPQRSTUVWXYZ", repeat=length):
            yield "".join(letters)
