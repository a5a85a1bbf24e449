"""`Spec`, what every operator is: a value of the language that writes itself as the code that made it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar, Self

from lego.errors import Problem, SpecError
from lego.spec.declare import field_names
from lego.spec.values import Choice


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
