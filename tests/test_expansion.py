from __future__ import annotations

import itertools
import json

import attrs
import pytest

from lego import (
    CNN,
    GRU,
    Additive,
    Attention,
    Dot,
    Evaluation,
    Experiment,
    Lookup,
    Mean,
    MovieLens,
    Popularity,
    Recommender,
    Training,
    Views,
    any_of,
    cases,
)
from lego.errors import SpecError
from lego.expansion import Expansion
from lego.expression import to_json
from lego.spec import choices


def experiment(training=None, data=None, evaluation=None, **slots):
    given = {"content": Mean(), "behavior": Mean(), "predictor": Dot(), **slots}
    return Experiment(
        data=data or MovieLens("somewhere"),
        model=Recommender(**given),
        training=training or Training(),
        evaluation=evaluation or Evaluation(),
    )


OPEN = {
    "none": experiment(),
    "product": experiment(content=any_of(CNN(), Mean()), training=Training(lr=any_of(0.1, 0.01, 0.001))),
    "inside": experiment(content=any_of(CNN(kernel=any_of(3, 5)), Attention(heads=any_of(2, 4, 8)), Mean())),
    "tied": experiment(
        content=cases(CNN(), Mean()), training=Training(lr=cases(0.1, 0.01), epochs=any_of(1, 2))
    ),
    "tied inside": experiment(
        content=any_of(CNN(kernel=cases(3, 5)), Mean()), width=cases(8, any_of(16, 32))
    ),
    "operands": experiment(
        behavior=any_of(CNN(pool=None), Attention(pool=None)) >> any_of(GRU(), Additive())
    ),
    "mapping": experiment(reads={"title": any_of(10, 20), "genres": 5}),
    "views": experiment(content=Views(title=any_of(CNN(), Mean()), genres=Lookup())),
    "everywhere": Experiment(
        data=any_of(MovieLens("here", history=any_of(5, 10)), MovieLens("there")),
        model=any_of(Recommender(CNN(), any_of(GRU(), Mean()), Dot()), Popularity()),
        training=any_of(Training(), Training(lr=0.1)),
        evaluation=Evaluation(metrics=("auc", any_of("gauc", "mrr"))),
    ),
}
COUNTS = {
    "none": 1,
    "product": 6,
    "inside": 6,
    "tied": 4,
    "tied inside": 6,
    "operands": 4,
    "mapping": 2,
    "views": 2,
    "everywhere": 3 * 3 * 2 * 2,
}


@pytest.mark.parametrize("name", OPEN)
def test_every_combination_once(name):
    """So many as multiplied by hand, no two equal, none with a choice left."""
    expansion = Expansion(OPEN[name])
    found = list(expansion)
    assert expansion.count == len(found) == COUNTS[name]
    assert len({each.experiment for each in found}) == len(found)
    assert not any(list(choices(each.experiment)) for each in found)


@pytest.mark.parametrize("name", OPEN)
def test_what_is_picked_is_what_set_would_say(name):
    """The changes of a combination, made with `set` to the experiment with its choices, give the combination."""
    for each in Expansion(OPEN[name]):
        assert OPEN[name].set(*each.changes) == each.experiment


def test_the_order_is_that_of_nested_loops():
    """The last field changes fastest, and a second expansion of an equal experiment gives the same."""
    found = [
        (each.experiment.model.content, each.experiment.training.lr) for each in Expansion(OPEN["product"])
    ]
    assert found == list(itertools.product([CNN(), Mean()], [0.1, 0.01, 0.001]))
    again = json.loads(json.dumps([to_json(each.experiment) for each in Expansion(OPEN["everywhere"])]))
    assert again == [to_json(each.experiment) for each in Expansion(OPEN["everywhere"])]


def test_choices_of_what_is_not_chosen_do_not_multiply():
    """A combination lists what distinguishes it: inner choices with the outer one, and none of the branches not taken."""
    found = [each.changes for each in Expansion(OPEN["inside"])]
    assert found == [
        ("model.content=CNN()",),
        ("model.content=CNN(kernel=5)",),
        ("model.content=Attention(heads=2)",),
        ("model.content=Attention()",),
        ("model.content=Attention(heads=8)",),
        ("model.content=Mean()",),
    ]


def test_cases_go_together_by_position():
    """The first case of each goes with the first of the others; what is free is combined with each."""
    found = [
        (each.experiment.model.content, each.experiment.training.lr, each.experiment.training.epochs)
        for each in Expansion(OPEN["tied"])
    ]
    assert found == [(CNN(), 0.1, 1), (CNN(), 0.1, 2), (Mean(), 0.01, 1), (Mean(), 0.01, 2)]


def test_cases_of_different_size_are_refused():
    """The error names both, and says the way out."""
    open_ = experiment(content=cases(CNN(), Mean()), training=Training(lr=cases(0.1, 0.01, 0.001)))
    with pytest.raises(SpecError, match="equally many") as told:
        Expansion(open_)
    assert "cases(CNN(), Mean()) has 2" in str(told.value)
    assert "cases(0.1, 0.01, 0.001) has 3" in str(told.value)


def test_a_fixed_place_leaves_one_value():
    """What a search for each model stands on: its combinations are those of that model, and tell it."""
    open_ = experiment(
        content=any_of(CNN(kernel=any_of(3, 5)), Mean()), training=Training(lr=any_of(0.1, 0.01))
    )
    cnn, mean = (Expansion(open_, fixed={"model.content": place}) for place in (0, 1))
    assert (cnn.count, mean.count) == (4, 2)
    assert {each.changes[0] for each in cnn} == {"model.content=CNN()", "model.content=CNN(kernel=5)"}
    assert {each.experiment for each in cnn} | {each.experiment for each in mean} == {
        each.experiment for each in Expansion(open_)
    }
    second = Expansion(OPEN["tied"], fixed={"cases": 1})
    assert [each.experiment.training.lr for each in second] == [0.01, 0.01]


def test_a_combination_that_its_spec_refuses_has_the_reason():
    """Values that are right alone and wrong together make a combination without an experiment."""
    open_ = experiment(behavior=any_of(CNN(pool=None), CNN(pool=any_of(None, Additive()))) >> GRU())
    found = list(Expansion(open_))
    wrong = [each for each in found if each.experiment is None]
    assert len(found) == 3
    assert len(wrong) == 1
    assert "pool=None" in str(wrong[0].error)
    assert wrong[0].picks[0][0] == "model.behavior"


def test_numbers_beyond_the_last_are_refused():
    """`at` knows its bounds."""
    expansion = Expansion(OPEN["product"])
    for number in (-1, 6):
        with pytest.raises(IndexError):
            expansion.at(number)


def test_a_product_too_large_to_list_can_be_counted_and_looked_into():
    """The count and a combination of its number take no list of all."""
    many = any_of(*range(1, 101))
    training = Training(
        epochs=many, batch_size=many, accumulate=many, patience=many, seed=many, lr=any_of(*range(1, 1001))
    )
    expansion = Expansion(experiment(training=training, width=many))
    assert expansion.count == 100**6 * 1000
    last = expansion.at(expansion.count - 1).experiment
    assert attrs.astuple(last.training, recurse=False)[:3] == (100, 100, 1000.0)
    assert (last.training.seed, last.model.width) == (100, 100)
