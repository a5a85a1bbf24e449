from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

from lego import catalog

ROOT = Path(__file__).resolve().parents[1]

settings.register_profile("untimed", deadline=None)  # a machine that others use is slow now and then
settings.load_profile("untimed")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real data sets beside the repository, where there are any."""
    named = os.environ.get("LEGO_SHARED_DATA")
    folder = Path(named) if named else ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}: name its folder in LEGO_SHARED_DATA")
    return folder


@pytest.fixture(scope="session", autouse=True)
def _own_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Prepared data and caches of the tests stay apart from the user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LEGO_HOME", str(tmp_path_factory.mktemp("home")))
        yield


@pytest.fixture(scope="session")
def movielens() -> Path:
    """The folder of MovieLens that the examples run on: real ratings, titles and genres."""
    return ROOT / "examples" / "data" / "ml-latest-small"


@pytest.fixture(autouse=True)
def _same_numbers_each_time() -> Iterator[None]:
    """What a test draws from torch's global generator follows from a seed, and moves nothing outside the test."""
    if "torch" not in sys.modules:  # tests of the listings go without it
        yield
        return
    from lego.nn.random import seeded

    with seeded(0):
        yield


@pytest.fixture
def distribution(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Path]]:
    """Makes distributions that look installed until the test ends.

    The first text is the name, the second the entry_points.txt; each keyword is the source of a module.
    """
    places = []

    def make(name: str, entry_points: str, version: str = "1.0", **modules: str) -> Path:
        folder = tmp_path / f"distribution-{name}"
        metadata = folder / f"{name}-{version}.dist-info"
        metadata.mkdir(parents=True)
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        (metadata / "entry_points.txt").write_text(entry_points, encoding="utf-8")
        for module, source in modules.items():
            (folder / f"{module}.py").write_text(source, encoding="utf-8")
        monkeypatch.syspath_prepend(str(folder))
        catalog.forget()
        places.append(str(folder))
        return folder

    yield make
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", None) or "").startswith(tuple(places) or "\0"):
            del sys.modules[name]
    catalog.forget()


@pytest.fixture(scope="session")
def make_movies() -> Callable[..., Path]:
    """Writes a folder in the format of MovieLens where taste has topics.

    The title of each movie is made of words of its topic, each user likes one or two topics, and most movies are clicked
    seldom, so that only the words tell. `shuffle=True` deals the titles out anew among the movies.
    """

    def make(
        folder: Path,
        *,
        users: int = 24,
        movies: int = 120,
        topics: int = 4,
        clicks: tuple[int, int] = (5, 14),
        words: int = 8,
        shuffle: bool = False,
        seed: int = 0,
    ) -> Path:
        generator = np.random.default_rng(seed)
        topic = np.arange(movies) % topics
        titles = [
            " ".join(
                f"w{place}x{word}"
                for word in generator.choice(words, size=int(generator.integers(2, 5)), replace=False)
            )
            for place in topic
        ]
        ratings = []
        for user in range(users):
            liked = generator.choice(topics, size=1 + user % 2, replace=False)
            pool = np.flatnonzero(np.isin(topic, liked))
            chosen = generator.choice(pool, size=int(generator.integers(*clicks)), replace=False)
            ratings += [f"{user + 1},{movie + 1},5.0,{1000 * user + at}" for at, movie in enumerate(chosen)]
        if shuffle:
            titles = [titles[place] for place in generator.permutation(movies)]
        folder.mkdir(parents=True, exist_ok=True)
        lines = [f"{row + 1},{title},(no genres listed)" for row, title in enumerate(titles)]
        (folder / "movies.csv").write_text("\n".join(["movieId,title,genres", *lines]) + "\n")
        (folder / "ratings.csv").write_text("\n".join(["userId,movieId,rating,timestamp", *ratings]) + "\n")
        return folder

    return make


@pytest.fixture(scope="session")
def movies(make_movies: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 24 users and 120 movies."""
    return make_movies(tmp_path_factory.mktemp("movies") / "movies")
