"""Answers made before: those that `lego augment` wrote, and the published files of ONCE.

ONCE (Liu et al. 2024, https://arxiv.org/abs/2305.06566) has JSON lines with one id and one answer, `{"uid": 20, "book": "{…}"}`,
the answer a text or a list; and tables with tabs or commas, an id and an answer in each line.
"""

from __future__ import annotations

import csv
import json
import warnings
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NoReturn, Self

import attrs

from lego.errors import DataError, GeneratorError, Problem
from lego.generator.base import Question
from lego.spec import PATH, Generator, operator

_IDS = ("nid", "bid", "mid", "uid", "iid", "id", "item_id", "user_id", "news_id", "book_id")
_OURS = {"prompt", "answer", "key"}
"""What every line has that `lego augment` wrote."""
_LIMIT = 20
_TOLD = 5
csv.field_size_limit(2**24)


@operator
class Replay(Generator):
    """The answers in a file. Nothing is ever asked, so a question without an answer in it stays without.

    Answers that `lego augment` wrote are found by the prompt they answered; those of other files by the id of the item or user,
    so that each of them belongs in the step it is for: `Profile("{title}", generator=Replay("user_profiler.log"))`.
    """

    file: str = attrs.field(kw_only=False, metadata=PATH)
    id: str | None = None
    """The field, or column, that holds the id; found by its name unless given."""
    answer: str | None = None
    """The field that holds the answer; the other one unless given."""

    @property
    def identity(self) -> Mapping[str, Any]:
        """The file's name: what is in it counts answer by answer."""
        return {"replay": Path(self.file).name}

    def known(self) -> Answers:
        """The answers; DataError where the file cannot be read."""
        path = Path(self.file).expanduser()
        try:
            state = path.stat()
        except OSError as problem:
            fix = "correct the path, or make the answers with: lego augment SCRIPT"
            raise DataError([Problem(str(path), f"cannot be read: {problem.strerror}", fix)]) from None
        return _read(str(path), self.id, self.answer, state.st_mtime_ns, state.st_size)

    def open(self) -> NoReturn:
        """Nobody is there to be asked."""
        what = "it only has the answers in its file"
        fix = "let a model answer: --set 'data.generator=LocalModel()'"
        raise GeneratorError([Problem(repr(self), what, fix)])

    @classmethod
    def examples(cls) -> Iterable[Self]:
        """Small instances."""
        return (cls("answers.jsonl"), cls("summaries.tsv", id="nid"))


@attrs.frozen(kw_only=True)
class Kept:
    """An answer of a file."""

    answer: str
    model: str
    prompt: str
    time: str


@attrs.frozen(eq=False)
class Answers:
    """By prompt, or by id."""

    by_prompt: Mapping[tuple[str, int], Kept]
    by_id: Mapping[str, Kept]

    def __len__(self) -> int:
        return len(self.by_prompt) + len(self.by_id)

    def find(self, question: Question, identity: Mapping[str, Any]) -> Kept | None:
        """The answer to a question; None where there is none."""
        found = self.by_prompt.get((question.prompt, question.attempt))
        if found is not None or question.attempt or not self.by_id:
            return found
        about, _, number = question.about.partition(":")[2].rpartition("#")
        return self.by_id.get(about if about and number == "0" else question.about.partition(":")[2])


@cache
def _read(path: str, id_: str | None, answer: str | None, *state: int) -> Answers:
    lines = _lines(Path(path))
    problems: list[Problem] = []
    first = next((line for line in lines if line.strip()), "")
    if first.startswith("{"):
        made = _json_lines(path, lines, id_, answer, problems)
    else:
        made = _table(path, lines, id_, answer, problems)
    if problems:
        raise DataError(problems[:_LIMIT], more=max(0, len(problems) - _LIMIT))
    if not len(made):
        raise DataError([Problem(path, "holds no answer", "name another file")])
    return made


def _lines(path: Path) -> list[str]:
    """The lines of a text; those that a writer was stopped in are empty, which is said."""
    found = path.read_bytes().removeprefix(b"\xef\xbb\xbf").split(b"\n")
    if cut := _cut(found):
        which = ", ".join(str(number) for number in cut[:_TOLD])
        if len(cut) > _TOLD:
            which += f" and {len(cut) - _TOLD:,} more"
        told = f"line {which} ends" if len(cut) == 1 else f"lines {which} end"
        rest = "It is passed over." if len(cut) == 1 else "They are passed over."
        warnings.warn(f"{path}, {told} in the middle, as where a writer was stopped. {rest}", stacklevel=2)
        for number in cut:
            found[number - 1] = b""
    problems, lines = [], []
    for number, line in enumerate(found, 1):
        try:
            lines.append(line.decode())
        except UnicodeDecodeError as problem:
            fix = "write it anew as UTF-8, as with: iconv -f LATIN1 -t UTF-8"
            problems.append(Problem(f"{path}, line {number}", f"is no UTF-8 ({problem.reason})", fix))
    if problems:
        raise DataError(problems[:_LIMIT], more=max(0, len(problems) - _LIMIT))
    return lines


def _cut(lines: list[bytes]) -> list[int]:
    """The numbers of JSON lines that are not whole: the last one; in a file of ours any, since a question is asked again then."""
    first = next((line for line in lines if line.strip()), b"")
    if not first.startswith(b"{"):
        return []
    whole = next((record for line in lines if (record := _json(line)) is not None), None)
    begin = 0 if isinstance(whole, dict) and whole.keys() >= _OURS else len(lines) - 1
    return [
        number for number, line in enumerate(lines[begin:], begin + 1) if line.strip() and _json(line) is None
    ]


def _json(line: bytes) -> Any:
    """What stands in a line; None where that is no JSON."""
    try:
        return json.loads(line)
    except ValueError:
        return None


def _json_lines(
    path: str, lines: list[str], id_: str | None, answer: str | None, problems: list[Problem]
) -> Answers:
    by_prompt: dict[tuple[str, int], Kept] = {}
    by_id: dict[str, Kept] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
            if not isinstance(record, dict):
                raise TypeError("it is no JSON object")  # noqa: TRY301 - told like any other
            if record.keys() >= _OURS:
                place = (str(record["prompt"]), int(record.get("attempt", 0)))
                by_prompt[place] = _kept(record["answer"], record, place[0])
                continue
            name = id_ or next((each for each in _IDS if each in record), next(iter(record), ""))
            others = [each for each in record if each != name]
            field = answer or (others[0] if len(others) == 1 else "")
            if name not in record or field not in record:
                told = ", ".join(record)
                raise KeyError(f"which field is the id and which the answer? It has {told}")  # noqa: TRY301
            by_id[str(record[name])] = _kept(record[field], record, "")
        except (ValueError, TypeError, KeyError) as problem:
            fix = "repair the line, or name the fields with id= and answer="
            problems.append(Problem(f"{path}, line {number}", f"is no answer: {problem}", fix))
    return Answers(by_prompt, by_id)


def _kept(value: Any, record: Mapping[str, Any], prompt: str) -> Kept:
    """A list stands for the only field that an answer has."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    model, time = str(record.get("model") or ""), str(record.get("time") or "")
    return Kept(answer=text, model=model, prompt=prompt, time=time)


def _table(
    path: str, lines: list[str], id_: str | None, answer: str | None, problems: list[Problem]
) -> Answers:
    comma = Path(path).suffix == ".csv" and "\t" not in lines[0]
    rows = _rows(lines, comma=comma)
    columns: list[str] | None = None
    by_id: dict[str, Kept] = {}
    for number, row in rows:
        if columns is None and (number == 1 and (row[0] in _IDS or row[0] == id_)):
            columns = row
            continue
        where = 0 if columns is None or id_ is None else columns.index(id_)
        what = 1 if columns is None or answer is None else columns.index(answer)
        if len(row) <= max(where, what):
            fix = "a line is an id, a tab (in a .csv a comma), and the answer"
            problems.append(Problem(f"{path}, line {number}", f"has {len(row)} columns", fix))
            continue
        by_id[row[where]] = Kept(answer=row[what], model="", prompt="", time="")
    return Answers({}, by_id)


def _rows(lines: list[str], *, comma: bool) -> Iterator[tuple[int, list[str]]]:
    if comma:
        reader = csv.reader(line + "\n" for line in lines if line)
        yield from ((reader.line_num, row) for row in reader if row)
        return
    for number, line in enumerate(lines, 1):
        if line.strip():
            yield number, line.rstrip("\r").split("\t")
