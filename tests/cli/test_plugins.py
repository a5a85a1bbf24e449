"""`lego plugins`: a broken plugin is a row, whatever it does."""

from __future__ import annotations

import time

import pytest

from lego import catalog
from lego.cli import probe

FINE = """
from lego.spec import Behavior, operator

@operator
class {name}(Behavior):
    def build(self, context):
        raise NotImplementedError
"""

BROKEN = {
    "exits": ("import sys; sys.exit(0)", "SystemExit"),
    "ends": ("import os; os._exit(0)", "ended the process with exit code 0"),
    "dies": ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "ended the process by SIGSEGV"),
    "recurses": ("def f(): f()\nf()", "RecursionError"),
    "raises": ("print('noise'); raise KeyError('key')", "KeyError: 'key'"),
    "interrupts": ("raise KeyboardInterrupt", "KeyboardInterrupt"),
    "complains": (
        "import os, sys; print('out of fuel', file=sys.stderr, flush=True); os._exit(7)",
        "exit code 7: out of fuel",
    ),
    "misfits": ("class Operator: pass", "not a subclass of lego.spec.Behavior"),
    "closes": (
        "import sys; sys.stdout.close(); sys.stderr.close(); raise ValueError('closed')",
        "ValueError: closed",
    ),
}


def test_without_plugins_there_are_the_built_ins(lego, monkeypatch):
    """Our own distribution is a row, fine, with every entry."""
    monkeypatch.setenv("LEGO_PLUGINS", "off")
    rows = {row["distribution"]: row for row in lego("plugins", "--json").json}
    row = rows["legorec"]
    assert row["broken"] is None
    assert {(each["slot"], each["name"]) for each in row["entries"]} == {
        (each.slot, each.name) for each in catalog.entries() if each.distribution == "legorec"
    }
    out = lego("plugins").out
    assert "built in" in out
    assert "No other distribution" in out


def test_whatever_a_plugin_does_it_is_a_row(lego, distribution):
    """Exits, crashes, endless recursion, noise and misfits are rows with their reason, beside sound ones; the command is fine."""
    for name, (source, _) in BROKEN.items():
        distribution(
            f"acme_{name}",
            f"[lego.behavior]\nOperator = {name}_module:Operator\n",
            **{f"{name}_module": source},
        )
    distribution(
        "acme_fine",
        "[lego.behavior]\nSound = sound_module:Sound\n",
        version="2.5",
        sound_module=FINE.format(name="Sound"),
    )
    rows = {row["distribution"]: row for row in lego("plugins", "--json").json}
    for name, (_, why) in BROKEN.items():
        assert why in rows[f"acme_{name}"]["broken"]
        assert rows[f"acme_{name}"]["broken"].startswith("behavior Operator: ")
    assert rows["acme_fine"] == {
        "distribution": "acme_fine",
        "version": "2.5",
        "entries": [{"slot": "behavior", "name": "Sound", "broken": None, "needs": None}],
        "broken": None,
    }


def test_a_plugin_that_hangs_is_stopped(lego, distribution):
    """An import that does not end is given up after the limit, with all that it started; others are not held up."""
    hangs = "import subprocess, time\nsubprocess.Popen(['sleep', '600'])\ntime.sleep(600)"
    distribution("acme_hangs", "[lego.behavior]\nOperator = hanging_module:Operator\n", hanging_module=hangs)
    distribution("acme_task", "[lego.task]\nThing = thing_module:Thing\n", thing_module="Thing = 3")
    begun = time.monotonic()
    rows = {row["distribution"]: row for row in lego("plugins", "--json", "--seconds", "5").json}
    assert time.monotonic() - begun < 60
    assert rows["acme_hangs"]["broken"] == "behavior Operator: loading it took more than 5 seconds"
    assert "it is 3, not a class" in rows["acme_task"]["broken"]


def test_one_broken_entry_leaves_its_neighbours_fine(lego, distribution):
    """Entries are tried one by one: the row names the one that is broken."""
    distribution(
        "acme_half",
        "[lego.behavior]\nSound = sound_half:Sound\n[lego.command]\nshout = shouting:shout\n",
        sound_half=FINE.format(name="Sound"),
        shouting="raise ImportError('no voice')",
    )
    row = next(row for row in lego("plugins", "--json").json if row["distribution"] == "acme_half")
    assert row["broken"] == "command shout: ImportError: no voice"
    assert {each["name"]: each["broken"] for each in row["entries"]} == {
        "Sound": None,
        "shout": "ImportError: no voice",
    }
    out = lego("plugins").out
    assert "broken: ImportError: no voice" in out
    assert "fine" in out


def test_malformed_metadata_is_a_row(lego, distribution):
    """A distribution whose file cannot be read has no entries and says why."""
    distribution("torn", "no section\n[lego.task\n", version="9")
    row = next(row for row in lego("plugins", "--json").json if row["distribution"] == "torn")
    assert (row["version"], row["entries"]) == ("9", [])
    assert "entry_points.txt: its metadata is malformed" in row["broken"]
    assert "broken: entry_points.txt" in lego("plugins").out


def test_an_extra_that_is_not_installed_is_no_fault(lego, distribution, monkeypatch):
    """The row says which `pip install` brings it; the plugin is not broken, and asking for the operator says the same."""
    from importlib import metadata

    distribution(
        "acme_extra", "[lego.behavior]\nSound = extra_module:Sound\n", extra_module="import soundcard_x"
    )
    wanted = ["soundcard-x>=1; extra == 'card'"]
    monkeypatch.setattr(metadata, "requires", lambda name: wanted)
    monkeypatch.setattr(metadata, "metadata", lambda name: _Extras())
    from lego.errors import CatalogError

    with pytest.raises(CatalogError, match=r'pip install "acme-extra\[card\]"'):
        catalog.load("behavior", "Sound")
    monkeypatch.setattr(
        probe, "faults", lambda entries, seconds: {each: catalog.fault(each) for each in entries}
    )
    row = next(row for row in lego("plugins", "--json").json if row["distribution"] == "acme_extra")
    assert row["broken"] is None
    assert "soundcard_x. Get it with: pip install" in row["entries"][0]["needs"]
    assert "pip install" in lego("plugins").out


class _Extras:
    def get_all(self, name):
        return ["card"]


def test_a_project_is_begun_once(lego, tmp_path):
    """What is there already is not written over; names that cannot be, and names that are taken, are refused with a reason."""
    made = lego("plugins", "new", "Slow fade", "--out", tmp_path, "--json").json
    assert made["operator"] == "SlowFade"
    assert "src/legorec_slow_fade/slow_fade.py" in made["files"]
    again = lego("plugins", "new", "slow-fade", "--out", tmp_path)
    assert again.code == 2
    assert "is there already" in again.err
    assert "GRU of legorec has this name" in lego("plugins", "new", "gru", "--out", tmp_path).err
    for name in ("3d", "../up", "class", "", "ünder"):
        assert "a name is made of" in lego("plugins", "new", name, "--out", tmp_path).err
    assert [each.name for each in tmp_path.iterdir()] == ["legorec-slow-fade"]


def test_plugins_are_not_loaded_here(lego, distribution):
    """The plugin's code runs in another process: nothing of it is in this one."""
    import sys

    distribution(
        "acme_fine", "[lego.behavior]\nSound = sound_module:Sound\n", sound_module=FINE.format(name="Sound")
    )
    lego("plugins", "--json")
    assert "sound_module" not in sys.modules


def test_what_is_switched_off_is_said(lego, distribution, monkeypatch):
    """A distribution that `LEGO_PLUGINS` leaves out is not tried, and named on standard error."""
    monkeypatch.setenv("LEGO_PLUGINS", "off")
    distribution(
        "acme_fine", "[lego.behavior]\nSound = sound_module:Sound\n", sound_module="raise ImportError"
    )
    answer = lego("plugins", "--json")
    assert [row["distribution"] for row in answer.json] == ["legorec"]
    assert "acme_fine is left out by LEGO_PLUGINS" in answer.err


def test_nothing_to_try_is_no_work():
    """Without entries no process is started."""
    assert probe.faults([]) == {}


@pytest.mark.parametrize("name", ["GRU", "Dot"])
def test_a_sound_entry_has_no_fault(name):
    """A built-in entry, tried in a process of its own, is fine."""
    assert probe.fault(catalog.find(name)) is None


# --- commands of plugins ------------------------------------------------------------------------------------------------------

SHOUT = """
import typer

def shout(word: str = typer.Argument(...), twice: bool = typer.Option(False, "--twice")) -> None:
    '''Says it aloud.'''
    typer.echo(word.upper() * (2 if twice else 1))
"""


def test_a_command_of_a_plugin_is_a_command(lego, distribution):
    """It runs with its own options, and `lego --help` lists it behind the built-in ones without importing it."""
    import sys

    distribution("acme_shout", "[lego.command]\nshout = shouting:shout\n", shouting=SHOUT)
    out = lego("--help").out
    assert out.index("doctor") < out.index("shout")
    assert "From acme_shout 1.0." in out
    assert "shouting" not in sys.modules
    assert lego("shout", "hey", "--twice").out == "HEYHEY\n"
    assert "--twice" in lego("shout", "--help").out


def test_a_broken_command_breaks_nothing_else(lego, distribution):
    """Help and other commands go on; the broken one says whose it is."""
    distribution(
        "acme_shout", "[lego.command]\nshout = shouting:shout\n", shouting="raise ImportError('no voice')"
    )
    assert "shout" in lego("--help").out
    assert lego("catalog", "task", "--json").code == 0
    answer = lego("shout", "hey")
    assert answer.code == 2
    assert "'shout' of acme_shout 1.0 (shouting:shout, " in answer.err
    assert "cannot be loaded: ImportError: no voice" in answer.err
    assert "Traceback" not in answer.err
