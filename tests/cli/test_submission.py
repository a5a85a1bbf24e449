from __future__ import annotations

import zipfile

import pyarrow.parquet as pq

from lego import MIND, Dot, EBNeRD, Experiment, ItemID, Mean, Popularity, Ranking, Recommender, Training, load
from tests.data.source import test_ebnerd as ebnerd
from tests.data.source.test_mind import FILES, HIDDEN, log


def test_a_submission_of_the_hidden_part_is_one_command(tmp_path, lego):
    """Trained on train, chosen on dev; of test there are ranks of every impression, in a zip, and not one number."""
    shown = [
        (
            row,
            f"U{row % 3}",
            f"11/9/2019 {row + 1}:00:00 AM",
            "N1 N2",
            "N3-1 N1-0" if row % 2 else "N2-0 N1-1",
        )
        for row in range(8)
    ]
    for name, content in {**FILES, **HIDDEN, "train/behaviors.tsv": log(*shown)}.items():
        path = tmp_path / "raw" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    data = MIND(tmp_path / "raw", test="test")
    model = Recommender(ItemID(), Mean(), Dot(), width=4)
    training = Training(epochs=1, batch_size=8)
    run = Experiment(data=data, model=model, task=Ranking(), training=training).run(
        out=tmp_path / "runs", device="cpu"
    )
    assert set(run.record["test"].values()) == {None}
    assert set(run.record["baselines"]["random"].values()) == {None}
    path = tmp_path / "prediction.zip"
    answer = lego("evaluate", run.path, "--submission", path)
    assert answer.code == 0, answer.err
    assert "not known, so it can be scored and not measured" in answer.out
    with zipfile.ZipFile(path) as archive:
        assert archive.namelist() == ["prediction.txt"]
        lines = archive.read("prediction.txt").decode().splitlines()
    assert [line.split(" ")[0] for line in lines] == ["9", "4"]
    assert [sorted(line.split(" ")[1]) for line in lines] == [sorted("[1,2,3]"), sorted("[1,2]")]
    plain = tmp_path / "prediction.txt"
    lego("evaluate", run.path, "--submission", plain)
    assert plain.read_text().splitlines() == lines
    told = lego("evaluate", run.path, "--protocol", "all", "--json").json
    assert {value for each in told["protocols"].values() for value in each.values()} == {None}
    for name in ("exported.parquet", "exported.csv"):
        exported = tmp_path / name
        assert lego("evaluate", run.path, "--export", exported).code == 0
        answer = lego("evaluate", "--scores", exported)
        assert answer.code == 1, "what nobody knows is not measured as if nobody had clicked"
        assert "not known, so it can be scored and not measured" in answer.err
    kept = pq.read_table(run.path / "scores" / "test.parquet")
    assert kept["label"].null_count == kept.num_rows
    assert kept["score"].to_pylist() == pq.read_table(tmp_path / "exported.parquet")["score"].to_pylist()
    other = Experiment(data=data, model=Popularity()).run(out=tmp_path / "runs", device="cpu")
    answer = lego("compare", run.path, other.path, "--metric", "mrr")
    assert answer.code == 1
    assert "the labels of its part test are not known" in answer.err
    beyond = lego("evaluate", run.path, "--beyond", "--vectors", "words", "--json").json["beyond"]
    assert beyond["diversity@10"] is not None
    assert beyond["serendipity@10"] is None, "which of the best were clicked is not known"
    for option in ("--slices", "--retrieval"):
        answer = lego("evaluate", run.path, option)
        assert answer.code == 1
        assert "not known, so it can be scored and not measured" in answer.err
    folder = load(run.path).store.path
    shown = lego("data", "sample", folder, "--part", "test", "--json").json
    assert {each["label"] for row in shown for each in row["candidates"]} == {None}
    shown = lego("data", "sample", folder, "--part", "test").out
    assert shown.count("candidate") == 5
    assert "clicked" not in shown


def test_a_submission_of_ebnerd_has_the_name_and_the_order_of_its_challenge(tmp_path, lego):
    """Lines in the order of the file, ids that are all 0 among them, as predictions.txt in the archive."""
    shown = [(row, 7 + row % 2, row, [11, 12, 13, 14], [11 + row % 4]) for row in range(1, 9)]
    changes = {**ebnerd.HIDDEN, "train/behaviors.parquet": ebnerd.behaviors(shown)}
    for name, table in {**ebnerd.FILES, **changes, "articles.parquet": ebnerd.EVERY_ARTICLE}.items():
        path = tmp_path / "raw" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, path)
    run = Experiment(
        data=EBNeRD(tmp_path / "raw", test="test"),
        model=Recommender(ItemID(), Mean(), Dot(), width=4),
        task=Ranking(),
        training=Training(epochs=1, batch_size=8),
    ).run(out=tmp_path / "runs", device="cpu")
    assert set(run.record["test"].values()) == {None}
    path = tmp_path / "predictions.zip"
    assert lego("evaluate", run.path, "--submission", path).code == 0
    with zipfile.ZipFile(path) as archive:
        assert archive.namelist() == ["predictions.txt"]
        lines = archive.read("predictions.txt").decode().splitlines()
    assert [line.split(" ")[0] for line in lines] == ["90", "80", "0", "0", "85"]
    assert [sorted(map(int, line.split(" ")[1][1:-1].split(","))) for line in lines] == [
        list(range(1, len(row[3]) + 1)) for row in ebnerd.SHOWN
    ]
