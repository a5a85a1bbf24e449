"""Scores of a run or of any other system, as protocols read them, and written for others."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from lego.data.scores import codes, lengths, numbers
from lego.data.table import flat
from lego.errors import RunError
from lego.metric.protocol import Rows
from lego.runtime.folder import written_aside

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lego.data.store import Impressions, Store


def rows_of_table(table: pa.Table) -> Rows:
    """Its rows, as protocols read them; where no label has a value, none is known."""
    labeled = table["label"].null_count < table.num_rows
    tested = None
    if "part" in table.column_names:
        tested = flat(pc.equal(table["part"].cast(pa.string()), "test"))
    return Rows(
        scores=numbers(table["score"]),
        labels=numbers(table["label"]) if labeled else np.zeros(table.num_rows, np.int8),
        impression=codes(table["impression"]),
        user=codes(table["user"]) if "user" in table.column_names else None,
        history=lengths(table["history"]) if "history" in table.column_names else None,
        tested=tested,
        labeled=labeled,
    )


def kept_table(path: Path) -> pa.Table:
    """The scores that a run kept; RunError that names the file where it is damaged."""
    try:
        return pq.read_table(path)
    except (pa.ArrowInvalid, OSError) as problem:
        fix = "Remove it; `lego evaluate RUN` makes it again."
        raise RunError(f"{path} cannot be read: {problem}. {fix}") from None


def kept_scores(path: Path, impressions: Impressions) -> NDArray[np.float32] | None:
    """The scores of a part that a run kept, in the order of the part; None where there are none, or others.

    RunError where the file is damaged.
    """
    if not path.exists():
        return None
    table = kept_table(path)
    counts = impressions.candidates.lengths
    same = table.num_rows == len(impressions.labels) and np.array_equal(
        flat(table["impression"]), np.repeat(impressions.impression, counts)
    )
    if not same:
        return None
    if impressions.labeled and not np.array_equal(flat(table["label"]), impressions.labels):
        return None
    return flat(table["score"]).astype(np.float32)


def scores_table(
    store: Store, impressions: Impressions, scores: NDArray[np.float32], *, full: bool = False
) -> pa.Table:
    """impression, user, item, label, score, a row for each candidate; in full also history and, where known, time.

    Of a part whose labels are not known, every label is null.
    """
    counts = impressions.candidates.lengths
    columns: dict[str, Any] = {
        "impression": np.repeat(impressions.impression, counts),
        "user": store.users.user_ids.take(pa.array(np.repeat(impressions.user, counts))),
        "item": store.items.column("item_id").take(pa.array(impressions.candidates.values - 1)),
        "label": impressions.labels.astype(np.int8)
        if impressions.labeled
        else pa.nulls(len(impressions.labels), pa.int8()),
        "score": scores,
    }
    if full:
        columns["history"] = np.repeat(np.maximum(impressions.stop - impressions.start, 0), counts)
        if impressions.time is not None:
            columns["time"] = np.repeat(impressions.time, counts)
    return pa.table(columns)


def write_table(path: Path, table: pa.Table) -> None:
    """A table as Parquet or, by the end of the name, CSV; whole or not at all."""
    with written_aside(path) as aside:
        if path.suffix == ".csv":
            pyarrow.csv.write_csv(table, aside)
        else:
            pq.write_table(table, aside, compression="zstd")


def write_submission(
    path: Path, impressions: Impressions, scores: NDArray[np.float32], member: str = "prediction.txt"
) -> None:
    """A line for each impression in the form of the MIND challenge: `ID [rank,rank,…]`, in the order of the candidates.

    A path that ends in .zip gets what the leaderboard takes: an archive that holds them as `member`.

    The best candidate has rank 1. A submission has no ties: of equal scores the earlier candidate stands first.
    """
    offsets, counts = impressions.candidates.offsets, impressions.candidates.lengths
    owner = np.repeat(np.arange(len(impressions)), counts)
    order = np.lexsort((-scores, owner))  # stable
    ranks = np.empty(len(scores), np.int64)
    ranks[order] = np.arange(len(scores)) - np.repeat(offsets[:-1], counts) + 1
    words = ranks.astype(str)
    lines = (
        f"{name} [{','.join(words[begin:end])}]\n"
        for name, begin, end in zip(impressions.impression, offsets[:-1], offsets[1:], strict=True)
    )
    with written_aside(path) as aside:
        if path.suffix.lower() != ".zip":
            with aside.open("w", encoding="utf-8", newline="\n") as file:
                file.writelines(lines)
            return
        # Of one time, so that the same ranks make the same file.
        lines_in_it = zipfile.ZipInfo(member)
        lines_in_it.compress_type = zipfile.ZIP_DEFLATED
        with (
            zipfile.ZipFile(aside, "w") as archive,
            archive.open(lines_in_it, "w", force_zip64=True) as packed,
        ):
            packed.writelines(line.encode() for line in lines)
