"""What a history tells of its user: topics, regions, interests, kept as attributes of the user.

The user profiles of ONCE (Liu et al. 2024, https://arxiv.org/abs/2305.06566), which a model reads through `UserAttributes`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import ClassVar, Literal, Self

import attrs
import numpy as np
import pyarrow as pa

from lego.augment.draft import Answer, Draft, Until
from lego.augment.kind.base import Kind, fields_for, is_template, lacking, scripts_of, taken, unread
from lego.augment.prompt import Prompt, read
from lego.errors import Problem
from lego.generator.answer import Field, Shape, scripts_in
from lego.generator.base import Question
from lego.spec import PATH, FrozenMap, Generator, ge, one_of, operator


def history_text(draft: Draft, texts: list[str | None], user: int, until: Until, recent: int) -> str:
    """The numbered texts of a user's items."""
    told = [texts[row - 1] for row in draft.past(user, until, recent).tolist()]
    return "\n".join(f"{number}. {text}" for number, text in enumerate(filter(None, told), 1))


@operator
class Profile(Kind):
    """Lists of words about each user, as in `profile=Profile("{title}", to=("llm_topics", "llm_region"))`.

    `template` is how an item of the history is told, `recent` how many of them, `to` the attributes to make (`llm_` and the name
    of the change unless given), `values` how many words each may have, `choices` the only values of an attribute. A user with
    less than `least` items is not asked about. An answer must tell the first of the attributes; of the others, what it does not
    tell is missing. `until="train"` tells of what a user took before the dev and test parts; `until="first"` of what was taken
    before the first impression, so that no click that is learned from is in a profile.
    """

    subject: ClassVar[Literal["item", "user"]] = "user"
    packaged: ClassVar[str] = "profile"

    template: str = attrs.field(kw_only=False, validator=is_template)
    to: str | tuple[str, ...] | None = None
    values: int = attrs.field(default=5, validator=ge(1))
    choices: Mapping[str, tuple[str, ...]] = attrs.field(factory=FrozenMap)
    recent: int = attrs.field(default=20, validator=ge(1))
    least: int = attrs.field(default=1, validator=ge(1))
    until: str = attrs.field(default="train", validator=one_of("train", "first"))
    language: str | None = None
    prompt: str | None = attrs.field(default=None, metadata=PATH)
    attempts: int = attrs.field(default=3, validator=ge(1))
    generator: Generator | None = None

    def makes(self, step: str) -> tuple[str, ...]:
        """The attributes of users."""
        if self.to is None:
            return (f"llm_{step}",)
        return (self.to,) if isinstance(self.to, str) else self.to

    def check(self, step: str, draft: Draft) -> Iterator[Problem]:
        """Attributes that are not there, names that are taken, choices for nothing, the prompt."""
        where = f"{step}={self!r}"
        yield from lacking(where, self.template, draft.item_attributes, "items")
        yield from taken(where, self.makes(step), draft.user_attributes)
        for name in self.choices:
            if name not in self.makes(step):
                yield Problem(
                    where,
                    f"choices= names {name!r}, which it does not make",
                    f"it makes {', '.join(self.makes(step))}",
                )
        yield from unread(self._prompt)

    def questions(self, step: str, draft: Draft) -> list[tuple[int, Question]]:
        """One for each user who took enough."""
        prompt, texts, ids = self._prompt(), draft.texts(self.template), draft.user_ids
        fields = tuple(
            Field(
                name=_field(name),
                kind="list",
                most=self.values,
                tokens=8 * self.values,
                choices=self.choices.get(name, ()),
                optional=place > 0,
            )
            for place, name in enumerate(self.makes(step))
        )
        made = []
        until: Until = "train" if self.until == "train" else "first"
        for user in np.flatnonzero(draft.lengths(until) >= self.least).tolist():
            history = history_text(draft, texts, user, until, self.recent)
            if not history:
                continue
            scripts = scripts_of(self.language) if self.language else tuple(sorted(scripts_in(history)))
            shape = Shape(fields=fields, scripts=scripts)
            question = Question(
                step=step,
                about=f"user:{ids[user]}",
                messages=prompt.messages(self._fields(shape, history)),
                shape=shape,
                max_tokens=sum(field.tokens for field in fields) + 16,
            )
            made.append((user, question))
        return made

    def complaint(self, question: Question, problem: str) -> str:
        """The prompt's `# again`."""
        return self._prompt().complaint({**self._fields(question.shape, ""), "problem": problem})

    def apply(self, step: str, draft: Draft, answers: Sequence[Answer]) -> None:
        """A column of lists for each attribute; a user without an answer has a missing value."""
        given = [each for each in answers if each.values is not None and each.record is not None]
        for name in self.makes(step):
            column: list[list[str] | None] = [None] * draft.users.num_rows
            found = []
            for answer in given:
                assert answer.values is not None
                assert answer.record is not None
                words = [word.lower() for word in answer.values[_field(name)]]
                if not words:
                    continue
                column[answer.row] = words
                found.append((answer.row, answer.question.about.partition(":")[2], answer.record))
            draft.add_user_attribute(name, pa.array(column, pa.list_(pa.string())))
            count = draft.note("users", name, found)
            draft.counts[name] = {"of": "users", "generated": count, "rows": draft.users.num_rows}

    def _prompt(self) -> Prompt:
        return read(self.prompt, self.packaged, ("history", "most", "choices", "language", "format"))

    def _fields(self, shape: Shape, history: str) -> dict[str, str]:
        listed = [
            f" {field.name} must be from: {', '.join(field.choices)}."
            for field in shape.fields
            if field.choices
        ]
        return fields_for(
            shape,
            history=history,
            most=str(self.values),
            choices="".join(listed),
            language=self.language or "the same language",
        )

    @classmethod
    def examples(cls) -> Iterable[Self]:
        """Small instances."""
        closed = cls(
            "{title}",
            to=("topics", "region"),
            choices={"region": ("north", "south")},
            recent=5,
            until="first",
        )
        return (cls("{title}"), closed)


def _field(name: str) -> str:
    """What an attribute is called in an answer: without the mark that it is a model's."""
    return name.removeprefix("llm_")
