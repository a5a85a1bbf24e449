"""What would make results doubtful is said; sound data is not complained of."""

from __future__ import annotations

from typing import Any, ClassVar

import pyarrow as pa
import pytest

from lego.data.describe import doubts, histograms
from lego.data.prepare import prepare
from lego.data.table import IMPRESSIONS, USERS, Tables
from lego.spec import Source, operator


@operator
class Odd(Source):
    """Two users; the parts are those of the class."""

    parts: ClassVar[dict[str, list[Any]]] = {}
    rules: ClassVar[dict[str, str]] = {}
    kind: str = ""

    def fingerprint(self):
        """One each."""
        return {"kind": self.kind}

    def files(self):
        """None."""
        return ()

    def tables(self):
        """User, time, candidates, labels of each impression."""
        made = {}
        for part, rows in self.parts.items():
            columns = {
                "impression": list(range(len(rows))),
                "user": [row[0] for row in rows],
                "start": [0] * len(rows),
                "stop": [0] * len(rows),
                "time": [row[1] for row in rows],
                "candidates": [row[2] for row in rows],
                "labels": [row[3] for row in rows],
            }
            made[part] = pa.table(columns, IMPRESSIONS)
        users = pa.table({"user_id": ["u", "v"], "history": [[], [1]]}, USERS.remove(2))
        return Tables(
            items=pa.table({"item_id": ["a", "b", "c"]}), users=users, impressions=made, rules=self.rules
        )


SOUND = {
    "train": [(0, 1, [1, 2], [1, 0]), (1, 1, [2, 3], [0, 1])],
    "dev": [(0, 5, [1, 3], [1, 0])],
    "test": [(1, 9, [1, 2], [0, 1])],
}


def found(parts, tmp_path, rules=None):
    Odd.parts, Odd.rules = {**SOUND, **parts}, rules or {}
    return doubts(prepare(Odd(), tmp_path))


def test_sound_data_is_not_complained_of(tmp_path):
    """Nothing is doubtful of it."""
    assert found({}, tmp_path) == []


@pytest.mark.parametrize(
    ("parts", "rules", "sentence"),
    [
        ({"test": []}, {}, "test: there is no impression in it"),
        ({"dev": [(0, 5, [1, 3], [0, 0])]}, {}, "dev: no candidate is clicked"),
        (
            {"dev": [(0, 5, [1, 3], [1, 1])]},
            {},
            "dev: every candidate is clicked, so there is nothing to tell apart",
        ),
        (
            {"dev": [(0, 5, [1, 3], [1, 0])] * 3},
            {},
            "dev: 2 impressions are there twice, with one user, time and candidates",
        ),
        (
            {"test": [(1, 1, [2, 3], [0, 1])]},
            {},
            "test: 1 of its impressions are in train too, so they are known before",
        ),
        (
            {"dev": [(1, 4, [2, 3], [0, 1])], "test": [(1, 4, [2, 3], [0, 1])]},
            {},
            "test: 1 of its impressions are in dev too, so they are known before",
        ),
        (
            {"dev": [(1, 4, [2, 3], [0, 1])], "test": [(1, 6, [1, 3], [0, 1])]},
            {"split": "by user, all clicks of one in one part: 0.1 test"},
            "test: 1 users are in dev too, which the split by user rules out",
        ),
        (
            {},
            {"split": "by user, all clicks of one in one part: 0.1 test"},
            "dev: 1 users are in train too, which the split by user rules out",
        ),
        (
            {"dev": [(0, 0, [1, 3], [1, 0])]},
            {},
            "dev: 1 impressions are earlier than the latest train impression of their user",
        ),
    ],
)
def test_what_is_doubtful_is_said(parts, rules, sentence, tmp_path):
    """Each by itself."""
    assert sentence in found(parts, tmp_path, rules)


def test_candidates_in_another_order_are_the_same_impression(tmp_path):
    """Shuffling hides no leak, and another label is another impression."""
    same = found({"dev": [(0, 5, [1, 3], [1, 0]), (0, 5, [3, 1], [0, 1])]}, tmp_path / "a")
    other = found({"dev": [(0, 5, [1, 3], [1, 0]), (0, 5, [3, 1], [1, 0])]}, tmp_path / "b")
    assert len(same) == 1
    assert other == []


def test_lengths_are_drawn(tmp_path):
    """A bar for each range of lengths, and how many there are."""
    Odd.parts, Odd.rules = SOUND, {}
    lines = histograms(prepare(Odd(), tmp_path))
    assert "candidates of an impression" in lines
    assert any(
        line.split() == ["2-2", "#" * 30, "4"]
        or line.split() == ["2-3", "#" * 30, "4"]
        or line.split() == ["2", "#" * 30, "4"]
        for line in lines
    )


def test_parts_that_teach_or_measure_little_are_told(tmp_path):
    """Train without clicks, one time for all, clicks on items that train never saw."""
    idle = [(0, 10 + place, [1, 2], [0, 0]) for place in range(3)]
    assert not [
        each for each in found({"train": SOUND["train"] + idle[:2]}, tmp_path / "half") if "no click" in each
    ]
    told = found({"train": SOUND["train"] + idle}, tmp_path / "idle")
    assert any("train: 3 of 5 impressions have no click" in each for each in told)
    train = [(0, 1, [1, 2], [1, 0])]
    test = [(place % 2, 99, [3, 1], [1, 0]) for place in range(10)]
    told = found({"train": train, "dev": [(0, 5, [1, 3], [1, 0])], "test": test}, tmp_path / "cold")
    assert "test: all 10 impressions have the same time" in told
    assert any("test: 100% of its clicks are on items that train never saw" in each for each in told)
