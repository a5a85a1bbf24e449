"""The token embeddings of a checkpoint, without the rest of it."""

from __future__ import annotations

from pathlib import Path

from safetensors import safe_open
from torch import Tensor

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
