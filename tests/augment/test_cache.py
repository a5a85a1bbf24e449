from __future__ import annotations

import errno
import os
import subprocess
import sys
import warnings
from pathlib import Path

import attrs
import pytest

from lego import LocalModel, OpenAICompatible, Replay
from lego.augment.cache import Cache, file_of
from lego.errors import RunError
from lego.generator.answer import Field, Shape
from lego.generator.base import Question, Reply

IDENTITY = {"model": "m", "temperature": 0.0}
SHAPE = Shape(fields=(Field(name="title"),))
QUESTION = Question(step="title", about="item:1", messages=(("user", "What?"),), shape=SHAPE, max_tokens=9)
REPLY = Reply(text='{"title": "Ah"}', model="m", prompt_tokens=3, answer_tokens=4)


def test_an_answer_is_found_by_prompt_model_and_parameters_alone(tmp_path):
    """Whom it is about does not matter; another prompt, model, temperature, length or attempt is another question."""
    cache = Cache(tmp_path / "answers.jsonl")
    with cache.writing() as keep:
        keep(QUESTION, IDENTITY, REPLY, 0.5)
    again = Cache(cache.path)
    assert again.find(attrs.evolve(QUESTION, about="item:2", step="other"), IDENTITY).answer == REPLY.text
    assert again.speed() == pytest.approx(8)
    for other, identity in (
        (attrs.evolve(QUESTION, messages=(("user", "What, then?"),)), IDENTITY),
        (attrs.evolve(QUESTION, max_tokens=10), IDENTITY),
        (QUESTION.again("no", "Again"), IDENTITY),
        (QUESTION, {**IDENTITY, "model": "n"}),
        (QUESTION, {**IDENTITY, "temperature": 0.5}),
    ):
        assert again.find(other, identity) is None


@pytest.mark.parametrize("cut", [1, 10, 60])
def test_a_line_that_a_crash_cut_short_costs_that_line_alone(tmp_path, cut):
    """Lines before it are there, and lines written behind it are, too."""
    path = tmp_path / "answers.jsonl"
    other = attrs.evolve(QUESTION, max_tokens=10)
    third = attrs.evolve(QUESTION, max_tokens=11)
    with Cache(path).writing() as keep:
        keep(QUESTION, IDENTITY, REPLY, 1.0)
        keep(other, IDENTITY, REPLY, 1.0)
    path.write_bytes(path.read_bytes()[:-cut])
    cut_short = Cache(path)
    assert cut_short.find(QUESTION, IDENTITY) is not None
    with cut_short.writing() as keep:
        keep(third, IDENTITY, REPLY, 1.0)
    whole = Cache(path)
    assert whole.find(QUESTION, IDENTITY) is not None
    assert whole.find(third, IDENTITY) is not None
    assert (whole.find(other, IDENTITY) is None) == (
        cut > 1
    )  # without its end of line the line is still whole


_DIES = """
import os, signal, sys
from io import FileIO
from pathlib import Path
import attrs
from lego.augment import cache
from tests.augment.test_cache import IDENTITY, QUESTION, REPLY

class Torn(FileIO):
    def write(self, line):
        if len(written) == 2:
            super().write(bytes(line)[: len(line) // 2])
            os.kill(os.getpid(), signal.SIGKILL)
        written.append(line)
        return super().write(line)

written = []
cache.Path.open = lambda path, *_, **__: Torn(path, "a+")
with cache.Cache(Path(sys.argv[1])).writing() as keep:
    for length in (1, 2, 3):
        keep(attrs.evolve(QUESTION, max_tokens=length), IDENTITY, REPLY, 1.0)
"""


def test_what_a_killed_writer_left_never_stands_between_answers(tmp_path):
    """Killed in the middle of the third line; who goes on writes it anew, and `Replay` reads the file without a word."""
    path = tmp_path / "answers.jsonl"
    here = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": f"{here}"}
    died = subprocess.run([sys.executable, "-c", _DIES, str(path)], env=environment, cwd=here, check=False)
    assert died.returncode == -9
    assert not path.read_bytes().endswith(b"\n")
    questions = [attrs.evolve(QUESTION, max_tokens=length) for length in (1, 2, 3, 4)]
    torn = Cache(path)
    assert [torn.find(each, IDENTITY) is None for each in questions] == [False, False, True, True]
    with torn.writing() as keep:
        for each in questions[2:]:
            keep(attrs.evolve(each, messages=(("user", f"{each.max_tokens}?"),)), IDENTITY, REPLY, 1.0)
    assert len(Cache(path)) == len(path.read_text().splitlines()) == 4
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(Replay(str(path)).known()) == 3  # two of the four have one prompt


def test_a_disk_that_is_full_keeps_no_part_of_a_line(tmp_path, monkeypatch):
    """The error names the file; what it could not take is not there, and what stood before is."""
    cache = Cache(tmp_path / "answers.jsonl")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with cache.writing() as keep:
        keep(QUESTION, IDENTITY, REPLY, 1.0)
        before = cache.path.read_bytes()
        other = attrs.evolve(QUESTION, max_tokens=10)
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", full)
            with pytest.raises(RunError, match=r"answers\.jsonl"):
                keep(other, IDENTITY, REPLY, 1.0)
        assert cache.path.read_bytes() == before
        assert cache.find(other, IDENTITY) is None
        keep(other, IDENTITY, REPLY, 1.0)
    assert len(Cache(cache.path)) == 2


def test_models_and_parameters_have_files_of_their_own():
    """A file is named by what can change an answer; the key and how many are asked at once cannot."""
    first = OpenAICompatible("a", url="http://localhost:1/v1")
    assert file_of(first) == file_of(attrs.evolve(first, key="OTHER", timeout=5.0, prompt_price=1.0))
    assert file_of(first) != file_of(attrs.evolve(first, temperature=1.0))
    assert file_of(LocalModel()) == file_of(LocalModel(batch=3, seed=5))  # greedy: the seed is not used
    assert file_of(LocalModel(temperature=1.0)) != file_of(LocalModel(temperature=1.0, seed=5))
