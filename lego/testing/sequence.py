"""What holds for everything that fits the content slot and the behavior slot alike."""

from __future__ import annotations

from typing import Any, ClassVar

from torch import nn

from lego.contract import Form, Reads
from lego.spec import Behavior, Content
from lego.testing.behavior import BehaviorTests


class SequenceTests(BehaviorTests):
    """Token vectors or a history → one vector or a sequence, always of the model's width."""

    input_widths: ClassVar[tuple[int, ...]] = (6, 8)
    """As in the content slot, where token vectors may have another width, and as in the behavior slot."""

    def test_it_fits_both_slots(self, spec: Any) -> None:
        """It reads vectors, needs nothing beyond them, and gives a vector or a sequence."""
        assert isinstance(spec, Content)
        assert isinstance(spec, Behavior)
        assert spec.reads is Reads.VECTORS
        assert spec.gives in (Form.VECTOR, Form.SEQUENCE)
        assert not spec.needs

    def test_padded_places_are_zero(self, spec: Any, module: nn.Module, inputs: tuple[Any, ...]) -> None:
        """A sequence that is given holds zeros at padded places, so that what comes next need not care."""
        if spec.gives is Form.SEQUENCE:
            out = module(*inputs)
            assert not out.tensor[~out.mask].any()
