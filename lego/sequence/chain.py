"""Sequence operators one after the other: what `first >> second` makes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, ClassVar, Self

import attrs
from torch import Tensor, nn

from lego.contract import Form, Out, summed
from lego.errors import SpecError
from lego.sequence.attention import Attention
from lego.sequence.cnn import CNN
from lego.sequence.composite import Composite, is_aware, run
from lego.sequence.gru import GRU
from lego.spec import Behavior, Choice, Context, choices, operator


@operator
class Chain(Composite):
    """Every part reads the sequence that the part before gives; the chain gives what its last part gives.

    The first part reads the width of what feeds the chain, later parts the model's width. A chain inside a chain is
    taken apart, so that `(a >> b) >> c` equals `a >> (b >> c)`. In the behavior slot the last part may be any behavior
    operator: `Attention(pool=None) >> PolyAttention()`.
    """

    infix: ClassVar[str] = ">>"
    """How it is written."""

    parts: tuple[Behavior, ...] = attrs.field(kw_only=False)

    def __attrs_post_init__(self) -> None:
        """Takes inner chains apart and checks that every part but the last gives a sequence."""
        if isinstance(self.parts, Choice):
            for each in self.parts.values:
                Chain(each)
            return
        object.__setattr__(self, "parts", tuple(_flat(self.parts)))
        if len(self.parts) < 2:
            raise SpecError.wrong_value(
                "Chain", "parts", self.parts, "two or more operators, written first >> second"
            )
        for part in self.parts[:-1]:
            # A part that holds a choice is checked when the choice is made.
            if not any(choices(part)) and part.gives is not Form.SEQUENCE:
                raise SpecError(
                    f"{part!r} gives {part.gives.label}, but what stands before >> must give {Form.SEQUENCE.label}. "
                    "Write it with pool=None, or as the last part."
                )

    @property
    def gives(self) -> Form:
        """What the last part gives."""
        if isinstance(self.parts, Choice) or isinstance(self.parts[-1], Choice):
            raise SpecError.open_choice(repr(self))
        return self.parts[-1].gives

    @property
    def inner(self) -> tuple[Any, ...]:
        """The parts."""
        return () if isinstance(self.parts, Choice) else self.parts

    def build(self, context: Context) -> nn.Module:
        """The torch of it."""
        later = attrs.evolve(context, input_width=context.width)
        modules = [part.build(later if place else context) for place, part in enumerate(self.parts)]
        return _Chain(modules, [is_aware(part) for part in self.parts])

    @classmethod
    def examples(cls) -> Iterable[Self]:
        """Small instances."""
        return (
            cls((Attention(heads=2, pool=None), GRU(hidden=8))),
            cls((CNN(pool=None), Attention(heads=2, pool=None))),
        )


def _flat(parts: Iterable[Behavior]) -> Iterator[Behavior]:
    for part in parts:
        if isinstance(part, Chain):
            yield from part.parts
        else:
            yield part


class _Chain(nn.Module):
    def __init__(self, parts: list[nn.Module], aware: list[bool]) -> None:
        super().__init__()
        self.parts = nn.ModuleList(parts)
        self.aware = tuple(aware)

    def forward(self, sequence: Tensor, mask: Tensor, *rest: Any) -> Out:
        """sequence (B, S, W), mask (B, S), candidates where a part asks for them -> what the last part gives."""
        out = Out(sequence, mask)
        losses: dict[str, Tensor] = {}
        for part, aware in zip(self.parts, self.aware, strict=True):
            out = run(part, out.tensor, mask, rest, aware=aware)
            losses = summed(losses, out.losses)
        return attrs.evolve(out, losses=losses)
