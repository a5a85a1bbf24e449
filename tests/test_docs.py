"""The pages tell the truth: operators, commands, options and code in them exist."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
from functools import cache
from pathlib import Path

import attrs
import pytest

from lego import catalog
from lego.spec import Behavior, Content, Predictor, Sequence

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.glob("*.md"))]
LEGO = Path(sysconfig.get_path("scripts")) / "lego"
WORDS = ("content", "behavior", "predictor", "task", "metric", "source", "tokens", "scorer")


def rows() -> dict[str, dict[str, str]]:
    """The tables of the operator page: name → column → text."""
    found: dict[str, dict[str, str]] = {}
    header: list[str] = []
    for line in (DOCS / "operators.md").read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| name"):
            header = cells
        elif line.startswith("| `"):
            name = cells[0].strip("`")
            assert name not in found, f"{name} has two rows"
            found[name] = dict(zip(header, cells, strict=True))
    return found


def built_in() -> dict[str, list[str]]:
    """Name → slots of what comes with lego."""
    slots: dict[str, list[str]] = {}
    for slot in WORDS:
        for entry in catalog.entries(slot):
            if entry.distribution == catalog.BUILTIN:
                slots.setdefault(entry.name, []).append(slot)
    return slots


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(
        rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )


def commands() -> list[tuple[str, str]]:
    """Every line of the pages that calls lego, with its page: code blocks, and `lego …` in sentences and tables."""
    found = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        lines = [line for block in blocks(page, "sh") for line in block.splitlines()]
        lines += re.findall(r"`(lego [^`]+)`", text)
        found += [(page.name, line.strip()) for line in lines if re.match(r"\s*(\.venv/bin/)?lego ", line)]
    return found


@cache
def help_of(command: str) -> str:
    """What `lego COMMAND --help` prints."""
    done = subprocess.run(
        [LEGO, *command.split(), "--help"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "COLUMNS": "200", "NO_COLOR": "1"},
    )
    assert done.returncode == 0, f"lego {command} --help: {done.stderr}"
    return done.stdout


def test_every_operator_has_its_row_and_every_row_its_operator():
    """The page of operators lists what the catalog lists, under the same slots."""
    assert {name: row["slots"].split(", ") for name, row in rows().items()} == built_in()


@pytest.mark.parametrize(
    "name", sorted(name for name, slots in built_in().items() if {"behavior", "predictor"} & {*slots})
)
def test_forms_on_the_page_are_those_declared(name):
    """The page says what the operator gives or takes."""
    spec = catalog.load(built_in()[name][0], name)
    row = rows()[name]
    if issubclass(spec, Predictor):
        assert {*row["takes"].split(", ")} == {
            form.label.split(" (")[0] for form in next(iter(spec.examples())).takes
        }
    else:
        assert issubclass(spec, Behavior)
        assert row["gives"] in {example.gives.label.split(" (")[0] for example in spec.examples()}


@pytest.mark.parametrize("name", sorted(built_in()))
def test_papers_on_the_page_are_those_of_the_code(name):
    """Each address on the page stands in the docstring of the operator's file."""
    found = catalog.load(built_in()[name][0], name)
    source = Path(sys.modules[found.__module__].__file__ or "").read_text(encoding="utf-8")
    addresses = re.findall(r"\((https?://[^)]+)\)", rows()[name]["paper"])
    assert [address for address in addresses if address not in source] == []


def test_content_operators_are_content():
    """What the page lists under content is a Content, what fits both slots a Sequence."""
    for name, slots in built_in().items():
        found = catalog.load(slots[0], name)
        if "content" in slots and isinstance(found, type):
            assert issubclass(found, Sequence if "behavior" in slots else Content)


def test_help_lists_every_command():
    """`lego --help` shows each command with what it does."""
    text = help_of("")
    assert [
        name for name in catalog.names("command") if not re.search(rf"^\W*{name} +\w", text, re.MULTILINE)
    ] == []


def test_every_command_has_its_section():
    """The page of the command line has a section for each command, and for nothing else."""
    text = (DOCS / "command_line.md").read_text(encoding="utf-8")
    own = {each.name for each in catalog.entries("command") if each.distribution == catalog.BUILTIN}
    assert set(re.findall(r"^## lego (\w+)$", text, re.MULTILINE)) == own


@pytest.mark.parametrize(("page", "line"), commands())
def test_commands_on_the_pages_exist(page, line):
    """A command that a page shows is a command, and its options are options of it."""
    words = line.replace("`", "").split()[1:]
    if words[0].startswith("-") or words[0].isupper():
        return
    assert words[0] in catalog.names("command"), f"{page}: {line}"
    command = " ".join(words[:2]) if words[0] == "data" and len(words) > 1 else words[0]
    text = help_of(command)
    for option in re.findall(r"(?<!\S)(--?[a-z][\w-]*)", line):
        assert option in text, f"{page}: lego {command} has no {option}"


def test_options_in_the_tables_of_commands_exist():
    """Every option in the tables of the command line page is an option of the command whose section it stands in."""
    text = (DOCS / "command_line.md").read_text(encoding="utf-8")
    sections = re.split(r"^## lego (\w+)$", text, flags=re.MULTILINE)[1:]
    named = {
        (command, option)
        for command, section in zip(sections[::2], sections[1::2], strict=True)
        for line in re.findall(r"^\| (`--[^|]+)\|", section, re.MULTILINE)
        for option in re.findall(r"`(--[a-z-]+)", line)
    }
    assert {("run", "--seed"), ("sweep", "--limit"), ("sweep", "--out")} <= named
    assert [(command, option) for command, option in named if option not in help_of(command)] == []


STEPS = "first_operator.md"
"""Its blocks are files that need each other: tests/test_first_operator.py writes and runs them."""


@pytest.mark.parametrize("page", [each for each in PAGES if each.name != STEPS], ids=lambda page: page.name)
def test_python_on_the_pages_runs(page, monkeypatch):
    """Each block of Python on a page can be run as it stands, from the root of the repository."""
    monkeypatch.chdir(ROOT)
    for number, block in enumerate(blocks(page, "python")):
        exec(compile(block, f"{page.name}, block {number}", "exec"), {"__name__": "page"})


def test_the_report_of_problems_is_what_lego_prints(monkeypatch):
    """The page that explains compiling shows the very report that the compiler makes."""
    from lego import Attention, Dot, Experiment, Mean, MovieLens, PolyAttention, Recommender
    from lego.compiler.check import check
    from lego.errors import CompositionError

    monkeypatch.chdir(ROOT)
    model = Recommender(content=Attention(heads=7), behavior=PolyAttention(), predictor=Dot())
    experiment = Experiment(data=MovieLens("examples/data/ml-latest-small"), model=model)
    assert str(CompositionError(check(experiment))) + "\n" in blocks(DOCS / "concepts.md", "text")
    assert not check(
        attrs.evolve(experiment, model=Recommender(content=Mean(), behavior=Mean(), predictor=Dot()))
    )


def test_targets_of_make_are_described():
    """The page for contributors lists every target of the Makefile, and no other."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z]+):.*## ", makefile, re.MULTILINE)) - {"help"}
    text = (DOCS / "contributing.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `make ([a-z]+)`", text, re.MULTILINE)) == targets
    assert set(re.findall(r"make ([a-z]+)", (ROOT / ".ci" / "run").read_text(encoding="utf-8"))) <= targets


def test_files_named_on_the_front_page_exist():
    """Each path that the front page names is in the repository."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    paths = set(re.findall(r"(?:examples|docs|lego|tests)/[\w/.-]*\w", text))
    assert paths
    assert [path for path in sorted(paths) if not (ROOT / path).exists()] == []
