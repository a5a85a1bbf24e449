"""A server that speaks the protocol of OpenAI's chat completions, as most do (vLLM, Ollama, llama.cpp, those that are rented).

The protocol: https://platform.openai.com/docs/api-reference/chat. The client is the `openai` package: pip install legorec[openai]
"""

from __future__ import annotations

import importlib.util
import math
import os
import re
import socket
import time
from collections.abc import Iterable, Mapping, Sequence
from email.utils import parsedate_to_datetime
from typing import Any, ClassVar, Literal, Self
from urllib.parse import urlsplit

import attrs

from lego.errors import GeneratorError, Problem, SpecError
from lego.generator.base import Passing, Question, Refused, Reply, cost_of
from lego.spec import Generator, ge, gt, operator

_KEY = "OPENAI_API_KEY"
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")


def _is_variable(instance: object, attribute: Any, value: str) -> None:
    """A key itself must not get as far as a record, so the value is not shown."""
    if not _NAME.fullmatch(value) or value.startswith(("sk_", "sk-")):
        message = (
            f"{type(instance).__name__}({attribute.name}=…): name the environment variable that holds the key, as in "
            'key="OPENAI_API_KEY". A key itself does not belong in a script.'
        )
        raise SpecError(message)


def _holds_no_key(instance: object, attribute: Any, value: str) -> None:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise SpecError.wrong_value(
            type(instance).__name__, attribute.name, re.sub(r"//[^@/]*@", "//…@", value), "an http address"
        )
    if parts.username or parts.password or parts.query:
        message = (
            f"{type(instance).__name__}({attribute.name}=…): the address holds a user, a password or a query, which would be "
            "recorded. Give the plain address, and the key in the environment variable that key= names."
        )
        raise SpecError(message)


@operator
class OpenAICompatible(Generator):
    """A model behind an address. The key comes from the environment variable that `key` names, and goes nowhere else.

    `structured` is how JSON is asked for: by its schema, as any JSON, or in the prompt alone, for servers that know no better.
    Prices are those of a million tokens; without them a cost is neither estimated nor limited.
    """

    parallel: ClassVar[bool] = True
    tokens_per_second: ClassVar[float | None] = 50.0

    model: str = attrs.field(kw_only=False)
    url: str = attrs.field(default="https://api.openai.com/v1", validator=_holds_no_key)
    key: str = attrs.field(default=_KEY, validator=_is_variable)
    temperature: float = attrs.field(default=0.0, validator=ge(0))
    seed: int | None = None
    structured: Literal["schema", "json", "prompt"] = "schema"
    timeout: float = attrs.field(default=60.0, validator=gt(0))
    prompt_price: float | None = attrs.field(default=None, validator=ge(0))
    answer_price: float | None = attrs.field(default=None, validator=ge(0))

    @property
    def identity(self) -> Mapping[str, Any]:
        """Address, model and parameters; neither the key nor its name."""
        return {
            "model": self.model,
            "url": self.url,
            "temperature": self.temperature,
            "seed": self.seed,
            "structured": self.structured,
        }

    @property
    def prices(self) -> tuple[float, float] | None:
        """Those it was given."""
        if self.prompt_price is None or self.answer_price is None:
            return None
        return (self.prompt_price, self.answer_price)

    def lacks(self) -> Iterable[Problem]:
        """The package, or the key; a server on this machine is asked without one where no key was named."""
        if importlib.util.find_spec("openai") is None:
            yield Problem("openai", "the package is not installed", "pip install legorec[openai]")
        local = urlsplit(self.url).hostname in ("localhost", "127.0.0.1", "::1")
        if not self._secret and not (local and self.key == _KEY):
            fix = f"export {self.key}=… before the command"
            if local:
                fix += "; or leave key= away, if the server wants none"
            yield Problem(self.key, "the environment variable is not set", fix)

    @property
    def _secret(self) -> str:
        return os.environ.get(self.key, "").strip()

    def open(self) -> _Client:
        """A client; GeneratorError where the package or the key is missing."""
        if problems := list(self.lacks()):
            raise GeneratorError(problems)
        return _Client(self, self._secret)

    @classmethod
    def examples(cls) -> Iterable[Self]:
        """Small instances."""
        local = cls(
            model="smollm2",
            url="http://127.0.0.1:8000/v1",
            structured="json",
            prompt_price=0.1,
            answer_price=0.4,
        )
        return (cls(model="gpt-4o-mini"), local)


class _Client:
    parallel = OpenAICompatible.parallel
    together = 1

    def __init__(self, spec: OpenAICompatible, secret: str) -> None:
        import openai

        self.spec = spec
        self.errors: Any = openai
        self._secret = secret
        # Retrying is the job's, which counts, waits and reports.
        self.client = openai.OpenAI(
            api_key=secret or "none", base_url=spec.url, timeout=spec.timeout, max_retries=0
        )

    def count(self, text: str) -> int:
        """About: three and a half letters a token in English, one where letters are words."""
        wide = sum(ord(letter) > 0x2E80 for letter in text)
        return math.ceil((len(text) - wide) / 3.5) + wide

    def ask(self, questions: Sequence[Question]) -> list[Reply | Passing | Refused]:
        """One request for each."""
        return [self._ask(each) for each in questions]

    def _ask(self, question: Question) -> Reply | Passing | Refused:
        errors = self.errors
        try:
            told = self.client.chat.completions.create(**self._request(question))
            return self._reply(told)
        except errors.APITimeoutError:
            return Passing(f"no answer within {self.spec.timeout:g} s")
        except errors.APIConnectionError as problem:
            return self._unconnected(problem)
        except errors.APIStatusError as problem:
            status = problem
        except (errors.OpenAIError, ValueError, KeyError, TypeError, AttributeError, IndexError) as problem:
            return Passing(self._clean(f"the server's answer cannot be read: {problem}"))
        found = self._status(status)  # here, so that no traceback tells what the client's own error says
        if isinstance(found, GeneratorError):
            raise found
        return found

    def _request(self, question: Question) -> dict[str, Any]:
        request: dict[str, Any] = {
            "model": self.spec.model,
            "messages": [{"role": role, "content": text} for role, text in question.messages],
            "temperature": self.spec.temperature,
            "max_tokens": question.max_tokens,
            # A server that keeps to it bills a request that is sent again, since its answer was lost, once.
            "extra_headers": {"Idempotency-Key": question.key(self.spec.identity)},
        }
        if self.spec.seed is not None:
            request["seed"] = self.spec.seed
        if self.spec.structured == "json":
            request["response_format"] = {"type": "json_object"}
        elif self.spec.structured == "schema":
            schema = {"name": "answer", "strict": True, "schema": question.shape.schema}
            request["response_format"] = {"type": "json_schema", "json_schema": schema}
        return request

    def _reply(self, told: Any) -> Reply | Refused:
        choice = told.choices[0]
        text = choice.message.content
        if text is None:
            return Refused(
                self._clean(f"the model declined: {choice.message.refusal or choice.finish_reason}")
            )
        used = told.usage
        read = int(used.prompt_tokens) if used else 0
        written = int(used.completion_tokens) if used else self.count(text)
        return Reply(
            text=self._clean(str(text)),
            model=self._clean(str(told.model or self.spec.model)),
            prompt_tokens=read,
            answer_tokens=written,
            cost=cost_of(self.spec.prices, read, written),
        )

    def _unconnected(self, problem: Any) -> Passing:
        why = self._clean(f"the connection failed: {problem.__cause__ or problem}")
        fix = f"is the server running, and is url={self.spec.url!r} its address?"
        where = f"{self.spec.model} at {self.spec.url}"
        return Passing(why, absent=Problem(where, why, fix) if _nobody(problem) else None)

    def _status(self, problem: Any) -> Passing | Refused | GeneratorError:
        code = int(problem.status_code)
        what = f"the server answered {code}: {self._clean(_message(problem))[:300]}"
        if code in (401, 403, 404):
            fix = {
                401: f"check the key in the environment variable {self.spec.key}",
                403: f"check what the key in {self.spec.key} may do",
                404: "check url= and model=",
            }[code]
            return GeneratorError([Problem(f"{self.spec.model} at {self.spec.url}", what, fix)])
        if code in (408, 409, 425, 429) or code >= 500:
            return Passing(what, _seconds(problem.response.headers.get("retry-after")))
        return Refused(what)

    def _clean(self, text: str) -> str:
        """Whatever a server says, the key is not in it."""
        return text.replace(self._secret, "…") if self._secret else text

    def close(self) -> None:
        """Lets the connections go."""
        self.client.close()


def _message(problem: Any) -> str:
    body = problem.body
    told = body.get("message") if isinstance(body, Mapping) else None
    return " ".join(str(told or problem.message).split())


def _nobody(problem: BaseException) -> bool:
    """Whether nothing listens at the address, or there is no machine of that name."""
    cause: BaseException | None = problem
    while cause is not None:
        if isinstance(cause, ConnectionRefusedError):
            return True
        if isinstance(cause, socket.gaierror):
            return cause.errno != socket.EAI_AGAIN
        cause = cause.__cause__ or cause.__context__
    return False


def _seconds(header: str | None) -> float | None:
    """What `Retry-After` says, in seconds or as a date; an hour at most."""
    if header is None:
        return None
    try:
        seconds = float(header)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(header).timestamp() - time.time()
        except (ValueError, OverflowError):  # an offset or a year may be any number
            return None
    return None if math.isnan(seconds) else min(max(seconds, 0.0), _HOUR)


_HOUR = 3600.0
