from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor

import attrs
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lego import ItemID, load
from lego.data.scores import read_scores
from lego.errors import DataError, RunError
from lego.metric.protocol import PROTOCOLS
from lego.runtime.reading import read_file, scored
from lego.runtime.scored import (
    kept_scores,
    rows_of_table,
    scores_table,
    write_submission,
    write_table,
)

GOOD = {
    "impression": [7, 7, 7, 9, 9],
    "user": ["a", "a", "a", "b", "b"],
    "item": ["x", "y", "z", "x", "y"],
    "label": [1, 0, 0, 0, 1],
    "score": [0.5, 0.25, 0.75, 1.0, 2.0],
    "history": [2, 2, 2, 0, 0],
}


@pytest.fixture(scope="module")
def made(small, tmp_path_factory):
    """A finished run."""
    return small(content=ItemID()).run(out=tmp_path_factory.mktemp("runs"))


@pytest.fixture
def write(tmp_path):
    """Writes a table of the good columns with others in their place; None takes one away."""

    def make(name="scores.parquet", **columns):
        whole = {key: value for key, value in (GOOD | columns).items() if value is not None}
        write_table(tmp_path / name, pa.table(whole))
        return tmp_path / name

    return make


@pytest.mark.parametrize("name", ["scores.parquet", "scores.csv"])
def test_a_file_is_read_in_every_protocol(write, name):
    """Parquet and CSV alike; by hand: ranks 2 and 1, and only the first impression has a history."""
    found = read_file(write(name)).found
    assert list(found) == list(PROTOCOLS)
    assert found["mind"].values["mrr"] == pytest.approx((1 / 2 + 1) / 2)
    assert found["mind"].values["logloss"] is None
    assert found["newsreclib"].called["MRR"] == 1 / 2
    assert found["newsreclib"].left_out == {"the user has no history": 1}
    assert found["recbench"].record["grouping"] == "user"


def test_protocols_that_cannot_read_a_file_say_why(write):
    """Without users those that group by them are left out, unless they were asked for by name."""
    path = write(user=None, history=None)
    read = read_file(path)
    assert set(read.refused) == {"legommenders", "recbench"}
    assert "no column user" in read.record["refused"]["recbench"]
    with pytest.raises(DataError, match="no column user"):
        read_file(path, "recbench")


@pytest.mark.parametrize("name", ["scores.parquet", "scores.csv"])
def test_labels_that_nobody_knows_are_not_read_as_unclicked(write, name):
    """A file without a single label has rows and no metric; one where some are missing is refused by row."""
    path = write(name, label=pa.nulls(5, pa.int8()))
    rows = rows_of_table(read_scores(path))
    assert not rows.labeled
    assert len(rows.scores) == 5
    with pytest.raises(DataError, match="the labels of this part are not known"):
        read_file(path)
    with pytest.raises(DataError, match=r"label: 2 of 5 have no value"):
        read_file(write(name, label=[1, None, None, 0, 1]))


def test_kept_scores_of_a_part_without_labels_are_found_again(made, tmp_path):
    """Labels are compared where they are known, and only there."""
    found = scored(made.path)
    hidden = attrs.evolve(found.impressions, labeled=False)
    path = tmp_path / "test.parquet"
    write_table(path, scores_table(found.store, hidden, found.scores))
    assert np.array_equal(kept_scores(path, hidden), found.scores)
    assert kept_scores(path, found.impressions) is None


def test_rows_need_not_stand_together(write):
    """The order of impressions in the file does not count."""
    order = [4, 0, 3, 2, 1]
    mixed = {name: [values[at] for at in order] for name, values in GOOD.items()}
    assert read_file(write(**mixed)).found["mind"].values == read_file(write("b.csv")).found["mind"].values
    tabs = write("c.csv").read_text().replace(",", "\t")
    path = write("c.csv").with_suffix(".tsv")
    path.write_text(tabs)
    assert read_file(path).found["mind"].values == read_file(write("b.csv")).found["mind"].values


def _write_piece(folder, place, rows):
    """What one of several processes does: scores its share of the rows."""
    write_table(folder / f"part-{place}.parquet", pa.table(_synthetic()).take(pa.array(rows)))


def _synthetic():
    """300 impressions with ties, whose sums round."""
    rng = np.random.default_rng(1)
    sizes = rng.integers(2, 30, 300)
    rows = int(sizes.sum())
    owner = np.repeat(np.arange(300), sizes)
    return {
        "impression": owner,
        "user": owner % 41,
        "item": np.concatenate([rng.permutation(60)[:size] for size in sizes]),
        "label": (rng.random(rows) < 0.2).astype(np.int8),
        "score": np.round(rng.normal(size=rows), 1),
        "history": owner % 7,
    }


def test_numbers_are_the_same_however_the_scores_were_made(tmp_path):
    """One file, a folder that three processes wrote, and rows in another order: the same numbers to the last digit."""
    rows = len(_synthetic()["score"])
    whole, pieces = tmp_path / "whole.parquet", tmp_path / "pieces"
    pieces.mkdir()
    write_table(whole, pa.table(_synthetic()))
    cuts = [0, rows // 3, rows // 2, rows]  # inside impressions
    with ProcessPoolExecutor(3, mp_context=multiprocessing.get_context("spawn")) as pool:
        made = [
            pool.submit(_write_piece, pieces, place, np.arange(cuts[place], cuts[place + 1]))
            for place in range(3)
        ]
        for each in made:
            each.result()
    metrics = ("gauc", "auc", "logloss", "ece@15", "f1@0.5", "map", "hit@5", "recall@10", "precision@5")
    expected = read_file(whole, metrics=metrics, logits=True).record
    assert read_file(pieces, metrics=metrics, logits=True).record == expected
    shuffled = pa.table(_synthetic()).take(pa.array(np.random.default_rng(2).permutation(rows)))
    write_table(tmp_path / "shuffled.parquet", shuffled)
    found = read_file(tmp_path / "shuffled.parquet", metrics=metrics, logits=True).record
    for name in ("mind", "recbench"):  # the others break ties by the order of the rows
        assert found["protocols"][name] == expected["protocols"][name]


def test_a_folder_of_scores_is_checked_as_one(write, tmp_path):
    """Rows are named by their file; what two files repeat is found; a folder without files, and unlike ones, are refused."""
    folder = tmp_path / "pieces"
    folder.mkdir()
    with pytest.raises(DataError, match="has no file that is"):
        read_scores(folder)
    write("pieces/a.parquet")
    write("pieces/b.parquet", impression=[7, 8, 8, 10, 10], label=[0, 1, 5, 0, 1])
    with pytest.raises(DataError) as found:
        read_scores(folder)
    assert "1 of 10 are neither 0 nor 1 (b.parquet row 2: 5)" in str(found.value)
    assert "b.parquet row 0: impression 7, item x" in str(found.value)
    write("pieces/b.parquet", user=None)
    with pytest.raises(DataError, match=r"b\.parquet and a\.parquet have other columns"):
        read_scores(folder)


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"score": None}, "there is no column score"),
        (
            {"score": [0.5, float("nan"), 0.75, float("inf"), 2]},
            r"2 of 5 are not finite \(row 1: nan, row 3: inf\)",
        ),
        ({"label": [1, 0, 2, 0, 1]}, r"1 of 5 are neither 0 nor 1 \(row 2: 2\)"),
        (
            {"item": ["x", "y", "x", "x", "x"]},
            r"2 rows repeat .* \(row 2: impression 7, item x; row 4: impression 9",
        ),
        ({"user": ["a", "b", "a", "b", "b"]}, r"user: 1 of 5 differ from the user .* \(row 1: b\)"),
        ({"history": [2, 2, 1, 0, 0]}, r"history: 1 of 5 differ from the history"),
        ({"history": [2, 2, 2, -1, -1]}, r"history: 2 of 5 are no number of items \(row 3: -1"),
        ({"history": [0.5, 0.5, 0.5, 0, 0]}, r"history: 3 of 5 are no number of items \(row 0: 0\.5"),
        ({"history": ["x y", "x y", "x y", "", ""]}, "history: is of type string"),
        (
            {"part": ["test", "dev", "test", "dev", "dev"]},
            r"part: 1 of 5 differ from the part .* \(row 1: dev\)",
        ),
        ({"item": [["x"], ["y"], ["z"], ["x"], ["y"]]}, "item: is of type list"),
        ({"score": ["a", "b", "c", "d", "e"]}, "score: is of type string"),
        ({"label": [1, None, 0, 0, 1]}, r"label: 1 of 5 have no value \(row 1: None\)"),
        ({"score": pa.array([0.5, None, 0.1, 0.2, 0.3])}, r"score: 1 of 5 have no value"),
        ({name: pa.array([], pa.int64()) for name in GOOD}, "has no rows"),
    ],
)
def test_bad_files_are_refused_with_the_first_rows(write, columns, words):
    """Before anything is measured."""
    with pytest.raises(DataError, match=words):
        read_scores(write(**columns))


def test_a_column_that_is_there_twice_is_refused(tmp_path):
    """Which of the two is meant cannot be known."""
    (tmp_path / "twice.csv").write_text("impression,item,label,score,score\n1,x,1,2,3\n")
    with pytest.raises(DataError, match="the column score is there more than once"):
        read_scores(tmp_path / "twice.csv")


def test_ids_may_be_categories_or_views(write, tmp_path):
    """As data frames write them; the name of a file may end in capitals."""
    plain = read_file(write()).record
    ids = {"impression": pa.array(list("pppqq")).dictionary_encode(), "item": pa.array(GOOD["item"])}
    file = write(**{**ids, "item": ids["item"].cast(pa.string_view())})
    assert read_file(file.rename(tmp_path / "SCORES.PARQUET")).record == plain


def test_numbers_that_no_group_defines_stay_out(write):
    """Where each impression has one candidate only the numbers of all rows exist; the others are told as missing, not as 0."""
    rows = {"impression": [1, 2, 3, 4, 5], "item": list("vwxyz"), "score": [2.0, 1.0, -3.0, -1.0, 0.5]}
    read = read_file(write(**rows, user=list("abcde")), "mind", ["auc", "gauc", "logloss"], logits=True)
    found = read.found["mind"]
    assert found.values["gauc"] is None
    assert found.counted["gauc"] == 0
    assert found.values["auc"] == 5 / 6
    assert found.values["mrr"] == 1  # over the two impressions with a click
    assert found.counted["mrr"] == 2
    assert found.record["one_class"] == 5
    with pytest.raises(DataError, match="none of the 5 groups can be counted: 5 have no positive"):
        read_file(write(**rows, user=list("abcde"), label=[0] * 5), "mind")


def test_numbers_too_large_for_float32_are_read(write):
    """Their sigmoid is 0 or 1, without a warning."""
    read = read_file(write(score=[1e300, -1e300, 0.0, 1e308, -1e308]), "newsreclib")
    assert read.found["newsreclib"].values["auc"] == 1


def test_a_runs_own_tie_rule_stays_with_its_scores(small, tmp_path):
    """Reading the kept scores again gives the numbers of the run; a protocol that is named brings its own rule."""
    experiment = small(content=ItemID()).set("model=Popularity()", "evaluation.ties='pessimistic'")
    run = experiment.run(out=tmp_path)
    again = scored(run.path).read(metrics=["ndcg@20"])
    assert {name: again.found["mind"].values[name] for name in run.metrics} == run.metrics
    assert "ndcg@20" in again.found["mind"].values
    assert again.found["mind"].rule == "pessimistic"
    assert scored(run.path).read("mind").found["mind"].rule == "average"


def test_all_that_is_wrong_is_told_at_once(write):
    """Labels, scores and pairs in one error."""
    path = write(label=[1, 0, 3, 0, 1], score=[np.nan, 1, 1, 1, 1], item=["x", "x", "y", "x", "y"])
    with pytest.raises(DataError) as found:
        read_scores(path)
    assert len(found.value.problems) == 3


def test_files_that_are_none(tmp_path):
    """A missing, a broken and a foreign file are named."""
    with pytest.raises(DataError, match="no such file"):
        read_scores(tmp_path / "none.parquet")
    (tmp_path / "broken.parquet").write_text("no")
    with pytest.raises(DataError, match="cannot be read"):
        read_scores(tmp_path / "broken.parquet")
    (tmp_path / "scores.xlsx").write_text("no")
    with pytest.raises(DataError, match=r"is no \.parquet, \.csv"):
        read_scores(tmp_path / "scores.xlsx")


def test_histories_may_be_lists_and_parts_named():
    """A list counts as its length; rows of another part than test are not tested."""
    table = pa.table({**GOOD, "history": [["x"]] * 3 + [[]] * 2, "part": ["test"] * 3 + ["dev"] * 2})
    rows = rows_of_table(table)
    assert rows.history.tolist() == [1, 1, 1, 0, 0]
    assert rows.tested.tolist() == [True] * 3 + [False] * 2


def test_kept_scores_answer_for_the_run(made):
    """They are read from the folder, measured to the run's own digits, and made again where they are gone."""
    found = scored(made.path)
    assert found.read("mind").found["mind"].values["gauc"] == made.metrics["gauc"]
    np.testing.assert_array_equal(found.scores, load(made.path).score())
    every = found.read("all").found
    assert list(every) == list(PROTOCOLS)
    dev = scored(made.path, "dev")
    assert len(dev.scores) == len(dev.impressions.labels)
    other = found.store.part("dev")
    assert kept_scores(made.path / "scores" / "test.parquet", other) is None
    assert kept_scores(made.path / "scores" / "no.parquet", other) is None


def test_kept_scores_that_are_damaged_are_named(small, tmp_path):
    """With the way out, by every reader of them; once they are gone they are made again."""
    run = small(content=ItemID()).set("model=Popularity()").run(out=tmp_path)
    file = run.path / "scores" / "test.parquet"
    whole = file.read_bytes()
    file.write_bytes(whole[:100])
    for read in (lambda: scored(run.path), lambda: run.scores):
        with pytest.raises(RunError, match=r"test\.parquet cannot be read: .* Remove it"):
            read()
    file.unlink()
    load(run.path).evaluate("test")
    assert file.read_bytes() == whole


def test_a_run_that_cannot_be_written_can_be_looked_at(small, tmp_path, monkeypatch):
    """Scores of another part are then not kept; those of the run itself must be."""
    experiment = small(content=ItemID()).set("model=Popularity()")
    run = experiment.run(out=tmp_path)

    def refuse(path, table):
        raise RunError(f"{path} cannot be written")

    monkeypatch.setattr("lego.runtime.evaluation.write_table", refuse)
    assert load(run.path).evaluate("dev")["test"]["gauc"] is not None
    assert not (run.path / "scores" / "dev.parquet").exists()
    with pytest.raises(RunError, match="cannot be written"):
        experiment.set("training.seed=5", "model=Random()").run(out=tmp_path)


def test_an_export_says_what_protocols_need(made, tmp_path):
    """The exported file gives, in every protocol, what the run gives."""
    found = scored(made.path)
    path = tmp_path / "all.parquet"
    write_table(path, scores_table(found.store, found.impressions, found.scores, full=True))
    assert {"history", "time"} <= set(pq.read_schema(path).names)
    mine, theirs = found.read("all").found, read_file(path).found
    for name, each in mine.items():
        assert theirs[name].called == pytest.approx(each.called, abs=1e-12)
        assert theirs[name].left_out == each.left_out


def test_a_submission_ranks_each_impression(made, tmp_path):
    """A line for each: the id, and a permutation of 1 … n in the order of the candidates, 1 for the best."""
    found = scored(made.path)
    path = tmp_path / "prediction.txt"
    scores = found.scores.copy()
    scores[:2] = scores[0]  # a tie: the earlier one first
    write_submission(path, found.impressions, scores)
    lines = path.read_text().splitlines()
    assert len(lines) == len(found.impressions)
    offsets = found.impressions.candidates.offsets
    for at, line in enumerate(lines):
        name, ranks = line.split(" ")
        assert int(name) == found.impressions.impression[at]
        values = [int(each) for each in ranks[1:-1].split(",")]
        part = scores[offsets[at] : offsets[at + 1]]
        assert sorted(values) == list(range(1, len(part) + 1))
        assert values == (np.argsort(np.argsort(-part, kind="stable")) + 1).tolist()
