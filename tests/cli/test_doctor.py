"""`lego doctor` always answers."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from lego.cli import doctor


def report(answer):
    """The document, whatever the exit code."""
    return json.loads(answer.out)


@pytest.fixture
def other_looks(monkeypatch):
    """All looks but the one at plugins, which tries each in a process of its own and takes most of the time."""
    monkeypatch.setitem(doctor.LOOKS, "plugins", lambda _: [])


def test_a_sound_machine_is_well(lego):
    """Exit code 0 and no problem; versions, torch, folder and checkpoints are there."""
    found = report(answer := lego("doctor", "--json"))
    assert found["problems"] == []
    assert answer.code == 0
    assert set(found) == {*doctor.LOOKS, "problems"}
    assert found["machine"]["cores"] == os.cpu_count()
    assert found["torch"]["version"] == found["libraries"]["torch"]
    assert found["torch"]["devices"][0] == "cpu"
    assert found["home"]["path"] == os.environ["LEGO_HOME"]
    assert found["home"]["writable"] is True
    assert "sentence-transformers/all-MiniLM-L6-v2" in {each["name"] for each in found["checkpoints"]}
    assert found["hub"]["tested"] is False


@pytest.mark.usefixtures("other_looks")
def test_people_get_lines(lego):
    """The same in lines, ending in the verdict."""
    out = lego("doctor").out
    assert out.endswith("All is well.\n")
    for heading in doctor.LOOKS:
        assert f"\n{heading}\n" in f"\n{out}"


@pytest.mark.usefixtures("other_looks")
def test_offline_switches_are_shown(lego, monkeypatch):
    """The hub is not asked; what decides whether it would be is shown."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", "somewhere")
    found = report(lego("doctor", "--json"))
    assert found["hub"] == {"tested": False, "environment": {"HF_HUB_OFFLINE": "1", "HF_HOME": "somewhere"}}


def test_a_broken_plugin_is_a_problem_with_a_fix(lego, distribution):
    """Exit code 1; the problem names the distribution and how to be rid of it."""
    distribution(
        "acme_odd", "[lego.task]\nOdd = odd_module:Odd\n", version="4", odd_module="import os; os._exit(1)"
    )
    answer = lego("doctor", "--json")
    (problem,) = report(answer)["problems"]
    assert answer.code == 1
    assert problem["where"] == "plugin acme_odd 4"
    assert "task Odd: loading it ended the process" in problem["what"]
    assert problem["fix"] == "repair it, or remove it with: pip uninstall acme_odd"
    assert "fix: repair it" in lego("doctor").out


@pytest.mark.parametrize(
    "metadata", ["no section\n[lego.task\n", "[lego.checkpoint]\nmine = odd_checkpoint:mine\n"]
)
def test_it_runs_beside_broken_metadata_and_checkpoints(lego, distribution, metadata):
    """A file that no parser reads, and a checkpoint whose module ends the process, are problems and nothing more."""
    distribution("acme_odd", metadata, odd_checkpoint="import os; os._exit(1)")
    answer = lego("doctor", "--json")
    assert answer.code == 1
    assert [each["where"] for each in report(answer)["problems"]] == ["plugin acme_odd 1.0"]


@pytest.mark.usefixtures("other_looks")
def test_a_checkpoint_that_is_not_here_is_no_problem(lego, distribution):
    """It is shown with the package that has it."""
    source = (
        "from lego.pretrained.packaged import Packaged\nMINE = Packaged('me/mine', 'my_weights_package')\n"
    )
    distribution("acme_weights", "[lego.checkpoint]\nme/mine = weights_module:MINE\n", weights_module=source)
    found = report(answer := lego("doctor", "--json"))
    assert answer.code == 0
    row = next(each for each in found["checkpoints"] if each["name"] == "me/mine")
    assert row == {
        "name": "me/mine",
        "distribution": "acme_weights",
        "found": None,
        "package": "my-weights-package",
    }
    assert "not here; pip install my-weights-package" in lego("doctor").out


@pytest.mark.usefixtures("other_looks")
def test_a_home_that_cannot_be_written_to_is_a_problem(lego, monkeypatch, tmp_path):
    """A file where the folder should be."""
    (tmp_path / "file").touch()
    monkeypatch.setenv("LEGO_HOME", str(tmp_path / "file" / "home"))
    answer = lego("doctor", "--json")
    assert answer.code == 1
    (problem,) = report(answer)["problems"]
    assert problem["where"] == f"LEGO_HOME {tmp_path / 'file' / 'home'}"
    assert "set LEGO_HOME" in problem["fix"]


@pytest.mark.usefixtures("other_looks")
def test_a_full_disk_is_a_problem(lego, monkeypatch):
    """Little space on the disk of LEGO_HOME is told before a preparation fails on it."""
    monkeypatch.setattr(doctor, "LITTLE_SPACE", 1 << 60)
    answer = lego("doctor", "--json")
    assert answer.code == 1
    assert "left on its disk" in report(answer)["problems"][0]["what"]


@pytest.mark.usefixtures("other_looks")
def test_the_size_of_home_is_that_of_its_files(lego, monkeypatch, tmp_path):
    """Files in all its folders are counted once, and links are not followed."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "one").write_bytes(b"x" * 1000)
    (tmp_path / "two").write_bytes(b"x" * 24)
    monkeypatch.setenv("LEGO_HOME", str(tmp_path))
    assert report(lego("doctor", "--json"))["home"]["size"] == 1024


@pytest.mark.usefixtures("other_looks")
def test_a_library_that_is_too_old_or_gone_is_a_problem(lego, monkeypatch):
    """What lego needs is compared with what is installed."""
    from importlib import metadata

    real = metadata.version

    def version(name):
        if name == "peft":
            raise metadata.PackageNotFoundError(name)
        return "0.1" if name == "pyarrow" else real(name)

    monkeypatch.setattr(metadata, "version", version)
    answer = lego("doctor", "--json")
    problems = {each["where"]: each for each in report(answer)["problems"]}
    assert answer.code == 1
    assert problems["peft"]["what"] == "is not installed"
    assert problems["pyarrow"]["what"].startswith("is version 0.1, and >=")
    assert problems["pyarrow"]["fix"].startswith('pip install "pyarrow>=')


@pytest.mark.usefixtures("other_looks")
def test_a_torch_that_cannot_be_imported_is_a_problem(lego, monkeypatch):
    """The other looks still answer."""
    import sys

    monkeypatch.setitem(sys.modules, "torch", None)
    answer = lego("doctor", "--json")
    found = report(answer)
    assert answer.code == 1
    assert found["torch"] is None
    assert any(each["where"] == "torch" for each in found["problems"])
    assert found["home"]["writable"] is True


@pytest.mark.usefixtures("other_looks")
def test_a_look_that_fails_hides_no_other(lego, monkeypatch):
    """An error of the doctor's own is a problem among the others."""

    def fails(problems):
        raise RuntimeError("out of ink")

    monkeypatch.setitem(doctor.LOOKS, "machine", fails)
    answer = lego("doctor", "--json")
    found = report(answer)
    assert answer.code == 1
    assert found["machine"] is None
    assert "out of ink" in found["problems"][0]["what"]
    assert found["home"] is not None


def test_a_switch_that_names_what_is_not_there_is_a_problem(lego, monkeypatch):
    """A slip of the pen in LEGO_PLUGINS would leave out a plugin in silence."""
    from lego import catalog

    monkeypatch.setenv("LEGO_PLUGINS", "legorec-nothing")
    catalog.forget()
    answer = lego("doctor", "--json")
    assert report(answer)["problems"][0]["what"] == "names legorec-nothing, which is not installed"
    monkeypatch.delenv("LEGO_PLUGINS")
    catalog.forget()


@pytest.mark.usefixtures("other_looks")
def test_a_link_to_nowhere_in_home_is_harmless(lego, monkeypatch, tmp_path):
    """Whatever lies in the folder, its size can be told."""
    (tmp_path / "link").symlink_to(Path("nowhere"))
    monkeypatch.setenv("LEGO_HOME", str(tmp_path))
    assert lego("doctor", "--json").code == 0
