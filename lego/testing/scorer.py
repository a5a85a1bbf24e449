"""What holds for everything that scores impressions without being compiled: baselines, and systems of one's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest

from lego.data.prepare import prepare
from lego.data.source.tables import Tables
from lego.data.store import Store
from lego.testing.suite import SpecTests

WORDS = ("red", "green", "blue", "fast", "slow", "old", "new")


class ScorerTests(SpecTests):
    """A `Baseline`: fitted to the train part, it gives a score to every candidate."""

    @pytest.fixture
    def store(self, tmp_path: Path) -> Store:
        """40 items with titles and categories, 15 users with 10 clicks each, in order of time."""
        chance = np.random.default_rng(7)
        items = [f"i{row},{' '.join(chance.choice(WORDS, 3))},{'ab'[row % 2]}" for row in range(40)]
        rows = [
            f"u{user},i{item},{1000 * at + user}"
            for user in range(15)
            for at, item in enumerate(chance.choice(40, 10, replace=False))
        ]
        (tmp_path / "items.csv").write_text("\n".join(["item_id,title,category", *items]) + "\n")
        (tmp_path / "clicks.csv").write_text("\n".join(["user,item,time", *rows]) + "\n")
        data = Tables(str(tmp_path / "items.csv"), rows=str(tmp_path / "clicks.csv"), negatives=4)
        return prepare(data, tmp_path / "prepared")

    def fitted(self, spec: Any, store: Store) -> Any:
        """A fresh scorer, fitted."""
        made = spec.seeded(0).fitted()
        made.fit(store)
        return made

    def test_every_candidate_has_a_finite_score(self, spec: Any, store: Store) -> None:
        """One number each, in the flat order of the candidates, of every part."""
        made = self.fitted(spec, store)
        for part in store.parts:
            impressions = store.part(part).recent(5)
            scores = np.asarray(made.score(impressions))
            assert scores.shape == impressions.candidates.values.shape
            assert np.isfinite(scores).all()

    def test_the_same_seed_gives_the_same_scores(self, spec: Any, store: Store) -> None:
        """Fitted twice, it says the same."""
        impressions = store.part("test").recent(5)
        found = [np.asarray(self.fitted(spec, store).score(impressions)) for _ in range(2)]
        assert np.array_equal(found[0], found[1])

    def test_labels_are_not_read(self, spec: Any, store: Store) -> None:
        """Impressions whose labels are turned around have the same scores: what is to be told is not looked at."""
        impressions = store.part("test").recent(5)
        turned = attrs.evolve(impressions, labels=(1 - impressions.labels).astype(np.int8))
        made, other = self.fitted(spec, store), self.fitted(spec, store)
        assert np.array_equal(made.score(impressions), other.score(turned))

    def test_it_recommends_where_it_says_so(self, spec: Any, store: Store) -> None:
        """With `against`, users times items of scores, new items included."""
        made = self.fitted(spec, store)
        if not hasattr(made, "against"):
            pytest.skip("it scores impressions alone")
        new = store.items.slice(0, 2)
        rows = np.arange(1, store.item_count + 3)
        histories = store.users.history.take(np.arange(3))
        scores = np.asarray(made.against(histories, new)(rows))
        assert scores.shape == (3, len(rows))
        assert np.isfinite(scores).all()
