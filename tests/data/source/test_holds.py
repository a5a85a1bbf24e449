"""What a source says that it holds is what its editions hold: nothing less, which conftest.py sees to, and nothing more."""

from __future__ import annotations

import pytest

from lego import catalog
from tests.data.source.columns import columns_of
from tests.data.source.raw_files import FACTORIES, LAYOUTS, MORE_LAYOUTS, RICH_LAYOUTS

EDITIONS = {**FACTORIES, **LAYOUTS, **MORE_LAYOUTS, **RICH_LAYOUTS}
DECLARED = [
    entry.name
    for entry in catalog.entries("source")
    if entry.distribution == catalog.BUILTIN and catalog.load("source", entry.name).holds
]


def declared(name):
    """Of whom, name and kind of each column that the class names."""
    return {
        (of, column, kind)
        for of, columns in catalog.load("source", name).holds.items()
        for column, kinds in columns.items()
        for kind in kinds.split(" or ")
    }


@pytest.mark.parametrize("name", DECLARED)
def test_every_column_that_is_declared_is_in_some_edition(name, tmp_path):
    """Each is prepared from rows written by hand, of each kind that it may have; each edition has declared columns alone."""
    found, wanted = set(), declared(name)
    for number, (edition, made) in enumerate(EDITIONS.items()):
        if edition.split(",")[0] == name and not wanted <= found:
            (tmp_path / str(number)).mkdir()
            found |= columns_of(made(tmp_path / str(number)).tables())
    assert found == wanted
    assert catalog.load("source", name).attributes == tuple(catalog.load("source", name).holds["items"])
