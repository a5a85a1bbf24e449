"""Frozen weights in 16 bits, or in 8 or 4 by bitsandbytes through transformers: less memory, other numbers.

Dettmers et al. 2022, https://arxiv.org/abs/2208.07339 (8 bits), and 2023, https://arxiv.org/abs/2305.14314 (4 bits).
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Iterator
from typing import Any, Literal

import torch
from torch import Tensor, nn

from lego.errors import CheckpointError, Problem
from lego.pretrained.layers import Frozen, Full, Layers

Quantized = Literal["int8", "int4"]
Held = Literal["fp32", "bf16"]
"""How frozen weights are held in memory."""

NEEDED = ("bitsandbytes", "accelerate")
"""Packages without which no weight is quantised."""

_BLOCK = 64
"""Weights that share a scale, in 4 bits; in 8 bits it is a row. A scale is a float32."""


def held_problems(held: str, quantized: str | None, layers: Layers, where: str) -> Iterator[Problem]:
    """Why weights cannot be held in 16 bits: all of them would learn, or they are quantised already."""
    if held == "fp32":
        return
    if isinstance(layers, Full):
        what = f"weights={held!r} is for weights that stay as they are, and with {layers!r} all of them learn"
        fix = "freeze some, split(n), lora() or frozen(), or leave it out and give Training(precision='bf16')"
        yield Problem(where, what, fix)
    if quantized is not None:
        what = f"weights={held!r} and quantize={quantized!r} both say how frozen weights are held"
        yield Problem(where, what, "leave one of them out")


def hold(layers: Iterable[nn.Module], table: nn.Module) -> None:
    """Puts what is frozen of these layers, and the token embeddings, into bfloat16; all around them keeps its float32.

    A layer with nothing but frozen weights and adapters gets bfloat16 and gives float32; one that learns is left alone.
    """
    for layer in layers:
        if any(value.requires_grad and ".lora_" not in name for name, value in layer.named_parameters()):
            continue
        _round(layer)
        layer.register_forward_pre_hook(_narrow, with_kwargs=True)
        layer.register_forward_hook(_widen)
    if not any(value.requires_grad for value in table.parameters()):
        _round(table)
        table.register_forward_hook(_widen)


def _round(module: nn.Module) -> None:
    for value in module.parameters():
        if not value.requires_grad and value.is_floating_point():
            value.data = value.data.to(torch.bfloat16)


def _narrow(
    _: nn.Module, given: tuple[Any, ...], named: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    return _cast(given, torch.bfloat16), {name: _cast(value, torch.bfloat16) for name, value in named.items()}


def _widen(_: nn.Module, __: Any, gave: Any) -> Any:
    return _cast(gave, torch.float32)


def _cast(value: Any, dtype: torch.dtype) -> Any:
    if isinstance(value, Tensor):
        return value.to(dtype) if value.is_floating_point() else value
    return tuple(_cast(each, dtype) for each in value) if isinstance(value, tuple) else value


def quantized_bytes(model: nn.Module, quantized: str) -> Iterator[tuple[torch.Tensor, int]]:
    """The frozen matrices of a model that would be quantised, and what each takes then, its scales included."""
    from transformers.pytorch_utils import Conv1D

    for part in model.modules():
        if isinstance(part, nn.Linear | Conv1D) and not part.weight.requires_grad:
            count, rows = part.weight.numel(), part.weight.shape[isinstance(part, Conv1D)]
            yield (
                part.weight,
                count + 4 * rows if quantized == "int8" else count // 2 + 4 * -(-count // _BLOCK),
            )


def quantized_problems(quantized: str | None, layers: Layers, where: str) -> Iterator[Problem]:
    """Why weights cannot be quantised: some of them would learn, a package is missing, or there is no GPU."""
    if quantized is None:
        return
    if layers.adapters is None and not isinstance(layers, Frozen):
        what = f"quantize={quantized!r} is for weights that stay as they are, and with {layers!r} some of them learn"
        yield Problem(where, what, "let adapters learn, lora() or split(n) | lora(), or nothing: frozen()")
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        what = f"quantize={quantized!r} needs {' and '.join(missing)}, not installed here"
        yield Problem(where, what, f"pip install {' '.join(missing)}, or leave quantize out")
    if not torch.cuda.is_available():
        what = f"quantize={quantized!r} needs a CUDA GPU, and torch finds none here"
        yield Problem(where, what, "run it where there is one, or leave quantize out")


def quantized_options(quantized: str | None, layers: Layers, name: str) -> dict[str, Any]:
    """What `from_pretrained` is told; nothing without `quantized`. CheckpointError with what `quantized_problems` finds."""
    if quantized is None:
        return {}
    for problem in quantized_problems(quantized, layers, name):
        raise CheckpointError(problem.where, problem.what, problem.fix)
    from transformers import BitsAndBytesConfig

    made: Any = BitsAndBytesConfig
    if quantized == "int8":
        config = made(load_in_8bit=True)
    else:
        config = made(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=torch.bfloat16)
    return {"quantization_config": config, "device_map": {"": "cuda"}}
