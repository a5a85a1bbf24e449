"""Tables of one's own: items with attributes, and a log of who clicked what, as files or as data frames."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import attrs
import pyarrow as pa

from lego.data import table
from lego.data.own.attributes import BESIDE, attributes_in, item_roles
from lego.data.own.maker import TableMaker
from lego.data.own.reader import TableReader
from lego.data.problems import Problems
from lego.data.raw.guess import NAMES, budgets
from lego.data.raw.kept_table import kept
from lego.data.raw.read_frame import read_frame
from lego.data.raw.table_files import table_files
from lego.data.table import KINDS, PARTS
from lego.errors import SpecError, did_you_mean
from lego.spec import PATH, Choice, FrozenMap, Source, between, field_names, ge, operator

_LOGS = ("impressions", "rows", "sequences")


def _kept(option: str) -> Callable[[Any], Any]:
    def convert(value: Any) -> Any:
        made = kept(value, option)
        return FrozenMap(made) if isinstance(made, Mapping) else made

    return convert


@operator
class Tables(Source):
    """Items with attributes and a log, from files or from tables in memory.

    - `items` has a row per item: its id and its attributes. Give just one log:
        - `impressions`: a row per impression: user, the candidates with their labels (lists `candidates` and `labels`, or
          `candidates` and the list `clicked`, or one text such as `id7-0 id2-1`), and if known the time and the user's history;
        - `rows`: a row per user and item, with a label where not every row is a click, and with the time where it is known. Rows
          of one impression id are one impression; without impression ids each click is shown among drawn candidates;
        - `sequences`: a row per user with the list of the items, the oldest first. Drawn candidates again.
    - `users` may add attributes of users, and a `history` that precedes the log.
    - Each is a path (CSV, TSV, JSON lines, Parquet, Arrow, or a folder of Parquet parts, which are read in the order of their
      names and have the same columns), or in Python a data frame, an Arrow table, a list of dicts or a dict
      of columns, which is written to Parquet under LEGO_HOME and named by its content. A log may be several: `{"train": …,
      "test": …}`.
    - Columns are known by their names (`item_id`, `user`, `timestamp`, …); `columns={"item": "sku"}` names others, and
      `{"items.item": "id", "rows.item": "sku"}` where the tables differ. The rules in the manifest say what was taken for what.
    - Every other column of items and users is an attribute. Its kind is guessed from the values; `kinds={"year": "category"}`
      says otherwise: text, category, list, number or none.
    - So is every other column of rows and impressions an attribute of the impression (device, hour). Numbers may stand beside
      candidates (position) or the history (read time): lists of one for each, or, of rows with impression ids, numbers that
      differ within one. `kinds={"position": "candidates", "read_time": "history"}` says so; of rows without impression ids
      `"history"` is a number of the click that later impressions see.
    - A click is a label of 1; `above=3` makes it a label above 3, for ratings.
    - Clicks of a user are in the order of time, then of the log. The history of an impression is what `users` has, then all
      clicks of the user before the impression, unless its own row says.
    - Drawn candidates: the click and up to `negatives` items that the user never met in the log or before, in random places,
      drawn without putting back in proportion to their clicks (`candidates="popularity"`) or each as likely as the others
      (`"uniform"`). An impression for which there is nothing to draw is left out and counted.
    - Parts are taken from the files of a dict or from a column `part`; where dev is not among these, the `dev` share of train is.
      Else `split` cuts: `"time"` takes the latest `test` share of the impressions, and the `dev` share before them;
      `"leave_last_out"` the last impression of each user who has two, and the one before it of each who has three; `"user"` all
      impressions of a share of the users. Unless it is said, it is time where there are times, else leave_last_out. A share of 0
      makes no part.
    - An id of the log that `items` lacks is an error (`missing="error"`), is left out and counted (`"drop"`), or makes an item
      without attributes (`"empty"`). A user without history and an impression without a click stay; the latter are counted in
      the rules.
    - Chance comes from `seed` alone. `history` cuts to the most recent items when the data is read, and changes nothing that is
      prepared.
    """

    domain: ClassVar[str] = "any"
    language: ClassVar[str] = "any"
    official_files: ClassVar[tuple[str, ...]] = (
        "one table of items",
        "one log: impressions, rows or sequences",
        "if you like, one table of users",
    )
    licence: ClassVar[str] = "your own"
    task: ClassVar[str] = "any"

    items: str = attrs.field(kw_only=False, converter=_kept("items"), metadata=PATH)
    impressions: str | Mapping[str, str] | None = attrs.field(
        default=None, converter=_kept("impressions"), metadata=PATH
    )
    rows: str | Mapping[str, str] | None = attrs.field(default=None, converter=_kept("rows"), metadata=PATH)
    sequences: str | Mapping[str, str] | None = attrs.field(
        default=None, converter=_kept("sequences"), metadata=PATH
    )
    users: str | None = attrs.field(default=None, converter=_kept("users"), metadata=PATH)
    columns: Mapping[str, str] = attrs.field(factory=FrozenMap)
    kinds: Mapping[str, str] = attrs.field(factory=FrozenMap)
    above: float | None = None
    candidates: Literal["popularity", "uniform"] = "popularity"
    negatives: int = attrs.field(default=20, validator=ge(1))
    split: Literal["time", "leave_last_out", "user"] | None = None
    dev: float = attrs.field(default=0.1, validator=between(0.0, 1.0))
    test: float = attrs.field(default=0.1, validator=between(0.0, 1.0))
    history: int = attrs.field(default=50, validator=ge(1))
    missing: Literal["error", "drop", "empty"] = "error"
    seed: int = attrs.field(default=0, validator=ge(0))

    def __attrs_post_init__(self) -> None:
        """What one option says must go with what another says."""
        if any(isinstance(getattr(self, name), Choice) for name in field_names(type(self))):
            return
        logs = [name for name in _LOGS if getattr(self, name) is not None]
        if len(logs) != 1:
            what = f"{' and '.join(logs)} are given" if logs else "no log is given"
            raise SpecError.wrong_call(
                "Tables", f"{what}, and just one is needed", "Tables('items.csv', rows='clicks.csv')"
            )
        if self.dev + self.test >= 1:
            expected = f"less than 1 - test, which is {1 - self.test:g}"
            raise SpecError.wrong_value("Tables", "dev", self.dev, expected)
        for name, kind in self.kinds.items():
            if kind not in {*KINDS, *BESIDE, "none"}:
                expected = f"a dict of columns and kinds ({', '.join([*KINDS, *BESIDE, 'none'])})"
                raise SpecError.wrong_value("Tables", "kinds", {name: kind}, expected)
        for name in self.columns:
            frame, _, role = name.rpartition(".")
            if role not in NAMES or frame not in {"", "items", "users", *_LOGS}:
                hint = did_you_mean(role, NAMES)
                expected = f"a dict of roles and columns. {hint}The roles: {', '.join(NAMES)}, or with a table as in items.item"
                raise SpecError.wrong_value("Tables", "columns", {name: self.columns[name]}, expected)

    @classmethod
    def examples(cls) -> Iterable[Self]:
        """One of each kind of log."""
        return (
            cls("items.csv", rows="clicks.csv"),
            cls(
                "items.parquet", impressions={"train": "train.jsonl", "test": "test.jsonl"}, users="users.csv"
            ),
            cls(
                "items.csv", sequences="histories.csv", columns={"items.item": "sku"}, split="leave_last_out"
            ),
        )

    @property
    def reads(self) -> Mapping[str, int]:  # type: ignore[override]  # known only from the values
        """The texts of the items, with room for most of them; categories and lists where there is no text."""
        path = Path(self.items).expanduser()
        files = table_files(path, "items", Problems()) if path.exists() else []
        state = tuple((each.name, each.stat().st_size, each.stat().st_mtime_ns) for each in files)
        return dict(_reads(self.items, state, FrozenMap(self.columns), FrozenMap(self.kinds)))

    def fingerprint(self) -> Mapping[str, Any]:
        """Every option but paths and `history`; `version` counts changes of the rules above."""
        left_out = {"items", "users", "history", *_LOGS}
        options = {name: getattr(self, name) for name in field_names(type(self)) if name not in left_out}
        parts = {part: str(order) for order, (part, _) in enumerate(self.log_paths())}
        folders = {
            option: len(table_files(path, option, Problems()))
            for option, path in self.named_paths()
            if Path(path).expanduser().is_dir()
        }
        return {
            **({"folders": folders} if folders else {}),
            "version": 2,
            "log": self.log_option,
            "parts": parts,
            "users": self.users is not None,
            **options,
        }

    def files(self) -> Iterable[Path]:
        """The files that are named; DataError where one is not there."""
        problems, paths = Problems(), list[Path]()
        for option, text in self.named_paths():
            paths += table_files(text, option, problems)
        problems.raise_any()
        return paths

    @property
    def log_option(self) -> str:
        """The option that the log is given in."""
        return next(name for name in _LOGS if getattr(self, name) is not None)

    def log_paths(self) -> list[tuple[str, str]]:
        """Part, empty where the log is one file, and path."""
        log = getattr(self, self.log_option)
        return (
            [(part, log[part]) for part in PARTS if part in log] if isinstance(log, Mapping) else [("", log)]
        )

    def named_paths(self) -> list[tuple[str, str]]:
        """What messages call each table, and its path."""
        users = [] if self.users is None else [("users", self.users)]
        log = self.log_option
        logs = [(f"{log}[{part!r}]" if part else log, path) for part, path in self.log_paths()]
        return [("items", self.items), *users, *logs]

    def tables(self) -> table.Tables:
        """The tables of it, checked."""
        self.files()
        reader = TableReader(self)
        read = reader.read()
        return TableMaker(self, read, reader.dropped, reader.rules).make().check()


@lru_cache(maxsize=64)
def _reads(
    path: str, state: object, columns: Mapping[str, str], kinds: Mapping[str, str]
) -> Mapping[str, int]:
    problems = Problems()
    frame = read_frame(path, "items", problems)
    problems.raise_any()
    assert frame is not None  # it is None only where there is a problem
    found = attributes_in(frame, item_roles(frame, columns, problems), "items", kinds, problems)
    problems.raise_any()
    return budgets({name: pa.chunked_array([column]) for name, column in found.items()})
