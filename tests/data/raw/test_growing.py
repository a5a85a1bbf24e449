from __future__ import annotations

import errno
import io
import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from lego.data.raw import growing
from lego.data.raw.growing import Growing, blocks, forget, growing_in
from lego.data.table import ragged
from lego.errors import RunError


@pytest.mark.parametrize("held", [0, 64, 1 << 22])
def test_what_was_added_is_there(held, monkeypatch, tmp_path):
    """In memory or on disk, from wherever it is put there, and also after its pages have left memory."""
    monkeypatch.setattr(growing, "HELD", held)
    pieces = [np.arange(size, dtype=np.int32) * 3 for size in (5, 0, 40, 7, 1)]
    grown = Growing(np.int32)
    with growing_in(tmp_path):
        for piece in pieces:
            grown.add(piece)
        whole = grown.array()
    for _ in range(2):
        np.testing.assert_array_equal(whole, np.concatenate(pieces))
        forget()
    assert whole.dtype == np.int32
    with pytest.raises(ValueError, match="read-only"):
        whole[0] = 1
    assert list(tmp_path.iterdir()) == []


def test_nothing_added_is_nothing():
    """An array of its type, without values."""
    assert Growing(np.int8).array().dtype == np.int8
    assert len(Growing(np.int8).array()) == 0


def test_arrays_on_disk_are_in_the_folder_that_was_named(monkeypatch, tmp_path):
    """A folder that is not there cannot be written to."""
    monkeypatch.setattr(growing, "HELD", 0)
    with growing_in(tmp_path / "gone"), pytest.raises(RunError, match="gone"):
        Growing(np.int8).add(np.ones(3, np.int8))


def test_what_grows_while_data_are_read_is_in_the_folder_of_caches(monkeypatch, tmp_path):
    """Not in that of the system, which may be a small part of memory; an error names the folder that its way out moves."""
    monkeypatch.setattr(growing, "HELD", 0)
    monkeypatch.setenv("LEGO_HOME", str(tmp_path / "home"))
    folders = []

    def full(**options):
        folders.append(options["dir"])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(growing.tempfile, "TemporaryFile", full)
    with pytest.raises(RunError, match="LEGO_HOME") as told:
        ragged(pa.chunked_array([[[1, 2], None], [[3]]]))
    assert folders == [tmp_path / "home"]
    assert str(tmp_path / "home") in str(told.value)


def test_where_no_cache_can_be_written_the_folder_of_the_system_serves(monkeypatch, tmp_path):
    """Data on a disk that cannot be written to are read all the same."""
    monkeypatch.setattr(growing, "HELD", 0)
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("LEGO_HOME", str(tmp_path / "file" / "home"))
    assert ragged(pa.chunked_array([[[1, 2], None], [[3]]])).values.tolist() == [1, 2, 3]


def test_another_thread_adds_to_the_same_folder(monkeypatch, tmp_path):
    """A thread knows no folder of its own; an array keeps to that in which it was begun."""
    monkeypatch.setattr(growing, "HELD", 0)
    folders = []
    real = growing.tempfile.TemporaryFile
    monkeypatch.setattr(
        growing.tempfile,
        "TemporaryFile",
        lambda **options: [folders.append(options["dir"]), real(**options)][1],
    )
    with growing_in(tmp_path), ThreadPoolExecutor(1) as pool:
        made = Growing(np.int8)
        pool.submit(made.add, np.ones(3, np.int8)).result()
        assert made.array().sum() == 3
    assert folders == [tmp_path]


def test_blocks_cover_all_places():
    """One after the other, the last one shorter."""
    assert list(blocks(7, 3)) == [(0, 3), (3, 6), (6, 7)]
    assert list(blocks(0, 3)) == []


@pytest.mark.parametrize("count", [0, 1, 3000])
@pytest.mark.parametrize("held", [0, 1 << 22])
def test_a_permutation_is_drawn_where_it_is(count, held, monkeypatch, tmp_path):
    """In memory or on disk it is that of numpy, and nobody writes to it."""
    monkeypatch.setattr(growing, "HELD", held)
    monkeypatch.setattr(growing, "MANY", 1000)
    with growing_in(tmp_path):
        drawn = growing.permutation(count, np.random.default_rng(5))
    forget()
    np.testing.assert_array_equal(drawn, np.random.default_rng(5).permutation(count))
    assert drawn.flags.owndata == (held > 0 or count == 0)
    with pytest.raises(ValueError, match="read-only"):
        drawn[:] = 0


def test_values_at_any_places_are_looked_up_stretch_by_stretch(monkeypatch):
    """Those at the places, in their order; no stretch of an array on disk is read twice, and none is longer than allowed."""

    class Watched(np.ndarray):
        def __getitem__(self, places):
            asked.append(np.asarray(places))
            return np.asarray(self)[places]

    asked = []
    monkeypatch.setattr(growing, "HELD", 8)
    monkeypatch.setattr(growing, "_STRETCH", 10)
    values = np.random.default_rng(0).permutation(105).astype(np.int32)
    places = np.random.default_rng(1).integers(0, 105, 400)
    np.testing.assert_array_equal(growing.gathered(values.view(Watched), places), values[places])
    stretches = [np.unique(each // 10) for each in asked if each.size]
    assert [each.tolist() for each in stretches] == [[number] for number in range(11)]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no device that is always full")
@pytest.mark.parametrize("elsewhere", [False, True])
def test_a_full_disk_is_told_with_the_folder(monkeypatch, tmp_path, elsewhere):
    """What does not fit is an error that names where it should have gone, and what to do."""
    if not elsewhere:
        monkeypatch.setenv("LEGO_HOME", str(tmp_path))
    monkeypatch.setattr(growing, "HELD", 8)
    monkeypatch.setattr(growing.tempfile, "TemporaryFile", lambda **_: io.FileIO("/dev/full", "wb"))
    made = growing.Growing(np.int64)
    way = "larger disk than that of" if elsewhere else "larger disk in LEGO_HOME"
    with growing.growing_in(tmp_path), pytest.raises(RunError, match=way) as told:
        made.add(np.arange(4))
    assert str(tmp_path) in str(told.value)


@pytest.fixture
def few_files(monkeypatch, tmp_path):
    """Leaves room for 20 open files, until the limit is raised; every array goes to disk."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    with Path(os.devnull).open() as highest:
        limit = highest.fileno() + 20
    monkeypatch.setattr(growing, "HELD", 0)
    growing._open_many.cache_clear()
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, before[1]))
    with growing_in(tmp_path):
        yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)
    growing._open_many.cache_clear()


def _arrays(count):
    made = []
    for number in range(count):
        grown = Growing(np.int32)
        grown.add(np.full(3, number, np.int32))
        made.append(grown.array())
    return made


def test_more_arrays_than_files_that_the_process_may_open_at_first(few_files):
    """Each array on disk is an open file; the limit is raised to what the system lets it."""
    assert [each[0] for each in _arrays(60)] == list(range(60))


def test_too_many_open_files_are_told_as_such(few_files, monkeypatch):
    """Where the limit cannot be raised; free room on the disk would be of no use."""
    monkeypatch.setattr(growing, "_open_many", cache(lambda: None))
    with pytest.raises(RunError, match=r"fewer columns(.|\n)*ulimit -n") as told:
        _arrays(60)
    assert "room" not in str(told.value)


def test_pages_are_forgotten_beside_a_thread_that_maps(monkeypatch, tmp_path):
    """What is mapped meanwhile, or let go, hinders nobody."""
    monkeypatch.setattr(growing, "HELD", 0)
    before, done = sys.getswitchinterval(), threading.Event()

    def forget_often():
        while not done.is_set():
            forget()

    sys.setswitchinterval(1e-6)
    try:
        with growing_in(tmp_path), ThreadPoolExecutor(1) as pool:
            kept, other = _arrays(200), pool.submit(forget_often)
            for _ in range(100):
                _arrays(20)
            done.set()
            other.result()
    finally:
        done.set()
        sys.setswitchinterval(before)
    assert [each[0] for each in kept] == list(range(200))


def test_values_are_looked_up_in_stretches(monkeypatch):
    """Those of any places, of their own type."""
    monkeypatch.setattr(growing, "MANY", 4)
    values, places = np.arange(10, 20, dtype=np.int16), np.array([3, 0, 9, 9, 1, 7], np.int32)
    found = growing.looked_up(values, places)
    assert found.dtype == np.int16
    assert found.tolist() == [13, 10, 19, 19, 11, 17]
