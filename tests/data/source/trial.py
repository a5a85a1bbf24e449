"""Trains three models on a source for a few steps and evaluates them: by text, by ids, and by a frozen language model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import attrs

from lego import (
    CNN,
    Additive,
    Dot,
    Experiment,
    ItemID,
    Matching,
    Mean,
    Pretrained,
    Recommender,
    Training,
    frozen,
)
from lego.pretrained.packaged import MINILM
from lego.spec import Source

BUDGET = 8
"""Tokens of each attribute that are read."""


def trial(source: Source, out: Path, texts: Sequence[str] | None = None) -> dict[str, dict[str, float]]:
    """Model → metric → value on the test part. Give a source of a few dozen users; `texts` are what is read unless it is said.

    A language model that is not installed is left out.
    """
    reads = dict.fromkeys(source.reads if texts is None else texts, BUDGET)
    models = {
        "text": Recommender(CNN(), Additive(), Dot(), width=8, reads=reads),
        "id": Recommender(ItemID(), Mean(), Dot(), width=8),
    }
    if MINILM.find() is not None:
        language = Pretrained(MINILM.name, layers=frozen())
        models["language model"] = Recommender(language, Mean(), Dot(), width=8, reads=reads)
    found = {}
    for name, model in models.items():
        run = Experiment(
            data=attrs.evolve(source, history=5),
            model=model,
            task=Matching(negatives=2),
            training=Training(epochs=1, batch_size=256),
        ).run(name=name.replace(" ", "_"), out=out, device="cpu")
        found[name] = dict(run.metrics)
        for metric in ("gauc", "mrr", "ndcg@5"):
            assert 0 <= run.metrics[metric] <= 1, (name, metric)
        assert run.record["parameters"]["trainable"] > 0 if "parameters" in run.record else True
    return found
