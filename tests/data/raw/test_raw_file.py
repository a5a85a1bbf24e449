from __future__ import annotations

import errno
import io
import zipfile
from pathlib import Path

import pytest

from lego.data.raw import raw_file
from lego.data.raw.growing import growing_in
from lego.data.raw.raw_file import RawFile
from lego.errors import RunError


@pytest.fixture
def packed(tmp_path):
    with zipfile.ZipFile(tmp_path / "some.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("inside.bin", bytes(range(256)) * 9000)
    return RawFile(tmp_path / "some.zip", "inside.bin")


def test_a_copy_of_what_is_packed_is_where_data_grow(packed, tmp_path, monkeypatch):
    """In the folder that was named, else in that of caches, and without a name; its bytes are those of the member."""
    folders, real = [], raw_file.tempfile.TemporaryFile
    monkeypatch.setattr(
        raw_file.tempfile,
        "TemporaryFile",
        lambda **options: [folders.append(options["dir"]), real(**options)][1],
    )
    monkeypatch.setenv("LEGO_HOME", str(tmp_path / "home"))
    (tmp_path / "named").mkdir()
    with packed.seekable() as opened:
        assert opened.read() == bytes(range(256)) * 9000
    with growing_in(tmp_path / "named"), packed.seekable() as opened:
        opened.seek(-1, io.SEEK_END)
        assert opened.read() == b"\xff"
    assert folders == [tmp_path / "home", tmp_path / "named"]
    assert not any(each for folder in folders for each in folder.iterdir())


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no device that is always full")
@pytest.mark.parametrize("room", [0, 1 << 30])
def test_a_full_disk_is_no_damaged_archive(packed, tmp_path, monkeypatch, room):
    """It is told with the folder and the way out, also where only the last bytes do not fit."""
    monkeypatch.setenv("LEGO_HOME", str(tmp_path))
    monkeypatch.setattr(
        raw_file.tempfile,
        "TemporaryFile",
        lambda **_: io.BufferedWriter(io.FileIO("/dev/full", "wb"), room or 1),
    )
    with pytest.raises(RunError, match="larger disk in LEGO_HOME") as told:
        packed.seekable()
    assert str(tmp_path) in str(told.value)


def test_a_read_error_stays_one(packed, monkeypatch):
    """What the archive is on cannot be read: nothing is said of the disk that is written to."""

    class Torn(io.BytesIO):
        def read(self, *_):
            raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(RawFile, "open", lambda _: Torn())
    with pytest.raises(OSError, match="Input/output"):
        packed.seekable()
