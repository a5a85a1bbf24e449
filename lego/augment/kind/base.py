"""What every kind of question has: a prompt, the shape of its answer, and the place where answers go."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Literal

from lego.augment.draft import Answer, Draft
from lego.augment.prompt import Prompt
from lego.errors import DataError, Problem, SpecError, did_you_mean
from lego.generator.answer import Shape
from lego.generator.base import Question
from lego.pretrained.template import fields_of
from lego.spec import Generator, Spec

SCRIPTS: Mapping[str, tuple[str, ...]] = {
    "arabic": ("ARABIC",),
    "chinese": ("CJK",),
    "greek": ("GREEK",),
    "hebrew": ("HEBREW",),
    "hindi": ("DEVANAGARI",),
    "japanese": ("CJK", "HIRAGANA", "KATAKANA"),
    "korean": ("HANGUL",),
    "mandarin": ("CJK",),
    "russian": ("CYRILLIC",),
    "thai": ("THAI",),
    "ukrainian": ("CYRILLIC",),
}
"""The scripts of languages that are not written in Latin letters."""


def scripts_of(language: str) -> tuple[str, ...]:
    """The scripts that a language is written in."""
    return SCRIPTS.get(language.casefold(), ("LATIN",))


def is_template(instance: object, attribute: Any, value: str) -> None:
    """A text that names attributes in braces."""
    try:
        fields_of(value)
    except ValueError as problem:
        raise SpecError.wrong_value(
            type(instance).__name__,
            attribute.name,
            value,
            f"a text that names attributes, as {{title}} does ({problem})",
        ) from None


class Kind(Spec):
    """Something to ask about items or users: a part of `Augment`."""

    subject: ClassVar[Literal["item", "user"]] = "item"
    packaged: ClassVar[str] = ""
    """The prompt that comes with lego."""
    generator: Generator | None = None
    attempts: int = 3
    prompt: str | None = None

    def makes(self, step: str) -> tuple[str, ...]:
        """The attributes that it adds."""
        raise NotImplementedError

    def adds(self, step: str) -> Mapping[str, str]:
        """Attributes of items that it adds, and their kinds, as far as a model may read them."""
        return {}

    def check(self, step: str, draft: Draft) -> Iterator[Problem]:
        """What does not fit the data, or keeps the prompt from being read."""
        raise NotImplementedError

    def questions(self, step: str, draft: Draft) -> list[tuple[int, Question]]:
        """Each with its item or user row."""
        raise NotImplementedError

    def complaint(self, question: Question, problem: str) -> str:
        """What is said to the model where an answer did not fit."""
        raise NotImplementedError

    def apply(self, step: str, draft: Draft, answers: Sequence[Answer]) -> None:
        """Puts the answers where they belong."""
        raise NotImplementedError


def lacking(where: str, template: str, there: Mapping[str, str], whose: str) -> Iterator[Problem]:
    """A problem for each attribute that a template names and the data does not have."""
    for name in fields_of(template):
        if name not in there:
            fix = f"{did_you_mean(name, there)}They have: {', '.join(there) or 'none'}"
            yield Problem(where, f"{{{name}}} is no attribute of the {whose}", fix)


def unread(read: Callable[[], Prompt]) -> Iterator[Problem]:
    """What keeps a prompt from being read."""
    try:
        read()
    except DataError as fault:
        yield from fault.problems


def taken(where: str, names: tuple[str, ...], there: Mapping[str, str]) -> Iterator[Problem]:
    """A problem for each name that is in use: nothing original is overwritten."""
    for name in names:
        if name in there:
            yield Problem(where, f"there is an attribute {name!r} already", "give another name with to=")


def fields_for(shape: Shape, **others: str) -> dict[str, str]:
    """The fields of a prompt: those of the kind, and the form of the answer."""
    return {**others, "format": shape.example}
