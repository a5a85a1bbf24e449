"""What can fill each slot: found by entry point, loaded on first use. Built-ins are listed in the very same groups as plugins.

Listing reads metadata and imports nothing; an operator is imported when its name is used. This is the one module that knows the
`entrypoints` package.
"""

from __future__ import annotations

import importlib.metadata
import os
import re
import sys
import warnings
from functools import lru_cache
from typing import Any

import attrs
import entrypoints  # type: ignore[import-untyped]

from lego.errors import CatalogError

SLOTS = (
    "content",
    "behavior",
    "predictor",
    "task",
    "metric",
    "source",
    "tokens",
    "checkpoint",
    "scorer",
    "rerank",
    "generator",
    "tracker",
    "command",
)
"""The groups of entry points, without `lego.`."""

BUILTIN = "legorec"
"""The distribution whose names win over plugins."""


@attrs.frozen(order=True)
class Entry:
    """One line of one distribution's entry points."""

    slot: str
    name: str
    distribution: str
    version: str
    target: str

    @property
    def qualified(self) -> str:
        """The name that stays unique when two distributions claim it: `acme_recs.GRU`."""
        return f"{normal(self.distribution)}.{self.name}"


@attrs.frozen
class Broken:
    """A distribution, or one of its entries, that cannot be used, and why."""

    distribution: str
    version: str
    entry: str
    why: str


def normal(distribution: str) -> str:
    """A distribution's name as it is written in expressions: lower case, underscores."""
    return re.sub(r"[-_.]+", "_", distribution).lower()


@lru_cache(maxsize=1)
def _scan() -> tuple[tuple[Entry, ...], tuple[Broken, ...]]:
    """All entries of our groups, and the distributions whose metadata cannot be read. One pass a process."""
    found: dict[tuple[str, str, str], Entry] = {}
    broken: list[Broken] = []
    try:
        files = [
            (
                config.items,
                config.sections(),
                distribution.name,
                distribution.version or "",
            )
            for config, distribution in entrypoints.iter_files_distros()
        ]
    except Exception:  # noqa: BLE001 - one malformed file of any package stops that scan, whatever it raises
        files, broken = _scan_with_the_standard_library()
    for items, sections, distribution, version in files:
        for section in sections:
            slot = section.removeprefix("lego.")
            if section == slot or slot not in SLOTS:
                continue
            for name, target in items(section):
                entry = Entry(slot=slot, name=name, distribution=distribution, version=version, target=target.strip())
                found.setdefault((slot, name, normal(distribution)), entry)
    return tuple(sorted(_allowed(found.values()))), tuple(broken)


def _scan_with_the_standard_library() -> tuple[list[Any], list[Broken]]:
    """The same, one distribution at a time, so that the malformed one can be named."""
    files: list[Any] = []
    broken = []
    for distribution in importlib.metadata.distributions():
        name, version = distribution.metadata["Name"] or "unknown", distribution.version
        try:
            groups: dict[str, list[tuple[str, str]]] = {}
            for each in distribution.entry_points:
                groups.setdefault(each.group, []).append((each.name, each.value))
            text = distribution.read_text("entry_points.txt")
            if text and "lego." in text:
                _must_parse(text)
        except Exception as problem:  # noqa: BLE001 - whatever is wrong with a stranger's metadata, it is a row
            broken.append(Broken(name, version, "entry_points.txt", f"its metadata is malformed: {problem}"))
            continue
        files.append((groups.__getitem__, list(groups), name.replace("-", "_"), version))
    return files, broken


def _must_parse(text: str) -> None:
    import configparser

    parser = configparser.ConfigParser(delimiters=("=",))
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read_string(text)


def _allowed(entries: Any) -> list[Entry]:
    """`LEGO_PLUGINS=off` leaves the built-ins; `LEGO_PLUGINS=name,name` leaves those distributions beside them."""
    switch = os.environ.get("LEGO_PLUGINS", "").strip()
    if not switch:
        return list(entries)
    allowed = {BUILTIN} if switch.lower() == "off" else {BUILTIN, *(normal(each.strip()) for each in switch.split(","))}
    return [entry for entry in entries if normal(entry.distribution) in allowed]


def forget() -> None:
    """Scan again at the next question: after something was installed in this process."""
    _scan.cache_clear()
    _load.cache_clear()


def entries(slot: str | None = None) -> list[Entry]:
    """What is installed, sorted by slot, name and distribution."""
    return [entry for entry in _scan()[0] if slot in (None, entry.slot)]


def malformed() -> list[Broken]:
    """The distributions whose metadata cannot be read."""
    return list(_scan()[1])


def names(slot: str) -> list[str]:
    """The names in a slot."""
    return sorted({entry.name for entry in entries(slot)})


def find(name: str, slot: str | None = None) -> Entry:
    """The entry of a name, bare (`GRU`) or qualified (`acme_recs.GRU`); CatalogError where there is none or more than one."""
    kind = slot or "operator"
    matching = [entry for entry in entries(slot) if name in (entry.name, entry.qualified)]
    if not matching:
        raise CatalogError.unknown(kind, name, {entry.name for entry in entries(slot)}, _offering(name))
    distributions = sorted({entry.distribution for entry in matching})
    if len(distributions) > 1:
        mine = [entry for entry in matching if normal(entry.distribution) == BUILTIN]
        if not mine:
            raise CatalogError.ambiguous(name, map(normal, distributions))
        others = ", ".join(sorted({entry.qualified for entry in matching} - {entry.qualified for entry in mine}))
        warnings.warn(f"{name} is the built-in one; write {others} for the other.", stacklevel=2)
        return mine[0]
    return matching[0]


def _offering(name: str) -> list[str]:
    return [broken.distribution for broken in malformed() if name == broken.entry]


def load(slot: str, name: str) -> Any:
    """The object behind a name of a slot."""
    return load_entry(find(name, slot))


def load_entry(entry: Entry) -> Any:
    """The object behind an entry; CatalogError that names the distribution where it cannot be loaded."""
    return _load(entry)


@lru_cache(maxsize=None)
def _load(entry: Entry) -> Any:
    try:
        found = entrypoints.EntryPoint.from_string(entry.target, entry.name).load()
    except entrypoints.BadEntryPoint:
        why: object = f"{entry.target!r} is not of the form module:object"
    except (Exception, SystemExit) as problem:  # noqa: BLE001 - a plugin may raise anything at import
        why = f"{type(problem).__name__}: {problem}"
    else:
        why = _misfit(entry, found)
        if why is None:
            return found
    raise CatalogError.broken(entry.name, entry.distribution, entry.version, entry.target, why)


def _misfit(entry: Entry, found: object) -> str | None:
    """Why the object cannot fill its slot, or None. Functions that return specs (presets) are welcome."""
    from lego import spec

    base = {
        "content": spec.Content,
        "behavior": spec.Behavior,
        "predictor": spec.Predictor,
        "task": spec.Task,
        "metric": spec.Metric,
        "source": spec.Source,
        "tokens": spec.Tokens,
        "scorer": spec.Scorer,
    }.get(entry.slot)
    if base is None or not isinstance(found, type):
        return None if base is None or callable(found) else f"it is {found!r}, not a class"
    if not issubclass(found, base):
        return f"{found.__qualname__} is not a subclass of lego.spec.{base.__name__}"
    if found.__name__ != entry.name:
        return f"its class is called {found.__name__}; the entry point must have the same name"
    return None


def name_of(cls: type) -> str:
    """How expressions call a class: its name, qualified where another distribution claims the same."""
    claims = {entry.distribution: entry for entry in entries() if entry.name == cls.__name__}
    if len(claims) > 1:
        for distribution, entry in sorted(claims.items()):
            if entry.target == f"{cls.__module__}:{cls.__qualname__}" and normal(distribution) != BUILTIN:
                return entry.qualified
    return cls.__name__


def is_listed(cls: type) -> bool:
    """Whether a class can be found again by name."""
    target = f"{cls.__module__}:{cls.__qualname__}"
    return any(entry.target == target for entry in entries())


def origin_of(cls: type) -> tuple[str, str]:
    """Distribution and version that a class comes from; the script for a class of one's own."""
    target = f"{cls.__module__}:{cls.__qualname__}"
    for entry in entries():
        if entry.target == target:
            return entry.distribution, entry.version
    module = sys.modules.get(cls.__module__)
    return str(getattr(module, "__file__", cls.__module__)), ""
