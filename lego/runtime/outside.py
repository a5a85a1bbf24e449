"""What a run depends on beside its specification, its data and our code: plugins, and files with weights or vectors."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from lego import catalog
from lego.errors import CheckpointError
from lego.expression import to_json
from lego.home import home
from lego.runtime.folder import identity
from lego.spec import Source, Spec, field_names

if TYPE_CHECKING:
    from lego.experiment import Experiment


def specs_in(value: object) -> Iterator[Spec]:
    """Every spec in a value, itself first."""
    if isinstance(value, tuple):
        for each in value:
            yield from specs_in(each)
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from specs_in(each)
    elif isinstance(value, Spec):
        yield value
        for name in field_names(type(value)):
            yield from specs_in(getattr(value, name))


def outside(experiment: Experiment) -> dict[str, str]:
    """What it is → its version or hash: other distributions with operators of it, files and checkpoints that it names.

    Raw files of the data are left out: its fingerprint covers them. So is what cannot be had; compiling tells.
    """
    found = {}
    for spec in specs_in(experiment):
        distribution, version = catalog.origin_of(type(spec))
        if version and catalog.normal(distribution) != catalog.BUILTIN:
            found[distribution] = version
        if not isinstance(spec, Source):
            found |= dict(_files(spec))
    return found


def run_id(experiment: Experiment, fingerprint: str) -> str:
    """The name of the folder of a run of this experiment, on data of this fingerprint, whoever tracks it."""
    experiment = experiment.untracked
    return identity([to_json(experiment), outside(experiment)], fingerprint)


def fetch(experiment: Experiment) -> None:
    """Has every checkpoint that an experiment names on this machine, so that `run_id` is the same before and after compiling.

    CheckpointError where one cannot be had.
    """
    from lego.pretrained.checkpoint import resolve

    for spec in specs_in(experiment):
        cls: Any = type(spec)
        for field in () if isinstance(spec, Source) else attrs.fields(cls):
            value = getattr(spec, field.name)
            if field.metadata.get("lego.path") != "if there" or not isinstance(value, str):
                continue
            if not Path(value).expanduser().is_file():
                resolve(value, download=True)


def _files(spec: Spec) -> Iterator[tuple[str, str]]:
    cls: Any = type(spec)
    for field in attrs.fields(cls):
        value, kind = getattr(spec, field.name), field.metadata.get("lego.path")
        if kind is None or not isinstance(value, str):
            continue
        path = Path(value).expanduser()
        if path.is_file():
            with path.open("rb") as file:
                yield value, hashlib.file_digest(file, "sha256").hexdigest()
        elif kind == "if there":
            weights = _weights(value)
            if weights is not None:
                yield value, weights


def _weights(name: str) -> str | None:
    """The hash of a checkpoint's weights, where they are on this machine."""
    from lego.pretrained.checkpoint import resolve, weights_hash

    try:
        return weights_hash(resolve(name, download=False), home() / "checkpoints")
    except (CheckpointError, OSError):
        return None
