"""Beyond accuracy: what the best items of each impression are like, and accuracy by slice; from what the data says of items."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch

from lego.data.table import flat
from lego.errors import DataError, SpecError, did_you_mean
from lego.metric import beyond
from lego.metric.protocol import Rows, protocol, refuse_unlabeled
from lego.ragged import Ragged, flat_positions
from lego.recommender import Recommender
from lego.runtime import score
from lego.runtime.evaluation import metrics_of, users_of
from lego.runtime.load import load
from lego.runtime.word_vectors import word_vectors
from lego.scorer.text_similarity import TextSimilarity

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lego.data.store import Impressions, Store
    from lego.runtime.progress import Screen
    from lego.runtime.reading import Scored

HISTORIES: Final = ((0, 0), (1, 5), (6, 20), (21, None))
"""The lengths of histories that slices are made of, both ends included."""

WORDS: Final = "words"
"""The name of the vectors that are made of the items' words."""

CATEGORIES: Final = 10
"""How many categories have a slice, those with the most clicks."""


def beyond_accuracy(
    scored: Scored, k: int = 10, *, category: str | None = None, vectors: NDArray[np.float32] | None = None
) -> dict[str, float | None]:
    """Numbers of the best k items of each impression, the mean over users of each user's impressions; None where not defined.

    `category` is an attribute of the items, their first one of the kind `category` or `list` unless given; `vectors`
    (items + 1, D) are those that diversity and serendipity compare by. SpecError for an attribute that the items do not have.
    """
    values, totals = _of_lists(scored, k, category, vectors)
    user = users_of(scored.impressions, scored.store.users)
    found = {name: beyond.per_user(each, user) for name, each in values.items()} | totals
    return {name: None if np.isnan(value) else value for name, value in found.items()}


def beyond_per_user(
    scored: Scored, k: int = 10, *, category: str | None = None, vectors: NDArray[np.float32] | None = None
) -> pa.Table:
    """The same for each user: `user`, `impressions`, and each number's mean over the user's impressions, null if not defined."""
    values, _ = _of_lists(scored, k, category, vectors)
    rows, place, count = np.unique(
        users_of(scored.impressions, scored.store.users), return_inverse=True, return_counts=True
    )
    columns = {
        name: pa.array(beyond.of_users(each, place, len(rows)), from_pandas=True)
        for name, each in values.items()
    }
    return pa.table(
        {"user": scored.store.users.user_ids.take(pa.array(rows)), "impressions": count, **columns}
    )


def _of_lists(
    scored: Scored, k: int, category: str | None, vectors: NDArray[np.float32] | None
) -> tuple[dict[str, NDArray[np.float64]], dict[str, float]]:
    """Numbers of each list, and those of all lists together."""
    if k < 1:
        raise SpecError(f"beyond accuracy: k must be at least 1, was {k}.")
    store, impressions = scored.store, scored.impressions
    places = beyond.best_places(scored.scores, impressions.candidates, k)
    rows = impressions.candidates.values.astype(np.int64)
    lists = Ragged(rows[places.values], places.offsets)
    labels = impressions.labels[places.values] == 1
    histories = histories_of(store, impressions)
    clicks = clicks_of(store)
    values = {
        f"novelty@{k}": beyond.novelty(lists, clicks),
        f"popularity@{k}": beyond.popularity(lists, clicks),
    }
    totals = {
        f"catalog_share@{k}": beyond.catalog_share(lists, store.real_items),
        f"gini@{k}": beyond.gini(lists, np.unique(rows)),
    }
    of = category_of(store, category)
    if of is not None:
        codes, _ = of
        values |= {
            f"category_entropy@{k}": beyond.entropy(lists, codes),
            f"category_coverage@{k}": beyond.covered(lists, codes),
            f"miscalibration@{k}": beyond.miscalibration(lists, histories, codes),
        }
        candidates = Ragged(rows, impressions.candidates.offsets)
        totals[f"exposure_gap@{k}"] = beyond.exposure_gap(lists, candidates, codes)
    if vectors is not None:
        strange = beyond.serendipity(lists, labels, histories, vectors)
        values |= {
            f"diversity@{k}": beyond.diversity(lists, vectors),
            f"serendipity@{k}": strange if impressions.labeled else np.full_like(strange, np.nan),
        }
    return values, totals


def slices(scored: Scored, *, category: str | None = None) -> dict[str, dict[str, dict[str, float | None]]]:
    """Accuracy by slice: kind → slice → metric, by the run's own protocol, with `impressions` and `clicks` beside.

    `history`: impressions by the length of the history. `item`: clicks on items that were clicked in the train part (`warm`)
    or not (`cold`). `category`: clicks on items of a category. A slice of clicks is measured against all unclicked candidates
    of the same impressions; impressions without a click of the slice are left out of it. `generated`, where a language model
    wrote some of the data: impressions whose history holds a generated item (`items`), whose user has a generated attribute
    (`profile`), and the others (`none`). DataError for a part whose labels are not known.
    """
    impressions, store = scored.impressions, scored.store
    if not impressions.labeled:
        refuse_unlabeled("slices")
    rows = scored.rows
    items = impressions.candidates.values.astype(np.int64)
    clicked = impressions.labels == 1
    length = rows.history
    assert length is not None
    found: dict[str, dict[str, dict[str, float | None]]] = {"history": {}, "item": {}}
    for low, high in HISTORIES:
        name = f"{low}" if low == high else f"{low}+" if high is None else f"{low}-{high}"
        inside = (length >= low) & (True if high is None else length <= high)
        found["history"][name] = _sliced(scored, rows, inside)
    warm = clicks_of(store)[items] > 0
    for name, inside in (("warm", warm), ("cold", ~warm)):
        found["item"][name] = _sliced(scored, rows, ~clicked | inside)
    of = category_of(store, category)
    if of is not None:
        codes, names = of
        found["category"] = {}
        often = np.bincount(codes[items[clicked]][codes[items[clicked]] >= 0], minlength=len(names))
        for code in np.argsort(-often, kind="stable")[:CATEGORIES]:
            if often[code]:
                found["category"][names[code]] = _sliced(scored, rows, ~clicked | (codes[items] == code))
    if store.origins is not None:
        counts = impressions.candidates.lengths
        found["generated"] = {
            name: _sliced(scored, rows, np.repeat(inside, counts))
            for name, inside in _generated(store, impressions).items()
        }
    return found


def _generated(store: Store, impressions: Impressions) -> dict[str, NDArray[np.bool_]]:
    """What a language model wrote about each impression (n,)."""
    assert store.origins is not None
    of_users = store.origins.filter(pc.equal(store.origins["table"], "users"))
    profile = np.isin(impressions.user, flat(of_users["row"]))
    items = has_generated(store, impressions)
    return {"items": items, "profile": profile, "none": ~(items | profile)}


def has_generated(store: Store, impressions: Impressions) -> NDArray[np.bool_]:
    """Whether the history of each impression holds a generated item (n,)."""
    found = np.concatenate([[0], np.cumsum(store.users.history.values > store.real_items)])
    return np.asarray(found[np.maximum(impressions.stop, impressions.start)] > found[impressions.start])


def _sliced(scored: Scored, rows: Rows, inside: NDArray[np.bool_]) -> dict[str, float | None]:
    """The metrics of the impressions that have a click inside; all are None where there is none."""
    clicked = rows.labels[inside] == 1
    with_click = np.zeros(int(rows.impression.max()) + 1, np.bool_)
    with_click[rows.impression[inside][clicked]] = True
    inside = inside & with_click[rows.impression]
    counts: dict[str, float | None] = {"impressions": int(with_click.sum()), "clicks": int(clicked.sum())}
    metrics = [each for each in metrics_of(scored.experiment) if scored.logits or not each.logits]
    evaluation = scored.experiment.evaluation
    rule = protocol(evaluation.protocol or scored.experiment.data.protocol)

    def cut(column: NDArray[Any] | None) -> NDArray[Any] | None:
        return None if column is None else column[inside]

    values: dict[str, float | None] = {}
    for metric in metrics:
        try:
            part = Rows(
                scores=rows.scores[inside],
                labels=rows.labels[inside],
                impression=rows.impression[inside],
                user=cut(rows.user),
                history=cut(rows.history),
            )
            values |= rule.read([metric], part, ties=evaluation.ties).values
        except DataError:
            values[metric.name] = None
    return {**values, **counts}


def vectors_of(
    scored: Scored, vectors: str = "", *, device: str = "auto", screen: Screen | None = None
) -> NDArray[np.float32] | None:
    """(items + 1, D): a vector for each item row, that of row 0 being zero.

    By default those that the run's model makes of the items; where it makes none, or by `words`, those of the items' words (see
    `word_vectors`), None where there are no words. Else those of a file or a checkpoint, as `TextSimilarity` takes them.
    """
    model = scored.experiment.model
    asked = TextSimilarity(vectors) if vectors and vectors != WORDS else model
    if vectors != WORDS and isinstance(asked, TextSimilarity):
        made = asked.fitted()
        made.fit(scored.store)
        table: NDArray[np.float32] = made.table  # type: ignore[attr-defined]  # what a fitted TextSimilarity holds
        return table
    if vectors == WORDS or not isinstance(model, Recommender):
        return word_vectors(scored.store)
    compiled = load(scored.path, device=device, screen=screen).compiled
    assert compiled is not None
    pipeline = compiled.pipeline
    place = pipeline.device
    with torch.inference_mode():
        rows = np.arange(1, scored.store.item_count + 1, dtype=np.int64)
        return score.encode_catalog(pipeline, rows, place).float().cpu().numpy()


def vectors_told(scored: Scored, vectors: str = "") -> str:
    """What the vectors of `vectors_of` are, in words."""
    if vectors and vectors != WORDS:
        return vectors
    if not vectors and isinstance(scored.experiment.model, Recommender | TextSimilarity):
        return "the item vectors of the run"
    return f"the words of {', '.join(scored.store.manifest['reads'])}"


def clicks_of(store: Store) -> NDArray[np.int64]:
    """(items + 1,): clicks of each item in the train part."""
    train = store.part("train")
    return np.bincount(train.candidates.values[train.labels == 1], minlength=store.item_count + 1)


def category_of(store: Store, name: str | None = None) -> tuple[NDArray[np.int64], list[str]] | None:
    """The code of each item's category (items + 1,), -1 where it has none, and the names of the codes.

    Of a list the first value. None where no attribute is named and items have no category.
    """
    name = category_named(store, name)
    if name is None:
        return None
    column = store.items[name]
    column = pa.chunked_array([first_values(chunk) for chunk in column.chunks], pa.string())
    names = pc.drop_null(pc.unique(column))
    codes = np.full(store.item_count + 1, -1, np.int64)
    codes[1:] = flat(pc.fill_null(pc.index_in(column, names, skip_nulls=True), -1))
    return codes, names.to_pylist()


def category_named(store: Store, name: str | None = None) -> str | None:
    """The attribute that is the category of an item: the named one, else the first of the kind `category`, or `list`."""
    kinds = store.attributes
    known = [each for each, kind in kinds.items() if kind in ("category", "list")]
    if name is not None and name not in known:
        fix = f"Items have the categories: {', '.join(known) or 'none'}."
        raise SpecError(f"Items have no category {name!r}. {did_you_mean(name, known)}{fix}")
    return name or next(iter(sorted(known, key=lambda each: kinds[each] != "category")), None)


def first_values(chunk: pa.Array) -> pa.Array:
    """The value of each row as text, the first where it is a list."""
    if pa.types.is_dictionary(chunk.type):
        chunk = chunk.dictionary_decode()
    if pa.types.is_list(chunk.type):
        some = pc.greater(pc.fill_null(pc.list_value_length(chunk), 0), 0)
        chunk = pc.list_element(pc.if_else(some, chunk, pa.scalar([None], chunk.type)), 0)
    if pa.types.is_dictionary(chunk.type):
        chunk = chunk.dictionary_decode()
    return chunk.cast(pa.string())


def histories_of(store: Store, impressions: Impressions) -> Ragged:
    """The item rows of each impression's history."""
    lengths = np.maximum(impressions.stop - impressions.start, 0)
    values = store.users.history.values[flat_positions(impressions.start, lengths)]
    return Ragged.from_lengths(values.astype(np.int64), lengths)


def told(
    found: dict[str, dict[str, dict[str, float | None]]],
) -> Iterator[tuple[str, dict[str, float | None]]]:
    """Slices as rows of a table."""
    for kind, parts in found.items():
        for name, values in parts.items():
            yield f"{kind} {name}", values
