from __future__ import annotations

import sys

import pytest

from lego import GRU
from lego.errors import ScriptError, SpecError
from lego.runtime.script import load_experiment, load_module, names_with

GOOD = """
from lego import Dot, Experiment, ItemID, Mean, MovieLens, Recommender

model = Recommender(content=ItemID(), behavior=Mean(), predictor=Dot())
experiment = Experiment(data=MovieLens("raw"), model=model)
other = Experiment(data=MovieLens("/absolute"), model=model)
"""


@pytest.fixture
def script(tmp_path):
    """Writes a script."""

    def write(text, name="mine.py"):
        path = tmp_path / name
        path.write_text(text)
        return path

    return write


def test_paths_of_a_script_are_relative_to_it(script, tmp_path, monkeypatch):
    """From whichever folder it is run."""
    path = script(GOOD)
    monkeypatch.chdir("/")
    experiment, found = load_experiment(str(path))
    assert experiment.data.path == str(tmp_path / "raw")
    assert found == path
    named, _ = load_experiment(f"{path}:other")
    assert named.data.path == "/absolute"


def test_a_script_without_the_experiment_says_what_there_is(script):
    """No experiment, or none of the name: the error lists those there are."""
    with pytest.raises(
        ScriptError, match=r"no experiment called 'experiment' \(it defines: none\).*write `experiment ="
    ):
        load_experiment(str(script("x = 1")))
    with pytest.raises(ScriptError, match=r"it defines: experiment, other\)\. Did you mean 'other'"):
        load_experiment(f"{script(GOOD)}:othr")
    with pytest.raises(ScriptError, match="There is no script"):
        load_experiment("nowhere.py")


def test_a_syntax_error_shows_the_line(script):
    """The user sees where Python stopped reading, and none of our files."""
    path = script("from lego import GRU\n\nmodel = GRU(hidden=3\n")
    with pytest.raises(ScriptError) as error:
        load_module(path)
    assert "model = GRU(hidden=3" in str(error.value)
    assert f'"{path}", line 3' in str(error.value)


def test_an_exception_shows_the_lines_of_the_user(script):
    """The traceback begins in the script."""
    path = script("def broken():\n    return {}['missing key']\n\nbroken()\n")
    with pytest.raises(ScriptError) as error:
        load_module(path)
    text = str(error.value)
    assert "return {}['missing key']" in text
    assert "broken()" in text
    assert "KeyError: 'missing key'" in text
    assert "runtime/script.py" not in text
    with pytest.raises(ScriptError, match="SystemExit: 3"):
        load_module(script("raise SystemExit(3)", "leaves.py"))
    assert str(path) not in {getattr(module, "__file__", None) for module in sys.modules.values()}


def test_an_error_of_ours_names_the_line(script):
    """A misspelt option is told with the place in the script, as the same kind of error."""
    path = script("from lego import GRU\n\nmodel = GRU(hiden=3)\n")
    with pytest.raises(SpecError, match=r"mine.py, line 3: GRU has no option 'hiden'. Did you mean 'hidden'"):
        load_module(path)
    path = script(
        "from lego.errors import CheckpointError\nraise CheckpointError('x', 'is gone', 'fetch it')\n",
        "gone.py",
    )
    with pytest.raises(Exception, match=r"gone.py, line 2: x: is gone"):
        load_module(path)


def test_a_script_finds_what_stands_beside_it(script, monkeypatch):
    """Its own folder is looked up while it is read, and left out of the path afterwards."""
    script("VALUE = 7\n", "stands_beside.py")
    path = script("from stands_beside import VALUE\n")
    before = list(sys.path)
    assert load_module(path).VALUE == 7
    assert sys.path == before
    monkeypatch.delitem(sys.modules, "stands_beside")


def test_a_script_is_not_main(script, capsys):
    """What a script does only as a program, it does not do when it is read."""
    load_module(script("if __name__ == '__main__':\n    print('ran')\n"))
    assert not capsys.readouterr().out


def test_names_are_those_of_the_catalogue_and_of_the_script(script):
    """Own specs go by their bare name; imported helpers that are no specs do not."""
    source = "from pathlib import Path\nfrom lego.spec import Behavior, operator\n"
    source += "@operator\nclass Mine(Behavior):\n    by: int = 1\n"
    names = names_with(load_module(script(source)))
    assert names("Mine")(by=2).by == 2
    assert names("GRU") is GRU
    with pytest.raises(LookupError, match="Path"):
        names("Path")
