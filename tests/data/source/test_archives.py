"""Archives that nobody vouches for: cut, damaged, locked, with names that lead elsewhere, or with a line that never ends."""

from __future__ import annotations

import io
import struct
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest

from lego import catalog
from lego.data.raw import bounded
from lego.errors import DataError
from tests.data.source.raw_files import FACTORIES

ARCHIVES = {
    "PENS": {"PENS.zip": "pens"},
    "EBNeRD": {"ebnerd_small.zip": "ebnerd_small"},
    "MIND": {"MINDsmall_train.zip": "mind/train", "MINDsmall_dev.zip": "mind/dev"},
    "Adressa": {"one_week.tar.gz": "one_week"},
    "Yelp": {"yelp_dataset.tgz": "."},
}
"""Source → its archives, and which of the folders that its tests write each of them packs."""


def packed(name: str, folder: Path, prefix: str) -> bytes:
    """The files of a folder as an archive of that name."""
    buffer = io.BytesIO()
    files = {
        f"{prefix}{path.relative_to(folder)}": path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
    if name.endswith(".zip"):
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            for inside, content in files.items():
                archive.writestr(inside, content)
    else:
        with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
            for inside, content in files.items():
                member = tarfile.TarInfo(inside)
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


@pytest.fixture
def given(tmp_path):
    """Writes the archives of a source alone in a folder: the source on them, on the plain files, and the first archive."""

    def write(name, prefix=""):
        plain = FACTORIES[name](tmp_path / "plain")
        folder = tmp_path / "some" / "where" / "packed"
        folder.mkdir(parents=True)
        for archive, inside in ARCHIVES[name].items():
            (folder / archive).write_bytes(packed(archive, tmp_path / "plain" / inside, prefix))
        first = folder / next(iter(ARCHIVES[name]))
        return catalog.load("source", name)(str(folder)), plain, first

    return write


@pytest.fixture(autouse=True)
def small_plain_folders(tmp_path):
    """The folder that tests of a source write to."""
    (tmp_path / "plain").mkdir()


def same(one, other):
    return one.items.equals(other.items) and all(
        table.equals(other.impressions[part]) for part, table in one.impressions.items()
    )


def refused(source):
    """The error; None where the tables are read all the same."""
    try:
        source.tables()
    except DataError as error:
        return str(error)
    return None


@pytest.mark.parametrize("name", sorted(ARCHIVES))
def test_a_damaged_archive_is_named(name, given):
    """Cut at many places and with another byte at many places: the tables of the whole one, or an error with its name."""
    source, plain, first = given(name)
    right = source.tables()
    assert same(right, plain.tables())
    names = {first.name, *(path.name for path in plain.files())}
    whole, rng = first.read_bytes(), np.random.default_rng(7)
    count = 2 if name == "Adressa" else 12
    broken = [whole[:place] for place in rng.integers(1, len(whole), count).tolist()]
    for place in rng.integers(0, len(whole), 2 * count).tolist():
        broken.append(whole[:place] + bytes([whole[place] ^ 0x41]) + whole[place + 1 :])
    for data in broken:
        first.write_bytes(data)
        try:
            found = source.tables()
        except DataError as error:
            told = str(error)
        else:
            told = None
            assert same(found, right), "damage that no check sees must change nothing"
        assert told is None or any(each in told for each in names), told
        assert told is not None or len(data) > 0.9 * len(whole), "half an archive is refused"


@pytest.mark.parametrize(
    "name", [name for name, each in ARCHIVES.items() if next(iter(each)).endswith(".zip")]
)
def test_a_locked_zip_is_named(name, given):
    """With a password: it says so."""
    source, _, first = given(name)
    data = bytearray(first.read_bytes())
    for mark, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        begin = 0
        while (begin := data.find(mark, begin)) >= 0:
            flags = struct.unpack_from("<H", data, begin + place)[0]
            struct.pack_into("<H", data, begin + place, flags | 1)
            begin += 4
    first.write_bytes(bytes(data))
    assert "encrypted" in refused(source)


@pytest.mark.parametrize("name", sorted(ARCHIVES))
def test_names_that_lead_elsewhere_lead_nowhere(name, given, tmp_path):
    """Nothing is written where a name says: files are read in place, or not found."""
    source, plain, _ = given(name, prefix="../../escaped/" if name != "EBNeRD" else "../../")
    before = sorted(tmp_path.rglob("*"))
    if refused(source) is None:
        assert same(source.tables(), plain.tables())
    assert sorted(tmp_path.rglob("*")) == before


def test_a_line_that_never_ends_is_not_taken_into_memory(given, monkeypatch):
    """A few packed bytes may be gigabytes of zeros: what is longer than any line is refused by its number."""
    monkeypatch.setattr(bounded, "LONGEST", 1 << 16)
    source, _, first = given("PENS")
    with zipfile.ZipFile(first) as archive:
        texts = {name: archive.read(name) for name in archive.namelist()}
    for name in ("news.tsv", "train.tsv"):
        head = texts[name].split(b"\n")[0] + b"\n"
        with zipfile.ZipFile(first, "w", zipfile.ZIP_DEFLATED) as archive:
            for other, text in texts.items():
                archive.writestr(other, head + bytes(1 << 20) if other == name else text)
        told = refused(source)
        assert f"PENS.zip/{name}" in told
        assert "line 2 is longer than" in told


def test_a_link_in_a_tar_is_not_followed(given, tmp_path):
    """A later entry of the same name that is a link to a file of the machine takes the place of nothing."""
    source, plain, first = given("Yelp")
    secret = tmp_path / "secret.json"
    secret.write_text('{"business_id": "x"}\n')
    with tarfile.open(first) as archive:
        files = {each.name: archive.extractfile(each).read() for each in archive}
    with tarfile.open(first, "w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
        for name in files:
            for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE):
                link = tarfile.TarInfo(name)
                link.type, link.linkname = kind, str(secret)
                archive.addfile(link)
    assert same(source.tables(), plain.tables())
