"""Checkpoints of one GGUF file, as llama.cpp has them: written out once as an ordinary folder, which all else reads.

The folder is named by the hash of the file. Quantised weights become the float32 numbers that they stand for. What transformers
knows of the format, it reads: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import io
import shutil
import tempfile
from pathlib import Path
from typing import Any

import attrs
from filelock import FileLock

from lego.errors import CheckpointError
from lego.home import home
from lego.spec import Checkpoint

MAGIC = b"GGUF"
NEEDED = ("gguf", "accelerate")
"""Packages without which transformers cannot read the format."""


def file_of(folder: Path) -> Path | None:
    """The GGUF file that a folder is for, where it has no other form of weights; the first one by name."""
    if folder.is_file():
        return folder
    if (folder / "config.json").exists():
        return None
    return next(iter(sorted(folder.glob("*.gguf"))), None)


def converted(checkpoint: Checkpoint, file: Path, *, weights: bool) -> Checkpoint:
    """The same checkpoint as an ordinary folder; config.json and tokenizer alone without `weights`.

    CheckpointError where the file is no GGUF, is cut off, or a package is missing that reads it.
    """
    _check(checkpoint, file)
    digest = _digest(file)
    folder = home() / "checkpoints" / f"gguf-{digest[:32]}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_suffix(".lock")):
        for part, wanted in (("tokenizer.json", True), ("model.safetensors", weights)):
            if wanted and not (folder / part).exists():
                _make(checkpoint, file, folder, weights=part == "model.safetensors")
    return attrs.evolve(checkpoint, folder=folder, origin=f"{checkpoint.origin}, {file.name}")


def _digest(file: Path) -> str:
    """The hash of the file; one that was not touched since is not read again."""
    status = file.resolve().stat()
    touched = f"{file.resolve()}|{status.st_size}|{status.st_mtime_ns}|{status.st_ctime_ns}|{status.st_ino}"
    note = home() / "checkpoints" / f"gguf-{hashlib.sha256(touched.encode()).hexdigest()[:16]}.sha256"
    if note.exists() and len(known := note.read_text("utf-8")) == 64:
        return known
    with file.open("rb") as opened:
        digest = hashlib.file_digest(opened, "sha256").hexdigest()
    note.parent.mkdir(parents=True, exist_ok=True)
    note.write_text(digest, "utf-8")
    return digest


def _check(checkpoint: Checkpoint, file: Path) -> None:
    with file.open("rb") as opened:
        start = opened.read(4)
    if start != MAGIC:
        what = f"{file} does not begin as a GGUF file does: it is cut off, damaged, or something else"
        raise CheckpointError(checkpoint.name, what, "fetch the file again")
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        what = f"reading {file.name} needs {' and '.join(missing)}, which {'is' if len(missing) == 1 else 'are'} not installed"
        raise CheckpointError(checkpoint.name, what, "pip install legorec[gguf]")


def _make(checkpoint: Checkpoint, file: Path, folder: Path, *, weights: bool) -> None:
    """Writes aside, and moves what is whole."""
    from lego.pretrained.model import quiet

    aside = Path(tempfile.mkdtemp(prefix="gguf-partial-", dir=folder.parent))
    try:
        with quiet(), contextlib.redirect_stderr(io.StringIO()):  # it draws a bar of its own
            _read(file, aside, weights=weights)
        folder.mkdir(exist_ok=True)
        for part in sorted(aside.iterdir()):
            part.replace(folder / part.name)
    except Exception as problem:  # readers of a binary format fail in many ways
        what = f"{file} cannot be read: {problem}"
        raise CheckpointError(
            checkpoint.name, what, "fetch the file again, or take a family of the table"
        ) from problem
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _read(file: Path, aside: Path, *, weights: bool) -> None:
    import torch
    from transformers import AutoConfig, AutoModel, AutoTokenizer

    where: dict[str, Any] = {"gguf_file": file.name, "local_files_only": True, "trust_remote_code": False}
    if weights:
        model: Any = AutoModel.from_pretrained(file.parent, dtype=torch.float32, **where)
        # Not by the model's own means, which refuse to write what was read from quantised weights.
        state = {name: value.detach().contiguous() for name, value in model.state_dict().items()}
        from safetensors.torch import save_file  # brings torch, which finding a checkpoint does without

        save_file(state, aside / "model.safetensors", metadata={"format": "pt"})
        return
    AutoConfig.from_pretrained(file.parent, **where).save_pretrained(aside)
    tokenizer: Any = AutoTokenizer.from_pretrained(file.parent, **where)
    (aside / "tokenizer.json").write_text(tokenizer.backend_tokenizer.to_str(), "utf-8")
