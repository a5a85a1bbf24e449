"""Weights, optimiser and position on disk: safetensors and JSON, nothing that runs when it is read."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from lego.errors import RunError
from lego.runtime.folder import read_json, write_json, written_aside

if TYPE_CHECKING:
    from torch import Tensor, nn


def save_weights(path: Path, module: nn.Module) -> None:
    """What `module.state_dict()` holds: all that was trained; frozen language model weights are left to their own files."""
    with written_aside(path) as aside:
        _write(
            {name: value.detach().cpu().contiguous() for name, value in module.state_dict().items()}, aside
        )


def load_weights(path: Path, module: nn.Module) -> None:
    """The weights into the module: every tensor of the file is used, and every tensor of the module is in the file."""
    try:
        module.load_state_dict(_read(path), strict=True)
    except RuntimeError as problem:
        raise RunError(f"{path} holds the weights of another model. {problem}") from None


def save_position(
    folder: Path, module: nn.Module, optimizer: torch.optim.Optimizer, position: dict[str, Any]
) -> None:
    """Weights, optimiser and position, each time in a folder of their own; `last.json` points to it once it is whole."""
    mine = folder / f"epoch-{position['epoch']}-step-{position['step']}"
    save_weights(mine / "model.safetensors", module)
    names = {id(parameter): name for name, parameter in module.named_parameters()}
    state: dict[str, Tensor] = {}
    for parameter, values in optimizer.state.items():
        for key, value in values.items():
            state[f"{names[id(parameter)]}/{key}"] = torch.as_tensor(value).detach().cpu().contiguous()
    with written_aside(mine / "optimizer.safetensors") as aside:
        _write(state, aside)
    write_json(mine / "position.json", position)
    write_json(folder / "last.json", {"folder": mine.name})
    for other in folder.glob("epoch-*"):
        if other != mine:
            shutil.rmtree(other, ignore_errors=True)


def load_position(folder: Path, module: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Any] | None:
    """The reverse of `save_position`; None where nothing was saved yet."""
    if not (folder / "last.json").exists():
        return None
    mine = folder / str(read_json(folder / "last.json")["folder"])
    position: dict[str, Any] = read_json(mine / "position.json")
    load_weights(mine / "model.safetensors", module)
    parameters = dict(module.named_parameters())
    fused = any(group.get("fused") for group in optimizer.param_groups)
    for key, value in _read(mine / "optimizer.safetensors").items():
        name, _, field = key.rpartition("/")
        aside = (
            field == "step" and not fused
        )  # counted on the host, but for kernels that count where the weights are
        optimizer.state[parameters[name]][field] = value if aside else value.to(parameters[name].device)
    return position


def _write(tensors: dict[str, Tensor], path: Path) -> None:
    try:
        save_file(tensors, path)
    except SafetensorError as problem:  # how it tells that a disk is full
        raise OSError(str(problem)) from problem


def _read(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except FileNotFoundError:
        raise RunError(
            f"{path} is missing: the run was stopped before it kept a checkpoint. Run it again."
        ) from None
    except (SafetensorError, OSError) as problem:
        raise RunError(
            f"{path} cannot be read ({problem}). The file is damaged; run again with --resume."
        ) from None
