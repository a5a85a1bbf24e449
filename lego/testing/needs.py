"""What the inputs of a test bring beyond the tensors, where a spec asks for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs
import torch
from torch import Tensor

from lego.contract import Need, Needs
from lego.spec import Context
from lego.testing.suite import GARBAGE, draw, prefix

TOKENS_OF_SLOT = (2, 1, 3)
"""Tokens of the items of a history, in turn."""


def needs_for(
    spec: Any, context: Context, lengths: Sequence[int], candidate_mask: Tensor | None = None
) -> Needs:
    """Just what the spec declares, for users with histories of these lengths and, where known, these candidates (B, C)."""
    users, slots, asked = len(lengths), prefix(*lengths), spec.needs
    profile: dict[str, Tensor] = {}
    history: dict[str, Tensor] = {}
    candidates: dict[str, Tensor] = {}
    if Need.PROFILE in asked:
        everyone = torch.arange(users) > 0  # the first user is one of whom nothing is known
        profile = codes(context.user_vocabularies, everyone, seed=11)
    if Need.ATTRIBUTES in asked:
        history = codes(context.item_vocabularies, slots, seed=12)
        if candidate_mask is not None:
            candidates = codes(context.item_vocabularies, candidate_mask, seed=13)
    impression = (
        codes(context.impression_vocabularies, torch.arange(users) >= 0, seed=16)
        if Need.IMPRESSION in asked
        else {}
    )
    tokens, token_slots = _tokens(lengths, context.input_width) if Need.TOKENS in asked else (None, None)
    times = torch.arange(slots.size(1)).flip(0) * 3600
    return Needs(
        user=torch.arange(users) if Need.USER in asked else None,
        profile=profile,
        times=times.expand(users, -1).masked_fill(~slots, 0) if Need.TIMES in asked else None,
        history=history,
        candidates=candidates,
        tokens=tokens,
        token_slots=token_slots,
        impression=impression,
        signals=_signals(spec.signals, slots, 17) if Need.SIGNALS in asked else {},
        candidate_signals={}
        if candidate_mask is None or Need.CANDIDATE_SIGNALS not in asked
        else _signals(spec.candidate_signals, candidate_mask, 18),
    )


def _signals(names: Sequence[str], mask: Tensor, seed: int) -> dict[str, Tensor]:
    """Name → (*mask.shape): numbers, one of each row missing."""
    found = {}
    for place, name in enumerate(names or ("first", "second")):
        values = 10 * draw(*mask.shape, seed=seed + place).abs()
        values[:, 0] = torch.nan
        found[name] = values.masked_fill(~mask, 0)
    return found


def codes(sizes: Mapping[str, int], mask: Tensor, seed: int) -> dict[str, Tensor]:
    """Attribute → values (*mask.shape, V), 0 where the mask is False; the first has one value, the others up to three."""
    found = {}
    for place, (name, size) in enumerate(sizes.items()):
        generator = torch.Generator().manual_seed(seed + 100 * place)
        width = 1 if place == 0 else 3
        values = torch.randint(1, size, (*mask.shape, width), generator=generator)
        counts = torch.randint(1, width + 1, mask.shape, generator=generator)
        real = (torch.arange(width) < counts.unsqueeze(-1)) & mask.unsqueeze(-1)
        found[name] = values.masked_fill(~real, 0)
    return found


def _tokens(lengths: Sequence[int], width: int) -> tuple[Tensor, Tensor]:
    """Token vectors (B, T, W) and the slot of each, counted from 1, (B, T)."""
    rows = [
        [slot + 1 for slot in range(length) for _ in range(TOKENS_OF_SLOT[slot % len(TOKENS_OF_SLOT)])]
        for length in lengths
    ]
    most = max(map(len, rows))
    slots = torch.tensor([row + [0] * (most - len(row)) for row in rows])
    return draw(len(lengths), most, width, seed=14).masked_fill(slots.unsqueeze(-1) == 0, 0), slots


def among(needs: Needs, columns: Any) -> Needs:
    """The needs where the candidates are those in these columns."""
    return attrs.evolve(
        needs,
        candidates={name: each[:, columns] for name, each in needs.candidates.items()},
        candidate_signals={name: each[:, columns] for name, each in needs.candidate_signals.items()},
    )


def emptied(needs: Needs) -> Needs:
    """The needs of users without history."""
    changes: dict[str, Any] = {
        "history": {name: each * 0 for name, each in needs.history.items()},
        "signals": {name: torch.zeros_like(each) for name, each in needs.signals.items()},
    }
    if needs.times is not None:
        changes["times"] = needs.times * 0
    if needs.token_slots is not None:
        changes["token_slots"] = needs.token_slots * 0
    return attrs.evolve(needs, **changes)


def garbled_tokens(needs: Needs) -> Needs:
    """The needs with large numbers for the vectors of padded tokens; padding of whole numbers is 0 by contract."""
    if needs.tokens is None or needs.token_slots is None:
        return needs
    noise = GARBAGE * draw(*needs.tokens.shape, seed=15)
    return attrs.evolve(needs, tokens=torch.where(needs.token_slots.unsqueeze(-1) > 0, needs.tokens, noise))


def widened(needs: Needs, count: int) -> Needs:
    """The needs with `count` more slots of padding behind each history."""
    changes: dict[str, Any] = {
        "history": {name: _longer(each, count) for name, each in needs.history.items()},
        "signals": {name: _longer(each, count) for name, each in needs.signals.items()},
    }
    for name in ("times", "tokens", "token_slots"):
        value = getattr(needs, name)
        if value is not None:
            changes[name] = _longer(value, count)
    return attrs.evolve(needs, **changes)


def _longer(value: Tensor, count: int) -> Tensor:
    return torch.cat([value, value.new_zeros(value.size(0), count, *value.shape[2:])], 1)


def other_item(needs: Needs, row: int, slot: int) -> Needs:
    """The needs where another item stands in that slot, counted from 0, of that user's history."""
    if needs.tokens is None or needs.token_slots is None:
        return needs
    tokens = needs.tokens.clone()
    tokens[row, needs.token_slots[row] == slot + 1] += 3
    return attrs.evolve(needs, tokens=tokens)
