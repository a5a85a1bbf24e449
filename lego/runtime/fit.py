"""Training: batches of distinct items, early stopping on a named metric, a checkpoint that a stopped run goes on from."""

from __future__ import annotations

import contextlib
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
import torch

from lego.contract import summed
from lego.data.batch import Batch
from lego.data.sampling import Rows, draw
from lego.errors import DataError, RunError
from lego.metric.parse import parse_metric
from lego.runtime.allocator import kept_memory
from lego.runtime.checkpoint import load_position, load_weights, save_position, save_weights
from lego.runtime.compiling import compiled_operators
from lego.runtime.finite import FiniteLoss
from lego.runtime.optimizer import clip_gradients, make_optimizer, rate_factor
from lego.runtime.prefetch import prefetched
from lego.runtime.profile import saw, stage, waited
from lego.runtime.tracking import Trackers
from lego.seed import lent, numpy_generator, torch_seed
from lego.spec import Context

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor

    from lego.compiler.assemble import Compiled
    from lego.data.store import Impressions
    from lego.runtime.folder import Folder
    from lego.runtime.progress import Screen

SAVE_SECONDS = 300.0
"""How often the position is saved within an epoch: what a killed run loses at most."""

TOLD_STEPS = 50
"""How many batches there are between two lines to the trackers."""

Measure = Callable[[], Mapping[str, float | None]]
"""Scores the dev part and measures it."""


class Stopped(Exception):  # noqa: N818 - like KeyboardInterrupt, it is no error
    """The user asked to stop; the checkpoint is written."""


@attrs.define
class Position:
    """Where a fit is: all that is needed to go on, beside weights and optimiser. Chance is a function of seed, epoch and step."""

    epoch: int = 0
    step: int = 0
    best: float | None = None
    best_epoch: int | None = None
    waited: int = 0
    done: bool = False
    history: list[dict[str, Any]] = attrs.field(factory=list)
    seconds: float = 0.0
    """Of fitting, whatever stopped it in between."""
    seen: Running | None = None
    """What the epoch has seen up to `step`; None between epochs."""

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> Position:
        """The reverse of `record`."""
        seen = record.get("seen")
        return cls(**{**record, "seen": None if seen is None else Running(**seen)})

    def record(self) -> dict[str, Any]:
        """In plain JSON types."""
        return {
            **attrs.asdict(self, recurse=False),
            "seen": None if self.seen is None else self.seen.record(),
        }


@attrs.define(eq=False, kw_only=True)
class Fit:
    """One fit of a compiled Recommender, in a run folder."""

    compiled: Compiled
    folder: Folder
    screen: Screen
    measure: Measure
    trackers: Trackers = attrs.field(factory=Trackers)
    position: Position = attrs.field(factory=Position)
    _finite: FiniteLoss = attrs.field(init=False)
    _earlier: float = attrs.field(default=0.0, init=False)
    _begun: float = attrs.field(factory=time.monotonic, init=False)
    _saved: float = attrs.field(factory=time.monotonic, init=False)

    def run(self, *, resume: bool = False) -> Position:
        """Trains to the end, or until patience runs out; leaves the best epoch's weights in the pipeline and in `checkpoint/`."""
        with stage("training"):
            return self._run(resume=resume)

    def _run(self, *, resume: bool) -> Position:
        training, pipeline = self.compiled.experiment.training, self.compiled.pipeline
        if training.epochs:
            self._train(make_optimizer(pipeline, training), resume=resume)
        if (
            self.position.best_epoch is None
        ):  # no epoch, or none that could be measured: the weights as they are
            save_weights(self._kept, pipeline)
        load_weights(self._kept, pipeline)
        pipeline.eval()
        self.position.seconds = self._seconds
        return self.position

    @property
    def _kept(self) -> Path:
        return self.folder.checkpoint / "model.safetensors"

    @property
    def _seconds(self) -> float:
        return self._earlier + time.monotonic() - self._begun

    def _train(self, optimizer: torch.optim.Optimizer, *, resume: bool) -> None:
        training, pipeline = self.compiled.experiment.training, self.compiled.pipeline
        if training.checkpointing:
            for module in pipeline.modules():
                getattr(module, "checkpoint_gradients", lambda: None)()
        if resume and (saved := load_position(self.folder.checkpoint / "last", pipeline, optimizer)):
            self.position = Position.of(saved)
            self._earlier = self.position.seconds
            self.screen.say(f"resumed at epoch {self.position.epoch + 1}, step {self.position.step}")
        compiled = compiled_operators(pipeline) if training.compile else contextlib.nullcontext()
        with lent(training.seed, "fit"), compiled, kept_memory(), asked_to_stop() as stop:
            while not self.position.done and self.position.epoch < training.epochs:
                self._epoch(optimizer, stop)

    def _epoch(self, optimizer: torch.optim.Optimizer, stop: threading.Event) -> None:
        compiled, position = self.compiled, self.position
        training, pipeline = compiled.experiment.training, compiled.pipeline
        batches = Batches.of_epoch(compiled, position.epoch)
        loss_module = compiled.experiment.task.build(task_context(compiled))
        device = pipeline.device
        self._finite = FiniteLoss(optimizer, device)
        pipeline.train()
        position.seen = seen = position.seen or Running()
        begun = time.monotonic() - seen.seconds
        what = f"epoch {position.epoch + 1}/{training.epochs}"
        with self.screen.bar(what, len(batches), "batch") as bar:
            bar.advance(position.step)
            make = (lambda number: batches.make(number).pinned()) if device.type == "cuda" else batches.make
            for batch in waited(prefetched(make, range(position.step, len(batches)))):
                saw(batch)
                torch.manual_seed(torch_seed(training.seed, "dropout", position.epoch, position.step))
                losses = self._step(batch.to(device, non_blocking=True), loss_module, optimizer, batches)
                position.step += 1
                seen.add(losses, batch)
                seen.seconds = time.monotonic() - begun
                if self.trackers and position.step % TOLD_STEPS == 0:
                    self._tell_step(position.epoch * len(batches) + position.step, seen, optimizer)
                bar.advance(1, f"loss {seen.recent:.4f}, {seen.speed:,.0f} items/s")
                # Between steps of the optimiser, since gathered gradients are not saved; the last step closes the epoch first.
                if position.step % training.accumulate == 0 and position.step < len(batches):
                    due = time.monotonic() - self._saved > SAVE_SECONDS
                    if stop.is_set() or due:
                        self._refuse(self._finite.look(), batches)
                    if stop.is_set():
                        self._leave(optimizer)
                    if due:
                        self._save(optimizer)
        self._refuse(self._finite.look(), batches)
        self._close_epoch(optimizer, seen)
        if stop.is_set() and not position.done:
            self._leave(optimizer)

    def _tell_step(self, step: int, seen: Running, optimizer: torch.optim.Optimizer) -> None:
        """What the epoch gave so far, for the trackers."""
        losses = {f"train/{name}": value for name, value in seen.means().items()}
        rate = float(optimizer.param_groups[0]["lr"])
        self.trackers.step(step, {**losses, "train/lr": rate, "train/items_per_second": seen.speed})

    def _step(
        self, batch: Batch, loss_module: torch.nn.Module, optimizer: torch.optim.Optimizer, batches: Batches
    ) -> dict[str, Tensor]:
        """Forward, backward, and a step of the optimiser where `accumulate` batches are together."""
        training, position, pipeline = (
            self.compiled.experiment.training,
            self.position,
            self.compiled.pipeline,
        )
        autocast = (
            torch.autocast(batch.items.device.type, torch.bfloat16)
            if training.precision == "bf16"
            else contextlib.nullcontext()
        )
        with autocast:
            out = pipeline(batch)
        scores = out.tensor if batch.offsets is None else out.tensor + batch.offsets
        with stage("loss"):
            loss = loss_module(scores, batch.labels, batch.candidate_mask)
        losses = summed({"loss": loss}, out.losses)
        # Accumulated batches make one step of the mean over all that is in them; those of a group need not be of one size.
        rows, share = batches.shares(position.step)
        total = torch.stack(
            [each.float() * (share if name == "loss" else rows) for name, each in losses.items()]
        ).sum()
        # Before anything is updated, so that the weights in memory stay as the last finite step left them.
        self._refuse(self._finite.watch(total, losses, position.step), batches)
        with stage("backward"):
            total.backward()  # type: ignore[no-untyped-call]
        if position.step + 1 == batches.group(position.step).stop:
            with stage("optimizer"):
                self._update(
                    optimizer, position.epoch * batches.steps + position.step // training.accumulate, batches
                )
        return {name: loss.detach() for name, loss in losses.items()}

    def _update(self, optimizer: torch.optim.Optimizer, step: int, batches: Batches) -> None:
        training = self.compiled.experiment.training
        factor = rate_factor(training, step, batches.steps * training.epochs)
        for group in optimizer.param_groups:
            group["lr"] = group["base_lr"] * factor
        if training.clip is not None:
            parameters = [each for group in optimizer.param_groups for each in group["params"]]
            clip_gradients(parameters, training.clip)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    def _refuse(self, found: tuple[int, Mapping[str, Tensor]] | None, batches: Batches) -> None:
        """RunError for the batch whose loss is not finite, where there is one."""
        if found is None:
            return
        position, (step, losses) = self.position, found
        named = ", ".join(f"{name} {float(loss):.4g}" for name, loss in losses.items())
        impressions = batches.impressions_of(step)
        kept = (
            f"The checkpoint of epoch {position.best_epoch} is kept in"
            if position.best_epoch
            else "There is no checkpoint yet in"
        )
        raise RunError(
            f"The loss is not finite in epoch {position.epoch + 1}, batch {step + 1} ({named}; impressions "
            f"{', '.join(map(str, impressions[:5]))}, …). {kept} {self.folder.checkpoint}. "
            "Lower training.lr, or set training.clip=1.0."
        )

    def _close_epoch(self, optimizer: torch.optim.Optimizer, seen: Running) -> None:
        """Measures the dev part, keeps the weights if they are the best, and saves the position behind this epoch."""
        position, training = self.position, self.compiled.experiment.training
        metric = parse_metric(training.monitor)
        self.compiled.pipeline.eval()
        with stage("dev"):
            measured = self.measure()
        found = measured[metric.name]
        value = math.nan if found is None else found
        better = not math.isnan(value) and (
            position.best is None
            or (value > position.best if metric.larger_is_better else value < position.best)
        )
        record = {
            "epoch": position.epoch + 1,
            **seen.means(),
            **{f"dev {name}": number for name, number in measured.items()},
        }
        position.history.append(record)
        position.epoch, position.step, position.seen = position.epoch + 1, 0, None
        if better:
            position.best, position.best_epoch, position.waited = value, position.epoch, 0
            with stage("saving"):
                save_weights(self._kept, self.compiled.pipeline)
        else:
            position.waited += 1
            position.done = position.waited >= training.patience
        # Told before the position moves behind it: a run killed between the two tells an epoch twice, and loses none.
        self.folder.log("epoch", **record, seconds=round(seen.seconds, 3), **seen.counts())
        self.trackers.epoch(
            position.epoch,
            {
                **{f"train/{name}": number for name, number in seen.means().items()},
                **{f"dev/{name}": number for name, number in measured.items()},
                "train/seconds": seen.seconds,
            },
        )
        self._save(optimizer)
        losses = " ".join(f"{name} {number:.4f}" for name, number in seen.means().items())
        mark = " (best)" if better else ""
        self.screen.say(
            f"epoch {position.epoch}/{training.epochs}: {losses}, dev {metric.name} {value:.4f}{mark}, "
            f"{seen.speed:,.0f} items/s, {seen.seconds:.1f} s"
        )
        if position.done and position.epoch < training.epochs:
            self.screen.say(f"stopped: {training.monitor} was not better for {training.patience} epochs")

    def _leave(self, optimizer: torch.optim.Optimizer) -> None:
        """Writes everything down and stops."""
        self._save(optimizer)
        raise Stopped

    def _save(self, optimizer: torch.optim.Optimizer) -> None:
        """The position; and, while no epoch was measured yet, weights that can be looked at."""
        pipeline = self.compiled.pipeline
        self.position.seconds = self._seconds
        with stage("saving"):
            save_position(self.folder.checkpoint / "last", pipeline, optimizer, self.position.record())
            if self.position.best_epoch is None:
                save_weights(self._kept, pipeline)
        self._saved = time.monotonic()


@attrs.frozen(eq=False)
class Batches:
    """The batches of one epoch: rows drawn and ordered by seed and epoch alone."""

    compiled: Compiled
    train: Impressions
    rows: Rows
    order: NDArray[np.int32]

    @classmethod
    def of_epoch(cls, compiled: Compiled, epoch: int) -> Batches:
        """DataError where the train part gives no row at all."""
        seed, store = compiled.experiment.training.seed, compiled.store
        train = store.part("train").recent(compiled.history)
        wanted = compiled.experiment.task.candidates
        rows = draw(
            train,
            wanted,
            store.users,
            store.items.num_rows,
            numpy_generator(seed, "negatives", epoch),
            store.real_items,
        )
        if not len(rows):
            left = ", ".join(f"{count} {reason}" for reason, count in rows.left_out.items())
            raise DataError(f"The train part gives no training row: {left or 'it is empty'}.")
        order = np.arange(len(rows), dtype=np.int32)  # half of what the numbers of a permutation take
        numpy_generator(seed, "order", epoch).shuffle(order)
        return cls(compiled, train, rows, order)

    def __len__(self) -> int:
        return math.ceil(len(self.rows) / self.compiled.experiment.training.batch_size)

    @property
    def steps(self) -> int:
        """Steps of the optimiser in an epoch."""
        return math.ceil(len(self) / self.compiled.experiment.training.accumulate)

    def group(self, number: int) -> range:
        """The batches that make one step of the optimiser with this one; the last ones of an epoch may be fewer."""
        together = self.compiled.experiment.training.accumulate
        begin = number // together * together
        return range(begin, min(begin + together, len(self)))

    def shares(self, number: int) -> tuple[float, float]:
        """What a batch counts in its step: by its rows, and by what the task's loss is a mean over."""
        group = self.group(number)
        size = self.compiled.experiment.training.batch_size
        chosen = self.order[group.start * size : group.stop * size]
        mine = slice((number - group.start) * size, (number - group.start + 1) * size)
        rows = np.ones(len(chosen))
        each = rows
        if self.compiled.experiment.task.mean_over == "candidates":
            each = (self.rows.items[chosen] > 0).sum(1)
        return float(rows[mine].sum() / rows.sum()), float(each[mine].sum() / each.sum())

    def chosen(self, number: int) -> NDArray[np.int32]:
        """The rows of a batch."""
        size = self.compiled.experiment.training.batch_size
        return self.order[number * size : (number + 1) * size]

    def make(self, number: int) -> Batch:
        """A batch, by its number in the epoch."""
        deduplicate = self.compiled.experiment.training.deduplicate
        return self.compiled.batch(self.train, self.rows, self.chosen(number), deduplicate=deduplicate)

    def impressions_of(self, number: int) -> list[int]:
        """The numbers of the impressions in a batch, as the source calls them."""
        return [int(each) for each in self.train.impression[self.rows.impression[self.chosen(number)]]]


@attrs.define
class Running:
    """What an epoch has seen so far. Losses are kept as tensors and read seldom, so that no step waits for the device."""

    batches: int = 0
    items: int = 0
    slots: int = 0
    real: int = 0
    seconds: float = 0.0
    sums: dict[str, float] = attrs.field(factory=dict)
    recent: float = attrs.field(default=float("nan"), init=False)
    _waiting: list[dict[str, Tensor]] = attrs.field(factory=list, init=False)

    def add(self, losses: dict[str, Tensor], batch: Batch) -> None:
        """One batch more."""
        self.batches += 1
        self.items += batch.distinct
        self.slots += batch.slots
        self.real += batch.real
        self._waiting.append(losses)
        if self.batches % 10 == 1:
            self._read()

    def _read(self) -> None:
        """Adds what waits, one after the other, so that the sums do not depend on when they are read."""
        for losses in self._waiting:
            for name, loss in losses.items():
                self.sums[name] = self.sums.get(name, 0.0) + float(loss)
            self.recent = float(losses["loss"])
        self._waiting.clear()

    def record(self) -> dict[str, Any]:
        """In plain JSON types; `Running(**record)` is the reverse."""
        self._read()
        return {field.name: getattr(self, field.name) for field in attrs.fields(type(self)) if field.init}

    @property
    def speed(self) -> float:
        """Distinct items a second."""
        return self.items / max(self.seconds, 1e-9)

    def means(self) -> dict[str, float]:
        """Each loss, averaged over the batches of this epoch."""
        self._read()
        return {name: total / max(1, self.batches) for name, total in self.sums.items()}

    def counts(self) -> dict[str, int]:
        """Slots, real ones, and distinct items that were encoded."""
        return {"slots": self.slots, "real": self.real, "distinct": self.items}


@contextlib.contextmanager
def asked_to_stop() -> Iterator[threading.Event]:
    """An event that the first Ctrl-C (or SIGTERM) sets, so that no step is cut in half; the second one interrupts at once."""
    event = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield event
        return

    def handle(number: int, frame: Any) -> None:
        if event.is_set():
            raise KeyboardInterrupt
        event.set()

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield event
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def task_context(compiled: Compiled) -> Context:
    """What a task is built with."""
    return Context(
        width=compiled.model.width,
        input_width=compiled.model.width,
        length=compiled.history,
        items=compiled.store.items.num_rows + 1,
        store=compiled.store,
    )
