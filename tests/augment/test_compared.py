from __future__ import annotations

import json

import numpy as np
import pytest

from lego import Augment, Experiment, Imagine, MovieLens, Popularity, Profile, Random, Replay
from lego.errors import RunError, SpecError
from lego.metric.gauc import GAUC
from lego.metric.ranking import Ranking
from lego.runtime.beyond import has_generated, slices
from lego.runtime.compare import compare
from lego.runtime.reading import scored


@pytest.fixture(scope="module")
def runs(make_movies, tmp_path_factory):
    """A baseline on movies, and another on the same with a movie for each user who has few, and profiles of some."""
    folder = tmp_path_factory.mktemp("invented")
    make_movies(folder / "movies", users=12, movies=40, topics=2, clicks=(4, 18))
    new = folder / "new.jsonl"
    new.write_text(
        "".join(json.dumps({"uid": f"{user}", "movie": f"New {user}"}) + "\n" for user in range(1, 13))
    )
    told = folder / "told.jsonl"
    told.write_text("".join(json.dumps({"uid": f"{user}", "topics": ["a"]}) + "\n" for user in (1, 2, 3)))
    data = MovieLens(str(folder / "movies"), minimum=3, negatives=5)
    more = Augment(
        data,
        movie=Imagine("{title}", cold=6, generator=Replay(str(new))),
        topics=Profile("{title}", generator=Replay(str(told))),
        generator=Replay(str(new)),
        missing="empty",
    )
    made = [(data, Random()), (more, Popularity())]
    return [Experiment(data=source, model=model).run(out=folder / "runs") for source, model in made]


def test_runs_on_augmented_data_are_compared_with_those_on_the_original(runs):
    """Impressions and candidates are the same, so they are paired; a note says that the data was added to."""
    found = compare([run.path for run in runs], resamples=99)
    assert found.tests[0].groups == runs[0].record["groups"]
    assert any("additions to the same data" in note for note in found.notes)


def test_users_with_new_items_are_reported_apart(runs):
    """By `--slices`, and of two runs by `--augmented`: GAUC by hand, of those impressions whose history holds a new item."""
    found = scored(runs[1].path)
    inside = has_generated(found.store, found.impressions)
    assert 0 < inside.sum() < len(inside)
    for row, held in enumerate(inside):
        past = found.store.users.history.values[found.impressions.start[row] : found.impressions.stop[row]]
        assert held == (past > found.store.real_items).any()
    each = np.repeat(inside, found.impressions.candidates.lengths)
    rows = found.rows
    expected = GAUC().measure(
        Ranking(found.scores[each], found.impressions.labels[each], rows.impression[each])
    )
    told = slices(found)["generated"]
    assert told["items"]["gauc"] == pytest.approx(expected)
    assert told["items"]["impressions"] == inside.sum()
    assert 0 < told["profile"]["impressions"] < len(inside)
    assert told["none"]["impressions"] < len(inside) - inside.sum()
    assert "generated" not in slices(scored(runs[0].path))
    both = compare([run.path for run in runs], metrics=["gauc"], resamples=99, augmented=True)
    assert both.models[1].mean == {"gauc": pytest.approx(expected)}
    assert both.groups == both.tests[0].groups == inside.sum()
    first, second = (model.mean["gauc"] for model in both.models)
    assert both.tests[0].difference == pytest.approx(first - second)
    with pytest.raises(SpecError, match="leave --augmented away"):
        compare([runs[0].path], augmented=True)


def test_data_that_differs_otherwise_is_refused(runs, make_movies, tmp_path):
    """What was added is no excuse for other impressions."""
    folder = make_movies(tmp_path / "movies", users=12, movies=40, topics=2, clicks=(4, 18), seed=1)
    other = Experiment(data=MovieLens(str(folder), minimum=3, negatives=5), model=Random()).run(out=tmp_path)
    with pytest.raises(RunError, match="its data fingerprint is"):
        compare([runs[1].path, other.path])
