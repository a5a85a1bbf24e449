"""Data that a language model added to: texts about items, profiles of users, items that users might have taken.

The generative half of ONCE (Liu et al. 2024, https://arxiv.org/abs/2305.06566), as one expression around any source.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

import attrs
import pyarrow as pa
import pyarrow.compute as pc

from lego.augment.ask import Step, answers_of
from lego.augment.check import checked
from lego.augment.draft import Answer, Draft
from lego.augment.kind.base import Kind
from lego.data.prepare import prepare
from lego.data.store import Store
from lego.data.table import Tables
from lego.errors import DataError, Problem
from lego.generator.base import digest
from lego.generator.local_model import LocalModel
from lego.home import home
from lego.spec import FrozenMap, Generator, Source, operator


@operator
class Augment(Source):
    """A source with attributes, profiles and items that a language model made: `Augment(data, title=Rewrite("{title}"))`.

    Each change is a name and what to ask; they are made in order, and a later one may read what an earlier one made. Nothing of
    the original is overwritten. The answers are made by `lego augment SCRIPT`, which may cost time and money and asks before;
    training reads them. `missing="error"` refuses data of which questions were never asked, `missing="empty"` leaves their places
    as they were. A question whose answers never fitted is counted, and its place left.
    """

    named: ClassVar[str] = "changes"

    data: Source = attrs.field(kw_only=False)
    changes: Mapping[str, Kind] = attrs.field(factory=FrozenMap)
    generator: Generator = attrs.field(factory=LocalModel)
    missing: Literal["error", "empty"] = "error"

    @property
    def reads(self) -> Mapping[str, int]:  # type: ignore[override]  # those of the data
        """The attributes a model reads unless it says otherwise: those of the original."""
        return self.data.reads

    @property
    def protocol(self) -> str:  # type: ignore[override]  # that of the data
        """How results on this data are read: as on the original."""
        return self.data.protocol

    @property
    def attributes(self) -> tuple[str, ...]:  # type: ignore[override]  # those of the data, and more
        """Those of the original, and those that are made."""
        made = [name for step, kind in self.changes.items() for name in kind.adds(step)]
        return (*self.data.attributes, *made)

    def ready(self) -> Path | None:
        """Nothing: what is prepared is the original."""
        return None

    def fingerprint(self) -> Mapping[str, Any]:
        """The original's, the changes, and every answer that is used; DataError where some were never given."""
        store = self.original()
        made = _made(self, store)
        return {
            "data": store.fingerprint,
            "changes": digest({name: kind.text(full=True) for name, kind in _asked(self).items()}),
            "answers": made.digest,
        }

    def files(self) -> Iterable[Path]:
        """The raw files of the original."""
        ready = self.data.ready()
        return self.data.files() if ready is None else [ready / "manifest.json"]

    def tables(self) -> Tables:
        """The original's tables with what the answers add."""
        return _made(self, self.original()).tables

    def original(self) -> Store:
        """The data as it was, prepared."""
        return prepare(self.data, home() / "data")


def _asked(source: Augment) -> dict[str, Kind]:
    """The changes without what does not concern the data: where files are."""
    return {
        name: attrs.evolve(kind, generator=None, prompt=None)  # type: ignore[misc]  # every kind is a spec with these
        for name, kind in source.changes.items()
    }


@attrs.frozen(eq=False)
class Made:
    """What the answers that are there make of the data."""

    tables: Tables
    digest: str
    """Of every answer that is used."""
    answers: Mapping[str, list[Answer]]
    draft: Draft


def _made(source: Augment, store: Store) -> Made:
    draft = Draft(store)
    steps = checked(source.changes, source.generator, draft)
    answers: dict[str, list[Answer]] = {}
    used: list[Any] = []
    unasked: dict[str, int] = {}
    for step in steps:
        found = answers_of(step, step.kind.questions(step.name, draft))
        step.kind.apply(step.name, draft, found)
        answers[step.name] = found
        used += [[step.name, each.row, dict(each.values or {}), each.problem] for each in found]
        unasked[step.name] = sum(each.record is None for each in found)
    if source.missing == "error" and any(unasked.values()):
        raise DataError(list(_missing(steps, answers, unasked)), headline="answers are missing")
    return Made(draft.tables(store, _counted(answers)), digest(used), answers, draft)


def _missing(
    steps: list[Step], answers: Mapping[str, list[Answer]], unasked: Mapping[str, int]
) -> Iterable[Problem]:
    for step in steps:
        if count := unasked[step.name]:
            what = (
                f"{count:,} of {len(answers[step.name]):,} questions have no answer from {step.generator!r}"
            )
            fix = 'make them with: lego augment SCRIPT; or go without: missing="empty"'
            yield Problem(f"{step.name}={type(step.kind).__name__}(…)", what, fix)


def _counted(answers: Mapping[str, list[Answer]]) -> dict[str, int]:
    """What goes into the manifest: questions without an answer, and those whose answers did not fit."""
    dropped = {}
    for name, found in answers.items():
        dropped[f"{name}_questions_without_answer"] = sum(each.record is None for each in found)
        dropped[f"{name}_answers_that_did_not_fit"] = sum(
            each.record is not None and each.values is None for each in found
        )
    return dropped


def side_tables(source: Augment) -> dict[str, pa.Table]:
    """Attribute → its generated values by id, each with its model, hash of the prompt, and time: what `lego data join` reads."""
    tables = _made(source, source.original()).tables
    found = {}
    origins = tables.origins
    assert origins is not None
    for table, whole, first, id_ in (
        ("items", tables.items, 1, "item_id"),
        ("users", tables.users, 0, "user_id"),
    ):
        mine = origins.filter(pc.equal(origins["table"], table))
        for name in pc.unique(mine["attribute"]).to_pylist():
            lines = mine.filter(pc.equal(mine["attribute"], name))
            rows = pc.subtract(lines["row"], first)
            values = whole.select([id_] if name == id_ else [id_, name]).take(rows)
            if name == id_:  # items that were invented: all that they have
                values = whole.take(rows)
            for column in ("model", "prompt", "time"):
                values = values.append_column(f"{name}_{column}", lines[column])
            found["new_items" if name == id_ else name] = values
    return found
