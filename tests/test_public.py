"""What `from lego import …` gives."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import lego

SOURCE = Path(lego.__file__)


def test_every_public_name_can_be_had():
    """Each name of `__all__` loads, and a class or function comes under its own name."""
    for name in lego.__all__:
        found = getattr(lego, name)
        assert getattr(found, "__name__", name) == name


def test_the_list_is_written_once_for_readers_and_once_for_type_checkers():
    """The names a type checker sees, the names that load and `__all__` are the same."""
    tree = ast.parse(SOURCE.read_text(encoding="utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    typed = {
        alias.asname or alias.name: node.module
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert typed == lego._HOME
    assert sorted(typed) == sorted(lego.__all__)
    assert dir(lego) == sorted(lego.__all__)


def test_every_operator_is_public():
    """A built-in operator that can stand in an expression can be imported from `lego`."""
    from lego import catalog

    slots = ("content", "behavior", "predictor", "task", "metric", "source", "tokens", "scorer")
    built_in = {
        each.name for slot in slots for each in catalog.entries(slot) if each.distribution == catalog.BUILTIN
    }
    assert built_in
    assert not built_in - set(lego.__all__)


def test_an_unknown_name_is_answered_with_the_nearest():
    """A slip of the pen is told what was probably meant."""
    with pytest.raises(AttributeError, match="Did you mean 'Attention'"):
        lego.Attenton  # noqa: B018 - asking for it is the test


def test_the_package_says_that_it_is_typed():
    """Type checkers read the annotations of an installed lego."""
    assert (SOURCE.parent / "py.typed").is_file()
