"""The page of the data sets: each source, each column, its licence and its files."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

from lego import catalog

ROOT = Path(__file__).resolve().parents[1]
GIVEN = {"Augment", "Prepared", "RecBench", "Tables"}
"""Sources that hold what they are given."""


def _hook():
    found = importlib.util.spec_from_file_location("sources_page", ROOT / "docs" / "sources_page.py")
    made = importlib.util.module_from_spec(found)
    found.loader.exec_module(made)
    return made


HOOK = _hook()


def test_every_source_has_its_section():
    """All that come with lego and have raw files of their own; the hook and the page are in the pages' configuration."""
    ours = {entry.name for entry in catalog.entries("source") if entry.distribution == catalog.BUILTIN}
    assert set(re.findall(r"^## (\w+)$", HOOK.text(), re.MULTILINE)) == ours - GIVEN
    configuration = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    assert "  - docs/sources_page.py" in configuration
    assert ": sources.md\n" in configuration


@pytest.mark.parametrize("name", sorted(HOOK.sources()))
def test_a_section_has_columns_files_and_terms(name):
    """Each attribute in the row of its kind, what a model reads by default among them; no fact is empty."""
    source = HOOK.sources()[name]
    written = HOOK.section(name, source)
    rows = re.findall(r"^\| ([\w ]+) \| ([\w ]+) \| (.*) \|$", written, re.MULTILINE)
    listed = {
        (of, attribute): kind for of, kind, names in rows for attribute in re.findall(r"`(\w+)`", names)
    }
    assert {attribute for of, attribute in listed if of == "items"} == set(source.attributes)
    assert set(source.reads) <= set(source.attributes)
    assert len(listed) == sum(map(len, source.holds.values()))
    assert {word for kind in listed.values() for word in kind.split(" or ")} <= {
        *("text", "category", "list", "number", "time"),
    }
    assert source.licence in written
    assert all(file in written for file in source.official_files)
    assert not re.search(r"^- [\w ]+: *$", written, re.MULTILINE)
