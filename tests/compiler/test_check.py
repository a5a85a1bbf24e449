from __future__ import annotations

import attrs
import numpy as np
import pytest

from lego import (
    DCN,
    DIN,
    DNN,
    GRU,
    Additive,
    Attention,
    Chain,
    Dot,
    Embedding,
    Experiment,
    History,
    InterestAttention,
    ItemID,
    Mean,
    MovieLens,
    PolyAttention,
    Popularity,
    Pretrained,
    Recommender,
    Words,
    any_of,
    cases,
    compile,  # noqa: A004
    split,
)
from lego.compiler.check import check
from lego.contract import Form
from lego.errors import CompositionError
from lego.testing.checkpoint import tiny_checkpoint

BEHAVIORS = [
    Mean(),
    GRU(),
    Attention(pool=None),
    Attention(pool=None) >> GRU(pool=None),
    History(),
    PolyAttention(),
]
PREDICTORS = [Dot(), DNN(), DCN(), DIN(), InterestAttention()]


@pytest.fixture(scope="module")
def experiment(movies):
    """An experiment of some parts."""

    def make(content=None, behavior=None, predictor=None, width=8, **options):
        model = Recommender(
            content=content or ItemID(),
            behavior=behavior or Mean(),
            predictor=predictor or Dot(),
            width=width,
            **options,
        )
        return Experiment(data=MovieLens(movies, negatives=5, history=4), model=model)

    return make


def told(experiment):
    """Each problem as one text."""
    return [str(problem) for problem in check(experiment)]


@pytest.mark.parametrize("predictor", PREDICTORS, ids=repr)
@pytest.mark.parametrize("behavior", BEHAVIORS, ids=repr)
def test_forms_decide_which_parts_fit(experiment, behavior, predictor):
    """What is refused would not compute, and what is let through does: one rule, read from declarations."""
    problems = told(experiment(behavior=behavior, predictor=predictor))
    if behavior.gives in predictor.takes:
        assert problems == []
    else:
        (problem,) = problems
        assert behavior.gives.label in problem
        for form in predictor.takes:
            assert form.label in problem


def test_a_misfit_names_parts_that_fit(experiment):
    """The way out is by name, from what the catalogue declares, and following it helps."""
    (problem,) = check(experiment(behavior=Mean(), predictor=DIN()))
    assert "History" in problem.fix
    assert "Dot" in problem.fix
    assert "InterestAttention" not in problem.fix
    assert check(experiment(behavior=History(), predictor=DIN())) == []


def test_an_item_is_one_vector(experiment):
    """A content operator without a pool gives a sequence, and is told to have one."""
    for content in (GRU(pool=None), Chain((GRU(pool=None), Attention(pool=None)))):
        (*_, problem) = check(experiment(content=content))
        assert problem.where.startswith("content=")
        assert "pool" in problem.fix
    assert Form.SEQUENCE.label.replace("B", "N") in told(experiment(content=GRU(pool=None)))[0]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"content": Mean(), "reads": {"titel": 3}}, "Did you mean 'title'"),
        ({"content": Mean(), "reads": {"title": 0}}, "a token budget is at least 1"),
        ({"content": Mean(), "reads": {}}, "no attribute is read"),
        ({"content": ItemID(), "reads": {"title": 3}}, "reads no attribute"),
        ({"content": ItemID(), "tokens": Words()}, "leave tokens= out"),
        ({"behavior": Attention(heads=3)}, "8 does not divide into 3 heads"),
        ({"behavior": Attention(pool=Additive()), "width": 9}, "9 does not divide into 4 heads"),
    ],
)
def test_each_rule_has_its_sentence(experiment, options, words):
    """One thing is wrong, and one problem says so."""
    (problem,) = told(experiment(**options))
    assert words in problem
    assert "fix: " in problem


def test_parts_of_parts_are_looked_at(experiment, tmp_path):
    """An attention inside a chain, and a checkpoint inside content."""
    assert "7 heads" in "".join(told(experiment(behavior=Attention(heads=7, pool=None) >> GRU())))
    bert = str(tiny_checkpoint(tmp_path / "bert", layers=2))
    assert "split(1)" in "".join(told(experiment(content=Pretrained(bert, layers=split(2)))))
    assert "there is no folder" in "".join(told(experiment(content=Pretrained("./nowhere"))))
    np.save(tmp_path / "v.npy", np.zeros((120, 5), np.float32))
    assert "5 wide" in "".join(told(experiment(content=Embedding(str(tmp_path / "v.npy"), project=False))))


@pytest.mark.parametrize("choice", [any_of, cases])
def test_choices_are_not_run_as_one(experiment, choice):
    """An experiment that describes several models names each choice."""
    asked = experiment(behavior=choice(Mean(), GRU()))
    (problem,) = check(asked)
    assert "several models" in problem.what
    assert choice.__name__ in problem.where
    with pytest.raises(CompositionError, match="several models"):
        compile(asked)


def test_metrics_are_known_before_training(experiment):
    """A misspelt metric or monitor is a problem of its own."""
    asked = experiment().set("evaluation.metrics=('gauc', 'ndgc@5')", "training.monitor='mr'")
    first, second = told(asked)
    assert "evaluation.metrics: 'ndgc@5'" in first
    assert "training.monitor: 'mr'" in second


def test_compile_raises_them_all(experiment):
    """`compile` and `lego run` refuse what `check` lists, before anything is prepared."""
    asked = experiment(behavior=Attention(heads=7), predictor=DIN(), content=Mean(), reads={"titel": 3})
    with pytest.raises(CompositionError, match="cannot compile: 3 problems") as error:
        compile(asked)
    assert list(error.value.problems) == check(asked)
    with pytest.raises(CompositionError, match="only a Recommender is compiled"):
        compile(attrs.evolve(asked, model=Popularity()))
