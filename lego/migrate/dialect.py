"""The YAML of Legommenders: `$$import` lists, `${a.b}`, `${x:default}`, `${x}$` for a value that keeps its type.

Files are read with PyYAML's safe loader. Nothing in them is evaluated.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs
import yaml

from lego.errors import DataError, Problem, did_you_mean
from lego.migrate.notes import Told, refusal

IMPORT = "$$import"
KINDS: Mapping[str, frozenset[str]] = {
    "data": frozenset({"item", "user", "inter", "column_map"}),
    "model": frozenset({"meta", "config"}),
    "embed": frozenset({"embeddings"}),
    "exp": frozenset({"policy", "store", "metrics"}),
}
"""What each kind of file has at its top."""

FLAGS: Mapping[str, Any] = {
    "hidden_size": 256,
    "item_hidden_size": "${hidden_size}$",
    "item_page_size": 64,
    "seed": 2023,
}
"""What the command line of Legommenders takes where it is not said."""

_VARIABLE = re.compile(r"\$\{([^${}:]+)(?::([^${}]*))?\}")
_TYPED = re.compile(r"\$\{([^${}:]+)(?::([^${}]*))?\}\$")


@attrs.define
class Files:
    """What was read, by kind; paths by name of the side files `.data` and `.model`."""

    documents: dict[str, dict[str, Any]] = attrs.field(factory=dict)
    paths: dict[str, Path] = attrs.field(factory=dict)
    raw: dict[str, str] = attrs.field(factory=dict)
    """`.data`: the name of a data set and where its raw files are."""
    checkpoints: dict[str, str] = attrs.field(factory=dict)
    """`.model`: the name of a language model and its checkpoint."""


def read(files: Iterable[Path]) -> Files:
    """Each file by its kind; DataError with everything that cannot be read."""
    found, problems = Files(), []
    for path in files:
        try:
            if path.name in (".data", ".model"):
                side = found.raw if path.name == ".data" else found.checkpoints
                side.update(_side_file(path))
                continue
            for kind, document in _by_kind(path, imported(path)):
                if kind in found.documents:
                    what = f"it is a second {kind} file, beside {found.paths[kind]}"
                    problems.append(Problem(str(path), what, "give one of each kind"))
                found.documents[kind], found.paths[kind] = document, path
        except DataError as error:
            problems += error.problems
    if problems:
        raise refusal(problems)
    return found


def imported(path: Path, within: tuple[Path, ...] = ()) -> dict[str, Any]:
    """The document of a file over those that it imports: mappings are merged, the later one wins."""
    whole = path.resolve()
    if whole in within:
        chain = " imports ".join(str(each) for each in (*within, whole))
        raise _unreadable(path, f"it imports itself: {chain}", "take the import out")
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as problem:
        raise _unreadable(path, problem.strerror or str(problem), "give a file that is there") from None
    except UnicodeDecodeError:
        raise _unreadable(path, "it is no text in UTF-8", "give a YAML file") from None
    except yaml.YAMLError as problem:
        raise _unreadable(path, f"it is no YAML: {' '.join(str(problem).split())}", "repair it") from None
    if not isinstance(document, dict):
        raise _unreadable(path, "it holds no mapping", "give a configuration of Legommenders")
    names = document.pop(IMPORT, [])
    base: dict[str, Any] = {}
    for name in [names] if isinstance(names, str) else names:
        base = merged(base, imported(path.parent / str(name), (*within, whole)))
    return merged(base, document)


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`over` upon `base`; mappings within are merged, all else is replaced."""
    made = dict(base)
    for name, value in over.items():
        old = made.get(name)
        both = isinstance(old, Mapping) and isinstance(value, Mapping)
        made[name] = merged(old, value) if both else value  # type: ignore[arg-type]  # both are mappings
    return made


def resolved(files: Files, given: Mapping[str, Any], told: Told) -> dict[str, dict[str, Any]]:
    """The documents with their variables filled in, from each other, from `given` and from the defaults of the command line.

    A variable without a value is a problem, and so is a name in `given` that no file asks for.
    """
    table: dict[str, Any] = {**FLAGS, **given, **files.documents}
    filler = _Filler(table, told)
    made = {kind: filler.fill(document, (kind,)) for kind, document in files.documents.items()}
    asked = {each.split(".")[0] for each in filler.asked}
    for name in given:
        if name not in asked and name != "seed":
            fix = f"{did_you_mean(name, asked)}Leave it out, or name one of: {', '.join(sorted({*asked, 'seed'} - set(KINDS)))}"
            told.problem(f"--with {name}", "no file asks for it", fix)
    return made


class _Filler:
    def __init__(self, table: Mapping[str, Any], told: Told) -> None:
        self.table, self.told = table, told
        self.asked: set[str] = set()

    def fill(self, value: Any, where: tuple[str, ...], depth: int = 0) -> Any:
        """The value with every variable in it replaced."""
        if isinstance(value, Mapping):
            return {
                self._text(str(name), where, depth): self.fill(each, (*where, str(name)), depth)
                for name, each in value.items()
            }
        if isinstance(value, list):
            return [self.fill(each, where, depth) for each in value]
        return self._text(value, where, depth) if isinstance(value, str) else value

    def _text(self, text: str, where: tuple[str, ...], depth: int) -> Any:
        typed = _TYPED.fullmatch(text)
        if typed:
            return self._value(typed[1], typed[2], where, depth)
        return _VARIABLE.sub(lambda found: _plain(self._value(found[1], found[2], where, depth)), text)

    def _value(self, name: str, default: str | None, where: tuple[str, ...], depth: int) -> Any:
        name = name.strip()
        self.asked.add(name)
        value = self._find(name)
        if value is None and default is None and not self._has(name):
            fix = f"give it: --with {name}=VALUE"
            self.told.problem(".".join(where), f"the variable {name} has no value", fix)
            return None
        if value is None and default is not None:
            return yaml.safe_load(default)
        if depth > len(self.table) + 8:
            self.told.problem(".".join(where), f"the variable {name} leads to itself", "give it a value")
            return None
        return self.fill(value, where, depth + 1)

    def _has(self, name: str) -> bool:
        return name in self.table

    def _find(self, name: str) -> Any:
        value: Any = self.table
        for step in name.split("."):
            value = value.get(step) if isinstance(value, Mapping) else None
        return value


def _plain(value: object) -> str:
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _side_file(path: Path) -> dict[str, str]:
    """Lines of `name = path`; blank ones and comments are passed over."""
    made, problems = {}, []
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as problem:
        raise _unreadable(path, problem.strerror or str(problem), "give a file that is there") from None
    except UnicodeDecodeError as problem:
        raise _unreadable(path, f"is no UTF-8 ({problem.reason})", "save it as UTF-8") from None
    for number, line in enumerate(lines, 1):
        name, sign, value = line.partition("=")
        if sign and name.strip() and value.strip():
            made[name.strip().lower()] = value.strip()
        elif line.strip() and not line.lstrip().startswith("#"):
            problems.append(Problem(f"{path}:{number}", f"{line!r} is no NAME = PATH", "repair the line"))
    if problems:
        raise DataError(problems)
    return made


def _by_kind(path: Path, document: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The kind of a file by what it has at its top; a file may hold several kinds, each under its name."""
    if document and set(document) <= set(KINDS) and all(isinstance(each, dict) for each in document.values()):
        yield from document.items()
        return
    fits = [kind for kind, keys in KINDS.items() if keys & set(document)]
    if len(fits) == 1:
        yield fits[0], dict(document)
        return
    known = "; ".join(f"{kind} has {', '.join(sorted(keys))}" for kind, keys in KINDS.items())
    what = f"it is neither a data, model, embed nor exp file: it has {', '.join(map(str, document)) or 'nothing'}"
    raise _unreadable(path, what, f"give one of these: {known}")


def _unreadable(path: Path, what: str, fix: str) -> DataError:
    return DataError([Problem(str(path), what, fix)])
