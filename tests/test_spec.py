"""Specs: frozen values with checked options, in which choices may stand everywhere."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from functools import cache
from typing import Any, Literal

import attrs
import pytest

from lego import GRU, Attention, Chain, Dot, History, MovieLens, Recommender, any_of, cases, catalog
from lego.errors import SpecError
from lego.expression import SPEAKING
from lego.spec import (
    Behavior,
    Choice,
    FrozenMap,
    Pool,
    Source,
    Spec,
    between,
    choices,
    field_names,
    ge,
    gt,
    one_of,
    operator,
    positional_names,
    signature,
    without_later,
)

GIVEN: dict[str, tuple[Any, ...]] = {
    "Adressa": ("raw",),
    "Augment": (MovieLens("raw"),),
    "OpenAICompatible": ("model",),
    "Replay": ("answers.jsonl",),
    "EBNeRD": ("raw",),
    "MIND": ("raw",),
    "PENS": ("raw",),
    "RecBench": ("raw",),
    "MovieLens": ("raw",),
    "Anime": ("raw",),
    "POG": ("raw",),
    "MicroLens": ("raw",),
    "Netflix": ("raw",),
    "LastFM": ("raw",),
    "BookCrossing": ("raw",),
    "HM": ("raw",),
    "Prepared": ("prepared",),
    "Steam": ("raw",),
    "HotelRec": ("raw",),
    "Yelp": ("raw",),
    "Goodreads": ("raw",),
    "Amazon": ("raw",),
    "Embedding": ("items.npy",),
    "SemanticID": ("items.npy",),
    "WhitenedExperts": ("items.npy",),
    "GloVe": ("glove.txt",),
    "TextSimilarity": ("owner/model",),
    "ScoreFile": ("scores.parquet",),
    "Pretrained": ("owner/model",),
    "PretrainedTokens": ("owner/model",),
    "Hit": (5,),
    "Precision": (5,),
    "Recall": (5,),
}
"""What operators without a default for an option are made of here."""


@operator
class Toy(Behavior):
    """One option of each kind."""

    first: int = attrs.field(default=1, kw_only=False, validator=ge(1))
    rate: float = attrs.field(default=0.5, validator=between(0, 1))
    factor: float | None = attrs.field(default=None, validator=gt(0))
    flag: bool = False
    mode: Literal["fast", "exact"] = "fast"
    size: int = attrs.field(default=8, validator=one_of(8, 16))
    widths: tuple[int, ...] = (4,)
    pair: tuple[int, str] = (1, "a")
    names: Mapping[str, int] = attrs.field(factory=dict, converter=FrozenMap)
    inner: Pool | None = None
    label: str = "toy"


@cache
def classes() -> tuple[type[Spec], ...]:
    """Every spec class of the catalog, but those whose optional dependency is not installed."""
    there = [each for each in catalog.entries() if each.slot in SPEAKING]
    there = [each for each in there if not (catalog.fault(each) or "").startswith(catalog.MISSING)]
    found = {catalog.load_entry(entry) for entry in there}
    return tuple(sorted((each for each in found if isinstance(each, type)), key=lambda each: each.__name__))


def instance(cls: type[Spec]) -> Spec:
    if cls.__name__ in GIVEN:
        return cls(*GIVEN[cls.__name__])
    return next(iter(cls.examples()))


# --- calls --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cls", classes(), ids=lambda cls: cls.__name__)
def test_an_unknown_option_is_answered_with_the_nearest(cls):
    """Every operator refuses a misspelt option, names the right one, and lists all."""
    if cls.named:  # any other name is one of its parts
        return
    for name in field_names(cls):
        with pytest.raises(
            SpecError, match=rf"{cls.__name__} has no option '{name}x'\. Did you mean '\w+'\?"
        ) as caught:
            cls(**{f"{name}x": 1})
        assert ", ".join(field_names(cls)) in str(caught.value)
    with pytest.raises(SpecError, match="has no option 'zzzzzz'"):
        cls(zzzzzz=1)


def test_what_has_no_option_says_none():
    """An operator without options has an empty list, not a broken sentence."""
    with pytest.raises(SpecError, match=r"Dot has no option 'scale'\. It has no options\."):
        Dot(scale=1)


def test_too_many_and_too_few_arguments_show_the_signature():
    """The errors of a call show how it is written."""
    with pytest.raises(
        SpecError,
        match=r"Toy: 2 arguments are given without a name, at most 1 may be\. Write it as Toy\(first=1, rate=0.5",
    ):
        Toy(1, 2)
    with pytest.raises(
        SpecError, match=r"MovieLens: path is missing\. Write it as MovieLens\(path=…, repeats="
    ):
        MovieLens()


def test_only_the_obvious_argument_is_positional():
    """`positional_names` are the options that may be given without a name."""
    assert positional_names(Toy) == ("first",)
    assert positional_names(Recommender) == ("content", "behavior", "predictor")
    assert Toy(3) == Toy(first=3)


def test_the_signature_has_every_default():
    """`signature` spells out the defaults and marks what has none."""
    assert signature(GRU) == "GRU(hidden=64, layers=1, dropout=0.0, pool=Last())"
    assert signature(Recommender) == (
        "Recommender(content=…, behavior=…, predictor=…, reads=None, tokens=None, width=64)"
    )
    assert "names={}" in signature(Toy)


# --- values -------------------------------------------------------------------------------------------------------------------

WRONG = [
    ("first", 0, "at least 1"),
    ("first", "3", "a whole number"),
    ("first", 1.0, "a whole number"),
    ("first", True, "a whole number"),
    ("first", None, "a whole number"),
    ("rate", 1, "from 0 up to, not including, 1"),
    ("rate", -0.1, "from 0 up to, not including, 1"),
    ("rate", "0.5", "a number"),
    ("rate", float("nan"), "a number"),
    ("rate", float("inf"), "a number"),
    ("factor", 0, "more than 0"),
    ("factor", float("inf"), "a number or None"),
    ("flag", 1, "True or False"),
    ("mode", "slow", "one of 'fast', 'exact'"),
    ("mode", 3, "one of 'fast', 'exact'"),
    ("size", 9, "one of 8, 16"),
    ("widths", 4, "a tuple of a whole number"),
    ("widths", ("4",), "a tuple of a whole number"),
    ("widths", (4, 2.5), "a tuple of a whole number"),
    ("pair", (1,), "a tuple of a whole number and a text"),
    ("pair", (1, "a", 2), "a tuple of a whole number and a text"),
    ("inner", Dot(), r"a Pool \(one of `lego catalog content`\) or None"),
    ("label", 3, "a text"),
]


@pytest.mark.parametrize(("name", "value", "expected"), WRONG)
def test_a_wrong_value_says_what_is_expected(name, value, expected):
    """Type and range are checked when a spec is made; the error has the spec, the option, the value and what it must be."""
    with pytest.raises(SpecError, match=rf"Toy\({name}=.*\): {name} must be {expected}, was "):
        Toy(**{name: value})


@pytest.mark.parametrize(("name", "value", "expected"), WRONG)
def test_a_wrong_value_inside_a_choice_is_found(name, value, expected):
    """One wrong value among the right ones of a choice is refused like that value alone."""
    right = getattr(Toy(), name)
    for choice in (any_of(right, value), cases(value, right), any_of(right, any_of(right, value))):
        with pytest.raises(SpecError, match=f"{name} must be {expected}"):
            Toy(**{name: choice})


def test_slots_refuse_each_other():
    """A predictor is no content operator; the error says where the fitting ones are listed."""
    with pytest.raises(
        SpecError, match=r"content must be a Content \(one of `lego catalog content`\), was Dot\(\)"
    ):
        Recommender(Dot(), History(), Dot())


def test_values_are_converted_where_nothing_is_lost():
    """An int may stand for a float, a list for a tuple, a dict for a frozen map."""
    toy = Toy(rate=0, widths=[3, 2], names={"a": 1})
    assert type(toy.rate) is float
    assert toy.widths == (3, 2)
    assert isinstance(toy.names, FrozenMap)
    model = Recommender(GRU(), GRU(), Dot(), reads={"title": 3})
    assert isinstance(model.reads, FrozenMap)
    with pytest.raises(SpecError, match="reads must be a dict or None"):
        Recommender(GRU(), GRU(), Dot(), reads={"title": "3"})
    with pytest.raises(SpecError, match="reads must be a dict or None"):
        Recommender(GRU(), GRU(), Dot(), reads={1: 3})


def test_annotations_that_cannot_be_read_are_explained():
    """A name that is imported for the type checker alone is an error that says what to do."""

    @operator
    class Own(Behavior):
        size: Missing = 3  # noqa: F821 - what the test is about

    with pytest.raises(
        SpecError, match=r"Own: an annotation cannot be resolved at run time .*Missing.*TYPE_CHECKING"
    ):
        Own(size=2)


# --- values that do not move --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cls", classes(), ids=lambda cls: cls.__name__)
def test_specs_are_frozen_values(cls):
    """Two specs of the same options are equal and hash alike; none can be changed; copies are equal."""
    one, other = instance(cls), instance(cls)
    assert one == other
    assert hash(one) == hash(other)
    assert copy.deepcopy(one) == one
    for name in field_names(cls):
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            setattr(one, name, getattr(one, name))


def test_other_options_and_other_classes_are_other_values():
    """Equality looks at the class and at every option."""
    assert GRU(hidden=3) != GRU(hidden=4)
    assert Toy(1) != GRU()
    assert len({GRU(), GRU(hidden=64), GRU(hidden=3)}) == 2
    assert any_of(1, 2) == any_of(1, 2)
    assert any_of(1, 2) != cases(1, 2)
    assert any_of(1, 2) != any_of(2, 1)


def test_a_frozen_map_is_a_mapping_whose_order_counts():
    """It equals a dict of the same order, hashes, and cannot be written to."""
    first = FrozenMap({"title": 1, "genres": 2})
    assert first == {"title": 1, "genres": 2}
    assert first != {"genres": 2, "title": 1}
    assert hash(first) == hash(FrozenMap([("title", 1), ("genres", 2)]))
    assert dict(first) == {"title": 1, "genres": 2}
    with pytest.raises(TypeError):
        first["title"] = 3


# --- choices ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("cls", classes(), ids=lambda cls: cls.__name__)
def test_a_choice_may_stand_in_every_option(cls, tied):
    """`any_of` and `cases` of right values are admitted wherever the values are, and found there again."""
    spec = instance(cls)
    for name in field_names(cls):
        choice = (cases if tied else any_of)(getattr(spec, name), getattr(spec, name))
        made = attrs.evolve(spec, **{name: choice})
        assert getattr(made, name) == choice
        assert choice in list(choices(made))
        assert attrs.evolve(made, **{name: getattr(spec, name)}) == spec


def test_choices_are_found_in_the_order_of_the_options():
    """In tuples, in maps, in specs and inside other choices."""
    inner = any_of(2, 4)
    outer = any_of(Attention(heads=inner), GRU())
    width, reads, hidden = any_of(8, 16), any_of(3, 5), any_of(1, 2)
    chain = Chain((Attention(pool=None), GRU(hidden=hidden)))
    model = Recommender(outer, chain, Dot(), reads={"title": reads}, width=width)
    assert list(choices(model)) == [outer, inner, hidden, reads, width]


def test_a_choice_between_nothing_is_refused():
    """`any_of()` says how it is written."""
    with pytest.raises(
        SpecError, match=r"any_of: no value is given\. Write it as any_of\(first, second, …\)"
    ):
        any_of()
    with pytest.raises(SpecError, match="cases: no value is given"):
        cases()


def test_a_choice_is_normalised_like_its_values():
    """A choice of lists is a choice of tuples, and ints become floats in it."""
    toy = Toy(widths=any_of([1], [2, 3]), rate=any_of(0, 0.5))
    assert isinstance(toy.widths, Choice)
    assert toy.widths.values == ((1,), (2, 3))
    assert [type(each) for each in toy.rate.values] == [float, float]


# --- problems -----------------------------------------------------------------------------------------------------------------


def test_problems_of_inner_specs_are_found():
    """A spec passes the question on to the specs inside it, and says where they are."""
    found = list(Attention(heads=3, pool=None).problems(64, "behavior=x"))
    assert len(found) == 1
    chain = Chain((Attention(heads=3, pool=None), GRU()))
    (problem,) = chain.problems(64, "behavior=y")
    assert problem.where.startswith("behavior=y, parts=")
    assert not list(Chain((Attention(heads=2, pool=None), GRU())).problems(64, "behavior=y"))


def test_later_options_are_told_where_they_say_something():
    """What was named before there was an option keeps its name."""

    @operator
    class Some(Source):
        path: str = attrs.field(kw_only=False)
        seed: int = 0
        later: str = "as before"

    plain = Some("a")
    assert without_later({"seed": 0, "later": "as before"}, plain, "later") == {"seed": 0}
    told = {"seed": 0, "later": "new"}
    assert without_later(told, Some("a", later="new"), "later") == told
