"""The tuned language model of a run as a checkpoint of its own, for whatever reads such."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from lego.errors import RunError
from lego.home import written
from lego.pretrained.checkpoint import resolve
from lego.pretrained.model import LanguageModel, base_hash, write_tuned
from lego.runtime.folder import write_json

if TYPE_CHECKING:
    from lego.runtime.load import Loaded

ABOUT = "lego.json"
"""Where the weights come from."""


def write_merged(loaded: Loaded, folder: str | Path) -> Mapping[str, Path]:
    """Writes the tuned language model of a run, adapters merged into the weights beside them; its place in the model -> folder.

    The folder holds what transformers' `from_pretrained` reads, of the bare model, in float32, with the tokenizer: `Pretrained`
    takes it, too. Where a model has several that were tuned, each has a folder of its own inside. RunError where none was, or
    where the folder is not empty.
    """
    tuned = _tuned(loaded)
    if not tuned:
        raise RunError(
            f"model={loaded.experiment.model!r} has no language model of which a weight learned, so there is nothing to write: "
            "the checkpoint that it names is as it was."
        )
    path = Path(folder).expanduser().resolve()
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise RunError(f"{path} is there already. Name a folder that is not, or an empty one.")
    with written(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    places = {name: Path(name.replace(".", "-")) if len(tuned) > 1 else Path() for name in tuned}
    try:
        with written(path):
            for name, model in tuned.items():
                inside = aside / places[name]
                inside.mkdir(exist_ok=True)
                checkpoint = resolve(model.name)
                _refuse_other_base(model, base_hash(checkpoint))
                write_tuned(model, checkpoint, inside)
                write_json(
                    inside / ABOUT,
                    {
                        "run": str(loaded.path),
                        "model": loaded.experiment.model.text(),
                        "place": name,
                        "base": {"checkpoint": checkpoint.name, "weights": base_hash(checkpoint)},
                    },
                )
            aside.chmod(0o755)
            if path.exists():
                path.rmdir()
            aside.replace(path)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return {name: path / place for name, place in places.items()}


def _tuned(loaded: Loaded) -> dict[str, LanguageModel]:
    """The language models of which something learned, by their place."""
    if loaded.compiled is None:
        return {}
    return {
        name: part
        for name, part in loaded.compiled.pipeline.named_modules()
        if isinstance(part, LanguageModel) and part.changed()
    }


def _refuse_other_base(model: LanguageModel, found: str) -> None:
    """What was frozen is read again, so it must be what it was. Where everything learned there is no base."""
    if model.first is None:
        return
    if not torch.equal(model.base.cpu(), torch.tensor(list(bytes.fromhex(found)), dtype=torch.uint8)):
        raise RunError(f"The weights of {model.name} have changed while they were read. Put the former back.")
