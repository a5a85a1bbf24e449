"""Data that was prepared before, here or on another machine: what `lego data prepare --out DIR` wrote."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import attrs

from lego.data.store import Store
from lego.data.table import Tables
from lego.spec import PATH, Source, ge, operator


def _path_text(value: str | os.PathLike[str]) -> str:
    return os.fspath(value) if isinstance(value, os.PathLike) else value


@operator
class Prepared(Source):
    """A prepared folder, used where it is; or a folder that holds just one, as the `--out` of `lego data prepare` does.

    What the model reads by default and the protocol are those of the source that was prepared.
    """

    domain: ClassVar[str] = "any"
    language: ClassVar[str] = "any"
    official_files: ClassVar[tuple[str, ...]] = (
        "manifest.json",
        "items.arrow",
        "users.arrow",
        "train.arrow",
        "dev.arrow",
        "test.arrow",
    )
    licence: ClassVar[str] = "that of the data it was made from"
    task: ClassVar[str] = "any"

    folder: str = attrs.field(kw_only=False, converter=_path_text, metadata=PATH)
    history: int = attrs.field(default=50, validator=ge(1))

    @property
    def reads(self) -> Mapping[str, int]:  # type: ignore[override]  # known only from the manifest
        """The attributes a model reads unless it says otherwise, as the source that was prepared has them."""
        return dict(self._store().manifest["reads"])

    @property
    def protocol(self) -> str:  # type: ignore[override]  # known only from the manifest
        """How results on this data are read, as the source that was prepared has it."""
        return str(self._store().manifest["protocol"])

    def ready(self) -> Path:
        """The prepared folder."""
        return self._store().path

    def fingerprint(self) -> Mapping[str, Any]:
        """The prepared folder's own."""
        return {"fingerprint": self._store().fingerprint}

    def files(self) -> Iterable[Path]:
        """The files of the folder."""
        store = self._store()
        return [store.path / name for name in ("manifest.json", *store.manifest["tables"])]

    def tables(self) -> Tables:
        """The tables in the folder."""
        store = self._store()
        return Tables(
            items=store.items,
            users=store.table("users"),
            impressions={part: store.table(part) for part in store.parts},
            dropped=store.manifest["dropped"],
            rules=store.manifest["rules"],
            origins=None if store.origins is None else store.table("origins"),
            base=store.manifest["base"],
            unlabeled=tuple(store.manifest["unlabeled"]),
        )

    def _store(self) -> Store:
        return Store.open(self.folder)
