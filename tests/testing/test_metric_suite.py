from __future__ import annotations

from lego import catalog
from lego.testing import MetricTests


class TestMetrics(MetricTests):
    """Every metric that is listed."""

    specs = tuple(
        spec for entry in catalog.entries("metric") for spec in catalog.load_entry(entry).examples()
    )
