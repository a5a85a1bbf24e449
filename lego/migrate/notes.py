"""What is told of a translation, and options that are taken one by one so that none is forgotten."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import attrs

from lego.errors import DataError, Problem, did_you_mean


@attrs.frozen
class Note:
    """Something that the script does not say as the files did."""

    where: str
    """The option, as `model.config.neg_count`."""
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


def refusal(problems: Iterable[Problem]) -> DataError:
    """The error with all that keeps files from being translated."""
    error = DataError(list(dict.fromkeys(problems)), headline="cannot migrate")
    error.wrong_use = True
    return error


@attrs.define
class Told:
    """What was found on the way: notes go into the script, problems refuse it."""

    notes: list[Note] = attrs.field(factory=list)
    problems: list[Problem] = attrs.field(factory=list)

    def note(self, where: str, what: str) -> None:
        """Something is otherwise, or left out. Told once."""
        note = Note(where, what)
        if note not in self.notes:
            self.notes.append(note)

    def problem(self, where: str, what: str, fix: str) -> None:
        """Nothing in lego does it, or a value is missing."""
        self.problems.append(Problem(where, what, fix))


class Options:
    """A mapping of a file. Each option is taken by its name; `close` tells of those that nobody took."""

    def __init__(self, values: object, where: str, told: Told) -> None:
        self.where, self.told = where, told
        self.known: list[str] = []
        if values is None:
            values = {}
        if not isinstance(values, Mapping):
            told.problem(where, f"{values!r} is no mapping of options", "write it as NAME: VALUE, one a line")
            values = {}
        self.rest: dict[str, Any] = dict(values)

    def take(self, name: str, default: Any = None) -> Any:
        """The value of an option; `default` where it is not given or null."""
        self.known.append(name)
        value = self.rest.pop(name, None)
        return default if value is None else value

    def number(self, name: str, default: Any, kind: type[int | float] = int) -> Any:
        """The same of a number; what is none is a problem."""
        value = self.take(name, default)
        if value is default:
            return default
        allowed = (int,) if kind is int else (int, float)
        if isinstance(value, bool) or not isinstance(value, allowed):
            wanted = "a whole number" if kind is int else "a number"
            self.told.problem(f"{self.where}.{name}", f"{value!r} is not {wanted}", f"write {wanted}")
            return default
        return value

    def flag(self, name: str, default: bool) -> bool:  # noqa: FBT001 - the default of a flag is a flag
        """The same of true and false."""
        value = self.take(name, default)
        if not isinstance(value, bool):
            self.told.problem(
                f"{self.where}.{name}", f"{value!r} is neither true nor false", "write true or false"
            )
            return default
        return value

    def widths(self, name: str, default: tuple[int, ...]) -> tuple[int, ...]:
        """The same of a list of whole numbers."""
        value = self.take(name, default)
        if isinstance(value, (list, tuple)) and all(type(each) is int for each in value):
            return tuple(value)
        self.told.problem(
            f"{self.where}.{name}", f"{value!r} is no list of whole numbers", "write them as [1000, 1000]"
        )
        return default

    def one_of(self, name: str, default: str, allowed: Iterable[str]) -> str:
        """The same of one of several words."""
        value, words = self.take(name, default), list(allowed)
        if value in words:
            return str(value)
        self.told.problem(
            f"{self.where}.{name}",
            f"{value!r} is none of {', '.join(words)}",
            f"{did_you_mean(str(value), words)}Write one of them.",
        )
        return default

    def part(self, name: str) -> Options:
        """The options below a name."""
        return Options(self.take(name), f"{self.where}.{name}", self.told)

    def unneeded(self, why: str, *names: str) -> None:
        """Options that change no number: told where they are given, with the reason."""
        for name in names:
            value = self.take(name)
            if value is not None:
                self.told.note(f"{self.where}.{name}", f"{_shown(value)} left out: {why}")

    def close(self) -> None:
        """Tells of every option that nobody took."""
        for name, value in self.rest.items():
            near = did_you_mean(name, self.known)
            self.told.note(
                f"{self.where}.{name}", f"{_shown(value)} left out: no such option is known. {near}".rstrip()
            )
        self.rest.clear()


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, (int, float)) else repr(value)
