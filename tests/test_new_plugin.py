"""A plugin from nothing: made by the command, installed beside the built wheel of lego, tested and run."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lego.cli.new_plugin import kinds

ROOT = Path(__file__).resolve().parents[1]

PIP = ("--quiet", "--disable-pip-version-check", "--no-input")
ALONE = ("--no-index", "--no-deps", "--no-build-isolation")


@pytest.fixture(scope="module")
def scratch(tmp_path_factory):
    """An environment of its own with the wheel of lego; what lego depends on is lent by this one, lego's source is not."""
    folder = tmp_path_factory.mktemp("scratch")
    venv = folder / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True)
    python = venv / "bin" / "python"
    asked = [python, "-c", "import site; print(site.getsitepackages()[0])"]
    site = subprocess.run(asked, capture_output=True, text=True, check=True)
    lent = [each for each in sys.path if Path(each).name == "site-packages"]
    (Path(site.stdout.strip()) / "lent.pth").write_text("\n".join(lent) + "\n", encoding="utf-8")
    built = folder / "wheels"
    pip = [sys.executable, "-m", "pip"]
    subprocess.run([*pip, "wheel", *PIP, *ALONE, "--wheel-dir", built, ROOT], check=True)
    (wheel,) = built.glob("legorec-*.whl")
    subprocess.run(
        [*pip, "--python", python, "install", *PIP, "--no-index", "--no-deps", "--ignore-installed", wheel],
        check=True,
    )
    return venv


@pytest.fixture(scope="module")
def within(scratch, tmp_path_factory):
    """Calls a command of the environment in a folder, and gives what it printed."""
    home = tmp_path_factory.mktemp("home")

    def call(*command: object, cwd: Path, seconds: int = 300) -> str:
        environment = {
            key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "VIRTUAL_ENV")
        }
        environment |= {"LEGO_HOME": str(home), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
        program, *rest = map(str, command)
        done = subprocess.run(
            [scratch / "bin" / program, *rest],
            cwd=cwd,
            env=environment,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return call


@pytest.fixture(scope="module")
def project(scratch, within, tmp_path_factory):
    """The project that the command makes, installed."""
    folder = tmp_path_factory.mktemp("work")
    made = json.loads(within("lego", "plugins", "new", "fading mean", "--json", cwd=folder))
    project = folder / made["folder"]
    subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            "--python",
            scratch / "bin" / "python",
            "install",
            *PIP,
            *ALONE,
            project,
        ],
        check=True,
    )
    shutil.rmtree(project / "build", ignore_errors=True)
    return project


def test_the_scratch_environment_has_the_wheel(scratch, within, tmp_path):
    """What is tested here is what would be published, not the source tree."""
    found = within("python", "-c", "import lego; print(lego.__file__)", cwd=tmp_path)
    assert Path(found.strip()).is_relative_to(scratch)


def test_the_project_is_whole(project):
    """Everything that a published plugin has, under the names that follow from its own."""
    there = {str(each.relative_to(project)) for each in project.rglob("*") if each.is_file()}
    assert there == {
        ".github/workflows/publish.yml",
        ".github/workflows/test.yml",
        ".gitignore",
        "CHANGELOG.md",
        "LICENSE",
        "README.md",
        "pyproject.toml",
        "src/legorec_fading_mean/__init__.py",
        "src/legorec_fading_mean/fading_mean.py",
        "src/legorec_fading_mean/py.typed",
        "tests/test_fading_mean.py",
    }
    assert not any("$operator" in each.read_text() for each in project.rglob("*") if each.is_file())


def test_it_passes_its_own_tests(project, within):
    """The conformance suite, the formula, and that it is found by name."""
    assert " passed" in within("python", "-m", "pytest", "-p", "no:cacheprovider", "-q", cwd=project)


@pytest.mark.parametrize("command", [("check",), ("format", "--check")])
def test_the_linter_and_the_formatter_are_content(project, within, command):
    """Untouched, by its own settings."""
    if importlib.util.find_spec("ruff") is None:
        pytest.skip("ruff is not installed: pip install ruff")
    subprocess.run(
        [sys.executable, "-m", "ruff", command[0], "--no-cache", *command[1:], "."], cwd=project, check=True
    )


@pytest.fixture(scope="module")
def all_slots(within, tmp_path_factory):
    """A project of each slot that can be begun, side by side."""
    folder = tmp_path_factory.mktemp("slots")
    for slot in kinds():
        within("lego", "plugins", "new", f"own {slot}", "--slot", slot, cwd=folder)
    return folder


def test_each_slot_has_its_templates():
    """A row of the table, an operator and its tests; nothing lies about unused."""
    folder = ROOT / "lego" / "cli" / "plugin"
    there = {each.name for each in folder.glob("*.py.txt")} - {"init.py.txt"}
    assert there == {f"{start}{slot}.py.txt" for slot in kinds() for start in ("", "test_")}
    assert set(kinds()) >= {"content", "behavior", "sequence", "predictor", "task", "metric"}


@pytest.mark.parametrize("command", [("check",), ("format", "--check")])
def test_the_linter_and_the_formatter_are_content_with_each_slot(all_slots, command):
    """Every project as it is made, by its own settings."""
    if importlib.util.find_spec("ruff") is None:
        pytest.skip("ruff is not installed: pip install ruff")
    line = [sys.executable, "-m", "ruff", command[0], "--no-cache", *command[1:], "."]
    for project in sorted(all_slots.iterdir()):
        subprocess.run(line, cwd=project, check=True)


def test_each_slot_passes_its_own_tests(all_slots, scratch, within, tmp_path):
    """Every project, installed, passes its suite and its formula; with LEGO_TEST_ALL=1, since a suite takes seconds."""
    if os.environ.get("LEGO_TEST_ALL") != "1":
        pytest.skip("the suites of all slots take a minute: LEGO_TEST_ALL=1 runs them")
    for project in sorted(all_slots.iterdir()):
        copy = shutil.copytree(project, tmp_path / project.name)
        line = ["-m", "pip", "--python", scratch / "bin" / "python", "install", *PIP, *ALONE, copy]
        subprocess.run([sys.executable, *line], check=True)
        printed = within("python", "-m", "pytest", "-p", "no:cacheprovider", "-q", cwd=project, seconds=900)
        assert " passed" in printed


LIBRARIES = "torch.*,numpy.*,pyarrow.*,pytest.*,_pytest.*,safetensors.*,transformers.*,tokenizers.*"


def test_the_type_checker_is_content(project, all_slots, within, tmp_path):
    """Untouched, strict, code and tests, of every slot: what lego gives is typed in the wheel.

    The libraries below lego are taken on trust, since reading them takes minutes; with LEGO_TEST_ALL=1 they are read, too.
    """
    pytest.importorskip("mypy", reason="mypy is not installed: pip install mypy")
    cache = ("--cache-dir", tmp_path / "cache")
    if os.environ.get("LEGO_TEST_ALL") == "1":
        assert "Success" in within("python", "-m", "mypy", "--strict", *cache, cwd=project, seconds=1800)
        return
    settings = tmp_path / "mypy.ini"
    settings.write_text(
        "[mypy]\nfiles = */src, */tests\npython_version = 3.11\nstrict = True\nwarn_return_any = False\n"
        "disable_error_code = type-abstract\nallow_subclassing_any = True\nallow_untyped_decorators = True\n"
        f"[mypy-{LIBRARIES}]\nfollow_imports = skip\nignore_missing_imports = True\n"
    )
    assert "Success" in within("python", "-m", "mypy", "--config-file", settings, *cache, cwd=all_slots)


def test_it_is_listed_and_runs_by_name(project, within, tmp_path):
    """`lego plugins` has it as sound, and `--set model.behavior=…` trains, tests and records it."""
    rows = {row["distribution"]: row for row in json.loads(within("lego", "plugins", "--json", cwd=tmp_path))}
    row = next(row for name, row in rows.items() if name.replace("_", "-") == "legorec-fading-mean")
    assert (row["version"], row["broken"]) == ("0.1.0", None)
    movies = [f"{row},film {row} ({1990 + row}),Drama|Comedy" for row in range(1, 11)]
    (tmp_path / "movies.csv").write_text("\n".join(["movieId,title,genres", *movies]) + "\n")
    ratings = [
        f"{user},{1 + (3 * user + step) % 10},4.5,{1_000_000 + 100 * step + user}"
        for user in range(1, 31)
        for step in range(8)
    ]
    (tmp_path / "ratings.csv").write_text("\n".join(["userId,movieId,rating,timestamp", *ratings]) + "\n")
    (tmp_path / "tiny.py").write_text(
        "from lego import Dot, Experiment, ItemID, Matching, Mean, MovieLens, Recommender, Training\n\n"
        "experiment = Experiment(\n"
        '    data=MovieLens("."),\n'
        "    model=Recommender(content=ItemID(), behavior=Mean(), predictor=Dot(), width=8),\n"
        "    task=Matching(negatives=2),\n"
        "    training=Training(epochs=1),\n"
        ")\n"
    )
    change = ("--set", "model.behavior=FadingMean(decay=0.5)")
    printed = within("lego", "run", "tiny.py", *change, "--json", cwd=tmp_path)
    run = tmp_path / json.loads(printed.splitlines()[-1])["run"]
    assert "FadingMean(decay=0.5)" in (run / "experiment.json").read_text()
    used = json.loads((run / "environment.json").read_text())["operators"]["FadingMean"]
    assert [used[0].replace("_", "-"), used[1]] == ["legorec-fading-mean", "0.1.0"]
