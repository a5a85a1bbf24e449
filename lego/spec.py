"""Specs: what an experiment says, as frozen values. They compare, hash, print as the code that made them, and hold no tensor.

A spec class is written with `@operator`, below one of the slots of this module, and has one bridge to torch: `build(context)`.
"""

from __future__ import annotations

import math
import types
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache, wraps
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, TypeVar, dataclass_transform

import attrs

from lego.contract import Candidates, Form, Lists, Need, Reads, Tracked, Tracking
from lego.errors import Problem, SpecError

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    import pyarrow as pa
    import torch
    from numpy.typing import NDArray
    from torch import nn

    from lego.data.store import Store
    from lego.generator.base import Known, Writer
    from lego.ragged import Ragged

T = TypeVar("T")


class FrozenMap(Mapping[str, Any]):
    """A mapping that hashes. Order counts (attributes are joined in the order they are written), so it counts in equality."""

    __slots__ = ("_items",)

    def __init__(self, mapping: Mapping[str, Any] | Iterable[tuple[str, Any]] = ()) -> None:
        self._items = dict(mapping)

    def __getitem__(self, key: str) -> Any:
        return self._items[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __hash__(self) -> int:
        return hash(tuple(self._items.items()))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Mapping) and list(self.items()) == list(other.items())

    def __repr__(self) -> str:
        return repr(self._items)


class Choice:
    """Several values where one stands: made by `any_of` and `cases`, legal in every field, resolved by a sweep."""

    __slots__ = ("tied", "values")

    def __init__(self, values: tuple[Any, ...], *, tied: bool) -> None:
        if not values:
            name = "cases" if tied else "any_of"
            raise SpecError.wrong_call(name, "no value is given", f"{name}(first, second, …)")
        self.values = tuple(_normal_container(value) for value in values)
        self.tied = tied

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Choice) and (self.values, self.tied) == (other.values, other.tied)

    def __hash__(self) -> int:
        return hash((self.values, self.tied))

    def __rshift__(self, after: Any) -> Any:
        """`any_of(CNN(pool=None), Attention(pool=None)) >> GRU()`."""
        from lego.sequence.chain import Chain

        return Chain(parts=(self, after))  # type: ignore[arg-type]  # a choice stands wherever its values may

    def __or__(self, after: Any) -> Any:
        """`any_of(split(2), split(4)) | lora()`."""
        from lego.pretrained.layers import Adapted

        return Adapted(parts=(self, after))  # type: ignore[arg-type]  # a choice stands wherever its values may

    def __repr__(self) -> str:
        return f"{'cases' if self.tied else 'any_of'}({', '.join(map(repr, self.values))})"


def any_of(*values: T) -> T:
    """One of these, in every combination with the other choices of the experiment."""
    return typing.cast("T", Choice(values, tied=False))


def cases(*values: T) -> T:
    """One of these, tied: the first case of each `cases` of an experiment goes with the first of the others, and so on."""
    return typing.cast("T", Choice(values, tied=True))


def choices(value: object) -> Iterator[Choice]:
    """Every choice inside a value, in the order of the fields."""
    if isinstance(value, Choice):
        yield value
        for each in value.values:
            yield from choices(each)
    elif isinstance(value, Spec):
        for name in field_names(type(value)):
            yield from choices(getattr(value, name))
    elif isinstance(value, tuple):
        for each in value:
            yield from choices(each)
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from choices(each)


PATH: Mapping[str, str] = {"lego.path": "always"}
"""Metadata of a field that holds a path: in a script it is relative to the script, elsewhere to the working directory."""

PATH_IF_THERE: Mapping[str, str] = {"lego.path": "if there"}
"""Metadata of a field that may hold a path or a name: it is a path where a file of that name is there."""


# --- validators ---------------------------------------------------------------------------------------------------------------


@attrs.frozen
class _Rule:
    """A validator that can say what it expects."""

    holds: Callable[[Any], bool]
    expected: str

    def __call__(self, instance: object, attribute: Any, value: object) -> None:
        if not self.holds(value):
            raise SpecError.wrong_value(type(instance).__name__, attribute.name, value, self.expected)


def ge(bound: float) -> Any:
    """At least `bound`."""
    return _Rule(lambda value: value is None or value >= bound, f"at least {bound}")


def gt(bound: float) -> Any:
    """More than `bound`."""
    return _Rule(lambda value: value is None or value > bound, f"more than {bound}")


def between(low: float, high: float) -> Any:
    """From `low` up to, not including, `high`: what a dropout rate is."""
    return _Rule(
        lambda value: value is None or low <= value < high, f"from {low} up to, not including, {high}"
    )


def within(low: float, high: float) -> Any:
    """From `low` to `high`, both included."""
    return _Rule(lambda value: value is None or low <= value <= high, f"from {low} to {high}")


def one_of(*values: object) -> Any:
    """One of the listed values."""
    return _Rule(lambda value: value in values, "one of " + ", ".join(map(repr, values)))


# --- the decorator ------------------------------------------------------------------------------------------------------------


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
        value = _normal_container(value)
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


def _normal_container(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return tuple(_normal_container(each) for each in value)
    if isinstance(value, dict | FrozenMap):
        return FrozenMap({key: _normal_container(each) for key, each in value.items()})
    return value


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
    if isinstance(hint, type) and issubclass(hint, Spec):
        return f"a {hint.__name__} (one of `lego catalog {hint.slot}`)" if hint.slot else f"a {hint.__name__}"
    return getattr(hint, "__name__", str(hint))


# --- the specs ----------------------------------------------------------------------------------------------------------------


class Spec:
    """A value of the language. The classes below it are the slots; a slot is never built, an operator never subclassed."""

    slot: ClassVar[str] = ""
    """The group of entry points that lists it, without `lego.`; empty where it is part of another spec."""
    variadic: ClassVar[bool] = False
    """Whether the arguments without a name are the values of one option, a tuple: `Sum(CNN(), Attention())`."""
    named: ClassVar[str] = ""
    """The option, a mapping, that keywords which are no options are gathered into: `Views(title=CNN(), category=Lookup())`."""
    unexportable: ClassVar[str] = ""
    """Why `torch.export` cannot trace its module; empty where it can."""

    def __init__(self, *args: Any, **options: Any) -> None:
        """Reached only by a class without the decorator, which makes an `__init__` of its own."""
        name = type(self).__name__
        raise SpecError(f"{name} cannot be made: write @operator (from lego.spec) above `class {name}`.")

    def text(self, *, full: bool = False) -> str:
        """The expression that makes this value; `full` spells every option out."""
        from lego.expression import write

        return write(self, full=full)

    def __repr__(self) -> str:
        return self.text()

    def _repr_html_(self) -> str:
        """The expression, one option a line, for a notebook."""
        from html import escape

        from lego.expression import layout

        return f"<pre><code>{escape(layout(self))}</code></pre>"

    def problems(self, context_width: int, where: str) -> Iterator[Problem]:
        """What cannot be built in a model `context_width` wide, asked before anything is built; nothing unless overridden.

        `where` says which spec this is (`behavior=GRU(…)`) and becomes the `where` of a problem. The specs inside this one are
        asked too, so an operator that overrides this ends with `yield from super().problems(context_width, where)`.
        """
        for name, part in _parts(self):
            yield from part.problems(context_width, f"{where}, {name}={part!r}")

    @property
    def losses(self) -> tuple[str, ...]:
        """The names of the auxiliary losses that its module gives in training; those of the specs inside it unless overridden.

        An operator with a loss of its own that holds other operators adds theirs: `("topic", *super().losses)`.
        """
        return tuple(dict.fromkeys(name for _, part in _parts(self) for name in part.losses))

    @classmethod
    def examples(cls) -> Iterable[Self]:
        """Small instances, for the conformance suite and the matrix of valid models."""
        return (cls(),)


def _parts(spec: Spec) -> Iterator[tuple[str, Spec]]:
    """The specs directly inside a spec, with the options that hold them."""
    for name in field_names(type(spec)):
        value = getattr(spec, name)
        several = value.values() if isinstance(value, Mapping) else value
        for part in several if isinstance(value, Mapping | tuple) else (value,):
            if isinstance(part, Spec):
                yield name, part


@attrs.frozen(kw_only=True, eq=False)
class Context:
    """What an operator is told when it is built: plain values, and chance."""

    width: int
    """D, the width of items and users; what the operator gives."""
    input_width: int
    """Width of the vectors it reads: of the tokens in the content slot, D behind it."""
    length: int
    """The longest sequence it will read: tokens of an item, or history slots."""
    numbers: NDArray[np.float32] | None = None
    """With `Reads.NUMBERS`: the number of each item row, NaN where there is none; None where only shapes are wanted."""
    token_width: int = 0
    """W, the width of the token vectors that Need.TOKENS hands over; 0 where the model has none."""
    token_length: int = 0
    """T, the most tokens that a whole history can have; 0 where the model has none."""
    items: int = 0
    """Rows of the item table, row 0 (never an item) included."""
    users: int = 0
    """Users that the train part has, and one more: user 0 is one that it does not have."""
    item_vocabularies: Mapping[str, int] = attrs.field(factory=dict)
    """Values of each categorical attribute of the items, 0 included; of those that an operator of the model asks for."""
    user_vocabularies: Mapping[str, int] = attrs.field(factory=dict)
    """The same of the users."""
    impression_vocabularies: Mapping[str, int] = attrs.field(factory=dict)
    """The same of the impressions, all of their categorical attributes, where an operator asks for these."""
    store: Store | None = None
    """The prepared data, for operators that read more of it than tokens (ready-made vectors)."""
    encoder: Encoder | None = None
    """The tokenizer that made the token ids, where there is one."""
    generator: torch.Generator | None = None
    """Chance for what is drawn by hand; torch's own initialisers draw from a stream that the compiler seeds."""
    weights: bool = True
    """False where only shapes are wanted: a pretrained operator then makes its module without loading weights."""


class Content(Spec):
    """Attributes of an item → item vector. Its module is a `ContentModule`."""

    slot: ClassVar[str] = "content"
    transductive: ClassVar[bool] = False
    """Whether it knows items by id alone, so that an item that was not in the data cannot be told from any other."""

    @property
    def reads(self) -> Reads:
        """What its module is fed with."""
        return Reads.VECTORS

    @property
    def item_needs(self) -> frozenset[Need]:
        """What it needs beyond what it reads: STATES (frozen lower layers, made once and cached), ATTRIBUTES of the items."""
        return frozenset()

    @property
    def item_attributes(self) -> tuple[str, ...]:
        """With ATTRIBUTES: the categorical attributes of items that it asks for; all there are where none is named."""
        return ()

    @property
    def loss_attributes(self) -> tuple[str, ...]:
        """Those of `item_attributes` that only a loss reads, so that a new item may lack them."""
        return ()

    @property
    def content_parts(self) -> Mapping[str, Content]:
        """With `Reads.PARTS`: the operators that it combines, by name."""
        return {}

    def part_reads(self, name: str, reads: Mapping[str, int]) -> Mapping[str, int]:
        """The attributes, with their token budgets, that the part of this name reads, of those that the model reads."""
        return reads

    @property
    def named_attributes(self) -> tuple[str, ...]:
        """Attributes that its options name, so that the model must read them."""
        return ()

    def reads_of(self, reads: Mapping[str, int]) -> Mapping[str, int]:
        """What it reads, with token budgets, where the model (or the source, where the model does not say) has these `reads`."""
        return {
            attribute: budget
            for name, part in self.content_parts.items()
            for attribute, budget in part.reads_of(self.part_reads(name, reads)).items()
        } or reads

    def build_combiner(self, context: Context) -> nn.Module:
        """With `Reads.PARTS`: the torch of it, a `SequenceModule` over what the K parts give, (N, K, D), mask (N, K)."""
        raise NotImplementedError

    @property
    def tokens(self) -> Tokens | None:
        """The tokenizer it brings along, where `reads` is `Reads.TOKENS`."""
        return None

    @property
    def item_form(self) -> Form:
        """VECTOR, or INTERESTS for several vectors an item."""
        return Form.VECTOR

    def build(self, context: Context) -> nn.Module:
        """The torch of it."""
        raise NotImplementedError


class Behavior(Spec):
    """History → user. Its module is a `SequenceModule`, or a `CandidateAwareModule` where it needs the candidates."""

    slot: ClassVar[str] = "behavior"

    @property
    def needs(self) -> frozenset[Need]:
        """What its module asks for beyond the history."""
        return frozenset()

    @property
    def item_attributes(self) -> tuple[str, ...]:
        """With ATTRIBUTES: the categorical attributes of items that it reads; all there are where none is named."""
        return ()

    @property
    def user_attributes(self) -> tuple[str, ...]:
        """With PROFILE: the categorical attributes of users that it reads; all there are where none is named."""
        return ()

    @property
    def signals(self) -> tuple[str, ...]:
        """With SIGNALS: the numbers beside clicks that it reads; all there are where none is named."""
        return ()

    @property
    def candidate_signals(self) -> tuple[str, ...]:
        """With CANDIDATE_SIGNALS: the numbers beside candidates that it reads; all the data has where none is named."""
        return ()

    @property
    def gives(self) -> Form:
        """The form of the user."""
        return Form.VECTOR

    def build(self, context: Context) -> nn.Module:
        """The torch of it."""
        raise NotImplementedError


class Sequence(Content, Behavior):
    """A masked sequence → one vector, or a sequence: fits the content slot (tokens) and the behavior slot (history) alike."""

    slot: ClassVar[str] = "content"

    def __rshift__(self, after: Behavior) -> Sequence:
        """`Attention(pool=None) >> GRU()`: the second reads what the first gives; in the behavior slot any may be last."""
        from lego.sequence.chain import Chain

        return Chain(parts=(self, after))


class Pool(Sequence):
    """A Sequence operator without a sequence of its own to give: what `pool=` takes."""


class Predictor(Spec):
    """User and candidates → scores. Its module is a `PredictorModule`."""

    slot: ClassVar[str] = "predictor"
    takes: ClassVar[frozenset[Form]] = frozenset({Form.VECTOR})

    @property
    def cosines(self) -> bool:
        """Whether its scores are cosines, from −1 to 1."""
        return False

    @property
    def needs(self) -> frozenset[Need]:
        """What its module asks for beyond user and candidates."""
        return frozenset()

    @property
    def item_attributes(self) -> tuple[str, ...]:
        """With ATTRIBUTES: the categorical attributes of items that it reads; all there are where none is named."""
        return ()

    @property
    def user_attributes(self) -> tuple[str, ...]:
        """With PROFILE: the categorical attributes of users that it reads; all there are where none is named."""
        return ()

    @property
    def signals(self) -> tuple[str, ...]:
        """With SIGNALS: the numbers beside clicks that it reads; all there are where none is named."""
        return ()

    @property
    def candidate_signals(self) -> tuple[str, ...]:
        """With CANDIDATE_SIGNALS: the numbers beside candidates that it reads; all the data has where none is named."""
        return ()

    def build(self, context: Context) -> nn.Module:
        """The torch of it."""
        raise NotImplementedError


class Task(Spec):
    """Scores and labels → a loss. Its module is a `TaskModule`."""

    slot: ClassVar[str] = "task"
    logits: ClassVar[bool] = False
    """Whether it makes scores whose sigmoid is the probability of a click, each by itself."""
    cosines: ClassVar[bool] = False
    """Whether it reads scores as cosines, so that it wants a predictor that gives such."""
    mean_over: ClassVar[Literal["rows", "candidates"]] = "rows"
    """What its loss is a mean over: what a batch counts where several of them make one step."""

    @property
    def candidates(self) -> Candidates:
        """What the training batches must bring."""
        raise NotImplementedError

    def build(self, context: Context) -> nn.Module:
        """The torch of it."""
        raise NotImplementedError


class Metric(Spec):
    """Scores and labels per group → one number, over all groups at once."""

    slot: ClassVar[str] = "metric"
    larger_is_better: ClassVar[bool] = True
    logits: ClassVar[bool] = False
    """Whether it reads a score as the logit of the probability of a click; it does not apply to scores that are none."""

    @property
    def name(self) -> str:
        """How it is asked for and printed: `ndcg@5`."""
        raise NotImplementedError

    def measure(self, ranking: Any) -> float:
        """The value over a `lego.metric.ranking.Ranking`."""
        raise NotImplementedError


class Scorer(Spec):
    """Whatever scores impressions: a Recommender, a baseline, a system from outside."""

    slot: ClassVar[str] = "scorer"


class Source(Spec):
    """Raw files of one data set → tables."""

    slot: ClassVar[str] = "source"
    reads: ClassVar[Mapping[str, int]] = {}
    """The attributes a model reads unless it says otherwise, with their token budgets."""
    protocol: ClassVar[str] = "mind"
    """How results on this data are read unless the experiment says otherwise."""
    domain: ClassVar[str] = ""
    """What the items are: `news`, `movies`."""
    language: ClassVar[str] = ""
    """Of the text."""
    attributes: ClassVar[tuple[str, ...]] = ()
    """The attributes that the items have."""
    official_files: ClassVar[tuple[str, ...]] = ()
    """The raw files it reads, by their official names."""
    url: ClassVar[str] = ""
    """Where the raw files are had."""
    licence: ClassVar[str] = ""
    """The terms, in a phrase."""
    task: ClassVar[str] = "clicks"
    """What a click of it is made of: `clicks`, `ratings`."""
    proven: ClassVar[str] = ""
    """What its tests prepare: `real rows` of the official files, or rows written by hand after the `format` alone."""

    def fingerprint(self) -> Mapping[str, Any]:
        """What the prepared tables depend on: the options that change them (not `history`)."""
        raise NotImplementedError

    def files(self) -> Iterable[Path]:
        """The raw files it reads; DataError with the ways out where one is missing."""
        raise NotImplementedError

    def tables(self) -> Any:
        """The `lego.data.table.Tables` of it, checked."""
        raise NotImplementedError

    def ready(self) -> Path | None:
        """The folder of data that is prepared already, where that is what it names; nothing is read or written then."""
        return None


class Tokens(Spec):
    """Text → token ids and first vectors. Its module maps ids (N, L) to vectors (N, L, W)."""

    slot: ClassVar[str] = "tokens"

    def fit(self, columns: Mapping[str, pa.ChunkedArray]) -> Encoder:
        """An encoder for these attributes (a vocabulary from the corpus, or one that stands already)."""
        raise NotImplementedError

    def load(self, folder: Path) -> Encoder:
        """The encoder that `Encoder.save` wrote."""
        raise NotImplementedError

    def width(self, width: int) -> int:
        """W, the width of its vectors, in a model of the given width."""
        raise NotImplementedError

    def build(self, context: Context) -> nn.Module:
        """The torch of it: ids (N, L) → vectors (N, L, W). `context.encoder` is what `fit` gave."""
        raise NotImplementedError


class Encoder(typing.Protocol):
    """A fitted tokenizer: plain data, saved with a run."""

    @property
    def vocab_size(self) -> int:
        """Ids are below this; 0 is padding."""
        ...

    @property
    def identity(self) -> str:
        """A hash of all that can change an id."""
        ...

    def encode(self, attribute: str, values: pa.ChunkedArray) -> Ragged:
        """Ids (int32) of each value, untruncated and without special tokens; a null value has none."""
        ...

    def join(self, parts: list[Ragged]) -> Ragged:
        """Attributes of each item put together in order, with separators and special tokens."""
        ...

    def save(self, folder: Path) -> None:
        """Writes plain files (JSON, text) that `Tokens.load` reads."""
        ...


class Generator(Spec):
    """A language model that answers prompts, or answers that one gave before."""

    slot: ClassVar[str] = "generator"

    @property
    def prices(self) -> tuple[float, float] | None:
        """Of a million tokens read and of a million written, in the user's currency; None where they are not known."""
        return (0.0, 0.0)

    @property
    def identity(self) -> Mapping[str, Any]:
        """All that can change an answer, in plain JSON: part of the name that an answer is kept under."""
        raise NotImplementedError

    def known(self) -> Known | None:
        """The answers it has from elsewhere, where it makes none; they are not kept again."""
        return None

    def open(self) -> Writer:
        """What answers; GeneratorError or CheckpointError where it cannot."""
        raise NotImplementedError


class Rerank(Spec):
    """Ranked lists → the same items in another order, by what a score alone does not say: variety, taste, fairness."""

    slot: ClassVar[str] = "rerank"
    reads_vectors: ClassVar[bool] = False
    """Whether it compares items by their vectors."""
    reads_categories: ClassVar[bool] = False
    """Whether it reads the category of an item."""

    def pool(self, k: int) -> int:
        """How many of the best items it chooses k from, where it is free to choose from all."""
        return 10 * k

    def rerank(self, lists: Lists, k: int) -> Ragged:
        """The places in each list of its new first k, best first (all of a shorter list); the others follow as they were."""
        raise NotImplementedError


class Tracker(Spec):
    """Where the numbers of a run go while it is made, beside its folder. It changes nothing of the run."""

    slot: ClassVar[str] = "tracker"

    def open(self, run: Tracked) -> Tracking:
        """Begins; an error here ends the run before any work, one later is told once and ends the tracking alone."""
        raise NotImplementedError


@attrs.frozen(kw_only=True, eq=False)
class Checkpoint:
    """Where the files of a language model are, on this machine."""

    name: str
    folder: Path
    origin: str
    """`folder`, `package NAME VERSION` or `hub cache`."""
