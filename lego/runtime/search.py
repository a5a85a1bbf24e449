"""A search among the combinations of an experiment: optuna's tree-structured Parzen estimator (Bergstra et al., 2011,
https://papers.nips.cc/paper/4443-algorithms-for-hyper-parameter-optimization) asks for those that look promising.

What it asks for follows from its seed and from what it was told, in that order, so a search that is run again asks for the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from lego.errors import RunError
from lego.expansion import Combination, Expansion
from lego.experiment import Experiment

REPEATS = 20
"""How often it may ask for what is known already before one that is not is drawn."""


def require_optuna() -> Any:
    """The module, or a RunError that says how to get it."""
    try:
        import optuna
    except ImportError:
        raise RunError(
            "A search wants optuna, which is not installed: pip install 'legorec[search]'. "
            "Without it, --limit N runs a random sample of the combinations."
        ) from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


class Search:
    """Asks for combinations that were not asked for before, and learns from what it is told of them."""

    def __init__(self, expansion: Expansion, *, seed: int, budget: int, larger_is_better: bool) -> None:
        self.optuna = require_optuna()
        self.expansion = expansion
        self.budget = budget
        self.asked = 0
        """How many of the budget are spent."""
        self._trials: dict[Experiment, Any] = {}
        self._values: dict[Experiment | None, float | None] = {}
        self._order = shuffled(expansion.count, np.random.Generator(np.random.PCG64(seed)))
        # Several are asked for at once: the liar keeps it from asking for one combination again before it is told of it.
        sampler = self.optuna.samplers.TPESampler(
            seed=seed, n_startup_trials=max(4, min(10, budget // 3)), constant_liar=True
        )
        direction = "maximize" if larger_is_better else "minimize"
        self._study = self.optuna.create_study(direction=direction, sampler=sampler)

    def ask(self, valid: Callable[[Combination], bool]) -> Combination | None:
        """A valid combination that is new; None where the budget is spent, or where there is no other."""
        if self.asked >= self.budget:
            return None
        for _ in range(REPEATS):
            trial = self._study.ask()
            combination = self.expansion.chosen(
                lambda place, values, trial=trial: self._suggested(trial, place, values)  # type: ignore[misc]
            )
            known = combination.experiment in self._values
            if not known and self._judged(combination, valid):
                assert combination.experiment is not None
                self._trials[combination.experiment] = trial
                self.asked += 1
                return combination
            self._finish(trial, self._values.get(combination.experiment))
        for number in self._order:
            combination = self.expansion.at(number)
            if combination.experiment not in self._values and self._judged(combination, valid):
                self.asked += 1
                return combination
        return None

    def tell(self, combination: Combination, value: float | None) -> None:
        """How good it is on the dev part; None where the run failed."""
        assert combination.experiment is not None
        self._values[combination.experiment] = value
        trial = self._trials.pop(combination.experiment, None)
        if trial is not None:
            self._finish(trial, value)
        elif value is not None:
            spaces = {place: self._space(values) for place, values, _ in combination.positions}
            points = {place: _rank(values, at) for place, values, at in combination.positions}
            self._study.add_trial(
                self.optuna.trial.create_trial(params=points, distributions=spaces, value=value)
            )

    def _judged(self, combination: Combination, valid: Callable[[Combination], bool]) -> bool:
        self._values[combination.experiment] = None
        return valid(combination)

    def _finish(self, trial: Any, value: float | None) -> None:
        if value is None:
            self._study.tell(trial, state=self.optuna.trial.TrialState.FAIL)
        else:
            self._study.tell(trial, value)

    def _space(self, values: tuple[Any, ...]) -> Any:
        """Numbers have an order, which is told; other values are categories."""
        if _ordered(values):
            return self.optuna.distributions.IntDistribution(0, len(values) - 1)
        return self.optuna.distributions.CategoricalDistribution(tuple(range(len(values))))

    def _suggested(self, trial: Any, place: str, values: tuple[Any, ...]) -> int:
        if not _ordered(values):
            return int(trial.suggest_categorical(place, tuple(range(len(values)))))
        return _in_order(values)[int(trial.suggest_int(place, 0, len(values) - 1))]


def _ordered(values: tuple[Any, ...]) -> bool:
    return all(isinstance(each, int | float) and not isinstance(each, bool) for each in values)


def _in_order(values: tuple[Any, ...]) -> list[int]:
    """Positions of numbers, the smallest first."""
    return sorted(range(len(values)), key=values.__getitem__)


def _rank(values: tuple[Any, ...], position: int) -> int:
    return _in_order(values).index(position) if _ordered(values) else position


def shuffled(count: int, generator: np.random.Generator) -> Iterator[int]:
    """The numbers below `count` in an order drawn from the generator, each when it is asked for (Fisher and Yates)."""
    moved: dict[int, int] = {}
    for last in range(count - 1, -1, -1):
        place = int(generator.integers(0, last + 1))
        number, end = moved.get(place, place), moved.pop(last, last)
        if place != last:
            moved[place] = end
        yield number
