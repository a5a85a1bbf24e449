"""What is in a prepared folder: numbers that JSON can hold, and a few rows in words."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from lego.data.store import Impressions, Store, Users
from lego.data.table import flat

_KEPT = (
    " without text",
    " without attributes",
    " with other text",
    " left in english",
    " without a click",
    " behind later parts",
)
"""How the names of counts end that tell of what is in the tables all the same."""

_BEFORE = (("dev", "train"), ("test", "train"), ("test", "dev"))
"""Which part must not hold what is in which other one."""


_SEVERAL = 10
"""Impressions or clicks from which on a share says something."""


def describe(store: Store) -> dict[str, Any]:
    """Counts, lengths, times, and how much of each part training never saw.

    `density` is clicks in histories / (users x items). `cold_items` is the share of a part's clicks that are on items neither
    clicked nor in a history in train, `cold_users` the share of its impressions whose user has none in train, `no_history` the
    share without a history. A share or a range of nothing is None. Lengths of text are in characters, those of lists in values.
    """
    users, parts = store.users, {part: store.part(part) for part in store.parts}
    warm_items, warm_users = (
        _seen_in_train(store, users, parts["train"]) if "train" in parts else (None, None)
    )
    return {
        "path": str(store.path),
        "source": store.manifest["source"]["text"],
        "fingerprint": store.fingerprint,
        "items": store.item_count,
        "users": len(users),
        "impressions": {name: len(part) for name, part in parts.items()},
        "candidates": {name: _spread(part.candidates.lengths) for name, part in parts.items()},
        "clicks": {name: int(part.labels.sum()) if part.labeled else None for name, part in parts.items()},
        "history": {name: _spread(part.stop - part.start) for name, part in parts.items()},
        "no_history": {name: _share(part.stop == part.start) for name, part in parts.items()},
        "cold_items": {
            name: None
            if warm_items is None
            else _share(~warm_items[part.candidates.values[part.labels == 1]])
            for name, part in parts.items()
        },
        "cold_users": {
            name: None if warm_users is None else _share(~np.isin(_owner_codes(users, part), warm_users))
            for name, part in parts.items()
        },
        "density": len(users.history.values) / max(1, len(users) * store.item_count),
        "time": {name: _range(part.time) for name, part in parts.items()},
        "attributes": {name: _attribute(kind, store.items[name]) for name, kind in store.attributes.items()},
        "user_attributes": {
            name: _attribute(kind, users.attributes[name])
            for name, kind in store.user_attributes.items()
            if users.attributes is not None
        },
        "warnings": doubts(store),
        "generated": store.generated,
        "dropped": dict(store.manifest["dropped"]),
        "rules": {name: rule for name, rule in store.manifest["rules"].items() if name != "doubts"},
        "seconds": store.manifest["seconds"],
    }


def doubts(store: Store) -> list[str]:
    """What would make results on this data doubtful, a sentence each; empty where nothing was found."""
    users, parts = store.users, {part: store.part(part) for part in store.parts}
    found = list(store.manifest["rules"].get("doubts", ()))  # what reading it left open
    codes = flat(users.user_ids.dictionary_encode().indices) if len(users) else np.empty(0, np.int64)
    keys = {}
    for name, part in parts.items():
        if not len(part):
            found.append(f"{name}: there is no impression in it")
            continue
        if not part.labeled:
            found.append(f"{name}: its labels are not known, so it can be scored and not measured")
        elif not part.labels.any():
            found.append(f"{name}: no candidate is clicked")
        elif part.labels.all():
            found.append(f"{name}: every candidate is clicked, so there is nothing to tell apart")
        elif name == "train" and 2 * (idle := _without_click(part)) > len(part):
            found.append(
                f"train: {idle:,} of {len(part):,} impressions have no click, so a task that compares a click with other "
                "candidates learns nothing from them"
            )
        if part.time is not None and len(part) >= _SEVERAL and part.time[0] >= 0 and np.ptp(part.time) == 0:
            found.append(f"{name}: all {len(part):,} impressions have the same time")
        keys[name] = _identities(part, codes)
        again = len(part) - len(np.unique(keys[name]))
        if again:
            found.append(f"{name}: {again:,} impressions are there twice, with one user, time and candidates")
    for name, before in _BEFORE:
        if before in keys and name in keys:
            both = int(np.isin(np.unique(keys[name]), keys[before]).sum())
            if both:
                found.append(
                    f"{name}: {both:,} of its impressions are in {before} too, so they are known before"
                )
    if str(store.manifest["rules"].get("split", "")).startswith("by user"):
        for name, before in _BEFORE:
            if before in keys and name in keys:
                both = len(np.intersect1d(codes[parts[name].user], codes[parts[before].user]))
                if both:
                    found.append(
                        f"{name}: {both:,} users are in {before} too, which the split by user rules out"
                    )
    found += _late_training(parts, codes)
    return found + _mostly_cold(store, users, parts)


def _without_click(part: Impressions) -> int:
    clicks = np.concatenate([np.zeros(1, np.int64), np.cumsum(part.labels == 1, dtype=np.int64)])
    return int((np.diff(clicks[part.candidates.offsets]) == 0).sum())


def _mostly_cold(store: Store, users: Users, parts: Mapping[str, Impressions]) -> list[str]:
    """Parts most of whose clicks are on items that training never saw."""
    train = parts.get("train")
    if train is None or not len(train) or not train.labeled:
        return []
    seen, found = _seen_in_train(store, users, train)[0], []
    for name in ("dev", "test"):
        part = parts.get(name)
        if part is None or not part.labeled:
            continue
        cold = ~seen[part.candidates.values[part.labels == 1]]
        if len(cold) >= _SEVERAL and (share := float(cold.mean())) > 0.5:
            found.append(
                f"{name}: {share:.0%} of its clicks are on items that train never saw: a model that knows items by their id "
                "can only guess there, one that reads their text need not"
            )
    return found


def _identities(part: Impressions, codes: NDArray[Any]) -> NDArray[np.uint64]:
    """A number for each impression that two have in common where user, time and candidates with labels are the same."""
    mixed = _mixed(part.candidates.values.astype(np.uint64) * np.uint64(2) + part.labels.astype(np.uint64))
    sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum(mixed, dtype=np.uint64)])
    shown = sums[part.candidates.offsets[1:]] - sums[part.candidates.offsets[:-1]]
    time = np.zeros(len(part), np.uint64) if part.time is None else part.time.astype(np.uint64)
    seen = part.stop.astype(np.uint64) if part.time is None else np.zeros(len(part), np.uint64)
    return _mixed(_mixed(_mixed(codes[part.user].astype(np.uint64)) + time) + seen) + shown


def _mixed(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The finaliser of splitmix64 (Steele et al. 2014): numbers that look random, the same for the same."""
    values = values + np.uint64(0x9E3779B97F4A7C15)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(values ^ (values >> np.uint64(31)))


def _late_training(parts: Mapping[str, Impressions], codes: NDArray[Any]) -> list[str]:
    """Users whose train impressions come after one of dev or test: training has seen what is to be predicted."""
    train = parts.get("train")
    if train is None or train.time is None or not len(train):
        return []
    latest = np.full(int(codes.max(initial=-1)) + 1, -1, np.int64)
    np.maximum.at(latest, codes[train.user], train.time)
    found = []
    for name in ("dev", "test"):
        part = parts.get(name)
        if part is None or part.time is None or not len(part):
            continue
        late = int(((part.time >= 0) & (latest[codes[part.user]] > part.time)).sum())
        if late:
            found.append(
                f"{name}: {late:,} impressions are earlier than the latest train impression of their user"
            )
    return found


def histograms(store: Store, width: int = 30) -> list[str]:
    """Lengths of the histories and counts of candidates over all parts, as bars of text."""
    parts = [store.part(part) for part in store.parts]
    told = {
        "items in a history": np.concatenate([part.stop - part.start for part in parts]),
        "candidates of an impression": np.concatenate([part.candidates.lengths for part in parts]),
    }
    lines = []
    for title, values in told.items():
        if not len(values):
            continue
        top = int(values.max())
        edges = np.unique(np.concatenate([[0, 1, 2], 2 ** np.arange(2, max(3, top.bit_length() + 1))]))
        counts = np.histogram(values, np.append(edges, np.inf))[0]
        lines += ["", title]
        for place, count in enumerate(counts.tolist()):
            if edges[place] > top:
                break
            last = min(top, int(edges[place + 1]) - 1) if place + 1 < len(edges) else top
            name = f"{edges[place]}" if last <= edges[place] else f"{edges[place]}-{last}"
            bar = "#" * round(width * count / counts.max())
            lines.append(f"  {name:>12}  {bar:<{width}}  {count:,}")
    return lines


def dropped_line(manifest: Mapping[str, Any]) -> str | None:
    """What preparing left out or made up, in one sentence for the screen; None where it was nothing.

    `Left out: 4 missing news, 12 history clicks of missing news. Kept: 3 news without text.`
    """
    counts = {name.replace("_", " "): count for name, count in manifest["dropped"].items() if count}
    kept = {name: count for name, count in counts.items() if name.endswith(_KEPT)}
    left_out = {name: count for name, count in counts.items() if name not in kept}
    sentences = [
        f"{head}: {', '.join(f'{count:,} {name}' for name, count in some.items())}."
        for head, some in (("Left out", left_out), ("Kept", kept))
        if some
    ]
    return " ".join(sentences) or None


def sample(
    store: Store, part: str, n: int = 3, *, history: int = 5, seed: int | None = None
) -> list[dict[str, Any]]:
    """`n` impressions with the titles of what is in them: the first ones, or random ones where a seed is given.

    Each is `{"impression", "user", "time", "history": [{"item", "title"}, …], "candidates": [{"item", "title", "label"}, …]}`;
    the history holds its most recent `history` items, the oldest first. Title is the attribute `title`, or the first text. A
    label is None where those of the part are not known.
    """
    impressions = store.part(part).recent(history)
    count = min(n, len(impressions))
    every = (
        np.arange(len(impressions))
        if seed is None
        else np.random.default_rng(seed).permutation(len(impressions))
    )
    rows = np.sort(every[:count])
    chosen, users = impressions.take(rows), store.users
    texts = [name for name, kind in store.attributes.items() if kind == "text"]
    title = "title" if "title" in texts else next(iter(texts), None)
    shown = []
    for row in range(count):
        begin, end = chosen.candidates.offsets[row : row + 2]
        past = users.history.values[chosen.start[row] : chosen.stop[row]]
        candidates = _named(store, title, chosen.candidates[row])
        labels = chosen.labels[begin:end].tolist() if chosen.labeled else [None] * len(candidates)
        shown.append(
            {
                "impression": int(chosen.impression[row]),
                "user": users.user_ids[int(chosen.user[row])].as_py(),
                "time": None if chosen.time is None else _moment(int(chosen.time[row])),
                "history": _named(store, title, past),
                "candidates": [
                    {**item, "label": label} for item, label in zip(candidates, labels, strict=True)
                ],
            }
        )
    return shown


def _named(store: Store, title: str | None, rows: NDArray[Any]) -> list[dict[str, Any]]:
    places = pa.array(np.asarray(rows, np.int64) - 1)
    ids = store.item_ids.take(places).to_pylist()
    titles = [None] * len(ids) if title is None else store.items[title].take(places).to_pylist()
    return [{"item": item, "title": text} for item, text in zip(ids, titles, strict=True)]


def _seen_in_train(store: Store, users: Users, train: Impressions) -> tuple[NDArray[np.bool_], NDArray[Any]]:
    """Item rows that train clicks or has in a history; codes of the users that have impressions in it."""
    seen = np.zeros(store.item_count + 1, bool)
    seen[train.candidates.values[train.labels == 1]] = True
    # Extents overlap, so they are counted where they begin and end: what lies in any of them has a count above 0.
    size = len(users.history.values) + 1
    open_extents = np.cumsum(
        np.bincount(train.start, minlength=size) - np.bincount(train.stop, minlength=size)
    )
    seen[users.history.values[open_extents[:-1] > 0]] = True
    return seen, np.unique(_owner_codes(users, train))


def _owner_codes(users: Users, part: Impressions) -> NDArray[Any]:
    """A number for the user of each impression, the same for all rows of one user id."""
    return flat(users.user_ids.dictionary_encode().indices)[part.user]


def _spread(lengths: NDArray[Any]) -> dict[str, float] | None:
    if not len(lengths):
        return None
    low, middle, high = np.quantile(lengths, [0.1, 0.5, 0.9]).tolist()
    return {
        "min": int(lengths.min()),
        "p10": low,
        "median": middle,
        "mean": round(float(lengths.mean()), 3),
        "p90": high,
        "max": int(lengths.max()),
    }


def _share(which: NDArray[np.bool_]) -> float | None:
    return float(which.mean()) if len(which) else None


def _range(time: NDArray[np.int64] | None) -> dict[str, str | None] | None:
    known = time[time >= 0] if time is not None else np.empty(0, np.int64)
    return {"from": _moment(int(known.min())), "to": _moment(int(known.max()))} if len(known) else None


def _moment(seconds: int) -> str | None:
    return datetime.fromtimestamp(seconds, UTC).isoformat() if seconds >= 0 else None


def _attribute(kind: str, column: pa.ChunkedArray) -> dict[str, Any]:
    known = column.drop_null()
    about: dict[str, Any] = {"kind": kind, "missing": column.null_count}
    if kind == "text":
        about["length"] = _spread(flat(pc.utf8_length(known)))
    elif kind == "list":
        about["missing"] += int(pc.sum(pc.equal(pc.list_value_length(known), 0)).as_py() or 0)
        about["length"] = _spread(flat(pc.list_value_length(known)))
        about["distinct"] = len(pc.unique(pc.list_flatten(known)))
    elif kind == "number":
        about |= {name: value.as_py() for name, value in pc.min_max(known).items()}
        about["mean"] = pc.mean(known).as_py()
    else:
        about["distinct"] = len(pc.unique(known.cast(pa.string())))
    return about
