"""Protocols against the libraries that they are named after, where pip has them (requirements-peers.txt).

`recommenders` for `ms_recommenders`, and for `ebnerd`, which has the same functions and is no package; `torchmetrics`, which
is what NewsRecLib measures with, for `newsreclib`; FuxiCTR prints the numbers of `mind`. Legommenders, ONCE and RecBench have
no package that holds their metrics: they use scikit-learn, and tests/metric/test_protocol.py has their rules with it.
"""

from __future__ import annotations

import functools
import importlib
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from lego.metric.protocol import Rows, headline, protocol

PEERS = Path(sys.prefix) / "peers"
METRICS = headline()


@pytest.fixture
def peer(monkeypatch):
    """Imports a module of a peer. What it imports and a metric does not use need not be there."""

    def load(name, *unused):
        if not (PEERS / name.partition(".")[0]).is_dir():
            pytest.skip(f"{name} is not in {PEERS}: see docs/contributing.md")
        before = set(sys.modules)
        monkeypatch.syspath_prepend(str(PEERS))
        with monkeypatch.context() as patch:
            for each in unused:
                stub = ModuleType(each)
                stub.maybe_download = None
                patch.setitem(sys.modules, each, stub)
            found = importlib.import_module(name)
        loaded.extend(set(sys.modules) - before)
        return found

    loaded: list[str] = []
    yield load
    for each in loaded:
        if str(getattr(sys.modules.get(each), "__file__", None)).startswith(str(PEERS)):
            del sys.modules[each]


class StableNumpy:
    """numpy with a stable argsort: the default one promises no order of ties, and gives another on each processor."""

    argsort = staticmethod(functools.partial(np.argsort, kind="stable"))

    def __getattr__(self, name):
        return getattr(np, name)


def impressions(seed, *, ties, low=-3.0):
    """60 impressions with both classes."""
    rng = np.random.default_rng(seed)
    scores, labels = [], []
    for _ in range(60):
        size = int(rng.integers(3, 40))
        drawn = rng.uniform(low, 3, size)
        scores.append(np.round(drawn * 2) / 2 + 0.25 if ties else drawn)
        marks = (rng.random(size) < 0.3).astype(int)
        marks[:2] = rng.permutation([0, 1])
        labels.append(marks)
    return scores, labels


def rows_of(scores, labels):
    sizes = [len(each) for each in scores]
    owner = np.repeat(np.arange(len(sizes)), sizes)
    return Rows(
        scores=np.concatenate(scores),
        labels=np.concatenate(labels),
        impression=owner,
        user=owner // 3,
        history=np.ones(len(owner), int),
    )


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("name", ["ms_recommenders", "ebnerd"])
def test_ms_recommenders(peer, monkeypatch, name, ties):
    """Its MRR, nDCG and AUC per impression, impression by impression and as it prints them, with its order of ties."""
    theirs = peer("recommenders.models.deeprec.deeprec_utils", "recommenders.datasets.download_utils")
    monkeypatch.setattr(theirs, "np", StableNumpy())
    scores, labels = impressions(5, ties=ties)
    called = protocol(name).read(METRICS, rows_of(scores, labels)).called
    pairs = list(zip(labels, scores, strict=True))
    assert called["MRR"] == pytest.approx(np.mean([theirs.mrr_score(*each) for each in pairs]), abs=1e-12)
    for k in (5, 10):
        gain = np.mean([theirs.ndcg_score(*each, k) for each in pairs])
        assert called[f"nDCG@{k}"] == pytest.approx(gain, abs=1e-12)
    printed = theirs.cal_metric(labels, scores, ["group_auc", "mean_mrr", "ndcg@5;10"])
    assert [round(called[each], 4) for each in ("AUC", "MRR", "nDCG@5", "nDCG@10")] == pytest.approx(
        list(printed.values())
    )


@pytest.mark.parametrize("ties", [False, True])
def test_newsreclib(peer, ties):
    """What torchmetrics gives for the rows of all impressions; scores above 0, since it takes others for rows not retrieved.

    Of tied rows its MRR takes the first that torch's sort gives, which promises no order; there it is not compared.
    """
    peer("torchmetrics")
    from torchmetrics.classification import BinaryAUROC
    from torchmetrics.retrieval import RetrievalMRR, RetrievalNormalizedDCG

    scores, labels = impressions(6, ties=ties, low=0.1)
    called = protocol("newsreclib").read(METRICS, rows_of(scores, labels)).called
    flat = torch.tensor(np.concatenate(scores), dtype=torch.float32)
    target = torch.tensor(np.concatenate(labels))
    owner = torch.tensor(np.repeat(np.arange(60), [len(each) for each in scores]))
    for name, metric in {
        "nDCG@5": RetrievalNormalizedDCG(top_k=5),
        "nDCG@10": RetrievalNormalizedDCG(top_k=10),
        **({} if ties else {"MRR": RetrievalMRR()}),
    }.items():
        assert called[name] == pytest.approx(float(metric(flat, target, owner)), abs=1e-6), name
    assert called["AUC"] == pytest.approx(float(BinaryAUROC()(flat, target)), abs=1e-6)


def test_fuxictr(peer):
    """What it calls avgAUC, MRR and NDCG is what `mind` has, group by group; there are no ties."""
    theirs = peer("fuxictr.metrics", "polars")
    scores, labels = impressions(7, ties=False)
    called = protocol("mind").read(METRICS, rows_of(scores, labels)).called
    pairs = list(zip(labels, scores, strict=True))
    for name, metric in {
        "AUC": lambda y, s: theirs.avgAUC(y, s)[0],
        "MRR": theirs.MRR,
        "nDCG@5": theirs.NDCG(5),
        "nDCG@10": theirs.NDCG(10),
    }.items():
        assert called[name] == pytest.approx(np.mean([metric(*each) for each in pairs]), abs=1e-9), name
