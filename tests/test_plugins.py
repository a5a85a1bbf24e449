"""Distributions of somebody else's: built and installed with pip, found by name from the command line."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parent
LEGO = Path(sysconfig.get_path("scripts")) / "lego"

MOVIES = ("storm", "garden", "river", "castle", "winter", "engine", "harbor", "violin", "desert", "mirror")


def install(name: str, scratch: Path) -> Path:
    """Builds a distribution of `tests/plugins` and installs it into a folder of its own, with nothing from outside."""
    source = shutil.copytree(HERE / "plugins" / name, scratch / "source" / name)
    target = scratch / "installed" / name
    options = ["--quiet", "--no-index", "--no-build-isolation", "--no-deps", "--disable-pip-version-check"]
    subprocess.run([sys.executable, "-m", "pip", "install", *options, "--target", target, source], check=True)
    return target


@pytest.fixture(scope="module")
def echo(tmp_path_factory) -> Path:
    return install("echo_operator", tmp_path_factory.mktemp("echo"))


@pytest.fixture(scope="module")
def broken(tmp_path_factory) -> Path:
    return install("broken_operator", tmp_path_factory.mktemp("broken"))


def command(
    *arguments: object, plugins: tuple[Path, ...] = (), cwd: Path = ROOT
) -> subprocess.CompletedProcess[str]:
    """One call of the installed command, with these folders on the path."""
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(map(str, plugins)),
        "OMP_NUM_THREADS": "1",
        "HF_HUB_OFFLINE": "1",
    }
    return subprocess.run(
        [LEGO, *map(str, arguments)],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def answer(*arguments: object, plugins: tuple[Path, ...] = (), cwd: Path = ROOT):
    """The JSON document that a call prints."""
    done = command(*arguments, "--json", plugins=plugins, cwd=cwd)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1] if arguments[0] == "run" else done.stdout)


def plain(distribution: str) -> str:
    return distribution.replace("_", "-").lower()


@pytest.fixture(scope="module")
def script(tmp_path_factory) -> Path:
    """An experiment on ten made-up films that ends in seconds."""
    folder = tmp_path_factory.mktemp("experiment")
    raw = folder / "raw"
    raw.mkdir()
    rows = [
        f"{row},{name} film number {row} ({1990 + row}),Drama|Comedy" for row, name in enumerate(MOVIES, 1)
    ]
    (raw / "movies.csv").write_text("movieId,title,genres\n" + "\n".join(rows) + "\n", encoding="utf-8")
    ratings = [
        f"{user},{1 + (3 * user + step) % len(MOVIES)},4.5,{1_000_000 + 100 * step + user}"
        for user in range(1, 31)
        for step in range(8)
    ]
    (raw / "ratings.csv").write_text(
        "userId,movieId,rating,timestamp\n" + "\n".join(ratings) + "\n", encoding="utf-8"
    )
    path = folder / "tiny.py"
    path.write_text(
        "from lego import Dot, Experiment, ItemID, Matching, Mean, MovieLens, Recommender, Training\n\n"
        "experiment = Experiment(\n"
        '    data=MovieLens("raw"),\n'
        "    model=Recommender(content=ItemID(), behavior=Mean(), predictor=Dot(), width=8),\n"
        "    task=Matching(negatives=2),\n"
        "    training=Training(epochs=1),\n"
        ")\n",
        encoding="utf-8",
    )
    return path


def test_an_installed_operator_is_listed_with_where_it_comes_from(echo):
    """`lego catalog behavior` shows name, distribution and version of a stranger's operator, beside the built-in ones."""
    rows = {row["name"]: row for row in answer("catalog", "behavior", plugins=(echo,))}
    mine = rows["RecencyMean"]
    assert (plain(mine["distribution"]), mine["version"]) == ("legorec-echo-operator", "0.2.0")
    assert mine["slots"] == ["behavior"]
    assert plain(rows["GRU"]["distribution"]) == "legorec"


def test_an_operator_that_is_not_installed_is_not_listed():
    """Without its folder on the path the operator is unknown, and the answer says what there is."""
    assert "RecencyMean" not in {row["name"] for row in answer("catalog", "behavior")}
    done = command("check", "examples/nrms.py", "--set", "model.behavior=RecencyMean()")
    assert done.returncode in (1, 2)
    assert "RecencyMean" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_installed_operator_runs_by_name(echo, script, tmp_path):
    """`--set model.behavior=RecencyMean()` trains and tests with the stranger's operator."""
    change = ("--set", "model.behavior=RecencyMean(decay=0.5)")
    result = answer("run", script, *change, "--out", tmp_path / "runs", plugins=(echo,))
    assert 0 <= result["test"]["gauc"] <= 1
    kept = json.loads((Path(result["run"]) / "experiment.json").read_text(encoding="utf-8"))
    assert "RecencyMean(decay=0.5)" in json.dumps(kept)


def test_an_installed_operator_is_checked_like_a_built_in_one(echo):
    """A wrong option of a stranger's operator is refused with the nearest right one."""
    done = command(
        "check", "examples/nrms.py", "--set", "model.behavior=RecencyMean(decai=0.5)", plugins=(echo,)
    )
    assert done.returncode in (1, 2)
    assert "Did you mean 'decay'" in done.stderr


def test_an_example_takes_an_installed_operator(echo):
    """An example of the repository compiles with the stranger's operator in its behavior slot."""
    done = command("check", "examples/nrms.py", "--set", "model.behavior=RecencyMean()", plugins=(echo,))
    assert done.returncode == 0, done.stderr


def test_a_broken_distribution_is_a_row(echo, broken):
    """`lego plugins` shows what failed and why, and the sound distribution as sound."""
    rows = {plain(row["distribution"]): row for row in answer("plugins", plugins=(echo, broken))}
    assert "the library this operator leans on is gone" in rows["legorec-broken-operator"]["broken"]
    assert rows["legorec-broken-operator"]["version"] == "0.3.0"
    assert rows["legorec-echo-operator"]["broken"] is None
    assert "RecencyMean" in json.dumps(rows["legorec-echo-operator"]["entries"])


def test_a_broken_distribution_breaks_nothing_else(echo, broken, script, tmp_path):
    """Beside a broken distribution everything is listed and runs."""
    plugins = (broken, echo)
    assert {"RecencyMean", "GRU"} <= {row["name"] for row in answer("catalog", "behavior", plugins=plugins)}
    result = answer("run", script, "--out", tmp_path / "runs", plugins=plugins)
    assert 0 <= result["test"]["gauc"] <= 1


def test_using_a_broken_operator_names_its_distribution(broken, script):
    """Whoever asks for the broken operator is told which distribution to repair or to remove."""
    done = command("check", script, "--set", "model.behavior=Fallen()", plugins=(broken,))
    assert done.returncode in (1, 2)
    assert "the library this operator leans on is gone" in done.stderr
    assert "pip uninstall legorec" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_recent_item_counts_more(echo, monkeypatch):
    """The operator is right: its weights are the powers of `decay`, padding has none, no history gives zero."""
    monkeypatch.syspath_prepend(str(echo))
    import torch
    from echo_operator.recency_mean import RecencyMean

    from lego.contract import Needs
    from lego.spec import Context

    module = RecencyMean(decay=0.5).build(Context(width=1, input_width=1, length=3))
    history = torch.tensor([[[1.0], [2.0], [float("nan")]], [[8.0], [4.0], [1.0]], [[float("nan")]] * 3])
    mask = torch.tensor([[True, True, False], [True, True, True], [False, False, False]])
    user = module(history, mask, Needs()).tensor
    expected = [[(0.5 * 1 + 1 * 2) / 1.5], [(0.25 * 8 + 0.5 * 4 + 1) / 1.75], [0.0]]
    torch.testing.assert_close(user, torch.tensor(expected))
