"""A home of their own for tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session", autouse=True)
def own_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Prepared data and caches of the tests stay apart from the user's: imported into a `conftest.py` it holds for all below."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LEGO_HOME", str(tmp_path_factory.mktemp("home")))
        yield
