from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lego.data.problems import LIMIT, Problems
from lego.errors import DataError, Problem


def raised(problems):
    with pytest.raises(DataError) as caught:
        problems.raise_any()
    return caught.value


def test_one_cause_in_many_lines_is_told_once():
    """With the number of lines and the first of them, by the line it stands in first, however late that was met."""
    problems = Problems()
    for line in (9, 4, 7, 5, 6, 8, 11, 10):
        problems.add(
            f"a.tsv line {line}, column time", f"a date is expected, {'x' * line!r} found", "correct it"
        )
    problems.add("a.tsv line 12, column user", "an id is expected, nothing found", "correct it")
    error = raised(problems)
    first, other = error.problems
    assert first.where == "a.tsv line 4, column time"
    assert first.what == "a date is expected, 'xxxx' found; 7 more like it, lines 5, 6, 7, 8, 9 …"
    assert other.where == "a.tsv line 12, column user"
    assert "9 problems" in str(error)


def test_few_problems_and_those_of_other_causes_are_told_one_by_one():
    """Up to three of a cause; what is expected tells causes with one way out apart, as do files and columns."""
    problems = Problems()
    for line in (1, 2, 3):
        problems.add(f"a.tsv line {line}", "5 columns are expected, 4 found", "compare the line")
        problems.add(f"a.tsv line {line}", f"a date is expected, '{line}' found", "compare the line")
        problems.add(f"b.tsv line {line}", "5 columns are expected, 4 found", "compare the line")
    assert [each.where for each in raised(problems).problems] == [
        *("a.tsv line 1", "a.tsv line 1", "a.tsv line 2", "a.tsv line 2", "a.tsv line 3", "a.tsv line 3"),
        *("b.tsv line 1", "b.tsv line 2", "b.tsv line 3"),
    ]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["f line {}", "f line {}, column a", "g row {}", "h"]),
            st.integers(1, 60),
            st.integers(0, 3),
        ),
        min_size=1,
        max_size=200,
    ),
    st.integers(0, 50),
)
def test_every_problem_is_counted_whatever_is_told(found, unworded):
    """Those that are told, those that they stand for, and the rest are all there are."""
    problems = Problems()
    for where, line, fix in found:
        problems.add(where.format(line), f"wrong {line}", f"fix {fix}")
    where, line, fix = found[0]
    problems.count_alike(Problem(where.format(line), f"wrong {line}", f"fix {fix}"), unworded)
    assert len(problems) == len(found) + unworded
    error = raised(problems)
    count = int(re.search(r"(\d+) problem", str(error))[1])
    assert count == len(problems)
    told = [re.search(r"; ([\d,]+) more like it", each.what) for each in error.problems]
    stand_for = sum(int(like[1].replace(",", "")) for like in told if like)
    more = re.search(r"and (\d+) more$", str(error))
    assert len(error.problems) + stand_for + (int(more[1]) if more else 0) == count
    assert len(error.problems) <= LIMIT


def test_causes_without_end_do_not_fill_the_memory():
    """Each file of a folder may be wrong in its own way: some are kept apart, all are counted."""
    problems = Problems()
    for number in range(5000):
        problems.add(f"file {number}.json", f"is no JSON: {number}", "download it again")
    assert len(problems.groups) == 1000
    error = raised(problems)
    assert "5000 problems" in str(error)
    assert "and 4980 more" in str(error)


def test_of_many_only_some_are_worded():
    """The others are counted with the first, unworded."""
    worded = []

    def word(place):
        worded.append(place)
        return Problem(f"a line {place + 1}", "is wrong", "correct it")

    problems = Problems()
    problems.add_each(1000, word)
    problems.add_each(0, word)
    assert worded == list(range(LIMIT))
    (only,) = raised(problems).problems
    assert only.what == "is wrong; 999 more like it, lines 2, 3, 4, 5, 6 …"


def test_other_words_change_no_count():
    """Lines behind those that are told, and causes behind those that are kept apart, are still counted."""
    problems = Problems()
    problems.add_each(45, lambda place: Problem(f"a.tsv line {place + 1}", "is wrong", "set columns={}"))
    for place in range(1200):
        problems.add(f"--columns n{place}=x", "there is none", "keep it")
    told = problems.reworded(lambda fix: fix.replace("columns={}", "--columns"))
    assert len(told) == len(problems) == 1245
    assert raised(told).problems[0].fix == "set --columns"
    assert raised(told).problems[0].what == raised(problems).problems[0].what
    assert "1245 problems" in str(raised(told))
