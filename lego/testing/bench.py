"""The speed and the memory of an operator beside the built-in ones of its slot: what `lego plugins bench` prints.

Inputs are drawn, histories are of all lengths up to the longest. A step is a call in training and its backward pass, into the
weights and into what was read, as where items learn too. The operators take turns, one step each, so that whatever else the
machine does reaches them alike; a median stands beside the quartiles.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import attrs
import torch
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from lego import catalog, expression
from lego.contract import Form, Need, Needs, Out, Reads
from lego.errors import CompositionError, SpecError, did_you_mean
from lego.spec import Behavior, Content, Context, Predictor, Spec
from lego.testing.needs import codes, needs_for
from lego.testing.suite import build, draw, mapped, moved, prefix, vocabularies

SLOTS: Final = ("content", "behavior", "predictor")
WARMUP: Final = 2
"""Steps of each operator that do not count."""
ITEMS: Final = 1000
"""Rows of the item table, for operators that know items by row."""
INTERESTS: Final = 4
"""M, of a user who has several vectors."""


@attrs.frozen(kw_only=True)
class Sizes:
    """What a step is made of: D, users or items in a batch, S or L, C."""

    width: int = 64
    batch_size: int = 64
    length: int = 50
    candidates: int = 5


@attrs.frozen(kw_only=True)
class Row:
    """What was measured of one operator."""

    operator: str
    distribution: str
    asked: bool
    ms: float
    """The median of a step."""
    low: float
    """The lower quartile, in milliseconds."""
    high: float
    """The upper quartile."""
    per_second: float
    """Users, or items in the content slot."""
    parameters: int
    """Weights that learn."""
    peak: int
    """Bytes: the most that a step held beyond the weights and the inputs, gradients included."""
    ratio: float
    """How many times as long as this one the operator that was asked for takes: the median over the turns."""


@attrs.frozen(kw_only=True)
class Bench:
    """Rows, the fastest first, and why others have none."""

    slot: str
    sizes: Sizes
    rounds: int
    device: str
    threads: int
    rows: tuple[Row, ...]
    left_out: tuple[tuple[str, str], ...]

    def record(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "slot": self.slot,
            **attrs.asdict(self.sizes),
            "rounds": self.rounds,
            "device": self.device,
            "threads": self.threads,
            "rows": [attrs.asdict(row) for row in self.rows],
            "left_out": [{"operator": operator, "why": why} for operator, why in self.left_out],
        }


def bench(
    operator: str | Spec,
    *,
    slot: str | None = None,
    sizes: Sizes | None = None,
    rounds: int = 15,
    against: Iterable[str] | None = None,
    device: str = "cpu",
) -> Bench:
    """Measures an operator, by name, expression or as a spec, beside the built-in ones of its slot, or those named in `against`.

    An operator that fits content and behavior is measured in the behavior slot unless `slot` says otherwise. SpecError for one
    of another slot; CompositionError where it does not fit the width.
    """
    sizes = sizes or Sizes()
    spec = _spec(operator)
    slot = _slot_of(spec, slot)
    steps = {repr(spec): _step(spec, slot, sizes, device)}
    left_out = []
    for name in _built_in(slot, against):
        try:
            other = _spec(name)
            if repr(other) not in steps:
                steps[repr(other)] = _step(other, slot, sizes, device)
        except Exception as problem:  # noqa: BLE001 - what cannot be built of drawn inputs is a line, whatever it raises
            left_out.append((name, " ".join(str(problem).split()) or type(problem).__name__))
    return Bench(
        slot=slot,
        sizes=sizes,
        rounds=rounds,
        device=device,
        threads=torch.get_num_threads(),
        rows=_measured(steps, repr(spec), sizes, rounds),
        left_out=tuple(left_out),
    )


def _spec(operator: str | Spec) -> Spec:
    """The spec of a name, with its defaults or as its first example, or of an expression."""
    if isinstance(operator, Spec):
        return operator
    if "(" in operator:
        found = expression.parse(operator)
    else:
        made = expression.resolve(catalog.dotted(operator))
        try:
            found = made()
        except SpecError:
            found = next(iter(made.examples()), None)
            if found is None:
                raise SpecError("it needs a file, and has no example without one") from None
    if not isinstance(found, Spec):
        raise SpecError(f"{operator} is no operator.")
    return found


def _slot_of(spec: Spec, asked: str | None) -> str:
    kinds = {"behavior": Behavior, "content": Content, "predictor": Predictor}
    fits = [slot for slot, kind in kinds.items() if isinstance(spec, kind)]
    if not fits:
        raise SpecError(f"{spec!r} fits none of the slots {', '.join(SLOTS)}, which are what is measured.")
    if asked is None:
        return fits[0]
    if asked not in fits:
        raise SpecError(f"{spec!r} does not fit the slot {asked!r}. It fits {' and '.join(fits)}.")
    return asked


def _built_in(slot: str, against: Iterable[str] | None) -> list[str]:
    """The names to compare with, sorted."""
    known = [
        entry.name for entry in catalog.entries(slot) if catalog.normal(entry.distribution) == catalog.BUILTIN
    ]
    if against is None:
        return known
    asked = list(against)
    for name in asked:
        if name not in known:
            raise SpecError(f"No built-in {slot} operator is called {name!r}. {did_you_mean(name, known)}")
    return asked


# --- one step -----------------------------------------------------------------------------------------------------------------


@attrs.frozen(eq=False)
class _Step:
    """A module, and what it is called with."""

    distribution: str
    module: nn.Module
    inputs: tuple[Any, ...]
    device: str

    def __call__(self) -> None:
        """Forward and backward; the gradients of the step before are gone."""
        self.module.zero_grad(set_to_none=True)
        for each in _tensors(self.inputs):
            each.grad = None
        out = self.module(*self.inputs)
        losses = list(out.losses.values()) if isinstance(out, Out) else []
        given = out.tensor if isinstance(out, Out) else out
        loss = given.float().square().mean() + sum(losses)
        if loss.requires_grad:
            loss.backward()

    def seconds(self) -> float:
        """Of one step; work of a device is waited for."""
        begun = time.perf_counter()
        self()
        if self.device.startswith("cuda"):
            torch.cuda.synchronize(self.device)
        return time.perf_counter() - begun

    def peak(self) -> int:
        """Bytes that a step holds at the most, beyond weights and inputs."""
        self.module.zero_grad(set_to_none=True)
        held = (*self.module.parameters(), *self.module.buffers(), *_tensors(self.inputs))
        with _Held(held) as memory:
            self()
        return memory.peak

    @property
    def parameters(self) -> int:
        """Weights that learn."""
        return sum(each.numel() for each in self.module.parameters() if each.requires_grad)


def _tensors(value: Any) -> list[Tensor]:
    """Every tensor of the arguments of a call."""
    found: list[Tensor] = []

    def collect(each: Tensor) -> Tensor:
        found.append(each)
        return each

    for each in value:
        mapped(each, collect)
    return found


def _step(spec: Spec, slot: str, sizes: Sizes, device: str) -> _Step:
    """The module of a spec in training, with drawn inputs.

    SpecError where it reads what cannot be drawn, CompositionError where it does not fit the width.
    """
    context = Context(
        width=sizes.width,
        input_width=sizes.width,
        length=sizes.length,
        token_width=sizes.width,
        token_length=3 * sizes.length,
        items=ITEMS,
        users=sizes.batch_size + 1,
        item_vocabularies=vocabularies(spec, "item_attributes"),
        user_vocabularies=vocabularies(spec, "user_attributes"),
        impression_vocabularies=vocabularies(spec, "impression_attributes"),
    )
    make: Callable[[Any, Context, Sizes], tuple[Any, ...]] = {
        "content": _of_content,
        "behavior": _of_behavior,
        "predictor": _of_predictor,
    }[slot]
    inputs = make(
        spec, context, sizes
    )  # first: what reads a checkpoint is left out before anybody looks for that
    problems = list(spec.problems(sizes.width, f"{slot}={spec!r}"))
    if problems:
        raise CompositionError(problems)
    inputs = tuple(moved(each, device) for each in inputs)
    module = build(spec, context).to(device).train()
    step = _Step(catalog.origin_of(type(spec))[0], module, inputs, device)
    step()
    return step


def _learned(*shape: int, seed: int) -> Tensor:
    return draw(*shape, seed=seed).requires_grad_()


def _lengths(sizes: Sizes) -> tuple[int, ...]:
    """From 1 to the longest, evenly."""
    last = max(1, sizes.batch_size - 1)
    return tuple(1 + (last - row) * (sizes.length - 1) // last for row in range(sizes.batch_size))


def _of_content(spec: Any, context: Context, sizes: Sizes) -> tuple[Any, ...]:
    """tokens (N, L, W) or rows (N, 1), mask, needs."""
    if spec.reads not in (Reads.VECTORS, Reads.ROWS) or spec.item_needs - {Need.ATTRIBUTES}:
        asks = ", ".join(need.value for need in spec.item_needs)
        raise SpecError(f"it reads {spec.reads.value}{' and ' if asks else ''}{asks}, which cannot be drawn")
    items = {}
    if Need.ATTRIBUTES in spec.item_needs:
        items = codes(context.item_vocabularies, torch.ones(sizes.batch_size, dtype=torch.bool), seed=12)
    if spec.reads is Reads.ROWS:
        rows = 1 + torch.arange(sizes.batch_size).remainder(ITEMS - 1).unsqueeze(-1)
        return rows, torch.ones_like(rows, dtype=torch.bool), Needs(items=items)
    mask = prefix(*_lengths(sizes), width=sizes.length)
    return _learned(*mask.shape, sizes.width, seed=1), mask, Needs(items=items)


def _of_behavior(spec: Any, context: Context, sizes: Sizes) -> tuple[Any, ...]:
    """history (B, S, D), mask (B, S), needs; or with candidates and their mask before the needs."""
    lengths = _lengths(sizes)
    mask = prefix(*lengths)
    history = _learned(*mask.shape, sizes.width, seed=1)
    if Need.CANDIDATES not in spec.needs:
        return history, mask, needs_for(spec, context, lengths)
    shown = torch.ones(sizes.batch_size, sizes.candidates, dtype=torch.bool)
    needs = needs_for(spec, context, lengths, shown)
    return history, mask, _learned(*shown.shape, sizes.width, seed=2), shown, needs


def _of_predictor(spec: Any, context: Context, sizes: Sizes) -> tuple[Any, ...]:
    """user in the simplest form that it takes, candidates (B, C, D), candidate_mask (B, C), needs."""
    lengths, users = _lengths(sizes), sizes.batch_size
    form = min(spec.takes, key=lambda each: each.value)
    axes = [users]
    axes += [sizes.candidates] if form & Form.PER_CANDIDATE else []
    axes += [INTERESTS] if form & Form.INTERESTS else []
    axes += [sizes.length] if form & Form.SEQUENCE else []
    mask = prefix(*lengths) if form & Form.SEQUENCE else None
    if mask is not None and form & Form.PER_CANDIDATE:
        mask = mask.unsqueeze(1).expand(axes)
    shown = torch.ones(users, sizes.candidates, dtype=torch.bool)
    needs = needs_for(spec, context, lengths, shown)
    user = Out(_learned(*axes, sizes.width, seed=1), mask)
    return user, _learned(users, sizes.candidates, sizes.width, seed=2), shown, needs


# --- memory and time ----------------------------------------------------------------------------------------------------------


class _Held(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the bytes of the tensors that are alive after each operation, forward and backward, but for those given."""

    def __init__(self, given: Iterable[Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.given = {StorageWeakRef(each.untyped_storage()).cdata for each in given}  # type: ignore[no-untyped-call]
        self.alive: dict[int, tuple[StorageWeakRef, int]] = {}
        self.peak = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for each in tree_leaves(out):
            if isinstance(each, Tensor):
                storage = StorageWeakRef(each.untyped_storage())  # type: ignore[no-untyped-call]
                if storage.cdata not in self.given:
                    self.alive.setdefault(storage.cdata, (storage, each.untyped_storage().nbytes()))
        self.alive = {key: held for key, held in self.alive.items() if not held[0].expired()}  # type: ignore[no-untyped-call]
        self.peak = max(self.peak, sum(size for _, size in self.alive.values()))
        return out


def _measured(steps: dict[str, _Step], asked: str, sizes: Sizes, rounds: int) -> tuple[Row, ...]:
    for _ in range(WARMUP):
        for step in steps.values():
            step()
    taken: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(rounds):
        for name, step in steps.items():
            taken[name].append(step.seconds())
    rows = []
    for name, step in steps.items():
        low, middle, high = _quartiles(taken[name])
        ratios = [own / other for own, other in zip(taken[asked], taken[name], strict=True)]
        rows.append(
            Row(
                operator=name,
                distribution=step.distribution,
                asked=name == asked,
                ms=1e3 * middle,
                low=1e3 * low,
                high=1e3 * high,
                per_second=sizes.batch_size / middle,
                parameters=step.parameters,
                peak=step.peak(),
                ratio=_quartiles(ratios)[1],
            )
        )
    return tuple(sorted(rows, key=lambda row: row.ms))


def _quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    found = torch.tensor(values, dtype=torch.float64).quantile(
        torch.tensor([0.25, 0.5, 0.75], dtype=torch.float64)
    )
    low, middle, high = found.tolist()
    return low, middle, high
