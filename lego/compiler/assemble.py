"""Specs + prepared data → one pipeline: the only place where the stages meet."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import attrs
import torch
from torch import nn

from lego.compiler.check import check, reads_of
from lego.compiler.content import SHARED, Builder, Fed, fed, fitted, leaves, shared_reads, unreadable
from lego.compiler.gather import Gather, batch_of, gather_of, lacking
from lego.compiler.pipeline import Pipeline
from lego.contract import Form, Need, Reads
from lego.data.prepare import prepare
from lego.data.store import Store
from lego.data.text import ItemTokens, item_tokens, longest
from lego.errors import CompositionError, Problem
from lego.experiment import Experiment
from lego.home import home
from lego.pretrained.states import HiddenStates, bytes_for
from lego.recommender import Recommender
from lego.seed import lent, torch_generator
from lego.spec import Context, Encoder

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from lego.data.batch import Batch
    from lego.data.sampling import Rows
    from lego.data.store import Impressions
    from lego.ragged import Ragged

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
    """The attributes that are read, with their token budgets."""
    encoders: Mapping[str, Encoder]
    """What makes token ids, by name: `lego.compiler.content.SHARED`, or the place of an operator with its own tokenizer."""
    fed: Mapping[str, Fed]
    """What each content operator is fed with, by its place; '' where there is one alone."""
    pipeline: Pipeline
    caches: tuple[CacheLine, ...]

    @property
    def truncated(self) -> dict[str, int]:
        """Items that lost tokens, by attribute."""
        return {
            name: count
            for each in self.fed.values()
            if each.tokens is not None
            for name, count in each.tokens.truncated.items()
        }

    @property
    def budgets(self) -> dict[str, int]:
        """The most tokens of what is read, by attribute; `template` is the text made of several."""
        return {
            name: budget
            for each in self.fed.values()
            if each.tokens is not None
            for name, budget in each.tokens.budgets.items()
        }

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


def checked(experiment: Experiment, *, files: bool = True) -> Experiment:
    """The experiment, or CompositionError with all that is wrong with it; its raw files too, unless they are not needed."""
    problems = check(experiment, files=files)
    if problems:
        raise CompositionError(problems)
    return experiment


def compile(  # noqa: A001 - the verb of the language
    experiment: Experiment,
    *,
    store: Store | None = None,
    encoders: Mapping[str, Encoder] | None = None,
    weights: bool = True,
    device: str = "cpu",
    progress: Progress | None = None,
) -> Compiled:
    """Checks everything before a weight is loaded, prepares the data where it is not yet, and assembles the pipeline.

    `weights=False` assembles shapes only, on the meta device, for the plan. CompositionError lists all problems at once.
    """
    checked(experiment, files=store is None)
    model = experiment.model
    if not isinstance(model, Recommender):
        what = "it is fitted as it is; only a Recommender is compiled"
        raise CompositionError([Problem(f"model={model!r}", what, "use `lego run`")])
    store = store or prepare(experiment.data, home() / "data", progress=progress)
    problems = unfit(experiment, store)
    if problems:
        raise CompositionError(problems)
    reads = _reads(experiment, model, store)
    encoders = fitted(model, reads, store, encoders)
    inputs = fed(model.content, reads, store, encoders)
    gather = gather_of(model, store, _history_tokens(model, reads, store, encoders))
    seed = experiment.training.seed
    context = _contexts(experiment, model, store, encoders, gather, weights=weights)
    caches: list[CacheLine] = []

    def states(module: Any, tokens: ItemTokens) -> HiddenStates | None:
        made, line = _states(module, tokens, weights=weights, progress=progress)
        caches.append(line)
        return made

    builder = Builder(
        context=context["content"],
        words=model.words if SHARED in encoders else None,
        fed=inputs,
        encoders=encoders,
        store=store,
        seed=seed,
        states=states,
    )
    with torch.device("cpu" if weights else "meta"):
        modules = {
            "content": builder.module(model.content),
            "behavior": _built("behavior", model.behavior, context["behavior"], seed),
            "predictor": _built("predictor", model.predictor, context["predictor"], seed),
        }
    if weights:
        modules = {slot: module.to(device) for slot, module in modules.items()}
    nobody = None
    if not model.behavior.gives & Form.SEQUENCE:
        nobody = nn.Parameter(torch.zeros(model.width, device=device if weights else "meta"))
    pipeline = Pipeline(
        **modules,
        nobody=nobody,
        feed=builder.feed(model.content, modules["content"]),
        gather=gather,
        scoring=model.predictor.needs,
        encoding=model.behavior.needs,
        candidate_aware=Need.CANDIDATES in model.behavior.needs,
    )
    return Compiled(
        experiment=experiment,
        model=model,
        store=store,
        reads=reads,
        encoders=encoders,
        fed=inputs,
        pipeline=pipeline,
        caches=(*caches, *_evaluation_caches(model, store)),
    )


def unfit(experiment: Experiment, store: Store) -> list[Problem]:
    """What a checked experiment asks of its prepared data that this does not have. Only a Recommender asks for anything."""
    model = experiment.model
    if not isinstance(model, Recommender):
        return []
    try:
        reads = _reads(experiment, model, store)
    except CompositionError as error:
        return list(error.problems)
    return [*unreadable(model.content, reads, store), *lacking(model, store)]


def _reads(experiment: Experiment, model: Recommender, store: Store) -> Mapping[str, int]:
    """The attributes that the content operators read, with their budgets; CompositionError where there is none."""
    reads = reads_of(experiment, model)
    used = {name for leaf in leaves(model.content, reads) for name in leaf.reads}
    by_rows = all(leaf.spec.reads is Reads.ROWS for leaf in leaves(model.content, reads))
    if not used and not by_rows:
        what = "the data declares no attribute to read"
        fix = f"name some of {', '.join(store.attributes)}: reads={{'title': 30}}"
        raise CompositionError([Problem("reads", what, fix)])
    return {name: budget for name, budget in reads.items() if name in used}


def _longest_history(experiment: Experiment, model: Recommender, encoders: Mapping[str, Encoder]) -> int:
    """The most tokens that a whole history can have."""
    if SHARED not in encoders:
        return 0
    budgets = shared_reads(model.content, reads_of(experiment, model))
    return history_of(experiment) * longest(budgets, encoders[SHARED])


def _history_tokens(
    model: Recommender, reads: Mapping[str, int], store: Store, encoders: Mapping[str, Encoder]
) -> Ragged | None:
    """The tokens of items as an operator that reads whole histories of them is given these."""
    if Need.TOKENS not in model.behavior.needs | model.predictor.needs:
        return None
    wanted = shared_reads(model.content, reads)
    return item_tokens(store, wanted, encoders[SHARED], home() / "tokens").tokens


def _contexts(
    experiment: Experiment,
    model: Recommender,
    store: Store,
    encoders: Mapping[str, Encoder],
    gather: Gather,
    *,
    weights: bool,
) -> dict[str, Context]:
    seed = experiment.training.seed
    base = Context(
        width=model.width,
        input_width=model.width,
        length=history_of(experiment),
        items=store.items.num_rows + 1,
        users=gather.user_count,
        item_vocabularies={name: len(codes) for name, codes in gather.items.items()},
        user_vocabularies={name: len(codes) for name, codes in gather.profile.items()},
        impression_vocabularies={name: len(codes) for name, codes in gather.impression.items()},
        token_width=model.words.width(model.width) if SHARED in encoders else 0,
        token_length=_longest_history(experiment, model, encoders),
        store=store,
        weights=weights,
    )
    return {
        "content": attrs.evolve(base, generator=torch_generator(seed, "initialisation", "content by hand")),
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
    content: Any, tokens: ItemTokens, *, weights: bool, progress: Progress | None
) -> tuple[HiddenStates | None, CacheLine]:
    """The frozen lower layers' outputs, made once for all items and shared between runs."""
    folder, what = home() / "states", "hidden states of the frozen layers"
    if not weights:
        lengths = tokens.tokens.lengths
        count = int(lengths.sum() if content.states_per == "token" else (lengths > 0).sum())
        return None, CacheLine(
            what, str(folder), bytes_for(count, content.states_width, content.states_dtype)
        )
    states = HiddenStates.build(
        folder,
        key=content.states_key,
        tokens=tokens.tokens,
        tokens_identity=tokens.identity,
        lower=content.lower,
        dtype=content.states_dtype,
        per=content.states_per,
        about=content.states_about,
        progress=progress,
    )
    content.drop_lower()
    return states, CacheLine(what, str(states.path), states.bytes)


def _evaluation_caches(model: Recommender, store: Store) -> list[CacheLine]:
    items = CacheLine("item vectors, at evaluation", "memory", (store.items.num_rows + 1) * model.width * 4)
    return [items]
