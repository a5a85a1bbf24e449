"""The token embeddings of a checkpoint, without the rest of it."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor, nn

from lego.errors import CheckpointError
from lego.pretrained.checkpoint import weights_files
from lego.pretrained.families import shape_of
from lego.spec import Checkpoint


def token_table(checkpoint: Checkpoint) -> Tensor:
    """(V, W) float32: the vector of each token id. Only this tensor is read."""
    path, name = _place(checkpoint)
    with safe_open(path, framework="pt") as file:
        table: Tensor = file.get_tensor(name)
    return table.float()


def table_shape(checkpoint: Checkpoint) -> tuple[int, int]:
    """V, W from the header of the weights. Some tables are narrower than the model's hidden states."""
    path, name = _place(checkpoint)
    with safe_open(path, framework="pt") as file:
        rows, width = file.get_slice(name).get_shape()
    return int(rows), int(width)


def stored_dtype(checkpoint: Checkpoint) -> str:
    """`float32`, `bfloat16` or `float16`: what the weights are stored in, by their token embeddings; float32 where unknown."""
    try:
        path, name = _place(checkpoint)
    except CheckpointError:  # config.json alone is here
        return "float32"
    with safe_open(path, framework="pt") as file:
        found = file.get_slice(name).get_dtype()
    return {"BF16": "bfloat16", "F16": "float16"}.get(str(found), "float32")


class FrozenTable(nn.Embedding):
    """Token embeddings as a checkpoint has them. Its `state_dict` holds their hash alone, and goes onto no others."""

    base: Tensor

    def __init__(self, weight: Tensor, *, name: str = "") -> None:
        super().__init__(weight.shape[0], weight.shape[1], _weight=weight)
        self.requires_grad_(False)
        self.name = name
        values: Any = None if weight.is_meta else weight.detach().numpy()
        digest = bytes(32) if values is None else hashlib.sha256(values).digest()
        self.register_buffer("base", torch.tensor(list(digest), dtype=torch.uint8, device=weight.device))
        hooked: Any = self  # torch gives these two no types
        hooked.register_state_dict_post_hook(_leave_out_table)
        hooked.register_load_state_dict_pre_hook(_keep_table)


def frozen_table(checkpoint: Checkpoint, *, weights: bool = True) -> FrozenTable:
    """The token embeddings of a checkpoint as a module that learns nothing; shapes alone without `weights`."""
    weight = token_table(checkpoint) if weights else torch.empty(table_shape(checkpoint), device="meta")
    return FrozenTable(weight, name=checkpoint.name)


def _leave_out_table(module: nn.Module, state: dict[str, Any], prefix: str, _metadata: Any) -> None:
    del state[f"{prefix}weight"]


def _keep_table(module: nn.Module, state: dict[str, Any], prefix: str, *_: Any) -> None:
    """Before loading: the table must be the same, and stays as it is."""
    assert isinstance(module, FrozenTable)
    recorded = state.get(f"{prefix}base")
    if (
        recorded is not None
        and not module.base.is_meta
        and not torch.equal(recorded.cpu(), module.base.cpu())
    ):
        theirs, ours = (bytes(each.tolist()).hex()[:12] for each in (recorded, module.base))
        raise CheckpointError(
            module.name or "token embeddings",
            f"the model was trained on the token embeddings {theirs}…, and the checkpoint that is here has {ours}…",
            "give the checkpoint that the model was trained on",
        )
    state.setdefault(f"{prefix}weight", module.weight.detach())


def _place(checkpoint: Checkpoint) -> tuple[Path, str]:
    """The file that holds it, and its name there."""
    wanted = shape_of(checkpoint).family.table
    for path in weights_files(checkpoint):
        with safe_open(path, framework="pt") as file:
            for name in file.keys():  # noqa: SIM118 - an open file of tensors is no mapping
                if name.endswith(wanted):
                    return path, name
    what = f"its weights hold no token embeddings (a tensor named …{wanted})"
    raise CheckpointError(checkpoint.name, what, "fetch the checkpoint again")
