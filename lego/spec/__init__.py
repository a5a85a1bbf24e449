"""Specs: what an experiment says, as frozen values. They compare, hash, print as the code that made them, and hold no tensor.

A spec class is written with `@operator`, below one of the slots, and has one bridge to torch: `build(context)`. Of the files here
each leans on those before it alone: `values`, `rules`, `declare`, `base`, `context`, `slots`.
"""

from lego.spec.base import Spec, choices
from lego.spec.context import Context
from lego.spec.declare import field_names, operator, positional_names, signature, without_later
from lego.spec.rules import PATH, PATH_IF_THERE, between, ge, gt, one_of, within
from lego.spec.slots import (
    Behavior,
    Checkpoint,
    Content,
    Encoder,
    Generator,
    Metric,
    Pool,
    Predictor,
    Rerank,
    Scorer,
    Sequence,
    Source,
    Task,
    Tokens,
    Tracker,
)
from lego.spec.values import Choice, FrozenMap, any_of, cases

__all__ = [
    "PATH",
    "PATH_IF_THERE",
    "Behavior",
    "Checkpoint",
    "Choice",
    "Content",
    "Context",
    "Encoder",
    "FrozenMap",
    "Generator",
    "Metric",
    "Pool",
    "Predictor",
    "Rerank",
    "Scorer",
    "Sequence",
    "Source",
    "Spec",
    "Task",
    "Tokens",
    "Tracker",
    "any_of",
    "between",
    "cases",
    "choices",
    "field_names",
    "ge",
    "gt",
    "one_of",
    "operator",
    "positional_names",
    "signature",
    "within",
    "without_later",
]
