from __future__ import annotations

import errno
import json
import os
import signal
import statistics
import subprocess
import sys
import time

import pytest

from lego import catalog
from lego.testing.checkpoint import tiny_checkpoint

SCRIPT = """
from lego import Additive, Attention, Dot, Experiment, Mean, MovieLens, Recommender, Training

experiment = Experiment(
    data=MovieLens({path!r}, negatives=5, history=6),
    model=Recommender(content=Mean(), behavior=Attention(heads=2), predictor=Dot(), width=8),
    training=Training(epochs=1, lr=0.01),
)
wide = experiment.set("model.width=12")
"""


@pytest.fixture
def script(movies, tmp_path, monkeypatch):
    """A script, in a working directory of its own."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "scripts" / "mine.py"
    path.parent.mkdir()
    path.write_text(SCRIPT.replace("{path!r}", repr(os.path.relpath(movies, path.parent))))
    return path


def last(answer):
    """The JSON of the last line of standard output."""
    assert answer.code == 0, answer.err
    return json.loads(answer.out.splitlines()[-1])


def test_a_run_shows_metrics_and_where_they_are(lego, script, tmp_path):
    """Without --json people get a table, the protocol, baselines, the speed-up and the folder; progress goes to stderr."""
    answer = lego("run", script)
    assert answer.code == 0, answer.err
    (folder,) = (tmp_path / "runs" / "mine").iterdir()
    for text in (
        "this model",
        "popularity",
        "random",
        "gauc",
        "mrr_all",
        "protocol mind",
        "times as fast as pair by pair",
    ):
        assert text in answer.out, text
    assert answer.out.splitlines()[-1] == f"run folder: runs/mine/{folder.name}"
    assert "epoch 1/1: loss" in answer.err
    assert "epoch 1/1" not in answer.out


def test_a_profile_is_shown_and_kept(lego, script):
    """`--profile` adds a table of stages and phases, what was not read twice, and a key to the JSON; several seeds have none."""
    answer = lego("run", script, "--profile")
    assert answer.code == 0, answer.err
    for text in ("seconds went", "content operator", "backward", "metrics", "distinct ones were encoded"):
        assert text in answer.out, text
    told = last(lego("run", script, "--profile", "--json", "--seed", "3"))["profile"]
    assert told["seconds"]["training"]["backward"] > 0
    assert "profile" not in last(lego("run", script, "--json", "--seed", "4"))
    refused = lego("run", script, "--profile", "--seeds", "2")
    assert refused.code == 2
    assert "--profile looks at one run" in refused.err


def test_json_is_the_last_line(lego, script):
    """One document with what is promised, and numbers that JSON knows."""
    answer = lego("run", script, "--json", "--name", "other")
    found = last(answer)
    assert list(found) == ["run", "protocol", "test", "groups", "seconds", "speedup"]
    assert found["run"].startswith("runs/other/")
    assert found["protocol"] == "mind"
    assert {"gauc", "auc", "mrr", "mrr_all", "ndcg@5", "ndcg@10", "hit@5", "recall@10", "logloss"} <= found[
        "test"
    ].keys()
    assert {"prepare", "compile", "fit", "evaluate"} <= found["seconds"].keys()
    assert found["groups"] > 0
    assert found["speedup"] > 0


def test_changes_are_made_before_anything_runs(lego, script, tmp_path):
    """--set replaces a whole value or a part of one, --seed the seed, SCRIPT:NAME the experiment."""
    changes = (
        "--set",
        "model.behavior=GRU(hidden=5)",
        "--set",
        "training.lr=3e-4",
        "--set",
        "model.behavior.hidden=7",
    )
    found = last(lego("run", f"{script}:wide", *changes, "--seed", "9", "--json"))
    text = json.loads((tmp_path / found["run"] / "experiment.json").read_text())["text"]
    assert "behavior=GRU(hidden=7)" in text
    assert "lr=0.0003" in text
    assert "seed=9" in text
    assert "width=12" in text


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--set", "training.lrr=1"), "no option 'lrr'. Did you mean 'lr'"),
        (("--set", "model.behavior.hads=2"), "no option 'hads'. Did you mean 'heads'"),
        (("--set", "training.lr"), "written PATH=VALUE"),
        (("--set", "model.behavior=GRUU()"), "Did you mean 'GRU'"),
        (("--set", "model.behavior=Attention(heads=None)"), "heads must be a whole number"),
        (("--set", "training.epochs=-1"), "at least 0"),
        (("--set", "model.behavior=__import__('os').getcwd()"), "Only a name of the catalogue"),
        (("--set", "training.seed=any_of(0, 1)"), "several models"),
        (("--seed", "-3"), "than or equal to 0"),
        (("--sed", "3"), "No such option"),
    ],
)
def test_wrong_use_is_told_before_anything_runs(lego, script, tmp_path, arguments, words):
    """Exit code 2, a sentence on standard error, no traceback and no run folder."""
    answer = lego("run", script, *arguments)
    assert answer.code == 2
    assert words in " ".join(answer.err.replace("│", " ").split())
    assert "Traceback" not in answer.err
    assert not (tmp_path / "runs").exists()


def test_scripts_that_cannot_be_read(lego, tmp_path, monkeypatch):
    """No experiment, a syntax error, an exception: the user's own lines, exit code 2."""
    monkeypatch.chdir(tmp_path)
    for text, words in (
        ("x = 1", "defines no experiment"),
        ("x = (1,\n", "x = (1,"),
        ("def f():\n    return 1 / 0\n\nf()\n", "return 1 / 0"),
    ):
        (tmp_path / "bad.py").write_text(text)
        for command in ("run", "check", "explain"):
            answer = lego(command, "bad.py")
            assert answer.code == 2
            assert words in answer.err
            assert "lego/runtime" not in answer.err
    assert lego("run", "nowhere.py").code == 2


def test_a_folder_that_cannot_be_written_to(lego, script, tmp_path):
    """Where run folders cannot be made, the error says what to do."""
    (tmp_path / "blocked").write_text("")
    answer = lego("run", script, "--out", "blocked")
    assert answer.code == 1
    assert "Choose another with --out" in answer.err


def test_missing_data_is_told_before_anything_runs(lego, script, tmp_path):
    """The raw files are looked for first, and the error says where to get them; `--set` paths go from the working directory."""
    answer = lego("run", script, "--set", "data.path='nowhere'")
    assert answer.code == 2
    assert f"{tmp_path}/nowhere" in answer.err
    assert "grouplens.org" in answer.err


def measured(record):
    """The metrics that apply to the task."""
    return {name: value for name, value in record["test"].items() if value is not None}


def test_evaluate_gives_the_same_digits(lego, script):
    """The kept checkpoint again: cached to the last digit, without caches but for rounding; from another folder too."""
    run = last(lego("run", script, "--json"))
    again = last(lego("evaluate", run["run"], "--json"))
    assert list(again) == [*run, "part"]
    assert again["part"] == "test"
    assert last(lego("evaluate", run["run"], "--part", "dev", "--json"))["part"] == "dev"
    assert again["test"] == run["test"]
    assert (again["groups"], again["protocol"]) == (run["groups"], run["protocol"])
    naive = last(lego("evaluate", run["run"], "--no-cache", "--json"))
    assert measured(naive) == pytest.approx(measured(run), rel=1e-6)
    assert naive["speedup"] is None
    table = lego("evaluate", run["run"], "--part", "dev")
    assert "dev (" in table.out
    assert lego("evaluate", run["run"], "--part", "tset").code == 2
    assert lego("evaluate", run["run"], "--protocol", "no").code == 2
    assert "There is no run folder" in lego("evaluate", "runs/nowhere").err


def test_no_cache_tests_without_caches(lego, script):
    """`run --no-cache` is the naive thing and gives the same numbers."""
    fast = last(lego("run", script, "--json"))
    slow = last(lego("run", script, "--json", "--no-cache"))
    assert measured(slow) == pytest.approx(measured(fast), rel=1e-6)
    assert slow["speedup"] is None


def test_check_lists_everything_at_once(lego, script, tmp_path):
    """Forms, widths, layers, attributes, metrics: all problems in one go, each with its fix, and nothing is prepared."""
    bert = tiny_checkpoint(tmp_path / "bert", layers=6)
    arguments = [
        *("--set", f"model.content=Pretrained({str(bert)!r}, layers=split(10))"),
        *("--set", "model.behavior=Attention(heads=7)"),
        *("--set", "model.predictor=DIN()"),
        *("--set", "model.reads={'titel': 30}"),
        *("--set", "training.monitor='guac'"),
        *("--set", "data.path='nowhere'"),
    ]
    answer = lego("check", script, *arguments, "--json")
    assert answer.code == 2
    found = json.loads(answer.out)
    assert list(found) == ["text", "problems"]
    assert {key for each in found["problems"] for key in each} == {"where", "what", "fix"}
    told = [" ".join(each.values()) for each in found["problems"]]
    for words in (
        ("split(10)", "6"),
        ("heads=7", "does not divide"),
        ("vector (B, D)", "sequence (B, S, D)", "History"),
        ("titel", "Did you mean 'title'"),
        ("guac", "training.monitor", "Did you mean 'GAUC'"),
        ("nowhere", "no such folder"),
    ):
        assert any(all(word in text for word in words) for text in told), (words, told)
    assert len(told) == 6
    plain = lego("check", script, *arguments)
    assert plain.code == 2
    assert "cannot compile: 6 problems" in plain.err
    assert plain.err.count("fix: ") == 6
    run = lego("run", script, *arguments)
    assert run.code == 2
    assert "cannot compile: 6 problems" in run.err


def test_check_is_content_with_what_fits(lego, script):
    """The expression comes back; with --json there are no problems."""
    answer = lego("check", script)
    assert answer.code == 0
    assert "Recommender(content=Mean()" in answer.out
    assert lego("check", script, "--json").json["problems"] == []


def test_explain_tells_the_weights_that_are_made(lego, script):
    """Its counts are those of the model that is really built; every option is spelled out."""
    from lego import compile as compile_experiment
    from lego.runtime.script import load_experiment

    found = lego("explain", script, "--json").json
    assert list(found) == [
        "text",
        "data",
        "stages",
        "parameters",
        "bytes",
        "losses",
        "caches",
        "batch",
        "flops_per_step",
        "notes",
    ]
    pipeline = compile_experiment(load_experiment(str(script))[0]).pipeline
    trainable = sum(each.numel() for each in pipeline.parameters() if each.requires_grad)
    frozen = sum(each.numel() for each in pipeline.parameters() if not each.requires_grad)
    assert found["parameters"] == {"trainable": trainable, "frozen": frozen}
    wanted = {"loaded": 4 * (trainable + frozen), "learning": 4 * trainable, "training": 12 * trainable}
    assert found["bytes"] == {**wanted, "cached": sum(cache["bytes"] for cache in found["caches"])}
    assert [stage["name"] for stage in found["stages"]] == ["content", "behavior", "predictor"]
    for stage in found["stages"]:
        module = getattr(pipeline, stage["name"])
        beside = pipeline.nobody.numel() if stage["name"] == "behavior" else 0
        made = sum(each.numel() for each in module.parameters() if each.requires_grad)
        assert stage["trainable"] == made + beside
    assert found["flops_per_step"] > 0
    text = lego("explain", script).out
    for words in (
        "epochs=1",
        "dropout=0.1",
        "weights: ",
        "cache: ",
        "history (B, S=6, D=8)",
        "a training batch: ",
    ):
        assert words in text, words


def test_baselines_run_from_the_command_line(lego, script):
    """A scorer that needs no training goes through the same command."""
    assert last(lego("run", script, "--set", "model=Popularity()", "--json"))["test"]["gauc"] > 0


@pytest.fixture
def base(distribution, tmp_path):
    """A distribution that ships a tiny BERT of twelve layers under the name of the official one."""
    words = [f"w{topic}x{word}" for topic in range(4) for word in range(8)]
    weights = tiny_checkpoint(tmp_path / "weights", layers=12, words=words)
    source = "from pathlib import Path\n\n\nclass HERE:\n    @staticmethod\n"
    source += f"    def find():\n        return Path({str(weights)!r})\n"
    entry = "[lego.checkpoint]\ngoogle-bert/bert-base-uncased = tiny_bert_base:HERE\n"
    distribution("tiny_bert", entry, tiny_bert_base=source)
    assert "google-bert/bert-base-uncased" in catalog.names("checkpoint")


def test_the_expression_of_the_first_page_is_literally_true(lego, base, script):
    """BERT without a name, split at its tenth layer: trained, tested, evaluated again."""
    script.write_text(
        f"""
from lego import BERT, Attention, Dot, Experiment, MovieLens, Recommender, Training, split

experiment = Experiment(
    data={_data(script)},
    model=Recommender(content=BERT(layers=split(10)), behavior=Attention(), predictor=Dot()),
    training=Training(epochs=1),
)
"""
    )
    run = last(lego("run", script, "--json"))
    assert last(lego("evaluate", run["run"], "--json"))["test"] == run["test"]
    plan = lego("explain", script, "--json").json
    assert plan["caches"][0]["what"] == "hidden states of the frozen layers"
    assert min(plan["parameters"].values()) > 0


def _data(script):
    """The `data=` of the script as it was written."""
    return script.read_text().split("data=")[1].splitlines()[0].rstrip(",")


def test_ctrl_c_leaves_a_usable_checkpoint(lego, script, tmp_path):
    """The command stops with 130 and says how to go on; the run can be evaluated, and resumed to the end."""
    script.write_text(script.read_text().replace("epochs=1", "epochs=400, patience=400, batch_size=8"))
    command = [sys.executable, "-c", "from lego.cli import main; main()", "run", str(script), "--json"]
    process = subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        deadline = time.monotonic() + 120
        while not any('"event": "epoch"' in log.read_text() for log in tmp_path.glob("runs/*/*/log.jsonl")):
            assert process.poll() is None, process.stderr.read()
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130
    assert "--resume" in json.loads(out)["error"]
    assert "--resume" in err
    assert "Traceback" not in err
    (folder,) = tmp_path.glob("runs/mine/*")
    assert last(lego("evaluate", folder, "--json"))["groups"] > 0
    assert (folder / "checkpoint" / "last" / "last.json").exists()


def test_ctrl_c_outside_the_training_is_told_too(lego, script, monkeypatch):
    """Before the first step and in the test phase: a sentence that says how to go on, and 130."""

    def interrupt(*given, **options):
        raise KeyboardInterrupt

    for place in (
        "lego.runtime.run.prepare",
        "lego.runtime.run.compile",
        "lego.runtime.run.evaluation_record",
    ):
        with monkeypatch.context() as patch:
            patch.setattr(place, interrupt)
            answer = lego("run", script, "--resume")
        assert answer.code == 130
        assert "Go on with the same command and --resume" in answer.err
    with monkeypatch.context() as patch:
        patch.setattr("lego.compiler.plan.plan_of", interrupt)
        answer = lego("explain", script)
    assert (answer.code, answer.err.strip()) == (130, "interrupted; nothing half-written is kept.")
    assert lego("run", script, "--resume").code == 0


@pytest.mark.parametrize(
    ("arguments", "code", "words", "problems"),
    [
        (("--set", "training.lrr=1"), 2, "no option 'lrr'", 0),
        (
            ("--set", "model.behavior=Attention(heads=7)", "--set", "model.predictor=DIN()"),
            2,
            "2 problems",
            2,
        ),
        (("--set", "model.content=Pretrained('nowhere/at/all')"), 2, "", 1),
        (("--device", "gpu"), 2, "Use cpu, cuda, mps, cuda:1, or auto", 0),
        (("--sed", "3"), 2, "No such option: --sed", 0),
        (("--out", "blocked"), 1, "Choose another with --out", 0),
    ],
)
def test_with_json_an_error_is_a_document(lego, script, tmp_path, arguments, code, words, problems):
    """Programs read what went wrong on standard output; people read the same on standard error. No folder is left."""
    (tmp_path / "blocked").write_text("")
    answer = lego("run", script, *arguments, "--json")
    assert answer.code == code, answer.err
    found = json.loads(answer.out)
    assert list(found) == ["error", "problems"]
    assert words in found["error"]
    assert len(found["problems"]) == problems
    assert all(list(each) == ["where", "what", "fix"] for each in found["problems"])
    assert answer.err
    assert not (tmp_path / "runs").exists()


def test_a_text_without_quotes_is_explained(lego, script):
    """The shell takes one pair of quotes away: where that is what went wrong, the command to write is shown."""
    answer = lego("run", script, "--set", "data.path=/some/where")
    assert answer.code == 2
    assert """--set "data.path='/some/where'\"""" in answer.err
    answer = lego("run", script, "--set", "training.monitor=gauc")
    assert """--set "training.monitor='gauc'\"""" in answer.err
    assert "wants quotes" not in lego("run", script, "--set", "model.behavior=GRUU()").err


def test_resuming_nothing_is_told(lego, script):
    """--resume on what never ran, and on what is finished, says that a new run begins."""
    assert "there is no unfinished run of this experiment" in lego("run", script, "--resume").err
    assert "Finished already: runs/mine/" in lego("run", script, "--resume").err


def test_seeds_repeat_a_run(lego, script, tmp_path):
    """Mean and deviation of runs that differ in the seed alone, beside the baselines; with --resume nothing is run twice."""
    single = [
        last(lego("run", script, "--seed", str(seed), "--name", "single", "--json")) for seed in (4, 5, 6)
    ]
    killed = lego(
        "run", script, "--seed", "4", "--seeds", "2", "--json"
    )  # as if stopped behind its second seed
    found = last(lego("run", script, "--seed", "4", "--seeds", "3", "--resume", "--json"))
    assert list(found) == ["runs", "seeds", "n", "protocol", "groups", "mean", "std", "interval", "baselines"]
    assert (found["seeds"], found["n"]) == ([4, 5, 6], 3)
    assert found["runs"][:2] == last(killed)["runs"]
    assert len(list((tmp_path / "runs" / "mine").iterdir())) == 3
    assert list(found["mean"]) == list(found["std"]) == list(single[0]["test"])
    for name, mean in found["mean"].items():
        values = [run["test"][name] for run in single]
        if None in values:  # the metric does not apply
            assert (mean, found["std"][name]) == (None, None)
            continue
        assert found["mean"][name] == pytest.approx(statistics.mean(values), abs=1e-12)
        assert found["std"][name] == pytest.approx(statistics.stdev(values), abs=1e-12)
    assert found["std"]["gauc"] > 0
    low, high = found["interval"]["gauc"]
    assert low < found["mean"]["gauc"] < high
    table = lego("run", script, "--seed", "4", "--seeds", "3", "--resume").out
    for words in ("mean of 3 seeds", "standard deviation", "95% interval", "random", "popularity", "seed 6"):
        assert words in table
    assert [line for line in table.splitlines() if line.startswith("run folder: ")] == [
        f"run folder: {path}" for path in found["runs"]
    ]
    alone = last(lego("run", script, "--seed", "4", "--seeds", "1", "--resume", "--json"))
    assert alone["mean"] == single[0]["test"]
    assert set(alone["std"].values()) == {None}


def test_missing_raw_files_have_one_exit_code(lego, script, tmp_path):
    """Whichever command looks for them first."""
    codes = {
        lego("run", script, "--set", "data.path='nowhere'").code,
        lego("check", script, "--set", "data.path='nowhere'").code,
        lego("explain", script, "--set", "data.path='nowhere'").code,
        lego("data", "prepare", "MovieLens", "nowhere").code,
    }
    assert codes == {2}


def test_a_full_disk_is_a_sentence(lego, script, monkeypatch):
    """Whoever writes: the way out is told, without a traceback."""

    def full(*given, **options):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/some/cache")

    with monkeypatch.context() as patch:
        patch.setattr("lego.runtime.run.compile", full)
        answer = lego("run", script)
    assert answer.code == 1
    assert "error: /some/cache cannot be used: No space left on device. Free some room" in answer.err
    assert "LEGO_HOME" in answer.err


def test_a_home_that_cannot_be_written_to_is_called_so(lego, script, tmp_path, monkeypatch):
    """It is no fault of the data."""
    (tmp_path / "home").write_text("")
    monkeypatch.setenv("LEGO_HOME", str(tmp_path / "home"))
    answer = lego("run", script)
    assert answer.code == 1
    assert "cannot keep what is prepared" in answer.err
    assert "LEGO_HOME" in answer.err
    assert "cannot read" not in answer.err
