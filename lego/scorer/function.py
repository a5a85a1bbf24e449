"""A function in a script as a scorer."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np

from lego.errors import DataError, Problem, SpecError
from lego.scorer.base import Baseline, Fitted
from lego.spec import field_names, operator

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lego.data.store import Impressions, Store

_SHOWN = 5


def scorer(function: Callable[..., Any]) -> type[Baseline]:
    """Makes a scorer of a function of prepared data and impressions, to be run, measured and compared as a model is.

    The function returns one finite number for each of `impressions.candidates.values`; what it learns, it learns from
    `data.part("train")`. Its keyword-only arguments are the options of the scorer. It must be defined with `def` at the top of a
    script or a module, so that a run can name it.

        @scorer
        def shortest(data, impressions, *, power: float = 1.0):
            lengths = np.array([0, *map(len, data.items["title"].to_pylist())])
            return -(lengths[impressions.candidates.values] ** power)

        experiment = Experiment(data=…, model=shortest(power=2))
    """
    parameters = list(inspect.signature(function).parameters.values())
    plain = [each for each in parameters if each.kind is each.POSITIONAL_OR_KEYWORD]
    options = [each for each in parameters if each.kind is each.KEYWORD_ONLY]
    if len(plain) != 2 or len(plain) + len(options) != len(parameters) or function.__name__ == "<lambda>":
        what = f"{function.__name__}{inspect.signature(function)}"
        raise SpecError(
            f"@scorer: {what} is no function of data and impressions. Write `def name(data, impressions, *, option=…):`."
        )

    def fitted(self: Any) -> Fitted:
        """A fresh scorer."""
        given = {name: getattr(self, name) for name in field_names(type(self))}
        return _Function(function, given)

    namespace: dict[str, Any] = {
        "__module__": function.__module__,
        "__qualname__": function.__qualname__,
        "__doc__": function.__doc__,
        "__annotations__": {each.name: _annotation(each) for each in options},
        "fitted": fitted,
        **{
            each.name: attrs.field() if each.default is each.empty else attrs.field(default=each.default)
            for each in options
        },
    }
    made: type[Baseline] = operator(type(function.__name__, (Baseline,), namespace))
    return made


def _annotation(parameter: inspect.Parameter) -> Any:
    return Any if parameter.annotation is parameter.empty else parameter.annotation


class _Function:
    def __init__(self, function: Callable[..., Any], options: dict[str, Any]) -> None:
        self.function = function
        self.options = options
        self.data: Store | None = None

    def fit(self, data: Store) -> None:
        """Keeps the data, which the function is given."""
        self.data = data

    def score(self, impressions: Impressions) -> NDArray[np.float32]:
        """What the function returns. DataError where that is not one finite number for each candidate."""
        given = self.function(self.data, impressions, **self.options)
        name, wanted = f"{self.function.__name__}(…)", len(impressions.candidates.values)
        fix = "return one finite number for each of impressions.candidates.values"
        try:
            scores = np.asarray(given, np.float32)
        except (TypeError, ValueError):
            what = f"returned {type(given).__name__}, not numbers"
            raise DataError([Problem(name, what, fix)]) from None
        if scores.shape != (wanted,):
            what = f"returned the shape {scores.shape} for {wanted} candidates"
            raise DataError([Problem(name, what, fix)])
        bad = np.flatnonzero(~np.isfinite(scores))
        if len(bad):
            shown = ", ".join(f"candidate {at}: {scores[at]}" for at in bad[:_SHOWN])
            what = f"returned {len(bad)} of {wanted} scores that are not finite ({shown})"
            raise DataError([Problem(name, what, fix)])
        return scores
