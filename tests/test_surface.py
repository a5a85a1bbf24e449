"""The pages on what operators may lean on: nothing public is missing, and every name says what it is for."""

from __future__ import annotations

import ast
import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def _hook():
    found = importlib.util.spec_from_file_location("surface_pages", ROOT / "docs" / "surface_pages.py")
    made = importlib.util.module_from_spec(found)
    found.loader.exec_module(made)
    return made


HOOK = _hook()


def test_every_module_of_the_promise_has_its_page():
    """The pages are those of the modules that the page for authors promises, and stand in the navigation."""
    text = (ROOT / "docs" / "write_an_operator.md").read_text(encoding="utf-8")
    promise = text.partition("## What plugins may lean on\n\n")[2].partition("\n\n")[0]
    assert set(re.findall(r"`lego\.(\w+)`", promise)) == set(HOOK.MODULES)
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    assert re.findall(r"surface/(\w+)\.md\n", navigation) == list(HOOK.MODULES)


@pytest.mark.parametrize("module", HOOK.MODULES)
def test_every_public_name_is_there_with_what_it_is_for(module):
    """Classes and functions of each file, counted apart from the hook, are rows whose text is not empty."""
    page = HOOK.page(module)
    rows = dict(re.findall(r"^\| `(\w+)[^`]*` \| (.*) \|$", page, re.MULTILINE))
    defined = {
        node.name
        for file in HOOK.sources(module)
        for node in ast.parse(file.read_text(encoding="utf-8")).body
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and not node.name.startswith("_")
    }
    assert defined <= set(rows)
    assert [name for name, said in rows.items() if not said.strip()] == []
    assert "## lego.testing.suite" in HOOK.page("testing")


def test_the_suites_of_the_package_are_on_their_page():
    """What `lego.testing` gives by itself is public before all else."""
    import lego.testing

    page = HOOK.page("testing")
    assert [
        name for name in lego.testing.__all__ if f"`{name}" not in page and name not in ("Ranking", "seeded")
    ] == []
