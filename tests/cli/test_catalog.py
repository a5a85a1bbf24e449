"""`lego catalog`."""

from __future__ import annotations

import json
import os
import re
import resource
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from lego import catalog

LEGO = Path(sysconfig.get_path("scripts")) / "lego"

DECAY = """
'''Recent items count more (Ebbinghaus 1885, https://psychclassics.example/memory), as in [brackets].'''
from lego.contract import Form, Need
from lego.spec import Behavior, operator

@operator
class Decay(Behavior):
    '''Weights fall [with age].'''
    needs = frozenset({Need.TIMES})
    label: str = "[bold]text[/bold]"

    @property
    def gives(self):
        return Form.INTERESTS | Form.PER_CANDIDATE

    def build(self, context):
        raise NotImplementedError
"""


def test_everything_is_listed_once(lego):
    """A row per operator: an operator that fits two slots has both."""
    rows = lego("catalog", "--json").json
    assert {(slot, row["name"]) for row in rows for slot in row["slots"]} == {
        (each.slot, each.name) for each in catalog.entries()
    }
    assert all(set(row) == {"name", "slots", "distribution", "version"} for row in rows)
    names = [row["name"] for row in rows]
    assert len(names) == len(set(names))
    gru = next(row for row in rows if row["name"] == "GRU")
    assert gru == {
        "name": "GRU",
        "slots": ["content", "behavior"],
        "distribution": "legorec",
        "version": gru["version"],
    }


@pytest.mark.parametrize("slot", catalog.SLOTS)
def test_a_slot_lists_what_fills_it(lego, slot):
    """Exactly the names of the slot; a slot that nothing fills is an empty list, not an error."""
    rows = lego("catalog", slot, "--json").json
    assert [row["name"] for row in rows] == catalog.names(slot)
    assert lego("catalog", slot).code == 0


def test_the_table_has_a_heading_per_slot(lego):
    """Plain lines: the slot, and below it name, distribution and version in straight columns."""
    lines = lego("catalog").out.splitlines()
    headings = [line for line in lines if not line.startswith(" ")]
    assert headings == [slot for slot in catalog.SLOTS if catalog.names(slot)]
    below = lines[lines.index("behavior") + 1 : lines.index("predictor")]
    assert [line.split()[0] for line in below] == catalog.names("behavior")
    assert len({line.index("legorec") for line in lines if line.startswith(" ")}) == 1


def test_a_name_is_described(lego):
    """The text form with every default, what it gives, its papers, its docstring."""
    out = lego("catalog", "Attention").out
    assert (
        "Attention(heads=4, dropout=0.1, positions=False, residual=False, projection=False, pool=Additive())"
        in out
    )
    assert "gives  vector (B, D)" in out
    assert "Vaswani et al. 2017, https://arxiv.org/abs/1706.03762" in out
    assert "Every real place looks at every other" in out


@pytest.mark.parametrize(
    ("name", "key", "expected"),
    [
        ("GRU", "gives", "vector (B, D)"),
        ("History", "gives", "sequence (B, S, D)"),
        ("ItemID", "gives", "vector (N, D)"),
        ("Dot", "takes", ["vector (B, D)", "per candidate (B, C, D)"]),
        ("DIN", "takes", ["sequence (B, S, D)"]),
        ("Chain", "text", "Attention(heads=2, pool=None) >> GRU(hidden=8)"),
        ("MovieLens", "paper", "Harper and Konstan 2015, https://doi.org/10.1145/2827872"),
        ("MRR", "paper", "Voorhees 1999, TREC-8 question answering"),
        ("Mean", "paper", None),
        ("Recall", "text", "Recall(k=…)"),
        ("BERT", "gives", "vector (N, D)"),
        ("catalog", "text", None),
        ("Matching", "gives", None),
    ],
)
def test_a_name_as_json_has_the_facts(lego, name, key, expected):
    """`lego catalog NAME --json` is one row with text, gives or takes, needs, paper and broken."""
    (row,) = lego("catalog", name, "--json").json
    assert row[key] == expected
    way = "takes" if "predictor" in row["slots"] else "gives"
    assert set(row) == {"name", "slots", "distribution", "version", "text", way, "needs", "paper", "broken"}
    assert row["broken"] is None


def test_the_text_of_every_operator_can_be_read_again(lego):
    """The text of what needs no argument is an expression."""
    from lego.expression import SPEAKING, parse

    rows = lego("catalog", "--full", "--json").json
    assert len(rows) == len(lego("catalog", "--json").json)
    texts = [row["text"] for row in rows if row["slots"][0] in SPEAKING and row["broken"] is None]
    assert all(texts)
    complete = [text for text in texts if "…" not in text]
    assert len(complete) > 20
    for text in complete:
        parse(text)


def test_a_stranger_is_described_with_its_brackets(lego, distribution):
    """Square brackets of docstrings and texts are shown as they are; needs are named."""
    distribution("acme_recs", "[lego.behavior]\nDecay = acme_decay:Decay\n", version="0.7", acme_decay=DECAY)
    (row,) = lego("catalog", "Decay", "--json").json
    assert row == {
        "name": "Decay",
        "slots": ["behavior"],
        "distribution": "acme_recs",
        "version": "0.7",
        "text": "Decay(label='[bold]text[/bold]')",
        "gives": "interests per candidate (B, C, M, D)",
        "needs": ["times"],
        "paper": "Ebbinghaus 1885, https://psychclassics.example/memory",
        "broken": None,
    }
    out = lego("catalog", "acme_recs.Decay").out
    assert "Weights fall [with age]." in out
    assert "label='[bold]text[/bold]'" in out


def test_two_claims_are_two_rows(lego, distribution):
    """Where two distributions claim a name, the table shows how each is written."""
    distribution("acme_recs", "[lego.behavior]\nGRU = acme_gru:GRU\n", acme_gru="raise ImportError('gone')")
    rows = lego("catalog", "behavior", "--json").json
    assert [row["distribution"] for row in rows if row["name"] == "GRU"] == ["acme_recs", "legorec"]
    out = lego("catalog", "behavior").out
    assert "acme_recs.GRU" in out
    assert "legorec.GRU" in out
    found = {row["distribution"]: row["broken"] for row in lego("catalog", "GRU", "--json").json}
    assert found["legorec"] is None
    assert "ImportError: gone" in found["acme_recs"]


@pytest.mark.parametrize("source", ["import os; os._exit(3)", "raise SystemExit", "def f(): f()\nf()"])
def test_a_broken_stranger_is_a_row(lego, distribution, source):
    """Even one that ends its process is listed with why; its form, text and paper are unknown."""
    distribution("odd_ones", "[lego.predictor]\nOdd = odd_module:Odd\n", odd_module=source)
    (row,) = lego("catalog", "Odd", "--json").json
    assert row["broken"]
    assert (row["text"], row["takes"], row["needs"], row["paper"]) == (None, None, [], None)
    assert "broken" in lego("catalog", "Odd").out


def test_malformed_metadata_is_told_on_standard_error(lego, distribution):
    """A file that cannot be read is named, and the listing is whole and clean."""
    distribution("torn", "no section\n[lego.task\n")
    answer = lego("catalog", "task", "--json")
    assert {row["name"] for row in answer.json} >= {"Matching", "Ranking"}
    assert "torn: its metadata is malformed" in answer.err


@pytest.mark.parametrize(
    ("what", "hint"),
    [("Attenton", "'Attention'"), ("behaviour", "'behavior'"), ("gru", "'GRU'"), ("acme.GRU", "'GRU'")],
)
def test_an_unknown_name_is_wrong_use(lego, what, hint):
    """Exit code 2, the nearest name, everything there is, and for programs the same as a document."""
    answer = lego("catalog", what, "--json")
    assert answer.code == 2
    told = json.loads(answer.out)["error"]
    assert answer.err == f"error: {told}\n"
    assert not lego("catalog", what).out
    assert f"No slot or operator is called {what!r}. Did you mean {hint}?" in answer.err
    assert "Traceback" not in answer.err


# --- light --------------------------------------------------------------------------------------------------------------------

HEAVY = ("torch", "transformers", "peft", "pyarrow", "numpy", "tokenizers", "safetensors")


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["catalog"],
        ["catalog", "behavior", "--json"],
        ["catalog", "--help"],
        ["data", "--help"],
        ["plugins"],
        ["nothing"],
    ],
    ids=" ".join,
)
def test_listings_import_nothing_heavy(arguments):
    """Help and listings answer without torch, language models or Arrow."""
    program = (
        "import sys\nfrom lego.cli import main\n"
        f"sys.argv = ['lego', *{arguments!r}]\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        f"print(sorted(set({HEAVY!r}) & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stderr.splitlines()[-1] == "[]"


@pytest.mark.parametrize("arguments", [["--help"], ["catalog", "--json"]], ids=" ".join)
def test_listings_take_little_time(arguments):
    """Help and listings take less than a second of processor time; half of that where nothing else runs."""

    def spent() -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([LEGO, *arguments], capture_output=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    assert min(spent() for _ in range(3)) < 1.0


def test_a_pipe_gets_plain_lines():
    """No colors and no boxes where the output is not a terminal."""
    done = subprocess.run(
        [LEGO, "catalog", "GRU"],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "TERM": "xterm-256color"},
    )
    assert "\x1b" not in done.stdout
    assert done.stdout.startswith("GRU  content, behavior  legorec")
    listed = subprocess.run([LEGO, "catalog", "--json"], capture_output=True, text=True, check=True).stdout
    assert listed.count("\n") == 1
    assert json.loads(listed)


def test_a_reader_that_stops_is_no_accident():
    """`lego catalog | head -1` ends without a traceback."""
    done = subprocess.run(
        f"'{LEGO}' catalog | head -n 1", shell=True, capture_output=True, text=True, check=False
    )
    assert done.stdout == "content\n"
    assert "Traceback" not in done.stderr


def test_a_command_is_described_without_being_run(lego, distribution):
    """Operators are made to look at them; a command is only named."""
    source = "import typer\ndef shout(): typer.echo('ran')\n"
    distribution("acme_shout", "[lego.command]\nshout = shouting:shout\n", shouting=source)
    answer = lego("catalog", "shout")
    assert answer.code == 0
    assert "ran" not in answer.out


def test_a_full_listing_says_what_each_is(lego):
    """Below each name stands the first sentence of its description; of one alone, the whole of it."""
    from lego import GRU, Mean

    listing = lego("catalog", "behavior", "--full").out
    for spec in (GRU, Mean):
        first = spec.__doc__.splitlines()[0]
        assert re.search(rf"^{spec.__name__}  .*\n  {re.escape(first)}$", listing, re.MULTILINE)
    assert lego("catalog", "GRU").out.rstrip().endswith(GRU.__doc__.strip().splitlines()[-1].strip())
