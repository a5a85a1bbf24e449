"""Where tensors live."""

from __future__ import annotations

import torch

from lego.errors import RunError, SpecError

KINDS = ("cpu", "cuda", "mps")
"""What the command line names; torch knows more, and takes them where it was built for them."""


def choose_device(name: str = "auto") -> str:
    """`auto` takes an accelerator where there is one; a device that is not there is an error, never another one in silence."""
    if name == "auto":
        if torch.cuda.is_available():
            return "cuda"
        return "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        torch.device(name)
    except RuntimeError:
        ways = ", ".join(KINDS)
        raise SpecError(f"--device {name!r} is no device. Use {ways}, cuda:1, or auto.") from None
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError) as problem:
        why = str(problem).splitlines()[0].rstrip(".")
        raise RunError(
            f"--device {name} is not there: {why}. Use cpu, or auto, which takes what there is."
        ) from None
    return name


def wait_for(device: torch.device) -> None:
    """Until the device has done what it was asked for; a processor always has."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
