"""An experiment = data + model + task + training + evaluation: plain values, read from a script, edited by `set`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

import attrs

from lego.errors import ExpressionError, SpecError, did_you_mean
from lego.spec import (
    Choice,
    FrozenMap,
    Metric,
    Scorer,
    Source,
    Spec,
    Task,
    Tracker,
    between,
    field_names,
    ge,
    gt,
    operator,
)
from lego.task.matching import Matching

if TYPE_CHECKING:
    from lego.compiler.plan import Plan
    from lego.runtime.repeat import Repeated
    from lego.runtime.run import Run
    from lego.runtime.standings import Sweep


@operator
class Training(Spec):
    """How a model is fitted.

    `pretrained_lr` is the rate of language model weights (`lr` unless given); `warmup` a share of all steps; `clip` the largest
    norm of the gradient; `monitor` the metric on the dev part that decides which epoch is kept, `patience` how many epochs
    without a better one are waited for; `accumulate` how many batches make a step; `precision="bf16"` runs the forward pass in
    autocast, which rounds. `checkpointing=True` runs the layers of a language model again in the backward pass instead of
    keeping what they gave: slower, less memory, the same gradients. `deduplicate=False` encodes every slot of a batch instead
    of every distinct item: slower, the same gradients where dropout is 0. `tables="touched"` updates of the tables of words, ids
    and categories only the rows that a batch reads: faster where tables are large, not the same numbers, since Adam moves the
    other rows on by what it remembers of them. `compile=True` trains through torch.compile, which needs a C++ compiler, takes
    a minute or more before the first step, and rounds in another order.
    """

    epochs: int = attrs.field(default=5, validator=ge(0))
    batch_size: int = attrs.field(default=64, validator=ge(1))
    lr: float = attrs.field(default=1e-3, validator=gt(0))
    pretrained_lr: float | None = attrs.field(default=None, validator=gt(0))
    weight_decay: float = attrs.field(default=0.0, validator=ge(0))
    warmup: float = attrs.field(default=0.0, validator=between(0, 1))
    schedule: Literal["constant", "linear", "cosine"] = "constant"
    clip: float | None = attrs.field(default=None, validator=gt(0))
    accumulate: int = attrs.field(default=1, validator=ge(1))
    monitor: str = "gauc"
    patience: int = attrs.field(default=5, validator=ge(1))
    precision: Literal["fp32", "bf16"] = "fp32"
    compile: bool = False
    checkpointing: bool = False
    deduplicate: bool = True
    tables: Literal["all", "touched"] = "all"
    seed: int = attrs.field(default=0, validator=ge(0))


@operator
class Evaluation(Spec):
    """How scores are read: by which protocol (the data set's own unless given), in which metrics, with ties counted how (as the
    protocol has it unless given).
    """

    protocol: (
        Literal["mind", "ms_recommenders", "legommenders", "once", "newsreclib", "ebnerd", "recbench"] | None
    ) = None
    metrics: tuple[str | Metric, ...] = (
        "gauc",
        "auc",
        "mrr",
        "mrr_all",
        "ndcg@5",
        "ndcg@10",
        "hit@5",
        "recall@10",
        "logloss",
    )
    ties: Literal["average", "argsort", "stable", "pessimistic", "optimistic"] | None = None


@operator
class Experiment(Spec):
    """What `lego run` runs. `trackers` are told of it while it goes on, and are no part of what it is known by."""

    data: Source
    model: Scorer
    task: Task = attrs.field(factory=Matching)
    training: Training = attrs.field(factory=Training)
    evaluation: Evaluation = attrs.field(factory=Evaluation)
    trackers: tuple[Tracker, ...] = ()

    @property
    def untracked(self) -> Experiment:
        """The same without trackers: what decides the numbers."""
        made: Experiment = _evolved(self, {"trackers": ()})
        return made

    def set(self, *changes: str, names: Any = None) -> Experiment:
        """Another experiment, with `model.behavior=GRU()` or `training.lr=3e-4` replaced; SpecError where no such path is."""
        made: Any = self
        for change in changes:
            path, sign, text = change.partition("=")
            if not sign or not path.strip() or not text.strip():
                raise ExpressionError.at(
                    change, len(path), "A change is written PATH=VALUE, as in training.lr=3e-4."
                )
            made = _replaced(made, path.strip().split("."), _value(text.strip(), names), path.strip())
        return made

    def rebased(self, folder: Path) -> Experiment:
        """Another experiment, whose relative paths are relative to `folder`."""
        return rebased(self, folder)

    def plan(self) -> Plan:
        """What `lego explain` prints: shapes, weights, caches and work, with every option; CompositionError with all problems."""
        from lego.compiler.plan import plan_of

        return plan_of(self.rebased(Path.cwd()))

    @overload
    def run(self, *, seeds: None = None, **options: Any) -> Run: ...
    @overload
    def run(self, *, seeds: int, **options: Any) -> Repeated: ...
    def run(self, *, seeds: int | None = None, **options: Any) -> Run | Repeated:
        """The same as `lego run`: compile, prepare, train, test. See `lego.runtime.run.run_experiment` for the options.

        With `seeds`, so many runs that differ in their training seed alone: see `lego.runtime.repeat.repeat`.
        """
        if seeds is not None:
            from lego.runtime.repeat import repeat

            return repeat(self, seeds, **options)
        from lego.runtime.run import run_experiment

        return run_experiment(self, **options)

    def sweep(self, **options: Any) -> Sweep:
        """The same as `lego sweep`: runs every combination of its choices. See `lego.runtime.sweep.sweep` for the options."""
        from lego.runtime.sweep import sweep

        return sweep(self, **options)


def _value(text: str, names: Any) -> Any:
    from lego import expression

    return expression.parse(text, names or expression.resolve)


def _replaced(spec: Any, path: list[str], value: Any, whole: str) -> Any:
    name, *rest = path
    if isinstance(spec, Choice):
        raise SpecError(
            f"--set {whole}: the place is any_of(…) or cases(…). Replace the whole of it, or choose one."
        )
    if isinstance(spec, FrozenMap):
        if rest and name not in spec:
            told = f"{did_you_mean(name, spec)}There are: {', '.join(spec) or 'none'}"
            raise SpecError(f"--set {whole}: nothing is called {name!r}. {told}.")
        if rest and not isinstance(spec[name], Spec | FrozenMap | Choice):
            raise SpecError(f"--set {whole}: {name!r} has no parts. Write the path up to it.")
        return FrozenMap({**spec, name: _replaced(spec[name], rest, value, whole) if rest else value})
    if not isinstance(spec, Spec):
        raise SpecError(f"--set {whole}: {spec!r} has no parts, so nothing is called {name!r} in it.")
    known = field_names(type(spec))
    gathered = type(spec).named
    if gathered and name not in known and (name in getattr(spec, gathered) or isinstance(value, Spec)):
        return _replaced(spec, [gathered, *path], value, whole)  # as in Augment(data, title=Rewrite(…))
    if name not in known:
        raise SpecError(f"--set {whole}: {SpecError.unknown_option(type(spec).__name__, name, known)}")
    if rest:
        value = _replaced(getattr(spec, name), rest, value, whole)
    return _evolved(spec, {name: value})


def _evolved(spec: Any, changes: Mapping[str, Any]) -> Any:
    return attrs.evolve(spec, **changes)


def rebased(value: Any, folder: Path) -> Any:
    """A spec, or what is in one, with paths that are relative to the folder made absolute."""
    if isinstance(value, Choice):
        return Choice(tuple(rebased(each, folder) for each in value.values), tied=value.tied)
    if isinstance(value, tuple):
        return tuple(rebased(each, folder) for each in value)
    if isinstance(value, Mapping):
        return FrozenMap({key: rebased(each, folder) for key, each in value.items()})
    if not isinstance(value, Spec):
        return value
    cls: Any = type(value)
    changes = {}
    for field in attrs.fields(cls):
        if not field.init:
            continue
        old = getattr(value, field.name)
        kind = field.metadata.get("lego.path")
        new = rebased(old, folder) if kind is None else _rebased_path(old, folder, kind)
        if new is not old and new != old:
            changes[field.name] = new
    return _evolved(value, changes) if changes else value


def _rebased_path(value: Any, folder: Path, kind: str) -> Any:
    if isinstance(value, Choice):
        return Choice(tuple(_rebased_path(each, folder, kind) for each in value.values), tied=value.tied)
    if isinstance(value, tuple):
        return tuple(_rebased_path(each, folder, kind) for each in value)
    if isinstance(value, Mapping):
        return FrozenMap({key: _rebased_path(each, folder, kind) for key, each in value.items()})
    if not isinstance(value, str):
        return value
    path = Path(value).expanduser()
    if path.is_absolute():
        return str(path)
    whole = (folder / path).resolve()
    return str(whole) if kind == "always" or whole.exists() else value
