from __future__ import annotations

import pytest

from lego import Dot, Experiment, ItemID, Matching, Mean, MovieLens, Recommender, Training


@pytest.fixture(scope="session")
def small(movies):
    """An experiment that runs in a fraction of a second: `small(content=…, seed=3)`."""

    def make(*, content=None, behavior=None, predictor=None, task=None, width=8, data=None, **training):
        options = {"epochs": 2, "batch_size": 32, "lr": 0.01, **training}
        return Experiment(
            data=data or MovieLens(movies, negatives=5, history=6),
            model=Recommender(
                content=content or ItemID(),
                behavior=behavior or Mean(),
                predictor=predictor or Dot(),
                width=width,
            ),
            task=task or Matching(),
            training=Training(**options),
        )

    return make
