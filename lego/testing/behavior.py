"""What holds for everything that reads a history."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn

from lego.contract import Form, Need, Out
from lego.spec import Context
from lego.testing.needs import among, emptied, garbled_tokens, needs_for, other_item, widened
from lego.testing.suite import GARBAGE, ModuleTests, assert_near, backward, build, draw, prefix, taken, tensor

LENGTHS = (5, 3, 1, 0)
"""Of the histories of the four users in the inputs; the last one has none."""
CANDIDATES = 3


class BehaviorTests(ModuleTests):
    """History → user, in the form that the spec declares; with candidates where it declares that need."""

    reads_history: ClassVar[bool] = True
    """False for an operator that makes the user out of its needs alone."""

    @pytest.fixture
    def inputs(self, spec: Any, context: Context) -> tuple[Any, ...]:
        """history (B, S, W), mask (B, S), needs; or with candidates and their mask before the needs."""
        users, slots = len(LENGTHS), max(LENGTHS)
        sequence, mask = draw(users, slots, context.input_width, seed=1), prefix(*LENGTHS)
        if Need.CANDIDATES not in spec.needs:
            return sequence, mask, needs_for(spec, context, LENGTHS)
        shown = prefix(3, 3, 2, 3)
        needs = needs_for(spec, context, LENGTHS, shown)
        return sequence, mask, draw(users, CANDIDATES, self.width, seed=2), shown, needs

    def test_the_declared_form(self, spec: Any, module: nn.Module, inputs: tuple[Any, ...]) -> None:
        """The user has the axes that `gives` names, and a mask exactly where there is a sequence."""
        out = module(*inputs)
        assert isinstance(out, Out)
        axes: list[int | None] = [len(LENGTHS)]
        axes += [CANDIDATES] if spec.gives & Form.PER_CANDIDATE else []
        axes += [None] if spec.gives & Form.INTERESTS else []
        axes += [max(LENGTHS)] if spec.gives & Form.SEQUENCE else []
        axes += [self.width]
        assert out.tensor.ndim == len(axes), f"{tuple(out.tensor.shape)} is no {spec.gives.label}"
        assert all(wanted in (None, size) for wanted, size in zip(axes, out.tensor.shape, strict=True))
        if spec.gives & Form.SEQUENCE:
            assert out.mask is not None
            assert torch.equal(out.mask, inputs[1])
        else:
            assert out.mask is None

    def test_padding_does_not_matter(self, module: nn.Module, inputs: tuple[Any, ...]) -> None:
        """What stands in a padded place, however large, cannot reach the user."""
        sequence, mask, *rest = inputs
        empty = sequence.masked_fill(~mask.unsqueeze(-1), 0)
        found = tensor(module(garbled(sequence, mask), mask, *rest[:-1], garbled_tokens(rest[-1])))
        assert_near(found, tensor(module(empty, mask, *rest)))

    def test_padding_does_not_matter_in_training(
        self, spec: Any, context: Context, inputs: tuple[Any, ...]
    ) -> None:
        """Nor can it reach a gradient, a loss or a statistic."""
        sequence, mask, *rest, needs = inputs
        empty = sequence.masked_fill(~mask.unsqueeze(-1), 0)
        found = []
        for each, asked in ((empty, needs), (garbled(sequence, mask), garbled_tokens(needs))):
            module = build(spec, context).train()
            backward(module, (each, mask, *rest, asked))
            gradients = {
                name: value.grad for name, value in module.named_parameters() if value.grad is not None
            }
            found.append({**gradients, **dict(module.named_buffers())})
        for name, wanted in found[0].items():
            assert_near(found[1][name], wanted)

    def test_more_padding_does_not_matter(self, module: nn.Module, inputs: tuple[Any, ...]) -> None:
        """A batch padded further gives the same users."""
        sequence, mask, *rest, needs = inputs
        wanted = tensor(module(*inputs))
        more = torch.cat([sequence, sequence[:, :2]], 1), torch.cat([mask, torch.zeros_like(mask[:, :2])], 1)
        found = tensor(module(*more, *rest, widened(needs, 2)))
        if found.shape != wanted.shape:
            assert not found[:, mask.size(1) :].any(), "a padded place holds something"
            found = found[:, : mask.size(1)]
        assert_near(found, wanted)

    def test_an_empty_row_is_finite(self, spec: Any, context: Context, inputs: tuple[Any, ...]) -> None:
        """Users without history, alone in a batch, give finite users and finite gradients."""
        sequence, mask, *rest, needs = inputs
        module = build(spec, context).train()
        empty = (sequence.clone().requires_grad_(), torch.zeros_like(mask), *rest, emptied(needs))
        out = module(*empty)
        assert torch.isfinite(out.tensor).all()
        backward(module, empty)
        gradients = [empty[0].grad, *(value.grad for value in module.parameters())]
        assert all(torch.isfinite(each).all() for each in gradients if each is not None)

    def test_rows_do_not_mix(self, module: nn.Module, inputs: tuple[Any, ...]) -> None:
        """Each user alone gives what the batch gave: the batch size does not matter."""
        together = module(*inputs)
        for row in range(len(LENGTHS)):
            alone = module(*(taken(each, [row]) for each in inputs))
            assert_near(tensor(alone)[0], tensor(together)[row])

    def test_real_places_matter(self, module: nn.Module, inputs: tuple[Any, ...]) -> None:
        """Another last item gives another user, where the operator reads the history."""
        sequence, mask, *rest, needs = inputs
        other = sequence.clone()
        other[0, 4] = 3 * draw(sequence.size(-1), seed=3).abs()
        found = tensor(module(other, mask, *rest, other_item(needs, 0, 4)))
        same = torch.equal(found[0], tensor(module(*inputs))[0])
        assert same != self.reads_history

    def test_candidates_are_seen_one_by_one(
        self, spec: Any, module: nn.Module, inputs: tuple[Any, ...]
    ) -> None:
        """Where it needs candidates, another order of them gives the same users in that order."""
        if Need.CANDIDATES not in spec.needs:
            return
        history, mask, candidates, candidate_mask, needs = inputs
        order = [2, 0, 1]
        everywhere = torch.ones_like(candidate_mask)
        found = tensor(module(history, mask, candidates[:, order], everywhere, among(needs, order)))
        assert_near(found, tensor(module(history, mask, candidates, everywhere, needs))[:, order])


def garbled(sequence: Tensor, mask: Tensor) -> Tensor:
    """sequence (B, S, W), mask (B, S) -> the same with large numbers at padded places."""
    return torch.where(mask.unsqueeze(-1), sequence, GARBAGE * draw(*sequence.shape, seed=7))
