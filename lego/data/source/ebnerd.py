"""EB-NeRD (Kruse et al. 2024, https://arxiv.org/abs/2410.03432): impressions of Ekstra Bladet, Danish news, with their context.

Reads the official archives (demo, small, large) in place, or the folders that they unpack to.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import attrs
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from lego.data.impressions.events import counts_of, how_many
from lego.data.impressions.interactions import is_text, path_text
from lego.data.impressions.log import (
    Catalog,
    Log,
    drop_missing,
    join_logs,
    one_class,
    part_of_log,
)
from lego.data.impressions.parts import are_of, cut, first_time, in_words, latest_as_dev
from lego.data.problems import Problems
from lego.data.raw.growing import filtered, looked_up, on_disk, places_where
from lego.data.raw.repeats import Repeats
from lego.data.source.ebnerd_articles import ARTICLES, merge_articles, read_articles
from lego.data.source.ebnerd_behaviors import Behaviors, read_log
from lego.data.source.ebnerd_folder import Folder, find
from lego.data.source.ebnerd_histories import Histories, read_history, share, without_missing
from lego.data.table import PARTS, TEXT, Tables, kind_of, lists, signal
from lego.errors import DataError, Problem, SpecError
from lego.ragged import Ragged
from lego.spec import PATH, Choice, Source, between, field_names, ge, operator

_SHARE = 0.1


def _share_or_test(instance: object, attribute: Any, value: object) -> None:
    if value != "test":
        between(0.0, 1.0)(instance, attribute, value)


@operator
class EBNeRD(Source):
    """Danish news that users were shown, and which of them they clicked.

    - `path` holds articles.parquet and the folders `train` and `validation`, each with behaviors.parquet and history.parquet; or
      it is an archive of them (`ebnerd_small.zip`), or a folder that holds one edition (`ebnerd_demo`, `_small` or `_large`).
    - An impression, its candidates and their order are those of the log; a candidate is a click where its id is among those that
      were clicked. A clicked id that is not in view is left out and counted.
    - `split="official"`: the folder `validation` is test, because the test part is published without clicks; the latest `dev`
      share of `train`, by (time, impression id), rounded down but at least one, is dev. `split="time"` takes the impressions of
      the folders that are there, one is enough, and cuts them: the latest `test` share is test, the `dev` share before it dev.
    - `test="test"` reads the test part, whose ranks the leaderboard measures: that of the edition, or `ebnerd_testset`, archive
      or folder, beside it. `train` is then train, all of it, and `validation` dev. What was clicked is not told, so the part can
      be scored, and not measured: `lego evaluate RUN --submission predictions.zip`. Its rows stay in their order, those for what
      is measured beside accuracy among them, whose impression ids are all 0. Where it has clicks, they are read, and the rows
      for what is beside accuracy left out and counted. Articles that the edition lacks are those of the test part's
      articles.parquet.
    - The history of an impression is that of its user in history.parquet of its folder, in the order of time, up to the time of
      the impression: what is later is not seen, and counted in the rules. A user whose two histories are not the beginning of one
      another is two rows of users. One without a history has an empty one; one without impressions is left out and counted.
    - The items are all of articles.parquet. Its counters (`total_inviews`, `total_pageviews`, `total_read_time`) are not read:
      they were counted after the impressions, and tell the future. An id that it lacks is an error (`missing="error"`), is
      left out of histories and candidates and counted (`"drop"`; as a candidate of a test part without clicks it is an error
      still, for whoever ranks them is asked for all), or makes an item without attributes (`"empty"`), also where the file is
      not there at all. An impression that is left without candidates is left out and counted.
    - Beside each click of a history stand `read_time` (seconds) and `scroll` (percent), beside each candidate its `position`,
      from 1. An impression has `device`, `page` (`front page`, or `article`), `read_time` and `scroll` of the page it was on,
      which are known when the user leaves it, `subscriber` and `sso`. What the user read next (`next_read_time`,
      `next_scroll_percentage`) is not read: it follows the click. A user has `gender`, `postcode` and `age` as their first
      impression that knows them says.
    - Codes are categories as they are written; `published` is in unix seconds; times are read as UTC.
    """

    reads: ClassVar[Mapping[str, int]] = {"title": 30, "subtitle": 50}
    domain: ClassVar[str] = "news"
    language: ClassVar[str] = "Danish"
    holds: ClassVar[Mapping[str, Mapping[str, str]]] = {
        "items": {name: kind_of(kind) or "" for name, _, kind in ARTICLES.values()},
        "users": {"gender": "category", "postcode": "category", "age": "category"},
        "impressions": {
            "device": "category",
            "page": "category",
            "read_time": "number",
            "scroll": "number",
            "subscriber": "category",
            "sso": "category",
        },
        "candidates": {"position": "number"},
        "history": {"time": "time", "read_time": "number", "scroll": "number"},
    }
    attributes: ClassVar[tuple[str, ...]] = tuple(holds["items"])
    official_files: ClassVar[tuple[str, ...]] = (
        "ebnerd_small.zip (articles.parquet; behaviors.parquet and history.parquet of train and of validation)",
    )
    url: ClassVar[str] = "https://recsys.eb.dk/dataset/"
    licence: ClassVar[str] = "EB-NeRD research licence: non-commercial; no redistribution"
    proven: ClassVar[str] = "real rows"

    path: str = attrs.field(kw_only=False, converter=path_text, metadata=PATH, validator=is_text)
    split: Literal["official", "time"] = "official"
    dev: float = attrs.field(default=_SHARE, validator=between(0.0, 1.0))
    test: float | Literal["test"] = attrs.field(default=_SHARE, validator=_share_or_test)
    history: int = attrs.field(default=50, validator=ge(1))
    missing: Literal["error", "drop", "empty"] = "error"

    def __attrs_post_init__(self) -> None:
        """The shares must leave something; a folder that is a part has none."""
        if isinstance(self.dev, Choice) or isinstance(self.test, Choice):
            return
        if self.test == "test":
            if self.split != "official":
                expected = '"official" beside test="test", which reads each folder as a part'
                raise SpecError.wrong_value(type(self).__name__, "split", self.split, expected)
            if self.dev != _SHARE:
                expected = 'nothing beside test="test": the folder validation is dev'
                raise SpecError.wrong_value(type(self).__name__, "dev", self.dev, expected)
        elif self.dev + self.test >= 1:
            expected = f"less than 1 - test, which is {1 - self.test:g}"
            raise SpecError.wrong_value(type(self).__name__, "dev", self.dev, expected)

    def fingerprint(self) -> Mapping[str, Any]:
        """Every option but `path` and `history`; `version` counts changes of the rules above."""
        names = [name for name in field_names(type(self)) if name not in {"path", "history"}]
        return {"version": 1, **{name: getattr(self, name) for name in names}}

    @classmethod
    def within(cls, folder: Path) -> Iterable[Self]:
        """By the official split, or by time where a part is missing; items without text where there are no articles."""
        options: tuple[dict[str, Any], ...] = (
            {},
            {"missing": "empty"},
            {"split": "time"},
            {"split": "time", "missing": "empty"},
        )
        for each in options:
            made = cls(str(folder), **each)
            try:
                made.files()
            except DataError:
                continue
            yield made

    def lacks(self) -> Iterable[str]:
        """The articles, or a part."""
        folder = self._folder()
        if not folder.articles:
            yield "articles.parquet is missing, so no item has text"
        there = {behaviors.label.split("/")[-2] for behaviors, _ in folder.parts}
        for part in ("train", "validation"):
            if part not in there:
                yield f"{part} is missing, so the parts are cut by time"

    def files(self) -> Iterable[Path]:
        """The files, or the archive, that are read; DataError with where to get them."""
        folder = self._folder()
        every = [*folder.articles, *(file for part in folder.parts for file in part)]
        return list(dict.fromkeys(file.path for file in every))

    def tables(self) -> Tables:
        """The tables of it, checked."""
        folder, problems = self._folder(), Problems()
        dropped = {"clicks_not_in_view": 0}
        items = merge_articles([read_articles(file, problems) for file in folder.articles], dropped)
        ids = pc.cast(items["item_id"], pa.int64()).combine_chunks()
        catalog = Catalog(
            pa.concat_arrays(ids.chunks) if isinstance(ids, pa.ChunkedArray) else ids,
            pa.array([], pa.int64()),
        )
        known = len(catalog.known)
        read = []
        for place, (behaviors, history) in enumerate(folder.parts):
            hidden = self.test == "test" and place == len(folder.parts) - 1
            of_users = read_history(history, catalog, problems)
            read.append((of_users, read_log(behaviors, catalog, problems, dropped, hidden=hidden)))
        problems.raise_any()
        histories = [history for history, _ in read if history is not None]
        logs = [log for _, log in read if log is not None]
        absent = len(catalog.missing)
        if self.missing == "error" and absent:
            raise _absent(folder, catalog.missing, self._ways_out(logs))
        if self.missing == "empty":
            nothing = [pa.nulls(absent, field.type) for field in items.schema if field.name != "item_id"]
            more = [pc.cast(catalog.missing, TEXT), *nothing]
            items = pa.concat_tables([items, pa.table(more, items.schema)])
            dropped["articles_without_text"] = absent
        if self.missing == "drop":
            for each in logs:
                if not each.labeled:  # whoever ranks them is asked for all
                    there = counts_of(each.log.candidates.values, known + absent + 1)
                    lost = np.flatnonzero(there[known + 1 :])
                    if len(lost):
                        raise _absent(folder, catalog.missing.take(pa.array(lost)), self._ways_out(logs))
            histories, gone = without_missing(histories, known)
            logs = [
                attrs.evolve(each, log=log)
                for log, each in zip(
                    drop_missing([each.log for each in logs], known, absent, dropped, "articles"),
                    logs,
                    strict=True,
                )
            ]
            dropped["history_clicks_of_missing_articles"] = gone
            if not any(len(each.log.impression) for each in logs):
                what = "articles.parquet has none of the candidates"
                raise DataError([Problem(self.path, what, "use the articles.parquet of the same edition")])
        return self._tables(items, histories, logs, dropped).check()

    def _tables(
        self, items: pa.Table, histories: list[Histories], logs: list[Behaviors], dropped: dict[str, int]
    ) -> Tables:
        users, row, own = share(
            [(history, each.log.user) for history, each in zip(histories, logs, strict=True)]
        )
        log = join_logs([each.log for each in logs])
        used = np.flatnonzero(counts_of(row, len(users.history)))
        place = np.zeros(len(users.history), np.int64)
        place[used] = np.arange(len(used))
        row = looked_up(place, row)
        named = len(pc.unique(users.user))
        users = users.take(used)
        dropped["users_without_impressions"] = named - len(pc.unique(users.user))
        seen = users.seen(row, log.time)
        stop = on_disk(len(row), np.int64, lambda begin, end: np.minimum(seen[begin:end], own[begin:end]))
        if self.split == "time" and len(Repeats.of(log.impression).rows):
            what = "an impression id is in train and in validation"
            raise DataError([Problem(self.path, what, 'choose split="official", which keeps them apart')])
        part = self._parts(log, [len(each.log.impression) for each in logs])
        unlabeled = () if all(each.labeled for each in logs) else ("test",)
        impressions, single = {}, {}
        for number, name in enumerate(PARTS):
            here = are_of(part, number)
            chosen = places_where(here)
            impressions[name] = part_of_log(log, chosen, filtered(row, here), filtered(stop, here))
            if name not in unlabeled:
                single[name] = one_class(log, chosen)
        later = how_many(on_disk(len(own), np.bool_, lambda begin, end: stop[begin:end] < own[begin:end]))
        cut_at = first_time(log.time, are_of(part, 1))
        people = logs[0].people
        for each in logs[1:]:
            people.join(each.people)
        columns = {
            "user_id": pc.cast(users.user, TEXT),
            "history": lists(users.history, pa.int32()),
            "times": lists(Ragged(users.times, users.history.offsets), pa.int64()),
            **people.of(users.user),
            **{name: signal(Ragged(values, users.history.offsets)) for name, values in users.signals.items()},
        }
        return Tables(
            items=items,
            users=pa.table(columns),
            impressions=impressions,
            dropped=dropped,
            rules=self._rules(cut_at, single, later, users.moved),
            unlabeled=unlabeled,
        )

    def _ways_out(self, logs: list[Behaviors]) -> str:
        """What to do with articles that are missing. Candidates of a ranking to hand in cannot be dropped."""
        whole = all(each.labeled for each in logs)
        return 'missing="drop" or missing="empty"' if whole else 'missing="empty"'

    def _parts(self, log: Log, sizes: list[int]) -> NDArray[np.int8]:
        """0 train, 1 dev, 2 test for each impression."""
        if self.split == "time":
            assert self.test != "test"  # that is refused beside it
            nobody = np.broadcast_to(np.int64(0), len(log.time))
            return cut("time", nobody, log.time, self.dev, self.test, 0)
        if self.test == "test":
            return latest_as_dev(log.time, log.impression, np.array([0, 1, 2], np.int8), sizes, 0)
        early, count = sizes[0], 0
        if self.dev > 0:
            count = min(max(int(early * self.dev + 1e-9), 1), early)
        return latest_as_dev(log.time, log.impression, np.array([0, 2], np.int8), sizes, count)

    def _rules(
        self, cut_at: str, single: Mapping[str, Mapping[str, int]], later: int, moved: int
    ) -> dict[str, Any]:
        if self.test == "test":
            told = {
                "split": "each folder is a part, validation dev",
                "rows_beside_accuracy": "left out of a test part with clicks, ranked in one without",
            }
        elif self.split == "official":
            dev = f"the latest {self.dev:g} of train, by time and then impression id, is dev"
            told = {"split": f"the folder validation is test; {dev}"}
        else:
            told = {"split": in_words("time", self.dev, self.test, 0, "impressions")}
        return {
            "click": "an id in view that is among those clicked",
            **told,
            "submission": "predictions.txt",
            "dev_begins": cut_at,
            "history": "that of the user in history.parquet of the folder, up to the time of the impression",
            "impressions_whose_history_is_cut_at_their_time": later,
            "histories_put_in_order": moved,
            "users": "one row per history; one that is the beginning of the user's other one shares its row",
            "user_attributes": "of the first impression that has them",
            "items": "all articles",
            "candidates": "those of the log, in its order",
            "one_class": {part: dict(counts) for part, counts in single.items()},
            "missing": self.missing,
        }

    def _folder(self) -> Folder:
        folder = find(
            Path(self.path).expanduser(),
            self.url,
            official=self.split == "official",
            hidden=self.test == "test",
        )
        if not folder.articles and self.missing != "empty":
            fix = (
                f'it is in the archive of {self.url}; without it, choose missing="empty": the items then have no text, '
                "and models of ids can be trained (content=ItemID())"
            )
            raise DataError([Problem(str(folder.root / "articles.parquet"), "there is no such file", fix)])
        return folder


def _absent(folder: Folder, missing: pa.Array, ways_out: str) -> DataError:
    named = ", ".join([*map(str, missing[:5].to_pylist()), *(["…"] if len(missing) > 5 else [])])
    where = " and ".join(each.label for each in folder.articles) or str(folder.root)
    lack = "lack" if len(folder.articles) > 1 else "lacks"
    what = f"{lack} {len(missing)} articles that are in histories or in view: {named}"
    fix = f"use the articles.parquet of the same edition, or choose {ways_out}"
    return DataError([Problem(where, what, fix)])
