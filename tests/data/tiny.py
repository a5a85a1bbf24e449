"""A source of three items, which the tests of what is prepared share."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import attrs
import pyarrow as pa

from lego.data.table import IMPRESSIONS, USERS, Tables
from lego.spec import Source, operator

TABLES = ("items.arrow", "users.arrow", "train.arrow", "dev.arrow", "test.arrow")


@operator
class Tiny(Source):
    """A source of three items whose one raw file decides the first title."""

    reads: ClassVar[Mapping[str, int]] = {"title": 7}
    protocol: ClassVar[str] = "some"

    path: str = attrs.field(kw_only=False)
    flavor: str = "plain"

    def fingerprint(self) -> Mapping[str, Any]:
        return {"flavor": self.flavor}

    def files(self) -> list[Path]:
        return [Path(self.path)]

    def tables(self) -> Tables:
        title = Path(self.path).read_text(encoding="utf-8")
        users = {"user_id": ["u", "v", "u"], "history": [[1, 2, 3], [], [3]], "times": [[5, 6, 7], [], [9]]}
        train = {
            "impression": [4, 2], "user": [0, 1], "start": [1, 0], "stop": [3, 0], "time": [8, None],
            "candidates": [[3, 1], [2]], "labels": [[1, 0], [0]],
        }  # fmt: skip
        test = {**train, "user": [2, 0], "start": [0, 0], "stop": [1, 2], "time": [9, 8]}
        return Tables(
            items=pa.table(
                {
                    "item_id": ["a", "b", "c"],
                    "title": [title, "B", None],
                    "kind": pa.array(["x", "y", "x"]).dictionary_encode(),
                    "tags": [["p", "q"], [], ["p"]],
                }
            ),
            users=pa.table(users, USERS),
            impressions={"train": pa.table(train, IMPRESSIONS), "test": pa.table(test, IMPRESSIONS)},
            dropped={"lost": 3},
            rules={"order": "as it comes"},
        )


def visible(folder):
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
