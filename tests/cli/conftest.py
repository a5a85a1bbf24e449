from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import attrs
import pytest


@attrs.frozen
class Answer:
    """What one call of the command left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The document on standard output, which is nothing else."""
        assert self.code == 0, self.err
        return json.loads(self.out)


@pytest.fixture
def lego(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Answer]:
    """Calls the command in this process: `lego("catalog", "--json")`."""
    from lego.cli import main

    def call(*arguments: object) -> Answer:
        monkeypatch.setattr(sys, "argv", ["lego", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capsys.readouterr()
        return Answer(int(ended.value.code or 0), out, err)

    return call
