"""Protocols: how the field reads one and the same scores, each as its source has it.

A protocol says what a group is, how ties are broken, and which impressions are left out. The names of the metrics always mean the
formulas of this package; what a source calls by another name (there are three numbers called MRR) stands in `Protocol.called`.

Only what can be read from scores is here. What a source does before, such as how it splits the data, stands in `notes`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal, NoReturn

import attrs
import numpy as np
from numpy.typing import NDArray

from lego.errors import DataError, Problem, SpecError, did_you_mean
from lego.metric.auc import AUC
from lego.metric.gauc import GAUC
from lego.metric.group import GroupMetric
from lego.metric.lrap import LRAP
from lego.metric.ranking import Ranking, Ties
from lego.spec import Metric

Group = Literal["impression", "user"]

WITHOUT_HISTORY: Final = "the user has no history"
OTHER_HALF: Final = "not of the half that is tested"


@attrs.frozen(eq=False, kw_only=True)
class Rows:
    """Scored candidates, each array (rows,), and the sorts of them that were made."""

    scores: NDArray[Any]
    labels: NDArray[Any]
    impression: NDArray[np.int64]
    """A whole number for each impression."""
    user: NDArray[np.int64] | None = None
    """A whole number for each user; None where they are not known."""
    history: NDArray[np.int64] | None = None
    """How many items the history of the impression has; None where that is not known."""
    tested: NDArray[np.bool_] | None = None
    """Whether the row is of the part that is tested; None where all are, or where that is not known."""
    labeled: bool = True
    """Whether the labels are known; nothing is measured where they are not."""
    _made: dict[Any, Ranking] = attrs.field(factory=dict, init=False, repr=False)

    def ranking(
        self, group: Group, ties: Ties, kept: NDArray[np.bool_] | None, key: object = None
    ) -> Ranking:
        """Sorted by a rule, all rows or those that are kept; made once for each `key`, which says what is kept."""
        name = (group, ties, key)
        if name not in self._made:
            groups = self.impression if group == "impression" else self.user
            assert groups is not None
            rows = slice(None) if kept is None else kept
            self._made[name] = Ranking(self.scores[rows], self.labels[rows], groups[rows], ties=ties)
        return self._made[name]


@attrs.frozen(eq=False, kw_only=True)
class Reading:
    """Scores as one protocol reads them."""

    protocol: Protocol
    rule: Ties
    """The tie rule of the metrics that the protocol has none of their own for."""
    values: dict[str, float | None]
    """By the name of the metric; None where it does not apply to such scores."""
    counted: dict[str, int]
    """How many groups each metric is the mean of; rows, where it is one of all rows."""
    counts: dict[str, float]
    """pairs, groups, left_out, without_positive, tie_rate: see `lego.metric.evaluate.measure`."""
    left_out: dict[str, int]
    """Why → how many impressions."""
    not_applied: tuple[str, ...]
    """Rules of the protocol that the rows do not say enough for."""
    ties: Mapping[str, Ties]
    """The tie rule of each metric."""
    formulas: Mapping[str, str]
    """What each metric is, in words."""
    undefined: Mapping[str, Problem] = attrs.field(factory=dict)
    """Metrics that no group defines, such as GAUC of groups of one class, and what is wrong. Their values are None."""

    @property
    def why_undefined(self) -> dict[str, str]:
        """By the name of the metric, in a sentence."""
        return {name: problem.what for name, problem in self.undefined.items()}

    @property
    def called(self) -> dict[str, float | None]:
        """The values by the names that the source of the protocol prints, of those that were measured."""
        return {
            heading: self.values[name]
            for heading, name in self.protocol.called.items()
            if name in self.values
        }

    @property
    def record(self) -> dict[str, Any]:
        """All that says how the values came about, in plain JSON types."""
        return {
            "protocol": self.protocol.name,
            "source": self.protocol.source,
            "grouping": self.protocol.group,
            "ties": dict(self.ties),
            "formulas": dict(self.formulas),
            "called": dict(self.protocol.called),
            "left_out": self.left_out,
            "one_class": int(self.counts["left_out"]),
            "not_applied": list(self.not_applied),
            "undefined": self.why_undefined,
            "counted": self.counted,
            "notes": list(self.protocol.notes),
        }


@attrs.frozen(eq=False, kw_only=True)
class Protocol:
    """How scores are read."""

    name: str
    source: str
    """Where the rules can be read."""
    group: Group = "impression"
    ties: Ties = "average"
    ties_of: Mapping[str, Ties] = attrs.field(factory=dict)
    """Metrics, by the name before @, whose ties are broken in another way."""
    drops_empty: bool = False
    """Whether impressions of users without history are left out."""
    half: bool = False
    """Whether a part of the impressions is measured that only the data says."""
    without_positive: float | None = None
    """What a group without a positive counts in the metrics that look for one; None leaves it out."""
    squashed: bool = False
    """Whether AUC is taken of float32 sigmoids, once a score is outside [0, 1]."""
    called: Mapping[str, str]
    """The headings of its source → our names."""
    notes: tuple[str, ...] = ()

    def read(
        self,
        metrics: Iterable[Metric],
        rows: Rows,
        *,
        ties: Ties | None = None,
        logits: bool = True,
        whole: bool = True,
    ) -> Reading:
        """The metrics of the rows. `ties` takes the place of the protocol's rule; without `logits` the scores are none.

        DataError where users are not known and the protocol groups by them, where nothing is left, and where a metric is defined
        for no group; unless `whole`, such a metric is None, counted over 0 groups, and `Reading.undefined` says why.
        """
        if self.group == "user" and rows.user is None:
            what = "it groups by user, and the scores have no column user"
            raise DataError(
                [Problem(f"protocol {self.name}", what, "add the column, or choose another protocol")]
            )
        kept, key, left_out, not_applied = self._kept(rows)
        main = rows.ranking(self.group, ties or self.ties, kept, key)
        values: dict[str, float | None] = {}
        counted, rules, formulas = {}, {}, {}
        undefined: dict[str, Problem] = {}
        for metric in metrics:
            formulas[metric.name] = _first_paragraph(metric)
            rule = self._ties(metric, ties)
            rules[metric.name] = rule
            if metric.logits and not logits:
                values[metric.name], counted[metric.name] = None, 0
                continue
            ranking = main if rule == main.ties else rows.ranking(self.group, rule, kept, key)
            try:
                if not rows.labeled:
                    refuse_unlabeled(metric.name)
                values[metric.name], counted[metric.name] = self._value(metric, ranking)
            except DataError as problem:
                if whole:
                    raise
                values[metric.name], counted[metric.name] = None, 0
                undefined[metric.name] = (*problem.problems, Problem(metric.name, str(problem), ""))[0]
        counts = {
            "pairs": main.pairs,
            "groups": main.groups,
            "left_out": main.single_class,
            "without_positive": main.without_positive,
            "tie_rate": main.tie_rate,
        }
        return Reading(
            protocol=self,
            rule=main.ties,
            values=values,
            counted=counted,
            counts=counts,
            left_out=left_out,
            not_applied=not_applied,
            ties=rules,
            formulas=formulas,
            undefined=undefined,
        )

    def ranking(self, metric: Metric, rows: Rows, *, ties: Ties | None = None) -> Ranking:
        """The rows that count, sorted as the metric is measured."""
        kept, key, _, _ = self._kept(rows)
        return rows.ranking(self.group, self._ties(metric, ties), kept, key)

    def _ties(self, metric: Metric, ties: Ties | None) -> Ties:
        return ties or self.ties_of.get(metric.name.partition("@")[0], self.ties)

    def values(self, metric: GroupMetric, ranking: Ranking) -> NDArray[np.float64]:
        """(groups,): the metric of each group as this protocol counts it; NaN where it is left out."""
        values = metric.values(ranking)
        if self.without_positive is not None and not isinstance(metric, GAUC):
            values = np.where(ranking.positives == 0, self.without_positive, values)
        return values

    def _value(self, metric: Metric, ranking: Ranking) -> tuple[float, int]:
        if isinstance(metric, GroupMetric):
            values = self.values(metric, ranking)
            known = int(np.count_nonzero(~np.isnan(values)))
            return metric.mean(values, ranking), known
        if self.squashed and isinstance(metric, AUC):
            return metric.measure(_squashed(ranking)), ranking.pairs
        return metric.measure(ranking), ranking.pairs

    def _kept(
        self, rows: Rows
    ) -> tuple[NDArray[np.bool_] | None, tuple[str, ...], dict[str, int], tuple[str, ...]]:
        """Which rows count, the rules that said so, how many impressions each left out, and the rules that could not."""
        kept: NDArray[np.bool_] | None = None
        key: list[str] = []
        left_out, not_applied = {}, []
        rules = (
            (
                self.drops_empty,
                WITHOUT_HISTORY,
                None if rows.history is None else rows.history > 0,
                "history",
            ),
            (self.half, OTHER_HALF, rows.tested, "part"),
        )
        for wanted, why, mask, column in rules:
            if not wanted:
                continue
            if mask is None:
                not_applied.append(f"impressions are left out where {why}: there is no column {column}")
                continue
            left_out[why] = len(np.unique(rows.impression[~mask]))
            key.append(why)
            kept = mask if kept is None else kept & mask
        if kept is not None and not kept.any():
            what = f"nothing is left: {', '.join(f'{count} impressions ({why})' for why, count in left_out.items())}"
            raise DataError([Problem(f"protocol {self.name}", what, "choose another protocol, such as mind")])
        return kept, tuple(key), left_out, tuple(not_applied)


def refuse_unlabeled(where: str) -> NoReturn:
    """DataError: `where` measures what cannot be measured."""
    what = "the labels of this part are not known, so it can be scored and not measured"
    fix = "write its ranks with `lego evaluate RUN --submission prediction.zip`"
    raise DataError([Problem(where, what, fix)])


def told(undefined: Mapping[str, str]) -> list[str]:
    """`Reading.why_undefined` in sentences, metrics of one reason together.

    >>> told({"gauc": "2 groups have no negative", "auc": "all rows are positive", "lrap": "2 groups have no negative"})
    ['gauc, lrap: not defined, 2 groups have no negative', 'auc: not defined, all rows are positive']
    """
    names: dict[str, list[str]] = {}
    for name, why in undefined.items():
        names.setdefault(why, []).append(name)
    return [f"{', '.join(those)}: not defined, {why}" for why, those in names.items()]


def _first_paragraph(metric: Metric) -> str:
    """What a metric's documentation says first."""
    return " ".join((metric.__doc__ or "").partition("\n\n")[0].split())


def _squashed(ranking: Ranking) -> Ranking:
    """The same rows by their sigmoid in float32, where some score is no probability: large ones then tie."""
    with np.errstate(over="ignore"):  # what is too large for float32 has the sigmoid 0 or 1 all the same
        scores = ranking.scores.astype(np.float32)
        if ((scores < 0) | (scores > 1)).any():
            scores = (1 / (1 + np.exp(-scores, dtype=np.float32))).astype(np.float32)
    return Ranking(scores, ranking.labels, np.zeros(len(scores), np.int64), ties=ranking.ties)


def protocol(name: str) -> Protocol:
    """The protocol of a name; SpecError where there is none."""
    if name not in PROTOCOLS:
        known = ", ".join(PROTOCOLS)
        raise SpecError(f"There is no protocol {name!r}. {did_you_mean(name, PROTOCOLS)}There are: {known}.")
    return PROTOCOLS[name]


_OFFICIAL: Final = {"AUC": "gauc", "MRR": "mrr_all", "nDCG@5": "ndcg@5", "nDCG@10": "ndcg@10"}
_ONE_CLASS: Final = "a group of one class stops the source with an error; here it is left out and counted"

_EVERY: Final = (
    Protocol(
        name="mind",
        source="https://aclanthology.org/2020.acl-main.331",
        called=_OFFICIAL,
        notes=(
            "submissions are ranks, which cannot tie; here ties count as the expectation over random ranks",
            "users without history are kept",
        ),
    ),
    Protocol(
        name="ms_recommenders",
        source="https://github.com/recommenders-team/recommenders",
        ties="argsort",
        called=_OFFICIAL,
        notes=("users without history are kept, with a history of zeros", _ONE_CLASS),
    ),
    Protocol(
        name="legommenders",
        source="https://github.com/Jyonn/Legommenders",
        group="user",
        ties="stable",
        ties_of={"ndcg": "average", "lrap": "average"},
        drops_empty=True,
        called={
            "AUC": "gauc",
            "MRR": "mrr_all",
            "nDCG@5": "ndcg@5",
            "nDCG@10": "ndcg@10",
            "MRR0": "mrr",
            "LRAP": "lrap",
        },
        notes=(
            "AUC is what it prints as GAUC; until January 2025 its MRR was LRAP",
            "validated on a tenth of the users of train",
            _ONE_CLASS,
        ),
    ),
    Protocol(
        name="once",
        source="https://github.com/Jyonn/ONCE",
        ties="stable",
        ties_of={"ndcg": "average", "lrap": "average"},
        drops_empty=True,
        half=True,
        called={**_OFFICIAL, "MRR0": "mrr", "LRAP": "lrap"},
        notes=(
            "half of the impressions of dev validate, by a published list of ids, and the other half tests",
            "its readme groups by user, its configuration by impression",
            "until January 2025 its MRR was LRAP",
            _ONE_CLASS,
        ),
    ),
    Protocol(
        name="newsreclib",
        source="https://github.com/andreeaiana/newsreclib",
        ties="stable",
        ties_of={"ndcg": "average", "auc": "average"},
        drops_empty=True,
        without_positive=0.0,
        squashed=True,
        called={"AUC": "auc", "MRR": "mrr", "nDCG@5": "ndcg@5", "nDCG@10": "ndcg@10"},
        notes=(
            "AUC is of all rows at once, after a sigmoid in float32 where a score is outside [0, 1]",
            "MRR breaks ties as torch sorts, which promises no order; the earlier row stands first here",
            "from version 1.7.4 on, its torchmetrics finds no click with a score of 0 or less in MRR; not so here",
            "validated on the latest part of train",
        ),
    ),
    Protocol(
        name="ebnerd",
        source="https://github.com/jppol-ai/ebnerd-benchmark",
        ties="argsort",
        called={**_OFFICIAL, "reciprocal rank": "mrr"},
        notes=(_ONE_CLASS,),
    ),
    Protocol(
        name="recbench",
        source="https://github.com/Jyonn/RecBench",
        group="user",
        called={"AUC": "gauc", "MRR": "lrap", "nDCG@5": "ndcg@5", "nDCG@10": "ndcg@10"},
        notes=("MRR is average precision, a row standing behind its ties", _ONE_CLASS),
    ),
)

PROTOCOLS: Final[Mapping[str, Protocol]] = {each.name: each for each in _EVERY}
"""Every protocol by its name, the default first."""

HEADINGS: Final = ("AUC", "MRR", "nDCG@5", "nDCG@10")
"""What every source prints, whatever it means by it."""


def headline() -> list[Metric]:
    """The metrics that the sources of all protocols print."""
    from lego.metric.mrr import MRR
    from lego.metric.mrr_all import MRRAll
    from lego.metric.ndcg import NDCG

    return [GAUC(), AUC(), MRR(), MRRAll(), LRAP(), NDCG(5), NDCG(10)]
