"""Every metric against oracles: a slow one that tries all orders of tied rows, scikit-learn, ranx and ir-measures."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lego.errors import DataError, SpecError
from lego.metric.auc import AUC
from lego.metric.ece import ECE
from lego.metric.evaluate import COUNTS, measure
from lego.metric.f1 import F1
from lego.metric.gauc import GAUC
from lego.metric.hit import Hit
from lego.metric.log_loss import LogLoss
from lego.metric.lrap import LRAP
from lego.metric.map import MAP
from lego.metric.mrr import MRR
from lego.metric.mrr_all import MRRAll
from lego.metric.ndcg import NDCG
from lego.metric.precision import Precision
from lego.metric.ranking import TIES, Ranking
from lego.metric.recall import Recall

RANKED = (MRR(), MRRAll(), NDCG(), NDCG(1), NDCG(3), NDCG(50), Hit(1), Hit(3), Recall(2), Recall(50))
RANKED += (MAP(), MAP(2), MAP(50), Precision(1), Precision(3), Precision(50))
GROUPED = (GAUC(), *RANKED)


def in_order(metric, labels) -> float:
    """The metric of one list without ties, best row first, in plain Python; NaN where it is not defined."""
    ranks = [rank for rank, label in enumerate(labels, 1) if label]
    if not ranks or (metric == GAUC() and len(ranks) == len(labels)):
        return math.nan
    if metric == GAUC():
        right = sum(later == 0 for place, label in enumerate(labels) if label for later in labels[place:])
        return right / (len(ranks) * (len(labels) - len(ranks)))
    if metric == MRR():
        return 1 / ranks[0]
    if metric == MRRAll():
        return sum(1 / rank for rank in ranks) / len(ranks)
    k = metric.k or len(labels)
    if isinstance(metric, MAP):
        return sum(place / rank for place, rank in enumerate(ranks, 1) if rank <= k) / len(ranks)
    if isinstance(metric, Precision):
        return sum(rank <= k for rank in ranks) / k
    if isinstance(metric, NDCG):
        best = sum(1 / math.log2(rank + 1) for rank in range(1, min(k, len(ranks)) + 1))
        return sum(1 / math.log2(rank + 1) for rank in ranks if rank <= k) / best
    found = sum(rank <= k for rank in ranks)
    return float(found > 0) if isinstance(metric, Hit) else found / len(ranks)


def in_all_orders(metric, scores, labels) -> list[float]:
    """The metric of one group under every order of its rows that its scores allow."""
    values = []
    for order in itertools.permutations(range(len(scores))):
        if all(scores[a] >= scores[b] for a, b in itertools.pairwise(order)):
            values.append(in_order(metric, [labels[row] for row in order]))
    return values


def slow(metric, scores, labels, ties) -> float:
    """The metric of one group under a tie rule."""
    if ties == "argsort" and metric != GAUC():
        return in_order(metric, [labels[row] for row in np.argsort(scores, kind="stable")[::-1]])
    if ties == "stable" and metric != GAUC():
        return in_order(metric, [labels[row] for row in np.argsort(np.negative(scores), kind="stable")])
    values = in_all_orders(metric, scores, labels)
    return {"pessimistic": min, "optimistic": max}.get(ties, lambda all_: sum(all_) / len(all_))(values)


small_groups = st.lists(
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 1)), min_size=1, max_size=6), min_size=1, max_size=4
)


@settings(max_examples=80, deadline=None)
@given(groups=small_groups, ties=st.sampled_from(TIES))
def test_ties_are_counted_over_all_orders(groups, ties):
    """`average` is the mean over every order of tied rows, the bounds are the extremes, `argsort` the reversed stable sort."""
    scores = [float(row[0]) for group in groups for row in group]
    labels = [row[1] for group in groups for row in group]
    offsets = np.cumsum([0, *map(len, groups)])
    made = Ranking(scores, labels, offsets=offsets, ties=ties)
    for metric in GROUPED:
        expected = [
            slow(metric, [row[0] for row in group], [row[1] for row in group], ties) for group in groups
        ]
        np.testing.assert_allclose(metric.values(made), expected, rtol=1e-13, atol=1e-14, err_msg=metric.name)


@pytest.mark.parametrize(("rows", "positives"), [(40, 3), (300, 2), (300, 150), (1000, 7)])
def test_long_ties_keep_their_digits(rows, positives):
    """The expectation of a long run is exact to twelve digits: checked against whole-number arithmetic."""
    before = 2
    scores = [2.0] * before + [1.0] * rows
    labels = [0] * before + [1] * positives + [0] * (rows - positives)
    made = Ranking(scores, labels, [0] * len(scores))
    ways = math.comb(rows, positives)
    first = sum(
        math.comb(rows - place, positives - 1) / ways / (before + place)
        for place in range(1, rows - positives + 2)
    )
    assert MRR().measure(made) == pytest.approx(first, rel=1e-12)
    missed = math.comb(rows - positives, 5 - before) / math.comb(rows, 5 - before)
    assert Hit(5).measure(made) == pytest.approx(1 - missed, rel=1e-12)


class TestAllScoresEqual:
    """Seven candidates with one score and one click, which stands first or last."""

    first, last = [1, 0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0, 1]

    @pytest.mark.parametrize(
        ("ties", "labels", "mrr", "ndcg"),
        [
            ("argsort", first, 1 / 7, 0.0),
            ("argsort", last, 1.0, 1.0),
            ("stable", first, 1.0, 1.0),
            ("stable", last, 1 / 7, 0.0),
            ("pessimistic", first, 1 / 7, 0.0),
            ("pessimistic", last, 1 / 7, 0.0),
            ("optimistic", first, 1.0, 1.0),
            ("optimistic", last, 1.0, 1.0),
            ("average", first, sum(1 / r for r in range(1, 8)) / 7, 0.42121),
            ("average", last, sum(1 / r for r in range(1, 8)) / 7, 0.42121),
        ],
    )
    def test_rule_decides(self, ties, labels, mrr, ndcg):
        """Only `argsort` and `stable` look at the place in the input; the expectation is the same for both."""
        made = Ranking(np.zeros(7), labels, np.zeros(7, int), ties=ties)
        assert MRR().measure(made) == pytest.approx(mrr)
        assert MRRAll().measure(made) == pytest.approx(mrr)
        assert NDCG(5).measure(made) == pytest.approx(ndcg, abs=1e-5)

    @pytest.mark.parametrize(
        ("ties", "auc"),
        [("average", 0.5), ("argsort", 0.5), ("stable", 0.5), ("pessimistic", 0), ("optimistic", 1)],
    )
    def test_auc_of_a_constant(self, ties, auc):
        """A constant scorer has an AUC of a half, and the bounds are the bounds."""
        made = Ranking(np.zeros(7), self.first, np.zeros(7, int), ties=ties)
        assert GAUC().measure(made) == AUC().measure(made) == auc


def data(groups: int = 200, *, distinct: int | None = None, seed: int = 0):
    """Random scores (with ties where `distinct` is given), labels with both classes in each group, and shuffled group ids."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(2, 30, groups)
    rows = sizes.sum()
    scores = rng.normal(size=rows) if distinct is None else rng.integers(0, distinct, rows).astype(float)
    labels = (rng.random(rows) < 0.15).astype(np.int8)
    starts = np.cumsum(sizes) - sizes
    labels[starts], labels[starts + 1] = 1, 0
    order = rng.permutation(rows)
    return scores[order], labels[order], np.repeat(rng.permutation(groups) * 7 - 50, sizes)[order]


def per_group(function, scores, labels, groups) -> float:
    """The mean of an oracle over groups."""
    return float(np.mean([function(labels[groups == g], scores[groups == g]) for g in np.unique(groups)]))


@pytest.mark.parametrize("distinct", [None, 3])
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_scikit_learn_agrees(distinct, kind):
    """GAUC, AUC and nDCG are scikit-learn's with and without ties; so is the log loss of sigmoids."""
    from sklearn import metrics as sk

    scores, labels, groups = data(distinct=distinct)
    scores = scores.astype(kind)
    made = Ranking(scores, labels, groups)
    assert GAUC().measure(made) == pytest.approx(
        per_group(sk.roc_auc_score, scores, labels, groups), abs=1e-13
    )
    assert AUC().measure(made) == pytest.approx(sk.roc_auc_score(labels, scores), abs=1e-13)
    for k in (None, 1, 5, 10):
        oracle = per_group(lambda y, s, k=k: sk.ndcg_score([y], [s], k=k), scores, labels, groups)
        assert NDCG(k).measure(made) == pytest.approx(oracle, abs=1e-13)
    lrap = per_group(lambda y, s: sk.label_ranking_average_precision_score([y], [s]), scores, labels, groups)
    assert LRAP().measure(made) == pytest.approx(lrap, abs=1e-13)
    if distinct is None:
        precision = per_group(sk.average_precision_score, scores, labels, groups)
        assert MAP().measure(made) == pytest.approx(precision, abs=1e-13)
    for threshold in (0.3, 0.5, 0.9):
        predicted = scores >= np.log(threshold / (1 - threshold))
        assert F1(threshold).measure(made) == pytest.approx(sk.f1_score(labels, predicted), abs=1e-13)
    sigmoid = 1 / (1 + np.exp(-scores.astype(float)))
    assert LogLoss().measure(made) == pytest.approx(sk.log_loss(labels, sigmoid), abs=1e-13)


def test_ir_measures_agrees():
    """Without ties all the rank metrics are those of the retrieval world."""
    import ir_measures as ir

    scores, labels, groups = data(60)
    made = Ranking(scores, labels, groups)
    rows = list(enumerate(zip(groups, labels, scores, strict=True)))
    truth = [ir.Qrel(str(g), str(at), int(y)) for at, (g, y, _) in rows]
    ranked = [ir.ScoredDoc(str(g), str(at), float(s)) for at, (g, _, s) in rows]
    pairs = {
        ir.RR: MRR(),
        ir.nDCG @ 5: NDCG(5),
        ir.nDCG: NDCG(),
        ir.Success @ 5: Hit(5),
        ir.R @ 3: Recall(3),
        ir.P @ 3: Precision(3),
        ir.AP: MAP(),
        ir.AP @ 4: MAP(4),
    }
    oracle = ir.calc_aggregate(list(pairs), truth, ranked)
    for theirs, ours in pairs.items():
        assert ours.measure(made) == pytest.approx(oracle[theirs], abs=1e-9), ours.name


@pytest.mark.filterwarnings("ignore")
def test_ranx_agrees(monkeypatch):
    """Without ties MRR, nDCG, hit rate and recall are those of ranx."""
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "1")  # compiling takes a minute, 60 groups take none
    import ranx

    scores, labels, groups = data(60)
    made = Ranking(scores, labels, groups)
    truth = {
        str(g): {str(at): 1 for at in np.flatnonzero((groups == g) & (labels == 1))}
        for g in np.unique(groups)
    }
    run = {
        str(g): {str(at): float(scores[at]) for at in np.flatnonzero(groups == g)} for g in np.unique(groups)
    }
    pairs = {
        "mrr": MRR(),
        "ndcg@5": NDCG(5),
        "hit_rate@5": Hit(5),
        "recall@3": Recall(3),
        "precision@3": Precision(3),
    }
    pairs |= {"map": MAP()}
    oracle = ranx.evaluate(ranx.Qrels(truth), ranx.Run(run), list(pairs))
    for theirs, ours in pairs.items():
        assert ours.measure(made) == pytest.approx(oracle[theirs], abs=1e-9), ours.name


def test_mind_formula_with_several_clicks():
    """`mrr_all` divides the sum of reciprocal ranks by the clicks; `mrr` takes the best."""
    made = Ranking([4.0, 3.0, 2.0, 1.0], [0, 1, 1, 0], [0, 0, 0, 0])
    assert MRR().measure(made) == 0.5
    assert MRRAll().measure(made) == pytest.approx((1 / 2 + 1 / 3) / 2)


def test_groups_of_one_class_are_left_out():
    """A group without a positive counts nowhere, one without a negative only not in GAUC; none counts as 0 or as a half."""
    good = ([3.0, 2.0, 1.0], [0, 1, 0], [0, 0, 0])
    scores, labels, groups = [*good[0], 1.0, 2.0, 1.0, 2.0], [*good[1], 0, 0, 1, 1], [*good[2], 1, 1, 2, 2]
    result = measure(GROUPED, scores, labels, groups)
    alone = measure(GROUPED, *good)
    assert (result["groups"], result["left_out"], result["without_positive"]) == (3, 2, 1)
    assert result["gauc"] == alone["gauc"] == 0.5
    assert result["mrr"] == pytest.approx((alone["mrr"] + 1) / 2)
    assert np.isnan(NDCG(5).values(Ranking(scores, labels, groups))).tolist() == [False, True, False]


@pytest.mark.parametrize("ties", TIES)
@pytest.mark.parametrize("metric", [*GROUPED, AUC()], ids=lambda metric: metric.name)
def test_nothing_to_average_is_an_error(metric, ties):
    """Where no group counts there is no number, and the error names the metric and says why."""
    with pytest.raises(DataError, match=metric.name):
        metric.measure(Ranking([1.0, 2.0], [0, 0], [0, 1], ties=ties))


def test_log_loss_of_large_logits():
    """Nothing overflows, and nothing is clipped."""
    made = Ranking(np.array([1000.0, -1000.0, 1000.0, 40.0]), [1, 0, 0, 1], [0, 0, 0, 0])
    assert LogLoss().measure(made) == 250.0
    assert LogLoss().measure(Ranking([40.0], [1], [0])) == pytest.approx(math.exp(-40), rel=1e-12)
    assert LogLoss.larger_is_better is False


@pytest.mark.parametrize("bins", [1, 3, 15])
def test_calibration_error_is_that_of_a_loop(bins):
    """A bin at a time: the gap between the mean probability and the share of positives, weighed by the rows."""
    scores, labels, groups = data(40)
    chance = 1 / (1 + np.exp(-scores))
    total = 0.0
    for at in range(bins):
        inside = (chance >= at / bins) & (chance < (at + 1) / bins)
        if inside.any():
            total += inside.mean() * abs(chance[inside].mean() - labels[inside].mean())
    assert ECE(bins).measure(Ranking(scores, labels, groups)) == pytest.approx(total, abs=1e-13)
    sure = Ranking([1000.0, -1000.0, 1000.0], [1, 0, 1], [0, 0, 0])
    assert ECE(bins).measure(sure) == 0.0


def test_f1_needs_something_to_find():
    """Where nothing is positive and nothing predicted there is no number; a threshold is a probability."""
    with pytest.raises(DataError, match=r"f1@0\.5: no row is positive"):
        F1().measure(Ranking([-1.0, -2.0], [0, 0], [0, 0]))
    assert F1().measure(Ranking([-1.0, 2.0], [0, 0], [0, 0])) == 0.0
    with pytest.raises(SpecError, match="threshold"):
        F1(1.5)


@settings(max_examples=60, deadline=None)
@given(groups=small_groups)
def test_lrap_puts_a_row_behind_its_ties(groups):
    """Row by row: positives that score as high over rows that do; of an order without ties it is the average precision."""
    scores, labels, groups_of = (
        np.array(column)
        for column in zip(*[(*row, at) for at, group in enumerate(groups) for row in group], strict=True)
    )
    for at, value in enumerate(LRAP().values(Ranking(scores.astype(float), labels, groups_of))):
        s, y = scores[groups_of == at], labels[groups_of == at]
        shares = [y[s >= each].sum() / (s >= each).sum() for each in s[y == 1]]
        np.testing.assert_allclose(value, np.mean(shares) if shares else np.nan, rtol=1e-13)
    for ties in ("argsort", "stable", "pessimistic", "optimistic"):
        made = Ranking(scores.astype(float), labels, groups_of, ties=ties)
        np.testing.assert_allclose(LRAP().values(made), MAP().values(made), rtol=1e-13)


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 50),
    scale=st.sampled_from([0.25, 2.0, 1024.0]),
    shift=st.integers(-5, 5),
    ties=st.sampled_from(TIES),
)
def test_scale_and_offset_of_scores_do_not_count(seed, scale, shift, ties):
    """A positive scale and an offset leave every order metric as it is, to the last digit."""
    scores, labels, groups = data(20, distinct=6, seed=seed)
    metrics = (*GROUPED, AUC())
    assert measure(metrics, scores * scale + shift, labels, groups, ties) == measure(
        metrics, scores, labels, groups, ties
    )


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 50), shift=st.integers(-3, 3))
def test_an_offset_per_group_counts_only_when_pooled(seed, shift):
    """What a softmax leaves open, an offset for each group, moves no group metric."""
    scores, labels, groups = data(20, distinct=6, seed=seed)
    assert measure(GROUPED, scores + groups * shift, labels, groups) == measure(
        GROUPED, scores, labels, groups
    )


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 50), cut=st.integers(1, 19))
def test_parts_average_to_the_whole(seed, cut):
    """Groups measured in two batches give the values they have together, to the last digit."""
    scores, labels, groups = data(20, distinct=4, seed=seed)
    whole = Ranking(scores, labels, groups)
    low = groups < np.unique(groups)[cut]
    for metric in GROUPED:
        parts = [metric.values(Ranking(scores[part], labels[part], groups[part])) for part in (low, ~low)]
        assert np.concatenate(parts).tolist() == metric.values(whole).tolist()


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 50))
def test_order_of_rows_does_not_count(seed):
    """Shuffled rows give the same numbers, to the last digit; the log loss to rounding."""
    scores, labels, groups = data(20, distinct=4, seed=seed)
    order = np.random.default_rng(seed).permutation(len(scores))
    metrics = (*GROUPED, AUC())
    assert measure(metrics, scores, labels, groups) == measure(
        metrics, scores[order], labels[order], groups[order]
    )
    sums = [LogLoss().measure(Ranking(scores[at], labels[at], groups[at])) for at in (order, order[::-1])]
    assert sums[0] == pytest.approx(sums[1], rel=1e-14)


def test_bounds_enclose_the_expectation():
    """pessimistic ≤ average and argsort ≤ optimistic, strictly where ties matter."""
    scores, labels, groups = data(50, distinct=3)
    low, middle, sort, early, high = (
        measure(GROUPED, scores, labels, groups, ties)
        for ties in ("pessimistic", "average", "argsort", "stable", "optimistic")
    )
    for metric in GROUPED:
        assert low[metric.name] <= middle[metric.name] <= high[metric.name]
        assert low[metric.name] <= sort[metric.name] <= high[metric.name]
        assert low[metric.name] <= early[metric.name] <= high[metric.name]
    assert low["mrr"] < middle["mrr"] < high["mrr"]


def test_real_impressions(shared_data):
    """On MIND, `argsort` is the official arithmetic list by list, and random breaks of ties come close to the expectation."""
    path = shared_data / "mind" / "MINDsmall_train" / "behaviors.tsv"
    if not path.is_file():
        pytest.skip("no MIND rows among the real data")
    lines = path.read_text(encoding="utf-8").splitlines()
    lists = [np.array([int(word[-1]) for word in line.split("\t")[-1].split()]) for line in lines]
    labels, offsets = np.concatenate(lists), np.cumsum([0, *map(len, lists)])
    rng = np.random.default_rng(0)
    scores = rng.integers(0, 4, len(labels)).astype(np.float32)

    def official(noise) -> tuple[float, float]:
        """Mean reciprocal rank of the clicks, and nDCG@5, after sorting by score and then by noise."""
        both = []
        for start, own in zip(offsets, lists, strict=False):
            part = slice(start, start + len(own))
            ranked = own[np.lexsort((noise[part], scores[part]))[::-1]]
            discounts = np.log2(np.arange(2, min(5, len(own)) + 2))
            best = np.sort(own)[::-1]
            ndcg = ((2 ** ranked[:5] - 1) / discounts).sum() / ((2 ** best[:5] - 1) / discounts).sum()
            both.append(((ranked / np.arange(1, len(own) + 1)).sum() / own.sum(), ndcg))
        return tuple(np.mean(both, 0))

    metrics = (MRRAll(), NDCG(5))
    later_first = measure(metrics, scores, labels, offsets=offsets, ties="argsort")
    assert tuple(later_first.values())[:2] == pytest.approx(official(np.arange(len(labels))), abs=1e-12)
    expected = measure(metrics, scores, labels, offsets=offsets)
    broken = np.mean([official(rng.random(len(labels))) for _ in range(5)], 0)
    assert tuple(expected.values())[:2] == pytest.approx(tuple(broken), abs=0.005)
    assert (expected["groups"], expected["left_out"]) == (len(lists), 0)


def test_measure_gives_values_by_name_and_counts():
    """The dictionary holds each metric, in the order asked for, and then the counts."""
    result = measure([NDCG(5), LogLoss(), AUC()], *data(5))
    assert list(result) == ["ndcg@5", "logloss", "auc", *COUNTS]


def test_names():
    """What a metric is called is what it is asked for."""
    metrics = (GAUC(), AUC(), MRR(), MRRAll(), NDCG(), NDCG(5), Hit(5), Recall(10), LogLoss())
    names = ["gauc", "auc", "mrr", "mrr_all", "ndcg", "ndcg@5", "hit@5", "recall@10", "logloss"]
    metrics += (MAP(), MAP(5), LRAP(), Precision(3), F1(), F1(0.25), ECE(), ECE(10))
    names += ["map", "map@5", "lrap", "precision@3", "f1@0.5", "f1@0.25", "ece@15", "ece@10"]
    assert [metric.name for metric in metrics] == names


@pytest.mark.parametrize("cls", [NDCG, Hit, Recall, Precision, MAP])
def test_a_cut_is_at_least_one(cls):
    """k counts rows, from one."""
    with pytest.raises(SpecError, match="k must be at least 1"):
        cls(0)
