from __future__ import annotations

import json

import pytest

from lego import Additive, Dot, Experiment, Mean, MovieLens, Recommender, Training, load


@pytest.fixture(scope="module")
def run(movies, tmp_path_factory):
    """One run of a text model."""
    model = Recommender(content=Mean(), behavior=Additive(), predictor=Dot(), reads={"title": 8}, width=8)
    experiment = Experiment(
        data=MovieLens(movies, negatives=5, history=6), model=model, training=Training(epochs=1, lr=0.01)
    )
    return experiment.run(out=tmp_path_factory.mktemp("runs")).path


def test_a_user_gets_items_with_titles(lego, run):
    """A line an item in a pipe: rank, item, score and title, as Python gives them."""
    answer = lego("recommend", run, "--user", "3", "-k", "4")
    assert answer.code == 0, answer.err
    header, *lines = answer.out.splitlines()
    assert header.split() == ["rank", "item", "score", "new", "title"]
    wanted = load(run).recommend(user="3", k=4).to_pylist()
    assert [line.split()[:2] for line in lines] == [[str(each["rank"]), each["item"]] for each in wanted]
    assert all(each["title"] in line for each, line in zip(wanted, lines, strict=True))


def test_json_is_one_document(lego, run, tmp_path):
    """New items by a history: ids behind --history belong to it, and notes tell what the scores mean."""
    path = tmp_path / "new.jsonl"
    path.write_text(json.dumps({"item_id": "fresh", "title": "w1x1 w1x2"}) + "\n")
    found = lego("recommend", run, "--history", "3", "7", "fresh", "--items", path, "--seen", "--json").json
    assert found["run"] == str(run)
    (item,) = found["items"]
    assert {"rank", "item", "score", "new", "title"} == item.keys()
    assert (item["item"], item["new"], item["title"]) == ("fresh", True, "w1x1 w1x2")
    assert found["notes"] == []
    repeated = ("--history", "3", "--history", "7", "--history", "fresh")
    assert lego("recommend", run, *repeated, "--items", path, "--seen", "--json").json["items"] == [item]


def test_who_has_read_nothing_is_told(lego, run):
    """An empty history is recommended to, and it is said what the scores are."""
    answer = lego("recommend", run, "--history", "", "-k", "2")
    assert answer.code == 0, answer.err
    assert "note: This user has no history: the scores are those of the default" in answer.out


def test_several_users_have_a_table_each(lego, run):
    """In a pipe each is headed by its id; in JSON each item names its user."""
    answer = lego("recommend", run, "--user", "3", "--user", "5", "-k", "2")
    assert [line for line in answer.out.splitlines() if line.startswith("user")] == ["user 3", "user 5"]
    found = lego("recommend", run, "--user", "3", "--user", "5", "-k", "2", "--json").json
    assert [each["user"] for each in found["items"]] == ["3", "3", "5", "5"]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ((), 2, "nobody is named"),
        (("--user", "3", "--history", "4"), 2, "given together"),
        (("5", "--user", "3"), 2, "only items of one --history"),
        (("--user", "3x"), 1, "no user has this id"),
        (("--history", "nope"), 1, "no item has this id"),
        (("--user", "3", "--items", "nowhere.csv"), 1, "no such file"),
    ],
)
def test_what_cannot_be_answered_is_told(lego, run, arguments, code, words):
    """A sentence and an exit code, no traceback."""
    answer = lego("recommend", run, *arguments)
    assert answer.code == code
    assert words in answer.err
    assert "Traceback" not in answer.err
    assert answer.out == ""


def test_a_seed_that_reaches_nothing_is_refused(lego, movies, tmp_path, monkeypatch):
    """`--seed` beside a baseline that draws nothing is told; Random takes it."""
    monkeypatch.chdir(tmp_path)
    script = tmp_path / "mine.py"
    script.write_text(
        f"from lego import *\nexperiment = Experiment(data=MovieLens({str(movies)!r}, negatives=5), model=Random())\n"
    )
    assert lego("run", script, "--seed", "3").code == 0
    for model, words in (("Popularity()", "draws nothing"), ("Random(seed=1)", "has a seed of its own")):
        answer = lego("run", script, "--seed", "3", "--set", f"model={model}")
        assert answer.code == 2
        assert words in answer.err
