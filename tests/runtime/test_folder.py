from __future__ import annotations

import errno
import json
import math
import os
import re
from pathlib import Path

import pytest

from lego.errors import RunError
from lego.runtime.folder import (
    ASIDE,
    Folder,
    create,
    held,
    identity,
    read_json,
    write_json,
    written_aside,
)


def test_folders_are_made_once(tmp_path):
    """Each call makes a folder of its own; with `resume` the unfinished one is taken, a finished one never."""
    first = create(tmp_path, "mine", "abc")
    second = create(tmp_path, "mine", "abc")
    assert (first.path.name, second.path.name) == ("abc", "abc-2")
    assert create(tmp_path, "mine", "abc", resume=True) == first
    write_json(first.path / "metrics.json", {})
    assert create(tmp_path, "mine", "abc", resume=True) == second
    write_json(second.path / "metrics.json", {})
    assert create(tmp_path, "mine", "abc", resume=True).path.name == "abc-3"
    assert create(tmp_path, "mine", "other", resume=True).path.name == "other"


@pytest.mark.parametrize("name", ["", "..", "a/b", "/tmp"])
def test_a_name_is_a_plain_folder_name(tmp_path, name):
    """A name never leads out of the folder of runs."""
    with pytest.raises(RunError, match="plain folder name"):
        create(tmp_path, name, "abc")


def test_where_nothing_can_be_made_is_an_error(tmp_path):
    """A file in the place of the folder, or a folder without permission: the way out is said."""
    (tmp_path / "runs").write_text("")
    with pytest.raises(RunError, match=r"cannot be made: .* Choose another with --out"):
        create(tmp_path / "runs", "mine", "abc")
    with pytest.raises(RunError, match=r"cannot be made: .* Choose another with --out"):
        create(tmp_path, "runs", "abc")


def test_a_file_is_whole_or_as_it_was(tmp_path):
    """What breaks off while it writes leaves the old file, and nothing beside it."""
    path = tmp_path / "x.json"
    write_json(path, {"a": 1})

    def break_off():
        with written_aside(path) as aside:
            aside.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        break_off()
    assert read_json(path) == {"a": 1}
    assert [each.name for each in tmp_path.iterdir()] == ["x.json"]


def test_records_are_json_that_anyone_reads(tmp_path):
    """What is not a number is null: JSON has no NaN."""
    write_json(tmp_path / "x.json", {"a": math.nan, "b": [math.inf, 1.0], 3: (None, "ü")})
    text = (tmp_path / "x.json").read_text(encoding="utf-8")
    assert "ü" in text
    found = json.loads(text, parse_constant=pytest.fail)
    assert found == {"a": None, "b": [None, 1.0], "3": [None, "ü"]}


def test_the_log_only_grows(tmp_path):
    """Lines are added; NaN is null there too."""
    folder = Folder(tmp_path)
    folder.log("begun", text="x\ny")
    first = (tmp_path / "log.jsonl").read_text()
    folder.log("epoch", loss=math.nan)
    assert (tmp_path / "log.jsonl").read_text() == first + '{"event": "epoch", "loss": null}\n'


def test_identity_covers_record_and_data(monkeypatch):
    """Other records, other data and other code have other names; the order of keys does not count."""
    assert identity({"a": 1, "b": 2}, "x") == identity({"b": 2, "a": 1}, "x")
    names = {identity({"a": 1}, "x"), identity({"a": 2}, "x"), identity({"a": 1}, "y")}
    monkeypatch.setattr("lego.runtime.folder.code_version", lambda: "another")
    names.add(identity({"a": 1}, "x"))
    assert len(names) == 4


def test_what_a_killed_process_left_is_removed(tmp_path):
    """Half-written files are swept where the folder is held, and nothing else is."""
    folder = create(tmp_path, "mine", "abc")
    write_json(folder.checkpoint / "x.json", {})
    half = folder.checkpoint / f".model.safetensors.k3j{ASIDE}"
    half.write_text("half")
    with held(folder):
        assert not half.exists()
    assert (folder.checkpoint / "x.json").exists()


def test_half_a_line_of_the_log_spoils_no_other(tmp_path):
    """The next line starts on a line of its own."""
    folder = Folder(tmp_path)
    folder.log("begun")
    with (tmp_path / "log.jsonl").open("a") as file:
        file.write('{"event": "ep')
    folder.log("finished")
    folder.log("again")
    lines = (tmp_path / "log.jsonl").read_text().splitlines()
    assert lines == ['{"event": "begun"}', '{"event": "ep', '{"event": "finished"}', '{"event": "again"}']


def test_nothing_to_resume_is_told(tmp_path):
    """`--resume` says that a new run begins, what is finished, and what is unfinished but of something else."""
    told = []
    create(tmp_path, "mine", "abc", resume=True, tell=told.append)
    assert told.pop().endswith("no unfinished run of this experiment, so a new one begins.")
    write_json(tmp_path / "mine" / "abc" / "experiment.json", {})
    create(tmp_path, "mine", "abc", resume=True, tell=told.append)
    assert not told
    other = create(tmp_path, "mine", "def", resume=True, tell=told.append)
    assert f"version of the code: {tmp_path / 'mine' / 'abc'}" in told.pop()
    write_json(other.path / "experiment.json", {})
    write_json(other.path / "metrics.json", {})
    create(tmp_path, "mine", "def", resume=True, tell=told.append)
    assert f"Finished already: {other.path}" in told.pop()


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS])
def test_a_disk_that_takes_nothing_more_is_told(tmp_path, monkeypatch, number):
    """The path, the reason and the way out; the file that stood there stays, whoever was writing."""
    path = tmp_path / "x.json"
    write_json(path, {"a": 1})

    def refuse(*given, **options):
        raise OSError(number, os.strerror(number))

    words = rf"{re.escape(str(path))} cannot be written: .*--out .*--resume"
    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", refuse)
        with pytest.raises(RunError, match=os.strerror(number)):
            write_json(path, {"a": 2})
    with monkeypatch.context() as patch:
        patch.setattr("tempfile.mkstemp", refuse)
        with pytest.raises(RunError, match=words):
            write_json(path, {"a": 2})
    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", refuse)
        with pytest.raises(RunError, match=r"log\.jsonl cannot be written"):
            Folder(tmp_path).log("epoch")
    assert read_json(path) == {"a": 1}
    assert [each.name for each in tmp_path.iterdir()] == ["x.json"]
