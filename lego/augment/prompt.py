"""Prompts: text files with named fields, `# system`, `# user` and `# again` above their parts. A user may replace any of them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from string import Formatter

import attrs

from lego.errors import DataError, Problem, did_you_mean
from lego.generator.base import Message

PACKAGED = Path(__file__).parent / "prompts"
_PART = re.compile(r"^# (system|user|again) *$", re.MULTILINE)


@attrs.frozen
class Prompt:
    """What is said to a model, with fields to fill in."""

    system: str
    user: str
    again: str

    def messages(self, fields: Mapping[str, str]) -> tuple[Message, ...]:
        """The conversation with these fields."""
        told = (("system", self.system), ("user", self.user))
        return tuple((role, text.format_map(fields).strip()) for role, text in told if text.strip())

    def complaint(self, fields: Mapping[str, str]) -> str:
        """What is said where an answer did not fit; `problem` is one of the fields."""
        return self.again.format_map(fields).strip()


def read(path: str | None, packaged: str, fields: Iterable[str]) -> Prompt:
    """The prompt of a file, or the one that comes with lego; DataError where it is missing, or names an unknown field."""
    file = PACKAGED / f"{packaged}.md" if path is None else Path(path).expanduser()
    try:
        text = file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as problem:
        fix = f"correct the path, or begin with a copy of {PACKAGED / packaged}.md"
        raise DataError([Problem(str(file), f"cannot be read: {problem}", fix)]) from None
    found = list(_PART.finditer(text))
    ends = [*(part.start() for part in found[1:]), len(text)]
    parts = {part[1]: text[part.end() : end].strip() for part, end in zip(found, ends, strict=False)}
    if not found:
        parts = {"user": text.strip()}
    parts.setdefault("again", _AGAIN)
    _check(file, parts, [*fields, "problem"])
    return Prompt(system=parts.get("system", ""), user=parts.get("user", ""), again=parts["again"])


_AGAIN = "That answer does not fit: {problem}. Answer again, with nothing but {format}"


def _check(file: Path, parts: Mapping[str, str], fields: list[str]) -> None:
    problems = []
    if not parts.get("user"):
        problems.append(
            Problem(str(file), "has no part `# user`", "write what is asked below a line `# user`")
        )
    for part, text in parts.items():
        try:
            named = [name for _, name, _, _ in Formatter().parse(text) if name is not None]
        except ValueError as problem:
            fix = "write {{ and }} for braces that are no field"
            problems.append(Problem(f"{file}, # {part}", f"cannot be read: {problem}", fix))
            continue
        for name in named:
            if name not in fields or (name == "problem" and part != "again"):
                hint = did_you_mean(name, fields)
                fix = (
                    f"{hint}There are: {', '.join(fields)}. Write {{{{ and }}}} for braces that are no field"
                )
                problems.append(
                    Problem(f"{file}, # {part}", f"names {{{name}}}, which is no field here", fix)
                )
    if problems:
        raise DataError(problems, headline="cannot read a prompt")
