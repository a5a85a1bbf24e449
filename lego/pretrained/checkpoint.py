"""Where the files of a language model are: a local folder, an installed package, the hub's cache, the hub. In this order."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import re
from pathlib import Path
from typing import Any

from lego import catalog
from lego.errors import CatalogError, CheckpointError
from lego.pretrained import gguf
from lego.spec import Checkpoint

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
TOKENIZERS = (
    "tokenizer.json",
    "vocab.txt",
    "vocab.json",
    "tokenizer.model",
    "spiece.model",
    "spm.model",
    "sentencepiece.bpe.model",
)
"""One of these makes a tokenizer."""

BESIDE_TOKENIZERS = ("tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "merges.txt")
"""What may stand beside them."""

REVISIONS = {"facebook/opt-125m": "1f44ae81e29a9f7525c8331302e5562e0d91f731"}
"""Commits of the hub that hold safetensors, where the branch that one would get has pickles alone."""

HUB_SECONDS = 3.0
"""How long the hub may take to answer what there is."""

_WANTED = ("*.json", "*.safetensors", "*.txt", "*.model")
_UNWANTED = (
    "onnx/*",
    "openvino/*",
    "*/*.safetensors",
    "*.msgpack",
    "*.h5",
    "*.bin",
    "*.pt",
    "*.py",
    "original/*",
)


def resolve(name: str, *, download: bool = True) -> Checkpoint:
    """The checkpoint of a name: a local folder, or the hub id of one that is installed, cached, or on the hub.

    A folder may hold one GGUF file in place of all others, or that file may be named.

    A relative folder is looked up from the working directory. `download=False` fetches no weights: of a checkpoint that is on the
    hub only, config.json is had, which is enough to check options. CheckpointError with the ways out where it cannot be had,
    where a file is missing or damaged, or where it asks for code of its own.
    """
    found = _local(name) or _packaged(name) or _cached(name)
    if found is not None and (single := gguf.file_of(found.folder)) is not None:
        found = gguf.converted(found, single, weights=download)
        if not download:
            return found
    if found is None:
        found = _from_hub(name, download=download)
        if not download:
            read_config(found)
            return found
    _check_files(found)
    return found


def is_here(name: str) -> bool:
    """Whether a checkpoint is on this machine; CheckpointError where its name is that of a folder that is not there."""
    return (_local(name) or _packaged(name) or _cached(name)) is not None


def read_config(checkpoint: Checkpoint) -> dict[str, Any]:
    """config.json; CheckpointError where it is missing, unreadable, or asks for code of its own."""
    config = _json(checkpoint, CONFIG)
    wants_code = [(CONFIG, config.get("auto_map"))]
    if (checkpoint.folder / "tokenizer_config.json").exists():
        wants_code.append(
            ("tokenizer_config.json", _json(checkpoint, "tokenizer_config.json").get("auto_map"))
        )
    for file, asked in wants_code:
        if asked:
            code = ", ".join(
                sorted({str(each) for each in (asked.values() if isinstance(asked, dict) else [asked])})
            )
            raise CheckpointError(
                checkpoint.name,
                f"its {file} asks for code of its own (auto_map: {code}), and code from a checkpoint is never run here",
                "take a conversion of the model to a family that transformers has itself (often named …-hf)",
            )
    if not isinstance(config.get("model_type"), str):
        raise CheckpointError(
            checkpoint.name,
            f"its {CONFIG} names no model_type",
            "take the config.json that came with the weights",
        )
    return config


def weights_files(checkpoint: Checkpoint) -> list[Path]:
    """The safetensors files that hold the weights, in a fixed order."""
    if (checkpoint.folder / WEIGHTS).exists():
        return [checkpoint.folder / WEIGHTS]
    if (checkpoint.folder / INDEX).exists():
        shards = _json(checkpoint, INDEX).get("weight_map")
        if not isinstance(shards, dict) or not shards:
            raise CheckpointError(
                checkpoint.name, f"its {INDEX} lists no files", "fetch the checkpoint again"
            )
        return [checkpoint.folder / shard for shard in sorted({str(each) for each in shards.values()})]
    pickles = sorted(path.name for path in checkpoint.folder.glob("*.bin"))
    what = f"there is no {WEIGHTS} in {checkpoint.folder}"
    if pickles:
        fix = f"{pickles[0]} is a pickle, which can run code and is never opened here: convert it, for example with "
        raise CheckpointError(
            checkpoint.name,
            what,
            fix + "transformers' save_pretrained(folder) on a machine where you trust it",
        )
    fix = "name the folder that holds config.json, the weights and the tokenizer"
    if checkpoint.origin == "hub cache":
        fix = (
            "the hub offers other formats of it alone, which are never opened here. Mostly a branch has it converted (see its "
            f"Community tab): hf download {checkpoint.name} --revision refs/pr/N --local-dir DIR, and name DIR"
        )
    raise CheckpointError(checkpoint.name, what, fix)


def weights_hash(checkpoint: Checkpoint, memory: Path | None = None) -> str:
    """SHA-256 (hexadecimal) over the weights; with a folder `memory`, an unchanged file (path, size, time) is not read again."""
    remembered: dict[str, str] = {}
    notes = None if memory is None else memory / "weights.json"
    if notes is not None and notes.exists():
        try:
            remembered = {str(key): str(value) for key, value in json.loads(notes.read_text("utf-8")).items()}
        except (ValueError, AttributeError):
            remembered = {}
    total = hashlib.sha256()
    known = len(remembered)
    for path in weights_files(checkpoint):
        real = path.resolve()
        status = real.stat()
        # The inode's time moves with every change and nobody can set it.
        key = f"{real}|{status.st_size}|{status.st_mtime_ns}|{status.st_ctime_ns}|{status.st_ino}"
        if key not in remembered:
            with real.open("rb") as file:
                remembered[key] = hashlib.file_digest(file, "sha256").hexdigest()
        total.update(f"{path.name}:{remembered[key]}\n".encode())
    if notes is not None and len(remembered) > known:
        notes.parent.mkdir(parents=True, exist_ok=True)
        aside = notes.with_name(f"{notes.name}.{os.getpid()}")
        aside.write_text(json.dumps(remembered, indent=1), "utf-8")
        aside.replace(notes)
    return total.hexdigest()


# --- the places ---------------------------------------------------------------------------------------------------------------


def _local(name: str) -> Checkpoint | None:
    path = Path(name).expanduser()
    if path.is_dir():
        return Checkpoint(name=name, folder=path.resolve(), origin="folder")
    if path.is_file() and path.suffix == ".gguf":
        return Checkpoint(name=name, folder=path.resolve(), origin="file")
    if path.is_file():
        raise CheckpointError(
            name, "it is a file", "name the folder that holds config.json, the weights and the tokenizer"
        )
    if path.is_absolute() or name.startswith((".", "~")) or "\\" in name or name.count("/") > 1:
        raise CheckpointError(
            name,
            f"there is no folder {path.absolute()}",
            "correct the path, or give a hub id like owner/model",
        )
    return None


def _packaged(name: str) -> Checkpoint | None:
    if name not in catalog.names("checkpoint"):
        return None
    packaged = catalog.load("checkpoint", name)
    folder = packaged.find()
    if folder is None:
        return None
    package = getattr(packaged, "package", "")
    return Checkpoint(name=name, folder=Path(folder), origin=f"package {_distribution(package)}".strip())


def _distribution(package: str) -> str:
    """`name version` of a package; distributions that ship one package are mostly named like it."""
    top = package.partition(".")[0].replace("_", "-")
    try:
        return f"{top} {importlib.metadata.version(top)}"
    except (importlib.metadata.PackageNotFoundError, ValueError):
        return package


def _cached(name: str) -> Checkpoint | None:
    """The snapshot in the hub's cache, where it is complete."""
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        config = try_to_load_from_cache(name, CONFIG, revision=REVISIONS.get(name))
    except HFValidationError:
        what = "it is neither a folder nor a hub id"
        raise CheckpointError(name, what, "give a folder, or a hub id like owner/model") from None
    if not isinstance(config, str):
        return None
    found = Checkpoint(name=name, folder=Path(config).parent, origin="hub cache")
    try:
        complete = all(path.exists() for path in weights_files(found)) and _has_tokenizer(found)
    except CheckpointError:
        return None
    return found if complete else None


def _from_hub(name: str, *, download: bool) -> Checkpoint:
    from huggingface_hub import snapshot_download

    try:
        if download:
            folder = Path(
                snapshot_download(
                    name,
                    revision=REVISIONS.get(name),
                    allow_patterns=list(_WANTED),
                    ignore_patterns=list(_UNWANTED),
                )
            )
        else:
            # Asked as a snapshot: a single file is asked for again and again, half a minute, where there is no network.
            wanted = [CONFIG, "tokenizer_config.json"]
            folder = Path(
                snapshot_download(
                    name, revision=REVISIONS.get(name), allow_patterns=wanted, etag_timeout=HUB_SECONDS
                )
            )
    except Exception as problem:  # noqa: BLE001 - whatever a network does, the ways out are the same
        raise _nowhere(name, problem) from None
    return Checkpoint(name=name, folder=folder, origin="hub cache")


def _nowhere(name: str, problem: Exception) -> CheckpointError:
    ways = [
        f"fetch it where there is a network: hf download {name}",
        "set HF_HOME to a cache that has it",
    ]
    ways.append(f"give a local folder instead of {name!r}")
    if name in catalog.names("checkpoint"):
        try:
            package = getattr(catalog.load("checkpoint", name), "package", None)
        except CatalogError:
            package = None
        if package:
            ways.insert(0, f"pip install {package.partition('.')[0].replace('_', '-')}")
    else:
        shipped = ", ".join(catalog.names("checkpoint")) or "none"
        ways.append(f"use one that an installed package offers: {shipped}")
    reason = re.sub(r"\s+", " ", str(problem)).strip()[:300]
    what = f"there is no such folder, no installed package ships it, the hub's cache lacks it, and the hub gave: {reason}"
    return CheckpointError(name, what, "; or ".join(ways))


# --- the files ----------------------------------------------------------------------------------------------------------------


def _json(checkpoint: Checkpoint, file: str) -> dict[str, Any]:
    path = checkpoint.folder / file
    try:
        record = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        what = f"there is no {file} in {checkpoint.folder}"
        fix = "name the folder that holds config.json, the weights and the tokenizer"
        raise CheckpointError(checkpoint.name, what, fix) from None
    except (ValueError, OSError) as problem:
        raise CheckpointError(
            checkpoint.name, f"{path} cannot be read: {problem}", "fetch the checkpoint again"
        ) from None
    if not isinstance(record, dict):
        raise CheckpointError(checkpoint.name, f"{path} holds no JSON object", "fetch the checkpoint again")
    return record


def _has_tokenizer(checkpoint: Checkpoint) -> bool:
    return any((checkpoint.folder / file).exists() for file in TOKENIZERS)


def _check_files(checkpoint: Checkpoint) -> None:
    """What can be known without reading a weight."""
    read_config(checkpoint)
    for path in weights_files(checkpoint):
        _check_weights(checkpoint, path)
    if not _has_tokenizer(checkpoint):
        what = f"there is no tokenizer in {checkpoint.folder} (one of {', '.join(TOKENIZERS)})"
        raise CheckpointError(
            checkpoint.name, what, "copy the tokenizer files that belong to these weights into it"
        )


def _check_weights(checkpoint: Checkpoint, path: Path) -> None:
    """A safetensors file says how long it is: 8 bytes of length, a JSON header with the extent of each tensor, the tensors."""
    if not path.exists():
        raise CheckpointError(
            checkpoint.name, f"{path.name} is missing in {checkpoint.folder}", "fetch the checkpoint again"
        )
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(8)
        length = int.from_bytes(start, "little")
        header = file.read(length) if length <= size - 8 else b""
    if start == b"version ":
        what = f"{path} is a pointer of Git LFS, not the weights"
        raise CheckpointError(checkpoint.name, what, "fetch the file itself: git lfs pull")
    try:
        tensors = json.loads(header)
        expected = (
            8
            + length
            + max(each["data_offsets"][1] for name, each in tensors.items() if name != "__metadata__")
        )
    except (ValueError, KeyError, TypeError, IndexError, AttributeError):
        what = f"{path} ({size} bytes) has no readable safetensors header: it is truncated or damaged"
        raise CheckpointError(checkpoint.name, what, "fetch the file again") from None
    if expected != size:
        what = f"{path} is truncated or damaged: its header speaks of {expected} bytes, it has {size}"
        raise CheckpointError(checkpoint.name, what, "fetch the file again")
