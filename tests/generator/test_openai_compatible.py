from __future__ import annotations

import traceback
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from lego import OpenAICompatible
from lego.errors import GeneratorError, SpecError
from lego.generator.answer import Field, Shape
from lego.generator.base import Passing, Question
from lego.testing import GeneratorTests
from lego.testing.chat_server import ChatServer

SECRET = "sk-abcdefghijklmnop"


@pytest.mark.parametrize("option", ["key", "url"])
def test_a_key_in_a_script_is_refused_without_being_shown(option):
    """A key, or an address that holds one, is not taken, and the error does not repeat it."""
    value = {"key": SECRET, "url": f"https://me:{SECRET}@host/v1"}[option]
    with pytest.raises(SpecError, match="environment variable") as caught:
        OpenAICompatible("m", **{option: value})
    assert SECRET not in str(caught.value)


def test_without_a_key_the_variable_is_named(monkeypatch):
    """Before anything is asked, whatever the address; a server on this machine may do without where none was named."""
    pytest.importorskip("openai")
    monkeypatch.delenv("NO_KEY", raising=False)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    for address in ({}, {"url": "http://127.0.0.1:9/v1"}):
        with pytest.raises(GeneratorError, match="NO_KEY"):
            OpenAICompatible("m", key="NO_KEY", **address).open()
    OpenAICompatible("m", url="http://127.0.0.1:9/v1").open().close()
    with pytest.raises(GeneratorError, match="OPENAI_API_KEY"):
        OpenAICompatible("m").open()


def test_neither_the_key_nor_its_name_is_part_of_what_is_recorded(monkeypatch):
    """The text of the generator, and what its answers are kept under."""
    monkeypatch.setenv("MY_KEY", SECRET)
    made = OpenAICompatible("m", key="MY_KEY")
    assert SECRET not in f"{made!r} {made.identity}"
    assert "MY_KEY" not in str(made.identity)
    assert made.prices is None
    assert OpenAICompatible("m", prompt_price=1, answer_price=2).prices == (1.0, 2.0)


@pytest.fixture
def server(monkeypatch):
    """One that is asked with a key."""
    pytest.importorskip("openai")
    monkeypatch.setenv("MY_KEY", SECRET)
    with ChatServer() as made:
        yield made


def reply(server, status: int):
    """What is made of its answer to one question."""
    server.always = status
    shape = Shape(fields=(Field(name="title"),))
    question = Question(step="s", about="item:1", messages=(("user", "?"),), shape=shape, max_tokens=9)
    writer = OpenAICompatible("m", url=server.url, key="MY_KEY").open()
    try:
        return writer.ask([question])[0]
    finally:
        writer.close()


@pytest.mark.parametrize(
    ("head", "least", "most"),
    [
        ("17", 17, 17),
        ("in 40 seconds", 38, 40),
        ("90 seconds ago", 0, 0),
        ("soon", None, None),
        ("1e9", 3600, 3600),
        ("Mon, 01 Jan 2030 00:00:00 +999999999999999999", None, None),
        ("Mon, 99 Foo 20", None, None),
    ],
)
def test_a_server_says_how_long_to_wait(server, head, least, most):
    """In seconds, or by the date when it may be asked again; an hour at most, and nothing where it cannot be read."""
    seconds = {"in 40 seconds": 40, "90 seconds ago": -90}.get(head)
    if seconds is not None:
        head = format_datetime(datetime.now(UTC) + timedelta(seconds=seconds), usegmt=True)
    server.retry_after = head
    told = reply(server, 429)
    assert isinstance(told, Passing)
    if least is None:
        assert told.after is None
    else:
        assert told.after is not None
        assert least <= told.after <= most


def test_a_long_message_shows_no_part_of_the_key(server):
    """Wherever it is cut."""
    for before in range(260, 330, 5):
        server.message = "x" * before + "{authorization} and more"
        told = str(reply(server, 500))
        assert "x" * 200 in told
        assert SECRET[:4] not in told


def test_a_traceback_shows_no_key(server):
    """The error that ends a job has none of what the client's own error says of the answer."""
    with pytest.raises(GeneratorError, match="401") as caught:
        reply(server, 401)
    assert any(SECRET in head["authorization"] for head in server.heads)
    assert SECRET not in "".join(traceback.format_exception(caught.value))


class TestOpenAICompatible(GeneratorTests):
    """A server on this machine, which first stumbles."""

    @pytest.fixture
    def spec(self):
        pytest.importorskip("openai")
        with ChatServer() as server:
            server.moods = [500]
            yield OpenAICompatible("small", url=server.url, prompt_price=1, answer_price=2)
