"""Where the time of a run goes: a stopwatch that stages of the work report to while somebody looks, and what it advises.

A stage inside another stops the outer one's clock, so the seconds of all stages add up to the whole. Nobody looks unless
`profiling` is open; then `stage` costs a look at a variable.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Iterator, Mapping
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, TypeVar

import attrs
import torch

from lego.runtime.device import wait_for

if TYPE_CHECKING:
    from torch import nn

    from lego.compiler.assemble import Compiled
    from lego.compiler.pipeline import Pipeline
    from lego.data.batch import Batch

Each = TypeVar("Each")

PHASES = ("training", "dev", "test", "beside")
"""What a run does, in its order. `beside` are the baselines, and the sample that the caches' speed-up is measured on."""
STAGES: Mapping[str, str] = {
    "data": "waiting for batches",
    "items": "reading tokens of items",
    "content": "content operator",
    "behavior": "behavior operator",
    "predictor": "predictor",
    "loss": "loss",
    "backward": "backward",
    "optimizer": "optimiser",
    "metrics": "metrics",
    "saving": "saving checkpoints",
    "rest": "all else",
}
"""Stage → what it is, in the order of the table."""

_watch: ContextVar[Profile | None] = ContextVar("lego profile", default=None)


@attrs.define(eq=False)
class Profile:
    """What was seen: seconds of each stage in each phase, and what the batches held."""

    device: torch.device = attrs.field(factory=lambda: torch.device("cpu"))
    seconds: dict[str, dict[str, float]] = attrs.field(factory=dict)
    cpu: float = 0.0
    """Seconds of all threads of the processor, over all phases."""
    steps: int = 0
    slots: int = 0
    real: int = 0
    distinct: int = 0
    tokens: int = 0
    """Real tokens of the distinct items of the training batches."""
    places: int = 0
    """The same with their padding."""
    _open: list[str] = attrs.field(factory=list, init=False)
    _since: float = attrs.field(default=0.0, init=False)

    def enter(self, name: str) -> None:
        """The outer stage waits from here on."""
        self._pass()
        self._open.append(name)

    def leave(self) -> None:
        """The outer stage goes on."""
        self._pass()
        self._open.pop()

    @property
    def phase(self) -> str | None:
        """The innermost phase that is open: the dev part is measured within training, and is a phase of its own."""
        return next((name for name in reversed(self._open) if name in PHASES), None)

    def _pass(self) -> None:
        wait_for(self.device)
        now = time.perf_counter()
        if self._open:
            stages = self.seconds.setdefault(self.phase or "beside", {})
            name = self._open[-1] if self._open[-1] in STAGES else "rest"
            stages[name] = stages.get(name, 0.0) + now - self._since
        self._since = now

    def batch(self, batch: Batch) -> None:
        """A batch of training."""
        self.steps += 1
        self.slots += batch.slots
        self.real += batch.real
        self.distinct += batch.distinct

    @property
    def total(self) -> float:
        """Seconds of all phases."""
        return sum(sum(stages.values()) for stages in self.seconds.values())

    def of_stage(self, name: str, phase: str | None = None) -> float:
        """Seconds of a stage, in a phase or in all."""
        return sum(
            stages.get(name, 0.0) for each, stages in self.seconds.items() if phase is None or each == phase
        )

    def of_phase(self, phase: str) -> float:
        """Seconds of a phase."""
        return sum(self.seconds.get(phase, {}).values())

    def record(self, compiled: Compiled) -> dict[str, Any]:
        """In plain JSON types."""
        counts = {
            name: getattr(self, name) for name in ("steps", "slots", "real", "distinct", "tokens", "places")
        }
        return {
            "seconds": {
                phase: {name: round(value, 4) for name, value in stages.items()}
                for phase, stages in self.seconds.items()
            },
            "cpu": round(self.cpu, 3),
            "threads": torch.get_num_threads(),
            "training": counts,
            "redundancy": self.redundancy(compiled),
            "advice": list(self.advice(compiled)),
        }

    # --- what was not done ----------------------------------------------------------------------------------------------------

    def redundancy(self, compiled: Compiled) -> list[str]:
        """What the batches held, and how much less was read than slot by slot, padded to the budget; nothing without steps."""
        if not self.steps:
            return []
        items = (
            f"a batch has {self.slots / self.steps:,.0f} slots, {self.real / self.steps:,.0f} hold an item, "
            f"{self.distinct / self.steps:,.0f} distinct ones were encoded: {self.slots / max(1, self.distinct):.1f} times fewer"
        )
        lines = [items]
        budget = sum(compiled.budgets.values()) * self.slots
        if self.tokens and budget > self.places:
            lines.append(
                f"of {budget / self.steps:,.0f} token places {self.places / self.steps:,.0f} were read, "
                f"{self.tokens / self.steps:,.0f} of them tokens: {budget / max(1, self.places):.1f} times fewer"
            )
        return lines

    # --- what it advises --------------------------------------------------------------------------------------------------------

    def advice(self, compiled: Compiled) -> Iterator[str]:
        """A sentence for each setting that costs much of the time, with what to try."""
        training = compiled.experiment.training
        whole, fitting = max(self.total, 1e-9), max(self.of_phase("training"), 1e-9)

        def much(stage: str, share: float) -> bool:
            return self.of_stage(stage, "training") > share * fitting

        if not training.deduplicate and self.steps:
            yield "deduplicate=False encodes items as often as they stand in a batch: leave it at True."
        if training.checkpointing:
            yield "checkpointing=True runs layers twice: leave it out where memory allows."
        if self.steps and much("data", 0.2):
            yield (
                f"{self.of_stage('data', 'training') / fitting:.0%} of training waits for batches: data on a slow disk or "
                "a large history=… cost that, and a larger batch_size helps."
            )
        if self.steps and much("optimizer", 0.25) and training.tables == "all":
            yield (
                f"The optimiser takes {self.of_stage('optimizer', 'training') / fitting:.0%} of training, most of it for rows of "
                'tables that no batch reads: training.tables="touched" updates only those that are read.'
            )
        if self.steps and much("saving", 0.2):
            yield "Saving checkpoints takes a fifth of training or more: the disk of --out is slow, or epochs are very short."
        tuned = compiled.pipeline.content
        if self.steps and any(getattr(each, "pretrained_parameters", tuple)() for each in tuned.modules()):
            share = (self.of_stage("content", "training") + self.of_stage("backward", "training")) / fitting
            if share > 0.7:
                yield (
                    f"The language model and its backward pass take {share:.0%} of training: fewer layers that learn "
                    "(layers=split(-1), which computes the frozen ones once) cost a fraction."
                )
        measured = self.of_phase("dev")
        if self.steps and measured > 0.4 * whole:
            yield (
                f"Measuring the dev part after each epoch takes {measured / whole:.0%} of the time: fewer epochs with a lower "
                "patience, or a smaller dev part, cost less."
            )
        if self.of_stage("metrics") > 0.3 * whole:
            yield "Metrics take a third of the time or more: leave out those that you do not read (evaluation.metrics=…)."
        threads, busy = torch.get_num_threads(), self.cpu / whole
        if self.device.type == "cpu" and threads > 1 and whole > 1 and busy < 0.6:
            yield (
                f"The {threads} threads had {busy:.1f} processors between them: others use the machine, and "
                "OMP_NUM_THREADS=1 may be faster."
            )


def rows_of(seconds: Mapping[str, Mapping[str, float]]) -> dict[str, dict[str, float | None]]:
    """Phase → stage → seconds, as a record has them -> stage → phase → seconds, their sum and its share of all in percent."""
    phases = [each for each in PHASES if seconds.get(each)]
    whole = sum(sum(seconds[phase].values()) for phase in phases)

    def row(told: Mapping[str, float]) -> dict[str, float | None]:
        mine = sum(told.values())
        return {
            **{phase: told.get(phase) for phase in phases},
            "seconds": mine,
            "%": 100 * mine / max(whole, 1e-9),
        }

    found = {
        title: row({phase: seconds[phase][name] for phase in phases if name in seconds[phase]})
        for name, title in STAGES.items()
        if any(name in seconds[phase] for phase in phases)
    }
    return {**found, "all": row({phase: sum(seconds[phase].values()) for phase in phases})}


@contextlib.contextmanager
def profiling(profile: Profile) -> Iterator[Profile]:
    """All stages within the block report to `profile`."""
    token = _watch.set(profile)
    begun = time.process_time()
    try:
        yield profile
    finally:
        profile.cpu += time.process_time() - begun
        _watch.reset(token)


@contextlib.contextmanager
def stage(name: str) -> Iterator[None]:
    """The block is a stage (of STAGES) or a phase (of PHASES), where somebody looks."""
    watch = _watch.get()
    if watch is None:
        yield
        return
    watch.enter(name)
    try:
        yield
    finally:
        watch.leave()


def waited(things: Iterable[Each]) -> Iterator[Each]:
    """The same things; waiting for each is the stage `data`."""
    given = iter(things)
    while True:
        with stage("data"):
            try:
                each = next(given)
            except StopIteration:
                return
        yield each


def saw(batch: Batch) -> None:
    """A batch of training, where somebody looks."""
    if (watch := _watch.get()) is not None:
        watch.batch(batch)


@contextlib.contextmanager
def attached(profile: Profile, pipeline: Pipeline) -> Iterator[None]:
    """The operators of a pipeline are stages within the block."""
    profile.device = pipeline.device
    handles: list[Any] = []

    def hook(module: nn.Module, name: str) -> None:
        def enter(_module: nn.Module, given: tuple[Any, ...]) -> None:
            tokens, mask, *_ = given
            if name == "content" and profile.phase == "training" and not tokens.is_floating_point():
                profile.places += mask.numel()
                profile.tokens += int(mask.sum())
            profile.enter(name)

        handles.append(module.register_forward_pre_hook(enter))
        handles.append(
            module.register_forward_hook(lambda _module, _given, _out: profile.leave(), always_call=True)
        )

    for name, module in pipeline.operators():
        hook(module, name)
    plain = pipeline.encode_items

    def encode_items(rows: torch.Tensor) -> Any:
        with stage("items"):
            return plain(rows)

    pipeline.encode_items = encode_items  # type: ignore[method-assign]
    try:
        yield
    finally:
        del pipeline.encode_items
        for handle in handles:
            handle.remove()
