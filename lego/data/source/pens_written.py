"""personalized_test.tsv of PENS (Ao et al. 2021, https://aclanthology.org/2021.acl-long.7): headlines that people wrote.

A person read headlines and chose some (`clicknewsID`), was then given the texts of other news (`posnewID`) without their
headlines, and wrote a headline for each (`rewrite_titles`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import attrs
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from lego.data.impressions.candidates import draw_unseen, show_among
from lego.data.impressions.growing_log import GrowingLog
from lego.data.impressions.log import Catalog, Log, sorted_sets
from lego.data.problems import Problems
from lego.data.raw.growing import MANY, blocks
from lego.data.raw.raw_file import RawFile
from lego.data.raw.spool import spooled
from lego.data.raw.tab_file import TabFile, ensure
from lego.data.table import TEXT, flat
from lego.ragged import Ragged

NAME = "personalized_test.tsv"
COLUMNS = ("userid", "clicknewsID", "posnewID", "rewrite_titles")
TITLE = "written_title"
"""The attribute of an impression that holds what its person wrote."""

_IDS = r"[,\s]+"
_TITLES = r";;|#TAB#"
"""The published file has the one between headlines, and its description says the other."""


def read_written(file: RawFile, catalog: Catalog, dropped: dict[str, int], problems: Problems) -> Log | None:
    """An impression for each news that a person wrote a headline for, in the order of the file, with that news alone.

    The headlines of a line that has another number of them than of news are missing, and counted.
    """
    read = GrowingLog()
    dropped["headlines_without_text"] = 0

    def take(block: pa.RecordBatch) -> None:
        log = _block(block, read.impressions, catalog)
        assert log.attributes is not None
        dropped["headlines_without_text"] += log.attributes[TITLE].null_count
        read.add(log)

    return read.log() if TabFile(file, COLUMNS).read(take, problems, _wrong) else None


def show_among_unseen(log: Log, items: int, count: int, generator: np.random.Generator) -> Log:
    """Each news among `count` others that its person neither chose nor wrote of, each as likely as the others."""
    person = flat(log.user.combine_chunks().dictionary_encode().indices).astype(np.int64)
    owners = np.concatenate([np.repeat(person, log.history.lengths), person])
    items_met = np.concatenate([log.history.values, log.candidates.values])
    met = sorted_sets(owners, items_met, int(person.max(initial=-1)) + 1)
    others = draw_unseen(np.arange(1, items + 1, dtype=np.int32), person, met, count, generator)
    candidates, labels = show_among(log.candidates.values, others, generator)
    return attrs.evolve(log, candidates=candidates, labels=labels)


def without_titles(log: Log) -> Log:
    """A log of people who wrote nothing, with the column all the same."""
    schema = pa.schema([(TITLE, TEXT)])
    pieces = (
        pa.RecordBatch.from_arrays([pa.nulls(end - begin, TEXT)], schema=schema)
        for begin, end in blocks(len(log.impression), MANY)
    )
    return attrs.evolve(log, attributes=spooled(pieces, schema))


def ids_in(row: Mapping[str, str], column: str) -> list[str]:
    """The ids of a cell."""
    return row[column].replace(",", " ").split()


def _wrong(row: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    if len(row["userid"].split()) != 1:
        yield "userid", f"an id without blanks is expected, {row['userid']!r} found"
    if not ids_in(row, "posnewID"):
        yield "posnewID", "at least one news is expected, none found"


def _block(block: pa.RecordBatch, base: int, catalog: Catalog) -> Log:
    user = pc.utf8_trim_whitespace(block["userid"])
    single = pc.match_substring_regex(user, r"^\S+$")
    ensure(bool(pc.all(single, min_count=0).as_py()), "an id is empty or holds a blank")
    ids, lengths = _split(block["clicknewsID"], _IDS)
    history = Ragged.from_lengths(catalog.rows(ids), lengths)
    news, counts = _split(block["posnewID"], _IDS)
    ensure(bool((counts > 0).all()), "a line names no news")
    line = np.repeat(np.arange(block.num_rows), counts)
    return Log(
        impression=np.arange(len(news), dtype=np.int64) + base + 1,
        user=pa.chunked_array([user.take(pa.array(line))]),
        time=np.full(len(news), -1, np.int64),
        history=history.take(line),
        candidates=Ragged.from_lengths(catalog.rows(news), np.ones(len(news), np.int64)),
        labels=np.ones(len(news), np.int8),
        attributes=pa.table({TITLE: _titles(block["rewrite_titles"], counts)}),
    )


def _titles(column: pa.Array, counts: NDArray[np.int64]) -> pa.Array:
    """A headline for each news of all lines; null where one is empty, and throughout a line that has another number of them."""
    split = pc.split_pattern_regex(column, _TITLES)
    begins, found = flat(split.offsets).astype(np.int64), flat(pc.list_value_length(split)).astype(np.int64)
    texts = pc.utf8_trim_whitespace(split.values)
    # One between the last headline and the end of the line is no further headline.
    blank = flat(pc.equal(texts, ""))
    found -= (found == counts + 1) & blank[begins[1:] - 1]
    fits = found == counts
    place = np.repeat(begins[:-1] - (np.cumsum(counts) - counts), counts) + np.arange(int(counts.sum()))
    known = np.repeat(fits, counts)
    taken = texts.take(pa.array(place, mask=~known))
    return pc.if_else(pc.equal(taken, ""), pa.scalar(None, TEXT), taken)


def _split(column: pa.Array, pattern: str) -> tuple[pa.Array, NDArray[np.int64]]:
    """The words of all cells one after the other, and how many each cell has."""
    split = pc.split_pattern_regex(column, pattern)
    words, owner = split.flatten(), flat(pc.list_parent_indices(split))
    some = pc.not_equal(words, "")
    return words.filter(some), np.bincount(owner[flat(some)], minlength=len(column)).astype(np.int64)
