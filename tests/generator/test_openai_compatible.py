from __future__ import annotations

import pytest

from lego import OpenAICompatible
from lego.errors import GeneratorError, SpecError
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
    """Before anything is asked; a server on this machine may do without."""
    pytest.importorskip("openai")
    monkeypatch.delenv("NO_KEY", raising=False)
    with pytest.raises(GeneratorError, match="NO_KEY"):
        OpenAICompatible("m", key="NO_KEY").open()
    OpenAICompatible("m", url="http://127.0.0.1:9/v1", key="NO_KEY").open().close()


def test_neither_the_key_nor_its_name_is_part_of_what_is_recorded(monkeypatch):
    """The text of the generator, and what its answers are kept under."""
    monkeypatch.setenv("MY_KEY", SECRET)
    made = OpenAICompatible("m", key="MY_KEY")
    assert SECRET not in f"{made!r} {made.identity}"
    assert "MY_KEY" not in str(made.identity)
    assert made.prices is None
    assert OpenAICompatible("m", prompt_price=1, answer_price=2).prices == (1.0, 2.0)


class TestOpenAICompatible(GeneratorTests):
    """A server on this machine, which first stumbles."""

    @pytest.fixture
    def spec(self):
        pytest.importorskip("openai")
        with ChatServer() as server:
            server.moods = [500]
            yield OpenAICompatible("small", url=server.url, prompt_price=1, answer_price=2)
