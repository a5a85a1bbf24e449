from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lego import catalog

ROOT = Path(__file__).resolve().parents[1]


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
