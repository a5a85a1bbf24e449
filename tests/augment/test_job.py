from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import attrs
import pytest

from lego import Augment
from lego.augment.cache import Cache, file_of
from lego.augment.job import export, generate
from lego.augment.limits import Limits
from lego.errors import GeneratorError
from lego.generator.base import Question, Reply
from lego.spec import Generator, operator

KEY = "sk-very-secret-0123456789"
FAST = Limits(concurrency=3, backoff=0.001, retries=4)


def kept(source: Augment) -> Cache:
    return Cache(file_of(source.generator))


def test_every_question_is_asked_once_and_kept(server, titles):
    """Twelve questions make twelve calls, paid for by the prices; a second job makes none."""
    report = generate(titles, FAST)
    assert (report.calls, report.complete, report.steps[0].fitting) == (12, True, 12)
    assert (report.prompt_tokens, report.answer_tokens) == (600, 120)
    assert report.cost == pytest.approx((600 * 1 + 120 * 2) / 1e6)
    assert len(kept(titles)) == 12
    assert generate(titles, FAST).calls == 0
    assert max(server.billed.values()) == 1
    assert sum(server.asked.values()) == 12


def test_what_goes_by_is_waited_for(server, titles):
    """Too many requests, faults of the server, slow ones, cut connections, broken JSON: each is sent again, and paid once."""
    server.moods = [429, 500, "cut", "no json", "slow", 503, "empty", 408]
    report = generate(titles, FAST)
    assert report.complete
    assert report.retried == 8
    assert report.steps[0].fitting == 12
    assert not report.failures
    assert max(server.billed.values()) == 1


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ('{"title": "half of', "no JSON object"),
        ('{"headline": "A", "more": 1}', "missing"),
        ('{"title": "这是另一种语言的标题"}', "another language"),
        ('{"title": "one two three four five six seven eight"}', "at most 6"),
        ('{"title": ""}', "empty"),
    ],
)
def test_an_answer_that_does_not_fit_is_asked_again_and_told_why(server, titles, answer, told):
    """The model sees its answer and what is wrong with it, and may answer once more."""
    server.moods = [answer]
    report = generate(titles, attrs.evolve(FAST, concurrency=1))
    assert (report.calls, report.steps[0].fitting) == (13, 12)
    again = next(body for body in server.bodies if len(body["messages"]) > 2)
    assert again["messages"][-2] == {"role": "assistant", "content": answer}
    assert told in again["messages"][-1]["content"]


def test_answers_that_never_fit_are_given_up_and_counted(server, titles):
    """A model that cannot answer is asked three times a question, in this job and in no other."""
    server.always = "{nothing"
    report = generate(titles, FAST)
    assert (report.calls, report.steps[0].unfit, report.complete) == (36, 12, True)
    assert generate(titles, FAST).calls == 0


def test_a_server_that_stays_down_leaves_a_report_and_what_was_paid_for(server, titles):
    """Questions without a reply are counted with their reason; the next job asks these alone."""
    server.moods = [None] * 5
    server.always = 500
    limits = attrs.evolve(FAST, concurrency=1, retries=1)
    report = generate(titles, limits)
    assert (report.calls, report.complete) == (5, False)
    assert (report.steps[0].fitting, report.steps[0].open) == (5, 7)
    ((why, count),) = report.failures.items()
    assert "500" in why
    assert count == 7
    server.always = None
    assert generate(titles, limits).calls == 7
    assert max(server.billed.values()) == 1


def test_a_question_that_is_refused_is_not_sent_again(server, titles):
    """A bad request is that of one question: the others are answered."""
    server.moods = [400]
    report = generate(titles, attrs.evolve(FAST, concurrency=1))
    assert (report.calls, report.retried, report.steps[0].open) == (11, 0, 1)


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_wrong_key_ends_the_job_at_once(server, titles, status):
    """Nobody would be answered, so nobody else is asked; the error says what to check and does not hold the key."""
    server.always = status
    with pytest.raises(GeneratorError, match=str(status)) as caught:
        generate(titles, attrs.evolve(FAST, concurrency=1))
    assert sum(server.asked.values()) == 1
    assert "fix: check" in str(caught.value)
    assert KEY not in str(caught.value)


@operator
class Stumbles(Generator):
    """Answers two questions, then fails in a way that no generator should."""

    threads: bool = True

    @property
    def identity(self) -> Mapping[str, Any]:
        """Its name."""
        return {"model": "stumbles", "threads": self.threads}

    def open(self) -> _Stumbles:
        """One that is called with a question at a time."""
        return _Stumbles(self.threads)

    @classmethod
    def examples(cls) -> Iterable[Self]:
        """One."""
        return (cls(),)


class _Stumbles:
    together = 1

    def __init__(self, parallel: bool) -> None:
        self.parallel = parallel
        self.asked = 0

    def count(self, text: str) -> int:
        return len(text.split())

    def ask(self, questions: Sequence[Question]) -> list[Reply]:
        self.asked += 1
        if self.asked > 2:
            raise OverflowError("Python int too large")
        return [Reply(text='{"title": "A"}', model="s", prompt_tokens=9, answer_tokens=3)]

    def close(self) -> None:
        pass


@pytest.mark.parametrize("threads", [True, False])
def test_a_fault_that_nobody_foresaw_ends_the_job_in_order(titles, threads):
    """Whoever waits for the job is told what it was, where, and what is kept; the next job asks for the rest alone."""
    source = attrs.evolve(titles, generator=Stumbles(threads=threads))
    with pytest.raises(GeneratorError, match="OverflowError: Python int too large") as caught:
        generate(source, Limits(concurrency=1))
    assert "test_job.py, line" in str(caught.value)
    assert isinstance(caught.value.__cause__, OverflowError)
    report = caught.value.report
    assert (report.calls, report.steps[0].fitting, report.complete) == (2, 2, False)
    assert "OverflowError" in report.stopped
    assert len(kept(source)) == 2


@pytest.mark.parametrize(
    "limits", [Limits(max_tokens=500, concurrency=3), Limits(max_cost=0.0005, concurrency=3)]
)
def test_a_budget_is_not_gone_beyond(server, titles, limits):
    """The job stops before the request that could take it too far, though several are under way; then it can be gone on with."""
    report = generate(titles, limits)
    assert 0 < report.calls < 12
    assert "budget" in report.stopped
    assert not report.complete
    if limits.max_tokens is not None:
        assert report.prompt_tokens + report.answer_tokens <= limits.max_tokens
    else:
        assert report.cost is not None
        assert report.cost <= (limits.max_cost or 0)
    assert report.calls + generate(titles, FAST).calls == 12
    assert max(server.billed.values()) == 1


def test_as_many_requests_at_once_as_allowed_and_no_more(server, titles):
    """Requests overlap up to the limit."""
    server.delay = 0.1
    generate(titles, Limits(concurrency=3))
    assert server.most_under_way == 3


def test_progress_tells_speed_and_cost(titles):
    """Each answer is told, with tokens per second and what was spent."""
    told = []
    generate(titles, FAST, tell=lambda *each: told.append(each))
    assert [done for _, done, _, _ in told] == list(range(13))
    assert all("tokens/s" in note for _, _, _, note in told)
    assert "so far" in told[-1][3]


def test_the_key_is_nowhere(server, titles, own_home, tmp_path, caplog, monkeypatch):
    """A server that repeats the key in its errors and answers, and a client that logs all: no file, log or report has it."""
    caplog.set_level("DEBUG")
    server.moods = [500, 429, 400, f'{{"title": "{KEY} {KEY}"}}', f"{{{KEY}", "cut"]
    report = generate(titles, attrs.evolve(FAST, concurrency=1))
    assert any(head.get("authorization") == f"Bearer {KEY}" for head in server.heads)
    assert KEY not in json.dumps(report.record())
    lines = tmp_path / "answers.jsonl"
    lines.write_text("".join(json.dumps(line) for line in export(titles)))
    generated = attrs.evolve(titles, missing="empty").fingerprint()
    assert KEY not in f"{titles!r} {generated} {titles.generator.identity} {caplog.text}"
    found = [path for path in tmp_path.rglob("*") if path.is_file() and KEY.encode() in path.read_bytes()]
    assert own_home.is_dir()
    assert found == []


def _command(titles: Augment, folder: Path) -> list[str]:
    script = folder / "script.py"
    script.write_text(
        "from lego import *\n"
        "experiment = Experiment(\n"
        f"    data={titles.text()},\n"
        "    model=Recommender(content=Mean(), behavior=Mean(), predictor=Dot(), reads={'llm_title': 8}),\n"
        ")\n"
    )
    return [sys.executable, "-c", "from lego.cli import main; main()", "augment", str(script), "--yes"]


def test_a_killed_job_goes_on_and_never_pays_twice(server, titles, tmp_path):
    """Killed again and again at moments of chance: every question is billed once, and every answer that came is kept."""
    server.delay = 0.05
    command = [*_command(titles, tmp_path), "--concurrency", "2"]
    chance = random.Random(5)
    for _ in range(2):
        before = sum(server.billed.values())
        job = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wanted = before + chance.randint(2, 4)
        while sum(server.billed.values()) < wanted and job.poll() is None:
            time.sleep(0.01)
        os.kill(job.pid, signal.SIGKILL)
        job.wait()
        assert len(kept(titles)) >= sum(server.billed.values()) - 2  # those that were under way
    done = subprocess.run([*command, "--json"], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["report"]["complete"]
    assert len(kept(titles)) == 12
    assert set(server.billed.values()) == {1}
    assert len(server.billed) == 12
    assert sum(server.asked.values()) <= 12 + 2 * 2
    assert KEY not in done.stdout + done.stderr


def test_an_interrupt_ends_a_job_in_order(server, titles, tmp_path):
    """Ctrl-C waits for what is under way, keeps it, and tells how to go on."""
    server.delay = 0.1
    command = [*_command(titles, tmp_path), "--concurrency", "1"]
    job = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    while sum(server.billed.values()) < 2 and job.poll() is None:
        time.sleep(0.01)
    job.send_signal(signal.SIGINT)
    _, told = job.communicate(timeout=60)
    assert job.returncode == 130
    assert "interrupted" in told
    # What is under way is kept; a request that the signal cuts before its answer comes may be billed and lost.
    assert 0 <= sum(server.billed.values()) - len(kept(titles)) <= 1


def test_two_jobs_of_one_model_do_not_run_at_once(server, titles):
    """The second is told to wait, so that nothing is paid for twice."""
    server.delay = 0.2
    first = threading.Thread(target=generate, args=(titles, Limits(concurrency=1)))
    first.start()
    try:
        while not server.billed:
            time.sleep(0.01)
        with pytest.raises(GeneratorError, match="another process"):
            generate(titles, FAST)
    finally:
        first.join()
    assert set(server.billed.values()) == {1}
