"""What operators ask for beyond their tensors, gathered from the data: just what is declared, for just the rows of a call."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
import pyarrow.compute as pc
import torch

from lego.contract import Need, Needs
from lego.data.attributes import CATEGORICAL, Codes, codes_of, not_categorical, padded
from lego.data.batch import Batch, collate
from lego.data.past import Past, is_past, problem_of
from lego.data.table import PAST, flat
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
    impression: Mapping[str, Tensor] = attrs.field(factory=dict)
    """Attribute → (B, V) codes, as `Gather.of_impressions` finds them; empty where there is no impression of the data."""
    signals: Mapping[str, NDArray[np.float32]] = attrs.field(factory=dict)
    """Name → (B, S), NaN where a number is missing; empty where the histories are not those of the data."""
    candidate_signals: Mapping[str, Tensor] = attrs.field(factory=dict)
    """Name → (B, C), as `Gather.beside` finds them; empty before the candidates are known."""


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
    impression: Mapping[str, Codes] = attrs.field(factory=dict)
    """Codes of the attributes of the train part's impressions; their vocabularies hold for all parts."""
    signals: tuple[str, ...] = ()
    """Numbers beside clicks that are asked for."""
    candidate_signals: tuple[str, ...] = ()
    """Numbers beside candidates that are asked for."""
    past: Past | None = None
    """The log, where some of these are counted from it."""
    _coded: dict[int, tuple[Any, Mapping[str, Ragged]]] = attrs.field(factory=dict, init=False)
    """Codes of the tables of impressions that were met, by the table, which is held so that no other takes its place."""

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
            impression={
                name: seen.impression.get(name, torch.zeros(len(seen.user), 1, dtype=torch.int64))
                for name in self.impression
            },
            signals={name: self._signal(name, seen) for name in self.signals},
            candidate_signals=seen.candidate_signals,
        )

    def _signal(self, name: str, seen: Seen) -> Tensor:
        """(B, S): NaN at every click where the histories are not those of the data."""
        found = seen.signals.get(name)
        if found is None:
            found = np.where(seen.history > 0, np.float32("nan"), np.float32(0))
        return torch.from_numpy(found)

    def of_impressions(self, impressions: Impressions, rows: NDArray[np.integer]) -> dict[str, Tensor]:
        """Impressions at `rows` (B,) → attribute → codes (B, V); empty where nobody asks for these."""
        if not self.impression:
            return {}
        table = impressions.attributes
        if table is None:
            return {}
        if id(table) not in self._coded:
            found = {name: codes.read(table.column(name)) for name, codes in self.impression.items()}
            self._coded[id(table)] = (table, found)
        coded = self._coded[id(table)][1]
        return {name: padded(each, np.asarray(rows, np.int64)) for name, each in coded.items()}

    def beside(
        self, impressions: Impressions, rows: NDArray[np.integer], candidates: NDArray[np.int64]
    ) -> dict[str, Tensor]:
        """Candidates (B, C) as item rows, in the impressions at `rows` (B,) → name → their numbers (B, C)."""
        if not self.candidate_signals:
            return {}
        places: NDArray[np.int64] = np.asarray(rows, np.int64)
        time = np.full(len(places), -1) if impressions.time is None else impressions.time[places]
        place = _places_in(impressions, places, candidates)
        found = {}
        for name in self.candidate_signals:
            if is_past(name):
                assert self.past is not None
                found[name] = self.past(name, candidates, time)
            else:
                stored = np.append(impressions.signals[name], np.float32("nan"))
                found[name] = np.where(candidates > 0, stored[place], np.float32(0))
        return {name: torch.from_numpy(values) for name, values in found.items()}

    def beside_items(self, rows: NDArray[np.int64]) -> dict[str, Tensor]:
        """Candidates (B, C) outside of any impression, at the end of the log; NaN for what only an impression has."""
        found = {}
        for name in self.candidate_signals:
            if is_past(name):
                assert self.past is not None
                values = self.past(name, rows, np.full(len(rows), self.past.end))
            else:
                values = np.where(rows > 0, np.float32("nan"), np.float32(0))
            found[name] = torch.from_numpy(values)
        return found

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


def _places_in(
    impressions: Impressions, rows: NDArray[np.int64], candidates: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Where each of `candidates` (B, C) stands among the flat candidates of its impression: the first if twice, -1 if not."""
    starts = impressions.candidates.offsets[rows]
    lengths = impressions.candidates.offsets[rows + 1] - starts
    flat_rows = flat_positions(starts, lengths)
    own = np.asarray(impressions.candidates.values[flat_rows], np.int64)
    if not len(own):
        return np.full(candidates.shape, -1, np.int64)
    size = int(max(own.max(), candidates.max(initial=0))) + 1
    keys = np.repeat(np.arange(len(rows)), lengths) * size + own
    order = np.argsort(keys, kind="stable")
    wanted = np.arange(len(rows))[:, None] * size + candidates
    found = np.minimum(np.searchsorted(keys[order], wanted), len(keys) - 1)
    return np.where(keys[order][found] == wanted, flat_rows[order][found], -1)


def signals_of(
    users: Users, names: Iterable[str], start: NDArray[np.int64], stop: NDArray[np.int64], width: int
) -> dict[str, NDArray[np.float32]]:
    """Numbers beside the clicks of the histories from `start` to `stop` (B,), name → (B, width); 0 at padding."""
    lengths = stop - start
    flat_rows = flat_positions(start, lengths)
    return {
        name: Ragged.from_lengths(users.signals[name][flat_rows], lengths).padded(width)[0] for name in names
    }


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
    candidates = items[batch.candidates.numpy()]
    seen = Seen(
        user=batch.users.numpy(),
        history=items[batch.history.numpy()],
        times=times,
        candidates=candidates,
        candidate_signals=gather.beside(impressions, rows.impression[chosen], candidates),
        impression=gather.of_impressions(impressions, rows.impression[chosen]),
        signals=signals_of(
            users,
            gather.signals,
            impressions.start[rows.impression[chosen]],
            impressions.stop[rows.impression[chosen]],
            batch.history.shape[1],
        ),
    )
    return attrs.evolve(batch, needs=gather(seen))


def gather_of(model: Recommender, store: Store, tokens: Ragged | None) -> Gather:
    """The tables that a model asks for."""
    operators = (model.behavior, model.predictor)
    needs = model.behavior.needs | model.predictor.needs
    items = _named(operators, Need.ATTRIBUTES, "item_attributes")
    profile = _named(operators, Need.PROFILE, "user_attributes")
    kinds = store.user_attributes
    beside: tuple[str, ...] = ()
    if Need.CANDIDATE_SIGNALS in needs:
        beside = _named(operators, Need.CANDIDATE_SIGNALS, "candidate_signals") or store.candidate_signals
    return Gather(
        needs=needs,
        identity=_identity(store) if Need.USER in needs else np.zeros(len(store.users) + 1, np.int64),
        profile={}
        if profile is None or store.users.attributes is None
        else codes_of(store.users.attributes, kinds, profile, first=1, among=_trained(store)),
        items={} if items is None else codes_of(store.items, store.attributes, items, first=1),
        tokens=tokens if Need.TOKENS in needs else None,
        impression=_of_impressions(store) if Need.IMPRESSION in needs else {},
        signals=_named(operators, Need.SIGNALS, "signals") or store.history_signals
        if Need.SIGNALS in needs
        else (),
        candidate_signals=beside,
        past=Past(store) if any(map(is_past, beside)) else None,
    )


def _of_impressions(store: Store) -> dict[str, Codes]:
    """The categorical attributes of the train part's impressions."""
    table = store.part("train").attributes
    return {} if table is None else codes_of(table, store.impression_attributes, (), first=0)


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
        if Need.IMPRESSION in spec.needs and not any(
            kind in CATEGORICAL for kind in store.impression_attributes.values()
        ):
            what = "it reads attributes of the impression, and this data has none that is categorical"
            yield Problem(
                where, what, "use an operator that does not: with fields=, 'attributes' or 'vectors'"
            )
        if Need.SIGNALS in spec.needs:
            there = ", ".join(store.history_signals)
            known = f"there are {there}" if there else "this data has none"
            for name in spec.signals or (() if there else ("any",)):
                if name not in store.history_signals:
                    what = f"it reads the numbers {name} beside the clicks, and {known}"
                    yield Problem(where, what, "name one that there is, or use an operator that needs none")
        if Need.CANDIDATE_SIGNALS in spec.needs:
            yield from _lacking_beside(where, spec.candidate_signals, store)
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


def _lacking_beside(where: str, names: tuple[str, ...], store: Store) -> Iterator[Problem]:
    """Numbers beside candidates that this data neither has nor can be counted from."""
    there = ", ".join(store.candidate_signals)
    known = f"there are {there}" if there else "this data has none"
    for name in names or (() if there else ("any",)):
        if is_past(name):
            fix = "name the column in columns={'time': 'COLUMN'} where it is data of your own, or use an operator without it"
            if not any(_has_times(store.part(part)) for part in store.parts):
                what = f"{name} is of what was before an impression, and the impressions of this data have no times"
                yield Problem(where, what, fix)
            elif wrong := problem_of(name, store.attributes):
                yield Problem(where, f"it reads {name}: {wrong}", "correct the name")
        elif name not in store.candidate_signals:
            what = f"it reads the numbers {name} beside the candidates, and {known}"
            yield Problem(where, what, f"name one that there is, or one that is counted: {', '.join(PAST)}")


def _has_times(impressions: Impressions) -> bool:
    return impressions.time is not None and bool((impressions.time >= 0).any())
