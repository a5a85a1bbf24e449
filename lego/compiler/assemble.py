"""Specs + prepared data → one pipeline: the only place where the stages meet."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import attrs
import torch
from torch import nn

from lego.compiler.check import check, unknown_attributes
from lego.compiler.feed import ItemFeed
from lego.compiler.gather import Gather, batch_of, gather_of, lacking
from lego.compiler.pipeline import Pipeline
from lego.contract import Need, Reads
from lego.data.store import Store, prepare
from lego.data.text import ItemTokens, item_tokens
from lego.errors import CompositionError, Problem
from lego.experiment import Experiment
from lego.home import home
from lego.nn.token_encoder import TokenEncoder
from lego.pretrained.states import HiddenStates
from lego.recommender import Recommender
from lego.seed import lent, torch_generator
from lego.spec import Context, Encoder

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from lego.data.batch import Batch
    from lego.data.sampling import Rows
    from lego.data.store import Impressions

Progress = Callable[..., None]
"""Told what is done: a phrase; or a phrase, how much of it, and of how much."""


@attrs.frozen
class CacheLine:
    """What is computed once and kept: what, where, how large, for whom."""

    what: str
    where: str
    bytes: int


@attrs.frozen(eq=False, kw_only=True)
class Compiled:
    """A Recommender over prepared data. Its pipeline is ready to be fitted or scored."""

    experiment: Experiment
    model: Recommender
    store: Store
    reads: Mapping[str, int]
    encoder: Encoder | None
    tokens: ItemTokens | None
    pipeline: Pipeline
    caches: tuple[CacheLine, ...]

    @property
    def history(self) -> int:
        """S, the most items of a history that are read; the most recent are kept."""
        return history_of(self.experiment)

    def batch(
        self, impressions: Impressions, rows: Rows, chosen: NDArray[np.integer], *, deduplicate: bool = True
    ) -> Batch:
        """The rows at `chosen` as a batch of this model."""
        return batch_of(
            self.pipeline.gather, impressions, self.store.users, rows, chosen, deduplicate=deduplicate
        )


def history_of(experiment: Experiment) -> int:
    """The history length a source declares."""
    return int(getattr(experiment.data, "history", 50))


def checked(experiment: Experiment) -> Experiment:
    """The experiment, or CompositionError with all that is wrong with it."""
    problems = check(experiment)
    if problems:
        raise CompositionError(problems)
    return experiment


def compile(  # noqa: A001 - the verb of the language
    experiment: Experiment,
    *,
    store: Store | None = None,
    encoder: Encoder | None = None,
    weights: bool = True,
    device: str = "cpu",
    progress: Progress | None = None,
) -> Compiled:
    """Checks everything before a weight is loaded, prepares the data where it is not yet, and assembles the pipeline.

    `weights=False` assembles shapes only, on the meta device, for the plan. CompositionError lists all problems at once.
    """
    checked(experiment)
    model = experiment.model
    if not isinstance(model, Recommender):
        what = "it is fitted as it is; only a Recommender is compiled"
        raise CompositionError([Problem(f"model={model!r}", what, "use `lego run`")])
    store = store or prepare(experiment.data, home() / "data", progress=progress)
    reads = _reads(experiment, model, store)
    tokenizer = model.tokenizer
    tokens = None
    if tokenizer is not None:
        if encoder is None:
            encoder = tokenizer.fit({name: store.items.column(name) for name in reads})
        tokens = item_tokens(store, reads, encoder, home() / "tokens")
    problems = list(lacking(model, store))
    if problems:
        raise CompositionError(problems)
    gather = gather_of(model, store, None if tokens is None else tokens.tokens)
    seed = experiment.training.seed
    context = _contexts(experiment, model, store, encoder, tokens, gather, weights=weights)
    with torch.device("cpu" if weights else "meta"):
        modules = {
            slot: _built(slot, getattr(model, slot), context[slot], seed)
            for slot in ("content", "behavior", "predictor")
        }
        if tokenizer is not None and model.content.reads is Reads.VECTORS:
            with lent(seed, "initialisation", "tokens"):
                table = tokenizer.build(context["content"])
            modules["content"] = TokenEncoder(table, modules["content"])
    if weights:
        modules = {slot: module.to(device) for slot, module in modules.items()}
    states, caches = _states(model, modules["content"], tokens, weights=weights, progress=progress)
    pipeline = Pipeline(
        **modules,
        feed=ItemFeed(tokens=None if tokens is None else tokens.tokens, states=states),
        gather=gather,
        candidate_aware=Need.CANDIDATES in model.behavior.needs,
    )
    return Compiled(
        experiment=experiment,
        model=model,
        store=store,
        reads=reads,
        encoder=encoder,
        tokens=tokens,
        pipeline=pipeline,
        caches=(*caches, *_evaluation_caches(experiment, model, store)),
    )


def _reads(experiment: Experiment, model: Recommender, store: Store) -> Mapping[str, int]:
    if model.content.reads is Reads.ROWS:
        return {}
    reads = model.reads or experiment.data.reads
    problems = list(unknown_attributes(reads, store.attributes))
    if not reads:
        what = "the data declares no attribute to read"
        problems.append(
            Problem("reads", what, f"name some of {', '.join(store.attributes)}: reads={{'title': 30}}")
        )
    if problems:
        raise CompositionError(problems)
    return dict(reads)


def _contexts(
    experiment: Experiment,
    model: Recommender,
    store: Store,
    encoder: Encoder | None,
    tokens: ItemTokens | None,
    gather: Gather,
    *,
    weights: bool,
) -> dict[str, Context]:
    tokenizer, seed = model.tokenizer, experiment.training.seed
    input_width = model.width
    if tokenizer is not None and model.content.reads is Reads.VECTORS:
        input_width = tokenizer.width(model.width)
    base = Context(
        width=model.width,
        input_width=model.width,
        length=history_of(experiment),
        items=store.items.num_rows + 1,
        users=gather.user_count,
        item_vocabularies={name: len(codes) for name, codes in gather.items.items()},
        user_vocabularies={name: len(codes) for name, codes in gather.profile.items()},
        store=store,
        encoder=encoder,
        weights=weights,
    )
    return {
        "content": attrs.evolve(
            base,
            input_width=input_width,
            length=1 if tokens is None else tokens.length,
            generator=torch_generator(seed, "initialisation", "content by hand"),
        ),
        "behavior": attrs.evolve(base, generator=torch_generator(seed, "initialisation", "behavior by hand")),
        "predictor": attrs.evolve(
            base, generator=torch_generator(seed, "initialisation", "predictor by hand")
        ),
    }


def _built(slot: str, spec: Any, context: Context, seed: int) -> nn.Module:
    """Each slot draws its first weights from a stream of its own, so that changing one operator leaves the others' alone."""
    with lent(seed, "initialisation", slot):
        module: nn.Module = spec.build(context)
    return module


def _states(
    model: Recommender,
    content: Any,
    tokens: ItemTokens | None,
    *,
    weights: bool,
    progress: Progress | None,
) -> tuple[HiddenStates | None, list[CacheLine]]:
    """The frozen lower layers' outputs, made once for all items and shared between runs."""
    if Need.STATES not in model.content.item_needs or tokens is None:
        return None, []
    folder = home() / "states"
    if not weights:
        count = int(tokens.tokens.offsets[-1])
        return None, [
            CacheLine("hidden states of the frozen layers", str(folder), count * content.states_width * 4)
        ]
    states = HiddenStates.build(
        folder,
        key=content.states_key,
        tokens=tokens.tokens,
        tokens_identity=tokens.identity,
        lower=content.lower,
        progress=progress,
    )
    content.drop_lower()
    return states, [CacheLine("hidden states of the frozen layers", str(states.path), states.bytes)]


def _evaluation_caches(experiment: Experiment, model: Recommender, store: Store) -> list[CacheLine]:
    items = CacheLine("item vectors, at evaluation", "memory", (store.items.num_rows + 1) * model.width * 4)
    return [items]
