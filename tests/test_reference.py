"""The reference lists every option of the specs that make an experiment, with its default."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import attrs
import pytest

from lego import Evaluation, Experiment, Recommender, Training

PAGE = Path(__file__).resolve().parents[1] / "docs" / "reference.md"
OPEN = "…"


def tables(title):
    """The rows of each table below a heading: option → default, as written."""
    text = PAGE.read_text(encoding="utf-8").split(f"\n## {title}\n")[1].split("\n## ")[0]
    found = []
    for block in re.findall(r"(?:^\|.*\n?)+", text, re.MULTILINE):
        rows = [
            [cell.strip() for cell in line.strip().strip("|").split(" | ")] for line in block.splitlines()
        ]
        found.append({row[0].strip("` "): row[1].strip("` ") for row in rows[2:]})
    return found


def default(field):
    """The default of a field as code, … where there is none."""
    if field.default is attrs.NOTHING:
        return OPEN
    made = field.default.factory() if isinstance(field.default, attrs.Factory) else field.default
    return repr(made)


@pytest.mark.parametrize("spec", [Experiment, Recommender, Training, Evaluation])
def test_every_option_is_listed_with_its_default(spec):
    """In the order of the class, and nothing else."""
    written = {field.name: default(field) for field in attrs.fields(spec) if field.init}
    assert list(tables(spec.__name__)[0].items()) == list(written.items())


def test_every_option_of_a_run_is_listed():
    """Those of `run_experiment`, and `seeds`, which `Experiment.run` adds."""
    from lego.runtime.run import run_experiment

    options = {
        name: repr(each.default)
        for name, each in inspect.signature(run_experiment).parameters.items()
        if name != "experiment"
    }
    assert tables("Experiment")[1] == {**options, "seeds": "None"}
