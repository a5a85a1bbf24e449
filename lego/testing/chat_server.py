"""A server of chat completions on the loopback that misbehaves as it is told, for tests of clients, retries and resumed jobs.

It speaks the protocol of https://platform.openai.com/docs/api-reference/chat as far as a generator needs it.
"""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self


class ChatServer:
    """A server at `url`, between `with ChatServer() as server:` and the end of the block.

    `moods` are used up one a request, then `always` holds. A mood is None to answer as it should, a status, a text to answer
    with, or a way to misbehave: `"slow"`, `"cut"` (the connection), `"no json"`, `"empty"`. A request with an `Idempotency-Key`
    that was answered gets the same answer, and is not billed again.
    """

    def __init__(self) -> None:
        self.moods: list[int | str | None] = []
        self.always: int | str | None = None
        self.delay = 0.0
        """Seconds before each answer."""
        self.retry_after = "0.01"
        """What it says with 429."""
        self.message = "status {status} for {authorization}"
        """What it says with a status: as a server that tells the key to everybody."""
        self.asked: Counter[str] = Counter()
        """How often each idempotency key came."""
        self.billed: Counter[str] = Counter()
        """How often each was answered anew."""
        self.heads: list[dict[str, str]] = []
        self.bodies: list[dict[str, Any]] = []
        self.most_under_way = 0
        """Requests at once."""
        self._under_way = 0
        self._answers: dict[str, str] = {}
        self._lock = threading.Lock()
        self._http = _Quiet(("127.0.0.1", 0), _handler(self))
        self.url = f"http://127.0.0.1:{self._http.server_port}/v1"
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)

    def __enter__(self) -> Self:
        """Begins to listen."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Closes the port."""
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def answer(self, body: dict[str, Any]) -> str:
        """What a well-behaved model says to a request: the fields of the schema it asks for, of the first words of its prompt."""
        words = "Better " + " ".join(body["messages"][-1]["content"].split()[:3])
        form = body.get("response_format", {}).get("json_schema", {}).get("schema", {})
        fields = form.get("properties", {"title": {"type": "string"}})
        lists = {"array": [words]}
        return json.dumps({name: lists.get(field["type"], words) for name, field in fields.items()})

    def serve(self, handler: BaseHTTPRequestHandler) -> None:
        """Takes one request."""
        body = json.loads(handler.rfile.read(int(handler.headers["content-length"])))
        key = handler.headers.get("Idempotency-Key", "")
        with self._lock:
            mood = self.moods.pop(0) if self.moods else self.always
            self.heads.append({name.lower(): value for name, value in handler.headers.items()})
            self.bodies.append(body)
            self.asked[key] += 1
            self._under_way += 1
            self.most_under_way = max(self.most_under_way, self._under_way)
        time.sleep(self.delay)
        try:
            self._behave(handler, body, mood, key)
        finally:
            with self._lock:
                self._under_way -= 1

    def _behave(
        self, handler: BaseHTTPRequestHandler, body: dict[str, Any], mood: int | str | None, key: str
    ) -> None:
        if isinstance(mood, int):
            head = {"retry-after": self.retry_after} if mood == 429 else {}
            secret = handler.headers.get("Authorization", "")
            told = {"error": {"message": self.message.format(status=mood, authorization=secret), "type": "t"}}
            _send(handler, json.dumps(told).encode(), mood, head)
        elif mood == "slow":
            time.sleep(1.5)
            handler.close_connection = True
        elif mood == "cut":
            _head(handler, 200, 1000)
            handler.wfile.write(b'{"id": "x", "choi')
            handler.close_connection = True
        elif mood == "no json":
            _send(handler, b"{this is no JSON")
        elif mood == "empty":
            _send(handler, json.dumps({"id": "x", "object": "chat.completion", "choices": []}).encode())
        else:
            with self._lock:
                if key not in self._answers:
                    self._answers[key] = self.answer(body) if mood is None else mood
                    self.billed[key] += 1
            _send(handler, json.dumps(_completion(body, self._answers[key])).encode())


class _Quiet(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: Any) -> None:
        """Clients that go away are part of the game."""


def _handler(server: ChatServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: Any) -> None:
            """Nothing is logged."""

        def do_POST(self) -> None:
            server.serve(self)

    return Handler


def _completion(body: dict[str, Any], text: str) -> dict[str, Any]:
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": body["model"] + "-as-served",
        "choices": [choice],
        "usage": {"prompt_tokens": 50, "completion_tokens": 10, "total_tokens": 60},
    }


def _head(
    handler: BaseHTTPRequestHandler, status: int, length: int, more: dict[str, str] | None = None
) -> None:
    handler.send_response(status)
    for name, value in {"content-type": "application/json", **(more or {})}.items():
        handler.send_header(name, value)
    handler.send_header("content-length", str(length))
    handler.end_headers()


def _send(
    handler: BaseHTTPRequestHandler, content: bytes, status: int = 200, more: dict[str, str] | None = None
) -> None:
    _head(handler, status, len(content), more)
    handler.wfile.write(content)
