"""The plugin as its author tests it: the conformance suite of commands, the words themselves, and a model that reads them."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lego import Dot, Experiment, Matching, Mean, Recommender, Tables, Training, catalog
from lego.testing import CommandTests
from lego.testing.command import call

pytest.importorskip("legorec_semantic_ids", reason="not installed: pip install -e lego_plugins/semantic_ids")
if "semantic-ids" not in {entry.name for entry in catalog.entries("command")}:
    pytest.skip("the plugin is on the path, and not installed", allow_module_level=True)

from legorec_semantic_ids import semantic_ids_of

COUNT = 60


@pytest.fixture(scope="module")
def vectors():
    """Four groups far apart, five smaller groups in each, three items in each of these."""
    chance = np.random.default_rng(1)
    coarse, fine = 100 * chance.normal(size=(4, 6)), 5 * chance.normal(size=(20, 6))
    row = np.arange(COUNT)
    return (coarse[row % 4] + fine[row % 20] + 0.01 * chance.normal(size=(COUNT, 6))).astype(np.float32)


@pytest.fixture
def file(vectors, tmp_path):
    """As `lego embed` writes it."""
    table = pa.table({"item_id": [f"i{row}" for row in range(COUNT)], "vector": list(vectors)})
    pq.write_table(table, tmp_path / "vectors.parquet")
    return tmp_path / "vectors.parquet"


class TestSemanticIDs(CommandTests):
    """What holds for every command."""

    name = "semantic-ids"

    @pytest.fixture
    def arguments(self, file, tmp_path):
        return [file, "--out", tmp_path / "codes.parquet", "--codes", "4"]


def test_like_vectors_share_their_first_codes(vectors):
    """Items of one small group have one code of the first level, and what each level leaves over is less."""
    made = semantic_ids_of(vectors, levels=2, codes=4)
    row = np.arange(COUNT)
    assert len(set(zip(row % 20, made.codes[:, 0], strict=True))) == 20
    assert made.used[0] == 4
    assert 1 > made.left[0] > made.left[1] > 0
    assert made.left[0] < 0.5
    assert all(words[0].startswith("a") and words[1].startswith("b") for words in made.words)


def test_what_is_left_over_is_the_error_of_the_codes(vectors):
    """Behind the last level it is the squared distance to the sum of the means that the codes stand for, over the variance."""
    made = semantic_ids_of(vectors, levels=3, codes=5)
    wide = vectors.astype(float)
    rest = wide.copy()
    for level in range(3):
        for code in set(made.codes[:, level]):
            rest[made.codes[:, level] == code] -= rest[made.codes[:, level] == code].mean(0)
    assert made.left[-1] == pytest.approx((rest**2).sum() / ((wide - wide.mean(0)) ** 2).sum(), rel=1e-6)


def test_pieces_of_a_vector_are_coded_each_by_itself(vectors):
    """`product`: a code depends on its own piece alone."""
    made = semantic_ids_of(vectors, levels=3, codes=6, kind="product")
    moved = vectors.copy()
    moved[:, 4:] += np.random.default_rng(2).normal(size=(COUNT, 2)).astype(np.float32) * 50
    other = semantic_ids_of(moved, levels=3, codes=6, kind="product")
    assert np.array_equal(made.codes[:, :2], other.codes[:, :2])
    assert not np.array_equal(made.codes[:, 2], other.codes[:, 2])


def test_items_of_one_word_are_told_apart(vectors):
    """A code more, counted from 0 in the order of the items, and no two words are equal."""
    plain = semantic_ids_of(vectors, levels=1, codes=4)
    made = semantic_ids_of(vectors, levels=1, codes=4, apart=True)
    assert plain.distinct == made.distinct == 4
    assert len({tuple(each) for each in made.words}) == COUNT
    for code in range(4):
        assert made.codes[made.codes[:, 0] == code, 1].tolist() == list(
            range((made.codes[:, 0] == code).sum())
        )


def test_the_seed_decides(vectors):
    """The same seed, the same words."""
    assert np.array_equal(semantic_ids_of(vectors, seed=3).codes, semantic_ids_of(vectors, seed=3).codes)


def test_a_model_reads_the_words(file, tmp_path):
    """The table of items with the words is data like any other: a model that reads the codes ranks items by them."""
    items = pa.table({"item_id": [f"i{row}" for row in range(COUNT)] + ["odd"], "title": ["x"] * (COUNT + 1)})
    pq.write_table(items, tmp_path / "items.parquet")
    out = tmp_path / "coded.parquet"
    answer = call(
        "semantic-ids",
        file,
        "--items",
        tmp_path / "items.parquet",
        "--out",
        out,
        "--codes",
        4,
        "--levels",
        2,
        "--json",
    )
    told = json.loads(answer.out)
    assert (told["items"], told["without_vector"]) == (COUNT, 1)
    coded = pq.read_table(out)
    assert coded["semantic_id"].to_pylist()[-1] is None
    chance = np.random.default_rng(0)
    rows = [
        {"user": f"u{user}", "item": f"i{item}", "time": 100 * at + user}
        for user in range(30)
        for at, item in enumerate(chance.choice(np.arange(user % 4, COUNT, 4), 9, replace=False))
    ]
    data = Tables(str(out), rows=rows, negatives=6, split="leave_last_out", candidates="uniform")
    made = Experiment(
        data=data,
        model=Recommender(
            content=Mean(), behavior=Mean(), predictor=Dot(), reads={"semantic_id": 2}, width=8
        ),
        task=Matching(),
        training=Training(epochs=6, batch_size=16, lr=0.02),
    )
    assert made.run(out=tmp_path / "runs", device="cpu").metrics["gauc"] > 0.9


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ({"item_id": ["a"]}, "no column vector"),
        ({"item_id": ["a", "b"], "vector": [[1.0], [1.0, 2.0]]}, "one width"),
        ({"item_id": ["a"], "vector": ["text"]}, "one width"),
        ({"item_id": ["a"], "vector": [[float("nan")]]}, "not a finite number"),
    ],
)
def test_a_file_of_another_shape_is_told(tmp_path, table, told):
    """What is wrong, and what to give."""
    pq.write_table(pa.table(table), tmp_path / "odd.parquet")
    answer = call("semantic-ids", tmp_path / "odd.parquet", "--out", tmp_path / "out.parquet")
    assert answer.code == 1
    assert told in answer.err
    assert not (tmp_path / "out.parquet").exists()


def test_a_table_that_cannot_be_written_beside_is_told(file, tmp_path):
    """A file that is not there, items without ids, and a column that stands there already."""
    assert call("semantic-ids", tmp_path / "none.parquet", "--out", tmp_path / "x.parquet").code == 1
    for table, told in (({"id": ["a"]}, "item_id"), ({"item_id": ["a"], "semantic_id": ["b"]}, "--column")):
        pq.write_table(pa.table(table), tmp_path / "items.parquet")
        answer = call(
            "semantic-ids", file, "--items", tmp_path / "items.parquet", "--out", tmp_path / "x.parquet"
        )
        assert told in answer.err
