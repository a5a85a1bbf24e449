"""Vectors of items by a language model that is not tuned, in a file: the decoupled way, which `Embedding` reads."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
import pyarrow as pa

from lego.data.prepare import prepare
from lego.data.store import MANIFEST, Store
from lego.data.text import item_tokens
from lego.errors import CheckpointError, CompositionError, Problem, SpecError
from lego.home import home
from lego.pretrained.checkpoint import resolve
from lego.pretrained.families import shape_of
from lego.pretrained.model import base_hash, frozen_key
from lego.pretrained.states import HiddenStates
from lego.pretrained.template import fields_of
from lego.pretrained.tokenizer import PretrainedEncoder
from lego.pretrained.vectors import PAGE_TOKENS, POOLINGS, layers_below, pooled, reader
from lego.recommender import Recommender
from lego.runtime.device import choose_device
from lego.runtime.progress import Screen
from lego.runtime.vectors import batch_of, write

if TYPE_CHECKING:
    from torch import Tensor

    from lego.experiment import Experiment
    from lego.pretrained.layers import Layers
    from lego.pretrained.model import LanguageModel
    from lego.spec import Checkpoint

PAGE = 4096
"""Items whose vectors are held at once."""

SUFFIX = ".parquet"


@attrs.frozen(kw_only=True)
class Readable:
    """Items, and what is read of them unless something else is asked for."""

    store: Store
    reads: Mapping[str, int]


@attrs.frozen(kw_only=True)
class Embedded:
    """What was written."""

    path: Path
    rows: int
    width: int
    empty: int
    """Items without text: their vectors are zeros."""
    truncated: Mapping[str, int]
    """Items that lost tokens, by attribute; `template` is the text that is made of several."""
    about: Mapping[str, Any]
    """What the vectors are of; it stands in the file, too."""

    def record(self) -> dict[str, Any]:
        """In plain JSON types."""
        return {**attrs.asdict(self), "path": str(self.path)}


def readable(where: str, experiment: Experiment | None = None, screen: Screen | None = None) -> Readable:
    """The items of a prepared folder or of a run's data; of an experiment where one is given."""
    from lego.runtime.load import opened

    if experiment is None:
        folder = Path(where).expanduser()
        if (folder / MANIFEST).is_file() or not (folder / "experiment.json").is_file():
            store = Store.open(folder)
            return Readable(store=store, reads=store.manifest["reads"])
        run = opened(folder, screen)
        experiment, store = run.experiment, run.store
    else:
        screen = screen or Screen()
        store = prepare(experiment.data, home() / "data", progress=screen.progress)
    model = experiment.model
    mine = model.reads if isinstance(model, Recommender) else None
    return Readable(store=store, reads=mine or store.manifest["reads"])


def embed(
    items: Readable,
    checkpoint: str,
    out: str | Path,
    *,
    pool: str = "mean",
    layer: int | None = None,
    reads: Mapping[str, int] | None = None,
    template: str | None = None,
    length: int | None = None,
    device: str = "auto",
    screen: Screen | None = None,
) -> Embedded:
    """Writes `item_id` and `vector` of every item to a Parquet file, whole or not at all.

    `pool` is of the states behind `layer` layers (`lego.pretrained.vectors`). `reads` replaces what the items are read by,
    `template` makes one text of it, of at most `length` tokens, as in `Pretrained`. The vectors are kept among the cached states
    (`lego cache`), so that a killed run goes on where it was, of several at once one computes, and they are made once.
    SpecError, CompositionError and CheckpointError before any work, with what is wrong.
    """
    screen, path = screen or Screen(), Path(out).expanduser()
    _check(path, pool, template, length)
    device = choose_device(device)
    found = resolve(checkpoint)
    layers, shape = layers_below(found, layer), shape_of(found)
    encoder = PretrainedEncoder.of(found, template, length)
    wanted = _reads(reads or items.reads, template, length, items.store)
    tokens = item_tokens(items.store, wanted, encoder, home() / "tokens")
    if tokens.length > (most := shape.positions):
        what = f"items have up to {tokens.length} tokens, and it reads at most {most}"
        raise CheckpointError(checkpoint, what, "lower the token budgets (--read title=20), or give --length")
    about = {
        "checkpoint": found.name,
        "weights": (base := base_hash(found)),
        "pool": pool,
        "layer": layer,
        "reads": dict(wanted),
        "template": template,
        "length": length,
    }
    vectors = HiddenStates.build(
        home() / "states",
        key=frozen_key(found, [pool, layers.first(shape.layers)], base),
        tokens=tokens.tokens,
        tokens_identity=tokens.identity,
        lower=_Pooled(found, layers, pool, device),
        per="item",
        page_tokens=PAGE_TOKENS,
        about={"checkpoint": found.name, "layers": f"{pool} of {'all' if layer is None else layer}"},
        progress=screen.progress,
    )
    rows = write(path, _pages(items.store, vectors, about))
    width = _width(path)
    empty = int((tokens.tokens.lengths[1:] == 0).sum())
    return Embedded(
        path=path, rows=rows, width=width, empty=empty, truncated=dict(tokens.truncated), about=about
    )


def _check(path: Path, pool: str, template: str | None, length: int | None) -> None:
    if path.suffix != SUFFIX:
        raise SpecError.wrong_value("embed", "out", str(path), f"a file that ends in {SUFFIX}")
    if pool not in POOLINGS:
        raise SpecError.wrong_value("embed", "pool", pool, f"one of {', '.join(POOLINGS)}")
    if length is not None and length < 1:
        raise SpecError.wrong_value("embed", "length", length, "at least 1")
    if length is not None and template is None:
        raise SpecError(f"embed: length={length} cuts the text of a template, and there is none.")


def _reads(
    reads: Mapping[str, int], template: str | None, length: int | None, store: Store
) -> Mapping[str, int]:
    """What is read; the attributes of a template, with the length of the whole for those that have no budget of their own."""
    if template is None:
        return reads
    try:
        names = fields_of(template)
    except ValueError as problem:
        expected = f"a text with attributes in braces, as in 'News: {{title}}' ({problem})"
        raise SpecError.wrong_value("embed", "template", template, expected) from None
    lost = [name for name in names if name not in reads and length is None and name in store.attributes]
    if lost:
        what = "the template names it, and it has no token budget"
        fix = "give the length of the whole text: --length 60, or a budget: --read NAME=20"
        raise CompositionError([Problem(f"template: {name!r}", what, fix) for name in lost])
    return {name: reads.get(name, length or 1) for name in names}


class _Pooled:
    """Tokens to vectors. The model is read when the first is wanted: where all are kept, it is not."""

    def __init__(self, checkpoint: Checkpoint, layers: Layers, pool: str, device: str) -> None:
        self.checkpoint, self.layers, self.pool, self.device = checkpoint, layers, pool, device
        self.model: LanguageModel | None = None

    def __call__(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """tokens (n, L), mask (n, L) -> (n, 1, H)."""
        if self.model is None:
            self.model = reader(self.checkpoint, self.layers).to(self.device)
        mask = mask.to(self.device)
        return pooled(self.model.lower(tokens.to(self.device), mask), mask, self.pool).unsqueeze(1)


def _pages(store: Store, vectors: HiddenStates, about: Mapping[str, Any]) -> Iterator[pa.RecordBatch]:
    """In the order of the items, a page of them after the other."""
    for at in range(0, max(1, store.item_count), PAGE):
        rows = np.arange(at, min(at + PAGE, store.item_count)) + 1  # row 0 is no item
        made = batch_of("item_id", store.item_ids[at : at + PAGE], vectors.gather(rows)[:, 0].numpy())
        yield made.replace_schema_metadata({"lego": json.dumps(about)})


def _width(path: Path) -> int:
    from lego.content.embedding import stored_width

    return stored_width(path)
