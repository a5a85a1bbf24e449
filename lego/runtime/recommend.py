"""The best items for a user, new items and new users included: pages of items are encoded, scored and merged, and none is kept.

A score is that which an evaluation gives: the same stages, the same vocabulary, tokenizer and budgets; nothing is fitted again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from numpy.typing import NDArray
from torch.nn import functional

from lego.compiler.gather import Seen
from lego.compiler.pipeline import with_padding
from lego.contract import Need, Needs, Out
from lego.data.table import flat
from lego.errors import DataError, Problem, RunError, SpecError
from lego.ragged import Ragged, flat_positions
from lego.runtime.extend import attributes_of, by_rows, extended
from lego.runtime.items import Asked, asked, nearest
from lego.runtime.latest import latest_of
from lego.runtime.progress import Screen
from lego.runtime.unknown_words import without_known_words

if TYPE_CHECKING:
    from torch import Tensor

    from lego.compiler.assemble import Compiled
    from lego.data.store import Store
    from lego.runtime.load import Loaded
    from lego.scorer.base import Scores
    from lego.spec import Rerank

ITEM_PAGE = 4096
"""Items encoded and scored in one call."""
USER_PAGE = 1024
"""Users for whom pages are scored at a time, fewer where tokens of whole histories are read, which are many.

Behind more, the item vectors are kept for the next ones."""
PLACES = 1 << 19
"""Places (users × items × history slots where the user is a sequence) scored in one call."""

NOTES = b"notes"
"""The key of the result's schema metadata under which stands, as a JSON list of sentences, what its reader should know."""


@attrs.frozen(eq=False, kw_only=True)
class Askers:
    """For whom items are wanted."""

    names: tuple[str, ...] | None
    """Their ids where several were named, for a column of the result."""
    user: NDArray[np.int64]
    """(B,) user rows; -1 is nobody of the data."""
    history: Ragged
    """Item rows, oldest first, whole."""
    times: Ragged | None
    """Seconds from each click to the user's last one; None where the data has no times."""

    def __len__(self) -> int:
        return len(self.user)

    def take(self, chosen: NDArray[np.int64]) -> Askers:
        """Some of them."""
        return Askers(
            names=None,
            user=self.user[chosen],
            history=self.history.take(chosen),
            times=None if self.times is None else self.times.take(chosen),
        )

    def recent(self, count: int) -> Askers:
        """The same with at most the `count` latest items of each history."""

        def latest(rows: Ragged) -> Ragged:
            lengths = np.minimum(rows.lengths, count)
            return Ragged.from_lengths(
                rows.values[flat_positions(rows.offsets[1:] - lengths, lengths)], lengths
            )

        times = None if self.times is None else latest(self.times)
        return attrs.evolve(self, history=latest(self.history), times=times)


def recommend(
    loaded: Loaded,
    *,
    user: object = None,
    users: Iterable[object] | None = None,
    history: Iterable[object] | None = None,
    items: Any = None,
    k: int = 10,
    exclude_seen: bool = True,
    rerank: Rerank | None = None,
    category: str | None = None,
    screen: Screen | None = None,
) -> pa.Table:
    """What `Loaded.recommend` gives; the notes stand in the metadata of the schema, under `NOTES`."""
    _refuse_call(user, users, history, k)
    wanted = _read_of_items(loaded)
    candidates = asked(loaded.store, items, wanted)
    if users is not None:
        askers = _known(loaded.store, [str(each) for each in users], several=True)
    elif history is None:
        askers = _known(loaded.store, [str(user)], several=False)
    else:
        askers = _with_history(candidates.rows_of([str(each) for each in history]))
    notes = [*_notes_on_users(loaded, askers), *_notes_on_items(loaded, candidates)]
    pool = k if rerank is None else max(k, rerank.pool(k))
    scores, rows = best_of(loaded, askers, candidates, pool, screen or Screen(), exclude_seen=exclude_seen)
    if rerank is not None:
        from lego.runtime.rerank import best_reranked

        encode = None if loaded.compiled is None else _vectors_by(loaded.compiled, candidates)
        scores, rows = best_reranked(
            rerank, scores, rows, askers.history, candidates, k, category=category, encode=encode
        )
    return _table(candidates, askers, scores, rows, notes)


def best_of(
    loaded: Loaded, askers: Askers, candidates: Asked, k: int, screen: Screen, *, exclude_seen: bool
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Scores (B, k') and rows (B, k') of the best candidates for each of B askers; a row is 0 where fewer are left.

    Users in blocks, pages of items within. RunError where the run's scorer scores impressions alone.
    """
    if loaded.compiled is not None:
        return _by_model(loaded.compiled, askers, candidates, k, screen, exclude_seen=exclude_seen)
    against = getattr(loaded.scorer, "against", None)
    if against is None:
        what = f"{loaded.experiment.model!r} scores impressions only: its scorer has no method `against`"
        raise RunError(f"{what} (see lego.scorer.base.Recommending), so it cannot recommend.")
    found = []
    for at in range(0, len(askers), USER_PAGE):
        block = askers.take(np.arange(at, min(at + USER_PAGE, len(askers))))
        score = against(block.recent(loaded.history).history, candidates.new)
        found.append(best(score, candidates.rows, _seen(block, exclude_seen=exclude_seen), k, screen))
    return np.concatenate([scores for scores, _ in found]), np.concatenate([rows for _, rows in found])


def _vectors_by(compiled: Compiled, candidates: Asked) -> Callable[[NDArray[np.int64]], NDArray[np.float32]]:
    """Rows (n,), new ones too -> their vectors (n, D), the mean where an item has several."""

    def encode(rows: NDArray[np.int64]) -> NDArray[np.float32]:
        with torch.inference_mode():
            made = _Scoring(compiled, candidates, keep=False, screen=Screen()).encode(rows)
            return (made.mean(1) if made.ndim == 3 else made).cpu().numpy()

    return encode


def notes_of(table: pa.Table) -> list[str]:
    """What a reader of recommendations should know, in sentences."""
    notes: list[str] = json.loads((table.schema.metadata or {}).get(NOTES, b"[]"))
    return notes


def _refuse_call(user: object, users: object, history: object, k: int) -> None:
    given = [
        name for name, value in (("user", user), ("users", users), ("history", history)) if value is not None
    ]
    if len(given) != 1:
        what = f"{' and '.join(given)} are given together" if given else "nobody is named"
        raise SpecError(f"recommend: {what}. Give one of user=ID, users=[ID, …] and history=[ID, …].")
    for name, value in (("users", users), ("history", history)):
        if isinstance(value, str):
            raise SpecError(f"recommend: {name}={value!r} is one text. Write {name}=[{value!r}].")
    if isinstance(k, bool) or not isinstance(k, int) or k < 1:
        raise SpecError(f"recommend: k must be a whole number of at least 1, was {k!r}.")


# --- for whom -----------------------------------------------------------------------------------------------------------------


def _known(store: Store, ids: list[str], *, several: bool) -> Askers:
    """Users of the data, each with the whole history of the id's latest row. DataError that lists unknown ids."""
    users = store.users
    found = latest_of(store, pa.array(ids, pa.string()))
    unknown = [each for each, row in zip(ids, found.row, strict=True) if row < 0]
    if unknown:
        there = pa.chunked_array([users.user_ids])
        fix = "give a user of the data, or the history of a new one: history=[…] (--history ID …)"
        raise DataError(
            [
                Problem(f"user {each!r}", "no user has this id", f"{nearest(each, there)}{fix}")
                for each in unknown
            ]
        )
    history = users.history.take(found.row)
    times = None
    if users.times is not None:
        clicks = users.times.take(found.row)
        last = np.repeat(
            clicks.values[np.maximum(clicks.offsets[1:], 1) - 1] if len(clicks.values) else clicks.lengths,
            clicks.lengths,
        )
        times = Ragged(np.maximum(last - clicks.values, 0).astype(np.int64), clicks.offsets)
    return Askers(names=tuple(ids) if several else None, user=found.row, history=history, times=times)


def _with_history(rows: NDArray[np.int64]) -> Askers:
    """Somebody of whom nothing is known but what was read, just now."""
    lengths = np.array([len(rows)])
    history = Ragged.from_lengths(rows, lengths)
    return Askers(
        names=None,
        user=np.array([-1], np.int64),
        history=history,
        times=Ragged.from_lengths(np.zeros(len(rows), np.int64), lengths),
    )


def _seen(askers: Askers, *, exclude_seen: bool) -> Ragged:
    """The items that are left out, for each asker."""
    if exclude_seen:
        return askers.history
    return Ragged(np.empty(0, np.int64), np.zeros(len(askers) + 1, np.int64))


def _notes_on_users(loaded: Loaded, askers: Askers) -> Iterator[str]:
    empty = int((askers.history.lengths == 0).sum())
    if empty:
        who = "This user has" if len(askers) == 1 else f"{empty:,} of {len(askers):,} users have"
        if loaded.compiled is None:
            what = "no user at all"
        elif loaded.compiled.pipeline.nobody is None:  # a predictor that reads the clicks themselves
            what = "the candidates beside an empty history"
        else:
            what = "the default that the model learned for such users"
        yield f"{who} no history: the scores are those of {what}."
    needs = loaded.compiled.pipeline.needs if loaded.compiled else frozenset()
    if (askers.user < 0).any():
        if Need.USER in needs:
            yield "The model knows users by id, and a user given by a history is one that it does not know."
        if Need.PROFILE in needs:
            yield "The model reads attributes of the user, and a user given by a history has none."
        if Need.TIMES in needs and not empty:
            yield "The model reads the times of clicks, and a history that is given has none: all count as of just now."


# --- what ---------------------------------------------------------------------------------------------------------------------


def _read_of_items(loaded: Loaded) -> tuple[str, ...]:
    """The attributes without which a new item cannot be encoded."""
    if loaded.compiled is None:
        return tuple(getattr(loaded.scorer, "reads", ()))
    return attributes_of(loaded.compiled)


def _notes_on_items(loaded: Loaded, candidates: Asked) -> Iterator[str]:
    """What the scores of new items are worth. RunError where only such are asked for, and the model knows none."""
    new, count = candidates.new.num_rows, len(candidates.rows)
    if not new:
        return
    spec = loaded.experiment.model
    blind = loaded.compiled is not None and by_rows(loaded.compiled)
    if blind and loaded.compiled is not None:
        what = f"content={loaded.compiled.model.content!r} knows the items of the data by their row and reads no text"
        if new == count:
            raise RunError(
                f"All {new:,} items are new, and {what}, so their scores would say nothing. Train a model that reads text, "
                "such as content=Attention(), or ask for items of the data."
            )
        yield f"{new:,} of {count:,} items are new, and {what}: these share the score of an unknown item."
    if getattr(loaded.scorer, "blind", False):
        yield f"{new:,} of {count:,} items are new, and {spec!r} knows nothing of such: these share one score."
    old = count - new
    if old:
        yield f"{old:,} of {count:,} items are in the data already; they are scored with the text that it has of them."
    reads = [name for name in _read_of_items(loaded) if name in candidates.new.column_names]
    if reads and not blind:
        filled = np.stack([_filled(candidates.new[name]) for name in reads])
        without = int((~filled.any(0)).sum())
        if without:
            have = "1 new item has" if without == 1 else f"{without:,} new items have"
            yield f"{have} no {' and no '.join(reads)}: the model sees nothing of them."
        strange = 0 if loaded.compiled is None else without_known_words(loaded.compiled, candidates.new)
        if strange:
            have = "has" if strange == 1 else "have"
            yield (
                f"{strange:,} of {new:,} new items {have} words in {', '.join(reads)}, and none that the vocabulary of the run "
                "knows: the model sees how many there are, and not what they say."
            )


def _filled(column: pa.ChunkedArray) -> NDArray[np.bool_]:
    if pa.types.is_list(column.type):
        return flat(pc.fill_null(pc.greater(pc.list_value_length(column), 0), fill_value=False))
    return flat(
        pc.fill_null(pc.not_equal(pc.utf8_trim_whitespace(column.cast(pa.string())), ""), fill_value=False)
    )


# --- scores -------------------------------------------------------------------------------------------------------------------


def _by_model(
    compiled: Compiled, askers: Askers, candidates: Asked, k: int, screen: Screen, *, exclude_seen: bool
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Users in blocks, pages of items within."""
    users = max(1, USER_PAGE // 16) if Need.TOKENS in compiled.pipeline.needs else USER_PAGE
    scoring = _Scoring(compiled, candidates, keep=len(askers) > users, screen=screen)
    found = []
    for at in range(0, len(askers), users):
        block = askers.take(np.arange(at, min(at + users, len(askers))))
        score = scoring.against(block.recent(compiled.history))
        found.append(best(score, candidates.rows, _seen(block, exclude_seen=exclude_seen), k, screen))
    return np.concatenate([scores for scores, _ in found]), np.concatenate([rows for _, rows in found])


class _Scoring:
    """A compiled model, with new items behind the rows of its data."""

    def __init__(self, compiled: Compiled, candidates: Asked, *, keep: bool, screen: Screen) -> None:
        self.pipeline = extended(compiled, candidates.new, screen=screen)
        self.device = next(compiled.pipeline.parameters(), torch.empty(0)).device
        self.keep = keep
        self.kept: dict[int, Tensor] = {}

    def against(self, askers: Askers) -> Scores:
        """Encodes the users, and gives the function from item rows (P,) to their scores (B, P)."""
        with torch.inference_mode():
            index, mask = askers.history.padded(max(1, int(askers.history.lengths.max(initial=0))))
            history = index.astype(np.int64)
            times = (
                None if askers.times is None else askers.times.padded(history.shape[1])[0].astype(np.int64)
            )
            needs = self.pipeline.needs_of(Seen(user=askers.user, history=history, times=times))
            used, place = np.unique(history, return_inverse=True)
            real = used[used > 0]
            table = with_padding(self.encode(real)) if len(real) else self._nothing()
            place = place.reshape(history.shape) + (0 if used[0] == 0 else 1)
            vectors = functional.embedding(torch.from_numpy(place).to(self.device), table)
            user = self.pipeline.encode_users(vectors, torch.from_numpy(mask).to(self.device), needs)

        def score(rows: NDArray[np.int64]) -> Tensor:
            with torch.inference_mode():
                return self._scores(user, needs, rows, slots=history.shape[1])

        return score

    def _nothing(self) -> Tensor:
        """(1, D): the padding row alone. Its width is asked of an item, for a content operator may have any."""
        return torch.zeros_like(self.encode(np.ones(1, np.int64)))

    def encode(self, rows: NDArray[np.int64]) -> Tensor:
        """rows (N,) -> (N, D)."""
        pages = [
            self.pipeline.encode_items(torch.from_numpy(rows[at : at + ITEM_PAGE])).tensor.float()
            for at in range(0, len(rows), ITEM_PAGE)
        ]
        return torch.cat(pages)

    def _page(self, rows: NDArray[np.int64]) -> Tensor:
        if not self.keep:
            return self.encode(rows)
        first = int(rows[0])
        if first not in self.kept:
            self.kept[first] = self.encode(rows)
        return self.kept[first]

    def _scores(self, user: Out, needs: Needs, rows: NDArray[np.int64], slots: int) -> Tensor:
        vectors = self._page(rows)
        codes = {
            name: each.to(self.device)
            for name, each in self.pipeline.gather.of_candidates(rows[None]).items()
        }
        beside = {
            name: each.to(self.device) for name, each in self.pipeline.gather.beside_items(rows[None]).items()
        }
        count, wide = len(user.tensor), slots if user.mask is not None else 1
        step = max(1, PLACES // (len(rows) * wide))
        pages = []
        for at in range(0, count, step):
            part = torch.arange(at, min(at + step, count), device=self.device)
            given = self.pipeline.score(
                Out(user.tensor[part], None if user.mask is None else user.mask[part]),
                vectors.expand(len(part), *vectors.shape),
                torch.ones(len(part), len(rows), dtype=torch.bool, device=self.device),
                attrs.evolve(
                    needs.at(part),
                    candidates={name: each.expand(len(part), -1, -1) for name, each in codes.items()},
                    candidate_signals={name: each.expand(len(part), -1) for name, each in beside.items()},
                ),
            )
            pages.append(given.tensor)
        return torch.cat(pages)


def best(
    score: Scores, rows: NDArray[np.int64], seen: Ragged, k: int, screen: Screen
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """The k best of the ascending `rows` for each of B users: scores (B, k') and rows (B, k').

    A row is 0 where fewer are left. Only the best so far and one page of scores are held. Equal scores are in the order of the
    rows. RunError where a score is not a finite number.
    """
    count = len(seen)
    top = torch.empty(count, 0)
    found = torch.empty(count, 0, dtype=torch.int64)
    with screen.bar("scoring", len(rows), "item") as bar:
        for at in range(0, len(rows), ITEM_PAGE):
            page = rows[at : at + ITEM_PAGE]
            scores = torch.as_tensor(score(page)).float().cpu()
            if not torch.isfinite(scores).all():
                raise RunError(
                    "A score is not a finite number: the weights of this run are damaged, or an operator divides by 0."
                )
            hidden = _hidden(page, seen)
            if hidden is not None:
                scores = scores.masked_fill(hidden, -torch.inf)
            if top.shape[1] == k:
                # An item that is no better than the last of anybody's best changes nothing: of equals the earlier one stays.
                better = (scores > top[:, -1:]).any(0)
                page, scores = page[better.numpy()], scores[:, better]
                hidden = hidden if hidden is None else hidden[:, better]
            places = torch.from_numpy(page).expand(count, -1)
            if hidden is not None:
                places = places.masked_fill(hidden, 0)
            # What was found before stands first, and comes from smaller rows: the earlier of equals is the one to keep.
            together = torch.cat([top, scores], 1)
            order = _first_of_best(together, k)
            top = together.gather(1, order)
            found = torch.cat([found, places], 1).gather(1, order)
            bar.advance(min(ITEM_PAGE, len(rows) - at))
    return top.numpy(), found.numpy()


def _first_of_best(scores: Tensor, k: int) -> Tensor:
    """(B, P) -> the places (B, k') of the k largest, largest first, the earlier of equals first.

    What a stable sort gives, by a partial one: score and place are one whole number, so that none are equal.
    """
    count = scores.shape[1]
    bits = (scores + 0.0).view(torch.int32).long()  # one zero of -0.0 and 0.0
    ascending = torch.where(bits >= 0, bits, bits ^ 0x7FFFFFFF)  # as the scores do, those below zero too
    key = (ascending << 32) | torch.arange(count - 1, -1, -1)
    best_keys = key.topk(min(k, count), dim=1).values
    return count - 1 - (best_keys & 0xFFFFFFFF)


def _hidden(page: NDArray[np.int64], seen: Ragged) -> Tensor | None:
    """(B, P): which items of a page of ascending rows each user has seen; None where nobody has any."""
    place = np.searchsorted(page, seen.values)
    inside = page[np.minimum(place, len(page) - 1)] == seen.values
    if not inside.any():
        return None
    owner = np.repeat(np.arange(len(seen)), seen.lengths)
    hidden = np.zeros((len(seen), len(page)), np.bool_)
    hidden[owner[inside], place[inside]] = True
    return torch.from_numpy(hidden)


# --- the result ---------------------------------------------------------------------------------------------------------------


def _table(
    candidates: Asked,
    askers: Askers,
    scores: NDArray[np.float32],
    rows: NDArray[np.int64],
    notes: Sequence[str],
) -> pa.Table:
    """[user], rank, item, score, new, then what the items say."""
    real = rows > 0
    flat_rows = rows[real]
    ranks = np.broadcast_to(np.arange(1, rows.shape[1] + 1), rows.shape)[real]
    columns: dict[str, Any] = {}
    if askers.names is not None:
        columns["user"] = pa.array(askers.names, pa.string()).take(pa.array(np.nonzero(real)[0]))
    columns |= {
        "rank": pa.array(ranks.astype(np.int32)),
        "item": candidates.column("item_id", flat_rows),
        "score": pa.array(scores[real]),
        "new": pa.array(flat_rows > candidates.count),
    }
    for name, kind in candidates.store.attributes.items():
        if kind == "text" and name not in columns:
            columns[name] = candidates.column(name, flat_rows)
    table = pa.table(columns)
    return table.replace_schema_metadata({NOTES: json.dumps(list(notes), ensure_ascii=False).encode()})
