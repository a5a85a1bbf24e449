"""xMIND (Iana et al. 2024, https://arxiv.org/abs/2403.17876): the news of MIND in 14 other languages, machine-translated.

Reads the official archives, or the folders that they unpack to, and joins them to MIND by the ids of the news.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import attrs
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lego.data.impressions.interactions import is_text, path_text
from lego.data.problems import LIMIT, Problems
from lego.data.raw.raw_file import RawFile, named
from lego.data.raw.tab_file import TabFile, ensure
from lego.data.source.mind import MIND, refuse_share_beside_test
from lego.data.table import Tables, flat
from lego.errors import DataError, Problem
from lego.spec import PATH, Source, between, field_names, ge, one_of, operator

LANGUAGES: Mapping[str, str] = {
    "cmn": "Mandarin Chinese",
    "fin": "Finnish",
    "grn": "Guarani",
    "hat": "Haitian Creole",
    "ind": "Indonesian",
    "jpn": "Japanese",
    "kat": "Georgian",
    "ron": "Romanian",
    "som": "Somali",
    "swh": "Swahili",
    "tam": "Tamil",
    "tha": "Thai",
    "tur": "Turkish",
    "vie": "Vietnamese",
}
"""The languages there are, by their codes in ISO 639-3."""

_FOLDER = re.compile(r"x(mind[a-z]*)_(train|dev|test)(?:\.zip)?", re.IGNORECASE)
_COLUMNS = ("nid", "title", "abstract")
_TEXTS = ("title", "abstract")


@operator
class XMIND(Source):
    """Impressions of MIND, whose news have their titles and abstracts in another language.

    - `path` is the folder xMIND, which holds a folder for each language, or the folder of the language; `xMINDsmall_train.zip`
      and `xMINDsmall_dev.zip` (or xMINDlarge) are read in place, or as the folders that they unpack to. `mind` is the folder of
      MIND of the same edition: ids of the small and the large edition are not the same news.
    - Users, impressions, histories, categories, parts and the options `dev`, `history`, `missing` and `test` are those of `MIND`:
      `test="test"` reads `xMINDlarge_test` beside the other two, for the test part of MINDlarge, whose labels are hidden.
    - Of a news that several archives have, the text of the first, of train, dev and test, is kept; one with another text in a
      later one is counted.
    - A news of MIND without a translation is an error (`untranslated="error"`), keeps its English text (`"english"`), has no text
      but its categories (`"empty"`), or is taken out of the catalogue (`"missing"`), so that `missing` says what becomes of it in
      the log. They are counted, whichever it is.
    - A news that only xMIND has is an item without categories; it is counted.
    """

    reads: ClassVar[Mapping[str, int]] = {"title": 30, "category": 4}
    domain: ClassVar[str] = "news"
    holds: ClassVar[Mapping[str, Mapping[str, str]]] = {
        "items": {"title": "text", "abstract": "text", "category": "category", "subcategory": "category"},
    }
    attributes: ClassVar[tuple[str, ...]] = tuple(holds["items"])
    official_files: ClassVar[tuple[str, ...]] = (
        "xMINDsmall_train.zip (news.tsv)",
        "xMINDsmall_dev.zip (news.tsv)",
        "and the archives of MIND",
    )
    url: ClassVar[str] = "https://github.com/andreeaiana/xMIND"
    licence: ClassVar[str] = "CC BY-NC-SA 4.0; the terms of MIND for what is joined"
    languages: ClassVar[str] = f"one of {', '.join(LANGUAGES.values())}"
    proven: ClassVar[str] = "real rows"

    path: str = attrs.field(kw_only=False, converter=path_text, metadata=PATH, validator=is_text)
    mind: str = attrs.field(converter=path_text, metadata=PATH, validator=is_text)
    language: str = attrs.field(validator=one_of(*LANGUAGES))  # type: ignore[misc]  # of one spec, not of all
    untranslated: Literal["error", "english", "empty", "missing"] = "error"
    dev: float = attrs.field(default=0.1, validator=between(0.0, 1.0))
    history: int = attrs.field(default=50, validator=ge(1))
    missing: Literal["error", "drop", "empty"] = "error"
    test: Literal["dev", "test"] = "dev"

    def __attrs_post_init__(self) -> None:
        """The dev part is the dev folder where another one is test."""
        refuse_share_beside_test(type(self).__name__, self.dev, self.test)

    @classmethod
    def examples(cls) -> Iterable[Self]:
        """A full edition, and one of which a part is there."""
        return (
            cls("xMIND", mind="mind", language="fin"),
            cls("xMIND", mind="mind", language="cmn", untranslated="english", missing="drop"),
        )

    @classmethod
    def within(cls, folder: Path) -> Iterable[Self]:
        """For each language that the folder holds, with the first MIND of its edition there, beside it, or above it."""
        # Of "." the parent is "." again; a link is beside what stands beside it, not beside what it leads to.
        above = Path(os.path.abspath(folder)).parent  # noqa: PTH100 - it would follow the link
        beside = sorted(each for each in above.iterdir() if each.is_dir())
        for language in LANGUAGES:
            if not any((folder / name).is_dir() for name in (language, f"xMIND/{language}")):
                continue
            for mind in (folder, above, *beside):
                made = cls(str(folder), mind=str(mind), language=language)
                try:
                    made.files()
                except (DataError, OSError):
                    continue
                english = cls(str(folder), mind=str(mind), language=language, untranslated="english")
                yield english if list(made.lacks()) else made
                break

    def lacks(self) -> Iterable[str]:
        """The part of the translation that is missing."""
        raw = self._mind().raw_files()
        there = {file.path.name if file.member else file.path.parent.name for file in self._texts(raw)}
        for part in self._folders:
            if not any(f"_{part}" in name.lower() for name in there):
                yield f"the translation of {part} is missing, so the news that it has alone keep their English text"

    def fingerprint(self) -> Mapping[str, Any]:
        """Every option but the paths and `history`; `version` counts changes of the rules above."""
        names = [name for name in field_names(type(self)) if name not in {"path", "mind", "history", "test"}]
        told = {"version": 1, **{name: getattr(self, name) for name in names}}
        # What was prepared before there was a choice keeps its name.
        return told if self.test == "dev" else {**told, "test": self.test}

    def files(self) -> Iterable[Path]:
        """The files of MIND, then those of xMIND; DataError with where to get them."""
        mind = self._mind()
        raw = mind.raw_files()
        return [*mind.files(), *dict.fromkeys(file.path for file in self._texts(raw))]

    def tables(self) -> Tables:
        """The tables of it, checked."""
        mind = self._mind()
        files = self._texts(mind.raw_files())
        problems = Problems()
        read = [_read(file, problems) for file in files]
        problems.raise_any()
        texts, other = _merged([each for each in read if each is not None])

        def change(items: pa.Table, dropped: dict[str, int]) -> pa.Table:
            dropped["translations_with_other_text"] = other
            return self._translated(items, texts, files, dropped)

        made = mind.read(change)
        rules = {"language": self.language, "untranslated": self.untranslated}
        return attrs.evolve(made, rules={**made.rules, **rules}).check()

    def _mind(self) -> MIND:
        return MIND(self.mind, dev=self.dev, history=self.history, missing=self.missing, test=self.test)

    @property
    def _folders(self) -> tuple[str, ...]:
        """The parts of the translation that are read, in their order."""
        return ("train", "dev") if self.test == "dev" else ("train", "dev", "test")

    def _texts(self, mind: list[RawFile]) -> list[RawFile]:
        """news.tsv of each part, of those that are there."""
        train = mind[0]
        folder = train.path.name if train.member else train.path.parent.name
        return _find(Path(self.path).expanduser(), self.language, folder, self._folders)

    def _translated(
        self, items: pa.Table, texts: pa.Table, files: list[RawFile], dropped: dict[str, int]
    ) -> pa.Table:
        """The items of MIND with the texts of the language."""
        items = items.combine_chunks()
        place = pc.index_in(_one(items["item_id"]), value_set=_one(texts["nid"]))
        without = flat(place.is_null())
        if without.any() and self.untranslated == "error":
            raise self._untranslated(items["item_id"].filter(pa.array(without)), files)
        named_as = {
            "english": "news_left_in_english",
            "empty": "news_without_text",
            "missing": "untranslated_news",
        }
        if self.untranslated in named_as:
            dropped[named_as[self.untranslated]] = int(without.sum())
        columns = {"item_id": _one(items["item_id"])}
        for name in _TEXTS:
            given = _one(texts[name]).take(place)
            instead = (
                _one(items[name]) if self.untranslated == "english" else pa.nulls(len(place), pa.string())
            )
            columns[name] = pc.if_else(pa.array(without), instead, given)
        columns |= {name: items[name] for name in items.column_names if name not in columns}
        made = pa.table(columns)
        if self.untranslated == "missing":
            made = made.filter(pa.array(~without))
        alone = texts.filter(
            pc.invert(pc.is_in(_one(texts["nid"]), value_set=_one(items["item_id"])))
        ).combine_chunks()
        dropped["news_of_the_translation_alone_without_attributes"] = alone.num_rows
        more = {
            field.name: pa.nulls(alone.num_rows, field.type)
            for field in made.schema
            if field.name not in _TEXTS
        }
        more |= {"item_id": _one(alone["nid"]), **{name: _one(alone[name]) for name in _TEXTS}}
        return pa.concat_tables([made, pa.table([more[name] for name in made.column_names], made.schema)])

    def _untranslated(self, ids: pa.ChunkedArray, files: list[RawFile]) -> DataError:
        there = " and ".join(file.label for file in files)
        fix = f'use the complete xMIND (read was {there}), or choose untranslated="english", "empty" or "missing"'
        shown = ids[:LIMIT].to_pylist()
        problems = [Problem(f"news {each}", f"has no text in {self.language}", fix) for each in shown]
        return DataError(problems, more=len(ids) - len(shown))


def _one(column: pa.ChunkedArray | pa.Array) -> pa.Array:
    if isinstance(column, pa.ChunkedArray):
        return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)
    return column


def _find(root: Path, language: str, mind: str, parts: tuple[str, ...]) -> list[RawFile]:
    """news.tsv of the parts in the language, of the edition of MIND that `mind`, the name of its folder, says."""
    get = f"download the folder {language} of xMIND from {XMIND.url}, and give the folder that holds it"
    if not root.is_dir():
        what = "is a file, a folder is expected" if root.exists() else "there is no such folder"
        raise DataError([Problem(str(root), what, get)])
    folder = next((each for each in (root / language, root / "xMIND" / language) if each.is_dir()), root)
    if folder == root and root.name in LANGUAGES and root.name != language:
        what = f"is the folder of {LANGUAGES[root.name]}, and language={language!r} was asked for"
        raise DataError([Problem(str(root), what, f"give {root.parent}, or choose language={root.name!r}")])
    found: dict[str, dict[str, Path]] = {}
    # Folders come behind archives, so that of the two the folder is read.
    for place in sorted(folder.iterdir(), key=lambda each: (each.is_dir(), each.name)):
        form = _FOLDER.fullmatch(place.name)
        if form and place.is_dir() != (place.suffix.lower() == ".zip"):
            found.setdefault(form[1].lower(), {})[form[2].lower()] = place
    wanted = re.match(r"(mind[a-z]+)_", mind, re.IGNORECASE)
    chosen = found.get(wanted[1].lower()) if wanted else None
    if chosen is None and wanted is None and len(found) == 1:
        (chosen,) = found.values()
    if chosen is None:
        names = ", ".join(place.name for parts in found.values() for place in parts.values())
        edition = f"x{wanted[1]}" if wanted else "xMINDsmall"
        what = f"holds {names or 'no xMIND'}, and {edition}_train and {edition}_dev are expected"
        raise DataError([Problem(str(folder), what, get)])
    problems = Problems()
    files = []
    for part in parts:
        if part not in chosen:  # what it lacks is untranslated, and that has a rule
            continue
        place = chosen[part]
        if place.is_dir():
            there = [RawFile(place / "news.tsv")] if (place / "news.tsv").is_file() else []
        else:
            there = named(place, "news.tsv", problems)
        if len(there) == 1:
            files += there
        elif not problems:
            what = "holds no news.tsv" if not there else "holds more than one news.tsv"
            problems.add(str(place), what, get)
    problems.raise_any()
    return files


def _read(file: RawFile, problems: Problems) -> pa.Table | None:
    blocks: list[pa.RecordBatch] = []

    def take(block: pa.RecordBatch) -> None:
        ensure(
            pc.all(pc.match_substring_regex(block["nid"], r"^\S+$"), min_count=0).as_py(),
            "an id is empty or holds a blank",
        )
        blocks.append(block)

    def complaints(row: Mapping[str, str]) -> Iterable[tuple[str, str]]:
        if not re.match(r"^\S+$", row["nid"], re.ASCII):
            yield "nid", f"an id without blanks is expected, {row['nid']!r} found"

    rows = TabFile(file, _COLUMNS)
    if not rows.read(take, problems, complaints, "nid"):
        return None
    table = pa.Table.from_batches(blocks).select(list(_COLUMNS))
    ids = table["nid"]
    if pc.count_distinct(ids).as_py() < len(ids):
        rows.complain(problems, complaints, "nid")
        return None
    return table


def _merged(tables: list[pa.Table]) -> tuple[pa.Table, int]:
    """One row for each id, and how many have another text in a later table."""
    first, other = tables[0], 0
    for table in tables[1:]:
        place = pc.index_in(_one(table["nid"]), value_set=_one(first["nid"]))
        both = table.filter(place.is_valid())
        kept = first.take(place.drop_null())
        differs = np.zeros(both.num_rows, bool)
        for name in _TEXTS:
            differs |= flat(pc.not_equal(both[name], kept[name]))
        other += int(differs.sum())
        first = pa.concat_tables([first, table.filter(place.is_null())])
    return first, other
