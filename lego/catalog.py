"""What can fill each slot: found by entry point, loaded on first use. Built-ins are listed in the very same groups as plugins.

Listing reads metadata and imports nothing; an operator is imported when its name is used. This is the one module that knows the
`entrypoints` package.
"""

from __future__ import annotations

import configparser
import importlib
import importlib.util
import os
import re
import sys
import tomllib
import traceback
import warnings
from collections.abc import Iterable
from functools import cache
from pathlib import Path
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

API = "1.0"
"""The version of what plugins lean on (docs/write_an_operator.md lists it), by the rules of semver.org: a plugin that declares
`lego_api = ">=1,<2"` in its package works with every 1.x."""

RENAMED = "renamed"
"""The group that says what an operator was called before, without `lego.`: old name = new name, both of one distribution."""

MISSING = "it needs what is not installed: "
"""How the reason begins where an optional dependency is all that is wrong."""

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


@attrs.frozen
class _Found:
    """What one pass over the metadata gave."""

    entries: tuple[Entry, ...]
    switched_off: tuple[Entry, ...]
    broken: tuple[Broken, ...]
    renamed: tuple[Entry, ...]


_Groups = Iterable[tuple[str, list[tuple[str, str]]]]
"""Section of an entry_points.txt, and its lines as name and target."""


def _scan() -> _Found:
    """What one pass over the metadata gave, seen through the switch as it stands now."""
    return _scan_once(switch().names)


@attrs.frozen
class Switch:
    """Which plugins stand beside the built-in operators."""

    names: str
    """Empty for all, `off` for none, else names of distributions with commas between them."""
    where: str
    """Where it is set: `LEGO_PLUGINS`, or the file of the project."""


def switch() -> Switch:
    """The switch as it stands now: `LEGO_PLUGINS`, else `plugins` in `[tool.lego]` of the nearest pyproject.toml that has it.

    CatalogError where the project's setting is neither "off" nor a list of distributions.
    """
    named = os.environ.get("LEGO_PLUGINS", "").strip()
    return Switch(named, "LEGO_PLUGINS") if named else _switch_of_project(str(Path.cwd()))


@cache
def _switch_of_project(folder: str) -> Switch:
    """Read once a process for each working directory."""
    for each in (Path(folder), *Path(folder).parents):
        file = each / "pyproject.toml"
        try:
            written = tomllib.loads(file.read_text(encoding="utf-8"))
            asked = written["tool"]["lego"]["plugins"]
        except (
            OSError,
            ValueError,
            KeyError,
            TypeError,
        ):  # no such file, not ours to complain about, or silent
            continue
        if asked in ("off", []):
            return Switch("off", str(file))
        if not isinstance(asked, list) or not all(isinstance(name, str) and name.strip() for name in asked):
            raise CatalogError.wrong_switch(file, asked)
        return Switch(",".join(asked), str(file))
    return Switch("", "LEGO_PLUGINS")


@cache
def _scan_once(switch: str) -> _Found:
    """All entries of our groups, and the distributions whose metadata cannot be read. One pass a process for each switch."""
    found: dict[tuple[str, str, str], Entry] = {}
    renamed: dict[tuple[str, str, str], Entry] = {}
    broken: list[Broken] = []
    try:
        files = [
            (_groups(config), distribution.name, distribution.version or "")
            for config, distribution in entrypoints.iter_files_distros()
        ]
    except Exception:  # noqa: BLE001 - one malformed file of any package stops that scan, whatever it raises
        files, broken = _scan_with_the_standard_library()
    for groups, distribution, version in files:
        for section, lines in groups:
            slot = section.removeprefix("lego.")
            if section == slot or slot not in (*SLOTS, RENAMED):
                continue
            kept = renamed if slot == RENAMED else found
            for name, target in lines:
                entry = Entry(
                    slot=slot,
                    name=name,
                    distribution=distribution,
                    version=version or _version(distribution),
                    target=target.strip(),
                )
                kept.setdefault((slot, name, normal(distribution)), entry)
    allowed = _allowed(found.values(), switch)
    off = (entry for entry in found.values() if entry not in allowed)
    names = _allowed(renamed.values(), switch)
    return _Found(tuple(sorted(allowed)), tuple(sorted(off)), tuple(broken), tuple(sorted(names)))


def _groups(config: configparser.ConfigParser) -> _Groups:
    """Raw, since a `%` in a target is not an interpolation."""
    return [(section, config.items(section, raw=True)) for section in config.sections()]


def _version(distribution: str) -> str:
    """Of a distribution whose folder does not say it, as old editable installs have it."""
    import importlib.metadata  # seldom needed, and slow to import

    try:
        return importlib.metadata.version(distribution)
    except Exception:  # noqa: BLE001 - metadata may be damaged in any way, and a listing goes on without it
        return ""


def _scan_with_the_standard_library() -> tuple[list[tuple[_Groups, str, str]], list[Broken]]:
    """The same, one distribution at a time, so that the malformed one can be named."""
    import importlib.metadata  # seldom needed, and slow to import

    files: list[tuple[_Groups, str, str]] = []
    broken = []
    seen: set[str] = set()
    for distribution in importlib.metadata.distributions():
        name, version = "unknown", ""
        try:
            name = distribution.metadata["Name"] or name
            version = distribution.version
            text = distribution.read_text("entry_points.txt")
            if not text:
                continue
            if normal(name) in seen:  # an earlier folder of the path has it
                continue
            seen.add(normal(name))
            parser = configparser.ConfigParser(delimiters=("=",))
            parser.optionxform = str  # type: ignore[assignment, method-assign]
            parser.read_string(text)
            files.append((_groups(parser), name.replace("-", "_"), version))
        except Exception as problem:  # noqa: BLE001 - whatever is wrong with a stranger's metadata, it is a row
            what = " ".join(str(problem).split())
            broken.append(Broken(name, version, "entry_points.txt", f"its metadata is malformed: {what}"))
    return files, broken


def _allowed(entries: Iterable[Entry], switch: str) -> list[Entry]:
    """`LEGO_PLUGINS=off` leaves the built-ins; `LEGO_PLUGINS=name,name` leaves those distributions beside them."""
    if not switch:
        return list(entries)
    allowed = (
        {BUILTIN}
        if switch.lower() == "off"
        else {BUILTIN, *(normal(each.strip()) for each in switch.split(","))}
    )
    return [entry for entry in entries if normal(entry.distribution) in allowed]


def forget() -> None:
    """Scan again at the next question: after something was installed in this process."""
    _scan_once.cache_clear()
    _switch_of_project.cache_clear()
    _load.cache_clear()


def entries(slot: str | None = None) -> list[Entry]:
    """What is installed, sorted by slot, name and distribution."""
    return [entry for entry in _scan().entries if slot in (None, entry.slot)]


def malformed() -> list[Broken]:
    """The distributions whose metadata cannot be read."""
    return list(_scan().broken)


def switched_off() -> list[Entry]:
    """What is installed, but left out by the switch."""
    return list(_scan().switched_off)


def names(slot: str) -> list[str]:
    """The names in a slot."""
    return sorted({entry.name for entry in entries(slot)})


def find(name: str, slot: str | Iterable[str] | None = None) -> Entry:
    """The entry of a name, bare (`GRU`) or qualified; CatalogError where there is none or more than one.

    Qualified is `acme_recs.GRU`, as expressions have it, or `acme-recs:GRU`, as a distribution is written elsewhere.
    """
    name = dotted(name)
    slots = SLOTS if slot is None else (slot,) if isinstance(slot, str) else tuple(slot)
    within = [entry for entry in entries() if entry.slot in slots]
    matching = [entry for entry in within if name in (entry.name, entry.qualified)]
    if not matching:
        was = renamed(name)
        if was is not None:
            told = (
                f"{name} is called {was.target} now ({was.distribution} {was.version}): write {was.target}."
            )
            warnings.warn(told, FutureWarning, stacklevel=2)
            return find(f"{normal(was.distribution)}.{was.target}", slot)
        kind = slot if isinstance(slot, str) else "operator"
        raise unknown(kind, name, {entry.name for entry in within})
    distributions = sorted({entry.distribution for entry in matching})
    if len(distributions) > 1:
        mine = [entry for entry in matching if normal(entry.distribution) == BUILTIN]
        if not mine:
            raise CatalogError.ambiguous(name, map(normal, distributions))
        others = ", ".join(
            sorted({entry.qualified for entry in matching} - {entry.qualified for entry in mine})
        )
        warnings.warn(f"{name} is the built-in one; write {others} for the other.", stacklevel=2)
        return mine[0]
    return matching[0]


def unknown(kind: str, name: str, available: Iterable[str]) -> CatalogError:
    """The error for a name that nothing has: the nearest one, and which installed distributions may be behind it."""
    torn = [f"{each.distribution} {each.version}".rstrip() for each in malformed()]
    return CatalogError.unknown(kind, name, available, offered_by(name), switch().where, torn)


def renamed(name: str) -> Entry | None:
    """The line that says what is called otherwise now (its `target`) than `name`; None where there is none, or several."""
    was = [entry for entry in _scan().renamed if name in (entry.name, entry.qualified)]
    return was[0] if len(was) == 1 and was[0].target != was[0].name else None


def dotted(name: str) -> str:
    """`acme-recs:GRU` as `acme_recs.GRU`; any other name as it is."""
    distribution, colon, bare = name.partition(":")
    return f"{normal(distribution)}.{bare}" if colon and distribution and bare.isidentifier() else name


def offered_by(name: str) -> set[str]:
    """The distributions that have the name but are switched off."""
    return {entry.distribution for entry in switched_off() if name in (entry.name, entry.qualified)}


def load(slot: str, name: str) -> Any:
    """The object behind a name of a slot."""
    return load_entry(find(name, slot))


def load_entry(entry: Entry) -> Any:
    """The object behind an entry; CatalogError that names the distribution where it cannot be loaded."""
    tried = _load(entry)
    if tried.why is not None:
        raise CatalogError.broken(
            entry.name, entry.distribution, entry.version, entry.target, tried.why, file_of(entry)
        )
    return tried.found


def fault(entry: Entry) -> str | None:
    """Why an entry cannot be used, or None. This loads it."""
    return _load(entry).why


def trace(entry: Entry) -> str | None:
    """The traceback of what an entry raised when it was loaded, or None. This loads it."""
    return _load(entry).trace


@attrs.frozen(eq=False)
class _Tried:
    """What came of loading an entry: the object, or why there is none, and what was raised."""

    found: Any = None
    why: str | None = None
    trace: str | None = None


@cache
def _load(entry: Entry) -> _Tried:
    """Loads an entry, whatever it does short of ending the process."""
    try:
        point = entrypoints.EntryPoint.from_string(entry.target, entry.name)
    except entrypoints.BadEntryPoint:
        return _Tried(why=f"{entry.target!r} is not of the form module:object")
    try:
        # The package first: it says which versions of lego it is for, which explains what may go wrong behind it.
        package = importlib.import_module(point.module_name.partition(".")[0])
        why = _unfit_version(getattr(package, "lego_api", None))
        if why is not None:
            return _Tried(why=why)
        found = point.load()
    except (Exception, SystemExit) as problem:  # noqa: BLE001 - a plugin may raise anything at import
        extra = _without(entry, problem) if isinstance(problem, ModuleNotFoundError) else None
        why = extra or f"{type(problem).__name__}: {problem}"
        return _Tried(why=why, trace="".join(traceback.format_exception(problem)))
    why = _misfit(entry, found)
    return _Tried(found) if why is None else _Tried(why=why)


def _unfit_version(wanted: object) -> str | None:
    """Why a plugin that declares `lego_api = wanted` is not for this lego, or None."""
    if wanted is None:
        return None
    from packaging.specifiers import InvalidSpecifier, SpecifierSet  # only who declares it waits for it

    try:
        fits = SpecifierSet(str(wanted)).contains(API)
    except InvalidSpecifier:
        return f'its lego_api is {wanted!r}, which is no range of versions such as ">=1,<2"'
    if fits:
        return None
    return (
        f"it is written for lego_api {wanted}, and this lego has {API}; install a version of it that is for {API}, or a lego "
        "that it is for"
    )


def _without(entry: Entry, problem: ModuleNotFoundError) -> str | None:
    """Which `pip install` brings a module that an extra of the distribution would have; None where none would."""
    import importlib.metadata  # seldom needed, and slow to import

    from packaging.requirements import InvalidRequirement, Requirement

    missing = (problem.name or "").partition(".")[0]
    try:
        lines = importlib.metadata.requires(entry.distribution) or []
        extras = importlib.metadata.metadata(entry.distribution).get_all("Provides-Extra") or []
    except Exception:  # noqa: BLE001 - metadata may be damaged in any way
        return None
    for line in lines:
        try:
            wanted = Requirement(line)
        except InvalidRequirement:
            continue
        if normal(wanted.name) != normal(missing) or wanted.marker is None:
            continue
        for extra in extras:
            if wanted.marker.evaluate({"extra": extra}) and not wanted.marker.evaluate({"extra": ""}):
                name = entry.distribution.replace("_", "-")
                return f'{MISSING}{missing}. Get it with: pip install "{name}[{extra}]"'
    return None


def file_of(entry: Entry) -> str | None:
    """The file that an entry leads to, found without importing anything of it; None where it is not there."""
    top, *inner = entry.target.partition(":")[0].strip().split(".")
    try:
        found = importlib.util.find_spec(top)  # of a name without dots: no package is imported for it
    except (ImportError, ValueError, AttributeError):
        return None
    if found is None or found.origin is None:
        return None
    if found.submodule_search_locations is None or not inner:
        return found.origin
    for folder in found.submodule_search_locations:
        base = Path(folder, *inner)
        for file in (base.with_name(f"{base.name}.py"), base / "__init__.py"):
            if file.is_file():
                return str(file)
    return found.origin


def _misfit(entry: Entry, found: object) -> str | None:
    """Why the object cannot fill its slot, or None. Functions that return specs (presets) are welcome."""
    if entry.slot == "checkpoint":
        return (
            None
            if callable(getattr(found, "find", None))
            else f"it is {found!r}, which has no find() that tells the folder"
        )
    if entry.slot == "command":
        return None if callable(found) else f"it is {found!r}, neither a function nor a Typer app"
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
        "rerank": spec.Rerank,
        "generator": spec.Generator,
        "tracker": spec.Tracker,
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
    claims = [entry for entry in entries() if entry.name == cls.__name__]
    if len({normal(entry.distribution) for entry in claims}) > 1:
        for entry in claims:
            if _leads_to(entry, cls) and normal(entry.distribution) != BUILTIN:
                return entry.qualified
    return cls.__name__


def is_listed(cls: type) -> bool:
    """Whether a class can be found again by name."""
    return any(_leads_to(entry, cls) for entry in entries())


def origin_of(cls: type) -> tuple[str, str]:
    """Distribution and version that a class comes from; the script for a class of one's own."""
    for entry in entries():
        if _leads_to(entry, cls):
            return entry.distribution, entry.version
    module = sys.modules.get(cls.__module__)
    return str(getattr(module, "__file__", cls.__module__)), ""


def _leads_to(entry: Entry, cls: type) -> bool:
    """Whether the entry stands for the class: names its home, or a module that passes it on. Imports nothing."""
    if entry.name != cls.__name__:
        return False
    module, _, path = entry.target.partition(":")
    if (module.strip(), path.strip()) == (cls.__module__, cls.__qualname__):
        return True
    found: Any = sys.modules.get(module.strip())
    for part in path.strip().split("."):
        found = getattr(found, part, None)
    return found is cls
