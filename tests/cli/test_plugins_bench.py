"""`lego plugins bench`: an operator beside the built-in ones of its slot."""

from __future__ import annotations

import time

import pytest
import torch
from torch import nn

from lego.contract import Out
from lego.errors import SpecError
from lego.spec import Behavior, operator
from lego.testing.bench import Sizes, bench

SMALL = Sizes(width=8, batch_size=4, length=6, candidates=3)
OPTIONS = ("--width", 8, "--batch-size", 4, "--length", 6, "--candidates", 3, "--rounds", 2)


class _Slow(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(7))

    def forward(self, history, mask, needs):
        time.sleep(0.05)
        big = torch.ones(1_000_000) * self.weight.sum()
        return Out(history.sum(1) + big.mean())


@operator
class Slow(Behavior):
    """Takes its time, and four megabytes."""

    def build(self, context):
        return _Slow()


def test_what_is_measured_is_what_the_operator_does():
    """Its time is at least what it sleeps, its ratio to a quick one large, its memory what it holds, its weights counted."""
    found = bench(Slow(), sizes=SMALL, rounds=3, against=["Mean", "Max"])
    rows = {row.operator: row for row in found.rows}
    assert set(rows) == {"Slow()", "Mean()", "Max()"}
    assert rows["Slow()"].asked
    assert rows["Slow()"].ms >= rows["Slow()"].low >= 50
    assert rows["Slow()"].per_second <= 4 / 0.05
    assert rows["Mean()"].ratio > 2
    assert rows["Slow()"].ratio == 1
    assert rows["Slow()"].parameters == 7
    assert rows["Slow()"].peak >= 4_000_000
    assert 0 < rows["Mean()"].peak < 100_000
    assert found.rows[-1].operator == "Slow()"


@pytest.mark.parametrize(
    ("name", "slot", "others"), [("GRU(hidden=4)", "content", 10), ("Cosine", "predictor", 20)]
)
def test_every_built_in_is_measured_or_said_to_be_left_out(name, slot, others):
    """Whatever its slot has stands in the table or in the list with a reason; nothing is looked for on the network."""
    from lego import catalog

    found = bench(name, slot=slot, sizes=SMALL, rounds=1)
    assert found.slot == slot
    assert len(found.rows) > others
    built_in = [each for each in catalog.entries(slot) if each.distribution == catalog.BUILTIN]
    assert len(found.rows) + len(found.left_out) >= len(built_in)
    assert all(why for _, why in found.left_out)


@pytest.mark.parametrize(
    ("name", "slot", "why"),
    [("GAUC", None, "fits none of the slots"), ("Dot", "content", "does not fit the slot 'content'")],
)
def test_what_cannot_be_measured_is_told(name, slot, why):
    """Another slot, or a slot that it does not fit, is refused before anything is built."""
    with pytest.raises(SpecError, match=why):
        bench(name, slot=slot, sizes=SMALL)


def test_a_wrong_name_to_compare_with_is_answered_with_the_nearest():
    """The built-in operators of the slot are what can be named."""
    with pytest.raises(
        SpecError, match=r"No built-in predictor operator is called 'Cosin'\. Did you mean 'Cosine'"
    ):
        bench("Dot", sizes=SMALL, against=["Cosin"])


def test_the_command_prints_a_table_and_a_document(lego):
    """A row for each operator in plain lines, and the same as JSON."""
    found = lego("plugins", "bench", "Dot", "--against", "Cosine", *OPTIONS, "--json").json
    assert (found["slot"], found["width"], found["rounds"]) == ("predictor", 8, 2)
    assert {row["operator"] for row in found["rows"]} == {"Dot()", "Cosine()"}
    assert {"ms", "low", "high", "per_second", "parameters", "peak", "ratio"} <= found["rows"][0].keys()
    lines = lego("plugins", "bench", "Dot", "--against", "Cosine", *OPTIONS).out.splitlines()
    assert lines[0].startswith("predictor, a step forward and backward: 4 users")
    assert lines[1].split()[0] == "operator"
    assert {line.split()[0] for line in lines[2:4]} == {"Dot()", "Cosine()"}
