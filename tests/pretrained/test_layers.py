from __future__ import annotations

import pytest

from lego.errors import SpecError
from lego.expression import parse, write
from lego.pretrained.layers import Frozen, Full, Split, frozen, full, split


@pytest.mark.parametrize("value", [full(), frozen(), split(4), split(0), split(-2)])
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
