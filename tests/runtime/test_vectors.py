"""Vectors of a trained run: what other systems serve gives the scores of the run."""

from __future__ import annotations

import json

import attrs
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from lego import (
    DIN,
    Attention,
    Dot,
    Experiment,
    History,
    InterestAttention,
    ItemID,
    Mean,
    MovieLens,
    PolyAttention,
    Popularity,
    Recommender,
    TopicAware,
    Training,
    load,
)
from lego.cli import app
from lego.errors import RunError


@pytest.fixture(scope="module")
def trained(movies, tmp_path_factory):
    """Opens a run of a model."""

    def make(model):
        experiment = Experiment(
            data=MovieLens(movies, negatives=4, history=6), model=model, training=Training(epochs=1)
        )
        return load(experiment.run(out=tmp_path_factory.mktemp("vectors")).path)

    return make


def table(column):
    return np.stack(column.to_numpy(zero_copy_only=False))


def test_products_of_vectors_are_the_scores(trained):
    """The oracle is `recommend`: with a dot product, a score is that of the two vectors."""
    opened = trained(Recommender(Mean(), Attention(heads=2), Dot(), width=8))
    items, users = opened.item_vectors(), opened.user_vectors()
    assert items["item_id"].to_pylist() == opened.store.item_ids.to_pylist()
    assert len(set(users["user_id"].to_pylist())) == users.num_rows
    asked = users["user_id"][3].as_py()
    found = opened.recommend(user=asked, k=20)
    rows = [items["item_id"].to_pylist().index(each) for each in found["item"].to_pylist()]
    wanted = table(items["vector"].combine_chunks())[rows] @ table(users["vector"].combine_chunks())[3]
    np.testing.assert_allclose(found["score"].to_numpy(), wanted, rtol=1e-5, atol=1e-6)


def test_new_items_have_vectors_where_text_is_read(trained):
    """An item with the text of another has its vector; a model that knows rows alone refuses."""
    opened = trained(Recommender(Mean(), Mean(), Dot(), width=8))
    old = opened.store.items.slice(4, 1)
    new = old.set_column(0, "item_id", pa.array(["new"]))
    found = table(opened.item_vectors(new)["vector"].combine_chunks())
    np.testing.assert_allclose(
        found[0], table(opened.item_vectors()["vector"].combine_chunks())[4], rtol=1e-5
    )
    with pytest.raises(RunError, match="know"):
        trained(Recommender(ItemID(), Mean(), Dot(), width=8)).item_vectors(new)


def test_new_items_need_no_label_that_a_loss_alone_reads(trained):
    """A topic is learned from the items of the data: new ones have the same vector with it and without."""
    opened = trained(
        Recommender(TopicAware(Mean(), label="genres"), Mean(), Dot(), width=8, reads={"title": 6})
    )
    new = opened.store.items.slice(4, 1).set_column(0, "item_id", pa.array(["new"]))
    new = new.select([name for name in new.column_names if name in ("item_id", *opened.compiled.reads)])
    assert "genres" not in new.column_names
    found = table(opened.item_vectors(new)["vector"].combine_chunks())
    np.testing.assert_allclose(
        found[0], table(opened.item_vectors()["vector"].combine_chunks())[4], rtol=1e-5
    )
    assert opened.recommend(history=["new"], items=new, exclude_seen=False)["item"].to_pylist() == ["new"]


def test_a_user_of_several_rows_has_one_vector_and_it_is_the_latest(trained):
    """The latest impression decides, as in `recommend`."""
    opened = trained(Recommender(Mean(), Mean(), Dot(), width=8))
    users = opened.store.users
    ids = users.user_ids.to_pylist()
    ids[5] = ids[1]
    object.__setattr__(opened.store, "users", attrs.evolve(users, user_ids=pa.array(ids)))
    latest = {name: opened.store.part(name) for name in opened.store.parts}
    latest = {
        name: attrs.evolve(part, time=np.where(part.user == 1, 2**40, 1) + part.stop)
        for name, part in latest.items()
    }
    object.__setattr__(opened.store, "_parts", latest)
    vectors, items = opened.user_vectors(), opened.item_vectors()
    assert sorted(vectors["user_id"].to_pylist()) == sorted(set(ids))
    found = opened.recommend(user=ids[1], k=5)
    rows = [items["item_id"].to_pylist().index(each) for each in found["item"].to_pylist()]
    mine = table(vectors["vector"].combine_chunks())[vectors["user_id"].to_pylist().index(ids[1])]
    np.testing.assert_allclose(
        found["score"].to_numpy(),
        table(items["vector"].combine_chunks())[rows] @ mine,
        rtol=1e-5,
        atol=1e-6,
    )


def test_interests_are_lists_and_what_needs_candidates_is_refused(trained):
    """Several vectors a user, or a sentence with the way out."""
    several = trained(
        Recommender(ItemID(), PolyAttention(interests=3, hidden=4), InterestAttention(), width=8)
    )
    assert np.array(several.user_vectors()["vectors"][0].as_py()).shape == (3, 8)
    with pytest.raises(RunError, match="nothing to store"):
        trained(Recommender(ItemID(), History(), DIN(attention=(4,), hidden=(4,)), width=8)).user_vectors()
    with pytest.raises(RunError, match="only a Recommender"):
        trained(Popularity()).item_vectors()


def test_the_command_writes_both_files(trained, tmp_path):
    """Parquet that `Embedding` reads; nothing is left of what was refused."""
    opened = trained(Recommender(Mean(), Mean(), Dot(), width=8))
    out, users = tmp_path / "deep" / "items.parquet", tmp_path / "users.parquet"
    told = CliRunner().invoke(
        app, ["export", str(opened.path), "--out", str(out), "--users", str(users), "--json"]
    )
    assert told.exit_code == 0, told.output
    record = json.loads(told.stdout)
    assert record["items"] == {"path": str(out), "rows": opened.store.item_count}
    assert pq.read_table(out).equals(opened.item_vectors().combine_chunks())
    assert pq.read_table(users).num_rows == record["users"]["rows"] == opened.user_vectors().num_rows
