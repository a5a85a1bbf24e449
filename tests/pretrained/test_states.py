from __future__ import annotations

import json
import multiprocessing
import os
import re
import signal
import time

import numpy as np
import pytest
import torch

from lego.errors import RunError
from lego.pretrained import states as module
from lego.pretrained.states import HiddenStates, bytes_for
from lego.ragged import Ragged

WIDTH = 6


class Lower:
    """States that say which token stood where; counts what it computed."""

    def __init__(self, *, fail_after=None):
        self.rows = self.calls = 0
        self.fail_after = fail_after

    def __call__(self, tokens, mask):
        if self.fail_after is not None and self.calls >= self.fail_after:
            raise KeyboardInterrupt
        assert mask.dtype == torch.bool
        self.calls += 1
        self.rows += len(tokens)
        places = torch.arange(tokens.shape[1])
        return (
            (tokens + 0.125 * places)[..., None]
            * torch.linspace(1, 2, WIDTH)
            * torch.where(mask, 1.0, torch.nan)[..., None]
        )


def items(count=40, seed=0):
    """Ragged tokens; row 0 and some others are empty."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(0, 9, count)
    lengths[0] = 0
    return Ragged.from_lengths(rng.integers(1, 50, int(lengths.sum())).astype(np.int32), lengths)


def build(folder, tokens, lower=None, **options):
    given = {"key": "k", "tokens_identity": "t", "page_tokens": 24, **options}
    return HiddenStates.build(folder, tokens=tokens, lower=lower or Lower(), **given)


def expected(tokens, rows, length):
    """The slow obvious way."""
    table = torch.zeros(len(rows), length, WIDTH)
    for place, row in enumerate(rows):
        ids = torch.from_numpy(tokens[row].astype(np.int64))[None]
        table[place, : ids.shape[1]] = Lower()(ids, torch.ones_like(ids, dtype=torch.bool))[0]
    return table


def test_gathered_states_are_those_computed(tmp_path):
    """Any rows in any order, repeated and empty ones too, come back with zeros behind them."""
    tokens = items()
    states = build(tmp_path, tokens)
    rows = np.array([3, 0, 39, 3, 17, 1])
    assert torch.equal(states.gather(rows, 12), expected(tokens, rows, 12))
    assert torch.equal(states.gather(rows), expected(tokens, rows, int(tokens.lengths[rows].max())))
    assert states.gather(np.array([], np.int64), 3).shape == (0, 3, WIDTH)
    assert len(states) == 40
    assert (states.width, states.bytes) == (WIDTH, bytes_for(int(tokens.lengths.sum()), WIDTH))


def test_gathered_states_can_be_learned_from(tmp_path):
    """They are ordinary tensors: a gradient through what reads them works."""
    states = build(tmp_path, items()).gather(np.arange(4), 9)
    weight = torch.ones(WIDTH, requires_grad=True)
    (states @ weight).sum().backward()
    assert weight.grad is not None
    assert not states.requires_grad


def test_a_row_is_never_cut(tmp_path):
    """States of a text depend on all of it, so fewer places than tokens are an error."""
    tokens = items()
    with pytest.raises(RunError, match="untruncated"):
        build(tmp_path, tokens).gather(np.array([int(tokens.lengths.argmax())]), 2)


def test_computed_once(tmp_path):
    """The second time nothing is computed."""
    tokens, first, second = items(), Lower(), Lower()
    build(tmp_path, tokens, first)
    again = build(tmp_path, tokens, second)
    assert (first.rows > 0, second.calls) == (True, 0)
    rows = np.arange(40)
    assert torch.equal(again.gather(rows, 9), expected(tokens, rows, 9))


def test_every_part_of_the_key_counts(tmp_path):
    """Another model, tokenizer, storage, token, order of tokens or boundary between items is another cache."""
    tokens = items()
    changed = tokens.values.copy()
    changed[5] += 1
    variants = [
        (tokens, {}),
        (tokens, {"key": "other"}),
        (tokens, {"tokens_identity": "other"}),
        (tokens, {"dtype": "bfloat16"}),
        (tokens, {"dtype": "float16"}),
        (Ragged(changed, tokens.offsets), {}),
        (Ragged(tokens.values[::-1].copy(), tokens.offsets), {}),
        (Ragged.from_lengths(tokens.values, np.roll(tokens.lengths, 1)), {}),
    ]
    paths = {build(tmp_path, given, **options).path for given, options in variants}
    assert len(paths) == len(variants)


@pytest.mark.parametrize("page_tokens", [1, 7, 10_000])
def test_page_size_changes_nothing(tmp_path, page_tokens):
    """How many tokens are computed at a time moves neither the states nor the key."""
    tokens = items()
    states = build(tmp_path, tokens, page_tokens=page_tokens)
    assert torch.equal(states.gather(np.arange(40), 9), expected(tokens, np.arange(40), 9))
    assert states.path == build(tmp_path, tokens).path


@pytest.mark.parametrize(("dtype", "error"), [("bfloat16", 2**-8), ("float16", 2**-11)])
def test_half_precision(tmp_path, dtype, error):
    """Half the bytes, and the rounding of the type."""
    tokens = items()
    states = build(tmp_path, tokens, dtype=dtype)
    found, wanted = states.gather(np.arange(40), 9), expected(tokens, np.arange(40), 9)
    assert found.dtype == getattr(torch, dtype)
    assert 2 * states.bytes == bytes_for(int(tokens.lengths.sum()), WIDTH)
    torch.testing.assert_close(found.float(), wanted, rtol=error, atol=0)
    assert not torch.equal(found.float(), wanted)


def test_no_item_has_text(tmp_path):
    """A catalogue of empty texts has empty states of the right width."""
    states = build(tmp_path, Ragged.from_lengths(np.empty(0, np.int32), np.zeros(3, np.int64)))
    assert states.gather(np.array([0, 2]), 1).tolist() == torch.zeros(2, 1, WIDTH).tolist()


def test_progress_is_told(tmp_path):
    """It is told how many tokens are done, up to all of them."""
    told = []
    tokens = items()
    build(tmp_path, tokens, progress=lambda *each: told.append(each))
    total = int(tokens.lengths.sum())
    assert told[-1] == ("hidden states", total, total)
    assert [done for _, done, _ in told] == sorted({done for _, done, _ in told})


def test_an_interrupted_build_goes_on_where_it_was(tmp_path, monkeypatch):
    """What a journal vouches for is not computed again, and what stands behind it is not believed."""
    monkeypatch.setattr(module, "_JOURNAL_SECONDS", 0.0)
    tokens, whole, broken, rest = items(), Lower(), Lower(fail_after=4), Lower()
    build(tmp_path / "whole", tokens, whole)
    with pytest.raises(KeyboardInterrupt):
        build(tmp_path / "broken", tokens, broken)
    (partial,) = (tmp_path / "broken").glob("*.partial")
    with (partial / "states.bin").open("ab") as file:
        file.write(b"half a page" * 10_000)
    states = build(tmp_path / "broken", tokens, rest)
    assert broken.calls + rest.calls == whole.calls
    assert rest.calls < whole.calls
    assert torch.equal(states.gather(np.arange(40), 9), expected(tokens, np.arange(40), 9))
    assert states.verify()


@pytest.mark.parametrize("journal", ["", "{}", "[1]", '{"rows": 3}'])
def test_a_broken_journal_starts_anew(tmp_path, monkeypatch, journal):
    """A journal that cannot be read vouches for nothing."""
    monkeypatch.setattr(module, "_JOURNAL_SECONDS", 0.0)
    tokens = items()
    with pytest.raises(KeyboardInterrupt):
        build(tmp_path, tokens, Lower(fail_after=4))
    (partial,) = tmp_path.glob("*.partial")
    (partial / "journal.json").write_text(journal)
    assert torch.equal(build(tmp_path, tokens).gather(np.arange(40), 9), expected(tokens, np.arange(40), 9))


def _slow_build(folder, ready):
    class Slow(Lower):
        def __call__(self, tokens, mask):
            if self.calls == 3:
                ready.set()
                time.sleep(60)
            return super().__call__(tokens, mask)

    build(folder, items(), Slow())


def test_a_killed_process_leaves_no_cache_and_no_lock(tmp_path):
    """After a kill the states are computed, not taken for whole."""
    context = multiprocessing.get_context("fork" if os.name == "posix" else "spawn")
    ready = context.Event()
    child = context.Process(target=_slow_build, args=(tmp_path, ready))
    child.start()
    assert ready.wait(30)
    os.kill(child.pid, signal.SIGKILL)
    child.join()
    assert not [path for path in tmp_path.iterdir() if path.is_dir() and path.suffix != ".partial"]
    states = build(tmp_path, items())
    assert torch.equal(states.gather(np.arange(40), 9), expected(items(), np.arange(40), 9))


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda p: flip(p / "states.bin"), r"states\.bin was changed"),
        (lambda p: (p / "states.bin").write_bytes((p / "states.bin").read_bytes()[:-4]), "another size"),
        (lambda p: (p / "states.bin").unlink(), r"states\.bin is missing"),
        (lambda p: flip(p / "rows.npy"), r"rows\.npy was changed"),
        (lambda p: (p / "rows.npy").unlink(), r"rows\.npy cannot be read"),
        (lambda p: (p / "manifest.json").unlink(), r"manifest\.json is missing"),
        (lambda p: (p / "manifest.json").write_text("{"), "cannot be read"),
        (lambda p: edit(p / "manifest.json"), r"manifest\.json was changed"),
    ],
)
def test_a_damaged_cache_is_noticed_and_made_again(tmp_path, damage, message):
    """Whatever is broken, it is said and computed anew."""
    tokens, lower = items(), Lower()
    path = build(tmp_path, tokens).path
    damage(path)
    with pytest.raises(RunError, match=message):
        HiddenStates.open(path)
    with pytest.warns(UserWarning, match=message):
        states = build(tmp_path, tokens, lower)
    assert lower.calls > 0
    assert torch.equal(states.gather(np.arange(40), 9), expected(tokens, np.arange(40), 9))


def edit(path):
    path.write_text(re.sub(r'"width": \d+', '"width": 3', path.read_text()))


def test_a_touched_but_unchanged_file_is_good(tmp_path):
    """A copy with another time is read through once and believed."""
    path = build(tmp_path, items()).path
    os.utime(path / "states.bin", (1, 1))
    assert HiddenStates.open(path).verify()
    assert (path / "states.bin").stat().st_mtime_ns == json.loads((path / "manifest.json").read_text())[
        "states_time"
    ]


def test_states_that_are_not_finite_are_refused(tmp_path):
    """Overflow in half precision is an error, not a state."""

    def huge(tokens, mask):
        return torch.full((*tokens.shape, WIDTH), 1e30)

    with pytest.raises(RunError, match="float16"):
        build(tmp_path, items(), huge, dtype="float16")


def test_states_stay_on_disk(tmp_path):
    """The values are a memory map, opened for reading."""
    values = build(tmp_path, items()).values
    assert isinstance(values, np.memmap)
    assert not values.flags.writeable


def test_one_state_an_item(tmp_path):
    """An item with text has one row on disk, whatever its length; it is gathered as (n, 1, H), zeros where there is no text."""
    tokens = items()

    def pooled(ids, mask):
        return torch.where(mask, ids, 0).sum(1)[:, None, None] * torch.linspace(1, 2, WIDTH)

    cache = build(tmp_path, tokens, pooled, per="item")
    real = tokens.lengths > 0
    assert cache.bytes == bytes_for(int(real.sum()), WIDTH)
    rows = np.array([3, 0, 7, 3])
    wanted = torch.tensor([float(tokens[row].sum()) for row in rows])[:, None, None] * torch.linspace(
        1, 2, WIDTH
    )
    for length in (None, 8):
        torch.testing.assert_close(cache.gather(rows, length), wanted)
    assert cache.gather(np.array([0])).shape == (1, 1, WIDTH)
    assert cache.verify()
    assert build(tmp_path, tokens).path != cache.path, "states of tokens are others"


def test_one_state_an_item_goes_on_after_a_kill(tmp_path):
    """What a killed run computed is there again."""
    tokens = items()

    class Pooled(Lower):
        def __call__(self, ids, mask):
            super().__call__(ids, mask)
            return torch.where(mask, ids, 0).sum(1)[:, None, None] * torch.linspace(1, 2, WIDTH)

    whole = build(tmp_path / "whole", tokens, Pooled(), per="item")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_JOURNAL_SECONDS", 0.0)
        with pytest.raises(KeyboardInterrupt):
            build(tmp_path / "killed", tokens, Pooled(fail_after=4), per="item")
    again = Pooled()
    resumed = build(tmp_path / "killed", tokens, again, per="item")
    assert 0 < again.rows < len(tokens)
    np.testing.assert_array_equal(resumed.values, whole.values)
