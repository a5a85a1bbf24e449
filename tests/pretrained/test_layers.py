from __future__ import annotations

import pytest

from lego.errors import SpecError
from lego.expression import from_json, parse, to_json, write
from lego.pretrained.layers import Frozen, Full, Lora, Split, frozen, full, lora, split
from lego.spec import choices


@pytest.mark.parametrize(
    "value",
    [
        full(),
        frozen(),
        split(4),
        split(0),
        split(-2),
        lora(),
        split(-2) | lora(rank=32, alpha=128),
        split(1) | lora(targets=("query", "value"), dropout=0.1),
    ],
)
def test_values_print_as_they_are_written(value):
    """`split(4)` prints as `split(4)` and is read back."""
    assert parse(write(value)) == value
    assert write(value)[0].islower()


def test_helpers_make_the_values():
    """The lower-case words are the values."""
    assert (full(), frozen(), split(3)) == (Full(), Frozen(), Split(3))
    assert repr(split(3)) == "split(3)"


@pytest.mark.parametrize(
    ("value", "first"),
    [(full(), None), (frozen(), 6), (split(0), 0), (split(5), 5), (split(-1), 5), (split(-6), 0)],
)
def test_first_layer_that_learns(value, first):
    """Of six layers: None where all learns, the count where none does; negative numbers count from the top."""
    assert value.first(6) == first
    assert value.misfit(6, "here") is None


def test_all_layers_points_to_frozen():
    """A split that leaves nothing to learn is refused, and says what says that."""
    problem = split(6).misfit(6, "content")
    assert "none would learn" in problem.what
    assert "frozen()" in problem.fix


@pytest.mark.parametrize("at", [7, 100, -7])
def test_outside_the_layers_names_their_number(at):
    """A layer that does not exist is refused with how many there are."""
    problem = split(at).misfit(6, "content")
    assert "6 layers" in problem.what
    assert "0 to 5" in problem.fix
    assert "-6 to -1" in problem.fix


def test_a_split_is_a_whole_number():
    """Nothing else says where to split."""
    for wrong in (1.5, "4", None):
        with pytest.raises(SpecError):
            Split(wrong)


def test_what_is_cached():
    """There is something to keep where layers are frozen."""
    assert [value.caches for value in (full(), frozen(), split(2), split(-1), split(0))] == [
        False,
        True,
        True,
        True,
        False,
    ]


def test_adapters_behind_a_split():
    """`split(-2) | lora(…)` freezes and caches as the split does, prints as it is written, and takes choices on both sides."""
    value = parse("split(-2) | lora(rank=32, alpha=128)")
    assert value == split(-2) | lora(rank=32, alpha=128)
    assert write(value) == "split(-2) | lora(rank=32, alpha=128.0)"
    assert (value.first(6), value.caches, value.misfit(6, "here")) == (4, True, None)
    assert "none would learn" in (split(6) | lora()).misfit(6, "here").what
    assert value.adapters == lora(rank=32, alpha=128)
    assert (value.adapters.scale, lora(rank=4).scale) == (128.0, 8.0)
    assert from_json(to_json(value)) == value
    for text in ("any_of(split(1), split(2)) | lora()", "split(1) | any_of(lora(), lora(rank=2))"):
        assert write(parse(text)) == text
        assert len(list(choices(parse(text)))) == 1


def test_adapters_alone_are_in_every_layer():
    """Everything is frozen, nothing can be cached, and every layer has adapters."""
    assert (lora().first(6), lora().caches, lora().adapters) == (0, False, Lora())
    assert (full().adapters, frozen().adapters, split(2).adapters) == (None, None, None)


@pytest.mark.parametrize(
    "text", ["full() | lora()", "frozen() | lora()", "lora() | split(2)", "split(1) | split(2)"]
)
def test_only_a_split_is_followed_by_adapters(text):
    """Everything else is refused and says how it is written."""
    with pytest.raises(SpecError, match=r"split\(10\) \| lora\(\)"):
        parse(text)


@pytest.mark.parametrize("options", [{"rank": 0}, {"alpha": 0}, {"dropout": 1.0}, {"targets": "query"}])
def test_options_of_adapters_are_checked(options):
    """Ranks count from 1, rates are rates, targets are several names."""
    with pytest.raises(SpecError, match=next(iter(options))):
        lora(**options)
