"""A language model on this machine: a folder, a GGUF file, an installed package or the hub's cache, as content operators take.

An answer has the fields it must have by construction: the model writes the values, between the marks of JSON that are put around
them, so that even a very small one can be used (as in Willard and Louf 2023, https://arxiv.org/abs/2307.09702).
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

import attrs

from lego.errors import CheckpointError, Problem
from lego.generator.answer import Field
from lego.generator.base import Passing, Question, Refused, Reply, digest
from lego.spec import PATH_IF_THERE, Generator, ge, operator

if TYPE_CHECKING:
    from lego.pretrained.decoder import Added, Decoder, Wanted

SMOLLM2 = "HuggingFaceTB/SmolLM2-135M-Instruct"


@operator
class LocalModel(Generator):
    """A causal language model, `batch` questions at a time; greedy, or drawn from `seed` where the temperature is above 0.

    A draw depends on the seed and the question, not on what else is in the batch.
    """

    checkpoint: str = attrs.field(default=SMOLLM2, kw_only=False, metadata=PATH_IF_THERE)
    batch: int = attrs.field(default=16, validator=ge(1))
    temperature: float = attrs.field(default=0.0, validator=ge(0))
    seed: int = attrs.field(default=0, validator=ge(0))
    device: str = "cpu"

    @property
    def identity(self) -> Mapping[str, Any]:
        """Checkpoint by name, temperature, and the seed where it is used. A folder stands for what it holds now."""
        drawn = {"seed": self.seed} if self.temperature else {}
        return {"model": self.checkpoint, "temperature": self.temperature, "rule": _RULE, **drawn}

    @property
    def tried(self) -> bool:
        """Whether the model is here, and need not be fetched first."""
        from lego.pretrained.checkpoint import is_here

        return is_here(self.checkpoint)

    def lacks(self) -> Iterable[Problem]:
        """The checkpoint, where it is damaged or can be had nowhere. The hub is not asked: it may have what is not here."""
        from huggingface_hub import constants

        from lego.pretrained.checkpoint import is_here, resolve

        try:
            if is_here(self.checkpoint) or constants.HF_HUB_OFFLINE:
                resolve(self.checkpoint, download=False)
        except CheckpointError as fault:
            yield fault.problem

    def open(self) -> _Local:
        """Loads the model."""
        from lego.pretrained.decoder import Decoder

        return _Local(Decoder(self.checkpoint, device=self.device), self)

    @classmethod
    def examples(cls) -> Iterable[Self]:
        """Small instances."""
        return (cls(), cls(batch=2, temperature=0.7, seed=3))


_RULE = 1
"""Counts changes in how answers are written."""


_TRIED = 4
"""So many tokens are written to see how long one takes."""
_LONG = 3.0
"""Seconds. Where one text took longer to read, no more are read to see how long it takes."""


class _Local:
    parallel = LocalModel.parallel

    def __init__(self, decoder: Decoder, spec: LocalModel) -> None:
        self.decoder = decoder
        self.spec = spec
        self.together = spec.batch
        self._pace: tuple[float, float] | None = None

    def count(self, text: str) -> int:
        """Tokens of a text."""
        return self.decoder.count(text)

    def ask(self, questions: Sequence[Question]) -> list[Reply | Passing | Refused]:
        """Field after field, each for all questions that have it."""
        drafts = [
            _Draft(self.decoder.conversation(each.messages), each, self.spec.seed) for each in questions
        ]
        while open_ := [draft for draft in drafts if draft.ahead]:
            added = self.decoder.go_on([draft.wanted() for draft in open_], temperature=self.spec.temperature)
            for draft, each in zip(open_, added, strict=True):
                draft.take(each)
        return [
            Reply(
                text=json.dumps(draft.values, ensure_ascii=False),
                model=self.spec.checkpoint,
                prompt_tokens=draft.read,
                answer_tokens=draft.written,
                cost=0.0,
            )
            for draft in drafts
        ]

    def seconds(self, questions: Sequence[Question], fill: float) -> float:
        """By a trial the first time: a few of the questions are read and a few tokens written, a second or two each."""
        batch = min(self.together, len(questions))
        if self._pace is None:
            self._pace = self._reading(questions), self._writing(batch)
        letter, token = self._pace
        # Each field is another time to read what stands before it.
        read = letter * _letters(questions) * len(questions[0].shape.fields)
        return read + token * fill * sum(each.max_tokens for each in questions)

    def _reading(self, questions: Sequence[Question]) -> float:
        """Seconds a letter. As many are read as take a second, and two at least: a batch reads what its texts share once."""
        some = questions[:: max(1, len(questions) // self.together)][: self.together]
        begun = time.perf_counter()
        self._read(some[:1])
        took = time.perf_counter() - begun
        if took > _LONG:
            return took / _letters(some[:1])
        few = some[: max(2, int(1 / took))]
        begun = time.perf_counter()
        self._read(few)
        return (time.perf_counter() - begun) / _letters(few)

    def _read(self, questions: Sequence[Question]) -> None:
        from lego.pretrained.decoder import Wanted

        texts = [self.decoder.conversation(each.messages) for each in questions]
        self.decoder.go_on([Wanted(text=text, tokens=1, done=bool) for text in texts])

    def _writing(self, batch: int) -> float:
        """Seconds that one more token takes where so many texts are written at once."""
        from lego.pretrained.decoder import Wanted

        took = []
        for tokens in (1, 1 + _TRIED):
            wanted = [Wanted(text="The", tokens=tokens, done=_never)] * batch
            begun = time.perf_counter()
            added = self.decoder.go_on(wanted)
            took.append(time.perf_counter() - begun)
        steps = max(1, max(each.written for each in added) - 1)
        return max(0.0, took[1] - took[0]) / steps / batch

    def close(self) -> None:
        """Lets the model go."""


class _Draft:
    """An answer under way: the JSON so far, and the fields that it still lacks."""

    def __init__(self, before: str, question: Question, seed: int) -> None:
        self.before = before
        self.ahead = list(question.shape.fields)
        self.values: dict[str, Any] = {}
        self.read = self.written = 0
        self.left = question.max_tokens
        told = [list(message) for message in question.messages]
        self.seed = int(digest([seed, told, question.attempt])[:15], 16)

    def wanted(self) -> Wanted:
        """The text up to the value of the next field."""
        from lego.pretrained.decoder import Wanted

        field = self.ahead[0]
        so_far = json.dumps(self.values, ensure_ascii=False)[:-1]
        begin = f'{so_far}{", " if self.values else ""}"{field.name}": {_OPENING[field.kind]}'
        end = _END[field.kind]
        return Wanted(
            text=self.before + begin,
            tokens=min(field.tokens, self.left),
            done=lambda text: end.search(text) is not None,
            seed=self.seed + len(self.values),
        )

    def take(self, added: Added) -> None:
        """The value of the next field."""
        field = self.ahead.pop(0)
        self.values[field.name] = _value(field, added.text)
        self.read = self.read or added.read
        self.written += added.written
        self.left -= added.written
        if self.left <= 0:
            self.ahead.clear()


def _letters(questions: Sequence[Question]) -> int:
    return sum(len(text) for each in questions for _, text in each.messages)


def _never(_: str) -> bool:
    return False


_OPENING = {"text": '"', "list": '["'}
_END = {"text": re.compile(r'(?<!\\)"|\n'), "list": re.compile(r"\]|\n")}


def _value(field: Field, text: str) -> Any:
    """What stands before the mark that ends it. What was cut off within a list is left out."""
    ended = _END[field.kind].search(text)
    inside = text[: ended.start()] if ended else text
    if field.kind == "text":
        return inside.replace('\\"', '"').replace("\\n", " ").strip()
    parts = re.split(r'"\s*,\s*"', inside)
    whole = parts if ended or len(parts) == 1 else parts[:-1]
    return [part.strip().strip('"').strip() for part in whole]
