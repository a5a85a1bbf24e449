"""Vectors of a trained run, for serving by other systems: of its items, new ones included, and of its users."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import torch

from lego.compiler.assemble import Compiled
from lego.contract import Form, Need
from lego.data.store import Impressions
from lego.errors import RunError
from lego.ragged import Ragged
from lego.runtime import score
from lego.runtime.extend import attributes_of, extended
from lego.runtime.folder import written_aside
from lego.runtime.items import asked
from lego.runtime.latest import latest_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lego.runtime.load import Loaded

PAGE = 65_536
"""Items whose vectors are held at once."""


def item_vectors(loaded: Loaded, items: Any = None) -> Iterator[pa.RecordBatch]:
    """`item_id` and `vector` (D float32) of the items of the data, or of `items`, as `Loaded.recommend` takes them; in pages.

    RunError where the model is no Recommender, or knows items by row alone and is asked for new ones.
    """
    compiled = _compiled(loaded)
    candidates = asked(loaded.store, items, attributes_of(compiled))
    if candidates.new.num_rows and not compiled.reads:
        raise RunError(
            f"content={compiled.model.content!r} knows the items of the data by their row, so new ones have no vector."
        )
    pipeline = extended(compiled, candidates.new, screen=loaded.screen)
    device = pipeline.device
    with loaded.screen.bar("encoding", len(candidates.rows), "item") as bar:
        for at in range(0, len(candidates.rows), PAGE):
            rows = candidates.rows[at : at + PAGE]
            with torch.inference_mode():
                vectors = score.encode_catalog(pipeline, rows, device)[1:].cpu().numpy()
            yield batch_of("item_id", candidates.column("item_id", rows), vectors)
            bar.advance(len(rows))


def user_vectors(loaded: Loaded) -> pa.Table:
    """`user_id` and `vector` (D float32), or the list `vectors` of several interests, of every user.

    A user has the whole history of the row of the latest impression. RunError where a user is no vector by itself.
    """
    compiled = _compiled(loaded)
    spec = compiled.model.behavior
    if spec.gives not in (Form.VECTOR, Form.INTERESTS) or Need.CANDIDATES in spec.needs:
        raise RunError(
            f"behavior={spec!r} gives a user as {spec.gives.label}, which is not known without the candidates, so there is "
            "nothing to store. Ask `lego recommend`, or use an operator that gives a vector or interests."
        )
    users = loaded.store.users
    ids = pc.unique(users.user_ids)
    latest = latest_of(loaded.store, ids)
    impressions = Impressions(
        impression=np.arange(len(ids)),
        user=latest.row.astype(np.int32),
        start=users.history.offsets[latest.row],
        stop=users.history.offsets[latest.row + 1],
        time=None,
        candidates=Ragged(np.empty(0, np.int32), np.zeros(len(ids) + 1, np.int64)),
        labels=np.empty(0, np.int8),
    )
    compiled.pipeline.eval()
    found = score.user_vectors(compiled.pipeline, impressions.recent(compiled.history), users)
    return pa.Table.from_batches([batch_of("user_id", ids, found)])


def _compiled(loaded: Loaded) -> Compiled:
    if loaded.compiled is None:
        raise RunError(
            f"model={loaded.experiment.model!r} has no vectors: only a Recommender encodes items and users."
        )
    return loaded.compiled


def batch_of(name: str, ids: pa.Array, vectors: NDArray[np.float32]) -> pa.RecordBatch:
    """Ids under `name`, and vectors (n, D) as `vector`, or (n, M, D) as `vectors`."""
    width = vectors.shape[-1]
    flat = pa.FixedSizeListArray.from_arrays(pa.array(np.ascontiguousarray(vectors).reshape(-1)), width)
    if vectors.ndim == 2:
        return pa.record_batch({name: ids, "vector": flat})
    several = pa.FixedSizeListArray.from_arrays(flat, vectors.shape[1])
    return pa.record_batch({name: ids, "vectors": several})


def write(path: Path, pages: Iterator[pa.RecordBatch]) -> int:
    """Writes pages to Parquet, whole or not at all; the number of rows."""
    count = 0
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_aside(path) as aside:
        writer: pq.ParquetWriter | None = None
        try:
            for page in pages:
                writer = writer or pq.ParquetWriter(aside, page.schema, compression="zstd")
                writer.write_batch(page)
                count += page.num_rows
        finally:
            if writer is not None:
                writer.close()
    return count
