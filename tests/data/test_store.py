from __future__ import annotations

import json

import attrs
import numpy as np
import pyarrow as pa
import pytest

from lego.data.describe import describe
from lego.data.origin import ORIGINS
from lego.data.prepare import prepare
from lego.data.source.prepared import Prepared
from lego.data.store import Store
from lego.data.table import SIGNAL
from lego.errors import DataError
from tests.data.tiny import Tiny


def test_attributes_of_users_are_kept(raw, root, monkeypatch):
    """They are aligned with the rows of users; a source without them, and a manifest that never heard of them, have none."""
    source = Tiny(str(raw))
    plain = prepare(source, root)
    assert plain.user_attributes == {}
    assert plain.users.attributes is None
    tables = source.tables()
    users = tables.users.append_column("age", pa.array([30.0, None, 30.5])).append_column(
        "gender", pa.array(["f", None, "m"]).dictionary_encode()
    )
    monkeypatch.setattr(Tiny, "tables", lambda self: attrs.evolve(tables, users=users))
    store = prepare(Tiny(str(raw), flavor="known"), root)
    assert store.user_attributes == {"age": "number", "gender": "category"}
    assert store.users.attributes.to_pydict() == {"age": [30.0, None, 30.5], "gender": ["f", None, "m"]}
    assert store.users.attributes.schema.field("gender").type == pa.dictionary(pa.int32(), pa.string())
    assert describe(store)["user_attributes"]["age"] == {
        "kind": "number",
        "missing": 1,
        "min": 30.0,
        "max": 30.5,
        "mean": 30.25,
    }
    manifest = plain.path / "manifest.json"
    old = {key: value for key, value in json.loads(manifest.read_text()).items() if key != "user_attributes"}
    manifest.write_text(json.dumps(old))
    assert Store.open(plain.path).user_attributes == {}


def test_extents_are_positions_in_all_histories(raw, root):
    """An impression's history is found without its user: start and stop count from the first user's first item."""
    store = prepare(Tiny(str(raw)), root)
    test = store.part("test")
    values = store.users.history.values
    assert [values[a:b].tolist() for a, b in zip(test.start, test.stop, strict=True)] == [[3], [1, 2]]


def test_a_user_of_several_parts_has_a_row_for_each_history(raw, root):
    """One id, two rows, two histories: no part sees the other's."""
    store = prepare(Tiny(str(raw)), root)
    users = store.users
    assert [
        users.user_ids[int(u)].as_py() for u in (store.part("train").user[0], store.part("test").user[0])
    ] == ["u", "u"]
    assert store.part("train").user[0] != store.part("test").user[0]


def test_recent_keeps_the_newest(raw, root):
    """A cut history loses its oldest clicks, and the one it was cut from stays as it was."""
    store = prepare(Tiny(str(raw)), root)
    train = store.part("train")
    recent = train.recent(1)
    assert [
        store.users.history.values[a:b].tolist() for a, b in zip(recent.start, recent.stop, strict=True)
    ] == [[3], []]
    assert (train.stop - train.start).tolist() == [2, 0]
    assert (train.recent(5).start == train.start).all()


def test_take_keeps_labels_with_their_candidates(raw, root):
    """Rows may be taken by position or by mask, in any order."""
    train = prepare(Tiny(str(raw)), root).part("train")
    turned = train.take(np.array([1, 0]))
    assert turned.impression.tolist() == [2, 4]
    assert turned.candidates.values.tolist() == [2, 3, 1]
    assert turned.labels.tolist() == [0, 1, 0]
    assert train.take(np.array([False, True])).candidates[0].tolist() == [2]


def test_ids_become_rows(raw, root):
    """Row 0 stands for an id that no item has."""
    assert prepare(Tiny(str(raw)), root).item_rows(["c", "nope", "a"]).tolist() == [3, 0, 1]


def test_opening_reads_only_the_manifest(raw, root):
    """A table that is damaged inside is found when it is asked for, not before; one that is cut short is found at once."""
    store = prepare(Tiny(str(raw)), root)
    size = (store.path / "test.arrow").stat().st_size
    (store.path / "test.arrow").write_bytes(b"x" * size)
    again = Store.open(store.path)
    assert len(again.part("train")) == 2
    with pytest.raises(DataError, match=r"test\.arrow: cannot be read: .*\n    fix: prepare it again"):
        again.part("test")
    (store.path / "test.arrow").write_bytes(b"x")
    with pytest.raises(DataError, match=f"has 1 bytes, {size} were written"):
        Store.open(store.path)


def test_a_newer_schema_is_refused(raw, root):
    """A folder of a later lego says so, instead of being read wrongly."""
    path = prepare(Tiny(str(raw)), root).path / "manifest.json"
    manifest = json.loads(path.read_text())
    path.write_text(json.dumps({**manifest, "schema": 99, "lego": "9.9"}))
    with pytest.raises(
        DataError, match=r"schema version 99, and this lego reads 1 to 3[^:]*\n.*newer lego \(9\.9\)"
    ):
        Store.open(path.parent)


def test_numbers_are_views_of_the_files(raw, root):
    """Nothing is decoded or copied: histories, candidates and labels lie in mapped memory, of which Arrow holds none."""
    path = prepare(Tiny(str(raw)), root).path
    before = pa.total_allocated_bytes()
    store = Store.open(path)
    held = (store.users.history, store.part("train").candidates, store.part("train").labels)
    assert all(not part.values.flags.owndata and not part.offsets.flags.owndata for part in held[:2])
    assert not held[2].flags.owndata
    assert pa.total_allocated_bytes() - before < 1024


def test_what_is_known_of_impressions_is_kept(raw, root, monkeypatch):
    """Attributes stay with their rows, numbers with the item they stand beside, whatever rows are taken."""
    source = Tiny(str(raw))
    tables = source.tables()
    rows = {part: table.num_rows for part, table in tables.impressions.items()}
    impressions = {}
    for part, table in tables.impressions.items():
        lengths = table["candidates"].combine_chunks().value_lengths().to_pylist()
        impressions[part] = table.append_column(
            "device", pa.array(["phone", None][: rows[part]]).dictionary_encode()
        ).append_column("place", pa.array([[float(i) for i in range(length)] for length in lengths], SIGNAL))
    lengths = tables.users["history"].combine_chunks().value_lengths().to_pylist()
    users = tables.users.append_column(
        "read_time", pa.array([[None, *map(float, range(1, length))][:length] for length in lengths], SIGNAL)
    )
    monkeypatch.setattr(
        Tiny, "tables", lambda self: attrs.evolve(tables, users=users, impressions=impressions)
    )
    store = prepare(source, root)
    assert store.impression_attributes == {"device": "category"}
    assert store.candidate_signals == ("place",)
    assert store.history_signals == ("read_time",)
    assert store.user_attributes == {}
    np.testing.assert_array_equal(
        store.users.signals["read_time"], np.array([np.nan, 1, 2, np.nan], np.float32)
    )
    turned = store.part("train").take(np.array([1, 0]))
    assert turned.attributes.to_pydict() == {"device": [None, "phone"]}
    assert turned.signals["place"].tolist() == [0.0, 0.0, 1.0]
    assert store.part("dev").attributes.num_rows == 0
    assert Prepared(str(store.path)).tables().check().impression_attributes == {"device": "category"}


def test_prepared_tables_say_what_the_manifest_says(raw, root, monkeypatch):
    """Which labels are not known, what is generated, and what the data only adds to; of plain data, nothing of it."""
    source = Tiny(str(raw))
    plain = Prepared(str(prepare(source, root).path)).tables()
    assert (plain.unlabeled, plain.base, plain.origins) == ((), None, None)
    tables = attrs.evolve(source.tables(), unlabeled=("test",), origins=ORIGINS.empty_table(), base="b" * 64)
    monkeypatch.setattr(Tiny, "tables", lambda self: tables)
    found = Prepared(str(prepare(Tiny(str(raw), flavor="more"), root).path)).tables()
    assert found.unlabeled == ("test",)
    assert found.base == "b" * 64
    assert found.origins is not None
    assert found.origins.schema.names == ORIGINS.names


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '"text"', '{"schema": 1}'])
def test_a_manifest_that_is_none_is_refused(content, raw, root):
    """Whatever stands in its place."""
    path = prepare(Tiny(str(raw)), root).path / "manifest.json"
    path.write_text(content)
    with pytest.raises(DataError, match=r"manifest\.json"):
        Store.open(path.parent)


def test_what_is_not_prepared_says_how_to_prepare_it(tmp_path):
    """No folder, and a folder of something else."""
    with pytest.raises(
        DataError, match=r"there is no such folder\n    fix: make one with: lego data prepare"
    ):
        Store.open(tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"is not a prepared folder: there is no manifest\.json"):
        Store.open(tmp_path)


def test_an_unknown_part_is_refused(raw, root):
    """With the parts that there are."""
    with pytest.raises(DataError, match=r"no part 'tets'\. Did you mean 'test'\?"):
        prepare(Tiny(str(raw)), root).part("tets")


def test_prepared_uses_the_folder_where_it_is(raw, root):
    """What was prepared is opened, not copied, and brings what the source said about reading it."""
    store = prepare(Tiny(str(raw)), root)
    for folder in (store.path, root):
        source = Prepared(str(folder), history=3)
        assert prepare(source, root.parent / "elsewhere").path == store.path
        assert source.reads == {"title": 7}
        assert source.protocol == "some"
        assert source.tables().check().users.num_rows == 3
        assert all(path.is_file() for path in source.files())
        assert source.fingerprint() == {"fingerprint": store.fingerprint}
    assert not (root.parent / "elsewhere").exists()


def test_prepared_asks_which_where_there_are_several(raw, root):
    """A folder with two prepared folders in it is not guessed about."""
    names = [prepare(Tiny(str(raw), flavor=flavor), root).path.name for flavor in ("a", "b")]
    with pytest.raises(DataError, match="holds 2 prepared folders") as caught:
        Prepared(str(root)).ready()
    assert all(name in str(caught.value) for name in names)
