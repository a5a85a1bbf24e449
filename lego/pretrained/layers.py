"""How much of a language model learns, as values: `full()`, `frozen()`, `split(10)`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, Self

import attrs

from lego.errors import Problem
from lego.spec import Spec, operator


class Layers(Spec):
    """How much of a language model learns."""

    @property
    def caches(self) -> bool:
        """Whether a frozen lower part is there, whose hidden states are made once and kept."""
        raise NotImplementedError

    def first(self, count: int) -> int | None:
        """Of `count` layers, the first that learns; `count` where none does, None where everything does, embeddings included."""
        raise NotImplementedError

    def misfit(self, count: int, where: str) -> Problem | None:
        """What is wrong with it for a model of `count` layers."""
        return None


@operator
class Full(Layers):
    """Everything learns."""

    helper: ClassVar[str] = "full"

    @property
    def caches(self) -> bool:
        """Nothing is frozen."""
        return False

    def first(self, count: int) -> int | None:
        """None: the embeddings learn too."""
        return None


@operator
class Frozen(Layers):
    """Nothing learns; the final hidden states are made once and cached."""

    helper: ClassVar[str] = "frozen"

    @property
    def caches(self) -> bool:
        """All of it is frozen."""
        return True

    def first(self, count: int) -> int | None:
        """`count`: no layer learns."""
        return count


@operator
class Split(Layers):
    """The embeddings and the first `at` layers are frozen and their outputs cached; the layers above learn, with the final norm.

    A negative `at` counts from the top: `split(-2)` trains the last two layers. `split(0)` trains all layers, not the embeddings.
    """

    helper: ClassVar[str] = "split"

    at: int = attrs.field(kw_only=False)

    @property
    def caches(self) -> bool:
        """The lower layers are frozen, where there are any: looking embeddings up again costs less than keeping them."""
        return self.at != 0

    def first(self, count: int) -> int | None:
        """`at`, counted from below."""
        return self.at + count if self.at < 0 else self.at

    def misfit(self, count: int, where: str) -> Problem | None:
        """`at` must leave a layer above it, and exist."""
        if self.at == count:
            what = f"all {count} layers would be frozen and none would learn"
            return Problem(where, what, f"write frozen(), or leave layers to learn: split({count - 1})")
        if not -count <= self.at < count:
            what = f"the model has {count} layers, so {self.at} is not one of them"
            return Problem(
                where, what, f"choose from 0 to {count - 1}, or from -{count} to -1 to count from the top"
            )
        return None

    @classmethod
    def examples(cls) -> Iterable[Self]:
        """From the bottom and from the top."""
        return (cls(1), cls(-1))


def full() -> Full:
    """Everything learns, embeddings included."""
    return Full()


def frozen() -> Frozen:
    """Nothing learns; the final hidden states are made once and cached."""
    return Frozen()


def split(at: int) -> Split:
    """The embeddings and the first `at` layers are frozen and cached, the rest learns; negative numbers count from the top."""
    return Split(at)
