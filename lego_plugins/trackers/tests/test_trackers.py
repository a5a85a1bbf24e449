"""The plugin as its author tests it: the conformance suite on what was written, and whole runs."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import attrs
import pytest

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
from lego.testing import TrackerTests
from lego.testing.command import call

pytest.importorskip(
    "legorec_trackers", reason="the plugin is not installed: pip install -e lego_plugins/trackers"
)

from legorec_trackers import CSV, JSONLines


class TestCSV(TrackerTests):
    """What holds for every tracker, in the run's folder and in one of many runs."""

    @pytest.fixture(params=["own", "shared"])
    def spec(self, request, tmp_path):
        return CSV() if request.param == "own" else CSV(str(tmp_path / "tracked"))

    def epochs(self, spec, run):
        return epochs_of_csv(run.folder / "epochs.csv" if spec.folder is None else path_of(spec, run))

    def test_the_end_is_a_line(self, spec, run):
        """How it ended, and the numbers of the test part; whole at every moment."""
        tracking = spec.open(run)
        tracking.epoch(1, {"train/loss": 0.5})
        tracking.close("finished", {"test/auc": 0.75})
        path = run.folder / "epochs.csv" if spec.folder is None else path_of(spec, run)
        *_, last = csv.DictReader(path.read_text().splitlines())
        assert (last["epoch"], last["state"], float(last["test/auc"]), last["train/loss"]) == (
            "",
            "finished",
            0.75,
            "",
        )
        assert [each.name for each in path.parent.iterdir() if each.suffix == ".aside"] == []


def path_of(spec, run):

    return Path(spec.folder) / f"{run.name}-{run.id}.csv"


def epochs_of_csv(path):
    found = {}
    for row in csv.DictReader(path.read_text().splitlines()):
        if row["epoch"]:
            for name, value in row.items():
                if value and name not in ("epoch", "state"):
                    found.setdefault(int(row["epoch"]), {}).setdefault(name, []).append(float(value))
    return found


class TestJSONLines(TrackerTests):
    """What holds for every tracker, in the run's folder and in one file of many runs."""

    @pytest.fixture(params=["own", "shared"])
    def spec(self, request, tmp_path):
        return JSONLines() if request.param == "own" else JSONLines(str(tmp_path / "all.jsonl"))

    def lines(self, spec, run):
        path = run.folder / "events.jsonl" if spec.file is None else spec.file
        lines = Path(path).read_text(encoding="utf-8").splitlines()
        return [each for each in map(json.loads, lines) if each["id"] == run.id]

    def epochs(self, spec, run):
        found = {}
        for line in self.lines(spec, run):
            if line["event"] == "epoch":
                for name, value in line["values"].items():
                    found.setdefault(line["epoch"], {}).setdefault(name, []).append(value)
        return found

    def test_events_are_in_order(self, spec, run):
        """A run is a begin with its options, steps, epochs and an end."""
        tracking = spec.open(run)
        tracking.step(50, {"train/loss": 2.0})
        tracking.epoch(1, {"train/loss": 1.0})
        tracking.close("stopped", {})
        lines = self.lines(spec, run)
        assert [each["event"] for each in lines] == ["begin", "step", "epoch", "end"]
        assert lines[0]["options"]["training.lr"] == 0.001
        assert lines[-1]["state"] == "stopped"

    def test_half_a_line_is_no_epoch(self, spec, run):
        """A killed process may leave half a line; the next one stands on a line of its own, and the epoch is told."""
        spec.open(run)
        path = run.folder / "events.jsonl" if spec.file is None else spec.file
        with Path(path).open("ab") as file:
            file.write(b'{"event": "epoch", "epoch": 1')
        spec.open(attrs.evolve(run, resumed=True)).epoch(1, {"train/loss": 1.0})
        last = Path(path).read_text(encoding="utf-8").splitlines()[-1]
        assert json.loads(last)["epoch"] == 1


class TestTensorBoard(TrackerTests):
    """What holds for every tracker, read by TensorBoard itself."""

    @pytest.fixture(params=["own", "shared"])
    def spec(self, request, tmp_path):
        pytest.importorskip("tensorboard")
        from legorec_trackers.tensor_board import TensorBoard

        return TensorBoard() if request.param == "own" else TensorBoard(str(tmp_path / "tracked"))

    def events(self, spec, run):

        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

        place = run.folder / "tensorboard" if spec.folder is None else Path(spec.folder) / run.name / run.id
        made = EventAccumulator(str(place))
        made.Reload()
        return made

    def epochs(self, spec, run):
        events, found = self.events(spec, run), {}
        for name in events.Tags()["scalars"]:
            for each in events.Scalars(name) if not name.startswith("step/") else ():
                found.setdefault(each.step, {}).setdefault(name, []).append(each.value)
        return found

    def test_the_end_stands_at_the_last_epoch(self, spec, run):
        """Numbers of the test part, the experiment as a text, and steps as curves of their own."""
        tracking = spec.open(run)
        tracking.step(50, {"train/loss": 2.0})
        tracking.epoch(3, {"train/loss": 1.0})
        tracking.close("finished", {"test/auc": 0.75})
        events = self.events(spec, run)
        (end,) = events.Scalars("test/auc")
        assert (end.step, end.value) == (3, 0.75)
        assert [each.step for each in events.Scalars("step/loss")] == [50]
        assert any("experiment" in name for name in events.Tags()["tensors"])


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of MLflow, about how it uses SQLAlchemy
class TestMLflow(TrackerTests):
    """What holds for every tracker, read by MLflow's own client."""

    @pytest.fixture
    def spec(self, tmp_path):
        pytest.importorskip("mlflow")
        from legorec_trackers.mlflow_server import MLflow

        return MLflow(store(tmp_path))

    def run_of(self, spec, run):
        from mlflow import MlflowClient

        client = MlflowClient(tracking_uri=spec.uri)
        place = client.get_experiment_by_name(run.name).experiment_id
        (found,) = [each for each in client.search_runs([place]) if each.data.tags["lego.run"] == run.id]
        return client, found

    def epochs(self, spec, run):
        (client, made), found = self.run_of(spec, run), {}
        for name in made.data.metrics:
            for each in (
                client.get_metric_history(made.info.run_id, name) if not name.startswith("step/") else ()
            ):
                found.setdefault(each.step, {}).setdefault(name, []).append(each.value)
        return found

    def test_options_and_the_end_are_there(self, spec, run):
        """Every option, cut where it is too long; names as MLflow admits them; how it ended."""
        tracking = spec.open(run)
        tracking.epoch(1, {"dev/ndcg@5": 0.5})
        tracking.close("finished", {"test/ndcg@5": 0.25})
        _, made = self.run_of(spec, run)
        assert made.data.params["training.lr"] == "0.001"
        assert set(made.data.params) == set(run.options)
        assert made.data.metrics["test/ndcg_at_5"] == 0.25
        assert made.info.status == "FINISHED"


def store(folder):
    """A store of files where this MLflow has no database of its own."""
    try:
        import sqlalchemy  # noqa: F401 - the full package has it
    except ModuleNotFoundError:
        return (folder / "mlruns").as_uri()
    return f"sqlite:///{folder / 'mlflow.db'}"


# --- in use -------------------------------------------------------------------------------------------------------------------


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


def experiment(movies, **options):
    return Experiment(
        data=MovieLens(str(movies), negatives=5),
        model=Recommender(content=ItemID(), behavior=Mean(), predictor=Dot(), width=4),
        task=Matching(negatives=2),
        training=Training(epochs=2, batch_size=16),
        **options,
    )


def test_a_run_tells_its_trackers(movies, tmp_path):
    """Epochs and the end stand there; the run's folder, its numbers and its record are those of a run that nobody tracks."""
    plain = experiment(movies).run(out=tmp_path / "a", device="cpu")
    shared = str(tmp_path / "all.jsonl")
    tracked = experiment(movies, trackers=(CSV(), JSONLines(shared))).run(out=tmp_path / "b", device="cpu")
    assert tracked.path.name == plain.path.name
    assert tracked.metrics == plain.metrics
    assert "CSV" not in (tracked.path / "experiment.json").read_text()
    found = epochs_of_csv(tracked.path / "epochs.csv")
    assert set(found) == {1, 2}
    assert {"train/loss", "dev/gauc", "train/seconds"} <= set(found[1])
    lines = [json.loads(line) for line in Path(shared).read_text(encoding="utf-8").splitlines()]
    assert lines[0]["options"]["training.epochs"] == 2
    assert lines[0]["options"]["model.content"] == "ItemID()"
    assert lines[-1]["values"]["test/gauc"] == plain.metrics["gauc"]


def test_a_baseline_has_an_end(movies, tmp_path):
    """It is not trained, and its numbers are told."""
    made = Experiment(data=MovieLens(str(movies), negatives=5), model=Popularity(), trackers=(CSV(),))
    run = made.run(out=tmp_path, device="cpu")
    (row,) = csv.DictReader((run.path / "epochs.csv").read_text().splitlines())
    assert float(row["test/gauc"]) == run.metrics["gauc"]


def test_the_command_line_names_trackers(movies, tmp_path):
    """`--track` adds to those of the script, with paths relative to the working directory; `--set` replaces them."""
    script = tmp_path / "small.py"
    script.write_text(
        "from lego import *\nexperiment = Experiment(data=MovieLens("
        f"{str(movies)!r}, negatives=5), model=Popularity())\n"
    )
    for option, value in (("--track", "CSV()"), ("--set", "trackers=(CSV(),)")):
        answer = call("run", script, "--out", tmp_path / "runs", option, value, "--json")
        assert answer.code == 0, answer.err

        assert (Path(json.loads(answer.out.splitlines()[-1])["run"]) / "epochs.csv").exists()
    assert "tracker" in call("run", script, "--track", "Dot()").err.lower()


def test_they_are_found_by_name():
    """The catalog lists all four, whether or not what they need is installed."""
    found = {entry.name for entry in catalog.entries("tracker") if entry.distribution == "legorec_trackers"}
    if not found:
        pytest.skip("the plugin is on the path, and not installed")
    assert found == {"CSV", "JSONLines", "MLflow", "TensorBoard"}


def test_what_is_not_installed_is_named_with_its_pip_install(monkeypatch):
    """Without the extra the row in `lego plugins` and the error say the same."""
    import importlib.util
    import sys

    if "legorec_trackers" not in {entry.distribution for entry in catalog.entries("tracker")}:
        pytest.skip("the plugin is on the path, and not installed")
    for name, module, extra in (
        ("TensorBoard", "tensorboard", "tensorboard"),
        ("MLflow", "mlflow", "mlflow"),
    ):
        if importlib.util.find_spec(module) is None:
            why = catalog.fault(catalog.find(name, "tracker"))
            assert why.startswith(catalog.MISSING)
            assert f'pip install "legorec-trackers[{extra}]"' in why
        else:
            assert catalog.fault(catalog.find(name, "tracker")) is None
    assert sys.modules.get("legorec_trackers") is not None
