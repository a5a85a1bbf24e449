"""Scores as probabilities of a click."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lego.metric.ranking import Ranking


def probabilities(ranking: Ranking) -> NDArray[np.float64]:
    """σ(score) of each row, in float64 and without overflow: the scores are read as logits."""
    scores = ranking.scores.astype(np.float64)
    small = np.exp(-np.abs(scores))
    return np.where(scores >= 0, 1.0, small) / (1.0 + small)
