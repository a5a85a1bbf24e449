from __future__ import annotations

import pytest


@pytest.fixture
def raw(tmp_path):
    path = tmp_path / "raw.txt"
    path.write_text("A")
    return path


@pytest.fixture
def root(tmp_path):
    return tmp_path / "prepared"
