"""The text and JSON forms of specs. `GRU(hidden=128)` is parsed with `ast`; nothing is ever evaluated.

The language: calls of names of the catalogue with keyword arguments, literals, tuples, lists, dicts, `>>` and `|`. Published
models are names too: `zoo.nrms()` is read as the model that the function gives, and written as that model.
"""

from __future__ import annotations

import ast
import importlib
import math
import operator
import re
from collections.abc import Callable, Mapping
from typing import Any

import attrs

from lego import catalog
from lego.errors import CatalogError, ExpressionError, LegoError, did_you_mean
from lego.spec import Choice, FrozenMap, Spec, field_names

CORE: Mapping[str, str] = {
    "Describe": "lego.augment.kind.describe:Describe",
    "Evaluation": "lego.experiment:Evaluation",
    "Experiment": "lego.experiment:Experiment",
    "Imagine": "lego.augment.kind.imagine:Imagine",
    "Profile": "lego.augment.kind.profile:Profile",
    "Recommender": "lego.recommender:Recommender",
    "Rewrite": "lego.augment.kind.rewrite:Rewrite",
    "Training": "lego.experiment:Training",
    "adapted": "lego.pretrained.layers:Adapted",
    "any_of": "lego.spec:any_of",
    "cases": "lego.spec:cases",
    "frozen": "lego.pretrained.layers:frozen",
    "full": "lego.pretrained.layers:full",
    "lora": "lego.pretrained.layers:lora",
    "split": "lego.pretrained.layers:split",
}
"""The words of the language that are not operators."""

SPEAKING = tuple(slot for slot in catalog.SLOTS if slot not in ("command", "checkpoint"))
"""The slots whose entries are words of the language."""

Resolve = Callable[[str], Any]

_QUALIFIED = re.compile(r"[A-Za-z][\w.-]*:[A-Za-z_]\w*(?=\(|$)")
"""`acme-recs:GRU(…)` at the head of an expression; no Python begins so."""


ZOO = "zoo."
"""What the names of published models begin with: `zoo.nrms()`."""


def resolve(name: str) -> Any:
    """What a name of the language stands for; CatalogError with a suggestion where nothing does."""
    if name.startswith(ZOO):
        from lego import zoo

        return zoo.find(name.removeprefix(ZOO))
    if name in CORE:
        module, _, attribute = CORE[name].partition(":")
        return getattr(importlib.import_module(module), attribute)
    known = {each for entry in _entries() for each in (entry.name, entry.qualified)}
    if name not in known and catalog.renamed(name) is None:
        raise catalog.unknown("operator", name, words())
    return catalog.load_entry(catalog.find(name, SPEAKING))


def words() -> set[str]:
    """Every bare name of the language."""
    return {*CORE, *(entry.name for entry in _entries())}


def _entries() -> list[catalog.Entry]:
    return [entry for entry in catalog.entries() if entry.slot in SPEAKING]


# --- text → value -------------------------------------------------------------------------------------------------------------


def parse(text: str, names: Resolve = resolve) -> Any:
    """The value of an expression; ExpressionError or CatalogError with the place and a suggestion."""
    text = _QUALIFIED.sub(lambda found: catalog.dotted(found[0]), text.strip())
    try:
        tree = ast.parse(text, mode="eval")
    except SyntaxError as problem:
        line, column = _line(text, problem.lineno or 1), max(0, (problem.offset or 1) - 1)
        raise ExpressionError.at(line, column, f"This is not an expression: {problem.msg}.") from None
    except ValueError as problem:
        raise ExpressionError.at(text, 0, f"This is not an expression: {problem}.") from None
    except (RecursionError, MemoryError):
        raise ExpressionError(_TOO_DEEP) from None
    try:
        return _Reader(text, names).value(tree.body)
    except RecursionError:
        raise ExpressionError(_TOO_DEEP) from None


_TOO_DEEP = "This is not an expression: it is nested too deeply."


def _line(text: str, number: int) -> str:
    lines = text.split("\n")
    return lines[min(number, len(lines)) - 1]


_BINARY: Mapping[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.RShift: operator.rshift,
    ast.BitOr: operator.or_,
}


@attrs.frozen
class _Reader:
    text: str
    names: Resolve

    def value(self, node: ast.expr) -> Any:
        match node:
            case ast.Constant(value=value) if isinstance(value, float) and not math.isfinite(value):
                raise self._error(node, "The number is too large")
            case ast.Constant(value=value) if value is None or isinstance(value, bool | int | float | str):
                return value
            case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as value)) if (
                not isinstance(value, bool)
            ):
                return -self.value(node.operand)
            case ast.Tuple(elts=parts) | ast.List(elts=parts):
                return tuple(self.value(each) for each in parts)
            case ast.Dict(keys=keys, values=values):
                return FrozenMap(zip(self._keys(node, keys), map(self.value, values), strict=True))
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
                return self._binary(node, self.value(left), self.value(right), _BINARY[type(op)])
            case ast.Call(func=function, args=arguments, keywords=keywords):
                return self._call(node, function, arguments, keywords)
            case ast.Name(id=name):
                raise self._bare(node, name)
        raise self._error(
            node, "Only calls of operators, literals, tuples, lists, dicts, `>>` and `|` are understood here"
        )

    def _binary(self, node: ast.expr, left: Any, right: Any, combine: Callable[[Any, Any], Any]) -> Any:
        if isinstance(left, Spec | Choice) and isinstance(right, Spec | Choice):
            try:
                return combine(left, right)
            except TypeError:
                pass
        raise self._error(node, f"{left!r} and {right!r} cannot be joined this way")

    def _call(
        self, node: ast.expr, function: ast.expr, arguments: list[ast.expr], keywords: list[ast.keyword]
    ) -> Any:
        try:
            made = self.names(self._name(function))
        except CatalogError as problem:
            raise CatalogError(self._at(function, str(problem))) from None
        if any(isinstance(each, ast.Starred) for each in arguments) or any(
            each.arg is None for each in keywords
        ):
            raise self._error(node, "* and ** are not understood here; write the arguments out")
        positional = [self.value(each) for each in arguments]
        named: dict[str, Any] = {}
        for each in keywords:
            if each.arg in named:
                raise self._error(each.value, f"{each.arg} is given twice")
            named[str(each.arg)] = self.value(each.value)
        try:
            return made(*positional, **named)
        except LegoError:
            raise
        except (TypeError, ValueError) as problem:  # of functions, and of validators that are not ours
            raise self._error(node, f"{self._name(function)}: {problem}") from None

    def _keys(self, node: ast.expr, keys: list[ast.expr | None]) -> list[str]:
        names: list[str] = []
        for each in keys:
            if not isinstance(each, ast.Constant) or not isinstance(each.value, str):
                raise self._error(each or node, "The keys of a dict are texts in quotes")
            if each.value in names:
                raise self._error(each, f"{each.value!r} is given twice")
            names.append(each.value)
        return names

    def _name(self, node: ast.expr) -> str:
        match node:
            case ast.Name(id=name):
                return name
            case ast.Attribute(value=ast.Name(id=first), attr=second):
                return f"{first}.{second}"
        raise self._error(node, "Only a name of the catalogue can be called")

    def _bare(self, node: ast.expr, name: str) -> Exception:
        known = words()
        if name in known:
            return self._error(node, f"{name} needs its brackets: {name}()")
        return self._error(
            node, f"{name} is not known. {did_you_mean(name, known)}A text needs quotes: {name!r}"
        )

    def _error(self, node: ast.expr, what: str) -> ExpressionError:
        return ExpressionError(self._at(node, what + "."))

    def _at(self, node: ast.expr, what: str) -> str:
        line = _line(self.text, node.lineno)
        before = line.encode()[: node.col_offset].decode()  # ast counts bytes
        return str(ExpressionError.at(line, len(before), what))


# --- value → text -------------------------------------------------------------------------------------------------------------


def write(value: Any, *, full: bool = False) -> str:
    """The expression that makes a value; options at their default are left out unless `full`."""
    if isinstance(value, Spec):
        return _write_spec(value, full=full)
    if isinstance(value, Choice):
        name = "cases" if value.tied else "any_of"
        return f"{name}({', '.join(write(each, full=full) for each in value.values)})"
    if isinstance(value, tuple):
        inner = ", ".join(write(each, full=full) for each in value)
        return f"({inner},)" if len(value) == 1 else f"({inner})"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key!r}: {write(each, full=full)}" for key, each in value.items()) + "}"
    return repr(value)


def layout(value: Any, *, full: bool = False, width: int = 100, indent: str = "") -> str:
    """The same expression over several lines, one option each, where it is wider than `width`; parsing it gives the value too."""
    whole = write(value, full=full)
    if len(indent) + len(whole) <= width or not isinstance(value, Spec):
        return whole
    written = _parts(value, full=full)
    if written is None:
        return whole
    name, parts = written
    inner = indent + "    "
    lines = []
    for option, part in parts:
        head = f"{option}=" if option else ""
        lines.append(f"{inner}{head}{layout(part, full=full, width=width - len(head), indent=inner)},")
    return "\n".join([f"{name}(", *lines, f"{indent})"])


def _write_spec(spec: Spec, *, full: bool) -> str:
    written = _parts(spec, full=full)
    if written is None:
        operands = getattr(spec, field_names(type(spec))[0])
        return f" {getattr(type(spec), 'infix', '')} ".join(write(each, full=full) for each in operands)
    name, parts = written
    arguments = (
        write(each, full=full) if not option else f"{option}={write(each, full=full)}"
        for option, each in parts
    )
    return f"{name}({', '.join(arguments)})"


def _parts(spec: Spec, *, full: bool) -> tuple[str, list[tuple[str, Any]]] | None:
    """The name of the call and its arguments, each with the name it is given by or ''; None where it is written infix."""
    cls: Any = type(spec)
    infix = getattr(cls, "infix", None)
    operands = getattr(spec, field_names(cls)[0]) if infix else None
    if isinstance(operands, tuple):  # not where the operands are a choice
        return None
    name = getattr(cls, "helper", None) or catalog.name_of(cls)
    fields = [field for field in attrs.fields(cls) if field.init]
    mandatory = [field for field in fields if not field.kw_only and field.default is attrs.NOTHING]
    parts: list[tuple[str, Any]] = []
    for field in fields:
        value = getattr(spec, field.name)
        if not full and field.default is not attrs.NOTHING and value == _default(field):
            continue
        if cls.variadic and not field.kw_only and isinstance(value, tuple):
            parts += [("", each) for each in value]
            continue
        if field.name == cls.named and isinstance(value, Mapping):
            options = field_names(cls)
            plain = {key: each for key, each in value.items() if key.isidentifier() and key not in options}
            parts += plain.items()
            value = {key: each for key, each in value.items() if key not in plain}
            if not value:
                continue
        bare = mandatory == [field] and not cls.variadic
        parts.append(("" if bare else field.name, value))
    return name, parts


def _default(field: Any) -> Any:
    """The default as a made spec holds it."""
    default = field.default
    if isinstance(default, attrs.Factory):  # type: ignore[arg-type]
        default = default.factory()
    return FrozenMap(default) if isinstance(default, dict) else default


# --- value ↔ JSON -------------------------------------------------------------------------------------------------------------

KIND = "$"
"""The key under which a record names its class."""


def to_json(value: Any) -> Any:
    """A value of plain JSON types, every option spelled out."""
    if isinstance(value, Spec):
        cls = type(value)
        core = cls.__name__ in CORE or getattr(cls, "helper", None) or catalog.is_listed(cls)
        kind = getattr(cls, "helper", None) or (
            catalog.name_of(cls) if core else f"{cls.__module__}:{cls.__qualname__}"
        )
        return {KIND: kind, **{name: to_json(getattr(value, name)) for name in field_names(cls)}}
    if isinstance(value, Choice):
        return {KIND: "cases" if value.tied else "any_of", "values": [to_json(each) for each in value.values]}
    if isinstance(value, tuple):
        return [to_json(each) for each in value]
    if isinstance(value, Mapping):
        return {key: to_json(each) for key, each in value.items()}
    return value


def from_json(record: Any, names: Resolve = resolve) -> Any:
    """The value that `to_json` recorded."""
    if isinstance(record, list):
        return tuple(from_json(each, names) for each in record)
    if not isinstance(record, dict):
        return record
    fields = {key: from_json(each, names) for key, each in record.items() if key != KIND}
    if KIND not in record:
        return FrozenMap(fields)
    made = names(record[KIND])
    if record[KIND] in ("any_of", "cases"):
        return made(*fields["values"])
    return made(**fields)
