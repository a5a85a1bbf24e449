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
    SequenceTests    Sequence, Pool       SourceTests       Source
    ContentTests     Content              TokensTests       Tokens
    BehaviorTests    Behavior             ScorerTests       Baseline
    PredictorTests   Predictor            RerankTests       Rerank
    TaskTests        Task                 GeneratorTests    Generator
    MetricTests      Metric               TrackerTests      Tracker
    CommandTests     a command            CheckpointTests   a packaged checkpoint

The last two test no spec: they take the `name` of an entry point. `Ranking` is what a metric measures. A `conftest.py` with
`from lego.testing import own_home` keeps what tests prepare apart from the user's data and caches.

`lego.testing.checkpoint` makes tiny language models, `lego.testing.chat_server` is a server for generators that ask one.

This is the only part of `lego` that imports pytest.
"""

from __future__ import annotations

import pytest

# Before they are imported, so that a failed assert in them shows its values.
pytest.register_assert_rewrite(
    "lego.testing.behavior",
    "lego.testing.command",
    "lego.testing.content",
    "lego.testing.generator",
    "lego.testing.metric",
    "lego.testing.needs",
    "lego.testing.packaged",
    "lego.testing.predictor",
    "lego.testing.rerank",
    "lego.testing.scorer",
    "lego.testing.sequence",
    "lego.testing.source",
    "lego.testing.suite",
    "lego.testing.task",
    "lego.testing.tokens",
    "lego.testing.tracker",
)

from lego.metric.ranking import Ranking  # noqa: E402 - see above
from lego.nn.random import seeded  # noqa: E402
from lego.testing.behavior import BehaviorTests  # noqa: E402
from lego.testing.command import CommandTests  # noqa: E402
from lego.testing.content import ContentTests  # noqa: E402
from lego.testing.generator import GeneratorTests  # noqa: E402
from lego.testing.home import own_home  # noqa: E402
from lego.testing.metric import MetricTests  # noqa: E402
from lego.testing.packaged import CheckpointTests  # noqa: E402
from lego.testing.predictor import PredictorTests  # noqa: E402
from lego.testing.rerank import RerankTests  # noqa: E402
from lego.testing.scorer import ScorerTests  # noqa: E402
from lego.testing.sequence import SequenceTests  # noqa: E402
from lego.testing.source import SourceTests  # noqa: E402
from lego.testing.task import TaskTests  # noqa: E402
from lego.testing.tokens import TokensTests  # noqa: E402
from lego.testing.tracker import TrackerTests  # noqa: E402

__all__ = [
    "BehaviorTests",
    "CheckpointTests",
    "CommandTests",
    "ContentTests",
    "GeneratorTests",
    "MetricTests",
    "PredictorTests",
    "Ranking",
    "RerankTests",
    "ScorerTests",
    "SequenceTests",
    "SourceTests",
    "TaskTests",
    "TokensTests",
    "TrackerTests",
    "own_home",
    "seeded",
]
