"""Food.com (Majumder et al. 2019, https://arxiv.org/abs/1909.00105): recipes, and the ratings of those who cooked them."""

from __future__ import annotations

import ast
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

import attrs
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from lego import Tables
from lego.errors import DataError, Problem
from lego.spec import PATH, Source, between, field_names, ge, operator

RECIPES, INTERACTIONS = "RAW_recipes.csv", "RAW_interactions.csv"
_RECIPE = ("name", "id", "minutes", "tags", "nutrition", "description", "ingredients")
_INTERACTION = ("user_id", "recipe_id", "date", "rating")
_SHOWN = 20
"""Rows that an error lists."""


def _path_text(value: Any) -> Any:
    return os.fspath(value) if isinstance(value, os.PathLike) else value


@operator
class FoodCom(Source):
    """Recipes with what people cooked and rated, each click an impression with drawn candidates.

    - A click is a rating above `above` (3 of 5). A rating of 0 comes with a review and says that no stars were given: it is left
      out (`unrated="drop"`) or is a click (`"click"`).
    - Clicks are in the order of their days; those of one day in the order of the file.
    - Parts, candidates, `missing` and `seed` are as in `Tables`: the latest `test` share of the impressions is test, the `dev`
      share before them dev; the candidates are the click and up to `negatives` recipes that the user never rated.
    - The items are all recipes, in the order of the file, with title, description, tags, ingredients, minutes and calories.
      Blanks in a text are made single; a recipe without a name keeps its row.
    """

    reads: ClassVar[Mapping[str, int]] = {"title": 12, "tags": 20, "ingredients": 20}
    domain: ClassVar[str] = "recipes"
    language: ClassVar[str] = "English"
    attributes: ClassVar[tuple[str, ...]] = (
        "title",
        "description",
        "tags",
        "ingredients",
        "minutes",
        "calories",
    )
    official_files: ClassVar[tuple[str, ...]] = (RECIPES, INTERACTIONS)
    url: ClassVar[str] = "https://www.kaggle.com/datasets/shuyangli94/food-com-recipes-and-user-interactions"
    licence: ClassVar[str] = "of the authors of the data set; see its page"
    task: ClassVar[str] = "ratings"
    proven: ClassVar[str] = "format"

    path: str = attrs.field(kw_only=False, converter=_path_text, metadata=PATH)
    above: float = 3.0
    unrated: Literal["drop", "click"] = "drop"
    candidates: Literal["popularity", "uniform"] = "popularity"
    negatives: int = attrs.field(default=20, validator=ge(1))
    dev: float = attrs.field(default=0.1, validator=between(0.0, 1.0))
    test: float = attrs.field(default=0.1, validator=between(0.0, 1.0))
    history: int = attrs.field(default=50, validator=ge(1))
    missing: Literal["error", "drop", "empty"] = "drop"
    seed: int = attrs.field(default=0, validator=ge(0))

    @classmethod
    def examples(cls) -> Iterable[FoodCom]:
        """With every option at its default, and with others."""
        return (cls("food.com"), cls("food.com", above=4, unrated="click", negatives=5))

    def fingerprint(self) -> Mapping[str, Any]:
        """Every option but `path` and `history`; `version` counts changes of the rules above."""
        left_out = ("path", "history")
        options = {name: getattr(self, name) for name in field_names(type(self)) if name not in left_out}
        return {"version": 1, **options}

    def files(self) -> list[Path]:
        """Recipes and interactions; DataError with where to get them."""
        folder = Path(self.path).expanduser()
        found = [folder / RECIPES, folder / INTERACTIONS]
        absent = [each for each in found if not each.is_file()]
        if absent:
            fix = f"get the files from {self.url}, unpack them, and give their folder"
            raise DataError([Problem(str(each), "the file is not there", fix) for each in absent])
        return found

    def tables(self) -> Any:
        """What `Tables` makes of the recipes and the clicks."""
        recipes, interactions = self.files()
        problems: list[Problem] = []
        items = _items(_read(recipes, _RECIPE, problems), recipes.name, problems)
        rows = self._rows(_read(interactions, _INTERACTION, problems), interactions.name, problems)
        if problems or items is None or rows is None:
            raise DataError(problems[:_SHOWN], more=max(0, len(problems) - _SHOWN))
        made = Tables(
            items=items,  # its converter keeps a table as a file
            rows=rows,
            kinds=_KINDS,
            candidates=self.candidates,
            negatives=self.negatives,
            split="time",
            dev=self.dev,
            test=self.test,
            history=self.history,
            missing=self.missing,
            seed=self.seed,
        )
        return made.tables()

    def _rows(self, table: pa.Table | None, name: str, problems: list[Problem]) -> pa.Table | None:
        """user, item, label, time."""
        if table is None:
            return None
        good = pc.match_substring_regex(table["rating"], r"^[0-5]$")
        problems += _wrong(table["rating"], good, name, "rating", "a whole number from 0 to 5")
        day = pc.strptime(table["date"], format="%Y-%m-%d", unit="s", error_is_null=True)
        problems += _wrong(table["date"], day.is_valid(), name, "date", "a day such as 2008-05-21")
        for column in ("user_id", "recipe_id"):
            there = pc.greater(pc.utf8_length(table[column]), 0)
            problems += _wrong(table[column], there, name, column, "an id")
        if problems:
            return None
        rating = table["rating"].cast(pa.int64())
        label = pc.greater(rating, self.above)
        if self.unrated == "click":
            label = pc.or_(label, pc.equal(rating, 0))
        rows = pa.table(
            {
                "user": table["user_id"],
                "item": table["recipe_id"],
                "label": label.cast(pa.int8()),
                "time": day.cast(pa.int64()),
            }
        )
        return rows if self.unrated == "click" else rows.filter(pc.greater(rating, 0))


_KINDS = {
    "title": "text",
    "description": "text",
    "tags": "list",
    "ingredients": "list",
    "minutes": "number",
    "calories": "number",
}


def _read(path: Path, columns: tuple[str, ...], problems: list[Problem]) -> pa.Table | None:
    """These columns of a file as texts: values may hold line breaks, as reviews and descriptions do."""
    options: dict[str, Any] = {
        "parse_options": pyarrow.csv.ParseOptions(newlines_in_values=True),
        "convert_options": pyarrow.csv.ConvertOptions(
            include_columns=columns,
            column_types=dict.fromkeys(columns, pa.string()),
            strings_can_be_null=False,
        ),
    }
    try:
        return pyarrow.csv.read_csv(path, **options)
    except (pa.ArrowException, UnicodeDecodeError) as problem:
        what = f"it cannot be read: {' '.join(str(problem).split())}"
        fix = f"give the official file, a CSV with the columns {', '.join(columns)}"
        problems.append(Problem(path.name, what, fix))
    except KeyError as problem:
        told = str(problem).strip("'\"")
        problems.append(Problem(path.name, told, f"give the official file: it has {', '.join(columns)}"))
    return None


def _items(table: pa.Table | None, name: str, problems: list[Problem]) -> pa.Table | None:
    if table is None:
        return None
    there = pc.greater(pc.utf8_length(table["id"]), 0)
    problems += _wrong(table["id"], there, name, "id", "an id")
    minutes = pc.match_substring_regex(table["minutes"], r"^\d+$")
    problems += _wrong(table["minutes"], minutes, name, "minutes", "a whole number")
    lists: dict[str, list[list[Any] | None]] = {}
    for column in ("tags", "ingredients", "nutrition"):
        lists[column] = [_list_of(each) for each in table[column].to_pylist()]
        good = pa.array([each is not None for each in lists[column]], pa.bool_())
        problems += _wrong(table[column], good, name, column, "a list such as ['a', 'b']")
    if problems:
        return None
    words = pa.list_(pa.string())
    return pa.table(
        {
            "item_id": table["id"],
            "title": _single(table["name"]),
            "description": _single(table["description"]),
            "tags": pa.array([list(map(str, each or ())) for each in lists["tags"]], words),
            "ingredients": pa.array([list(map(str, each or ())) for each in lists["ingredients"]], words),
            "minutes": table["minutes"].cast(pa.float64()),
            "calories": pa.array(list(map(_first, lists["nutrition"])), pa.float64()),
        }
    )


def _list_of(text: str) -> list[Any] | None:
    """The file has lists as Python prints them. None where it is no list."""
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None
    return value if isinstance(value, list) else None


def _first(nutrition: list[Any] | None) -> float | None:
    """Calories come first: a number, or nothing."""
    value = nutrition[0] if nutrition else None
    return float(value) if isinstance(value, int | float) else None


def _single(texts: pa.ChunkedArray) -> Any:
    return pc.replace_substring_regex(pc.utf8_trim_whitespace(texts), r"\s+", " ")


def _wrong(values: Any, good: Any, name: str, column: str, expected: str) -> Iterator[Problem]:
    """A problem for each row that is not good, counted from 1 below the header."""
    rows = pc.indices_nonzero(pc.invert(pc.fill_null(good, fill_value=False))).to_pylist()
    for row in rows:
        what = f"{column} is {values[row].as_py()!r}"
        yield Problem(f"{name} row {row + 1}", what, f"make it {expected}")
