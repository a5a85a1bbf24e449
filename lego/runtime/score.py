"""Scores of a part, exactly: every item once, every distinct history once, then only the predictor, in flat ragged chunks.

`naive` does the same without any cache, and `pairwise` pair by pair: the yardsticks that the speed-up is measured against.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
import torch
from torch.nn import functional

from lego.compiler.gather import Seen, batch_of, seconds_before, signals_of
from lego.compiler.pipeline import Pipeline, with_padding
from lego.contract import Need, Needs, Out
from lego.data.sampling import Rows
from lego.ragged import Ragged, flat_positions

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from lego.data.store import Impressions, Users

ITEM_PAGE = 4096
"""Items encoded in one call."""
USER_PAGE = 1024
"""Distinct histories encoded in one call."""
PLACES = 1 << 20
"""Places (candidates × history slots where the user is a sequence) scored in one call."""

Tick = Callable[[int], None]
"""Told how many candidates have been scored since the last call."""


@attrs.frozen(eq=False)
class _Histories:
    """The distinct histories of a part under the declared needs, and which of them each impression has."""

    start: NDArray[np.int64]
    stop: NDArray[np.int64]
    user: NDArray[np.int64]
    times: Ragged | None
    """Seconds from each click to the impression, where somebody asks for times."""
    of_impression: NDArray[np.int64]
    impression: Mapping[str, Tensor]
    """Attributes of the impression that each was met in, where making the user asks for these."""


def _told(pipeline: Pipeline, impressions: Impressions) -> dict[str, Tensor]:
    """Attributes of each impression, where making the user asks for these."""
    if Need.IMPRESSION not in pipeline.encoding or pipeline.candidate_aware:
        return {}
    return pipeline.gather.of_impressions(impressions, np.arange(len(impressions)))


def _distinct(
    impressions: Impressions,
    users: Users,
    needs: frozenset[Need],
    attributes: Mapping[str, Tensor] | None = None,
) -> _Histories:
    """Two impressions share a user only where history *and* needs are the same."""
    attributes = attributes or {}
    empty = impressions.stop <= impressions.start
    nothing = np.zeros_like(impressions.start)
    known = Need.USER in needs or Need.PROFILE in needs
    time = impressions.time if Need.TIMES in needs else None
    key = np.stack(
        [
            np.where(empty, 0, impressions.start),
            np.where(empty, 0, impressions.stop),
            impressions.user if known else nothing,
            nothing if time is None else np.where(empty, 0, time),
        ],
        axis=1,
    ).astype(np.int64)
    key = np.concatenate([key, *(codes.numpy() for codes in attributes.values())], axis=1)
    unique, first, inverse = np.unique(key, axis=0, return_index=True, return_inverse=True)
    times = seconds_before(users, impressions, first) if Need.TIMES in needs else None
    return _Histories(
        unique[:, 0],
        unique[:, 1],
        unique[:, 2],
        times,
        inverse.reshape(-1),
        {name: codes[torch.from_numpy(first)] for name, codes in attributes.items()},
    )


def encode_catalog(pipeline: Pipeline, rows: NDArray[Any], device: torch.device) -> Tensor:
    """rows (n,) of distinct items -> (n + 1, D) with the padding row first. Pages are sorted by length, so little is padded."""
    order = np.argsort(pipeline.feed.lengths(rows), kind="stable")
    pages = [
        pipeline.encode_items(
            torch.from_numpy(rows[order[at : at + ITEM_PAGE]].astype(np.int64))
        ).tensor.float()
        for at in range(0, len(rows), ITEM_PAGE)
    ]
    sorted_vectors = torch.cat(pages)
    vectors = torch.empty_like(sorted_vectors)
    vectors[torch.from_numpy(order).to(device)] = sorted_vectors
    return with_padding(vectors)


def cached(
    pipeline: Pipeline, impressions: Impressions, users: Users, tick: Tick | None = None
) -> NDArray[np.float32]:
    """Scores in the flat order of `impressions.candidates.values`."""
    device = pipeline.device
    scores = np.empty(len(impressions.candidates.values), np.float32)
    histories = _distinct(impressions, users, pipeline.needs, _told(pipeline, impressions))
    used = _used_items(impressions, users, histories)
    place = np.zeros(int(used.max(initial=0)) + 1, np.int64)
    place[used] = np.arange(1, len(used) + 1)
    with torch.inference_mode():
        table = encode_catalog(pipeline, used, device)
        for chunk, of_history, user, needs in _encoded(pipeline, histories, users, place, table):
            width = user.mask.shape[1] if user.mask is not None else 1
            for members in _impression_chunks(impressions, of_history, width):
                owner = torch.from_numpy(np.searchsorted(chunk, histories.of_impression[members])).to(device)
                _score_chunk(
                    pipeline,
                    impressions,
                    members,
                    place,
                    table,
                    _rows_of(user, owner),
                    needs.at(owner),
                    scores,
                )
                if tick is not None:
                    tick(int(impressions.candidates.lengths[members].sum()))
    return scores


def _encoded(
    pipeline: Pipeline, histories: _Histories, users: Users, place: NDArray[np.int64], table: Tensor
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64], Out, Needs]]:
    """Chunks of distinct histories, the impressions that have them, the users they make, and what scoring asks for of them."""
    # Tokens of whole histories are many: fewer users at once then.
    page = max(1, USER_PAGE // 16) if Need.TOKENS in pipeline.needs else USER_PAGE
    for chunk, of_history in _user_chunks(histories, page):
        lengths = histories.stop[chunk] - histories.start[chunk]
        longest = max(1, int(lengths.max(initial=0)))
        rows, mask = _slices(users.history, histories.start[chunk], lengths).padded(longest)
        times = None if histories.times is None else histories.times.take(chunk).padded(longest)[0]
        needs = pipeline.needs_of(
            Seen(
                user=histories.user[chunk],
                history=rows.astype(np.int64),
                times=times,
                impression={
                    name: codes[torch.from_numpy(chunk)] for name, codes in histories.impression.items()
                },
                signals=signals_of(
                    users,
                    pipeline.gather.signals,
                    histories.start[chunk],
                    histories.stop[chunk],
                    longest,
                ),
            )
        )
        vectors = functional.embedding(torch.from_numpy(place[rows]).to(table.device), table)
        user = pipeline.encode_users(vectors, torch.from_numpy(mask).to(table.device), needs)
        yield chunk, of_history, user, _for_scoring(needs, pipeline.scoring)


def _for_scoring(needs: Needs, asked: frozenset[Need]) -> Needs:
    """What is repeated for every impression: tables as long as histories only where scoring asks for them."""
    return attrs.evolve(
        needs,
        times=needs.times if Need.TIMES in asked else None,
        history=needs.history if Need.ATTRIBUTES in asked else {},
        signals=needs.signals if Need.SIGNALS in asked else {},
        impression={},  # of each impression, not of the user: `_score_chunk` finds them
        tokens=needs.tokens if Need.TOKENS in asked else None,
        token_slots=needs.token_slots if Need.TOKENS in asked else None,
    )


def user_vectors(pipeline: Pipeline, impressions: Impressions, users: Users) -> NDArray[np.float32]:
    """The user of each impression, (n, D) or (n, M, D): for operators that give a user without seeing candidates."""
    device = pipeline.device
    histories = _distinct(impressions, users, pipeline.needs, _told(pipeline, impressions))
    used = _used_items(impressions, users, histories)
    if not len(used):  # nobody has a history: any item will do, since none is looked at
        used = np.ones(1, np.int64)
    place = np.zeros(int(used.max(initial=0)) + 1, np.int64)
    place[used] = np.arange(1, len(used) + 1)
    found: NDArray[np.float32] | None = None
    with torch.inference_mode():
        table = encode_catalog(pipeline, used, device)
        for chunk, _, user, _ in _encoded(pipeline, histories, users, place, table):
            vectors = user.tensor.float().cpu().numpy()
            if found is None:
                found = np.empty((len(histories.start), *vectors.shape[1:]), np.float32)
            found[chunk] = vectors
    assert found is not None
    return found[histories.of_impression]


def _used_items(impressions: Impressions, users: Users, histories: _Histories) -> NDArray[np.int64]:
    """The distinct items of the part: its candidates and its histories."""
    lengths = histories.stop - histories.start
    flat = _slices(users.history, histories.start, lengths).values
    seen = np.unique(np.concatenate([flat, impressions.candidates.values]))
    return seen[seen > 0].astype(np.int64)


def _slices(history: Ragged, starts: NDArray[Any], lengths: NDArray[Any]) -> Ragged:
    return Ragged.from_lengths(history.values[flat_positions(starts, lengths)], lengths)


def _user_chunks(histories: _Histories, page: int) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Distinct histories of similar length, sorted by number, and the impressions that have them."""
    lengths = histories.stop - histories.start
    order = np.argsort(lengths, kind="stable")
    owned = np.argsort(histories.of_impression, kind="stable")
    begins = np.searchsorted(histories.of_impression[owned], np.arange(len(lengths) + 1))
    for at in range(0, len(order), page):
        chunk = np.sort(order[at : at + page])
        yield chunk, owned[flat_positions(begins[chunk], begins[chunk + 1] - begins[chunk])]


def _impression_chunks(
    impressions: Impressions, members: NDArray[np.int64], width: int
) -> Iterator[NDArray[np.int64]]:
    """Impressions of similar candidate count, so that padding is little, in chunks of bounded size."""
    counts = impressions.candidates.lengths[members]
    order = members[np.argsort(counts, kind="stable")]
    counts = np.sort(counts)
    at = 0
    while at < len(order):
        # The chunk is as wide as its last impression; take as many as fit.
        cost = counts[at:] * np.arange(1, len(order) - at + 1) * width
        end = at + max(1, int(np.searchsorted(cost, PLACES, side="right")))
        # Rows twice as long as the first would pad the others to half emptiness.
        end = min(end, at + max(1, int(np.searchsorted(counts[at:], 2 * max(1, counts[at]), side="right"))))
        yield order[at:end]
        at = end


def _score_chunk(
    pipeline: Pipeline,
    impressions: Impressions,
    members: NDArray[np.int64],
    place: NDArray[np.int64],
    table: Tensor,
    user: Out,
    needs: Needs,
    scores: NDArray[np.float32],
) -> None:
    candidates = impressions.candidates
    starts = candidates.offsets[members]
    lengths = candidates.offsets[members + 1] - starts
    rows, mask = _slices(candidates, starts, lengths).padded()
    candidate_mask = torch.from_numpy(mask).to(table.device)
    vectors = functional.embedding(torch.from_numpy(place[rows]).to(table.device), table)
    attributes = pipeline.gather.of_candidates(rows.astype(np.int64))
    context = (
        pipeline.gather.of_impressions(impressions, members) if Need.IMPRESSION in pipeline.scoring else {}
    )
    beside = pipeline.gather.beside(impressions, members, rows.astype(np.int64))
    needs = attrs.evolve(
        needs,
        candidates={name: each.to(table.device) for name, each in attributes.items()},
        candidate_signals={name: each.to(table.device) for name, each in beside.items()},
        impression={name: each.to(table.device) for name, each in context.items()},
    )
    given = pipeline.score(user, vectors, candidate_mask, needs).tensor
    scores[flat_positions(starts, lengths)] = given[candidate_mask].cpu().numpy()


def _rows_of(user: Out, owner: Tensor) -> Out:
    return Out(user.tensor[owner], None if user.mask is None else user.mask[owner])


def impression_rows(impressions: Impressions, chosen: NDArray[np.int64]) -> Rows:
    """Whole impressions as batch rows: all their candidates, in their order."""
    taken = impressions.candidates.take(chosen)
    items, mask = taken.padded()
    labels = np.zeros(mask.shape, np.float32)
    starts = impressions.candidates.offsets[chosen]
    labels[mask] = impressions.labels[flat_positions(starts, taken.lengths)]
    return Rows(impression=chosen, items=items, labels=labels)


def naive(
    pipeline: Pipeline, impressions: Impressions, users: Users, tick: Tick | None = None, page: int = 64
) -> NDArray[np.float32]:
    """The same scores impression by impression, every slot encoded where it stands, nothing kept."""
    device = pipeline.device
    scores = np.empty(len(impressions.candidates.values), np.float32)
    with torch.inference_mode():
        for at in range(0, len(impressions.impression), page):
            chosen = np.arange(at, min(at + page, len(impressions.impression)))
            rows = impression_rows(impressions, chosen)
            batch = batch_of(
                pipeline.gather, impressions, users, rows, np.arange(len(chosen)), deduplicate=False
            ).to(device)
            given = pipeline(batch).tensor
            starts = impressions.candidates.offsets[chosen]
            lengths = impressions.candidates.offsets[chosen + 1] - starts
            scores[flat_positions(starts, lengths)] = given[batch.candidate_mask].cpu().numpy()
            if tick is not None:
                tick(int(lengths.sum()))
    return scores


def pairwise(
    pipeline: Pipeline, impressions: Impressions, users: Users, pairs: NDArray[np.int64], page: int = 64
) -> None:
    """Scores some (user, candidate) pairs one row each, every slot encoded where it stands; for its cost, not for its result."""
    device = pipeline.device
    owner = np.searchsorted(impressions.candidates.offsets, pairs, side="right") - 1
    rows = Rows(
        impression=owner,
        items=impressions.candidates.values[pairs][:, None],
        labels=impressions.labels[pairs][:, None].astype(np.float32),
    )
    with torch.inference_mode():
        for at in range(0, len(pairs), page):
            chosen = np.arange(at, min(at + page, len(pairs)))
            pipeline(
                batch_of(pipeline.gather, impressions, users, rows, chosen, deduplicate=False).to(device)
            )
