"""What a source prepares is what its class says that it holds, in every test of this folder."""

from __future__ import annotations

from functools import wraps

import pytest

from lego import catalog
from lego.data.table import IMPRESSIONS, Tables, kind_of, signals_in
from lego.spec import Source


def undeclared(source: Source, made: Tables) -> list[str]:
    """The columns of the tables that the class of the source does not name, or calls something else."""
    beside = dict.fromkeys(made.history_signals, "number")
    beside |= {"time": "time"} if "times" in made.users.column_names else {}
    told = {
        field.name: kind_of(field.type) or ""
        for part in made.impressions.values()
        for field in part.schema
        if field.name not in (*IMPRESSIONS.names, *signals_in(part.schema))
    }
    found = {
        "items": made.attributes,
        "users": made.user_attributes,
        "impressions": told,
        "candidates": dict.fromkeys(made.candidate_signals, "number"),
        "history": beside,
    }
    return [
        f"{type(source).__name__}: {kind} has {name}, a {column}"
        for kind, columns in found.items()
        for name, column in columns.items()
        if column not in source.holds.get(kind, {}).get(name, "").split(" or ")
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
