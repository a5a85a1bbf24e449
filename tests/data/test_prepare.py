from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from lego.data import hashes
from lego.data import prepare as module
from lego.data import upgrade as upgrade_module
from lego.data.prepare import prepare
from lego.data.source.movielens import MovieLens
from lego.data.source.prepared import Prepared
from lego.data.store import Store
from lego.errors import DataError, RunError
from tests.data.tiny import TABLES, Tiny, visible


def test_what_is_prepared_is_what_the_source_gave(raw, root):
    """Every table comes back as it was, with its types."""
    source = Tiny(str(raw))
    store, tables = prepare(source, root), source.tables()
    assert store.items.equals(tables.items)
    assert store.attributes == {"title": "text", "kind": "category", "tags": "list"}
    assert store.item_ids.to_pylist() == ["a", "b", "c"]
    assert store.item_count == 3
    assert store.users.user_ids.to_pylist() == ["u", "v", "u"]
    assert [store.users.history[row].tolist() for row in range(3)] == [[1, 2, 3], [], [3]]
    assert [store.users.times[row].tolist() for row in range(3)] == [[5, 6, 7], [], [9]]
    train = store.part("train")
    assert train.impression.tolist() == [4, 2]
    assert train.time.tolist() == [8, -1]
    assert train.candidates[0].tolist() == [3, 1]
    assert train.labels.tolist() == [1, 0, 0]
    assert store.parts == ("train", "dev", "test")
    assert len(store.part("dev")) == 0


def test_the_manifest_says_where_the_tables_come_from(raw, root):
    """Source, options, files with size and hash, counts, what was dropped, rules, versions, seconds."""
    manifest = json.loads((prepare(Tiny(str(raw), flavor="odd"), root).path / "manifest.json").read_text())
    assert manifest["schema"] == 3
    assert manifest["source"]["text"] == f"Tiny({str(raw)!r}, flavor='odd')"
    assert manifest["source"]["class"].endswith(":Tiny")
    assert manifest["options"] == {"flavor": "odd"}
    sha = "559aead08264d5795d3909718cdd05abd49572e84fe55590eef31a88a08fdffd"
    assert manifest["files"] == [{"name": "raw.txt", "size": 1, "sha256": sha}]
    assert manifest["counts"] == {
        "items": 3,
        "users": 3,
        "impressions": {"train": 2, "dev": 0, "test": 2},
        "candidates": {"train": 3, "dev": 0, "test": 3},
    }
    assert manifest["dropped"] == {"lost": 3}
    assert manifest["rules"] == {"order": "as it comes"}
    assert manifest["reads"] == {"title": 7}
    assert set(manifest["tables"]) == set(TABLES)
    assert manifest["seconds"] >= 0
    assert manifest["lego"]


def test_the_folder_is_named_by_source_and_fingerprint(raw, root):
    """Other options make another folder beside the first."""
    first, second = prepare(Tiny(str(raw)), root), prepare(Tiny(str(raw), flavor="odd"), root)
    assert first.path.name == f"tiny-{first.fingerprint[:12]}"
    assert visible(root) == sorted([first.path.name, second.path.name])
    assert visible(first.path) == sorted([*TABLES, "manifest.json"])


def made(monkeypatch):
    """Counts how often tables are made and files hashed."""
    counts = {"tables": 0, "hashed": 0}
    tables, sha256 = Tiny.tables, hashes.sha256_of

    def count_tables(self):
        counts["tables"] += 1
        return tables(self)

    def count_hashed(path):
        counts["hashed"] += 1
        return sha256(path)

    monkeypatch.setattr(Tiny, "tables", count_tables)
    monkeypatch.setattr(hashes, "sha256_of", count_hashed)
    return counts


def test_a_prepared_folder_is_reused(raw, root, monkeypatch):
    """The second time nothing is made; with `force` it is."""
    counts = made(monkeypatch)
    first, second = prepare(Tiny(str(raw)), root), prepare(Tiny(str(raw)), root)
    assert first.path == second.path
    assert counts["tables"] == 1
    prepare(Tiny(str(raw)), root, force=True)
    assert counts["tables"] == 2
    assert visible(root) == [first.path.name]


def test_an_unchanged_file_is_not_hashed_again(raw, root, monkeypatch):
    """Size and times are remembered beside the hash."""
    monkeypatch.setattr(hashes, "_RECENT", -1)
    counts = made(monkeypatch)
    for _ in range(3):
        prepare(Tiny(str(raw)), root)
    assert counts["hashed"] == 1


def test_a_file_changed_a_moment_ago_is_hashed_again(raw, root, monkeypatch):
    """Times have a grain: what was written just before it was hashed may change within the same tick."""
    counts = made(monkeypatch)
    for _ in range(2):
        prepare(Tiny(str(raw)), root)
    assert counts["hashed"] == 2


@pytest.mark.skipif(sys.platform == "win32", reason="a change of the inode leaves no time there")
def test_a_changed_file_is_always_seen(raw, root, monkeypatch):
    """Other content of the same size makes another folder, even where the file's time was set back."""
    monkeypatch.setattr(hashes, "_RECENT", -1)
    first, stat = prepare(Tiny(str(raw)), root), raw.stat()
    time.sleep(0.02)
    raw.write_text("Z")
    os.utime(raw, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    second = prepare(Tiny(str(raw)), root)
    assert first.path != second.path
    assert second.items["title"][0].as_py() == "Z"


def test_a_file_that_changes_while_it_is_read_is_refused(raw, root, monkeypatch):
    """The hash would name another content than the tables hold."""
    tables = Tiny.tables
    monkeypatch.setattr(Tiny, "tables", lambda self: (raw.write_text("longer"), tables(self))[1])
    with pytest.raises(DataError, match=r"raw.txt: changed while it was read"):
        prepare(Tiny(str(raw)), root)
    assert visible(root) == []


def test_a_source_that_fails_leaves_nothing(raw, root, monkeypatch):
    """Neither a folder nor a part of one, and the error is the source's own."""
    monkeypatch.setattr(Tiny, "tables", lambda self: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        prepare(Tiny(str(raw)), root)
    assert [path for path in root.iterdir() if path.is_dir()] == []


def test_progress_is_told(raw, root):
    """Each step is announced, and so is that nothing had to be done."""
    steps = []
    path = prepare(Tiny(str(raw)), root, progress=steps.append).path
    assert steps[:3] == ["looking at the raw files", "reading", "writing items: 3 rows"]
    assert steps[-1] == f"wrote {path}"
    prepare(Tiny(str(raw)), root, progress=steps.append)
    assert steps[-1] == f"found {path}"


KILLED = """
import sys, time
from lego.data import prepare as module
from lego.data.source.movielens import MovieLens
whole = module.write_durably
def stop(path, content):
    if path.name == module.MANIFEST:
        print("half", flush=True)
        time.sleep(60)
    whole(path, content)
module.write_durably = stop
module.prepare(MovieLens(sys.argv[1], users=20), sys.argv[2])
"""


def run(script, *arguments):
    return subprocess.Popen(
        [sys.executable, "-c", script, *map(str, arguments)], stdout=subprocess.PIPE, text=True
    )


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_a_killed_preparation_leaves_nothing_half_made(movielens, root):
    """Killed when all tables are written and the manifest is not: no folder is there, and the next one clears up."""
    process = run(KILLED, movielens, root)
    assert process.stdout.readline() == "half\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert visible(root) == []
    assert len(list(root.glob(".*.partial"))) == 1
    with pytest.raises(DataError, match="is not a prepared folder"):
        Store.open(root)
    store = prepare(MovieLens(movielens, users=20), root)
    assert len(store.users) == 20
    assert list(root.glob(".*.partial")) == []
    assert visible(root) == [store.path.name]


TWICE = """
import sys, time
from lego.data import prepare as module
from lego.data.source.movielens import MovieLens
tables = MovieLens.tables
def slow(self):
    print("made", flush=True)
    time.sleep(0.5)
    return tables(self)
MovieLens.tables = slow
print(module.prepare(MovieLens(sys.argv[1], users=20), sys.argv[2]).path)
"""


def test_two_preparations_at_once_make_one_folder(movielens, root):
    """One makes it, the other waits and opens it."""
    outputs = [
        process.communicate(timeout=120)[0].split()
        for process in [run(TWICE, movielens, root) for _ in range(2)]
    ]
    assert sorted(map(len, outputs)) == [1, 2]
    assert len({output[-1] for output in outputs}) == 1
    assert visible(root) == [Path(outputs[0][-1]).name]


def test_a_damaged_folder_is_made_again(raw, root):
    """prepare does not trust a folder because of its name."""
    store = prepare(Tiny(str(raw)), root)
    (store.path / "users.arrow").unlink()
    assert len(prepare(Tiny(str(raw)), root).users) == 3


def as_older(store, schema, folder):
    """The folder as a lego of that version wrote it: Parquet, and in version 1 neither attributes of impressions nor signals."""
    added = ("user_attributes", "impression_attributes", "history_signals", "candidate_signals", "generated")
    manifest = {name: value for name, value in store.manifest.items() if schema > 1 or name not in added}
    sizes = {}
    folder.mkdir()
    for name in manifest["tables"]:
        path = folder / f"{Path(name).stem}.parquet"
        pq.write_table(store.table(path.stem), path)
        sizes[path.name] = path.stat().st_size
    told = {**manifest, "schema": schema, "lego": "0.0.1", "tables": sizes}
    (folder / "manifest.json").write_text(json.dumps(told))


def content(store):
    """All that is read of a store, in plain lists."""
    parts = {name: store.part(name) for name in store.parts}
    fields = ("impression", "user", "start", "stop", "time", "labels")
    return {
        "items": store.items.to_pydict(),
        "users": store.users.user_ids.to_pylist(),
        "history": [row.tolist() for row in store.users.history.padded()],
        "times": store.users.times.values.tolist(),
        **{
            part: [getattr(read, name).tolist() for name in fields] + [read.candidates.values.tolist()]
            for part, read in parts.items()
        },
    }


@pytest.mark.parametrize("schema", [1, 2])
def test_an_older_folder_is_upgraded(schema, raw, root, tmp_path):
    """Opened it is read as it is; where it is asked for again its Parquet files become Arrow files, and nothing is made anew."""
    store = prepare(Tiny(str(raw)), root)
    whole = content(store)
    as_older(store, schema, tmp_path / "old")
    shutil.rmtree(store.path)
    shutil.move(tmp_path / "old", store.path)
    opened = Store.open(store.path)
    assert content(opened) == whole
    assert opened.manifest["schema"] == schema
    steps = []
    again = prepare(Tiny(str(raw)), root, progress=steps.append)
    assert again.path == store.path
    assert steps[-2:] == [
        f"upgrading {again.path} from schema version {schema} to 3",
        f"found {again.path}",
    ]
    assert visible(again.path) == sorted([*TABLES, "manifest.json"])
    assert content(again) == whole == content(opened)
    assert (again.manifest["schema"], again.manifest["lego"]) == (3, "0.0.1")
    assert again.fingerprint == store.fingerprint
    assert again.impression_attributes == {}
    assert again.history_signals == again.candidate_signals == ()
    assert again.part("train").attributes is None
    steps.clear()
    prepare(Tiny(str(raw)), root, progress=steps.append)
    assert steps[-1] == f"found {again.path}"
    assert not any("upgrading" in step for step in steps)


def test_an_older_prepared_folder_is_upgraded_where_it_is(raw, root, tmp_path, monkeypatch):
    """`Prepared` does so, too; where nothing can be written the folder is read as it is."""
    store = prepare(Tiny(str(raw)), root)
    as_older(store, 2, tmp_path / "old")
    source = Prepared(str(tmp_path / "old"))
    assert source.tables().check().users.num_rows == 3
    assert all(path.is_file() for path in source.files())
    with monkeypatch.context() as patch:
        patch.setattr(module, "_unwritable", lambda *_: DataError("no"))
        kept = prepare(source, root)
    assert kept.manifest["schema"] == 2
    assert content(kept) == content(store)
    assert content(prepare(source, root)) == content(store)
    assert visible(tmp_path / "old") == sorted([*TABLES, "manifest.json"])


RACE = """
import sys, time
from pathlib import Path
from lego.data import prepare as module
from lego.data.source.prepared import Prepared
folder, root, me, other = sys.argv[1:]
plain, upgrades = module.upgrade, []
def slowly(*arguments):
    upgrades.append(1)
    time.sleep(1)
    plain(*arguments)
module.upgrade = slowly
source = Prepared(folder)
Path(me).touch()
while not Path(other).exists():
    time.sleep(0.01)
store = module.prepare(source, root)
print(len(upgrades), store.manifest["schema"], len(store.items), sum(len(store.part(part)) for part in store.parts))
"""


def test_two_upgrades_at_once_make_one_folder(raw, root, tmp_path):
    """One upgrades it, the other waits for it and finds it done; both read all of it."""
    whole = prepare(Tiny(str(raw)), root)
    as_older(whole, 2, tmp_path / "old")
    names = [tmp_path / "first", tmp_path / "second"]
    both = [run(RACE, tmp_path / "old", root, *order) for order in (names, names[::-1])]
    told = sorted(process.communicate(timeout=120)[0].split() for process in both)
    count = str(sum(len(whole.part(part)) for part in whole.parts))
    assert told == [["0", "3", "3", count], ["1", "3", "3", count]]
    assert visible(tmp_path / "old") == sorted([*TABLES, "manifest.json"])
    assert content(Store.open(tmp_path / "old")) == content(whole)


def test_an_upgrade_leaves_what_is_beside_and_who_reads_goes_on(raw, root, tmp_path):
    """Files of the user's own stay, and a store that was opened before reads the parts it has not read yet."""
    whole = content(prepare(Tiny(str(raw)), root))
    as_older(prepare(Tiny(str(raw)), root), 2, tmp_path / "old")
    (tmp_path / "old" / "notes.txt").write_text("mine")
    (tmp_path / "old" / ".items.arrow.1.partial").write_bytes(b"of an upgrade that was killed")
    reading = Store.open(tmp_path / "old")
    assert prepare(Prepared(str(tmp_path / "old")), root).manifest["schema"] == 3
    assert (tmp_path / "old" / "notes.txt").read_text() == "mine"
    assert visible(tmp_path / "old") == sorted([*TABLES, "manifest.json", "notes.txt"])
    assert not list((tmp_path / "old").glob(".*.partial"))
    assert content(reading) == whole


def test_an_upgrade_that_fails_leaves_the_folder_as_it_was(raw, root, tmp_path, monkeypatch):
    """A disk that is full after two tables: it is said why, nothing half-made stays, and the old tables are read."""
    store = prepare(Tiny(str(raw)), root)
    as_older(store, 2, tmp_path / "old")
    before = visible(tmp_path / "old")
    plain, written = upgrade_module.table_file.write, []

    def write(table, path):
        plain(table, path)
        written.append(path)
        if len(written) == 2:
            raise OSError(errno.ENOSPC, "No space left on device")

    steps = []
    with monkeypatch.context() as patch:
        patch.setattr(upgrade_module.table_file, "write", write)
        kept = prepare(Prepared(str(tmp_path / "old")), root, progress=steps.append)
    assert len(written) == 2
    assert "cannot be upgraded ([Errno 28] No space left on device)" in steps[-1]
    assert visible(tmp_path / "old") == before
    assert not list((tmp_path / "old").glob(".*.partial"))
    assert kept.manifest["schema"] == 2
    assert content(kept) == content(store)


@pytest.mark.parametrize("elsewhere", [False, True])
def test_a_disk_that_is_full_is_the_one_that_was_written_to(raw, tmp_path, monkeypatch, elsewhere):
    """LEGO_HOME is the way out where the folder is below it; a folder that was named is to be named anew."""
    home, target = tmp_path / "home", tmp_path / "disk" / "mine"
    monkeypatch.setenv("LEGO_HOME", str(home))

    def full(*given, **options):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(module.table_file, "write", full)
    with pytest.raises(RunError, match="No space left") as caught:
        prepare(Tiny(str(raw)), home / "data", to=target if elsewhere else None)
    assert ("LEGO_HOME" in str(caught.value)) != elsewhere
    if elsewhere:
        assert str(caught.value).startswith(f"{target} cannot be written")
        assert f"a larger disk than that of {target.parent}" in str(caught.value)


def test_a_root_that_cannot_be_written_to_is_named(raw, tmp_path):
    """A file where the folder should be."""
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=r"cannot be written to: .*\n    fix: name a folder"):
        prepare(Tiny(str(raw)), tmp_path / "file" / "inside")


def test_what_is_prepared_is_read_below_a_root_that_cannot_be_written_to(raw, root, monkeypatch):
    """A folder that others prepared, on a disk that is read-only here; what would have to be written is refused."""
    made = prepare(Tiny(str(raw)), root)
    before = sorted(path.name for path in root.iterdir())

    def refuse(*args, **options):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(module.tempfile, "TemporaryFile", refuse)
    monkeypatch.setattr(module, "FileLock", refuse)
    monkeypatch.setattr(module, "write_durably", refuse)
    assert prepare(Tiny(str(raw)), root).path == made.path
    assert sorted(path.name for path in root.iterdir()) == before
    for options in ({"force": True}, {}):
        source = Tiny(str(raw), flavor="plain" if options else "other")
        with pytest.raises(
            DataError,
            match=r"Read-only file system\n    fix: name a folder for all .* LEGO_HOME, or .*--out DIR",
        ):
            prepare(source, root, **options)
