"""Every experiment that one with choices stands for: `any_of` in all combinations, `cases` case by case."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import attrs

from lego.errors import LegoError, SpecError
from lego.experiment import Experiment
from lego.expression import write
from lego.spec import Choice, FrozenMap, Spec, choices, field_names

CASES = "cases"
"""The place under which the number of the case is chosen, which all `cases` of an experiment share."""

Choose = Callable[[str, tuple[Any, ...]], int]
"""A place and the values that stand there -> the position of the one to take."""


@attrs.frozen(kw_only=True)
class Combination:
    """One way to resolve every choice."""

    picks: tuple[tuple[str, str], ...]
    """Path and expression of all that was chosen, in the order of the fields; a choice inside a choice is told with it."""
    positions: tuple[tuple[str, tuple[Any, ...], int], ...]
    """Place, values and position of each choice that was made, inner ones too."""
    experiment: Experiment | None
    """None where the values are right alone and wrong together."""
    error: LegoError | None = None
    """What is then wrong."""

    @property
    def changes(self) -> tuple[str, ...]:
        """`model.content=CNN()`: what `experiment.set(…)` makes of the experiment with its choices."""
        return tuple(f"{path}={text}" for path, text in self.picks)


class Expansion:
    """The combinations of an experiment, by number: the last field of the experiment changes fastest, the case slowest.

    A choice inside a value that is not chosen does not count. Two combinations may be equal. `fixed` leaves one position alone
    at a place (`{"model": 1}`, or `{"cases": 1}`). SpecError where two `cases` are not equally many.
    """

    def __init__(self, experiment: Experiment, fixed: Mapping[str, int] | None = None) -> None:
        self.experiment = experiment
        self.fixed = dict(fixed or {})
        self.cases = _cases(experiment)
        self._counts = [
            _count(experiment, "", case, self.fixed) if self.fixed.get(CASES, case) == case else 0
            for case in range(len(self.cases) or 1)
        ]

    @property
    def count(self) -> int:
        """How many combinations there are."""
        return sum(self._counts)

    def at(self, number: int) -> Combination:
        """The combination of a number below `count`."""
        if not 0 <= number < self.count:
            raise IndexError(number)
        case = 0
        while number >= self._counts[case]:
            number -= self._counts[case]
            case += 1
        left = number

        def choose(place: str, values: tuple[Any, ...]) -> int:
            """Reads a digit off the number. What is left of it belongs to the choices inside the value, visited next."""
            nonlocal left
            if place == CASES:
                return case
            counts = [
                _count(each, _inside(place, position), case, self.fixed)
                for position, each in enumerate(values)
            ]
            left, digit = divmod(left, sum(counts))
            position = 0
            while digit >= counts[position]:
                digit -= counts[position]
                position += 1
            left = left * counts[position] + digit
            return position

        return self.chosen(choose)

    def chosen(self, choose: Choose) -> Combination:
        """The combination in which `choose` decides; it is asked for the case first, then for the last field first."""
        resolver = _Resolver(choose, self.fixed)
        if self.cases:
            resolver.case = resolver.decide(CASES, self.cases)
        made = resolver.resolve("", self.experiment, told=False)
        return Combination(
            picks=tuple(reversed(resolver.picks)),
            positions=tuple(resolver.positions),
            experiment=None if resolver.error else made,
            error=resolver.error,
        )

    def __iter__(self) -> Iterator[Combination]:
        """Each in turn, equal ones too."""
        return map(self.at, range(self.count))


def _cases(experiment: Experiment) -> tuple[Any, ...]:
    """The numbers of the cases; none where nothing is tied."""
    tied = {len(each.values): each for each in choices(experiment) if each.tied}
    if len(tied) > 1:
        told = " and ".join(f"{each!r} has {count}" for count, each in sorted(tied.items()))
        raise SpecError(
            f"The cases of an experiment go together one by one, so they must be equally many: {told}. "
            "Repeat a value where several cases share it, or write any_of(…) for what is free."
        )
    return tuple(range(max(tied, default=0)))


def _inside(place: str, position: int) -> str:
    """The place of what is inside a value of a choice: two values may have options of one name."""
    return f"{place}[{position}]"


def _parts(value: Any, place: str) -> list[tuple[Any, str, Any]]:
    """Name, place and value of what a value is made of."""
    dot = f"{place}." if place else ""
    if isinstance(value, Spec):
        return [(name, f"{dot}{name}", getattr(value, name)) for name in field_names(type(value))]
    if isinstance(value, Mapping):
        return [(name, f"{dot}{name}", each) for name, each in value.items()]
    if isinstance(value, tuple):
        return [(number, f"{dot}{number}", each) for number, each in enumerate(value)]
    return []


def _count(value: Any, place: str, case: int, fixed: Mapping[str, int]) -> int:
    """In how many ways a value can be resolved in a case."""
    if not isinstance(value, Choice):
        return math.prod(_count(each, where, case, fixed) for _, where, each in _parts(value, place))
    only = case if value.tied else fixed.get(place)
    chosen = range(len(value.values)) if only is None else (only,)
    return sum(_count(value.values[each], _inside(place, each), case, fixed) for each in chosen)


@attrs.define
class _Resolver:
    choose: Choose
    fixed: Mapping[str, int]
    case: int = 0
    picks: list[tuple[str, str]] = attrs.field(factory=list)
    positions: list[tuple[str, tuple[Any, ...], int]] = attrs.field(factory=list)
    error: LegoError | None = None

    def decide(self, place: str, values: tuple[Any, ...]) -> int:
        """Asks, unless the place is fixed."""
        if place in self.fixed:
            return self.fixed[place]
        position = self.choose(place, values)
        self.positions.append((place, values, position))
        return position

    def resolve(self, place: str, value: Any, *, told: bool) -> Any:
        """The value without its choices. `told` says whether a pick further out tells what is chosen here."""
        if not any(choices(value)):
            return value
        if isinstance(value, Choice):
            position = self.case if value.tied else self.decide(place, value.values)
            made = self.resolve(_inside(place, position), value.values[position], told=True)
            return self._told(place, made, told=told)
        parts = _parts(value, place)
        # What has no path of its own that `set` understands is told as the whole that it is part of.
        whole = not told and any(_unnamed(name, each) for name, _, each in parts)
        # The last part first, so that it changes fastest.
        found = {name: self.resolve(where, each, told=told or whole) for name, where, each in reversed(parts)}
        made = self._made(value, {name: found[name] for name, _, _ in parts})
        return self._told(place, made, told=not whole)

    def _told(self, place: str, made: Any, *, told: bool) -> Any:
        if not told:
            self.picks.append((place, write(made)))
        return made

    def _made(self, value: Any, parts: dict[Any, Any]) -> Any:
        """The value with other parts; where it refuses them, the value as it was, and the error is kept."""
        if isinstance(value, tuple):
            return tuple(parts.values())
        if isinstance(value, Mapping):
            return FrozenMap(parts)
        try:
            return attrs.evolve(value, **parts)
        except LegoError as error:
            self.error = self.error or error
        except Exception as error:  # noqa: BLE001 - a validator of a stranger may raise anything
            told = SpecError(f"{type(value).__name__}: {type(error).__name__}: {error}")
            self.error = self.error or told
        return value


def _unnamed(name: Any, part: Any) -> bool:
    """Whether there are choices in a part that no path leads to: in a tuple, or under a key that is no word."""
    if not any(choices(part)):
        return False
    return isinstance(part, tuple) or (isinstance(name, str) and not name.isidentifier())
