from __future__ import annotations

import pytest

from lego.testing.checkpoint import tiny_checkpoint


@pytest.fixture(scope="session")
def bert(tmp_path_factory):
    """The folder of a tiny BERT of three layers."""
    return tiny_checkpoint(tmp_path_factory.mktemp("bert"), "bert", layers=3)
