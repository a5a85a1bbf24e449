"""Item vectors made elsewhere: by a language model, an older run, or by hand. The content side is then decoupled.

.npy            (items, width); line i belongs to line i of the items table
.safetensors    a tensor `vectors` (items, width), in the same order
.parquet        columns `item_id` and `vector` (a list of numbers), in any order; other items may be there too
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import attrs
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from lego.contract import Needs, Out, Reads
from lego.errors import DataError, LegoError, Problem, SpecError
from lego.nn.place import project
from lego.spec import PATH, Content, Context, operator

if TYPE_CHECKING:
    from lego.data.store import Store

SUFFIXES = (".npy", ".parquet", ".safetensors")
TENSOR = "vectors"
ID, VECTOR = "item_id", "vector"

_SHOWN = 5
"""Ids that an error lists."""


def known_suffix(instance: object, attribute: Any, value: str) -> None:
    """A validator: the path is that of a file of vectors."""
    if Path(value).suffix not in SUFFIXES:
        expected = f"a file that ends in {' or '.join(SUFFIXES)}"
        raise SpecError.wrong_value(type(instance).__name__, attribute.name, value, expected)


@operator
class Embedding(Content):
    """Ready-made vectors, frozen unless `trainable`; a checkpoint holds them either way.

    Where their width is not the model's, a linear layer that learns leads from one to the other: `project=True` has it in any
    case, `project=False` never (and other widths are then a problem).
    """

    vectors: str = attrs.field(kw_only=False, validator=known_suffix, metadata=PATH)
    trainable: bool = False
    project: bool | None = None

    @property
    def reads(self) -> Reads:
        """Item rows."""
        return Reads.ROWS

    def problems(self, context_width: int, where: str) -> Iterator[Problem]:
        """The file must be there, be of a known shape, and fit the width where no linear layer may lead to it."""
        problems = list(problems_of(Path(self.vectors), where))
        yield from problems
        if problems:
            return
        width = stored_width(Path(self.vectors))
        if self.project is False and width != context_width:
            yield Problem(
                where,
                f"the vectors are {width} wide, the model is {context_width} wide, and project=False",
                f"leave project out, or write Recommender(width={width})",
            )

    def build(self, context: Context) -> nn.Module:
        """The torch of it; DataError with all that is wrong with the file."""
        path = Path(self.vectors)
        width = stored_width(path)
        if self.project is False and width != context.width:
            raise DataError(list(self.problems(context.width, "content")))
        table = nn.Embedding(context.items, width, padding_idx=0, device=None if context.weights else "meta")
        if context.weights:
            table = nn.Embedding(context.items, width, padding_idx=0, _weight=table_of(path, context))
        table.weight.requires_grad_(self.trainable)
        leads = nn.Linear(width, context.width, bias=False) if self.project else project(width, context.width)
        return _Embedding(table, leads)

    @classmethod
    def examples(cls) -> Iterable[Self]:
        """None: it cannot be without a file."""
        return ()


class _Embedding(nn.Module):
    def __init__(self, table: nn.Embedding, leads: nn.Module) -> None:
        super().__init__()
        self.table = table
        self.project = leads

    def forward(self, tokens: Tensor, mask: Tensor, needs: Needs) -> Out:
        """tokens (N, 1) item rows, mask (N, 1) -> (N, D); row 0, which is no item, gives zeros."""
        return Out(self.project(self.table(tokens.masked_fill(~mask, 0)).squeeze(1)))


# --- reading ------------------------------------------------------------------------------------------------------------------


def _wrong(path: Path, what: str, fix: str) -> DataError:
    return DataError([Problem(str(path), what, fix)])


def _open(path: Path) -> Any:
    """The file without its numbers: a memory map, a Parquet file or a safetensors slice."""
    if not path.is_file():
        raise _wrong(path, "the file is not there", "give the path of a file with item vectors")
    try:
        if path.suffix == ".npy":
            return np.load(path, mmap_mode="r", allow_pickle=False)
        if path.suffix == ".parquet":
            return pq.ParquetFile(path)
        with safe_open(path, framework="pt") as file:
            if TENSOR not in file.keys():  # noqa: SIM118 - it is no mapping
                names = ", ".join(file.keys()) or "nothing"
                raise _wrong(
                    path, f"it holds {names}, no tensor {TENSOR!r}", f"save the vectors as {TENSOR!r}"
                )
            return file.get_slice(TENSOR)
    except LegoError:
        raise
    except (ValueError, OSError, EOFError, pa.ArrowException, SafetensorError) as problem:
        raise _wrong(
            path, f"it cannot be read as {path.suffix} ({problem})", "write the file again"
        ) from problem


def problems_of(path: Path, where: str) -> Iterator[Problem]:
    """What is wrong with a file of vectors as far as its head shows."""
    try:
        stored_width(path)
    except DataError as error:
        yield from (attrs.evolve(each, where=where) for each in error.problems)


def stored_width(path: Path) -> int:
    """How wide the vectors are, from the head of the file."""
    opened = _open(path)
    if path.suffix == ".parquet":
        schema = opened.schema_arrow
        missing = [name for name in (ID, VECTOR) if name not in schema.names]
        if missing:
            there = ", ".join(schema.names)
            raise _wrong(
                path, f"no column {' or '.join(missing)} among {there}", f"name the columns {ID} and {VECTOR}"
            )
        kind = schema.field(VECTOR).type
        if pa.types.is_fixed_size_list(kind):
            return int(kind.list_size)
        if not (pa.types.is_list(kind) or pa.types.is_large_list(kind)):
            raise _wrong(path, f"{VECTOR} is of type {kind}", "make it a list of numbers")
        first = next(opened.iter_batches(1, columns=[VECTOR]), None)
        if first is None or not len(first):
            raise _wrong(path, "it has no rows", "write a row for each item")
        return len(first.column(0)[0].as_py() or ())
    shape = tuple(opened.shape if path.suffix == ".npy" else opened.get_shape())
    if len(shape) != 2:
        raise _wrong(path, f"the vectors have the shape {shape}", "make it (items, width)")
    return int(shape[1])


def item_vectors(path: Path, store: Store) -> Tensor:
    """The vectors of a file (items + 1, W): zeros in row 0, then the vector of each item; DataError with all that is wrong."""
    width = stored_width(path)
    return table_of(
        path, Context(width=width, input_width=width, length=1, items=store.item_count + 1, store=store)
    )


def table_of(path: Path, context: Context) -> Tensor:
    """(items, W) float32: zeros in row 0, then the vector of each item of the catalogue."""
    if path.suffix == ".parquet":
        vectors = _by_id(path, context)
    elif path.suffix == ".npy":
        stored = np.load(path, allow_pickle=False)
        if stored.dtype.kind not in "fiu":
            raise _wrong(path, f"the vectors are of type {stored.dtype}", "save them as float32")
        vectors = torch.from_numpy(stored.astype(np.float32, copy=False))
    else:
        with safe_open(path, framework="pt") as file:
            vectors = file.get_tensor(TENSOR).float()
    items = context.items - 1
    if len(vectors) != items:
        what = f"it has {len(vectors)} vectors, the data has {items} items"
        raise _wrong(
            path,
            what,
            f"write one line for each line of the items table, or a .parquet with {ID} and {VECTOR}",
        )
    bad = torch.nonzero(~torch.isfinite(vectors).all(1)).flatten().tolist()
    if bad:
        ids = None if context.store is None else context.store.item_ids
        names = [f"line {row + 1}" if ids is None else str(ids[row]) for row in bad]
        raise _wrong(
            path, f"NaN or infinite numbers in the vectors of {_some(names)}", "make these vectors again"
        )
    return torch.cat([torch.zeros(1, vectors.size(1)), vectors])


def _by_id(path: Path, context: Context) -> Tensor:
    """(items − 1, W): the vectors in the order of the items table."""
    if context.store is None:
        raise _wrong(
            path,
            "vectors by item_id need prepared data to be matched with",
            "give a .npy in the order of the items",
        )
    stored = pq.read_table(path, columns=[ID, VECTOR])
    ids = stored.column(ID).cast(pa.string()).combine_chunks()
    lists = stored.column(VECTOR).combine_chunks()
    if isinstance(lists, pa.ChunkedArray):  # no rows, or more than one chunk can hold
        lists = pa.concat_arrays(lists.chunks)
    problems = []
    counts = pc.value_counts(ids)
    twice = counts.field("values").filter(pc.greater(counts.field("counts"), 1))
    if len(twice):
        problems.append(
            Problem(str(path), f"more than one vector for {_some(twice)}", "keep one row for each item")
        )
    if isinstance(lists.type, pa.FixedSizeListType):
        lengths = pc.if_else(pc.is_valid(lists), lists.type.list_size, 0)
    else:
        lengths = pc.fill_null(pc.list_value_length(lists), 0)
    width = stored_width(path)
    ragged = ids.filter(pc.not_equal(lengths, width))
    if len(ragged):
        problems.append(
            Problem(
                str(path),
                f"vectors that are not {width} wide, as the first is, for {_some(ragged)}",
                "make them alike",
            )
        )
    places = pc.index_in(context.store.item_ids.cast(pa.string()), value_set=ids)
    missing = context.store.item_ids.filter(pc.is_null(places))
    if len(missing):
        problems.append(
            Problem(str(path), f"no vector for {_some(missing)}", "write a row for each item of the data")
        )
    if problems:
        raise DataError(problems)
    flat = lists.flatten().cast(pa.float32()).to_numpy(zero_copy_only=False).reshape(len(ids), width)
    return torch.from_numpy(flat[places.to_numpy(zero_copy_only=False)])


def _some(names: Iterable[Any]) -> str:
    """`3 items: N1, N2, N3`, with the first few of many."""
    listed = [str(each) for each in names]
    more = ", …" if len(listed) > _SHOWN else ""
    return f"{len(listed)} item{'' if len(listed) == 1 else 's'}: {', '.join(listed[:_SHOWN])}{more}"
