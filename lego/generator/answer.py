"""What an answer must look like: named fields, asked for as JSON, read from what came, and checked.

Small and old models answer in many ways, so reading is generous: JSON inside other words, `[title] …` before each field as the
prompts of ONCE ask for (Liu et al. 2024, https://arxiv.org/abs/2305.06566), a bare text or list where there is one field. What is
read is checked strictly.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterator
from typing import Any, Literal

import attrs

Values = dict[str, Any]
"""Field → a text, or a list of texts."""


class Misfit(Exception):  # noqa: N818 - it is what the next attempt is told
    """An answer that is not what was asked for; its text says why, in words for the model."""


@attrs.frozen(kw_only=True)
class Field:
    """One field of an answer."""

    name: str
    kind: Literal["text", "list"] = "text"
    most: int = 60
    """Words of a text, or values of a list, at most."""
    tokens: int = 64
    """Tokens that writing it may take."""
    choices: tuple[str, ...] = ()
    """The only values that are taken, where any are named; others are left out of a list, and are no text."""
    optional: bool = False
    """Whether a list may be empty or missing: not every history tells of a region."""


@attrs.frozen(kw_only=True)
class Shape:
    """The fields of an answer, in order."""

    fields: tuple[Field, ...]
    scripts: tuple[str, ...] = ()
    """Scripts that letters may be of (`LATIN`, `CJK`); any where none is named."""

    @property
    def schema(self) -> dict[str, Any]:
        """The same as a JSON schema, strict as servers want it."""
        return {
            "type": "object",
            "properties": {field.name: _schema(field) for field in self.fields},
            "required": [field.name for field in self.fields],
            "additionalProperties": False,
        }

    @property
    def example(self) -> str:
        """What to write, for a prompt: `{"title": "…", "topics": ["…", "…"]}`."""
        parts = (
            f'"{field.name}": ' + ('["…", "…"]' if field.kind == "list" else '"…"') for field in self.fields
        )
        return "{" + ", ".join(parts) + "}"

    def read(self, answer: str) -> Values:
        """The fields of an answer; Misfit where it does not fit."""
        found = _object(answer)
        if found is None:
            found = _tagged(answer, [field.name for field in self.fields])
        if found is None and len(self.fields) == 1:
            found = _bare(answer, self.fields[0])
        if found is None:
            message = f"it holds no JSON object like {self.example}"
            raise Misfit(message)
        if len(self.fields) == 1 and len(found) == 1:
            found = {self.fields[0].name: next(iter(found.values()))}
        return {field.name: self._checked(field, found) for field in self.fields}

    def _checked(self, field: Field, found: Values) -> Any:
        value = found.get(field.name)
        if value is None and field.optional:
            return []
        if value is None:
            message = f'the field "{field.name}" is missing'
            raise Misfit(message)
        if field.kind == "list":
            texts = [_tidy(each) for each in _as_list(value)]
        elif isinstance(value, str):
            texts = [_tidy(value)]
        else:
            message = f'the field "{field.name}" is no text'
            raise Misfit(message)
        texts = list(dict.fromkeys(text for text in texts if any(map(str.isalnum, text))))
        if not texts and field.optional:
            return []
        if not texts:
            message = f'the field "{field.name}" is empty'
            raise Misfit(message)
        self._check_scripts(field, texts)
        if field.choices:
            texts = _chosen(field, texts)
        if field.kind == "list":
            return texts[: field.most]
        if len(texts[0].split()) > field.most:
            message = (
                f'the field "{field.name}" has {len(texts[0].split())} words, at most {field.most} are wanted'
            )
            raise Misfit(message)
        return texts[0]

    def _check_scripts(self, field: Field, texts: list[str]) -> None:
        if not self.scripts:
            return
        letters = [script_of(letter) for text in texts for letter in text if letter.isalpha()]
        odd = [script for script in letters if script not in self.scripts]
        if len(odd) * 2 > len(letters):
            message = f'the field "{field.name}" is in another language than it should be ({max(set(odd), key=odd.count)})'
            raise Misfit(message)


def script_of(letter: str) -> str:
    """The script of a letter: `LATIN`, `CJK`, `HANGUL`."""
    return unicodedata.name(letter, "UNKNOWN").split()[0].split("-")[0]


def scripts_in(text: str) -> set[str]:
    """The scripts that a text is written in."""
    return {script_of(letter) for letter in set(text) if letter.isalpha()}


def _schema(field: Field) -> dict[str, Any]:
    text: dict[str, Any] = {"type": "string"}
    if field.choices:
        text["enum"] = list(field.choices)
    return {"type": "array", "items": text} if field.kind == "list" else text


# --- reading ------------------------------------------------------------------------------------------------------------------


def _object(answer: str) -> Values | None:
    """The first JSON object in a text."""
    decoder = json.JSONDecoder(strict=False)
    for place in re.finditer(r"\{", answer):
        try:
            found, _ = decoder.raw_decode(answer, place.start())
        except (ValueError, RecursionError):
            continue
        if isinstance(found, dict) and found:
            return {str(name): value for name, value in found.items()}
    return None


_TAG = re.compile(r"^\s*\[([A-Za-z_ ]{2,30})\]:?", re.MULTILINE)


def _tagged(answer: str, names: list[str]) -> Values | None:
    """`[topics] a, b` or `[topics]` with a line for each value; a tag of another name is the only field's."""
    tags = list(_TAG.finditer(answer))
    if not tags:
        return None
    ends = [tag.start() for tag in tags[1:]] + [len(answer)]
    sections = {
        tag.group(1).strip().lower(): answer[tag.end() : end].strip()
        for tag, end in zip(tags, ends, strict=True)
    }
    if len(names) == 1 and names[0].lower() not in sections:
        return {names[0]: next(iter(sections.values()))}
    return {name: sections[name.lower()] for name in names if name.lower() in sections} or None


def _bare(answer: str, field: Field) -> Values | None:
    text = answer.strip()
    if field.kind == "list" and text.startswith("["):
        try:
            return {field.name: json.loads(text)}
        except ValueError:
            return None
    if not text or text.startswith(("{", "[", "```", "<")):
        return None
    return {field.name: text}


def _as_list(value: Any) -> Iterator[str]:
    """The values of a JSON list, or of a text with commas, semicolons, or a line for each."""
    if isinstance(value, list):
        yield from (each for each in value if isinstance(each, str))
    elif isinstance(value, str):
        for part in re.split(r"\n" if "\n" in value.strip() else r"[,;]", value):
            yield re.sub(r"^\s*(?:[-*•]|\d+[.)])\s*", "", part)


def _tidy(text: Any) -> str:
    """One line without quotes around it."""
    line = " ".join(str(text).split())
    return line[1:-1].strip() if len(line) > 1 and line[0] == line[-1] and line[0] in "\"'" else line


def _chosen(field: Field, texts: list[str]) -> list[str]:
    known = {choice.casefold(): choice for choice in field.choices}
    taken = [known[text.casefold()] for text in texts if text.casefold() in known]
    if not taken and not field.optional:
        listed = ", ".join(field.choices[:20]) + (", …" if len(field.choices) > 20 else "")
        message = f'the field "{field.name}" holds none of: {listed}'
        raise Misfit(message)
    return list(dict.fromkeys(taken))
