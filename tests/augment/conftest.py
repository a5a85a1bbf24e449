from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from lego import Augment, MovieLens, OpenAICompatible, Rewrite

KEY = "sk-very-secret-0123456789"


class Server:
    """Speaks the protocol of chat completions on the loopback, and misbehaves as it is told.

    `moods` are used up one a request: a name of a way to misbehave, or None to answer as it should; behind them it behaves. A
    request with an idempotency key that it has answered gets the same answer, and is not billed again.
    """

    def __init__(self) -> None:
        self.moods: list[Any] = []
        self.always: str | None = None
        self.asked: Counter[str] = Counter()
        self.billed: Counter[str] = Counter()
        self.answers: dict[str, str] = {}
        self.heads: list[dict[str, str]] = []
        self.bodies: list[dict[str, Any]] = []
        self.answer: Callable[[dict[str, Any]], str] = lambda body: json.dumps(
            {"title": "Better " + " ".join(body["messages"][-1]["content"].split()[:3])}
        )
        self.under_way = self.most_under_way = 0
        self.delay = 0.0
        self.lock = threading.Lock()
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: Any) -> None:
                pass

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                server.serve(self, body)

        class Quiet(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: Any) -> None:
                pass

        self.http = Quiet(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/v1"
        self.thread = threading.Thread(target=self.http.serve_forever, args=(0.02,), daemon=True)
        self.thread.start()

    def serve(self, handler: BaseHTTPRequestHandler, body: dict[str, Any]) -> None:
        import time

        with self.lock:
            mood = self.moods.pop(0) if self.moods else self.always
            self.heads.append(dict(handler.headers))
            self.bodies.append(body)
            key = handler.headers.get("Idempotency-Key", "")
            self.asked[key] += 1
            self.under_way += 1
            self.most_under_way = max(self.most_under_way, self.under_way)
        time.sleep(self.delay)
        try:
            self.behave(handler, body, mood, key)
        finally:
            with self.lock:
                self.under_way -= 1

    def behave(self, handler: BaseHTTPRequestHandler, body: dict[str, Any], mood: Any, key: str) -> None:
        import time

        if isinstance(mood, int):
            head = {"retry-after": "0.01"} if mood == 429 else {}
            secret = handler.headers.get("Authorization", "")  # a server that tells the key to everybody
            self.send(handler, mood, {"error": {"message": f"status {mood} for {secret}", "type": "t"}}, head)
        elif mood == "slow":
            time.sleep(1.5)
            handler.close_connection = True
        elif mood == "cut":
            handler.send_response(200)
            handler.send_header("content-type", "application/json")
            handler.send_header("content-length", "1000")
            handler.end_headers()
            handler.wfile.write(b'{"id": "x", "choi')
            handler.close_connection = True
        elif mood == "no json":
            self.raw(handler, b"{this is no JSON")
        elif mood == "empty":
            self.send(handler, 200, {"id": "x", "object": "chat.completion", "choices": []})
        else:
            with self.lock:
                if key not in self.answers:
                    self.answers[key] = mood if isinstance(mood, str) else self.answer(body)
                    self.billed[key] += 1
            self.send(handler, 200, self.completion(body, self.answers[key]))

    @staticmethod
    def completion(body: dict[str, Any], text: str) -> dict[str, Any]:
        return {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1,
            "model": body["model"] + "-as-served",
            "choices": [
                {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}
            ],
            "usage": {"prompt_tokens": 50, "completion_tokens": 10, "total_tokens": 60},
        }

    def send(self, handler: Any, status: int, body: Any, head: dict[str, str] | None = None) -> None:
        self.raw(handler, json.dumps(body).encode(), status, head)

    @staticmethod
    def raw(handler: Any, content: bytes, status: int = 200, head: dict[str, str] | None = None) -> None:
        handler.send_response(status)
        for name, value in {"content-type": "application/json", **(head or {})}.items():
            handler.send_header(name, value)
        handler.send_header("content-length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content)

    def close(self) -> None:
        self.http.shutdown()
        self.http.server_close()
        self.thread.join()


@pytest.fixture
def server() -> Iterator[Server]:
    pytest.importorskip("openai")
    made = Server()
    yield made
    made.close()


@pytest.fixture
def model(server: Server, monkeypatch: pytest.MonkeyPatch) -> OpenAICompatible:
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
