from __future__ import annotations

from types import SimpleNamespace

import attrs
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.numpy import save_file

from lego.content.embedding import Embedding
from lego.contract import Needs
from lego.errors import DataError, SpecError
from lego.spec import Context
from lego.testing import ContentTests

IDS = [f"N{row}" for row in range(1, 12)]
VECTORS = np.random.default_rng(0).normal(size=(11, 6)).astype(np.float32)
SPEC_OF = {
    "npy": lambda path: np.save(path, VECTORS),
    "safetensors": lambda path: save_file({"vectors": VECTORS}, path),
    "parquet": lambda path: write(path, IDS[::-1], list(VECTORS[::-1])),
}


def write(path, ids, vectors, kind=None):
    columns = {
        "item_id": pa.array(ids),
        "vector": pa.array([list(map(float, each)) for each in vectors], kind),
    }
    pq.write_table(pa.table(columns), path)


def context(width: int = 8) -> Context:
    store = SimpleNamespace(item_ids=pa.array(IDS))
    return Context(width=width, input_width=width, length=1, items=12, store=store)


class TestEmbedding(ContentTests):
    @pytest.fixture(params=["frozen npy", "trainable npy", "frozen safetensors", "trainable parquet"])
    def spec(self, request, tmp_path):
        trained, kind = request.param.split()
        path = tmp_path / f"items.{kind}"
        SPEC_OF[kind](path)
        return Embedding(str(path), trainable=trained == "trainable")

    @pytest.fixture
    def context(self):
        return context()


@pytest.fixture(params=sorted(SPEC_OF))
def stored(request, tmp_path):
    """The path of the same vectors in each of the formats."""
    path = tmp_path / f"items.{request.param}"
    SPEC_OF[request.param](path)
    return str(path)


def table(spec: Embedding, width: int = 6) -> np.ndarray:
    rows = torch.arange(12).unsqueeze(1)
    return (
        spec.build(context(width))(rows, torch.ones_like(rows, dtype=torch.bool), Needs())
        .tensor.detach()
        .numpy()
    )


def test_every_item_has_its_vector(stored):
    """Row r gives the vector of line r, or of that id; row 0 gives zeros."""
    np.testing.assert_array_equal(table(Embedding(stored)), np.concatenate([np.zeros((1, 6)), VECTORS]))


def test_lists_of_fixed_size_and_other_items_are_read(tmp_path):
    """A Parquet file may hold more items than the data, in any order, as lists of fixed size."""
    path = tmp_path / "items.parquet"
    write(path, ["X1", *IDS[::-1]], [VECTORS[0] * 9, *VECTORS[::-1]], pa.list_(pa.float32(), 6))
    np.testing.assert_array_equal(table(Embedding(str(path)))[1:], VECTORS)


def test_frozen_vectors_stay_and_trainable_ones_learn(stored):
    """Frozen by default; in both cases a checkpoint holds them."""
    for trainable in (False, True):
        module = Embedding(stored, trainable=trainable).build(context())
        assert module.table.weight.requires_grad is trainable
        assert module.project.weight.requires_grad
        assert set(module.state_dict()) == {"table.weight", "project.weight"}


def test_project_says_whether_a_linear_layer_leads_to_the_width(stored):
    """Only where widths differ, unless asked in any case; never where refused."""
    assert not hasattr(Embedding(stored).build(context(6)).project, "weight")
    assert Embedding(stored, project=True).build(context(6)).project.weight.shape == (6, 6)
    assert not list(Embedding(stored, project=False).problems(6, "content=…"))
    (problem,) = Embedding(stored, project=False).problems(8, "content=…")
    assert "6 wide" in problem.what
    assert "width=6" in problem.fix
    with pytest.raises(DataError, match="6 wide"):
        Embedding(stored, project=False).build(context(8))


def test_shapes_need_no_numbers(stored):
    """Without weights it reads the head of the file alone and needs no prepared data."""
    with torch.device("meta"):
        module = Embedding(stored).build(attrs.evolve(context(), weights=False, store=None))
    assert module.table.weight.is_meta
    assert module.table.weight.shape == (12, 6)


def test_a_missing_file_is_told_before_building(tmp_path):
    """Where, what, fix."""
    (problem,) = Embedding(str(tmp_path / "gone.npy")).problems(8, "content=Embedding(…)")
    assert problem.where == "content=Embedding(…)"
    assert "not there" in problem.what


def test_another_suffix_is_refused():
    """The error lists the three formats."""
    with pytest.raises(SpecError, match=r"\.npy or \.parquet or \.safetensors"):
        Embedding("items.csv")


@pytest.mark.parametrize(
    ("vectors", "message"),
    [
        (VECTORS[:9], "9 vectors, the data has 11 items"),
        (VECTORS[0], "shape"),
        (
            np.where(np.arange(11)[:, None] == 4, np.nan, VECTORS),
            "NaN or infinite numbers in the vectors of 1 item: N5",
        ),
        (np.array([["a"]]), "type <U1"),
        (np.array([{}]), "cannot be read as .npy"),
    ],
    ids=["too few", "flat", "nan", "text", "pickle"],
)
def test_wrong_arrays_are_told(tmp_path, vectors, message):
    """Too few lines, a wrong shape, numbers that are none; pickled objects are never loaded."""
    np.save(tmp_path / "items.npy", vectors, allow_pickle=True)
    with pytest.raises(DataError, match=message):
        Embedding(str(tmp_path / "items.npy")).build(context())


def test_wrong_tensors_are_told(tmp_path):
    """The tensor has a name, and a file that is none of the kind says so."""
    save_file({"weights": VECTORS}, tmp_path / "items.safetensors")
    with pytest.raises(DataError, match="it holds weights, no tensor 'vectors'"):
        Embedding(str(tmp_path / "items.safetensors")).build(context())
    for suffix in ("safetensors", "parquet", "npy"):
        (tmp_path / f"bad.{suffix}").write_text("nothing of the kind, in more than eight bytes")
        with pytest.raises(DataError, match=f"cannot be read as .{suffix}"):
            Embedding(str(tmp_path / f"bad.{suffix}")).build(context())


def test_all_wrong_rows_are_told_at_once(tmp_path):
    """An id twice, an id without a vector, a vector of another width."""
    write(tmp_path / "items.parquet", [*IDS[:9], "N1", "N10"], [*VECTORS[:10], VECTORS[0, :4]])
    with pytest.raises(DataError) as raised:
        Embedding(str(tmp_path / "items.parquet")).build(context())
    text = str(raised.value)
    assert "3 problems" in text
    assert "more than one vector for 1 item: N1" in text
    assert "not 6 wide, as the first is, for 1 item: N10" in text
    assert "no vector for 1 item: N11" in text


def test_columns_have_names(tmp_path):
    """A Parquet file without them is told what it has."""
    pq.write_table(pa.table({"id": IDS, "vector": list(VECTORS)}), tmp_path / "items.parquet")
    with pytest.raises(DataError, match="no column item_id among id, vector"):
        Embedding(str(tmp_path / "items.parquet")).build(context())
