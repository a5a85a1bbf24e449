from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lego.data.table import CATEGORY, Tables
from lego.spec import Source, operator

ITEMS, USERS, CLICKS = 48, 16, 9
VECTOR = 32


@operator
class Newspaper(Source):
    """A small newspaper with all that a model of the zoo can ask for: texts, categories, times, profiles, generated titles."""

    reads: ClassVar[dict[str, int]] = {"title": 8, "category": 1}  # type: ignore[assignment]
    history: int = 6

    def fingerprint(self) -> Any:
        """Nothing moves it."""
        return {}

    def files(self) -> Any:
        """None."""
        return ()

    def tables(self) -> Tables:
        """Users read the news of two of four topics; the last user has no history."""
        chance = np.random.default_rng(5)
        topic = np.arange(ITEMS) % 4
        titles = [f"w{each} w{each + 4} n{row % 7}" for row, each in enumerate(topic)]
        items = pa.table(
            {
                "item_id": [f"N{row}" for row in range(1, ITEMS + 1)],
                "title": titles,
                "abstract": [
                    None if row % 5 == 0 else f"{title} and more" for row, title in enumerate(titles)
                ],
                "category": _category([f"t{each}" for each in topic]),
                "subcategory": _category([f"t{each}-{row % 3}" for row, each in enumerate(topic)]),
                "llm_title": [f"rewritten {title}" for title in titles],
            }
        )
        histories = [
            chance.choice(np.flatnonzero(np.isin(topic, (user % 4, (user + 1) % 4))), CLICKS, replace=False)
            + 1
            for user in range(USERS - 1)
        ]
        users = pa.table(
            {
                "user_id": [f"U{user}" for user in range(USERS)],
                "history": pa.array([*histories, []], pa.list_(pa.int32())),
                "times": pa.array(
                    [[*range(0, 1000 * CLICKS, 1000)]] * (USERS - 1) + [[]], pa.list_(pa.int64())
                ),
                "llm_topics": _category([f"t{user % 4}" for user in range(USERS)]),
                "llm_region": _category([f"r{user % 2}" for user in range(USERS)]),
            }
        )

        def part(stops: range) -> pa.Table:
            rows = [(user, stop) for user in range(USERS - 1) for stop in stops] + [(USERS - 1, 0)]
            clicked = [histories[user][stop] if stop else 1 for user, stop in rows]
            shown = [[int(click), *(int(each) for each in _others(chance, click))] for click in clicked]
            return pa.table(
                {
                    "impression": pa.array(range(len(rows)), pa.int64()),
                    "user": pa.array([user for user, _ in rows], pa.int32()),
                    "start": pa.array([0] * len(rows), pa.int32()),
                    "stop": pa.array([stop for _, stop in rows], pa.int32()),
                    "time": pa.array([10_000 + stop for _, stop in rows], pa.int64()),
                    "candidates": pa.array(shown, pa.list_(pa.int32())),
                    "labels": pa.array([[1, 0, 0, 0, 0]] * len(rows), pa.list_(pa.int8())),
                }
            )

        parts = {"train": part(range(1, 7)), "dev": part(range(7, 8)), "test": part(range(8, 9))}
        return Tables(items=items, users=users, impressions=parts)


def _category(values: list[str]) -> pa.Array:
    return pa.array(values).dictionary_encode().cast(CATEGORY)


def _others(chance: np.random.Generator, click: int) -> Any:
    return chance.choice([row for row in range(1, ITEMS + 1) if row != click], 4, replace=False)


@pytest.fixture(scope="session")
def newspaper():
    """A source with all that a model of the zoo can ask for."""
    return Newspaper()


@pytest.fixture(scope="session")
def vectors(tmp_path_factory):
    """A file with a ready-made vector for each item of the newspaper."""
    path = tmp_path_factory.mktemp("vectors") / "vectors.parquet"
    table = np.random.default_rng(6).normal(size=(ITEMS, VECTOR)).astype(np.float32)
    pq.write_table(
        pa.table({"item_id": [f"N{row}" for row in range(1, ITEMS + 1)], "vector": list(table)}), path
    )
    return str(path)
