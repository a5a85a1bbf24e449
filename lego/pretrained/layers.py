"""How much of a language model learns, as values: `full()`, `frozen()`, `split(10)`, `lora()`, `split(10) | lora()`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, Self

import attrs

from lego.errors import Problem, SpecError
from lego.spec import Choice, Spec, between, ge, gt, operator


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

    @property
    def adapters(self) -> Lora | None:
        """What learns in place of the weights of the layers; None where these learn themselves."""
        return None

    def __or__(self, after: Lora | Choice) -> Layers:
        """`split(10) | lora()`: what learns above the frozen layers is adapters."""
        return Adapted(parts=(self, after))  # type: ignore[arg-type]  # a choice stands wherever its values may


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


@operator
class Lora(Layers):
    """All weights are frozen; beside some linear maps of each layer a product of two thin matrices learns.

    Hu et al. 2022, https://arxiv.org/abs/2106.09685:

        h = W x + (alpha / rank) B A dropout(x),  A drawn, B zero at first, W as it was

    `rank` is the inner size of the product, `alpha` its weight (2 · rank unless given), `dropout` a rate of its input. `targets`
    names the linear maps by the ends of their names in a layer (`q_proj`, `attention.output.dense`); those of queries and values
    unless given. Behind `split(n) |` only the layers above the split have adapters; the final norm stays frozen, too.
    """

    helper: ClassVar[str] = "lora"

    rank: int = attrs.field(default=8, validator=ge(1))
    alpha: float | None = attrs.field(default=None, validator=gt(0))
    dropout: float = attrs.field(default=0.0, validator=between(0, 1))
    targets: tuple[str, ...] | None = None

    @property
    def caches(self) -> bool:
        """Adapters in the lowest layer change the states of all layers."""
        return False

    @property
    def adapters(self) -> Lora:
        """Itself."""
        return self

    @property
    def scale(self) -> float:
        """alpha, whether given or not."""
        return 2.0 * self.rank if self.alpha is None else self.alpha

    def first(self, count: int) -> int | None:
        """0: the embeddings are frozen, every layer has adapters."""
        return 0

    @classmethod
    def examples(cls) -> Iterable[Self]:
        """As it is, and with options."""
        return (cls(), cls(rank=2, alpha=8, dropout=0.1))


@operator
class Adapted(Layers):
    """A split whose upper layers learn through adapters: what `split(10) | lora()` makes."""

    helper: ClassVar[str] = "adapted"
    infix: ClassVar[str] = "|"
    """How it is written."""

    parts: tuple[Layers, ...] = attrs.field(kw_only=False)

    def __attrs_post_init__(self) -> None:
        """A split before adapters, and nothing else."""
        fits = (Split, Lora)
        if isinstance(self.parts, Choice) or len(self.parts) != 2:
            raise SpecError(
                f"{self.parts!r}: adapters are written behind one split, as in split(10) | lora()."
            )
        for part, kind in zip(self.parts, fits, strict=True):
            for each in part.values if isinstance(part, Choice) else (part,):
                if not isinstance(each, kind):
                    raise SpecError(
                        f"{each!r} cannot stand {'before' if kind is Split else 'behind'} | in {self.parts[0]!r} | "
                        f"{self.parts[1]!r}. Write split(10) | lora(), or lora() alone for adapters in every layer."
                    )

    @property
    def caches(self) -> bool:
        """As the split."""
        return self.parts[0].caches

    @property
    def adapters(self) -> Lora | None:
        """Those of the upper layers."""
        return self.parts[1].adapters

    def first(self, count: int) -> int | None:
        """As the split."""
        return self.parts[0].first(count)

    def misfit(self, count: int, where: str) -> Problem | None:
        """As the split."""
        return self.parts[0].misfit(count, where)

    @classmethod
    def examples(cls) -> Iterable[Self]:
        """Adapters in the last layer."""
        return (cls((Split(-1), Lora(rank=2))),)


def full() -> Full:
    """Everything learns, embeddings included."""
    return Full()


def frozen() -> Frozen:
    """Nothing learns; the final hidden states are made once and cached."""
    return Frozen()


def split(at: int) -> Split:
    """The embeddings and the first `at` layers are frozen and cached, the rest learns; negative numbers count from the top."""
    return Split(at)


def lora(
    rank: int = 8, *, alpha: float | None = None, dropout: float = 0.0, targets: tuple[str, ...] | None = None
) -> Lora:
    """Adapters learn beside frozen weights: in every layer, or behind `split(n) |` in the layers above it."""
    return Lora(rank=rank, alpha=alpha, dropout=dropout, targets=targets)
