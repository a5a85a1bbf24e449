"""What holds for everything that makes a vector out of an item."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn

from lego.contract import Form, Needs, Out, Reads
from lego.spec import Context
from lego.testing.suite import ModuleTests, assert_near, backward, build, draw, prefix, taken, tensor

LENGTHS = (5, 3, 1, 0)
"""Of the texts of the four items in the inputs; the last one has none."""


class ContentTests(ModuleTests):
    """What an item says → its vector. Tokens are ids, vectors or item rows, as the spec's `reads` declares."""

    vocabulary: ClassVar[int] = 20
    """Token ids in the inputs are below this."""

    @pytest.fixture
    def inputs(self, spec: Any, context: Context) -> tuple[Any, ...]:
        """tokens (N, L), (N, L, W) or (N, 1), mask (N, L) or (N, 1), needs."""
        if spec.reads is Reads.ROWS:
            rows = torch.tensor([[1], [2], [context.items - 1], [3]])
            return rows, torch.ones_like(rows, dtype=torch.bool), Needs()
        if spec.reads is Reads.NUMBERS:
            mask = torch.tensor([[True], [True], [True], [False]])
            return torch.tensor([[0.5], [2.5], [1.0], [0.0]]), mask, Needs()
        mask = prefix(*LENGTHS)
        return self.tokens(spec, context, mask, seed=1), mask, Needs()

    def tokens(self, spec: Any, context: Context, mask: Tensor, seed: int) -> Tensor:
        """mask (N, L) -> ids (N, L) or vectors (N, L, W), drawn; also what is written into padded places."""
        if spec.reads is Reads.NUMBERS:
            return draw(*mask.shape, seed=seed)
        if spec.reads is Reads.VECTORS:
            return draw(*mask.shape, context.input_width, seed=seed)
        generator = torch.Generator().manual_seed(seed)
        return torch.randint(1, self.vocabulary, mask.shape, generator=generator)

    def test_the_declared_form(self, spec: Any, module: nn.Module, inputs: tuple[Any, ...]) -> None:
        """An item is one vector of the model's width, or several."""
        out = module(*inputs)
        assert isinstance(out, Out)
        assert out.tensor.ndim == (2 if spec.item_form is Form.VECTOR else 3)
        assert (out.tensor.size(0), out.tensor.size(-1)) == (len(LENGTHS), self.width)

    def test_padding_does_not_matter(
        self, spec: Any, context: Context, module: nn.Module, inputs: tuple[Any, ...]
    ) -> None:
        """What stands in a padded place cannot reach the item."""
        tokens, mask, needs = inputs
        mask = mask.clone()
        mask[-1] = False
        other = (
            torch.full_like(tokens, 2)
            if spec.reads is Reads.ROWS
            else self.tokens(spec, context, mask, seed=5)
        )
        garbled = torch.where(mask if tokens.ndim == 2 else mask.unsqueeze(-1), tokens, other)
        assert_near(tensor(module(garbled, mask, needs)), tensor(module(tokens, mask, needs)))

    def test_more_padding_does_not_matter(
        self, spec: Any, module: nn.Module, inputs: tuple[Any, ...]
    ) -> None:
        """Texts padded further give the same items."""
        if spec.reads in (Reads.ROWS, Reads.NUMBERS):
            return
        tokens, mask, needs = inputs
        more = torch.cat([tokens, tokens[:, :2]], 1), torch.cat([mask, torch.zeros_like(mask[:, :2])], 1)
        assert_near(tensor(module(*more, needs)), tensor(module(*inputs)))

    def test_an_empty_item_is_finite(self, spec: Any, context: Context, inputs: tuple[Any, ...]) -> None:
        """Items that say nothing, alone in a call, give finite vectors and finite gradients."""
        tokens, mask, needs = inputs
        module = build(spec, context).train()
        empty = (tokens, torch.zeros_like(mask), needs)
        assert torch.isfinite(module(*empty).tensor).all()
        backward(module, empty)
        assert all(torch.isfinite(each.grad).all() for each in module.parameters() if each.grad is not None)

    def test_items_do_not_mix(self, module: nn.Module, inputs: tuple[Any, ...]) -> None:
        """Each item alone gives what the call with all of them gave."""
        together = tensor(module(*inputs))
        for row in range(len(LENGTHS)):
            assert_near(tensor(module(*(taken(each, [row]) for each in inputs)))[0], together[row])

    def test_items_differ(self, module: nn.Module, inputs: tuple[Any, ...]) -> None:
        """Items that say different things have different vectors."""
        found = tensor(module(*inputs))
        assert not torch.equal(found[0], found[1])
