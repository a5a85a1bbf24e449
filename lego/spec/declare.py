"""`@operator`: a class of options becomes a frozen spec, whose every value is checked against its annotation."""

from __future__ import annotations

import math
import types
import typing
from collections.abc import Callable, Mapping
from functools import cache, wraps
from typing import Any, Literal, TypeVar, cast, dataclass_transform

import attrs

from lego.errors import SpecError
from lego.spec.values import Choice, FrozenMap, normal_container

T = TypeVar("T")


def _admit_choice(validator: Callable[..., Any]) -> Callable[..., None]:
    """The validator, asked about each value of a choice."""

    @wraps(validator, assigned=(), updated=())
    def validate(instance: object, attribute: Any, value: object) -> None:
        if isinstance(value, Choice):
            for each in value.values:
                validate(instance, attribute, each)
        else:
            validator(instance, attribute, value)

    return validate


def _transform(cls: type, fields: list[Any]) -> list[Any]:
    return [
        field.evolve(validator=_admit_choice(field.validator)) if field.validator is not None else field
        for field in fields
    ]


@dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(attrs.field,))
def operator(cls: type[T]) -> type[T]:
    """Makes a spec class: frozen, keyword-only but for fields marked `kw_only=False`, checked, printed as code.

    On top of attrs, a spec refuses unknown options with a suggestion, checks every value against the field's annotation, turns
    lists and dicts into tuples and `FrozenMap`, and admits `any_of(…)` and `cases(…)` in every field.
    """
    made = attrs.frozen(kw_only=True, repr=False, field_transformer=_transform, slots=False)(cls)
    initialise = made.__init__

    @wraps(initialise)
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807 - it becomes the class's own
        if type(self) is made:
            args = _gathered(made, args)
            kwargs = _named(made, kwargs)
            _check_call(made, args, kwargs)
            args, kwargs = _normal_call(made, args, kwargs)
        initialise(self, *args, **kwargs)
        if type(self) is made:
            _check_converted(made, self)

    made.__init__ = __init__  # type: ignore[method-assign]
    return made


def field_names(cls: type) -> tuple[str, ...]:
    """The options of a spec class, in order."""
    return tuple(field.name for field in attrs.fields(cls) if field.init)


def without_later(told: Mapping[str, Any], spec: object, *names: str) -> dict[str, Any]:
    """What a fingerprint tells, without those of the named options that hold their default.

    They are options that came later than the spec: what was named before there was a choice keeps its name.
    """
    defaults = {field.name: field.default for field in attrs.fields(cast("Any", type(spec)))}
    return {
        name: value
        for name, value in told.items()
        if name not in names or getattr(spec, name) != defaults[name]
    }


def positional_names(cls: type) -> tuple[str, ...]:
    """The options that may be given without their name."""
    return tuple(field.name for field in attrs.fields(cls) if field.init and not field.kw_only)


def signature(cls: type) -> str:
    """`GRU(hidden=64, layers=1)`: every option with its default, `…` where it has none."""
    parts = []
    for field in attrs.fields(cls):
        if getattr(cls, "variadic", False) and not field.kw_only:
            parts.append("first, second, …")
        elif field.name == getattr(cls, "named", ""):
            parts.append("name=…")
        elif field.default is attrs.NOTHING:
            parts.append(f"{field.name}=…")
        elif isinstance(field.default, attrs.Factory):  # type: ignore[arg-type]
            parts.append(f"{field.name}={field.default.factory()!r}")
        else:
            parts.append(f"{field.name}={field.default!r}")
    return f"{cls.__name__}({', '.join(parts)})"


def _gathered(cls: Any, args: tuple[Any, ...]) -> tuple[Any, ...]:
    """The arguments of `Sum(first, second)` as the one that `parts` wants."""
    return (args,) if args and getattr(cls, "variadic", False) else args


def _named(cls: Any, kwargs: dict[str, Any]) -> dict[str, Any]:
    """The keywords of `Views(title=…, category=…)` that are no options, as the one mapping that `views` wants."""
    into = getattr(cls, "named", "")
    others = [name for name in kwargs if name not in field_names(cls)]
    if not into or not others:
        return kwargs
    given = {name: value for name, value in kwargs.items() if name not in others}
    return {**given, into: {**given.get(into, {}), **{name: kwargs[name] for name in others}}}


def _check_call(cls: type, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
    names, positional = field_names(cls), positional_names(cls)
    for name in kwargs:
        if name not in names:
            raise SpecError.unknown_option(cls.__name__, name, names)
    if len(args) > len(positional):
        what = f"{len(args)} arguments are given without a name, at most {len(positional)} may be"
        raise SpecError.wrong_call(cls.__name__, what, signature(cls))
    given = {*positional[: len(args)], *kwargs}
    missing = [f.name for f in attrs.fields(cls) if f.default is attrs.NOTHING and f.name not in given]
    if missing:
        raise SpecError.wrong_call(cls.__name__, f"{', '.join(missing)} is missing", signature(cls))


def _normal_call(
    cls: type, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments as the annotations want them; raises where they cannot be made so."""
    hints = _hints(cls)
    converted = {field.name for field in attrs.fields(cls) if field.converter is not None}

    def normal(name: str, value: Any) -> Any:
        value = normal_container(value)
        if name in converted or name not in hints:
            return value
        return normalise(cls.__name__, name, value, hints[name])

    positional = positional_names(cls)
    return (
        tuple(normal(name, value) for name, value in zip(positional, args, strict=False)),
        {name: normal(name, value) for name, value in kwargs.items()},
    )


def _check_converted(cls: type, made: object) -> None:
    """Fields with a converter of their own are checked behind it."""
    for field in attrs.fields(cls):
        if field.init and field.converter is not None and field.name in _hints(cls):
            normalise(cls.__name__, field.name, getattr(made, field.name), _hints(cls)[field.name])


@cache
def _hints(cls: type) -> dict[str, Any]:
    try:
        return typing.get_type_hints(cls)
    except NameError as problem:
        raise SpecError.unresolved(cls.__name__, problem) from problem


def normalise(spec: str, option: str, value: Any, hint: Any) -> Any:
    """The value as `hint` wants it (an int where a float is wanted becomes one); SpecError where it does not fit."""
    if isinstance(value, Choice):
        return Choice(tuple(normalise(spec, option, each, hint) for each in value.values), tied=value.tied)
    fitted = _fit(value, hint)
    if fitted is _MISFIT:
        raise SpecError.wrong_value(spec, option, value, _words(hint))
    return fitted


_MISFIT: Any = object()


def _fit(value: Any, hint: Any) -> Any:
    """`value`, converted where that loses nothing, or _MISFIT."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any or isinstance(hint, TypeVar):
        return value
    if isinstance(value, Choice):
        each_fitted = tuple(_fit(each, hint) for each in value.values)
        return _MISFIT if _MISFIT in each_fitted else Choice(each_fitted, tied=value.tied)
    if origin in (typing.Union, types.UnionType):
        fits = (_fit(value, each) for each in sorted(arguments, key=lambda each: each is float))
        return next((fitted for fitted in fits if fitted is not _MISFIT), _MISFIT)
    if origin is Literal:
        return value if value in arguments else _MISFIT
    if origin is tuple:
        if not isinstance(value, tuple):
            return _MISFIT
        wanted = arguments[:1] * len(value) if arguments[-1:] == (...,) else arguments
        parts = [_fit(each, want) for each, want in zip(value, wanted, strict=False)]
        return _MISFIT if len(wanted) != len(value) or _MISFIT in parts else tuple(parts)
    if origin in (Mapping, FrozenMap):
        if not isinstance(value, FrozenMap):
            return _MISFIT
        parts = [_fit(each, arguments[1]) for each in value.values()] if arguments else list(value.values())
        named = all(isinstance(each, str) for each in value)
        return _MISFIT if _MISFIT in parts or not named else FrozenMap(zip(value, parts, strict=True))
    if hint in (None, type(None)):
        return None if value is None else _MISFIT
    if hint is float:
        number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        return float(value) if number else _MISFIT
    if hint is int:
        return value if isinstance(value, int) and not isinstance(value, bool) else _MISFIT
    plain = origin or hint
    return value if not isinstance(plain, type) or isinstance(value, plain) else _MISFIT


def _words(hint: Any) -> str:
    """An annotation in words."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(_words(each) for each in arguments)
    if origin is Literal:
        return "one of " + ", ".join(map(repr, arguments))
    if origin is tuple:
        return "a tuple of " + " and ".join(_words(each) for each in arguments if each is not ...)
    if origin in (Mapping, FrozenMap):
        return "a dict"
    if hint in (None, type(None)):
        return "None"
    known = {int: "a whole number", float: "a number", str: "a text", bool: "True or False"}
    if hint in known:
        return known[hint]
    slot = getattr(hint, "slot", "")  # what every class of specs has; this module stands below them
    if isinstance(hint, type) and slot:
        return f"a {hint.__name__} (one of `lego catalog {slot}`)"
    if isinstance(hint, type):
        return f"a {hint.__name__}" if hasattr(hint, "slot") else hint.__name__
    return getattr(hint, "__name__", str(hint))
