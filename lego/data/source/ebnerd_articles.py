"""The articles of EB-NeRD, as items."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lego.data.problems import LIMIT, Problems
from lego.data.raw.growing import kept
from lego.data.raw.parquet_file import (
    Wanted,
    batches,
    complain,
    list_values,
    seconds,
)
from lego.data.raw.raw_file import RawFile
from lego.data.table import CATEGORY, LIST, NUMBER, TEXT, flat
from lego.ragged import Ragged

ARTICLES: Mapping[str, tuple[str, str, pa.DataType]] = {
    "title": ("title", "text", TEXT),
    "subtitle": ("subtitle", "text", TEXT),
    "body": ("body", "text", TEXT),
    "category_str": ("category", "text", CATEGORY),
    "subcategory": ("subcategory", "values", LIST),
    "topics": ("topics", "texts", LIST),
    "ner_clusters": ("entities", "texts", LIST),
    "entity_groups": ("entity_groups", "texts", LIST),
    "article_type": ("article_type", "text", CATEGORY),
    "premium": ("premium", "flag", CATEGORY),
    "sentiment_label": ("sentiment", "text", CATEGORY),
    "sentiment_score": ("sentiment_score", "number", NUMBER),
    "published_time": ("published", "time", NUMBER),
}
"""Column of articles.parquet → attribute, what it holds, and its type."""


def merge_articles(tables: list[pa.Table], dropped: dict[str, int]) -> pa.Table:
    """All articles, each once: the first of an id; how many have another text in a later table is counted."""
    items, *others = tables or [no_articles()]
    for table in others:
        place = pc.index_in(_whole(table["item_id"]), value_set=_whole(items["item_id"]))
        both, kept_rows = table.filter(place.is_valid()), items.take(place.drop_null())
        other = np.zeros(both.num_rows, bool)
        for name in ("title", "subtitle", "body"):
            same = pc.equal(pc.fill_null(both[name], ""), pc.fill_null(kept_rows[name], ""))
            other |= ~flat(same)
        dropped["articles_with_other_text"] = int(other.sum())
        items = pa.concat_tables([items, table.filter(place.is_null())]).unify_dictionaries()
    return items


def _whole(column: pa.ChunkedArray) -> pa.Array:
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)


def no_articles() -> pa.Table:
    """The columns without a row."""
    fields = [pa.field("item_id", TEXT), *(pa.field(name, kind) for name, _, kind in ARTICLES.values())]
    return pa.schema(fields).empty_table()


def read_articles(file: RawFile, problems: Problems) -> pa.Table:
    """The items of articles.parquet, each with an id of its own."""
    columns = {"article_id": Wanted("whole")}
    columns |= {name: Wanted(holds, needed=name == "title") for name, (_, holds, _) in ARTICLES.items()}
    read = [_articles(batch) for batch in batches(file, columns, problems)]
    if not read:
        return no_articles()
    items = pa.concat_tables(read).unify_dictionaries()
    missing = flat(items["item_id"].is_null())
    complain(file, np.flatnonzero(missing), "article_id", "an id is expected, nothing found", problems)
    codes = flat(items["item_id"].combine_chunks().dictionary_encode(null_encoding="encode").indices)
    _, first = np.unique(codes, return_index=True)
    again = np.flatnonzero((first[codes] != np.arange(len(codes))) & ~missing)
    words = [f"{items['item_id'][row]} is already in row {first[codes[row]] + 1}" for row in again[:LIMIT]]
    complain(file, again, "article_id", words, problems)
    return items


def _articles(batch: pa.RecordBatch) -> pa.Table:
    columns = {"item_id": pc.cast(batch["article_id"], TEXT)}
    for name, (attribute, holds, kind) in ARTICLES.items():
        if name not in batch.schema.names:
            columns[attribute] = pa.nulls(batch.num_rows, kind)
            continue
        values = batch[name]
        if holds == "time":
            values = seconds(values)
        elif holds == "flag":
            values = pc.if_else(pc.cast(values, pa.bool_()), "yes", "no")
        if kind == LIST:
            words = pc.cast(values, pa.list_(TEXT))
            columns[attribute] = _without_nulls(words)
        elif kind == CATEGORY:
            words = pc.cast(values, TEXT)
            words = pc.if_else(pc.equal(words, ""), pa.scalar(None, TEXT), words)
            columns[attribute] = pc.cast(words.dictionary_encode(), CATEGORY)
        else:
            columns[attribute] = pc.cast(values, kind)
            if kind == NUMBER:  # a number that is none is one that is missing
                number = columns[attribute]
                columns[attribute] = pc.if_else(pc.is_finite(number), number, pa.scalar(None, NUMBER))
    return pa.table(columns)


def _without_nulls(words: pa.Array) -> pa.Array:
    values, lengths = list_values(words)
    if not values.null_count:
        return words
    rows = kept(Ragged.from_lengths(np.empty(len(values)), lengths), flat(values.is_valid()))
    return pa.ListArray.from_arrays(
        pa.array(rows.offsets, pa.int32()), values.drop_null(), type=LIST, mask=words.is_null()
    )
