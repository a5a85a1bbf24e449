"""What holds for every command of `lego`."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Iterable
from contextlib import redirect_stderr, redirect_stdout
from typing import Any, ClassVar

import attrs
import pytest

from lego import catalog


@attrs.frozen
class Answer:
    """What a call left behind."""

    code: int
    out: str
    err: str


class CommandTests:
    """`name` is that of the entry point; the fixture `arguments` a call that works and takes `--json`."""

    name: ClassVar[str] = ""

    @pytest.fixture
    def arguments(self) -> Iterable[object]:
        """Words behind the name of a call that works; tests that need one are skipped where a subclass has none."""
        pytest.skip("no arguments are given")

    def call(self, *arguments: object) -> Answer:
        """`lego NAME …` in this process."""
        return call(self.name, *arguments)

    def test_listing_commands_does_not_import_it(self) -> None:
        """It stands in `lego --help`, and its module is not loaded for that."""
        entry = catalog.find(self.name, "command")
        module = entry.target.partition(":")[0].strip()
        program = (
            "import sys\nfrom lego.cli import main\nsys.argv = ['lego', '--help']\n"
            f"try:\n    main()\nexcept SystemExit:\n    print('loaded:', {module!r} in sys.modules)"
        )
        # Our own interpreter, on a program of ours.
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)  # noqa: S603
        assert f" {self.name} " in done.stdout
        if catalog.normal(entry.distribution) != catalog.BUILTIN:
            assert "loaded: False" in done.stdout

    def test_it_explains_itself(self) -> None:
        """`--help` says what it does."""
        answer = self.call("--help")
        assert answer.code == 0
        assert f"lego {self.name}" in answer.out

    def test_a_wrong_option_is_wrong_use(self) -> None:
        """The exit code of wrong use is 2, and nothing is on standard output."""
        answer = self.call("--no-such-option")
        assert (answer.code, answer.out) == (2, "")

    def test_it_works(self, arguments: Iterable[object]) -> None:
        """The call that works exits with 0 and says something."""
        answer = self.call(*arguments)
        assert answer.code == 0, answer.err
        assert answer.out.strip()

    def test_json_is_one_document(self, arguments: Iterable[object]) -> None:
        """With `--json` standard output is one JSON document."""
        answer = self.call(*arguments, "--json")
        assert answer.code == 0, answer.err
        json.loads(answer.out)


def call(*arguments: object) -> Answer:
    """`lego …` in this process: its exit code, standard output and standard error."""
    from lego.cli import main

    out, err, before = io.StringIO(), io.StringIO(), sys.argv
    code: Any = 0
    try:
        sys.argv = ["lego", *map(str, arguments)]
        with redirect_stdout(out), redirect_stderr(err):
            main()
    except SystemExit as ended:
        code = ended.code
    finally:
        sys.argv = before
    return Answer(int(code or 0), out.getvalue(), err.getvalue())
