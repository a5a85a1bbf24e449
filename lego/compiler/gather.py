"""What operators ask for beyond their tensors, gathered from the data: just what is declared, for just the rows of a call."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import attrs
import numpy as np
import pyarrow.compute as pc
import torch

from lego.contract import Need, Needs
from lego.data.attributes import CATEGORICAL, Codes, codes_of, not_categorical, padded
from lego.data.batch import Batch, collate
from lego.data.table import flat
from lego.errors import Problem
from lego.ragged import Ragged, flat_positions

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from lego.data.sampling import Rows
    from lego.data.store import Impressions, Store, Users
    from lego.recommender import Recommender


@attrs.frozen(eq=False, kw_only=True)
class Seen:
    """Whom a call is about, and what they saw, in rows of the store."""

    user: NDArray[np.int64]
    """(B,) user rows; -1 is a user who is not in the data."""
    history: NDArray[np.int64]
    """(B, S) item rows, oldest first; 0 is padding."""
    times: NDArray[np.int64] | None = None
    """(B, S) seconds from each click to the impression, where times are asked for; 0 at padding."""
    candidates: NDArray[np.int64] | None = None
    """(B, C) item rows; 0 is padding. None before the candidates are known."""


@attrs.frozen(eq=False, kw_only=True)
class Gather:
    """The tables that needs are read from; empty where a need is not declared."""

    needs: frozenset[Need] = frozenset()
    identity: NDArray[np.int64] = attrs.field(factory=lambda: np.zeros(1, np.int64))
    """Who user row u - 1 is: the same number for all rows of one user id, 0 for one that the train part does not have."""
    profile: Mapping[str, Codes] = attrs.field(factory=dict)
    """Row u is user row u - 1."""
    items: Mapping[str, Codes] = attrs.field(factory=dict)
    """Row r is item row r."""
    tokens: Ragged | None = None
    """Row r is item row r."""

    @property
    def user_count(self) -> int:
        """Users that the train part has, and user 0."""
        return int(self.identity.max(initial=0)) + 1

    def __call__(self, seen: Seen) -> Needs:
        """The needs of these users; TOKENS are ids still, (B, T) int64, which the token table makes vectors of."""
        tokens, slots = self._tokens(seen.history) if Need.TOKENS in self.needs else (None, None)
        return Needs(
            user=torch.from_numpy(self.identity[seen.user + 1]) if Need.USER in self.needs else None,
            profile={name: padded(codes.rows, seen.user + 1) for name, codes in self.profile.items()},
            times=torch.from_numpy(seen.times)
            if Need.TIMES in self.needs and seen.times is not None
            else None,
            history={name: padded(codes.rows, seen.history) for name, codes in self.items.items()},
            candidates={} if seen.candidates is None else self.of_candidates(seen.candidates),
            tokens=tokens,
            token_slots=slots,
        )

    def of_candidates(self, rows: NDArray[np.int64]) -> dict[str, Tensor]:
        """rows (B, C) of items -> attribute → (B, C, V)."""
        return {name: padded(codes.rows, rows) for name, codes in self.items.items()}

    def of_items(self, rows: NDArray[np.int64]) -> dict[str, Tensor]:
        """rows (N,) of items -> attribute → (N, V)."""
        return {name: padded(codes.rows, rows) for name, codes in self.items.items()}

    def _tokens(self, history: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        """history (B, S) -> ids (B, T) and history slots (B, T), the tokens of a user's items one behind the other."""
        assert self.tokens is not None
        flat_rows = history.reshape(-1)
        found = self.tokens.take(flat_rows)
        lengths = np.where(flat_rows > 0, found.lengths, 0).reshape(history.shape)
        per_user = Ragged.from_lengths(found.values, lengths.sum(1))
        slots = np.repeat(np.tile(np.arange(1, history.shape[1] + 1), len(history)), lengths.reshape(-1))
        width = max(1, int(per_user.lengths.max(initial=0)))
        ids, _ = per_user.padded(width)
        places, _ = Ragged(slots.astype(np.int64), per_user.offsets).padded(width)
        return torch.from_numpy(ids.astype(np.int64)), torch.from_numpy(places)


def seconds_before(users: Users, impressions: Impressions, rows: NDArray[np.int64]) -> Ragged:
    """Seconds from each click of the histories at `rows` to the impression.

    Where the impression's time is not known they count to its latest click. A click is never after its impression.
    """
    assert users.times is not None
    start, stop = impressions.start[rows], impressions.stop[rows]
    lengths = stop - start
    clicks = users.times.values[flat_positions(start, lengths)]
    now = np.full(len(rows), -1, np.int64) if impressions.time is None else impressions.time[rows]
    latest = users.times.values[np.maximum(stop, 1) - 1] if len(users.times.values) else now
    now = np.where(now < 0, latest, now)
    return Ragged.from_lengths(np.maximum(np.repeat(now, lengths) - clicks, 0), lengths)


def batch_of(
    gather: Gather,
    impressions: Impressions,
    users: Users,
    rows: Rows,
    chosen: NDArray[np.integer],
    *,
    deduplicate: bool = True,
) -> Batch:
    """The batch of the rows at `chosen`, with what operators ask for beyond it."""
    batch = collate(impressions, users, rows, chosen, deduplicate=deduplicate)
    if not gather.needs - {Need.CANDIDATES}:
        return batch
    items = np.concatenate([[0], batch.items.numpy()])
    times = None
    if Need.TIMES in gather.needs:
        times, _ = seconds_before(users, impressions, rows.impression[chosen]).padded(batch.history.shape[1])
    seen = Seen(
        user=batch.users.numpy(),
        history=items[batch.history.numpy()],
        times=times,
        candidates=items[batch.candidates.numpy()],
    )
    return attrs.evolve(batch, needs=gather(seen))


def gather_of(model: Recommender, store: Store, tokens: Ragged | None) -> Gather:
    """The tables that a model asks for."""
    operators = (model.behavior, model.predictor)
    needs = model.behavior.needs | model.predictor.needs
    items = _named(operators, Need.ATTRIBUTES, "item_attributes")
    profile = _named(operators, Need.PROFILE, "user_attributes")
    kinds = store.user_attributes
    return Gather(
        needs=needs,
        identity=_identity(store) if Need.USER in needs else np.zeros(len(store.users) + 1, np.int64),
        profile={}
        if profile is None or store.users.attributes is None
        else codes_of(store.users.attributes, kinds, profile, first=1, among=_trained(store)),
        items={} if items is None else codes_of(store.items, store.attributes, items, first=1),
        tokens=tokens if Need.TOKENS in needs else None,
    )


def _named(operators: tuple[object, ...], need: Need, option: str) -> tuple[str, ...] | None:
    """The attributes that are named together, () for all of them, None where nobody has the need."""
    asking = [getattr(each, option) for each in operators if need in each.needs]  # type: ignore[attr-defined]
    if not asking:
        return None
    return () if () in asking else tuple(dict.fromkeys(name for names in asking for name in names))


def _trained(store: Store) -> NDArray[np.int64]:
    """The user rows of the train part, whose attributes are the ones that training can learn of."""
    return np.unique(store.part("train").user).astype(np.int64)


def _identity(store: Store) -> NDArray[np.int64]:
    """Numbers of the users that the train part has, by user row + 1. Rows of one id share theirs; all others have 0."""
    codes = flat(pc.dictionary_encode(store.users.user_ids).indices)
    trained = np.zeros(int(codes.max(initial=-1)) + 1, bool)
    trained[codes[store.part("train").user]] = True
    numbers = np.where(trained, np.cumsum(trained), 0)
    return np.concatenate([[0], numbers[codes]]).astype(np.int64)


def lacking(model: Recommender, store: Store) -> Iterator[Problem]:
    """What operators need and this data does not have."""
    for slot, spec in (("behavior", model.behavior), ("predictor", model.predictor)):
        where = f"{slot}={spec!r}"
        if Need.TIMES in spec.needs and store.users.times is None:
            what = "it needs the times of the clicks, which this data does not have"
            yield Problem(where, what, "use an operator that goes by positions, for example Positions(…)")
        named = [
            (Need.ATTRIBUTES, spec.item_attributes, store.attributes, "items"),
            (Need.PROFILE, spec.user_attributes, store.user_attributes, "users"),
        ]
        for need, names, kinds, of in named:
            none = not names and not any(kind in CATEGORICAL for kind in kinds.values())
            # Predictors read the fields that there are; a behavior operator would have nothing to read.
            if none and need is Need.PROFILE and need in spec.needs and slot == "behavior":
                what = (
                    "it reads attributes of users, and the users of this data have none that is categorical"
                )
                yield Problem(where, what, "use an operator that goes by the history, or UserID()")
            if need in spec.needs:
                for problem in not_categorical(names, kinds, of):
                    yield attrs.evolve(problem, where=f"{where}: {problem.where}")
