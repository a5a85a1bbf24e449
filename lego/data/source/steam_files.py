"""The versions of Steam: which files a folder holds, and their games and logs in one form.

App_ID_Info.txt      train_game.txt                      RecBench
                     steam-200k.csv                      Kaggle
steam_games.json     steam_reviews.json                  UCSD, reviews
steam_games.json     australian_users_items.json         UCSD, what users have
steam_games.json     australian_user_reviews.json        UCSD, what these users reviewed

Those of UCSD may be gzipped.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lego.data.problems import Problems
from lego.data.raw.clean import clean
from lego.data.raw.columns import one
from lego.data.raw.json_lines import LINE, Field, complain_of_values, read_json_lines, whole_lines
from lego.data.raw.official import first_of, missing
from lego.data.raw.once_each import first_rows
from lego.data.raw.reader import Column, Layout, read_rows
from lego.data.raw.times import ISO, read_times
from lego.data.table import CATEGORY, TEXT, flat
from lego.errors import DataError, Problem

URL = "https://cseweb.ucsd.edu/~jmcauley/datasets.html#steam_data"
KAGGLE = "https://www.kaggle.com/datasets/tamber/steam-video-games"

_TEXTS = pa.list_(pa.string())


def _as_text(value: Any) -> Any:
    """A number as a text."""
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def _as_price(value: Any) -> Any:
    """Words for a price are 0 where they say that it is free, and missing otherwise."""
    return (0.0 if "free" in value.casefold() else None) if isinstance(value, str) else value


_GAME = (
    Field("id", otherwise=_as_text),
    Field("app_name", otherwise=_as_text),
    Field("title", otherwise=_as_text),
    Field("developer", otherwise=_as_text),
    Field("publisher", otherwise=_as_text),
    Field("genres", _TEXTS),
    Field("tags", _TEXTS),
    Field("price", pa.float64(), otherwise=_as_price),
)
_REVIEW = (
    Field("username", otherwise=_as_text),
    Field("product_id", required=True, otherwise=_as_text),
    Field("date"),
    Field("hours", pa.float64()),
)
_OWNED = pa.list_(pa.struct([("item_id", pa.string()), ("playtime_forever", pa.float64())]))
_LIBRARY = (Field("user_id", required=True, otherwise=_as_text), Field("items", _OWNED))
_OPINIONS = pa.list_(
    pa.struct([("item_id", pa.string()), ("posted", pa.string()), ("recommend", pa.bool_())])
)
_REVIEWER = (Field("user_id", required=True, otherwise=_as_text), Field("reviews", _OPINIONS))
_BUNDLED = pa.list_(pa.struct([("item_id", pa.string())]))
_BUNDLE = (Field("bundle_name", otherwise=_as_text), Field("items", _BUNDLED))
_POSTED = r"^\s*Posted (?P<month>\w{3})[a-z]* (?P<day>\d{1,2}), (?P<year>\d{4})\.?\s*$"
"""`Posted November 5, 2011.`"""
_YEARLESS = r"^\s*(Posted [A-Za-z]+ \d{1,2})\.?\s*$"
"""`Posted July 3.`: what was posted in the year in which the page was read says none."""
_LOGS = {
    "reviews": "steam_reviews.json",
    "library": "australian_users_items.json",
    "user_reviews": "australian_user_reviews.json",
}
_ROWS = (
    Column("user"),
    Column("title"),
    Column("behavior"),
    Column("value", pa.float64(), low=0),
    Column("nothing"),
)


class Version:
    """The files of one version."""

    name: str
    says: frozenset[str] = frozenset({"have", "play"})
    """What it says of a game that can be a click."""
    paths: list[Path]
    log: Path

    def read_games(
        self, steps: tuple[str, ...], problems: Problems, dropped: dict[str, int]
    ) -> pa.Table | None:
        """The games, each once; None where a game is its title."""
        return None

    def read_log(self, click: str, problems: Problems, dropped: dict[str, int]) -> Iterator[pa.Table]:
        """User, item, value (1, or hours for `click="play"`), and time where there is one, piece by piece."""
        raise NotImplementedError

    def titles(self, ids: pa.Array, steps: tuple[str, ...]) -> pa.Table:
        """Games that are their titles."""
        return pa.table({"item_id": ids, "title": clean(ids, steps)})

    def complain_of_missing(self, absent: pa.Array, fix: str, problems: Problems) -> None:
        """Rows of games that are not there, by line."""


def find(folder: Path, log: str | None, year: int | None = None, *, bundles: bool = False) -> Version:
    """The version in the folder; DataError with where to get one."""
    games = first_of(folder, "steam_games.json")
    if games is not None:
        wanted = [name for kind, name in _LOGS.items() if log in (None, kind)]
        path = first_of(folder, *wanted)
        if path is None:
            what, fix = (
                f"{' or '.join(wanted)} is missing",
                f"download it from {URL} and put it beside {games.name}",
            )
            raise DataError([Problem(str(folder), what, fix)])
        packs = first_of(folder, "bundle_data.json") if bundles else None
        if bundles and packs is None:
            fix = f"download it from {URL}, or leave bundles= out"
            raise DataError(
                [Problem(str(folder), "bundle_data.json is missing, which bundles=True reads", fix)]
            )
        kind = Opinions if path.name.startswith(_LOGS["user_reviews"]) else _Ucsd
        return kind(games, path, packs, year)
    if log is not None or bundles:
        asked = "bundles=True" if log is None else f"log={log!r}"
        what = f"holds no steam_games.json.gz, which {asked} is of"
        raise DataError(
            [
                Problem(
                    str(folder),
                    what,
                    f"download it from {URL}, or leave {asked.split('=', maxsplit=1)[0]}= out",
                )
            ]
        )
    rows = folder / "steam-200k.csv"
    if rows.is_file():
        return _Kaggle(rows)
    apps, users = folder / "App_ID_Info.txt", folder / "train_game.txt"
    if apps.is_file() and users.is_file():
        return _RecBench(apps, users)
    begun = [path.name for path in (apps, users) if not path.is_file()]
    wanted_names = begun[0] if len(begun) == 1 else "steam_games.json.gz, steam-200k.csv or App_ID_Info.txt"
    fix = (
        f"download steam_games.json.gz and steam_reviews.json.gz from {URL}, or steam-200k.csv from {KAGGLE}"
    )
    raise missing(folder, wanted_names, fix, "steam_games.json*", "steam-200k.csv", "App_ID_Info.txt")


class _RecBench(Version):
    name = "RecBench"
    says = frozenset({"have"})

    def __init__(self, apps: Path, users: Path) -> None:
        self.apps, self.log, self.paths = apps, users, [apps, users]

    def read_games(self, steps: tuple[str, ...], problems: Problems, dropped: dict[str, int]) -> pa.Table:
        ids, titles = [], []
        for number, line in _text_lines(self.apps, problems):
            try:
                fields = next(csv.reader([line], strict='"' in line and line.count('"') % 2 == 0), [])
            except csv.Error:
                fields = line.split(",")
            if len(fields) < 2 or not fields[0].strip():
                what = "an id and a title are expected, with a comma between"
                problems.add(f"{self.apps.name} line {number}", what, "correct the line, or take it out")
                continue
            ids.append(fields[0].strip())
            titles.append(fields[1])
        problems.raise_any()
        if not ids:
            problems.add(self.apps.name, "holds no rows", "put the complete file in its place")
            problems.raise_any()
        table = pa.table({"item_id": pa.chunked_array([ids]), "title": clean(pa.array(titles, TEXT), steps)})
        return _each_once(table, dropped)

    def read_log(self, click: str, problems: Problems, dropped: dict[str, int]) -> Iterator[pa.Table]:
        rows = 0
        for first, block in whole_lines(self.log, problems):
            lines = _decoded(self.log.name, first, block, problems)
            values = pc.split_pattern(lines, ",")
            there = pc.not_equal(lines, "")
            user = pc.utf8_trim_whitespace(pc.list_element(values, 0))
            for row in np.flatnonzero(flat(pc.and_(there, pc.equal(user, "")))).tolist():
                what = "a user and their games are expected, with commas between"
                problems.add(f"{self.log.name} line {first + row}", what, "correct the line, or take it out")
            owner = flat(pc.list_parent_indices(values))
            item = pc.utf8_trim_whitespace(pc.list_flatten(values))
            head = np.r_[True, owner[1:] != owner[:-1]] if len(owner) else np.zeros(0, bool)
            kept = pa.array(~head & flat(pc.not_equal(item, "")))
            table = pa.table({"user": user.take(pa.array(owner)), "item": item}).filter(kept)
            rows += table.num_rows
            yield table.append_column("value", pa.array(np.ones(table.num_rows, np.float32)))
        if not rows:
            problems.add(self.log.name, "holds no rows", "put the complete file in its place")

    def complain_of_missing(self, absent: pa.Array, fix: str, problems: Problems) -> None:
        wanted = set(absent.to_pylist())
        for number, line in _text_lines(self.log, problems):
            for game in line.split(",")[1:]:
                if game.strip() in wanted:
                    what = f"game {game.strip()} is not in {self.apps.name}"
                    problems.add(f"{self.log.name} line {number}", what, fix)


class _Kaggle(Version):
    name = "Kaggle"

    def __init__(self, rows: Path) -> None:
        self.log, self.paths = rows, [rows]

    def read_log(self, click: str, problems: Problems, dropped: dict[str, int]) -> Iterator[pa.Table]:
        layout = Layout(tuple(column.name for column in _ROWS))
        table = read_rows(self.log, _ROWS, problems, layout)
        if table is None:
            return
        behavior = table["behavior"]
        known = pc.is_in(behavior, value_set=pa.array(["purchase", "play"]))
        for row in np.flatnonzero(~flat(known)).tolist():
            what = f"purchase or play is expected, {behavior[row].as_py()!r} found"
            problems.add(
                f"{self.log.name} line {row + 1}, column 3", what, "correct the value, or take the row out"
            )
        wanted = pc.equal(behavior, "play" if click == "play" else "purchase")
        others = pc.invert(wanted)
        zero = pa.scalar(0.0)
        value = pc.if_else(wanted, table["value"], zero)
        whole = pa.table({"user": table["user"], "item": table["title"], "value": value})
        # Of a game that was bought and played the row that counts comes first; the other one is a repetition.
        yield whole.filter(wanted)
        yield whole.filter(others)


class _Ucsd(Version):
    name = "UCSD"

    def __init__(self, games: Path, log: Path, bundles: Path | None, year: int | None) -> None:
        self.games, self.log, self.bundles, self.year = games, log, bundles, year
        self.paths = [games, log, *([] if bundles is None else [bundles])]

    def read_games(self, steps: tuple[str, ...], problems: Problems, dropped: dict[str, int]) -> pa.Table:
        pieces = list(read_json_lines(self.games, _GAME, problems, literal=True))
        problems.raise_any()
        table = pa.concat_tables(pieces)
        known = pc.fill_null(pc.match_substring_regex(table["id"], r"\S"), fill_value=False)
        dropped["games_without_id"] = table.num_rows - int(pc.sum(known).as_py() or 0)
        table = table.filter(known)
        made: dict[str, Any] = {
            "item_id": table["id"],
            "title": clean(pc.coalesce(table["app_name"], table["title"]), steps),
        }
        for name in ("developer", "publisher"):
            made[name] = pc.cast(clean(table[name], steps).dictionary_encode(), CATEGORY)
        for name in ("genres", "tags"):
            made[name] = clean(one(table[name]), steps)
        games = _each_once(pa.table(made | {"price": table["price"]}), dropped)
        if self.bundles is None:
            return games
        return games.append_column("bundles", _bundles(self.bundles, one(games["item_id"]), steps, problems))

    def read_log(self, click: str, problems: Problems, dropped: dict[str, int]) -> Iterator[pa.Table]:
        if self.log.name.startswith("australian"):
            for piece in read_json_lines(self.log, _LIBRARY, problems, literal=True):
                yield _owned(piece, click)
            return
        dropped |= {"reviews_without_user": 0, "reviews_without_day": 0}
        for piece in read_json_lines(self.log, _REVIEW, problems, literal=True, lines=True):
            time, known, blank = read_times(self.log.name, "date", piece, ISO, "2017-08-17", problems)
            signed = flat(pc.fill_null(pc.match_substring_regex(piece["username"], r"\S"), fill_value=False))
            dropped["reviews_without_day"] += blank
            dropped["reviews_without_user"] += int((known & ~signed).sum())
            value = (
                pc.fill_null(piece["hours"], 0.0) if click == "play" else pa.array(np.ones(piece.num_rows))
            )
            table = pa.table(
                {"user": piece["username"], "item": piece["product_id"], "value": value, "time": time}
            )
            yield table.filter(pa.array(known & signed))

    def complain_of_missing(self, absent: pa.Array, fix: str, problems: Problems) -> None:
        what = f"game {{}} is not in {self.games.name}"
        if not self.log.name.startswith("australian"):
            complain_of_values(self.log, _REVIEW[1], absent, what, fix, problems, literal=True)
            return
        field = (_LIBRARY if self.log.name.startswith(_LOGS["library"]) else _REVIEWER)[1]
        for piece in read_json_lines(self.log, [field], Problems(), literal=True, lines=True):
            named = one(piece[field.name])
            ids, owner = pc.struct_field(named.flatten(), "item_id"), pc.list_parent_indices(named)
            for place in np.flatnonzero(flat(pc.is_in(ids, value_set=absent))).tolist():
                line = piece[LINE][owner[place].as_py()].as_py()
                where = f"{self.log.name} line {line}, column {field.name}"
                problems.add(where, what.format(ids[place].as_py()), fix)


class Opinions(_Ucsd):
    """What users of Australia reviewed, and whether they recommend it."""

    says = frozenset({"have", "recommend"})

    def read_log(self, click: str, problems: Problems, dropped: dict[str, int]) -> Iterator[pa.Table]:
        """User, item, 1 or whether it is recommended, and time, piece by piece."""
        dropped |= {"reviews_without_game": 0, "reviews_without_day": 0, "reviews_without_year": 0}
        for piece in read_json_lines(self.log, _REVIEWER, problems, literal=True, lines=True):
            written = one(piece["reviews"])
            owner, reviews = pc.list_parent_indices(written), written.flatten()
            fields = {name: pc.struct_field(reviews, name) for name in ("item_id", "posted", "recommend")}
            table = pa.table(fields | {name: one(piece[name]).take(owner) for name in ("user_id", LINE)})
            posted = one(table["posted"])
            bare = pc.fill_null(pc.match_substring_regex(posted, _YEARLESS), fill_value=False)
            if self.year is None:
                dropped["reviews_without_year"] += int(flat(bare).sum())
                posted = pc.if_else(bare, pa.scalar(None, pa.string()), posted)
            else:
                posted = pc.replace_substring_regex(posted, _YEARLESS, rf"\1, {self.year}.")
            dated = pa.table({"posted": posted, LINE: table[LINE]})
            example = "Posted November 5, 2011."
            time, known, blank = read_times(self.log.name, "posted", dated, _POSTED, example, problems)
            named = flat(pc.fill_null(pc.match_substring_regex(table["item_id"], r"\S"), fill_value=False))
            dropped["reviews_without_day"] += blank - (int(flat(bare).sum()) if self.year is None else 0)
            dropped["reviews_without_game"] += int((known & ~named).sum())
            liked = pc.fill_null(table["recommend"], fill_value=False)
            value = pc.cast(liked, pa.float64()) if click == "recommend" else pa.array(np.ones(len(known)))
            made = pa.table(
                {"user": table["user_id"], "item": table["item_id"], "value": value, "time": time}
            )
            yield made.filter(pa.array(known & named))


def _bundles(path: Path, games: pa.Array, steps: tuple[str, ...], problems: Problems) -> pa.Array:
    """The names of the bundles that each game is in, in the order of the file, each once."""
    found: dict[str, dict[str, None]] = {}
    for piece in read_json_lines(path, _BUNDLE, problems, literal=True):
        names = clean(piece["bundle_name"], steps).to_pylist()
        for name, items in zip(names, piece["items"].to_pylist(), strict=True):
            for game in items or []:
                if name and game and game["item_id"]:
                    found.setdefault(game["item_id"], {})[name] = None
    return pa.array([list(found.get(game, {})) for game in games.to_pylist()], _TEXTS)


def _owned(piece: pa.Table, click: str) -> pa.Table:
    """What each user has; hours of minutes."""
    owned = one(piece["items"])
    owner, games = pc.list_parent_indices(owned), owned.flatten()
    minutes = pc.fill_null(pc.struct_field(games, "playtime_forever"), 0.0)
    value = pc.divide(minutes, 60.0) if click == "play" else pa.array(np.ones(len(games)))
    table = pa.table(
        {"user": piece["user_id"].take(owner), "item": pc.struct_field(games, "item_id"), "value": value}
    )
    return table.filter(pc.is_valid(table["item"]))


def _each_once(table: pa.Table, dropped: dict[str, int]) -> pa.Table:
    """The first of the games that have one id."""
    first = first_rows(pa.chunked_array([one(table["item_id"])]))
    dropped["repeated_games"] = table.num_rows - len(first)
    return table.take(pa.array(first)) if dropped["repeated_games"] else table


def _decoded(name: str, first: int, block: bytes, problems: Problems) -> pa.Array:
    """The lines of a block as text; a line that is not UTF-8 is a problem, and empty."""
    try:
        texts = block.decode("utf-8").replace("\r\n", "\n").removesuffix("\n").split("\n")
    except UnicodeDecodeError:
        texts = []
        for number, raw in enumerate(block.removesuffix(b"\n").split(b"\n"), first):
            try:
                texts.append(raw.decode("utf-8").rstrip("\r"))
            except UnicodeDecodeError as failure:
                what = f"byte {failure.start + 1} of the line, 0x{raw[failure.start]:02x}, is not UTF-8"
                problems.add(f"{name} line {number}", what, "save the file as UTF-8")
                texts.append("")
    return pa.array(texts, TEXT)


def _text_lines(path: Path, problems: Problems) -> Iterator[tuple[int, str]]:
    """The lines that are not blank, and their numbers."""
    for first, block in whole_lines(path, problems):
        for number, line in enumerate(_decoded(path.name, first, block, problems).to_pylist(), first):
            if line.strip():
                yield number, line
