"""What limits a step: the share of its time in each part, by torch's profiler; making a batch; attention written out.

A profile is of the CPU time that operations take themselves, so that parts add up to the step. Attention is measured as a kernel
alone and in whole steps, in both of which torch's own and the one of three operations take turns.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import language_models
import torch
from measure import Pool
from step import DEV, IMPRESSIONS, NEWS, OURS, batches, experiment_of, keep_memory, stepping
from step import prepare as step_of
from torch.nn import functional
from torch.profiler import ProfilerActivity, profile

from lego.compiler.assemble import compile as compiled_of
from lego.pretrained.packaged import MINILM
from lego.runtime.fit import make_optimizer

PAGE = "limits.md"
PARTS: Mapping[str, tuple[str, ...]] = {
    "products of matrices": ("aten::mm", "aten::addmm", "aten::_addmm_activation"),
    "attention, both passes": ("aten::_scaled_dot_product", "aten::bmm", "aten::baddbmm", "aten::_softmax"),
    "tanh": ("aten::tanh",),
    "zeros at padded places": ("aten::masked_fill", "aten::bitwise_not", "aten::where", "MaskedFill"),
    "dropout": ("aten::bernoulli_", "aten::native_dropout", "aten::dropout", "aten::div_"),
    "GELU and layer norm": ("aten::gelu", "aten::native_layer_norm", "aten::layer_norm"),
    "copies and gathers": ("aten::copy_", "aten::index", "aten::cat", "aten::clone", "aten::contiguous"),
    "gradients of embeddings": ("aten::embedding_dense_backward",),
    "sums and products by the element": ("aten::add", "aten::mul", "aten::sum", "aten::fill_", "aten::div"),
    "the optimiser": ("Optimizer.", "aten::_fused_adam"),
}
"""Part → how the names of its operations begin; the first part that fits has an operation."""
REST = "the rest: views, autograd, Python"
NRMS, MINILM_NAME = "NRMS", "MiniLM"
WIDTHS = (64, 256)
KERNEL, WRITTEN = "torch's own", "written out"
LENGTHS, TOGETHER, HEADS = (8, 12, 20, 50), (180, 64), 8
MAKING, STEP = "making a batch", "a step on batches that are made"


# --- a row's step ---------------------------------------------------------------------------------------------------------------


def prepare(*, what: str, **job: Any) -> tuple[Callable[[int], int], dict[str, Any]]:
    """The step of a row; of a profile, `about` has the shares."""
    torch.set_num_threads(1)
    if what == "profile":
        return _profiled(**job)
    if what == "batch":
        return _batch(**job)
    if what == "kernel":
        return _kernel(**job)
    return _whole(**job)


def _profiled(
    *, model: str, width: int, batch: int, size: tuple[int, int, int], steps: int, quick: bool
) -> tuple[Callable[[int], int], dict[str, Any]]:
    if model == MINILM_NAME:
        job = language_models.groups("MiniLM", quick=quick)[0][language_models.FULL]
        step, _ = language_models.prepare(**job)
    else:
        step, _ = step_of(model=model, width=width, batch=batch, how=OURS, size=size)
        step(0)
    step(1)
    return step, {"shares": shares(step, steps)}


def shares(step: Callable[[int], int], steps: int) -> dict[str, float]:
    """Part → its share of the CPU time of some steps."""
    with profile(activities=[ProfilerActivity.CPU]) as found:
        for number in range(2, 2 + steps):
            step(number)
    seconds = dict.fromkeys((*PARTS, REST), 0.0)
    for each in found.key_averages():
        seconds[part_of(each.key)] += each.self_cpu_time_total
    return {part: spent / sum(seconds.values()) for part, spent in seconds.items()}


def part_of(operation: str) -> str:
    """The part of a step that an operation belongs to, by its name."""
    return next((part for part, names in PARTS.items() if operation.startswith(names)), REST)


def _batch(
    *, how: str, width: int, batch: int, size: tuple[int, int, int]
) -> tuple[Callable[[int], int], dict[str, Any]]:
    compiled = compiled_of(experiment_of(NRMS, width, batch, tuple(size)))
    make = batches(compiled, plain=False)
    if how == MAKING:

        def made(number: int) -> int:
            make(number)
            return 1

        return made, {}
    keep_memory()
    ready = [make(number) for number in range(8)]
    optimizer = make_optimizer(compiled.pipeline, compiled.experiment.training)
    step = stepping(compiled, lambda number: ready[number % len(ready)], optimizer)

    def stepped(number: int) -> int:
        step(number)
        return 1

    return stepped, {}


def _kernel(*, how: str, width: int, rows: int, length: int) -> tuple[Callable[[int], int], dict[str, Any]]:
    generator = torch.Generator().manual_seed(length)
    shape = (rows, length, HEADS, width // HEADS)
    query, key, value = (
        torch.randn(shape, generator=generator).transpose(1, 2).requires_grad_() for _ in range(3)
    )
    lengths = torch.randint(1, length + 1, (rows, 1), generator=generator)
    mask = (torch.arange(length) < lengths)[:, None, None, :]
    attend = functional.scaled_dot_product_attention if how == KERNEL else written_out

    def both(_: int) -> int:
        for _repeat in range(5):
            torch.autograd.grad(attend(query, key, value, attn_mask=mask).sum(), (query, key, value))
        return 5

    return both, {}


def _whole(*, how: str, **job: Any) -> tuple[Callable[[int], int], dict[str, Any]]:
    step, _ = step_of(model=NRMS, how=OURS, **job)
    if how == KERNEL:
        return step, {}

    def stepped(number: int) -> int:
        with attention_written_out():
            return step(number)

    return stepped, {}


def written_out(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, attn_mask: torch.Tensor) -> Any:
    """A product, a softmax and a product: what torch's kernel computes, in (B, heads, S, D / heads)."""
    scores = query @ key.transpose(-2, -1) * query.shape[-1] ** -0.5
    return scores.masked_fill(~attn_mask, float("-inf")).softmax(-1) @ value


@contextlib.contextmanager
def attention_written_out() -> Iterator[None]:
    """Within the block models attend in three operations."""
    own = functional.scaled_dot_product_attention
    functional.scaled_dot_product_attention = written_out
    try:
        yield
    finally:
        functional.scaled_dot_product_attention = own


# --- the rows -------------------------------------------------------------------------------------------------------------------


def measure(*, quick: bool, seconds: float, rounds: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Profiles first, then what takes turns."""
    size = (300, 400, 20) if quick else (NEWS, IMPRESSIONS, DEV)
    widths, batch = ((16,), 8) if quick else (WIDTHS, 64)
    run = {"rounds": rounds, "seconds": seconds, "say": say}
    found: dict[str, Any] = {"batch": batch, "profiles": {}, "making": {}, "kernels": [], "steps": {}}
    known: dict[str, Any] = {f"NRMS, width {width}": {"model": NRMS, "width": width} for width in widths}
    if MINILM.find() is None:
        say(f"limits: MiniLM is left out, its package {MINILM.package} is not installed")
    else:
        known["MiniLM, all layers learning"] = {"model": MINILM_NAME, "width": 64}
    with Pool("limits", together=True) as pool:
        for name, job in known.items():
            steps = 1 if quick or job["model"] == MINILM_NAME else 20
            asked = {"what": "profile", **job, "batch": batch, "size": size, "steps": steps, "quick": quick}
            # What a profile tells is there when the row is ready: it takes no turns.
            rows = pool.interleave({name: asked}, **{**run, "rounds": 0})
            found["profiles"][name] = rows[name].about["shares"]
        kernels = {
            f"{width}, {rows}, {length}, {how}": {
                "what": "kernel", "how": how, "width": width, "rows": rows, "length": length
            }
            for width in widths
            for rows in ((4,) if quick else TOGETHER)
            for length in ((8,) if quick else LENGTHS)
            for how in (KERNEL, WRITTEN)
        }  # fmt: skip
        turns = pool.interleave(kernels, rounds=max(3, rounds), seconds=0.02 if quick else 0.3, say=say)
        for name, own in turns.items():
            width, rows, length, how = name.split(", ")
            if how == KERNEL:
                other = turns[f"{width}, {rows}, {length}, {WRITTEN}"]
                line = {"name": f"{width}, {rows}, {length}", "own": own.cost, "written": other.cost}
                found["kernels"].append({**line, "ratio": own.ratio(other)})
    with Pool("limits") as pool:
        for width in widths:
            job = {"width": width, "batch": batch, "size": size}
            rows_of = pool.interleave(
                {how: {"what": "batch", "how": how, **job} for how in (MAKING, STEP)}, **run
            )
            found["making"][f"NRMS, width {width}"] = {how: row.cost for how, row in rows_of.items()}
            ways = {how: {"what": "step", "how": how, **job} for how in (KERNEL, WRITTEN)}
            rows_of = pool.interleave(ways, **{**run, "rounds": max(5, rounds)})
            found["steps"][f"NRMS, width {width}"] = {
                "own": batch * rows_of[KERNEL].cost,
                "written": batch * rows_of[WRITTEN].cost,
                "ratio": rows_of[KERNEL].ratio(rows_of[WRITTEN]),
            }
    return found


# --- the page -------------------------------------------------------------------------------------------------------------------


def page(numbers: Mapping[str, Any], machine: Mapping[str, Any]) -> str:
    """As Markdown."""
    names = list(numbers["profiles"])
    lines = [
        HEAD.format(processor=machine["processor"], torch=machine["torch"], batch=numbers["batch"]),
        f"| part | {' | '.join(names)} |",
        "|---|" + "---:|" * len(names),
    ]
    for part in (*PARTS, REST):
        cells = [f"{numbers['profiles'][name][part]:.1%}" for name in names]
        lines.append(f"| {part} | {' | '.join(cells)} |")
    lines += [MAKING_HEAD, "| model | making a batch, ms | a step, ms | share |", "|---|---:|---:|---:|"]
    lines += [
        f"| {name} | {1e3 * cost[MAKING]:.2f} | {1e3 * cost[STEP]:,.0f} | {cost[MAKING] / cost[STEP]:.2%} |"
        for name, cost in numbers["making"].items()
    ]
    lines += [
        KERNELS_HEAD,
        "| width, rows, places | torch's own, ms | written out, ms | written out over torch's own |",
        "|---|---:|---:|---:|",
        *(_compared(each["name"], each) for each in numbers["kernels"]),
        STEPS_HEAD,
        "| a step | torch's own, ms | written out, ms | written out over torch's own |",
        "|---|---:|---:|---:|",
        *(_compared(name, each) for name, each in numbers["steps"].items()),
    ]
    return "\n".join(lines) + "\n"


def _compared(name: str, each: Mapping[str, Any]) -> str:
    middle, least, most = each["ratio"]
    times = f"{1e3 * each['own']:,.2f} | {1e3 * each['written']:,.2f}"
    return f"| {name} | {times} | {middle:.2f} ({least:.2f} to {most:.2f}) |"


HEAD = """# What limits a step

`make bench ONLY=limits` on one thread of {processor}, torch {torch}: the CPU time of a training step ({batch} impressions,
made-up news with the statistics of MIND), by torch's profiler: what each operation takes itself, so that a column adds up to
the whole. NRMS attends with eight heads. What the profiler itself adds to each call is in it, most in the rest. [The words on
it](speed.md#what-limits-a-step) are on the page of the whole table.
"""
MAKING_HEAD = """
## Making a batch

A thread beside the step makes the next batches. What one costs it, and what the step costs that is done meanwhile; the two took
turns, CPU time, the median of the rounds.
"""
KERNELS_HEAD = """
## Attention written out

torch's own kernel beside a product, a softmax and a product, alone: eight heads, rows of random lengths up to so many places,
both passes, CPU time. Above 1 torch's own is faster; the brackets are the spread over the rounds, in which the two took turns.
"""
STEPS_HEAD = """
The same within whole training steps:
"""
