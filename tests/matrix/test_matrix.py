"""The matrix is real: what the rules call a model compiles, takes a training step, and scores alike with caches and without."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from lego import (
    Dot,
    Experiment,
    Matching,
    Mean,
    Pretrained,
    Ranking,
    Recommender,
    catalog,
    compile,  # noqa: A004
    full,
    split,
)
from lego.compiler.check import check
from lego.compiler.gather import batch_of, gather_of
from lego.compiler.matrix import Triple, matrix, variants
from lego.compiler.pipeline import Pipeline
from lego.compiler.rules import broken
from lego.content.embedding import Embedding
from lego.content.semantic_id import SemanticID
from lego.content.whitened_experts import WhitenedExperts
from lego.contract import Need
from lego.data.sampling import draw
from lego.data.store import Store
from lego.runtime import score
from lego.seed import lent
from lego.spec import Context
from lego.testing.checkpoint import tiny_checkpoint

from .data import Movies

WIDTH = 8
SAMPLE = 150
"""Models of a usual run; `make test-all` tries every one."""
ALL = os.environ.get("LEGO_TEST_ALL") == "1"
PIECES = 8
"""Tests that all models are shared among, so that two workers have work."""


@pytest.fixture(scope="module")
def data(movielens):
    """The tiny data."""
    return Movies(path=str(movielens))


@pytest.fixture(scope="module")
def store(data):
    """The tiny data, prepared."""
    return compile(Experiment(data=data, model=Recommender(Mean(), Mean(), Dot(), width=WIDTH))).store


@pytest.fixture(scope="module")
def extra(store, tmp_path_factory):
    """Content operators that need a file."""
    folder = tmp_path_factory.mktemp("matrix")
    vectors = np.random.default_rng(0).normal(size=(store.item_count, 5)).astype(np.float32)
    np.save(folder / "items.npy", vectors)
    pq.write_table(pa.table({"item_id": store.item_ids, "vector": list(vectors)}), folder / "items.parquet")
    words = sorted(
        {word for title in store.items["title"].to_pylist()[:200] for word in title.lower().split()}
    )
    bert = str(tiny_checkpoint(folder / "bert", layers=2, words=words))
    return {
        "content": {
            "Embedding": [Embedding(str(folder / "items.parquet"))],
            "SemanticID": [SemanticID(str(folder / "items.npy"), levels=2, codes=4)],
            "WhitenedExperts": [WhitenedExperts(str(folder / "items.npy"), experts=2)],
            "Pretrained": [Pretrained(bert, layers=split(1)), Pretrained(bert, layers=full())],
        }
    }


@pytest.fixture(scope="module")
def models(extra):
    """All of them. What needs a file is made of the files above, and only of them."""
    return matrix(extra)


def sampled(triples: Any, count: int, seed: int) -> list[Triple]:
    """Some of them; all operators stand among some hundred."""
    rows = np.random.default_rng(seed).choice(len(triples), min(count, len(triples)), replace=False)
    return [triples[row] for row in np.sort(rows)]


def test_every_operator_is_in_some_model(models):
    """No operator of the catalog is without a model, and the count is beyond two thousand."""
    for place, slot in enumerate(("content", "behavior", "predictor")):
        listed = {
            entry.name for entry in catalog.entries(slot) if isinstance(catalog.load_entry(entry), type)
        }
        assert {triple.names[place] for triple in models.valid} == listed
    assert len(models.valid) > 2000
    assert len({triple.names for triple in models.valid}) == len(models.valid)
    assert not models.unmade


def test_the_readme_tells_the_count():
    """As the command prints it, which counts what needs no file."""
    text = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    made = matrix()
    slots = " × ".join(f"{count} {slot}" for slot, count in made.operators.items())
    assert f"{slots} operators make {len(made.valid):,} models" in text


def test_reasons_and_models_are_all_there_is(models):
    """Every triple of names is a model or has one reason."""
    total = np.prod(list(models.operators.values()))
    assert len(models.valid) + sum(models.reasons.values()) == total
    counts = models.record()["valid"]
    of_cosines = sum(triple.names[2] == "Cosine" for triple in models.valid)
    assert 0 < of_cosines == counts.pop("cosinecontrastive")
    assert set(counts.values()) == {len(models.valid)}


def test_the_compiler_agrees_with_the_rules(data, models, extra):
    """The oracle is `check`, which words each problem, over triples of all kinds."""
    slots = [variants(slot, extra.get(slot))[0] for slot in ("content", "behavior", "predictor")]
    flat = [[spec for specs in slot.values() for spec in specs] for slot in slots]
    generator = np.random.default_rng(0)
    seen = set()
    for _ in range(120):
        content, behavior, predictor = (each[generator.integers(len(each))] for each in flat)
        model = Recommender(content, behavior, predictor, width=WIDTH)
        why = broken(content, behavior, predictor)
        problems = check(Experiment(data=data, model=model))
        assert bool(problems) == (why is not None), (model, why, problems)
        seen.add(why)
    assert None in seen
    assert len(seen) > 2


# --- compiled, trained, scored ------------------------------------------------------------------------------------------------


class Stages:
    """Each operator built once; models are put together of them. All that differs between models is what stands in the middle."""

    def __init__(self, data: Any) -> None:
        self.data = data
        self.built: dict[Any, Any] = {}
        self.batches: dict[Any, Any] = {}

    def content(self, spec: Any) -> Any:
        """A compiled model with this content."""
        if ("content", spec) not in self.built:
            model = Recommender(spec, Mean(), Dot(), width=WIDTH)
            self.built["content", spec] = compile(Experiment(data=self.data, model=model))
        return self.built["content", spec]

    def module(self, slot: str, spec: Any, context: Context) -> Any:
        """The module of a behavior operator or predictor; one that reads attributes or tokens belongs to its model."""
        key = (
            slot,
            spec,
            tuple(context.item_vocabularies),
            tuple(context.user_vocabularies),
            context.token_width,
        )
        if key not in self.built:
            with lent(0, "initialisation", slot):
                self.built[key] = spec.build(context)
        return self.built[key]

    def pipeline(self, triple: Triple) -> tuple[Pipeline, Store]:
        """The model, put together."""
        made = self.content(triple.content)
        model = Recommender(triple.content, triple.behavior, triple.predictor, width=WIDTH)
        asked = triple.behavior.needs | triple.predictor.needs
        tokens = next((each.tokens.tokens for each in made.fed.values() if each.tokens is not None), None)
        gather = gather_of(model, made.store, tokens if Need.TOKENS in asked else None)
        context = Context(
            width=WIDTH,
            input_width=WIDTH,
            length=made.history,
            items=made.store.item_count + 1,
            users=gather.user_count,
            item_vocabularies={name: len(codes) for name, codes in gather.items.items()},
            user_vocabularies={name: len(codes) for name, codes in gather.profile.items()},
            token_width=WIDTH if gather.tokens is not None else 0,
            token_length=400 if gather.tokens is not None else 0,
            generator=torch.Generator().manual_seed(0),
        )
        pipeline = Pipeline(
            made.pipeline.content,
            self.module("behavior", triple.behavior, context),
            self.module("predictor", triple.predictor, context),
            feed=made.pipeline.feed,
            gather=gather,
            candidate_aware=Need.CANDIDATES in triple.behavior.needs,
        )
        return pipeline, made.store


@pytest.fixture(scope="module")
def stages(data):
    """Shared by all models of this file."""
    return Stages(data)


def try_model(pipeline: Pipeline, store: Store) -> None:
    """A step for either task, then both ways of scoring."""
    train = store.part("train").recent(6)
    for task in (Matching(negatives=2), Ranking()):
        rows = draw(train, task.candidates, store.users, store.item_count, np.random.default_rng(0))
        batch = batch_of(pipeline.gather, train, store.users, rows, np.arange(5))
        pipeline.train().zero_grad()
        out = pipeline(batch)
        loss = task.build(Context(width=WIDTH, input_width=WIDTH, length=6))(
            out.tensor, batch.labels, batch.candidate_mask
        )
        total = torch.stack([loss, *out.losses.values()]).sum()
        total.backward()
        gradients = [each.grad for each in pipeline.parameters() if each.grad is not None]
        assert torch.isfinite(total)
        assert any(each.any() for each in gradients)
        assert all(torch.isfinite(each).all() for each in gradients)
    pipeline.eval()
    test = store.part("test").recent(6).take(np.arange(3))
    empty = test.start.copy()
    empty[1] = test.stop[1]  # a user without history is legal everywhere
    test = attrs.evolve(test, start=empty)
    fast = score.cached(pipeline, test, store.users)
    slow = score.naive(pipeline, test, store.users, page=2)
    assert np.isfinite(fast).all()
    np.testing.assert_allclose(fast, slow, rtol=2e-5, atol=2e-5 * max(1.0, float(np.abs(slow).max())))


@pytest.mark.parametrize("piece", range(PIECES))
def test_models_train_and_score(models, stages, piece):
    """A seeded sample of all models, or every one: a training step, and scores that no cache changes."""
    chosen = models.valid if ALL else sampled(models.valid, SAMPLE, seed=0)
    # By content, so that each is compiled by one worker.
    names = sorted({triple.names[0] for triple in chosen})
    wrong = []
    for triple in chosen:
        if names.index(triple.names[0]) % PIECES != piece:
            continue
        try:
            try_model(*stages.pipeline(triple))
        except Exception as error:  # noqa: BLE001 - all that is wrong is told at once
            wrong.append(
                f"{triple.content!r}, {triple.behavior!r}, {triple.predictor!r}: {type(error).__name__}: {error}"[
                    :500
                ]
            )
    assert not wrong, f"{len(wrong)} models: " + "\n".join(wrong[:20])


def test_sampled_models_compile(data, models):
    """A smaller sample through the whole compiler: all checks, the trial, weights."""
    for triple in sampled(models.valid, 25, seed=1):
        model = Recommender(triple.content, triple.behavior, triple.predictor, width=WIDTH)
        made = compile(Experiment(data=data, model=model, task=Ranking()))
        assert sum(each.numel() for each in made.pipeline.parameters()) >= 0
