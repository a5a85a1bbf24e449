"""What holds for everything that reads the raw files of a data set."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest

from lego.data.prepare import prepare
from lego.data.store import Store
from lego.errors import DataError
from lego.spec import field_names
from lego.testing.suite import SpecTests


class SourceTests(SpecTests):
    """A subclass has a fixture `spec`: the source, on raw files that a test wrote or that are at hand."""

    @pytest.fixture
    def store(self, spec: Any, tmp_path: Path) -> Store:
        """The prepared folder."""
        return prepare(spec, tmp_path / "prepared")

    def test_it_says_what_it_is(self, spec: Any) -> None:
        """What `lego data` and the pages print."""
        for fact in ("domain", "language", "official_files", "url", "licence", "task", "proven"):
            assert getattr(spec, fact), f"{fact} is empty"
        assert spec.reads
        assert all(budget > 0 for budget in spec.reads.values())

    def test_the_tables_are_sound(self, spec: Any) -> None:
        """Items, users and impressions keep every rule of prepared data; there is something to learn from and to test on."""
        tables = spec.tables()
        tables.check()
        assert tables.items.num_rows > 1
        for part in ("train", "test"):
            assert tables.impressions[part].num_rows, f"the part {part} is empty"

    def test_items_have_what_is_read(self, spec: Any, store: Store) -> None:
        """The attributes that a model reads by default, and those that the class names, are there, not all of them empty."""
        for name in {*spec.reads, *spec.attributes}:
            assert name in store.attributes, f"items have no {name}"
            assert store.items[name].null_count < store.item_count, f"{name} is missing throughout"

    def test_no_history_holds_what_comes_later(self, store: Store) -> None:
        """Where times are known, no click of a history is later than its impression."""
        users = store.users
        for part in store.parts:
            impressions = store.part(part)
            if users.times is None or impressions.time is None or not len(impressions):
                continue
            some = (impressions.stop > impressions.start) & (impressions.time >= 0)
            assert (users.times.values[impressions.stop[some] - 1] <= impressions.time[some]).all()

    def test_preparing_twice_gives_the_same(self, spec: Any, store: Store, tmp_path: Path) -> None:
        """All chance is from the seed."""
        again = prepare(spec, tmp_path / "again")
        assert again.fingerprint == store.fingerprint
        assert again.items.equals(store.items)
        for part in store.parts:
            one, other = store.part(part), again.part(part)
            assert np.array_equal(one.candidates.values, other.candidates.values)
            assert np.array_equal(one.labels, other.labels)

    def test_the_fingerprint_is_plain_and_knows_no_path(self, spec: Any) -> None:
        """It goes into JSON; `history`, which is cut when data is read, is no part of it, and no place on this machine is."""
        text = json.dumps(spec.fingerprint(), sort_keys=True, default=str)
        if "history" in field_names(type(spec)):
            other = attrs.evolve(spec, history=spec.history + 7)
            assert json.dumps(other.fingerprint(), sort_keys=True, default=str) == text
        for file in spec.files():
            assert str(Path(file).parent) not in text

    def test_files_that_are_not_there_are_told(self, spec: Any, tmp_path: Path) -> None:
        """DataError with what is missing and what to do, where the source has a `path`."""
        if "path" not in field_names(type(spec)):
            pytest.skip("it has no path")
        with pytest.raises(DataError) as caught:
            list(attrs.evolve(spec, path=str(tmp_path / "nowhere")).files())
        assert all(problem.fix for problem in caught.value.problems)
