from __future__ import annotations

import attrs
import numpy as np
import pyarrow as pa
import pytest

from lego.data.impressions.log import Clicks
from lego.data.own import alike as module
from lego.data.own.alike import alike
from lego.data.raw import growing


def clicks(count, **signals):
    return Clicks(
        names=pa.array(["u"]),
        user=np.zeros(count, np.int32),
        item=np.ones(count, np.int32),
        click=np.ones(count, bool),
        time=np.zeros(count, np.int64),
        part=np.full(count, -1, np.int8),
        signals={name: np.full(count, value, np.float32) for name, value in signals.items()},
    )


def test_a_signal_that_every_file_has_costs_nothing(monkeypatch):
    """Missing values are made of no column that is there: the arrays are those that were given."""

    def no(*_, **__):
        raise AssertionError("missing values were made")

    logs = [clicks(3, rating=1.0, seconds=2.0), clicks(2, rating=3.0, seconds=4.0)]
    monkeypatch.setattr(module.np, "full", no)
    for made, log in zip(alike(logs), logs, strict=True):
        assert all(made.signals[name] is log.signals[name] for name in ("rating", "seconds"))


@pytest.mark.parametrize("held", [0, 1 << 22])
def test_a_signal_that_a_file_lacks_is_missing_in_it(held, monkeypatch, tmp_path):
    """On disk if it is long, as what is read is."""
    monkeypatch.setattr(growing, "HELD", held)
    with growing.growing_in(tmp_path):
        first, none, second = alike([clicks(3, rating=1.0), None, clicks(2, seconds=4.0)])
    assert none is None
    assert list(first.signals) == list(second.signals) == ["rating", "seconds"]
    assert first.signals["rating"].tolist() == [1.0, 1.0, 1.0]
    assert np.isnan(first.signals["seconds"]).tolist() == [True] * 3
    assert first.signals["seconds"].flags.owndata == (held > 0)
    assert attrs.evolve(second).signals["seconds"].tolist() == [4.0, 4.0]
