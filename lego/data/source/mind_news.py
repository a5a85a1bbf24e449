"""The news of MIND, as items."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lego.data.problems import Problems
from lego.data.raw.raw_file import BROKEN, RawFile, broken
from lego.data.source.mind_rows import COMPARE, WORD, MalformedError, all_match, blocks, ensure, records, say
from lego.data.table import CATEGORY, flat
from lego.errors import Problem

_NEWS = ("id", "category", "subcategory", "title", "abstract", "url", "title entities", "abstract entities")
_NEWS_READ = ("id", "title", "abstract", "category", "subcategory")


def read_news(file: RawFile, problems: Problems) -> pa.Table | None:
    """The columns that are kept; None where something is wrong, which is then among the problems."""
    try:
        table = pa.Table.from_batches(list(blocks(file, _NEWS, dict.fromkeys(_NEWS_READ, pa.string()))))
        ensure(all_match(table["id"], WORD), "an id is empty or holds a blank")
        ensure(pc.count_distinct(table["id"]).as_py() == table.num_rows, "an id stands twice")
    except (pa.ArrowInvalid, MalformedError) as failure:
        say(file, _wrong_news(file), str(failure), problems)
        return None
    except BROKEN as failure:
        broken(file, failure, problems)
        return None
    return table


def _wrong_news(file: RawFile) -> Iterator[Problem]:
    first: dict[str, int] = {}
    for number, fields in records(file, _NEWS):
        if isinstance(fields, Problem):
            yield fields
            continue
        news = fields[0]
        where = f"{file.label} line {number}, column id"
        if not re.match(WORD, news, re.ASCII):
            yield Problem(where, f"an id without blanks is expected, {news!r} found", COMPARE)
        elif first.setdefault(news, number) < number:
            yield Problem(where, f"{news} is already in line {first[news]}", "keep one of the lines")


def merge_news(tables: list[pa.Table]) -> tuple[pa.Table, int]:
    """The items, and how many ids have another text in a later table."""
    news, others = tables[0], 0
    for table in tables[1:]:
        place = pc.index_in(table["id"].combine_chunks(), value_set=news["id"].combine_chunks())
        both = table.filter(place.is_valid())
        kept = news.take(place.drop_null())
        other = np.zeros(both.num_rows, bool)
        for name in _NEWS_READ[1:]:
            other |= flat(pc.not_equal(both[name], kept[name]))
        others += int(other.sum())
        news = pa.concat_tables([news, table.filter(place.is_null())]).combine_chunks()
    columns = {"item_id": news["id"], "title": news["title"], "abstract": news["abstract"]}
    for name in ("category", "subcategory"):
        columns[name] = pc.cast(news[name].combine_chunks().dictionary_encode(), CATEGORY)
    return pa.table(columns), others
