"""Several operators side by side over one input: what `Sum`, `Concat` and `Gate` share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import attrs
from torch import Tensor, nn

from lego.contract import Form, Needs, Out, Reads, summed
from lego.errors import SpecError
from lego.nn.masked import zero_padding
from lego.sequence.composite import Composite, is_aware, run
from lego.spec import Behavior, Choice, Content, Context, choices, field_names


class Combinator(Composite):
    """Every part reads the same; what they give is made one.

    In the behavior slot a part may be any behavior operator, in the content slot any content operator: where they are fed in
    different ways (`Sum(ItemID(), BERT())`) the compiler feeds each in its own. All parts give one form; beside a part that
    makes a user for each candidate, the others' users are repeated for each. Losses of the parts are added.
    """

    variadic: ClassVar[bool] = True

    parts: tuple[Content | Behavior, ...]

    def __attrs_post_init__(self) -> None:
        """Two parts at least, all of one form; parts that hold a choice are checked when the choice is made."""
        name = type(self).__name__
        if isinstance(self.parts, Choice):
            for each in self.parts.values:
                type(self)(**{**{n: getattr(self, n) for n in field_names(type(self))}, "parts": each})
            return
        if len(self.parts) < 2:
            raise SpecError.wrong_value(
                name, "parts", self.parts, f"two or more operators, written {name}(first, second)"
            )
        known = [part for part in self.parts if not any(choices(part))]
        for part in known[1:]:
            if _alike(part) is not _alike(known[0]):
                raise SpecError(
                    f"{name}: {known[0]!r} gives {_form(known[0]).label} and {part!r} gives {_form(part).label}, "
                    "but all parts must give one form. Change pool= of one of them, or leave it out."
                )

    @property
    def inner(self) -> tuple[Any, ...]:
        """The parts."""
        return () if isinstance(self.parts, Choice) else self.parts

    @property
    def gives(self) -> Form:
        """What its parts give, per candidate where one of them does."""
        if isinstance(self.parts, Choice) or any(isinstance(part, Choice) for part in self.parts):
            raise SpecError.open_choice(repr(self))
        together = Form.VECTOR
        for part in self.parts:
            together |= _form(part)
        return together

    @property
    def reads(self) -> Reads:
        """Token vectors where all parts read these; else what the parts give, each fed in its own way."""
        alike = all(not isinstance(part, Content) or part.reads is Reads.VECTORS for part in self.inner)
        return Reads.VECTORS if alike else Reads.PARTS

    @property
    def content_parts(self) -> Mapping[str, Content]:
        """The parts by number, where they are fed in different ways."""
        if self.reads is Reads.VECTORS:
            return {}
        return {str(number): part for number, part in enumerate(self.inner, 1)}

    def build(self, context: Context) -> nn.Module:
        """The torch of it."""
        return self.combined(context, **self.modules(context))

    def build_combiner(self, context: Context) -> nn.Module:
        """The torch of it over what the parts give: (N, K, D), mask (N, K) -> (N, D)."""
        count = len(self.inner)
        nothing: dict[str, Any] = {
            "parts": [nn.Identity() for _ in range(count)],
            "aware": [False] * count,
            "repeated": [False] * count,
        }
        return _OverParts(self.combined(context, **nothing))

    def combined(self, context: Context, **parts: Any) -> Combined:
        """The torch of it, around modules of the parts."""
        raise NotImplementedError

    def modules(self, context: Context) -> dict[str, Any]:
        """The modules of the parts, and how each is called: the arguments of a `Combined`."""
        per_candidate = bool(self.gives & Form.PER_CANDIDATE)
        return {
            "parts": [part.build(context) for part in self.parts],
            "aware": [is_aware(part) for part in self.parts],
            "repeated": [per_candidate and not _form(part) & Form.PER_CANDIDATE for part in self.parts],
        }


def _form(part: Any) -> Form:
    form: Form = part.gives if isinstance(part, Behavior) else part.item_form
    return form


def _alike(part: Any) -> Form:
    """The form but for the candidates' axis, which can be had by repeating."""
    return _form(part) & ~Form.PER_CANDIDATE


class Combined(nn.Module):
    """Runs the parts and combines what they give; a subclass says how in `combine`."""

    def __init__(self, parts: list[nn.Module], aware: list[bool], repeated: list[bool]) -> None:
        super().__init__()
        self.parts = nn.ModuleList(parts)
        self.aware = tuple(aware)
        self.repeated = tuple(repeated)

    def combine(self, vectors: list[Tensor]) -> Tensor:
        """One (..., D) of each part -> (..., D)."""
        raise NotImplementedError

    def forward(self, sequence: Tensor, mask: Tensor, *rest: Any) -> Out:
        """sequence (B, S, W), mask (B, S), with candidates where a part asks for them -> the form of the parts, D wide."""
        outs = [
            run(part, sequence, mask, rest, aware=aware)
            for part, aware in zip(self.parts, self.aware, strict=True)
        ]
        outs = [
            _repeated(out, rest[0].size(1)) if repeated else out
            for out, repeated in zip(outs, self.repeated, strict=True)
        ]
        found = self.combine([out.tensor for out in outs])
        real = outs[0].mask
        losses = summed(*(out.losses for out in outs))
        return Out(found if real is None else zero_padding(found, real), real, losses)


class _OverParts(nn.Module):
    """What the parts gave elsewhere, combined; a part that had nothing to read counts as zeros."""

    def __init__(self, combined: Combined) -> None:
        super().__init__()
        self.combined = combined

    def forward(self, views: Tensor, mask: Tensor, needs: Needs) -> Out:
        """views (N, K, D), mask (N, K) -> (N, D)."""
        return Out(self.combined.combine(list(zero_padding(views, mask).unbind(1))))


def _repeated(out: Out, count: int) -> Out:
    """(B, ..., D) -> (B, C, ..., D), the same for every candidate."""
    tensor, mask = (
        None if each is None else each.unsqueeze(1).expand(-1, count, *each.shape[1:])
        for each in (out.tensor, out.mask)
    )
    assert tensor is not None
    return attrs.evolve(out, tensor=tensor, mask=mask)
