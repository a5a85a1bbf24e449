"""Metrics by the names that people type: `ndcg@10`, `NDCG@10`, `mrr_all`, `NDCG(k=10)`."""

from __future__ import annotations

from typing import Any

from lego import catalog
from lego.errors import CatalogError, SpecError
from lego.expression import parse
from lego.spec import Metric, positional_names, signature


def parse_metric(text: str) -> Metric:
    """The metric of a name, of a name with `@` and its first option, or of an expression.

    Case and underscores of the name do not count: `mrr_all` is `MRRAll`. Metrics of plugins are found like built-in ones, and
    where two distributions claim a name, `acme_recs.ndcg@5` chooses. Raises CatalogError for a name that nothing has, SpecError
    for options that do not fit, ExpressionError for a broken expression.

    >>> parse_metric("NDCG@10"), parse_metric("mrr_all"), parse_metric("hit(k=1)").name
    (NDCG(k=10), MRRAll(), 'hit@1')
    """
    text = text.strip()
    if "(" in text:
        return _metric(text, parse(text, _find))
    name, marked, argument = text.partition("@")
    made = _find(name.strip())
    if not marked:
        return _metric(text, made())
    if isinstance(made, type) and not positional_names(made):
        raise SpecError.wrong_call(
            made.__name__, "it has no option that could stand behind @", signature(made)
        )
    return _metric(text, made(_literal(argument.strip())))


def _find(name: str) -> Any:
    """The class, or the function that gives a metric, of a name."""
    distribution, dot, bare = name.rpartition(".")
    known = catalog.names(Metric.slot)
    matching = [each for each in known if each == bare] or [
        each for each in known if _folded(each) == _folded(bare)
    ]
    if not matching:
        raise catalog.unknown(Metric.slot, name, known)
    if len(matching) > 1:
        raise CatalogError(
            f"{name!r} may be any of these metrics: {', '.join(matching)}. Write the one meant exactly so."
        )
    return catalog.load(Metric.slot, f"{distribution}{dot}{matching[0]}")


def _folded(name: str) -> str:
    return name.replace("_", "").lower()


def _literal(text: str) -> int | float | str:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _metric(text: str, value: object) -> Metric:
    if not isinstance(value, Metric):
        raise SpecError(f"{text!r} is {value!r}, which is not a metric. See `lego catalog metric`.")
    return value
