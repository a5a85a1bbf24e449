"""What a source prepares is what its class says that it holds, in every test of this folder."""

from __future__ import annotations

from functools import wraps

import pytest

from lego import catalog
from lego.data.table import Tables
from lego.spec import Source
from tests.data.source.columns import columns_of


def undeclared(source: Source, made: Tables) -> list[str]:
    """The columns of the tables that the class of the source does not name, or calls something else."""
    return [
        f"{type(source).__name__}: {of} has {name}, a {kind}"
        for of, name, kind in sorted(columns_of(made))
        if kind not in source.holds.get(of, {}).get(name, "").split(" or ")
    ]


@pytest.fixture(scope="package", autouse=True)
def declared():
    """Each `tables` of a source that says what it holds is compared with that."""
    classes = [catalog.load("source", entry.name) for entry in catalog.entries("source")]
    owners = {
        owner
        for each in classes
        if getattr(each, "holds", None)
        for owner in each.__mro__
        if owner is not Source and "tables" in vars(owner)
    }

    def compared(tables):
        @wraps(tables)
        def run(self):
            made = tables(self)
            if self.holds:
                assert not undeclared(self, made)
            return made

        return run

    with pytest.MonkeyPatch.context() as patch:
        for owner in owners:
            patch.setattr(owner, "tables", compared(owner.tables))
        yield
