"""What is known of a published model beside the function that makes it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, Literal, ParamSpec, cast

import attrs

from lego import expression
from lego.errors import SpecError
from lego.recommender import Recommender
from lego.spec import Choice, Task, any_of, cases

Setting = Literal["paper", "table2"]
"""`paper`: the numbers of the model's own paper; `table2`: the same numbers for every model."""

WIDTH, HEADS, HIDDEN, DROPOUT = 256, 8, 256, 0.1
"""What `setting="table2"` means: the width of items and users, attention heads, width of additive attention, dropout.

The paper (Liu et al. 2025, https://arxiv.org/abs/2412.15973) does not print them; they are the defaults of its code.
"""

PERCEPTRON = (1000, 1000, 1000)
"""The hidden widths of every perceptron with `setting="table2"`, as in the configurations of the same code."""

P = ParamSpec("P")

_DECIDING = ("setting", "texts", "categories", "text")
"""Arguments that decide which operators a model has. A choice among their values is a choice among models."""

_ENTRIES: dict[str, Entry] = {}


@attrs.frozen(kw_only=True)
class Entry:
    """A published model."""

    name: str
    """`nrms`, in expressions `zoo.nrms()`."""
    function: Callable[..., Recommender]
    paper: str
    """Authors and year."""
    url: str
    task: Task
    """What it was published with or, where no task of lego is that, the nearest."""
    reads: str
    """What it needs of the data, in words."""
    words: tuple[str, ...] = ()
    """Words of the language that it is written with and that not every version of lego has."""
    arguments: Mapping[str, Any] = attrs.field(factory=dict)
    """Arguments that have no default, as an example has them."""

    @property
    def missing(self) -> str | None:
        """Why this version of lego cannot make it, in a sentence; None where it can."""
        lacking = [word for word in self.words if word not in expression.words()]
        if not lacking:
            return None
        return f"zoo.{self.name} is written with {' and '.join(lacking)}(…), which this version of lego does not have."

    def model(self, **options: Any) -> Recommender:
        """The model, with the arguments of the example unless others are given."""
        return self.function(**{**self.arguments, **options})


def published(
    *, paper: str, url: str, task: Task, reads: str, words: tuple[str, ...] = (), **arguments: Any
) -> Callable[[Callable[P, Recommender]], Callable[P, Recommender]]:
    """Lists the function below it. `arguments` are those that an example of it needs."""

    def listed(function: Callable[P, Recommender]) -> Callable[P, Recommender]:
        @wraps(function)
        def made(*args: P.args, **kwargs: P.kwargs) -> Recommender:
            why = entry.missing
            if why is not None:
                raise SpecError(why)
            for name in _DECIDING:
                value = kwargs.get(name)
                if isinstance(value, Choice):
                    every: Any = [entry.function(*args, **{**kwargs, name: each}) for each in value.values]
                    return cast("Recommender", (cases if value.tied else any_of)(*every))
            setting = kwargs.get("setting", "paper")
            if setting not in ("paper", "table2"):
                raise SpecError.wrong_value(f"zoo.{entry.name}", "setting", setting, "'paper' or 'table2'")
            return function(*args, **kwargs)

        entry = Entry(
            name=function.__name__,
            function=made,
            paper=paper,
            url=url,
            task=task,
            reads=reads,
            words=words,
            arguments=arguments,
        )
        _ENTRIES[entry.name] = entry
        return made

    return listed


def listed() -> Mapping[str, Entry]:
    """Every model, by name."""
    return _ENTRIES


def title(setting: Setting, reads: Mapping[str, int] | None) -> Mapping[str, int] | None:
    """What a model of titles reads unless told: 30 tokens of the title; in Table 2 all that the source has."""
    return {"title": 30} if reads is None and setting == "paper" else reads
