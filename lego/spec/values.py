"""Values of the language that no operator is: mappings that hash, and several values where one stands."""

from __future__ import annotations

import typing
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeVar

from lego.errors import SpecError

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
        self.values = tuple(normal_container(value) for value in values)
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


def normal_container(value: Any) -> Any:
    """Lists as tuples and dicts as `FrozenMap`, all the way down."""
    if isinstance(value, list | tuple):
        return tuple(normal_container(each) for each in value)
    if isinstance(value, dict | FrozenMap):
        return FrozenMap({key: normal_container(each) for key, each in value.items()})
    return value
