"""The token embeddings of a checkpoint, without the rest of it."""

from __future__ import annotations

from torch import Tensor

from lego.errors import CheckpointError
from lego.pretrained.checkpoint import weights_files
from lego.pretrained.families import shape_of
from lego.spec import Checkpoint


def token_table(checkpoint: Checkpoint) -> Tensor:
    """(V, W) float32: the vector of each token id. Only this tensor is read."""
    from safetensors import safe_open

    wanted = shape_of(checkpoint).family.table
    for path in weights_files(checkpoint):
        with safe_open(path, framework="pt") as file:
            for name in file.keys():  # noqa: SIM118 - an open file of tensors is no mapping
                if name.endswith(wanted):
                    return file.get_tensor(name).float()
    what = f"its weights hold no token embeddings (a tensor named …{wanted})"
    raise CheckpointError(checkpoint.name, what, "fetch the checkpoint again")
