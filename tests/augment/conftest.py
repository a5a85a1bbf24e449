from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from lego import Augment, MovieLens, OpenAICompatible, Rewrite
from lego.testing.chat_server import ChatServer

KEY = "sk-very-secret-0123456789"


@pytest.fixture
def server() -> Iterator[ChatServer]:
    """On this machine; it behaves until it is told otherwise."""
    pytest.importorskip("openai")
    with ChatServer() as made:
        yield made


@pytest.fixture
def model(server: ChatServer, monkeypatch: pytest.MonkeyPatch) -> OpenAICompatible:
    """The generator that asks the server; its key is in the environment."""
    monkeypatch.setenv("TEST_KEY", KEY)
    return OpenAICompatible(
        "small", url=server.url, key="TEST_KEY", timeout=1.0, prompt_price=1.0, answer_price=2.0
    )


@pytest.fixture
def own_home(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """No answer of another test is here."""
    monkeypatch.setenv("LEGO_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def titles(make_movies: Any, tmp_path: Any, own_home: Any, model: OpenAICompatible) -> Augment:
    """Twelve movies whose titles the server writes anew."""
    folder = make_movies(tmp_path / "movies", users=4, movies=12, topics=2, clicks=(4, 6))
    return Augment(MovieLens(str(folder), minimum=3), title=Rewrite("{title}", words=6), generator=model)
