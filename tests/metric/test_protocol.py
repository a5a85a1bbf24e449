"""Every protocol against cases worked by hand, and against a slow version of its source's rules."""

from __future__ import annotations

import math
import typing

import numpy as np
import pytest
from sklearn.metrics import label_ranking_average_precision_score, ndcg_score, roc_auc_score

from lego.errors import DataError, SpecError
from lego.experiment import Evaluation
from lego.metric.log_loss import LogLoss
from lego.metric.parse import parse_metric
from lego.metric.protocol import HEADINGS, OTHER_HALF, PROTOCOLS, WITHOUT_HISTORY, Rows, headline, protocol

METRICS = headline()


def rows_of(groups, **columns):
    """Rows of impressions, each a list of (score, label)."""
    sizes = [len(each) for each in groups]
    flat = [row for group in groups for row in group]
    per_row = {
        name: None if values is None else np.repeat(np.array(values), sizes)
        for name, values in columns.items()
    }
    return Rows(
        scores=np.array([row[0] for row in flat]),
        labels=np.array([row[1] for row in flat]),
        impression=np.repeat(np.arange(len(groups)), sizes),
        **per_row,
    )


def constant(place):
    """Seven candidates with one score, of which one is clicked."""
    return rows_of([[(0.5, int(at == place)) for at in range(7)]], user=[0], history=[3])


EXPECTED = sum(1 / rank for rank in range(1, 8)) / 7
MEAN_DISCOUNT = sum(1 / math.log2(rank + 1) for rank in range(1, 6)) / 7


@pytest.mark.parametrize(
    ("name", "first", "last", "ndcg"),
    [
        ("mind", EXPECTED, EXPECTED, (MEAN_DISCOUNT, MEAN_DISCOUNT)),
        ("ms_recommenders", 1 / 7, 1.0, (0.0, 1.0)),
        ("ebnerd", 1 / 7, 1.0, (0.0, 1.0)),
        ("legommenders", 1.0, 1 / 7, (MEAN_DISCOUNT, MEAN_DISCOUNT)),
        ("once", 1.0, 1 / 7, (MEAN_DISCOUNT, MEAN_DISCOUNT)),
        ("newsreclib", 1.0, 1 / 7, (MEAN_DISCOUNT, MEAN_DISCOUNT)),
        ("recbench", 1 / 7, 1 / 7, (MEAN_DISCOUNT, MEAN_DISCOUNT)),
    ],
)
def test_a_constant_score(name, first, last, ndcg):
    """Seven equal scores, the click first or last in the file: what each source prints as MRR and nDCG@5."""
    for place, mrr, gain in ((0, first, ndcg[0]), (6, last, ndcg[1])):
        called = protocol(name).read(METRICS, constant(place)).called
        assert called["MRR"] == pytest.approx(mrr)
        assert called["nDCG@5"] == pytest.approx(gain)
        assert called["AUC"] == 0.5


SEVERAL = [
    [(0.9, 1), (0.8, 0), (0.7, 1)],  # user 0
    [(0.1, 1), (0.6, 0)],  # user 0
    [(0.3, 0), (0.2, 1), (0.1, 0)],  # user 1, who has no history
]


@pytest.mark.parametrize(
    ("name", "auc", "mrr"),
    [
        ("mind", (1 / 2 + 0 + 1 / 2) / 3, ((1 + 1 / 3) / 2 + 1 / 2 + 1 / 2) / 3),
        ("ms_recommenders", (1 / 2 + 0 + 1 / 2) / 3, ((1 + 1 / 3) / 2 + 1 / 2 + 1 / 2) / 3),
        ("ebnerd", (1 / 2 + 0 + 1 / 2) / 3, ((1 + 1 / 3) / 2 + 1 / 2 + 1 / 2) / 3),
        # User 0 has 0.9+ 0.8 0.7+ 0.6 0.1+ in one list: 3 of 6 pairs, clicks at 1, 3 and 5. User 1 is left out.
        ("legommenders", 3 / 6, (1 + 1 / 3 + 1 / 5) / 3),
        ("once", (1 / 2 + 0) / 2, ((1 + 1 / 3) / 2 + 1 / 2) / 2),
        # The rows of user 0 as one list, and MRR of the first clicks.
        ("newsreclib", 3 / 6, (1 + 1 / 2) / 2),
        # Both users; precisions at the clicks.
        ("recbench", (3 / 6 + 1 / 2) / 2, ((1 + 2 / 3 + 3 / 5) / 3 + 1 / 2) / 2),
    ],
)
def test_several_clicks_and_impressions(name, auc, mrr):
    """Two impressions of one user and one of a user without history, worked by hand."""
    read = protocol(name).read(METRICS, rows_of(SEVERAL, user=[0, 0, 1], history=[4, 4, 0]))
    assert read.called["AUC"] == pytest.approx(auc)
    assert read.called["MRR"] == pytest.approx(mrr)
    drops = PROTOCOLS[name].drops_empty
    assert read.left_out == ({WITHOUT_HISTORY: 1} if drops else {})
    assert read.record["counted"]["mrr"] == read.counts["groups"]
    assert read.record["formulas"]["gauc"].startswith("The share of (positive, negative) pairs of a group")


def test_both_mrrs_are_there_under_their_own_names():
    """What one source calls MRR another does not: our names mean the same in every protocol."""
    rows = rows_of([[(0.9, 1), (0.8, 0), (0.7, 1)]], user=[0], history=[1])
    for each in PROTOCOLS.values():
        values = each.read(METRICS, rows).values
        assert values["mrr"] == 1.0
        assert values["mrr_all"] == pytest.approx((1 + 1 / 3) / 2)
        assert values["lrap"] == pytest.approx((1 + 2 / 3) / 2)


def random_rows(seed, *, ties):
    """60 impressions of 20 users; some have no history, scores may tie, and every impression has both classes."""
    rng = np.random.default_rng(seed)
    groups = []
    for _ in range(60):
        size = int(rng.integers(3, 12))
        scores = rng.normal(size=size) * 3
        labels = (rng.random(size) < 0.3).astype(int)
        labels[:2] = rng.permutation([0, 1])
        groups.append(list(zip(np.round(scores) if ties else scores, labels, strict=True)))
    users = rng.integers(0, 20, 60)
    return groups, users, np.where(users % 5 == 0, 0, users)


def reversed_argsort(y, s):
    """Ranks of the clicks, the later of equal rows first."""
    return np.flatnonzero(y[np.argsort(s, kind="stable")[::-1]]) + 1


def stable(y, s):
    """Ranks of the clicks, the earlier of equal rows first."""
    return np.flatnonzero([label for _, label in sorted(zip(s, y, strict=True), key=lambda row: -row[0])]) + 1


def gain(ranks, k):
    """nDCG of the clicks at these ranks, with the gain 2^label - 1."""
    best = sum(1 / np.log2(rank + 1) for rank in range(1, min(k, len(ranks)) + 1))
    return sum(1 / np.log2(rank + 1) for rank in ranks if rank <= k) / best


def averaged(y, s, k):
    """nDCG of scikit-learn, which averages ties."""
    return ndcg_score([y], [s], k=k)


RULES = {
    "ms_recommenders": (reversed_argsort, lambda y, s, r: (1 / r).mean(), lambda y, s, r, k: gain(r, k)),
    "ebnerd": (reversed_argsort, lambda y, s, r: (1 / r).mean(), lambda y, s, r, k: gain(r, k)),
    "legommenders": (stable, lambda y, s, r: (1 / r).mean(), lambda y, s, r, k: averaged(y, s, k)),
    "once": (stable, lambda y, s, r: (1 / r).mean(), lambda y, s, r, k: averaged(y, s, k)),
    "newsreclib": (stable, lambda y, s, r: 1 / r[0], lambda y, s, r, k: averaged(y, s, k)),
    "recbench": (
        stable,
        lambda y, s, r: label_ranking_average_precision_score([y], [s]),
        lambda y, s, r, k: averaged(y, s, k),
    ),
}


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("name", RULES)
def test_each_source_rule_by_rule(name, ties):
    """List by list, with scikit-learn where the source has it."""
    groups, users, history = random_rows(3, ties=ties)
    called = protocol(name).read(METRICS, rows_of(groups, user=users, history=history)).called
    ranks_of, mrr, ndcg = RULES[name]
    kept = [at for at in range(60) if history[at] or not PROTOCOLS[name].drops_empty]
    lists: dict[int, list] = {}
    for at in kept:
        lists.setdefault(users[at] if PROTOCOLS[name].group == "user" else at, []).extend(groups[at])
    columns = [np.array(each, float).T for each in lists.values()]
    expected = {"AUC": [], "MRR": [], "nDCG@5": [], "nDCG@10": []}
    for s, y in columns:
        ranks = ranks_of(y, s)
        expected["AUC"].append(roc_auc_score(y, s))
        expected["MRR"].append(mrr(y, s, ranks))
        expected["nDCG@5"].append(ndcg(y, s, ranks, 5))
        expected["nDCG@10"].append(ndcg(y, s, ranks, 10))
    if name == "newsreclib":
        s, y = np.concatenate(columns, 1)
        expected["AUC"] = [roc_auc_score(y, (1 / (1 + np.exp(-s.astype(np.float32)))).astype(np.float32))]
    for heading in HEADINGS:
        assert called[heading] == pytest.approx(np.mean(expected[heading]), abs=1e-12), heading


def test_a_pooled_auc_saturates_in_newsreclib():
    """Large logits have one sigmoid in float32, so their pairs tie; probabilities are left as they are."""
    rows = rows_of([[(40.0, 1), (30.0, 0)]], user=[0], history=[1])
    assert protocol("newsreclib").read(METRICS, rows).called["AUC"] == 0.5
    assert protocol("mind").read(METRICS, rows).values["auc"] == 1.0
    rows = rows_of([[(0.9, 1), (0.3, 0)]], user=[0], history=[1])
    assert protocol("newsreclib").read(METRICS, rows).called["AUC"] == 1.0


def test_an_impression_without_a_click_counts_zero_in_newsreclib_alone():
    """Elsewhere it is left out, and told."""
    rows = rows_of([[(0.9, 1), (0.8, 0)], [(0.9, 0), (0.8, 0)]], user=[0, 0], history=[1, 1])
    read = protocol("newsreclib").read(METRICS, rows)
    assert read.values["mrr"] == 0.5
    assert read.record["counted"]["mrr"] == 2
    read = protocol("mind").read(METRICS, rows)
    assert read.values["mrr"] == 1.0
    assert (read.record["counted"]["mrr"], read.record["one_class"]) == (1, 1)


def test_what_the_rows_do_not_say_is_not_applied():
    """Without the history nothing is dropped, and that is told; without users there is nothing to group by."""
    read = protocol("once").read(METRICS, rows_of(SEVERAL, user=[0, 0, 1]))
    assert read.counts["groups"] == 3
    assert [each.rpartition(" ")[2] for each in read.not_applied] == ["history", "part"]
    whole = rows_of(SEVERAL, user=[0, 0, 1], history=[4, 4, 0], tested=[True, False, True])
    read = protocol("once").read(METRICS, whole)
    assert read.not_applied == ()
    assert read.left_out == {WITHOUT_HISTORY: 1, OTHER_HALF: 1}
    assert read.counts["groups"] == 1
    with pytest.raises(DataError, match=r"protocol recbench: .* no column user"):
        protocol("recbench").read(METRICS, rows_of(SEVERAL))
    with pytest.raises(DataError, match="nothing is left: 3 impressions"):
        protocol("once").read(METRICS, rows_of(SEVERAL, history=[0, 0, 0]))


def test_a_rule_for_ties_takes_the_place_of_the_protocols():
    """Every metric then breaks ties by it."""
    rows = constant(6)
    read = protocol("legommenders").read(METRICS, rows, ties="optimistic")
    assert read.called["MRR"] == read.called["nDCG@5"] == 1.0
    assert set(read.ties.values()) == {"optimistic"}
    assert protocol("legommenders").read(METRICS, rows).ties["ndcg@5"] == "average"


def test_a_metric_of_logits_is_measured_of_logits_alone():
    """It is None where the scores are none."""
    rows = rows_of(SEVERAL)
    assert protocol("mind").read([LogLoss()], rows, logits=False).values == {"logloss": None}
    assert protocol("mind").read([LogLoss()], rows).values["logloss"] > 0


def test_an_experiment_names_the_same_protocols():
    """The literal of `Evaluation` and the table are one list; the default of all data is in it; names are metrics."""
    literal = typing.get_args(typing.get_args(typing.get_type_hints(Evaluation)["protocol"])[0])
    assert literal == tuple(PROTOCOLS)
    for each in PROTOCOLS.values():
        assert set(HEADINGS) <= set(each.called)
        assert each.source.startswith("https://")
        for name in each.called.values():
            assert parse_metric(name).name == name
    with pytest.raises(SpecError, match="Did you mean 'recbench'"):
        protocol("recbensh")
