"""The page that leads to a first operator: its files are written, its commands run, and what they print is what it shows."""

from __future__ import annotations

import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from lego import catalog
from lego.testing.command import call

PAGE = Path(__file__).resolve().parents[1] / "docs" / "first_operator.md"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
FILE = re.compile(r"[Ff]ile `([\w.]+)`[^`]*\Z")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty folder to work in, whose modules are forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", None) or "").startswith(str(tmp_path)):
            del sys.modules[name]
    catalog.forget()


def run(command, folder, monkeypatch, capsys):
    """What a command prints, run in this process where it can be."""
    program, *words = command.split()
    if program == "python":
        capsys.readouterr()
        runpy.run_path(words[0])
        return capsys.readouterr().out
    if program == "lego":
        piped = words[words.index("|") :] if "|" in words else []
        answer = call(*words[: len(words) - len(piped)])
        assert answer.code == 0, answer.err
        assert piped in ([], ["|", "tail", "-1"])
        return answer.out.splitlines()[-1] + "\n" if piped else answer.out
    if program == "pip":
        place = folder / "site"
        alone = ("--quiet", "--no-deps", "--no-index", "--no-build-isolation", "--target", place)
        subprocess.run([sys.executable, "-m", "pip", *words, *alone], check=True)
        monkeypatch.syspath_prepend(str(place))
        catalog.forget()
        return ""
    assert program == "pytest"
    line = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *words, f"--rootdir={folder}"]
    # What changes how pytest prints is not the page's.
    plain = {
        name: value
        for name, value in os.environ.items()
        if name not in ("FORCE_COLOR", "PY_COLORS", "PYTEST_ADDOPTS") and not name.startswith("PYTEST_XDIST")
    }
    done = subprocess.run(
        line, capture_output=True, text=True, check=False, env={**plain, "COLUMNS": "80", "NO_COLOR": "1"}
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def without_seconds(text):
    return re.sub(r"in [\d.]+s( \([\d:]+\))?", "in SECONDS", text)


def test_every_block_of_the_page_does_what_it_shows(folder, monkeypatch, capsys):
    """From an empty folder to an installed operator: files, commands, and the output of each step."""
    monkeypatch.setenv("LEGO_HOME", str(folder / "home"))
    text = PAGE.read_text(encoding="utf-8")
    printed, compared, written = None, 0, []
    for found in BLOCK.finditer(text):
        language, body = found.groups()
        if language in ("python", "toml"):
            name = FILE.search(text[: found.start()])
            assert name, body
            (folder / name[1]).write_text(body, encoding="utf-8")
            written.append(name[1])
        elif language == "sh":
            printed = "".join(run(line, folder, monkeypatch, capsys) for line in body.splitlines())
        else:
            assert without_seconds(printed) == without_seconds(body)
            compared += 1
    assert (len(written), compared) == (6, 5)


def test_the_operator_has_ten_lines():
    """As many as the page promises, blank ones and the docstring aside."""
    code = next(body for language, body in BLOCK.findall(PAGE.read_text()) if language == "python")
    lines = [line for line in code.splitlines() if line.strip() and '"""' not in line]
    assert len(lines) == 10
