from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pyarrow.parquet as pq
import pytest

from lego import Augment, Rewrite
from lego.data.store import Store
from lego.errors import RunError
from lego.generator.openai_compatible import _Client
from lego.testing.chat_server import ChatServer

KEY = "sk-very-secret-0123456789"
MOVIES = 12
USERS = 4

Script = Callable[..., Path]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ChatServer]:
    """On this machine; the key that it is asked with is in the environment."""
    pytest.importorskip("openai")
    monkeypatch.setenv("TEST_KEY", KEY)
    with ChatServer() as made:
        yield made


@pytest.fixture
def script(server, make_movies, tmp_path, monkeypatch) -> Script:
    """Writes an experiment whose titles and profiles the server makes: `script(timeout=1.0)`. Its home is empty."""
    monkeypatch.setenv("LEGO_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(tmp_path)
    make_movies(tmp_path / "movies", users=USERS, movies=MOVIES, topics=2, clicks=(4, 6))

    def write(
        changes: str = 'title=Rewrite("{title}", words=6)', *, model: str = "Random()", **options: object
    ) -> Path:
        told = {"url": server.url, "key": "TEST_KEY", "timeout": 1.0, "prompt_price": 1, "answer_price": 2}
        given = ", ".join(f"{name}={value!r}" for name, value in {**told, **options}.items())
        path = tmp_path / "script.py"
        path.write_text(
            "from lego import *\n"
            "experiment = Experiment(\n"
            f'    data=Augment(MovieLens("movies", minimum=3), {changes}, generator=OpenAICompatible("small", {given})),\n'
            f"    model={model},\n"
            ")\n"
        )
        return path

    return write


def test_what_it_takes_is_told_before_anything_is_asked(lego, server, script):
    """Calls, tokens, time and cost; `--dry-run` stops there, and nobody is asked without a word that it may be."""
    dry = lego("augment", script(), "--dry-run", "--requests-per-minute", 6)
    assert dry.code == 0
    assert dry.out == ""
    assert f"{MOVIES} of {MOVIES} questions to ask" in dry.err
    for told in ("tokens read", "written", "about 2 min", "cost about"):
        assert told in dry.err
    estimate = lego("augment", script(), "--dry-run", "--json").json["estimate"]
    assert estimate["calls"] == MOVIES
    assert estimate["seconds"] == pytest.approx(estimate["answer_tokens"] / 50 / 4)  # four requests at once
    read, written = estimate["prompt_tokens"], estimate["answer_tokens"]
    assert estimate["cost"] == pytest.approx((read * 1 + written * 2) / 1e6, rel=0.01)
    refused = lego("augment", script())
    assert refused.code == 2
    assert "--yes" in refused.err
    assert not server.asked


@pytest.mark.parametrize(("said", "code"), [("y", 0), ("n", 1)])
def test_at_a_terminal_it_asks(lego, server, script, monkeypatch, said, code):
    """The question comes behind the estimate; who declines has asked for nothing."""
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("typer.confirm", lambda text, **_: text == "Begin?" and said == "y")
    done = lego("augment", script())
    assert done.code == code
    assert bool(server.asked) == (code == 0)


def test_the_answers_are_made_and_nothing_is_left(lego, server, script, tmp_path):
    """The report tells what was answered and what it cost, on the screen, in JSON, and in a file; then nothing is to ask."""
    made = lego("augment", script(), "--yes", "--json")
    report = made.json["report"]
    assert (report["calls"], report["complete"]) == (MOVIES, True)
    assert report["steps"][0]["fitting"] == MOVIES
    assert report["cost"] == pytest.approx(MOVIES * (50 + 2 * 10) / 1e6)
    assert f"title: {MOVIES} of {MOVIES} answered (0 were before)" in made.err
    for told in (f"{MOVIES} replies", f"{50 * MOVIES} tokens read", f"{10 * MOVIES} written", "/s", "cost"):
        assert told in made.err
    (kept,) = (tmp_path / "home" / "answers").glob("report-*.json")
    assert json.loads(kept.read_text()) == report
    again = lego("augment", script())  # nothing to ask, so no question
    assert again.code == 0
    assert f"0 of {MOVIES} questions to ask" in again.err
    assert set(server.billed.values()) == {1}


def test_the_data_are_looked_through_once_before_the_job(lego, server, script, monkeypatch):
    """Estimate and job share what is read and checked; each change makes its questions for the plan, and when its turn comes."""
    made = []

    def counted(name, real):
        def told(*given):
            made.append(name)
            return real(*given)

        return told

    monkeypatch.setattr(Augment, "original", counted("data", Augment.original))
    monkeypatch.setattr(Rewrite, "check", counted("check", Rewrite.check))
    monkeypatch.setattr(Rewrite, "questions", counted("questions", Rewrite.questions))
    assert lego("augment", script(), "--yes").code == 0
    assert made == ["data", "check", "questions", "questions"]
    assert len(server.billed) == MOVIES


@pytest.mark.parametrize(
    ("option", "budget", "told"),
    [("--max-tokens", 400, "--max-tokens 400"), ("--max-cost", 0.0005, "0.0005")],
)
def test_a_budget_ends_the_job_and_the_same_command_goes_on(lego, server, script, option, budget, told):
    """What was answered within it is kept; the exit code and the words say that it is not complete."""
    stopped = lego("augment", script(), "--yes", option, budget, "--concurrency", 2)
    assert stopped.code == 1
    assert "the budget is spent" in stopped.err
    assert told in stopped.err
    assert "The same command goes on" in stopped.err
    first = len(server.billed)
    assert 0 < first < MOVIES
    rest = lego("augment", script(), "--yes", "--json").json
    assert rest["estimate"]["calls"] == rest["report"]["calls"] == MOVIES - first
    assert rest["report"]["steps"][0]["kept"] == first
    assert set(server.billed.values()) == {1}


def test_a_budget_of_nothing_asks_nothing(lego, server, script):
    """`--max-cost 0` stops before the first request; `--max-tokens 0` is no budget."""
    assert lego("augment", script(), "--yes", "--max-cost", 0).code == 1
    assert lego("augment", script(), "--yes", "--max-tokens", 0).code == 2
    assert not server.asked


def test_a_cost_that_is_not_known_cannot_be_limited(lego, server, script):
    """The error says what to give; the estimate says that the cost is not known."""
    path = script(prompt_price=None)
    assert "cost not known" in lego("augment", path, "--dry-run").err
    refused = lego("augment", path, "--yes", "--max-cost", 1)
    assert refused.code == 1
    assert "prompt_price" in refused.err
    assert not server.asked


def test_what_failed_in_part_is_reported_and_the_rest_is_kept(lego, server, script, tmp_path):
    """A server that goes down half way: exit code 1, how many failed and why, and the next job asks for these alone."""
    server.moods = [None] * 5
    server.always = 500
    options = ("--yes", "--json", "--concurrency", 1, "--retries", 1, "--backoff", 0.001)
    failed = lego("augment", script(), *options)
    assert failed.code == 1
    assert f"failed {MOVIES - 5} times: the server answered 500" in failed.err
    assert f"title: 5 of {MOVIES} answered (0 were before), 0 did not fit, {MOVIES - 5} open" in failed.err
    (kept,) = (tmp_path / "home" / "answers").glob("report-*.json")
    assert not json.loads(kept.read_text())["complete"]
    server.always = None
    assert lego("augment", script(), *options).json["report"]["calls"] == MOVIES - 5
    assert set(server.billed.values()) == {1}


def test_a_disk_that_is_full_ends_the_job_and_loses_nothing_that_is_kept(
    lego, server, script, tmp_path, monkeypatch
):
    """The error names the file of answers, though the report cannot be kept either; the same command goes on."""
    path = script()
    real, took = os.fsync, []

    def full(file: int) -> None:
        took.append(file)
        if len(took) > 5:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(file)

    def no_report(*_: object) -> None:
        raise RunError("no room for a report")

    with monkeypatch.context() as patch:
        disk = SimpleNamespace(fsync=full, SEEK_END=os.SEEK_END)
        patch.setattr("lego.augment.cache.os", disk)
        patch.setattr("lego.cli.augment._kept", no_report)
        ended = lego("augment", path, "--yes", "--concurrency", 1)
    assert ended.code == 1
    assert f"title: 5 of {MOVIES} answered" in ended.err
    assert "report: could not be kept" in ended.err
    assert ".jsonl cannot be written: No space left on device" in ended.err
    again = lego("augment", path, "--yes", "--json").json["report"]
    assert (again["calls"], again["steps"][0]["kept"]) == (MOVIES - 5, 5)


def test_a_server_that_is_not_there(lego, script):
    """Why and when it is tried again is told at once; it is given up soon, with what to look at, and no traceback."""
    path = script(url="http://127.0.0.1:9/v1")
    down = lego("augment", path, "--yes", "--backoff", 0.001)
    assert down.code == 1
    for told in ("(1 of 6)", "(2 of 6)", "small at http://127.0.0.1:9/v1", "fix: is the server running"):
        assert down.err.count(told) == 1, down.err
    (first,) = (line for line in down.err.splitlines() if "1 of 6" in line)
    assert first.startswith("title: the connection failed: ")
    assert "refused; tries again in 0.0 s" in first
    assert "3 of 6" not in down.err
    assert "Traceback" not in down.err


def test_a_server_that_went_away_is_waited_for(lego, script, monkeypatch):
    """Who answered before may come back: nothing is given up before the last try."""
    from openai import OpenAI

    real, asked = _Client._ask, []

    def ask(client, question):
        asked.append(question)
        if len(asked) == 6:
            monkeypatch.setattr(
                client, "client", OpenAI(api_key="none", base_url="http://127.0.0.1:9/v1", max_retries=0)
            )
        return real(client, question)

    monkeypatch.setattr(_Client, "_ask", ask)
    options = ("--yes", "--concurrency", 1, "--retries", 4, "--backoff", 0.001)
    gone = lego("augment", script(), *options)
    assert gone.code == 1
    assert "(4 of 4)" in gone.err
    assert f"failed {MOVIES - 5} times: the connection failed" in gone.err


def test_a_key_that_is_not_there_is_named(lego, server, script, monkeypatch):
    """Before estimate and question, with all else that is wrong; a dry run says it behind the estimate. Nothing is asked.

    Only a server on this machine may do without one, where none was named.
    """
    monkeypatch.delenv("TEST_KEY")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    path = script(url="https://models.invalid/v1", prompt_price=None)
    missing = lego("augment", path, "--max-cost", 1)
    assert missing.code == 1
    assert "2 problems" in missing.err
    for told in ("export TEST_KEY=", "prompt_price="):
        assert told in missing.err
    assert "questions to ask" not in missing.err
    dry = lego("augment", path, "--dry-run", "--json")
    assert dry.code == 1
    assert lego("augment", path, "--dry-run").code == 1
    assert dry.err.index("questions to ask") < dry.err.index("before it can begin") < dry.err.index("export")
    assert [each["where"] for each in json.loads(dry.out)["estimate"]["problems"]] == ["TEST_KEY"]
    named = lego("augment", script(), "--yes")
    assert named.code == 1
    assert "leave key= away" in named.err
    assert not server.asked
    assert lego("augment", script(key="OPENAI_API_KEY"), "--yes").code == 0


def test_a_template_that_names_what_is_not_there(lego, server, script):
    """Told before the estimate, with what there is."""
    wrong = lego("augment", script('title=Rewrite("{titel}")'), "--yes")
    assert wrong.code == 1
    assert "{titel} is no attribute" in wrong.err
    assert "Did you mean 'title'?" in wrong.err
    assert not server.asked


def test_answers_and_tables_go_on_as_data(lego, server, script, tmp_path):
    """`--answers` is what `Replay` reads; each of `--tables` joins prepared data under its name, and the original stays."""
    path = script('title=Rewrite("{title}", words=6), profile=Profile("{title}", to="llm_topics")')
    made = lego("augment", path, "--yes", "--answers", "made.jsonl", "--tables", "tables", "--json").json
    assert made["answers"] == MOVIES + USERS
    assert sorted(Path(each).name for each in made["tables"]) == ["llm_title.parquet", "llm_topics.parquet"]
    titles = pq.read_table(tmp_path / "tables" / "llm_title.parquet")
    assert titles.num_rows == MOVIES
    assert all(each.startswith("Better ") for each in titles["llm_title"].to_pylist())
    for column in ("model", "prompt", "time"):
        assert all(titles[f"llm_title_{column}"].to_pylist())
    assert set(titles["llm_title_model"].to_pylist()) == {"small-as-served"}

    assert lego("data", "prepare", "MovieLens", "movies", "--set", "minimum=3", "--out", "plain").code == 0
    steps = (("plain", "llm_title", "items", "more"), ("more", "llm_topics", "users", "all"))
    for folder, name, of, out in steps:
        joined = lego("data", "join", folder, f"tables/{name}.parquet", "--of", of, "--out", out)
        assert joined.code == 0, joined.err
    plain, whole = Store.open(tmp_path / "plain"), Store.open(tmp_path / "all")
    assert whole.items["title"] == plain.items["title"]
    assert whole.items["llm_title"].to_pylist() == titles["llm_title"].to_pylist()
    assert {"llm_title_model", "llm_title_prompt", "llm_title_time"} <= set(whole.items.column_names)
    assert "llm_topics" in whole.user_attributes

    replayed = ("--set", 'data.generator=Replay("made.jsonl")', "--dry-run", "--json")
    assert lego("augment", path, *replayed).json["estimate"]["calls"] == 0


def test_from_another_folder(lego, server, script, tmp_path, monkeypatch):
    """Paths in the script are relative to it, those of the command to where it is given."""
    path = script()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    assert lego("augment", path, "--yes", "--answers", "out/made.jsonl").code == 0
    assert len((elsewhere / "out" / "made.jsonl").read_text().splitlines()) == MOVIES


def test_a_killed_command_goes_on_and_pays_for_nothing_twice(server, script):
    """Killed while it asks, then run again: each question is billed once, and what came before is not asked again."""
    server.delay = 0.05
    command = [sys.executable, "-c", "from lego.cli import main; main()", "augment", str(script()), "--yes"]
    command += ["--concurrency", "2", "--json"]
    job = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    while sum(server.billed.values()) < 4 and job.poll() is None:
        time.sleep(0.01)
    assert job.poll() is None, job.stderr.read()
    job.kill()
    job.communicate()
    before = len(server.billed)
    assert before < MOVIES
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=200)
    told = json.loads(done.stdout)
    assert told["report"]["complete"]
    assert told["report"]["calls"] <= MOVIES - before + 2  # those that were under way
    assert len(server.billed) == MOVIES
    assert set(server.billed.values()) == {1}


def test_the_key_is_nowhere(lego, server, script, tmp_path):
    """A server that repeats the key in its errors and answers: no file of the home, of a run or of a table has it, no screen."""
    server.moods = [500, 429, 400, f'{{"title": "{KEY} {KEY}"}}', f"{{{KEY}", "cut"]
    path = script(
        model="Recommender(content=Mean(), behavior=Mean(), predictor=Dot(), reads={'llm_title': 8})"
    )
    options = (
        "--yes",
        "--concurrency",
        1,
        "--backoff",
        0.001,
        "--answers",
        "made.jsonl",
        "--tables",
        "tables",
    )
    said = [lego("augment", path, *options, "--json"), lego("augment", path, *options)]
    change = ("--set", 'data.missing="empty"', "--set", "model.width=4", "--set", "training.epochs=1")
    said += [lego("run", path, *change, "--track", "JSONLines()"), lego("check", path, *change)]
    assert [each.code for each in said] == [1, 0, 0, 0], said[-1].err
    server.always = 401
    script('title=Rewrite("Name: {title}", words=6)')
    said.append(lego("augment", path, "--yes"))
    assert "check the key in the environment variable TEST_KEY" in said[-1].err
    assert any(head["authorization"] == f"Bearer {KEY}" for head in server.heads)
    assert not any(KEY in each.out + each.err for each in said)
    files = [each for each in tmp_path.rglob("*") if each.is_file()]
    assert any(each.name == "experiment.json" for each in files)  # a run folder is among them
    assert any(each.suffix == ".parquet" and each.parent.name == "tables" for each in files)
    assert [each for each in files if KEY.encode() in each.read_bytes()] == []
