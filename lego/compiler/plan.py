"""The plan of an experiment: what `lego explain` prints. Modules are made on the meta device, so no weight is loaded for it."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from html import escape
from typing import TYPE_CHECKING, Any

import attrs
import torch
from torch.utils.flop_counter import FlopCounterMode

from lego.compiler import assemble
from lego.compiler.assemble import CacheLine, Compiled, Progress, history_of
from lego.compiler.content import Fed
from lego.compiler.feed import Feed, Feeds, ItemFeed, Page
from lego.contract import Form, Need, Needs, Out, Reads
from lego.data.batch import Batch
from lego.data.sampling import draw
from lego.expression import layout, write
from lego.pretrained.model import LanguageModel
from lego.recommender import Recommender
from lego.seed import numpy_generator
from lego.spec import Content, Context, Spec

if TYPE_CHECKING:
    from torch import Tensor

    from lego.experiment import Experiment


@attrs.frozen
class Stage:
    """One step of the pipeline."""

    name: str
    operator: str
    gets: str
    gives: str
    trainable: int
    frozen: int


@attrs.frozen(kw_only=True)
class Plan:
    """What an experiment will do."""

    text: str
    data: dict[str, Any]
    stages: tuple[Stage, ...]
    losses: tuple[str, ...]
    """The auxiliary losses beside that of the task."""
    caches: tuple[CacheLine, ...]
    bytes: dict[str, int]
    """`loaded` for all weights, `learning` for those that learn, `training` for their gradients and what the optimiser keeps of
    them, `cached` for all caches. Frozen layers whose states are cached are loaded once, and leave memory then."""
    notes: tuple[str, ...]
    batch: dict[str, int]
    flops_per_step: float | None

    @property
    def trainable(self) -> int:
        """Weights that learn."""
        return sum(stage.trainable for stage in self.stages)

    @property
    def frozen(self) -> int:
        """Weights that do not."""
        return sum(stage.frozen for stage in self.stages)

    def record(self) -> dict[str, Any]:
        """The plan as plain JSON types."""
        return {
            "text": self.text,
            "data": self.data,
            "stages": [attrs.asdict(stage) for stage in self.stages],
            "parameters": {"trainable": self.trainable, "frozen": self.frozen},
            "bytes": self.bytes,
            "losses": list(self.losses),
            "caches": [attrs.asdict(cache) for cache in self.caches],
            "batch": self.batch,
            "flops_per_step": self.flops_per_step,
            "notes": list(self.notes),
        }

    def _repr_html_(self) -> str:
        """The plan in a notebook: the expression, a row for each stage, and the rest in words."""
        head = "".join(
            f"<th>{name}</th>" for name in ("stage", "operator", "gets", "gives", "learn", "frozen")
        )
        rows = "".join(
            f"<tr><th>{escape(stage.name)}</th><td><code>{escape(stage.operator)}</code></td><td>{escape(stage.gets)}</td>"
            f"<td>{escape(stage.gives)}</td><td>{stage.trainable:,}</td><td>{stage.frozen:,}</td></tr>"
            for stage in self.stages
        )
        below = "".join(f"<li>{escape(line)}</li>" for line in self._remarks())
        return (
            f"<pre><code>{escape(self.text)}</code></pre>"
            f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table><ul>{below}</ul>"
        )

    def lines(self) -> Iterator[str]:
        """The plan for people."""
        yield self.text
        yield ""
        for stage in self.stages:
            yield f"{stage.name}: {stage.operator}"
            yield f"  {stage.gets} -> {stage.gives}"
            yield f"  {stage.trainable:,} weights learn, {stage.frozen:,} are frozen"
        yield ""
        yield from self._remarks()

    def _remarks(self) -> Iterator[str]:
        yield "data: " + ", ".join(
            f"{value:,} {key}" for key, value in self.data.items() if isinstance(value, int)
        )
        yield f"weights: {self.trainable:,} trainable, {self.frozen:,} frozen"
        size = {name: _bytes(count) for name, count in self.bytes.items()}
        yield (
            f"bytes: {size['loaded']} of weights are loaded, {size['learning']} of them learn, with {size['training']} of "
            f"gradients and moments beside them; {size['cached']} are cached"
        )
        if self.losses:
            yield f"losses beside that of the task: {', '.join(self.losses)}"
        for cache in self.caches:
            yield f"cache: {cache.what}, {_bytes(cache.bytes)}, {cache.where}"
        yield (
            f"a training batch: {self.batch['slots']:,} slots, of which {self.batch['real']:,} are real and "
            f"{self.batch['distinct']:,} distinct items are encoded"
        )
        work = (
            "not estimated: an operator cannot run on shapes alone"
            if self.flops_per_step is None
            else _flops(self.flops_per_step)
        )
        yield f"work of a training step (forward and backward, matrix products only): {work}"
        for note in self.notes:
            yield f"note: {note}"


def plan_of(experiment: Experiment, *, progress: Progress | None = None) -> Plan:
    """Compiles for shapes, and runs one step on the meta device to count its work. CompositionError as `compile`."""
    compiled = assemble.compile(experiment, weights=False, progress=progress)
    store = compiled.store
    batch = _a_batch(compiled)
    parts = {f"{part} impressions": len(store.part(part).impression) for part in ("train", "dev", "test")}
    return Plan(
        text=layout(experiment, full=True),
        data={
            "path": str(store.path),
            "items": store.items.num_rows,
            "users": len(store.users.user_ids),
            **parts,
        },
        stages=tuple(_stages(compiled)),
        losses=compiled.model.losses,
        caches=compiled.caches,
        bytes=_bytes_of(compiled),
        notes=tuple(_notes(compiled)),
        batch={"slots": batch.slots, "real": batch.real, "distinct": batch.distinct},
        flops_per_step=_flops_of(compiled, batch),
    )


def _bytes_of(compiled: Compiled) -> dict[str, int]:
    """What weights and caches take. Adam keeps two numbers of a weight beside its gradient."""
    counts = {True: 0, False: 0}
    models = (part for part in compiled.pipeline.modules() if isinstance(part, LanguageModel))
    sizes = {id(parameter): size for model in models for parameter, size in model.sizes()}
    for parameter in compiled.pipeline.parameters():
        size = sizes.get(id(parameter), parameter.numel() * parameter.element_size())
        counts[parameter.requires_grad] += size
    cached = sum(cache.bytes for cache in compiled.caches)
    return {
        "loaded": sum(counts.values()),
        "learning": counts[True],
        "training": 3 * counts[True],
        "cached": cached,
    }


def _stages(compiled: Compiled) -> Iterator[Stage]:
    model, pipeline = compiled.model, compiled.pipeline
    width = model.width
    gets = "; ".join(_fed_with(each, model) for each in compiled.fed.values())
    history = f"history (B, S={history_of(compiled.experiment)}, D={width})"
    yield _stage("content", model.content, pipeline.content, gets, f"items (N, D={width})")
    yield _stage(
        "behavior",
        model.behavior,
        pipeline.behavior,
        history,
        f"user as {_label(model.behavior.gives, width)}",
        () if pipeline.nobody is None else (pipeline.nobody,),
    )
    taken = f"user as {_label(model.behavior.gives, width)}, candidates (B, C, D={width})"
    yield _stage("predictor", model.predictor, pipeline.predictor, taken, "scores (B, C), float32")


def _fed_with(each: Fed, model: Recommender) -> str:
    """What one content operator reads, and as what."""
    leaf = each.leaf
    kind = {
        Reads.ROWS: "item rows (N, 1)",
        Reads.TOKENS: "its own tokens (N, L)",
        Reads.VECTORS: f"tokens (N, L) of {model.words!r}",
        Reads.CODES: "codes (N, V)",
        Reads.NUMBERS: "numbers (N, 1)",
    }[leaf.spec.reads]
    budgets = each.tokens is not None
    reads = ", ".join(f"{name} (up to {budget})" if budgets else name for name, budget in leaf.reads.items())
    return f"{reads}: {kind}" if reads else kind


def _label(form: Form, width: int) -> str:
    return form.label.replace("D)", f"D={width})")


def _stage(
    name: str,
    spec: Spec,
    module: torch.nn.Module,
    gets: str,
    gives: str,
    beside: tuple[torch.nn.Parameter, ...] = (),
) -> Stage:
    counts = {True: 0, False: 0}
    for parameter in (*module.parameters(), *beside):
        counts[parameter.requires_grad] += parameter.numel()
    return Stage(name, write(spec, full=True), gets, gives, counts[True], counts[False])


def _notes(compiled: Compiled) -> Iterator[str]:
    if compiled.model.content.transductive:
        yield "items are known by id alone: an item that was not in the data cannot be told from any other unknown one"
    for name, count in compiled.truncated.items():
        if count:
            items, budget = compiled.store.items.num_rows, compiled.budgets[name]
            yield f"{count:,} of {items:,} items have more {name} than {budget} tokens and are cut"


def _a_batch(compiled: Compiled) -> Batch:
    """The first batch of the first epoch."""
    experiment, store = compiled.experiment, compiled.store
    train = store.part("train").recent(compiled.history)
    seed = experiment.training.seed
    rows = draw(
        train,
        experiment.task.candidates,
        store.users,
        store.items.num_rows,
        numpy_generator(seed, "negatives", 0),
    )
    order = numpy_generator(seed, "order", 0).permutation(len(rows))
    return compiled.batch(train, rows, order[: experiment.training.batch_size])


class _OnMeta:
    """A feed that gives the shapes of given items, whatever rows it is asked for."""

    def __init__(self, feed: ItemFeed, rows: Tensor, states: tuple[int, str] | None) -> None:
        self.feed, self.rows, self.states = feed, rows, states

    def pages(self, rows: Tensor) -> Iterator[Page]:
        """The pages of the rows given at the start, as shapes."""
        for page in self.feed.pages(self.rows):
            tokens = page.tokens.to("meta")
            states = None
            if self.states is not None:
                width, per = self.states
                count, length = tokens.shape
                states = tokens.new_empty(count, length if per == "token" else 1, width, dtype=torch.float32)
            needs = attrs.evolve(page.needs.to("meta"), states=states)
            yield Page(page.places.to("meta"), tokens, page.mask.to("meta"), needs)


class _PartsOnMeta(Feeds):
    """The same for a combination."""

    def present(self, rows: Tensor) -> Tensor:
        """rows (N,) -> (N, K)."""
        return torch.ones(len(rows), len(self.parts), dtype=torch.bool, device="meta")

    def needs(self, rows: Tensor) -> Needs:
        """rows (N,) -> one value of each attribute."""
        return Needs(
            items={name: torch.ones(len(rows), 1, dtype=torch.int64, device="meta") for name in self.labels}
        )


def _on_meta(feed: Feed, content: Any, spec: Content, rows: Tensor) -> Any:
    """The feed of a content tree, as shapes."""
    if isinstance(feed, Feeds):
        inner = zip(feed.parts, content.parts, spec.content_parts.values(), strict=True)
        return _PartsOnMeta(parts=tuple(_on_meta(*each, rows) for each in inner), labels=feed.labels)
    states = (int(content.states_width), content.states_per) if Need.STATES in spec.item_needs else None
    return _OnMeta(feed, rows, states)


def _flops_of(compiled: Compiled, batch: Batch) -> float | None:
    """Floating point operations of one step, counted on shapes; None where an operator looks at values."""
    pipeline = compiled.pipeline
    real_feed = pipeline.feed
    context = Context(
        width=compiled.model.width,
        input_width=compiled.model.width,
        length=compiled.history,
        items=compiled.store.items.num_rows + 1,
    )
    counter = FlopCounterMode(display=False)
    pipeline.feed = _on_meta(real_feed, pipeline.content, compiled.model.content, batch.items)
    try:
        with counter, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            out: Out = pipeline(batch.to("meta"))
            loss = compiled.experiment.task.build(context)(
                out.tensor, batch.labels.to("meta"), batch.candidate_mask.to("meta")
            )
            if loss.requires_grad:
                loss.backward()
    except (RuntimeError, NotImplementedError, TypeError):
        return None
    finally:
        pipeline.feed = real_feed
    return float(counter.get_total_flops())


def _flops(count: float) -> str:
    return f"{count / 1e9:,.2f} GFLOP"


def _bytes(count: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"
