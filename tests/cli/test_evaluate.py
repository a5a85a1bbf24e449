from __future__ import annotations

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lego import Experiment, MovieLens, Popularity, Tables
from lego.metric.protocol import PROTOCOLS


@pytest.fixture(scope="module")
def run(movies, tmp_path_factory):
    """The folder of a finished run."""
    experiment = Experiment(data=MovieLens(movies, negatives=5), model=Popularity())
    return experiment.run(out=tmp_path_factory.mktemp("runs"))


def test_all_protocols_of_a_run(lego, run):
    """A table with a line for each protocol, the headings of the sources, and what was left out; in JSON all of it."""
    found = lego("evaluate", run.path, "--protocol", "all", "--json").json
    assert list(found["protocols"]) == list(PROTOCOLS)
    assert found["protocols"]["mind"]["gauc"] == run.metrics["gauc"]
    assert found["called"]["recbench"]["MRR"] == found["protocols"]["recbench"]["lrap"]
    assert found["rules"]["legommenders"]["grouping"] == "user"
    assert found["run"] == str(run.path)
    shown = lego("evaluate", run.path, "--protocol", "all")
    assert shown.code == 0, shown.err
    for text in (
        "the same, as each source calls it",
        "ms_recommenders",
        "per user",
        "ties stable",
        "not applied",
    ):
        assert text in shown.out, text


def test_one_protocol_of_a_run(lego, run):
    """The run is read as another protocol has it, under its name."""
    found = lego("evaluate", run.path, "--protocol", "recbench", "--json").json
    every = lego("evaluate", run.path, "--protocol", "all", "--json").json
    assert found["protocol"] == "recbench"
    assert found["test"]["gauc"] == every["protocols"]["recbench"]["gauc"]
    shown = lego("evaluate", run.path, "--protocol", "recbench")
    assert "protocol recbench: per user" in shown.out


def test_scores_of_another_system(lego, run, tmp_path):
    """The file of a run, read as that of a stranger, in all protocols or one, with metrics of one's choice."""
    file = run.path / "scores" / "test.parquet"
    found = lego("evaluate", "--scores", file, "--json").json
    assert found["protocols"]["mind"]["ndcg@5"] == run.metrics["ndcg@5"]
    assert found["protocols"]["mind"]["logloss"] is None
    found = lego(
        "evaluate", "--scores", file, "--protocol", "mind", "--metric", "map@3", "--logits", "--json"
    ).json
    assert list(found["protocols"]) == ["mind"]
    assert "map@3" in found["protocols"]["mind"]
    assert "map@3" in lego("evaluate", "--scores", file, "--metric", "map@3").out
    bad = tmp_path / "bad.parquet"
    pq.write_table(pa.table({"impression": [1], "item": ["x"], "label": [3], "score": [0.1]}), bad)
    answer = lego("evaluate", "--scores", bad, "--json")
    assert answer.code == 1
    assert "neither 0 nor 1" in json.loads(answer.out)["problems"][0]["what"]


def test_other_metrics_of_a_run(lego, run):
    """From its kept scores, beside its own."""
    found = lego("evaluate", run.path, "--metric", "ndcg@20", "--metric", "map", "--json").json
    assert list(found["protocols"]) == ["mind"]
    numbers = found["protocols"]["mind"]
    assert {"ndcg@20", "map"} <= numbers.keys()
    assert {name: numbers[name] for name in run.metrics} == run.metrics


def test_files_are_written(lego, run, tmp_path):
    """A submission and an export, beside the numbers."""
    ranks, export = tmp_path / "prediction.txt", tmp_path / "all.csv"
    found = lego("evaluate", run.path, "--submission", ranks, "--export", export, "--json").json
    assert (found["submission"], found["export"]) == (str(ranks), str(export))
    assert len(ranks.read_text().splitlines()) == run.record["groups"]
    again = lego("evaluate", "--scores", export, "--json").json
    assert again["protocols"]["newsreclib"]["mrr"] == pytest.approx(
        lego("evaluate", run.path, "--protocol", "all", "--json").json["protocols"]["newsreclib"]["mrr"]
    )
    assert f"submission: {ranks}" in lego("evaluate", run.path, "--submission", ranks).out


def test_ranks_are_written_of_a_part_without_labels(lego, tmp_path):
    """As that of a challenge, where no candidate is known to be clicked: no number is defined, and the file is the point."""
    shown = [{"user": f"u{at % 3}", "candidates": ["a", "b", "c"], "labels": [1, 0, 0]} for at in range(6)]
    hidden = [{**each, "labels": [0, 0, 0]} for each in shown]
    data = Tables(
        [{"item_id": each} for each in "abc"], impressions={"train": shown, "test": hidden}, dev=0.0
    )
    run = Experiment(data=data, model=Popularity()).run(out=tmp_path)
    ranks = tmp_path / "prediction.txt"
    answer = lego("evaluate", run.path, "--submission", ranks)
    assert answer.code == 0, answer.err
    assert [line.split()[1] for line in ranks.read_text().splitlines()] == ["[1,2,3]"] * 6
    assert "not defined, none of the 6 groups can be counted" in answer.out
    found = lego("evaluate", run.path, "--protocol", "all", "--json").json
    assert found["protocols"]["mind"]["gauc"] is None
    assert found["refused"] == {}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "one of the two"),
        (("RUN", "--scores", "x.csv"), "one of the two"),
        (("RUN", "--logits"), "goes with --scores"),
        (("RUN", "--slices", "--metric", "mrr"), "go without --protocol, --metric"),
        (("--scores", "x.csv", "--submission", "y"), "--submission is for a run"),
        (("RUN", "--protocol", "mnd"), "Did you mean 'mind'"),
        (("--scores", "x.csv", "--protocol", "mnd"), "x.csv"),
    ],
)
def test_wrong_use_is_answered(lego, run, arguments, words):
    """With what would do."""
    answer = lego("evaluate", *(run.path if each == "RUN" else each for each in arguments))
    assert answer.code in (1, 2)
    assert words in answer.err


def test_what_one_number_does_not_say(lego, run, tmp_path):
    """Slices, lists beyond accuracy and retrieval, in JSON and as tables."""
    options = ("--slices", "--beyond", "--retrieval", "-k", 5)
    found = lego("evaluate", run.path, *options, "--json").json
    assert {"history", "item"} <= found["slices"].keys()
    assert "novelty@5" in found["beyond"]
    assert found["retrieval"]["metrics"].keys() == {"recall@5", "ndcg@5", "hit@5", "mrr@5"}
    assert found["vectors"] == "the words of title, genres"
    for name in ("random", "popularity"):
        other = found["baselines"][name]
        assert other["slices"].keys() == found["slices"].keys()
        assert {"novelty@5", "diversity@5"} <= other["beyond"].keys() == found["beyond"].keys()
        assert found["retrieval"]["baselines"][name].keys() == found["retrieval"]["metrics"].keys()
    shown = lego("evaluate", run.path, *options)
    assert shown.code == 0, shown.err
    for text in (
        *(
            "item cold",
            "gauc by slice",
            "novelty@5",
            "by the words of title, genres",
            "all 120 items",
            "recall@5",
        ),
        *("impressions without a click to find", "clicks on items of the history"),
    ):
        assert text in shown.out, text
    lines = shown.out.splitlines()
    assert sum(line.startswith("popularity ") for line in lines) == 2, (
        "beside beyond accuracy, and beside retrieval"
    )
    again = lego("evaluate", run.path, "--beyond", "--slices", "-k", 3, "--rerank", "MMR(0.5)")
    assert again.code == 0, again.err
    for text in ("re-ranked by MMR", "this model", "popularity"):
        assert text in again.out, text
    table = tmp_path / "users.csv"
    told = lego("evaluate", run.path, "--beyond", "-k", 3, "-k", 5, "--per-user", table, "--json").json
    assert told["per_user"] == str(table)
    head = table.read_text().splitlines()[0]
    assert head.startswith('"user","impressions"')
    assert all(f"novelty@{k}" in head for k in (3, 5))
    assert "goes with --beyond" in lego("evaluate", run.path, "--per-user", table).err
    assert "go without --protocol" in lego("evaluate", run.path, "--slices", "--protocol", "all").err
