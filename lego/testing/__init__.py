"""What every operator must keep to, as test classes to inherit: the built-in operators are tested by these, and so is yours.

    from lego.testing import SequenceTests

    class TestGRU(SequenceTests):
        operator = GRU

runs every test of the suite on each of `GRU.examples()`; `specs = [GRU(hidden=3), GRU(layers=2)]` names others. Tests of your own
stand below in the same class and may ask for the same fixtures:

    spec       each of the specs                            context    the `Context` that it is built with
    module     the built module, in evaluation              inputs     the arguments of a call of it

A fixture is changed by overriding it: an operator that needs prepared data overrides `context`, one whose spec needs a file
that a test writes overrides `spec` and leaves `operator` and `specs` out. Widths, lengths and counts are class attributes.

    suite            for                  suite             for
    SequenceTests    Sequence, Pool       PredictorTests    Predictor
    ContentTests     Content              TaskTests         Task
    BehaviorTests    Behavior             MetricTests       Metric

This is the only part of `lego` that imports pytest.
"""

from __future__ import annotations

import pytest

# Before they are imported, so that a failed assert in them shows its values.
pytest.register_assert_rewrite(
    "lego.testing.suite",
    "lego.testing.behavior",
    "lego.testing.content",
    "lego.testing.metric",
    "lego.testing.needs",
    "lego.testing.predictor",
    "lego.testing.sequence",
    "lego.testing.task",
)

from lego.nn.random import seeded  # noqa: E402 - see above
from lego.testing.behavior import BehaviorTests  # noqa: E402
from lego.testing.content import ContentTests  # noqa: E402
from lego.testing.metric import MetricTests  # noqa: E402
from lego.testing.predictor import PredictorTests  # noqa: E402
from lego.testing.sequence import SequenceTests  # noqa: E402
from lego.testing.task import TaskTests  # noqa: E402

__all__ = [
    "BehaviorTests",
    "ContentTests",
    "MetricTests",
    "PredictorTests",
    "SequenceTests",
    "TaskTests",
    "seeded",
]
