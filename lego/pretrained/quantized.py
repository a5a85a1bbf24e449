"""Frozen weights in 8 or 4 bits, by bitsandbytes through transformers: less memory, other numbers.

Dettmers et al. 2022, https://arxiv.org/abs/2208.07339 (8 bits), and 2023, https://arxiv.org/abs/2305.14314 (4 bits).
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from typing import Any, Literal

import torch

from lego.errors import CheckpointError, Problem
from lego.pretrained.layers import Frozen, Layers

Quantized = Literal["int8", "int4"]

NEEDED = ("bitsandbytes", "accelerate")
"""Packages without which no weight is quantised."""


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
