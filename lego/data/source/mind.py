"""MIND (Wu et al. 2020, https://aclanthology.org/2020.acl-main.331): impressions of Microsoft News, with texts of the news.

Reads the official archives of MINDsmall, MINDlarge and MINDdemo, or the folders that they unpack to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

import attrs
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lego.data.impressions.interactions import is_text, path_text
from lego.data.impressions.log import (
    Catalog,
    Log,
    drop_missing,
    one_class,
    part_of_log,
)
from lego.data.impressions.shared_histories import share_histories
from lego.data.problems import Problems
from lego.data.raw.raw_file import RawFile
from lego.data.raw.raw_file import named as named_in_zip
from lego.data.source.mind_behaviors import is_labeled, missing_news, read_log
from lego.data.source.mind_folder import FILES, find
from lego.data.source.mind_list import halves_of, list_file
from lego.data.source.mind_news import merge_news, read_news
from lego.data.table import PARTS, Tables
from lego.errors import SpecError
from lego.spec import PATH, Choice, Source, between, field_names, ge, operator, without_later

_DEV = 0.1


def refuse_share_beside_test(spec: str, dev: float, test: str) -> None:
    """SpecError where dev would be a share of train, and is a folder."""
    if test == "test" and dev != _DEV and not isinstance(dev, Choice):
        raise SpecError.wrong_value(spec, "dev", dev, 'nothing beside test="test": the dev folder is dev')


@operator
class MIND(Source):
    """News that users were shown, and which of them they clicked.

    - `path` holds two folders, each with news.tsv and behaviors.tsv as they were unpacked: `MINDsmall_train` and
      `MINDsmall_dev` (or MINDlarge, MINDdemo), or `train` and `dev`. An archive (`MINDsmall_train.zip`) does as well: it is read
      in place. Where a folder and its archive are both there, the folder is read.
    - An impression, its candidates, their order and their labels are those of the log. The dev folder serves as test. The
      latest `dev` share of the train folder's impressions by (time, impression id), rounded down but at least one, are the dev
      part; a share of 0 makes none. The rules in the manifest name the time of the first of them.
    - `test="test"` reads a third folder, MINDlarge_test, as test: the file whose ranks the leaderboard of MIND measures. The dev
      folder is then dev, and the train folder train, all of it. The candidates of that file have no labels (-0, -1), so the part
      can be scored, and not measured: `lego evaluate RUN --submission prediction.zip`. Where they have labels, they are read.
    - `listed="mind_imp_list.json"` names a published list of impression ids of the dev folder, as ONCE has: the impressions of
      its first half, rounded down, are dev, those of the second test, and the train folder is train, all of it. Impressions that
      it lacks are left out and counted; ids that the log lacks are passed over.
    - The history of an impression is the whole history of its row, in click order. `history` cuts it to the most recent
      items when the data is read, and changes nothing that is prepared.
    - A user with several histories, in one file or in both, is one row of users per history. A history that another one of
      the same user continues shares its row.
    - The items are the news of the train folder and then those of the other folders that it lacks. Where two have different
      texts for an id, that of the earlier folder is kept, and the id is counted. An id that stands twice in one file is an error.
    - An id of the log that no news.tsv has is an error (`missing="error"`), is left out of histories and candidates and
      counted (`"drop"`), or makes an item without text (`"empty"`). A candidate without labels is never left out, since the
      leaderboard wants a rank for each: there `"drop"` is an error. An impression that is left without candidates is left out
      and counted. One whose candidates are all clicked, or none of them, stays; the rules in the manifest count these.
    - Times are read as UTC.
    """

    reads: ClassVar[Mapping[str, int]] = {"title": 30, "category": 4}
    domain: ClassVar[str] = "news"
    language: ClassVar[str] = "English"
    holds: ClassVar[Mapping[str, Mapping[str, str]]] = {
        "items": {"title": "text", "abstract": "text", "category": "category", "subcategory": "category"},
    }
    attributes: ClassVar[tuple[str, ...]] = tuple(holds["items"])
    official_files: ClassVar[tuple[str, ...]] = (
        "MINDsmall_train.zip (news.tsv, behaviors.tsv)",
        "MINDsmall_dev.zip (news.tsv, behaviors.tsv)",
    )
    url: ClassVar[str] = "https://msnews.github.io"
    licence: ClassVar[str] = "Microsoft Research License Terms: non-commercial research; no redistribution"
    proven: ClassVar[str] = "real rows"

    path: str = attrs.field(kw_only=False, converter=path_text, metadata=PATH, validator=is_text)
    dev: float = attrs.field(default=_DEV, validator=between(0.0, 1.0))
    history: int = attrs.field(default=50, validator=ge(1))
    missing: Literal["error", "drop", "empty"] = "error"
    test: Literal["dev", "test"] = "dev"
    listed: str | None = attrs.field(
        default=None, converter=attrs.converters.optional(path_text), metadata=PATH
    )

    def __attrs_post_init__(self) -> None:
        """The dev part is the dev folder where another one is test."""
        refuse_share_beside_test(type(self).__name__, self.dev, self.test)
        if self.listed is not None and (self.test == "test" or self.dev != _DEV):
            expected = "None beside test or dev: it says itself what is dev and what is test"
            raise SpecError.wrong_value(type(self).__name__, "listed", self.listed, expected)

    def fingerprint(self) -> Mapping[str, Any]:
        """Every option but `path` and `history`; `version` counts changes of the rules above."""
        names = [name for name in field_names(type(self)) if name not in {"path", "history", "listed"}]
        told = without_later({"version": 1, **{name: getattr(self, name) for name in names}}, self, "test")
        # The list is one of the files, whose hashes count.
        return told if self.listed is None else {**told, "listed": True}

    def files(self) -> Iterable[Path]:
        """news.tsv and behaviors.tsv of train, then of dev and of test, or their archives; DataError with where to get them."""
        found = dict.fromkeys(file.path for file in self.raw_files())
        if self.listed is not None:
            found[list_file(self.listed)] = None
        return list(found)

    def raw_files(self) -> list[RawFile]:
        """news.tsv and behaviors.tsv of train, then of dev, then, if it is read, of test; DataError with where to get them."""
        problems = Problems()
        fix = f"unpack the complete archive; it is had from {self.url}"
        found = []
        for place in find(Path(self.path).expanduser(), self._folders, self.url):
            for name in FILES:
                if place.is_dir():
                    there = [RawFile(place / name)] if (place / name).is_file() else []
                else:
                    before = len(problems)
                    there = named_in_zip(place, name, problems)
                    if len(problems) > before:
                        break
                if len(there) == 1:
                    found += there
                elif there:
                    listed = ", ".join(each.member for each in there)
                    problems.add(str(place), f"holds several: {listed}", "use the official archive")
                else:
                    problems.add(str(place / name), "there is no such file", fix)
        problems.raise_any()
        return found

    def tables(self) -> Tables:
        """The tables of it, checked."""
        return self.read(lambda items, dropped: items).check()

    def read(self, change: Callable[[pa.Table, dict[str, int]], pa.Table]) -> Tables:
        """The tables of it, where `change` may give the news of all files other texts, more rows or fewer."""
        files = self.raw_files()
        news_files, log_files = files[::2], files[1::2]
        problems = Problems()
        read = [read_news(file, problems) for file in news_files]
        news = [each for each in read if each is not None]
        dropped: dict[str, int] = {}
        items = None
        if len(news) == len(read):
            items, dropped["news_with_other_text"] = merge_news(news)
            items = change(items, dropped)
        known = pa.array([], pa.string()) if items is None else items["item_id"].combine_chunks()
        catalog = Catalog(pa.concat_arrays(known.chunks) if isinstance(known, pa.ChunkedArray) else known)
        labeled = [
            folder != "test" or is_labeled(file)
            for folder, file in zip(self._folders, log_files, strict=True)
        ]
        logs = [
            read_log(file, catalog, problems, labeled=has)
            for file, has in zip(log_files, labeled, strict=True)
        ]
        problems.raise_any()
        assert items is not None  # it is None only where there is a problem
        found = [log for log in logs if log is not None]
        if self.missing == "error" and len(catalog.missing):
            raise missing_news(catalog.missing, log_files, labeled)
        absent = len(catalog.missing)
        if self.missing == "empty":
            nothing = [pa.nulls(absent, field.type) for field in items.schema if field.name != "item_id"]
            items = pa.concat_tables([items, pa.table([catalog.missing, *nothing], items.schema)])
            dropped["news_without_text"] = dropped.get("news_without_text", 0) + absent
        if self.missing == "drop":
            for file, log, has in zip(log_files, found, labeled, strict=True):
                shown = log.candidates.values
                lost = np.unique(shown[shown > items.num_rows]) if absent and not has else shown[:0]
                if len(lost):  # whoever ranks them is asked for all
                    ids = catalog.missing.take(pa.array(lost - items.num_rows - 1))
                    raise missing_news(ids, [file], [False], columns=("impressions",))
            found = drop_missing(found, items.num_rows, absent, dropped, "news")
            for file, log in zip(log_files, found, strict=True):
                if not len(log.impression):
                    problems.add(
                        file.label,
                        "no news.tsv has any of the candidates",
                        "use the news.tsv of the same edition",
                    )
            problems.raise_any()
        return self._tables(items, found, dropped, unlabeled=not all(labeled))

    @property
    def _folders(self) -> tuple[str, ...]:
        """The folders that are read, in their order."""
        return ("train", "dev") if self.test == "dev" else ("train", "dev", "test")

    def _tables(
        self, items: pa.Table, logs: list[Log], dropped: dict[str, int], *, unlabeled: bool
    ) -> Tables:
        users, user, stop = share_histories(logs)
        begins = np.cumsum([0, *(len(log.impression) for log in logs)])
        train, *_, test = logs
        early = len(train.impression)
        moved = np.zeros(early, bool)
        if early and self.test == "dev":
            count = int(np.floor(early * self.dev + 1e-9))
            count = min(max(count, 1), early) if self.dev > 0 else 0
            moved[_latest(train, count)] = True
        chosen = {
            "train": (train, np.flatnonzero(~moved), 0),
            "dev": (train, np.flatnonzero(moved), 0),
            "test": (test, np.arange(len(test.impression)), int(begins[-2])),
        }
        if self.listed is not None:
            halves = halves_of(self.listed, test)
            dropped["impressions_not_listed"] = len(test.impression) - sum(map(len, halves))
            moved[:] = False
            chosen["train"], chosen["dev"] = (train, np.arange(early), 0), (test, halves[0], early)
            chosen["test"] = (test, halves[1], early)
        if self.test == "test":
            chosen["dev"] = (logs[1], np.arange(len(logs[1].impression)), early)
        impressions: dict[str, pa.Table] = {}
        single = {}
        for part in PARTS:
            log, rows, base = chosen[part]
            impressions[part] = part_of_log(log, rows, user[rows + base], stop[rows + base])
            if part != "test" or not unlabeled:
                single[part] = one_class(log, rows)
        cut = str(np.datetime64(int(train.time[moved].min()), "s")) + "Z" if moved.any() else "none"
        return Tables(
            items=items,
            users=users,
            impressions=impressions,
            dropped=dropped,
            rules=self._rules(cut, single),
            unlabeled=("test",) if unlabeled else (),
        )

    def _rules(self, cut: str, single: Mapping[str, Mapping[str, int]]) -> dict[str, Any]:
        split = f"the dev folder is test; the latest {self.dev:g} of train, by time and then impression id, is dev"
        told = {"split": split, "dev_begins": cut}
        if self.listed is not None:
            told = {
                "split": "the impressions of the dev folder in the first half of the list are dev, in the second test"
            }
        if self.test == "test":
            told = {"split": "each folder is the part of its name"}
        return {
            "click": "label 1",
            **told,
            "history": "the whole history of the row, in click order",
            "users": "one row per history of a user; a history that is the beginning of another shares its row",
            "items": "the news of the train folder, then those that only "
            + ("the dev folder has" if self.test == "dev" else "dev has, then those that only test has")
            + "; the first text of an id is kept",
            "candidates": "those of the log, in its order",
            "one_class": {part: dict(counts) for part, counts in single.items()},
            "missing": self.missing,
        }


def _latest(log: Log, count: int) -> NDArray[np.int64]:
    """So many impressions, the last by (time, impression id)."""
    if not count:
        return np.empty(0, np.int64)
    bound = np.partition(log.time, len(log.time) - count)[len(log.time) - count]
    later, ties = np.flatnonzero(log.time > bound), np.flatnonzero(log.time == bound)
    ties = ties[np.argsort(log.impression[ties])]
    return np.concatenate([later, ties[len(ties) - (count - len(later)) :]])
