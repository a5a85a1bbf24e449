"""`lego cache`."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from filelock import FileLock
from typer.testing import CliRunner

from lego.cli import app
from lego.pretrained.states import HiddenStates
from lego.ragged import Ragged


def made(folder, key):
    """States of three items; the value of a state is its id."""
    return HiddenStates.build(
        folder,
        key=key,
        tokens=Ragged.from_lengths(np.arange(1, 7, dtype=np.int32), np.array([3, 0, 3])),
        tokens_identity="tokenizer",
        lower=lambda tokens, mask: tokens.unsqueeze(-1).expand(-1, -1, 4).float(),
        dtype="bfloat16",
        about={"checkpoint": "owner/model", "layers": "2 of 6"},
    )


@pytest.fixture
def states(monkeypatch, tmp_path):
    """A home with two whole folders of states, and one that a killed run left."""
    monkeypatch.setenv("LEGO_HOME", str(tmp_path))
    folder = tmp_path / "states"
    found = [made(folder, "one"), made(folder, "two")]
    partial = folder / ("0" * 32 + ".partial")
    partial.mkdir()
    (partial / "states.bin").write_bytes(b"half")
    return found


def called(*words):
    done = CliRunner().invoke(app, ["cache", *words, "--json"])
    return done.exit_code, json.loads(done.stdout)


def test_listing_says_what_is_kept(states):
    """Two whole, one unfinished; whose they are, and how large."""
    code, rows = called("list")
    assert code == 0
    assert sorted(row["state"] for row in rows) == ["unfinished", "whole", "whole"]
    whole = next(row for row in rows if row["state"] == "whole")
    assert (whole["checkpoint"], whole["layers"], whole["dtype"]) == ("owner/model", "2 of 6", "bfloat16")
    assert (whole["tokens"], whole["width"]) == (6, 4)
    assert whole["bytes"] >= 6 * 4 * 2
    plain = CliRunner().invoke(app, ["cache", "list"]).stdout
    assert "owner/model" in plain
    assert "3 kept" in plain


def test_damage_is_found_and_pruned(states):
    """A byte that was changed is found though size and time are as before; pruning takes it and what is unfinished."""
    assert called("verify")[0] == 0
    file = states[0].path / "states.bin"
    time = file.stat()
    content = bytearray(file.read_bytes())
    content[5] ^= 1
    file.write_bytes(content)
    import os

    os.utime(file, ns=(time.st_atime_ns, time.st_mtime_ns))
    code, rows = called("verify")
    assert code == 1
    assert [row["path"] for row in rows if row["state"] == "damaged"] == [str(states[0].path)]
    (states[0].path / "manifest.json").write_text("{")
    code, rows = called("prune")
    assert {row["path"] for row in rows} == {
        str(states[0].path),
        str(states[0].path.parent / ("0" * 32 + ".partial")),
    }
    assert states[1].path.exists()
    assert not states[0].path.exists()


def test_pruning_by_use_and_of_all(states):
    """What was used today stays for a day; `--all` takes all but what some process is making."""
    assert len(called("prune", "--unused", "1")[1]) == 1
    lock = states[0].path.with_name(f"{states[0].path.name}.lock")
    with FileLock(lock):
        assert [row["path"] for row in called("prune", "--all")[1]] == [str(states[1].path)]
    assert len(called("prune", "--all")[1]) == 1
    assert called("list") == (0, [])


def test_states_are_stored_as_asked(tmp_path):
    """In bfloat16 a state is the nearest of its numbers, and takes half the room."""
    states = made(tmp_path, "key")
    assert states.bytes == 6 * 4 * 2
    gathered = states.gather(np.array([0, 2]))
    assert gathered.dtype is torch.bfloat16
    assert gathered[:, :, 0].tolist() == [[1, 2, 3], [4, 5, 6]]
