"""What the kinds that write a text about an item share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar, Literal

import attrs
import numpy as np
import pyarrow as pa

from lego.augment.draft import Answer, Draft
from lego.augment.kind.base import Kind, fields_for, is_template, lacking, scripts_of, taken, unread
from lego.augment.prompt import Prompt, read
from lego.errors import Problem
from lego.generator.answer import Field, Shape, scripts_in
from lego.generator.base import Question
from lego.pretrained.template import as_text
from lego.spec import PATH, Generator, ge, operator


@operator
class OfItems(Kind):
    """One text for each item, in a column of its own; where there is no answer, the original stands in it."""

    subject: ClassVar[Literal["item", "user"]] = "item"

    template: str = attrs.field(kw_only=False, validator=is_template)
    to: str | None = None
    words: int = attrs.field(validator=ge(1))
    """Each kind has its own default."""
    language: str | None = None
    most: int | None = attrs.field(default=None, validator=ge(1))
    prompt: str | None = attrs.field(default=None, metadata=PATH)
    attempts: int = attrs.field(default=3, validator=ge(1))
    generator: Generator | None = None

    def makes(self, step: str) -> tuple[str, ...]:
        """The attribute of the answers."""
        return (self.to or f"llm_{step}",)

    def adds(self, step: str) -> Mapping[str, str]:
        """The same: a text."""
        return {self.makes(step)[0]: "text"}

    def check(self, step: str, draft: Draft) -> Iterator[Problem]:
        """Attributes that are not there, a name that is taken, a prompt that cannot be read."""
        yield from lacking(f"{step}={self!r}", self.template, draft.item_attributes, "items")
        yield from taken(f"{step}={self!r}", self.makes(step), draft.item_attributes)
        yield from unread(self._prompt)

    def questions(self, step: str, draft: Draft) -> list[tuple[int, Question]]:
        """One for each item that says something; with `most`, for those that are clicked most."""
        prompt = self._prompt()
        shape = Shape(fields=(Field(name=step, most=self.words, tokens=3 * self.words + 8),))
        made = []
        texts, ids = draft.texts(self.template), draft.item_ids
        for row in self._rows(draft):
            text = texts[row - 1]
            if text is None:
                continue
            fitted = Shape(fields=shape.fields, scripts=self._scripts(text))
            told = fields_for(
                fitted, text=text, words=str(self.words), language=self.language or "the same language"
            )
            question = Question(
                step=step,
                about=f"item:{ids[row - 1]}",
                messages=prompt.messages(told),
                shape=fitted,
                max_tokens=3 * self.words + 24,
            )
            made.append((row, question))
        return made

    def complaint(self, question: Question, problem: str) -> str:
        """The prompt's `# again`."""
        told = fields_for(
            question.shape,
            text="",
            words=str(self.words),
            language=self.language or "the same language",
            problem=problem,
        )
        return self._prompt().complaint(told)

    def apply(self, step: str, draft: Draft, answers: Sequence[Answer]) -> None:
        """A column of the answers, and the original where there is none."""
        name = self.makes(step)[0]
        original = draft.items[step] if step in draft.item_attributes else None
        column = [None] * draft.items.num_rows if original is None else as_text(original).to_pylist()
        found = []
        for answer in answers:
            if answer.values is not None and answer.record is not None:
                column[answer.row - 1] = answer.values[step]
                found.append((answer.row, answer.question.about.partition(":")[2], answer.record))
        draft.add_item_attribute(name, pa.array(column, pa.string()))
        count = draft.note("items", name, found)
        draft.counts[name] = {"of": "items", "generated": count, "rows": draft.items.num_rows}

    def _prompt(self) -> Prompt:
        return read(self.prompt, self.packaged, ("text", "words", "language", "format"))

    def _scripts(self, text: str) -> tuple[str, ...]:
        if self.language is not None:
            return scripts_of(self.language)
        return tuple(sorted(scripts_in(text)))

    def _rows(self, draft: Draft) -> list[int]:
        rows = np.arange(1, draft.items.num_rows + 1)
        if self.most is None:
            return rows.tolist()
        clicks = np.zeros(len(rows) + 1, np.int64)
        clicks[: len(draft.clicks)] = draft.clicks
        order = np.lexsort((rows, -clicks[1:]))
        return np.sort(rows[order[: self.most]]).tolist()
