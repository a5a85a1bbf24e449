"""The plugin as its author tests it: the conformance suite of commands, and what the page says of real runs."""

from __future__ import annotations

import json
import shutil

import pytest
from safetensors.torch import load_file

from lego import (
    Dot,
    Experiment,
    ItemID,
    Matching,
    Mean,
    MovieLens,
    Popularity,
    Recommender,
    Training,
    catalog,
)
from lego.testing import CommandTests
from lego.testing.command import call

pytest.importorskip("legorec_card", reason="the plugin is not installed: pip install -e lego_plugins/card")
if "card" not in {entry.name for entry in catalog.entries("command")}:
    pytest.skip("the plugin is on the path, and not installed", allow_module_level=True)


@pytest.fixture(scope="module")
def movies(tmp_path_factory):
    folder = tmp_path_factory.mktemp("movies")
    rows = [
        f"{user},{1 + (3 * user + 2 * at) % 29},4.5,{1000 * at + user}"
        for user in range(1, 21)
        for at in range(8)
    ]
    movies = [f"{row},Film {row},Drama" for row in range(1, 30)]
    (folder / "movies.csv").write_text("\n".join(["movieId,title,genres", *movies]) + "\n")
    (folder / "ratings.csv").write_text("\n".join(["userId,movieId,rating,timestamp", *rows]) + "\n")
    return folder


@pytest.fixture(scope="module")
def run(movies, tmp_path_factory):
    """A finished run of a small model."""
    made = Experiment(
        data=MovieLens(str(movies), negatives=5),
        model=Recommender(content=ItemID(), behavior=Mean(), predictor=Dot(), width=4),
        task=Matching(negatives=2),
        training=Training(epochs=2, batch_size=16),
    )
    return made.run(out=tmp_path_factory.mktemp("runs"), name="small", device="cpu")


class TestCard(CommandTests):
    """What holds for every command."""

    name = "card"

    @pytest.fixture
    def arguments(self, run):
        return [run.path]


def test_the_page_says_what_the_folder_records(run):
    """The expression, the counts, the epochs, each metric beside the baselines, the protocol, and the way to use it."""
    page = call("card", run.path, "--about", "For films.", "--license", "cc-by-4.0").out
    assert page.startswith("---\nlibrary_name: legorec\n")
    assert 'license: "cc-by-4.0"' in page
    assert "# small\n\nFor films.\n" in page
    assert "content=ItemID()" in page
    kept = load_file(run.path / "checkpoint" / "model.safetensors")
    assert f"holds {sum(each.numel() for each in kept.values()):,} numbers" in page
    for who, values in run.rows.items():
        (line,) = [each for each in page.splitlines() if each.startswith(f"| {who} |")]
        assert f"{values['gauc']:.4f}" in line
    assert f"Protocol {run.record['protocol']}; ties {run.record['ties']}." in page
    assert "items 29" in page
    assert "2 epochs; the weights are those of epoch" in page
    assert f"lego recommend small/{run.path.name} --history" in page
    assert "\n\n\n" not in page


def test_it_needs_neither_data_nor_plugins(run, tmp_path, monkeypatch):
    """A folder that was copied elsewhere, its data gone, reads the same but for the counts."""
    folder = tmp_path / "small" / "copied"
    shutil.copytree(run.path, folder)
    kept = json.loads((folder / "experiment.json").read_text())
    kept["data"]["path"] = str(tmp_path / "gone")
    (folder / "experiment.json").write_text(json.dumps(kept))
    facts = json.loads(call("card", folder, "--json").out)
    assert facts["data"] == {"fingerprint": kept["data"]["fingerprint"]}
    assert facts["metrics"]["this model"]["gauc"] == run.metrics["gauc"]
    assert [each["epoch"] for each in facts["epochs"]] == [1, 2]


def test_a_file_is_written(run, tmp_path):
    """With `--out` the page is in the file, and standard output says where."""
    answer = call("card", run.path, "--out", tmp_path / "new" / "README.md")
    assert "model card:" in answer.out
    assert (tmp_path / "new" / "README.md").read_text() == call("card", run.path).out


def test_a_baseline_has_a_card(movies, tmp_path):
    """Without weights and epochs."""
    run = Experiment(data=MovieLens(str(movies), negatives=5), model=Popularity()).run(
        out=tmp_path, device="cpu"
    )
    page = call("card", run.path).out
    assert "there are no weights" in page
    assert "epochs;" not in page


def test_what_is_no_finished_run_is_told(run, tmp_path):
    """A folder that is not there is wrong use; one that is not finished, or no run, is an error with a way out."""
    assert call("card", tmp_path / "nowhere").code == 2
    assert "is no run folder" in call("card", tmp_path).err
    folder = tmp_path / "half"
    shutil.copytree(run.path, folder)
    (folder / "metrics.json").unlink()
    answer = call("card", folder)
    assert answer.code == 1
    assert "--resume" in answer.err
