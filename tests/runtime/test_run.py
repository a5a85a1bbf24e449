from __future__ import annotations

import errno
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from lego import (
    DIN,
    DNN,
    Attention,
    Dot,
    Embedding,
    Experiment,
    History,
    InterestAttention,
    ItemID,
    Mean,
    MovieLens,
    PolyAttention,
    Popularity,
    Prepared,
    Pretrained,
    Random,
    Recommender,
    compile,  # noqa: A004
    load,
    split,
)
from lego.data.prepare import prepare
from lego.errors import CompositionError, DataError, RunError, ScriptError
from lego.runtime.fit import Fit, Stopped
from lego.runtime.folder import create, held
from lego.runtime.run import Run, run_experiment
from lego.testing.checkpoint import tiny_checkpoint

TEXT = Attention(heads=2, dropout=0.2)


def record(path):
    return json.loads((Path(path) / "metrics.json").read_text())


def weights(path):
    return (Path(path) / "checkpoint" / "model.safetensors").read_bytes()


@pytest.fixture(scope="module")
def made(small, tmp_path_factory):
    """One finished run of a text model, not to be written to."""
    return small(content=TEXT).run(out=tmp_path_factory.mktemp("runs"))


@pytest.fixture
def copy(made, tmp_path):
    """A copy of it that a test may damage."""
    return shutil.copytree(made.path, tmp_path / "copy")


def test_a_run_folder_says_everything(made, small):
    """Specification, environment, log, metrics, scores and checkpoint, as plain files."""
    names = sorted(str(each.relative_to(made.path)) for each in made.path.rglob("[!.]*") if each.is_file())
    wanted = [
        "checkpoint/model.safetensors",
        "environment.json",
        "experiment.json",
        "log.jsonl",
        "metrics.json",
    ]
    assert set(wanted) < set(names)
    assert {Path(name).suffix for name in names} <= {".json", ".jsonl", ".parquet", ".safetensors"}
    kept = json.loads((made.path / "experiment.json").read_text())
    assert kept["text"] == small(content=TEXT).text()
    assert len(kept["data"]["fingerprint"]) == 64
    environment = json.loads((made.path / "environment.json").read_text())
    assert environment["libraries"]["torch"] == torch.__version__
    assert environment["operators"]["Attention"][0] == "legorec"
    events = [json.loads(line)["event"] for line in (made.path / "log.jsonl").read_text().splitlines()]
    assert events == ["begun", "epoch", "epoch", "finished"]
    assert record(made.path)["test"] == made.metrics


def test_scores_are_kept_and_give_the_metrics(made):
    """Whoever reads the Parquet file can compute the metrics without us."""
    scores = made.scores.to_pydict()
    assert list(scores) == ["impression", "user", "item", "label", "score"]
    groups = {}
    for impression, label, score in zip(scores["impression"], scores["label"], scores["score"], strict=True):
        groups.setdefault(impression, []).append((label, score))
    values = []
    for pairs in groups.values():
        positive = [score for label, score in pairs if label]
        negative = [score for label, score in pairs if not label]
        wins = [(a > b) + (a == b) / 2 for a in positive for b in negative]
        values.append(np.mean(wins))
    assert made.metrics["gauc"] == pytest.approx(np.mean(values), abs=1e-9)
    assert made.record["groups"] == len(groups)


def test_runs_show_themselves_in_short(made):
    """A line each, however large the data; in a notebook a table beside the baselines, with nothing in it taken for HTML."""
    assert len(repr(made)) < 300
    assert str(made.path) in repr(made)
    assert "gauc" in repr(made)
    loaded = load(made.path)
    assert len(repr(loaded)) < 500
    assert "Attention" in repr(loaded)
    shown = made._repr_html_()
    assert f"<td>{made.metrics['gauc']:.4f}</td>" in shown
    for name in ("this model", "random", "popularity"):
        assert f"<th>{name}</th>" in shown
    record = {**made.record, "protocol": "<script>", "baselines": {"<b>": {"gauc": 0.5}}}
    shown = Run(path=Path("runs/<i>"), record=record)._repr_html_()
    assert not {"<script>", "<b>", "<i>"} & set(re.findall("<[a-z]+>", shown))


def test_the_seed_is_the_run(small, tmp_path):
    """The same seed gives the same numbers and weights to the last digit, another seed gives others."""
    first, again, other = (small(content=TEXT, seed=seed).run(out=tmp_path) for seed in (0, 0, 1))
    assert first.path != again.path
    for key in ("test", "groups", "counts", "fit"):
        assert record(first.path)[key] == record(again.path)[key]
    assert weights(first.path) == weights(again.path)
    assert first.scores.equals(again.scores)
    assert weights(first.path) != weights(other.path)
    assert first.metrics != other.metrics


def test_the_seed_is_the_same_whatever_was_drawn_before(small, tmp_path):
    """A run neither reads nor moves torch's and numpy's own generators."""
    torch.manual_seed(5)
    np.random.seed(5)
    first = small(content=TEXT).run(out=tmp_path)
    after = torch.get_rng_state(), np.random.get_state()[1].tolist()
    torch.manual_seed(5)
    np.random.seed(5)
    assert torch.equal(after[0], torch.get_rng_state())
    assert after[1] == np.random.get_state()[1].tolist()
    torch.rand(7)
    assert weights(small(content=TEXT).run(out=tmp_path).path) == weights(first.path)


def test_a_run_is_never_written_over(small, tmp_path):
    """The same run twice, or several at once, get a folder each."""
    experiment = small(epochs=1)
    with ThreadPoolExecutor(3) as pool:
        runs = list(pool.map(lambda _: experiment.run(out=tmp_path, name="same"), range(3)))
    assert len({run.path for run in runs}) == 3
    before = {
        run.path: {each: each.read_bytes() for each in run.path.rglob("*.*") if each.is_file()}
        for run in runs
    }
    last = experiment.run(out=tmp_path, name="same")
    assert last.path not in before
    for files in before.values():
        assert all(path.read_bytes() == content for path, content in files.items())


def test_the_name_of_a_run_covers_seed_options_and_data(small, movies, tmp_path):
    """Whatever changes a number changes the id."""
    changed = shutil.copytree(movies, tmp_path / "movies")
    lines = (changed / "movies.csv").read_text().replace("w0x1", "w1x0", 1)
    (changed / "movies.csv").write_text(lines)
    same_path = MovieLens(str(changed), negatives=5, history=6)
    experiments = [
        small(epochs=0),
        small(epochs=0, seed=1),
        small(epochs=0, lr=0.02),
        small(epochs=0, width=4),
        small(epochs=0, data=MovieLens(movies, negatives=6, history=6)),
        small(epochs=0, data=MovieLens(movies, negatives=5, history=5)),
        small(epochs=0, data=same_path),
    ]
    outs = iter(range(100))  # a folder each, where no name is taken

    def name(experiment):
        return experiment.run(out=tmp_path / str(next(outs))).path.name

    names = [name(experiment) for experiment in experiments]
    (changed / "movies.csv").write_text(lines.replace("w0x2", "w1x0", 1))
    names.append(name(experiments[-1]))
    assert len(set(names)) == len(names)
    assert name(small(epochs=0)) == names[0]


def test_evaluating_again_gives_the_same_digits(made, copy):
    """A run opened again has the weights that were kept; nothing in its folder changes but for a part it had not scored."""
    before = {each: each.read_bytes() for each in copy.rglob("*") if each.is_file()}
    loaded = load(copy)
    again = loaded.evaluate()
    assert again["test"] == made.metrics
    assert again["counts"] == made.record["counts"]
    naive = loaded.evaluate(cache=False)
    measured = {name: value for name, value in made.metrics.items() if value is not None}
    assert {name: naive["test"][name] for name in measured} == pytest.approx(measured, rel=1e-6)
    assert naive["speedup"] is None
    dev = loaded.evaluate("dev")
    assert dev["test"]["gauc"] == record(copy)["fit"]["dev"]
    assert pq.read_table(copy / "scores" / "dev.parquet").num_rows > 0
    assert all(path.read_bytes() == content for path, content in before.items())


@pytest.mark.parametrize(
    "model",
    [
        {"content": "split", "behavior": Attention(heads=2)},
        {"content": "vectors", "predictor": DNN(hidden=(6,))},
        {"behavior": History(), "predictor": DIN(attention=(6,), hidden=(6,))},
        {"content": Mean(), "behavior": PolyAttention(interests=3), "predictor": InterestAttention()},
    ],
    ids=lambda model: "-".join(map(str, model)),
)
def test_every_kind_of_model_is_kept_whole(small, tmp_path, model):
    """Language models, ready-made vectors, running statistics: what is kept is what was tested."""
    contents = {
        "split": lambda: Pretrained(str(tiny_checkpoint(tmp_path / "bert", layers=3)), layers=split(2)),
        "vectors": lambda: Embedding(str(tmp_path / "vectors.npy")),
    }
    np.save(tmp_path / "vectors.npy", np.random.default_rng(0).normal(size=(120, 5)).astype(np.float32))
    if model.get("content") in contents:
        model = {**model, "content": contents[model["content"]]()}
    run = small(**model, epochs=1).run(out=tmp_path / "runs")
    assert load(run.path).evaluate()["test"] == run.metrics


@pytest.mark.parametrize("model", [Popularity(), Random(seed=3)])
def test_baselines_run_like_models(movies, tmp_path, model):
    """They have a run folder, metrics, and are evaluated again."""
    run = Experiment(data=MovieLens(movies, negatives=5), model=model).run(out=tmp_path)
    name = type(model).__name__.lower()
    assert model != Popularity() or run.metrics == run.record["baselines"][name]
    assert load(run.path).evaluate()["test"] == run.metrics


def test_a_damaged_checkpoint_is_named(copy, small):
    """Cut, scribbled over, missing, or of another model: an error of ours that names the file."""
    kept = copy / "checkpoint" / "model.safetensors"
    whole = kept.read_bytes()
    kept.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(RunError, match=r"model.safetensors cannot be read"):
        load(copy)
    kept.write_bytes(b"\xff" * 64 + whole[64:])
    with pytest.raises(RunError, match=r"model.safetensors cannot be read"):
        load(copy)
    other = compile(small(content=TEXT, width=4)).pipeline
    from lego.runtime.checkpoint import save_weights

    save_weights(kept, other)
    with pytest.raises(RunError, match="the weights of another model"):
        load(copy)
    kept.unlink()
    with pytest.raises(RunError, match="is missing: the run was stopped before"):
        load(copy)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "experiment.json is missing"),
        ("{", "cannot be read"),
        ('{"text": "x"}', "lacks the experiment"),
        ("[]", "lacks the experiment"),
    ],
)
def test_a_damaged_run_folder_is_named(copy, content, words):
    """A folder that is none, or half of one, is told from a run."""
    if content is None:
        (copy / "experiment.json").unlink()
    else:
        (copy / "experiment.json").write_text(content)
    with pytest.raises(RunError, match=words):
        load(copy)
    with pytest.raises(RunError, match="There is no run folder"):
        load(copy / "nowhere")


def test_a_run_is_opened_on_its_own_data_or_not_at_all(small, movies, tmp_path):
    """The prepared data is enough; where it is gone the raw files must be those of the run."""
    folder = shutil.copytree(movies, tmp_path / "movies")
    run = small(data=MovieLens(str(folder), negatives=5, history=6), epochs=1).run(out=tmp_path / "runs")
    whole = (folder / "movies.csv").read_text()
    (folder / "movies.csv").write_text(whole.replace("w0x1", "w1x0", 1))
    assert load(run.path).evaluate()["test"] == run.metrics
    shutil.rmtree(load(run.path).store.path)
    with pytest.raises(RunError, match="has changed since"):
        load(run.path)
    (folder / "movies.csv").write_text(whole)
    assert load(run.path).evaluate()["test"] == run.metrics
    shutil.rmtree(folder)
    assert load(run.path).evaluate()["test"] == run.metrics


@pytest.mark.parametrize(
    "kind",
    [
        "os:system",
        "subprocess:Popen",
        "builtins:eval",
        "pathlib:Path",
        "lego.runtime.load:load",
        "no_such:Thing",
    ],
)
def test_a_record_makes_specs_and_nothing_else(copy, kind, tmp_path):
    """Whatever experiment.json names, no function is called and no other class is made."""
    witness = tmp_path / "witness"
    kept = json.loads((copy / "experiment.json").read_text())
    kept["experiment"]["model"]["behavior"] = {
        "$": kind,
        "args": f"touch {witness}",
        "command": f"touch {witness}",
    }
    (copy / "experiment.json").write_text(json.dumps(kept))
    with pytest.raises(ScriptError, match=r"not a spec class|cannot be imported"):
        load(copy)
    assert not witness.exists()


SCRIPT = """
from subprocess import Popen

import torch

from lego import Dot, Experiment, ItemID, MovieLens, Recommender, Training
from lego.contract import Out
from lego.nn.masked import masked_mean
from lego.spec import Behavior, Context, operator


@operator
class Scaled(Behavior):
    by: float = 2.0

    def build(self, context: Context):
        return _Scaled(self.by)


class _Scaled(torch.nn.Module):
    def __init__(self, by):
        super().__init__()
        self.by = torch.nn.Parameter(torch.tensor(by))

    def forward(self, sequence, mask, needs):
        return Out(masked_mean(sequence, mask) * self.by)


experiment = Experiment(
    data=MovieLens({path!r}, negatives=5, history=6),
    model=Recommender(content=ItemID(), behavior=Scaled(by=3.0), predictor=Dot(), width=8),
    training=Training(epochs=1, lr=0.01),
)
"""


@pytest.fixture
def own(movies, tmp_path):
    """A run of a script that defines an operator of its own."""
    from lego.runtime.script import load_experiment

    script = tmp_path / "own.py"
    script.write_text(SCRIPT.replace("{path!r}", repr(str(movies))))
    experiment, path = load_experiment(str(script))
    return run_experiment(experiment, out=tmp_path / "runs", script=path), script


def test_a_class_of_the_script_is_found_again(own):
    """The run carries a copy of its script, so that it can be opened when the script is gone, in another process too."""
    run, script = own
    assert run.path.parent.name == "own"
    script.unlink()
    code = f"from lego import load; print(load({str(run.path)!r}).evaluate()['test']['gauc'])"
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False
    )
    assert found.returncode == 0, found.stderr
    assert float(found.stdout) == run.metrics["gauc"]


def test_a_changed_copy_of_the_script_is_refused(own):
    """The code that would run is the code that ran."""
    run, _ = own
    copy = run.path / "script.py"
    copy.write_text(copy.read_text() + "\n# one more line\n")
    with pytest.raises(RunError, match="is not the script that made this run"):
        load(run.path)
    copy.unlink()
    with pytest.raises(RunError, match="is not the script that made this run"):
        load(run.path)


def test_names_of_the_script_are_specs_too(own):
    """A class that the script imports is not called because a record names it."""
    run, _ = own
    kept = json.loads((run.path / "experiment.json").read_text())
    kept["experiment"]["model"]["predictor"] = {"$": "Popen", "args": ["touch", str(run.path / "witness")]}
    (run.path / "experiment.json").write_text(json.dumps(kept))
    with pytest.raises(LookupError, match="Popen"):
        load(run.path)
    assert not (run.path / "witness").exists()


def test_what_cannot_be_measured_is_known_before_training(movies, tmp_path):
    """Parts without impressions are named before a run folder is made."""
    model = Recommender(content=Mean(), behavior=Mean(), predictor=Dot(), width=4)
    experiment = Experiment(data=MovieLens(movies, dev=0.0, test=0.0), model=model)
    with pytest.raises(DataError, match="2 problems") as error:
        experiment.run(out=tmp_path / "runs")
    assert "dev: the part has no impressions" in str(error.value)
    assert not (tmp_path / "runs").exists()


def test_a_failed_run_says_so_in_its_log(small, tmp_path, monkeypatch):
    """The log keeps what went wrong; the folder is not taken for a finished run."""

    def fail(self, *given):
        raise RuntimeError("out of memory")

    monkeypatch.setattr(Fit, "_step", fail)
    with pytest.raises(RuntimeError, match="out of memory"):
        small().run(out=tmp_path)
    (folder,) = (tmp_path / "run").iterdir()
    last = json.loads((folder / "log.jsonl").read_text().splitlines()[-1])
    assert last == {"event": "failed", "error": "RuntimeError: out of memory"}
    assert not (folder / "metrics.json").exists()


def test_a_stopped_run_is_usable_and_resumed(small, tmp_path, monkeypatch):
    """Ctrl-C in the second epoch leaves a checkpoint that can be evaluated; resumed, the run ends as if undisturbed."""
    experiment = small(content=TEXT, epochs=3, batch_size=64)
    whole = experiment.run(out=tmp_path / "whole")
    left = [4]
    step = Fit._step

    def interrupted(fitting, *given):
        left[0] -= 1
        if left[0] == 0:
            signal.raise_signal(signal.SIGINT)
        return step(fitting, *given)

    with monkeypatch.context() as patch:
        patch.setattr(Fit, "_step", interrupted)
        with pytest.raises(Stopped):
            experiment.run(out=tmp_path / "stopped")
    (folder,) = (tmp_path / "stopped" / "run").iterdir()
    assert set(load(folder).evaluate()["test"]) == set(whole.metrics)
    log = (folder / "log.jsonl").read_text()
    resumed = experiment.run(out=tmp_path / "stopped", resume=True)
    assert resumed.path == folder
    assert resumed.metrics == whole.metrics
    assert weights(folder) == weights(whole.path)
    assert record(folder)["fit"] == record(whole.path)["fit"]
    assert (folder / "log.jsonl").read_text().startswith(log)  # never cut
    fresh = experiment.run(out=tmp_path / "stopped", resume=True)
    assert fresh.path != folder  # a finished run is not resumed


KILLED = """
import sys
from lego import *
from lego.runtime.progress import Screen
experiment = parse(sys.argv[1])
experiment.run(out=sys.argv[2])
"""


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_a_process_that_is_ended_can_be_resumed(small, tmp_path, how):
    """Interrupted or killed behind its first epoch, a run goes on in another process to the very same end."""
    experiment = small(content=TEXT, epochs=8, batch_size=16)
    whole = experiment.run(out=tmp_path / "whole")
    out = tmp_path / "ended"
    command = [sys.executable, "-c", KILLED, experiment.text(), str(out)]
    environment = {**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())}
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    try:
        deadline = time.monotonic() + 120
        while not any('"event": "epoch"' in log.read_text() for log in out.rglob("log.jsonl")):
            assert process.poll() is None, process.stderr.read()
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.send_signal(how)
        _, told = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode != 0
    assert how == signal.SIGKILL or "Stopped" in told
    (folder,) = (out / "run").iterdir()
    assert not (folder / "metrics.json").exists()
    assert load(folder).evaluate()["groups"] == whole.record["groups"]
    resumed = experiment.run(out=out, resume=True)
    assert resumed.path == folder
    assert resumed.metrics == whole.metrics
    assert weights(folder) == weights(whole.path)


def test_a_prepared_folder_is_run_like_its_source(small, movies, tmp_path):
    """`Prepared` reads what was prepared: text and id models train on it, with the attributes and protocol of the source."""
    source = MovieLens(movies, negatives=5, history=6)
    folder = prepare(source, tmp_path / "data").path
    for content in (ItemID(), TEXT):
        again = small(content=content, data=Prepared(folder, history=6)).run(out=tmp_path / "runs")
        first = small(content=content).run(out=tmp_path / "runs")
        assert again.metrics == first.metrics
        assert again.record["protocol"] == "mind"


def test_a_run_at_work_is_not_taken_over(tmp_path):
    """While a process holds a run folder, another one that would go on with it is refused."""
    folder = create(tmp_path, "mine", "abc")
    with held(folder), pytest.raises(RunError, match="being run by another process"), held(folder):
        pass
    with held(folder):
        assert create(tmp_path, "mine", "abc", resume=True) == folder


def test_looking_at_a_stopped_run_leaves_no_scores(small, tmp_path):
    """Scores of half-trained weights never stand where those of the finished run belong."""
    run = small(content=ItemID()).run(out=tmp_path)
    (run.path / "metrics.json").unlink()
    (run.path / "scores" / "test.parquet").unlink()
    load(run.path).evaluate()
    assert not (run.path / "scores" / "test.parquet").exists()


def test_a_rate_for_no_language_model_is_refused(small):
    """An option that nothing would read is a problem, not silence."""
    with pytest.raises(CompositionError, match="no language model"):
        small(content=ItemID(), pretrained_lr=1e-5).run()


@pytest.mark.parametrize(
    ("writer", "attribute", "where"),
    [
        ("lego.data.table_file", "write", "data/movielens-"),
        ("lego.data.text.np", "save", "tokens/"),
        ("lego.pretrained.states", "_write_json", "states/"),
    ],
)
def test_a_full_disk_under_the_caches_is_told(small, tmp_path, monkeypatch, writer, attribute, where):
    """Which folder, why, and the way out; behind it, the same run goes well, and nothing half-written was taken for whole."""
    monkeypatch.setenv("LEGO_HOME", str(tmp_path / "home"))
    experiment = small(content=Pretrained(str(tiny_checkpoint(tmp_path / "bert")), layers=split(1)), epochs=1)

    def full(*given, **options):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(f"{writer}.{attribute}", full)
        with pytest.raises(RunError, match=r"cannot be written: No space left.* in LEGO_HOME") as error:
            experiment.run(out=tmp_path / "runs")
    assert str(tmp_path / "home" / where) in str(error.value)
    assert experiment.run(out=tmp_path / "runs", resume=True).metrics
