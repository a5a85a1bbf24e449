from __future__ import annotations

import attrs
import pytest

from lego import catalog
from lego.errors import CatalogError, ExpressionError, SpecError
from lego.metric.auc import AUC
from lego.metric.gauc import GAUC
from lego.metric.hit import Hit
from lego.metric.log_loss import LogLoss
from lego.metric.mrr import MRR
from lego.metric.mrr_all import MRRAll
from lego.metric.ndcg import NDCG
from lego.metric.parse import parse_metric
from lego.metric.recall import Recall
from lego.spec import Metric, operator

ALL = (GAUC(), AUC(), MRR(), MRRAll(), NDCG(), NDCG(5), Hit(1), Recall(10), LogLoss())


@pytest.mark.parametrize("metric", ALL, ids=lambda metric: metric.name)
def test_a_metric_is_found_by_its_name_and_its_text(metric):
    """Name and expression, in any case, give the metric back."""
    for text in (
        metric.name,
        metric.name.upper(),
        f" {metric.name} ",
        metric.text(),
        metric.text(full=True).lower(),
    ):
        assert parse_metric(text.replace("none", "None")) == metric


@pytest.mark.parametrize(
    ("text", "metric"),
    [
        ("MRRAll", MRRAll()),
        ("mrrall", MRRAll()),
        ("log_loss", LogLoss()),
        ("NDCG @ 7", NDCG(7)),
        ("legorec.ndcg@7", NDCG(7)),
    ],
)
def test_spellings(text, metric):
    """Underscores and blanks do not count, and a distribution may stand before the name."""
    assert parse_metric(text) == metric


def test_an_unknown_name_is_answered_with_a_suggestion():
    """The error lists what there is, and the nearest."""
    with pytest.raises(
        CatalogError, match=r"No metric is called 'ndgc'\. Did you mean 'NDCG'\?.*Available: AUC, ECE"
    ):
        parse_metric("ndgc@5")
    with pytest.raises(CatalogError, match="No metric is called ''"):
        parse_metric("")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("gauc@5", "GAUC: it has no option that could stand behind @"),
        ("hit", r"k is missing. Write it as Hit\(k=…\)"),
        ("ndcg@", "k must be"),
        ("ndcg@many", "k must be"),
        ("ndcg@2.5", "k must be"),
        ("ndcg@0", "k must be at least 1"),
        ("ndcg(top=3)", "has no option 'top'"),
    ],
)
def test_options_that_do_not_fit_are_refused(text, message):
    """What stands behind @ goes to the first option and is checked like it."""
    with pytest.raises(SpecError, match=message):
        parse_metric(text)


def test_a_broken_expression_shows_the_place():
    """An expression that cannot be read is the language's error."""
    with pytest.raises(ExpressionError):
        parse_metric("ndcg(k=")


@operator
class FallOut(Metric):
    """Of another distribution."""

    at: int = attrs.field(default=3, kw_only=False)

    @property
    def name(self):
        return f"fall_out@{self.at}"


def test_metrics_of_plugins_are_found_the_same_way(monkeypatch):
    """A class that is listed by another distribution is found by its folded name, and so is a function that gives a metric."""
    theirs = {
        "FallOut": FallOut,
        "strict": lambda at=1: FallOut(at),
        "MRR": FallOut,
        "mrr": FallOut,
        "odd": lambda: 3,
    }
    monkeypatch.setattr(catalog, "names", lambda slot: sorted(theirs))
    monkeypatch.setattr(catalog, "load", lambda slot, name: theirs[name])
    assert parse_metric("fall_out@9") == FallOut(9)
    assert parse_metric("falloUT") == FallOut(3)
    assert parse_metric("strict@4") == FallOut(4)
    assert parse_metric("mrr@4") == FallOut(4)
    with pytest.raises(CatalogError, match="may be any of these metrics: MRR, mrr"):
        parse_metric("Mrr")
    with pytest.raises(SpecError, match="'odd' is 3, which is not a metric"):
        parse_metric("odd")
