"""Training through torch.compile: the operators of a pipeline, each for itself, while they train.

The shapes of a batch differ from step to step, so graphs are made for shapes that vary. Chance is torch's own, as without, so
that dropout draws what it would draw; what rounds is the order of sums in the kernels that are made.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import torch

from lego.errors import RunError

if TYPE_CHECKING:
    from torch import nn

    from lego.compiler.pipeline import Pipeline

BACKEND = "inductor"


@contextlib.contextmanager
def compiled_operators(pipeline: Pipeline, backend: str | None = None) -> Iterator[None]:
    """Within the block the operators run compiled where they train. Evaluation, weights and their names stay as they are.

    What torch cannot look into (a recurrent layer, a loop that asks for values) runs as it is between two graphs.
    """
    backend = backend or BACKEND
    options: dict[str, Any] | None = {"fallback_random": True} if backend == "inductor" else None
    changed: list[nn.Module] = []
    try:
        for _, module in pipeline.operators():
            if module in changed:
                continue
            # Of the instance, behind its hooks: a module that is compiled as a whole would trace the stopwatch of a profile too.
            module.forward = _in_training(
                module, torch.compile(module.forward, dynamic=True, backend=backend, options=options)
            )
            changed.append(module)
        yield
    finally:
        for module in changed:
            del module.forward


def _in_training(module: nn.Module, compiled: Callable[..., Any]) -> Callable[..., Any]:
    plain = module.forward

    def forward(*given: Any, **named: Any) -> Any:
        return (compiled if module.training else plain)(*given, **named)

    return forward


def require_compiler(device: str) -> None:
    """RunError where torch.compile would find on this machine that it cannot make kernels for the device."""
    if torch.device(device).type == "cuda":
        if importlib.util.find_spec("triton") is None:
            raise RunError(
                "training.compile=True makes kernels with Triton, which is not installed. "
                "Install it (pip install triton), or leave training.compile out."
            )
        return
    usual = {"darwin": "clang++", "win32": "cl"}.get(sys.platform, "g++")
    name = os.environ.get("CXX") or usual
    if shutil.which(name) is None:
        raise RunError(
            f"training.compile=True needs a C++ compiler, and {name!r} is not there. "
            "Install one, name it in the environment as CXX, or leave training.compile out."
        )
