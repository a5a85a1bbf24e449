"""New items for users of whom little is known: what such a user might have taken, appended to the user's history.

The generated news and books of ONCE (Liu et al. 2024, https://arxiv.org/abs/2305.06566). With `profile` it is the chain of
that paper: what was told of the user before is told to the model that invents.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Literal, Self

import attrs
import numpy as np

from lego.augment.draft import Answer, Draft, Until
from lego.augment.kind.base import Kind, fields_for, is_template, lacking, scripts_of, unread
from lego.augment.kind.profile import history_text
from lego.augment.prompt import Prompt, read
from lego.errors import Problem, did_you_mean
from lego.generator.answer import Field, Shape, scripts_in
from lego.generator.base import Question
from lego.spec import PATH, Generator, ge, one_of, operator

_SHOWN = 30
"""So many values of an attribute are listed in a prompt at most."""


@operator
class Imagine(Kind):
    """`each` new items for every user with 1 to `cold` items, as in `movie=Imagine("{title}", gives=("title", "genres"))`.

    `template` is how an item of the history is told; `gives` names the attributes that a new item gets, all others are missing;
    of a category or list only values that other items have are kept. New items stand behind all others, under ids that begin with
    the name of the change, and at the end of what is known of their user, as `until` says. They are marked as generated: no
    candidate of an evaluation is one. `profile` names attributes of users that the prompt tells of.
    """

    subject: ClassVar[Literal["item", "user"]] = "user"
    packaged: ClassVar[str] = "imagine"

    template: str = attrs.field(kw_only=False, validator=is_template)
    gives: tuple[str, ...] = ("title",)
    cold: int = attrs.field(default=5, validator=ge(1))
    each: int = attrs.field(default=1, validator=ge(1))
    profile: tuple[str, ...] = ()
    words: int = attrs.field(default=30, validator=ge(1))
    until: str = attrs.field(default="train", validator=one_of("train", "first"))
    language: str | None = None
    prompt: str | None = attrs.field(default=None, metadata=PATH)
    attempts: int = attrs.field(default=3, validator=ge(1))
    generator: Generator | None = None

    def makes(self, step: str) -> tuple[str, ...]:
        """Items, and no attribute."""
        return ()

    def check(self, step: str, draft: Draft) -> Iterator[Problem]:
        """Attributes that are not there, a prompt that cannot be read."""
        where = f"{step}={self!r}"
        yield from lacking(where, self.template, draft.item_attributes, "items")
        for option, names, there in (
            ("gives", self.gives, draft.item_attributes),
            ("profile", self.profile, draft.user_attributes),
        ):
            for name in names:
                if name not in there:
                    fix = f"{did_you_mean(name, there)}There are: {', '.join(there) or 'none'}"
                    yield Problem(where, f"{option}= names {name!r}, which is no attribute", fix)
        if any(draft.item_attributes.get(name) == "number" for name in self.gives):
            yield Problem(where, "gives= names a number", "leave it out: numbers are not invented")
        yield from unread(self._prompt)

    def questions(self, step: str, draft: Draft) -> list[tuple[int, Question]]:
        """`each` for every cold user."""
        prompt, texts, ids = self._prompt(), draft.texts(self.template), draft.user_ids
        until: Until = "train" if self.until == "train" else "first"
        lengths = draft.lengths(until)
        kinds = draft.item_attributes
        fields = tuple(
            Field(name=name, most=self.words, tokens=2 * self.words + 8)
            if kinds[name] == "text"
            else Field(name=name, kind="list", most=4, tokens=24)
            for name in self.gives
        )
        choices = "".join(
            f" {name} must be from: {', '.join(draft.values_of(name)[:_SHOWN])}."
            for name in self.gives
            if kinds[name] != "text"
        )
        known = {name: draft.users[name].to_pylist() for name in self.profile}
        made = []
        for user in np.flatnonzero((lengths > 0) & (lengths <= self.cold)).tolist():
            history = history_text(draft, texts, user, until, self.cold)
            if not history:
                continue
            scripts = scripts_of(self.language) if self.language else tuple(sorted(scripts_in(history)))
            shape = Shape(fields=fields, scripts=scripts)
            told = [
                f"{name.removeprefix('llm_')}: {_words(column[user])}"
                for name, column in known.items()
                if column[user]
            ]
            for number in range(self.each):
                more = [f"This is suggestion {number + 1}."] if number else []
                lines = "".join(f"\n{line}\n" for line in [*told, *more])
                question = Question(
                    step=step,
                    about=f"user:{ids[user]}#{number}",
                    messages=prompt.messages(self._fields(shape, history, lines, choices)),
                    shape=shape,
                    max_tokens=sum(field.tokens for field in fields) + 16,
                )
                made.append((user, question))
        return made

    def complaint(self, question: Question, problem: str) -> str:
        """The prompt's `# again`."""
        return self._prompt().complaint({**self._fields(question.shape, "", "", ""), "problem": problem})

    def apply(self, step: str, draft: Draft, answers: Sequence[Answer]) -> None:
        """The items, in the order of their users, and their places in the histories."""
        kinds = draft.item_attributes
        there = {
            name: {value.casefold(): value for value in draft.values_of(name)}
            for name in self.gives
            if kinds[name] != "text"
        }
        rows: list[dict[str, Any]] = []
        given = [each for each in answers if each.values is not None and each.record is not None]
        taken = set(draft.item_ids)
        for answer in given:
            assert answer.values is not None
            made = {name: _value(answer.values[name], kinds[name], there.get(name)) for name in self.gives}
            name = f"{step}:{answer.question.about.partition(':')[2].replace('#', '@')}"
            while name in taken:
                name += "+"
            taken.add(name)
            rows.append({"item_id": name, **made})
        until: Until = "train" if self.until == "train" else "first"
        made_rows = draft.add_items(rows, [each.row for each in given], until)
        found = [
            (row, line["item_id"], each.record)
            for row, line, each in zip(made_rows, rows, given, strict=True)
            if each.record is not None
        ]
        count = draft.note("items", "item_id", found)
        draft.counts[step] = {
            "of": "new items",
            "generated": count,
            "rows": draft.items.num_rows,
            "users": len({each.row for each in given}),
        }

    def _prompt(self) -> Prompt:
        return read(self.prompt, self.packaged, ("history", "known", "choices", "language", "format"))

    def _fields(self, shape: Shape, history: str, known: str, choices: str) -> dict[str, str]:
        language = self.language or "the same language"
        return fields_for(shape, history=history, known=known, choices=choices, language=language)

    @classmethod
    def examples(cls) -> Iterable[Self]:
        """Small instances."""
        return (cls("{title}"), cls("{title}", gives=("title", "category"), cold=3, each=2, until="first"))


def _words(value: Any) -> str:
    return ", ".join(value) if isinstance(value, list) else str(value)


def _value(found: Any, kind: str, there: Mapping[str, str] | None) -> Any:
    """What a new item has: of categories and lists the values that others have, too."""
    if kind == "text" or there is None:
        return found
    known = [there[value.casefold()] for value in found if value.casefold() in there]
    if kind == "category":
        return known[0] if known else None
    return known
