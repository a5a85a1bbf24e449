"""What specs and plans show in a notebook, and how long expressions are laid out."""

from __future__ import annotations

import re
from html import unescape

import pytest

from lego import (
    CNN,
    DCN,
    GRU,
    Attention,
    Dot,
    Experiment,
    Lookup,
    Mean,
    MovieLens,
    Recommender,
    Sum,
    Views,
    any_of,
)
from lego.expression import layout, parse

MODELS = (
    Recommender(Views(title=Attention(pool=None) >> GRU(), genres=Lookup()), Sum(Attention(), Mean()), DCN()),
    Recommender(any_of(CNN(), Mean()), Attention(heads=2), Dot(), reads={"title": 3, "genres": 2}, width=32),
)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("width", [20, 60, 1000])
def test_a_layout_is_the_same_expression(model, full, width):
    """Parsing it gives the value; lines are no longer than asked where there is a place to break."""
    text = layout(model, full=full, width=width)
    assert parse(text) == model
    assert ("\n" in text) == (width < 1000)
    if width == 60 and not full:
        assert max(map(len, text.splitlines())) <= 70


def test_a_spec_shows_its_expression():
    """Escaped, one option a line."""
    shown = MODELS[0]._repr_html_()
    text = re.fullmatch(r"<pre><code>(.*)</code></pre>", shown, re.DOTALL).group(1)
    assert ">" not in text.replace("&gt;", "")
    assert parse(unescape(text)) == MODELS[0]


def test_a_plan_shows_a_row_for_each_stage(movies):
    """With shapes, weights, and what `lego explain` says in words."""
    plan = Experiment(data=MovieLens(movies, history=6), model=MODELS[0]).plan()
    shown = plan._repr_html_()
    for stage in plan.stages:
        assert f"<th>{stage.name}</th>" in shown
        assert f"<td>{stage.trainable:,}</td>" in shown
    assert "a training batch" in shown
    assert "&gt;&gt;" in shown
    assert "<code>Views(title=Attention(pool=None) >>" not in shown
