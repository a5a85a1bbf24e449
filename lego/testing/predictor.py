"""What holds for everything that scores candidates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs
import pytest
import torch
from torch import nn

from lego.contract import Form, Need, Out
from lego.nn.random import seeded
from lego.spec import Context
from lego.testing.behavior import garbled
from lego.testing.needs import among, needs_for
from lego.testing.suite import GARBAGE, ModuleTests, assert_near, build, draw, prefix, taken

LENGTHS = (5, 3, 1, 0)
"""Of the histories of the four users in the inputs; the last one has none."""
CANDIDATES = 4
INTERESTS = 3


class PredictorTests(ModuleTests):
    """User and candidates → scores, with a user of every form that the spec takes."""

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """A test for each spec and each form it takes."""
        if "form" not in metafunc.fixturenames or not (self.specs or self.operator):
            super().pytest_generate_tests(metafunc)
            return
        pairs = [
            (spec, form)
            for spec in self.all_specs()
            for form in sorted(spec.takes, key=lambda each: each.value)
        ]
        # Exporting takes longer than all other tests together, so one example in one form has to do.
        if metafunc.function.__name__ == "test_it_exports":
            pairs = pairs[-1:]
        metafunc.parametrize(("spec", "form"), pairs, ids=[f"{spec!r}-{form.shape}" for spec, form in pairs])
        metafunc.parametrize("input_width", self.input_widths)

    @pytest.fixture
    def inputs(self, spec: Any, context: Context, form: Form) -> tuple[Any, ...]:
        """user in the form, candidates (B, C, D), candidate_mask (B, C), needs."""
        users = len(LENGTHS)
        axes = [users]
        axes += [CANDIDATES] if form & Form.PER_CANDIDATE else []
        axes += [INTERESTS] if form & Form.INTERESTS else []
        axes += [max(LENGTHS)] if form & Form.SEQUENCE else []
        mask = prefix(*LENGTHS) if form & Form.SEQUENCE else None
        if mask is not None and form & Form.PER_CANDIDATE:
            mask = mask.unsqueeze(1).expand(axes)
        user = Out(draw(*axes, context.width, seed=1), mask)
        shown = prefix(4, 3, 4, 1)
        needs = needs_for(spec, context, LENGTHS, shown)
        return user, draw(users, CANDIDATES, context.width, seed=2), shown, needs

    def test_scores_are_float32(self, module: nn.Module, inputs: tuple[Any, ...]) -> None:
        """(B, C) in float32, under autocast too: half precision would tie candidates."""
        for half in (False, True):
            with torch.autocast("cpu", torch.bfloat16, enabled=half):
                out = module(*inputs)
            scores = out.tensor if isinstance(out, Out) else out
            assert scores.shape == (len(LENGTHS), CANDIDATES)
            assert scores.dtype == torch.float32
            assert torch.isfinite(scores).all()

    def test_order_of_candidates_does_not_matter(
        self, module: nn.Module, inputs: tuple[Any, ...], form: Form
    ) -> None:
        """Candidates in another order get the same scores in that order."""
        user, candidates, candidate_mask, needs = inputs
        everywhere, order = torch.ones_like(candidate_mask), [2, 0, 3, 1]
        other = user
        if form & Form.PER_CANDIDATE:
            other = attrs.evolve(
                user, tensor=user.tensor[:, order], mask=None if user.mask is None else user.mask[:, order]
            )
        found = _scores(module(other, candidates[:, order], everywhere, among(needs, order)))
        assert_near(found, _scores(module(user, candidates, everywhere, needs))[:, order])

    def test_other_candidates_do_not_matter(self, module: nn.Module, inputs: tuple[Any, ...]) -> None:
        """A candidate's score does not depend on what stands beside it, a padded place least of all."""
        user, candidates, candidate_mask, needs = inputs
        everywhere = torch.ones_like(candidate_mask)
        other = candidates.clone()
        other[:, 1:] = draw(*other[:, 1:].shape, seed=8)
        found = _scores(module(user, other, everywhere, among(needs, [0, 2, 3, 1])))[:, 0]
        assert_near(found, _scores(module(user, candidates, everywhere, needs))[:, 0])
        padded = torch.where(
            candidate_mask.unsqueeze(-1), candidates, GARBAGE * draw(*candidates.shape, seed=7)
        )
        found = _scores(module(user, padded, candidate_mask, needs))
        assert torch.isfinite(found).all()
        assert_near(found[candidate_mask], _scores(module(*inputs))[candidate_mask])

    def test_padding_of_the_history_does_not_matter(self, module: nn.Module, inputs: tuple[Any, ...]) -> None:
        """What stands in a padded place of a user's sequence cannot reach a score."""
        user, *rest = inputs
        if user.mask is not None:
            other = attrs.evolve(user, tensor=garbled(user.tensor, user.mask))
            assert_near(_scores(module(other, *rest)), _scores(module(*inputs)))

    def test_padding_does_not_matter_in_training(
        self, spec: Any, context: Context, inputs: tuple[Any, ...]
    ) -> None:
        """Nor a padded place of either kind a statistic, a gradient or the score of a real candidate."""
        user, candidates, candidate_mask, needs = inputs
        found = []
        for fill in (0.0, GARBAGE):
            module = build(spec, context).train()
            padded = candidates.masked_fill(~candidate_mask.unsqueeze(-1), fill)
            sequence = (
                user.tensor if user.mask is None else user.tensor.masked_fill(~user.mask.unsqueeze(-1), fill)
            )
            with seeded(0):
                scores = _scores(module(Out(sequence, user.mask), padded, candidate_mask, needs))
            real = scores[candidate_mask]
            if real.requires_grad:
                torch.autograd.backward(real.square().sum())
            gradients = {
                name: value.grad for name, value in module.named_parameters() if value.grad is not None
            }
            found.append({"scores": real, **gradients, **dict(module.named_buffers())})
        for name, wanted in found[0].items():
            assert_near(found[1][name], wanted)

    def test_rows_do_not_mix(self, module: nn.Module, inputs: tuple[Any, ...]) -> None:
        """Each user alone gives what the batch gave: the batch size does not matter."""
        together = _scores(module(*inputs))
        for row in range(len(LENGTHS)):
            alone = _scores(module(*(taken(each, [row]) for each in inputs)))
            assert_near(alone[0], together[row])

    def test_one_candidate_is_enough(self, module: nn.Module, inputs: tuple[Any, ...], form: Form) -> None:
        """One candidate alone gets the score that it has among others."""
        user, candidates, candidate_mask, needs = inputs
        alone = user
        if form & Form.PER_CANDIDATE:
            alone = attrs.evolve(
                user, tensor=user.tensor[:, :1], mask=None if user.mask is None else user.mask[:, :1]
            )
        found = _scores(module(alone, candidates[:, :1], candidate_mask[:, :1], among(needs, [0])))
        assert_near(found, _scores(module(*inputs))[:, :1])

    def test_user_and_candidate_matter(self, module: nn.Module, inputs: tuple[Any, ...]) -> None:
        """Another candidate gets another score, and so does the candidate of another user."""
        user, candidates, candidate_mask, needs = inputs
        scores = _scores(module(*inputs))
        assert scores[0, 0] != scores[0, 1]
        found = _scores(
            module(attrs.evolve(user, tensor=2 * user.tensor + 1), candidates, candidate_mask, needs)
        )
        assert found[0, 0] != scores[0, 0]

    def test_attributes_matter(self, spec: Any, module: nn.Module, inputs: tuple[Any, ...]) -> None:
        """Where it asks for attributes, of items or of users, others give other scores."""
        *rest, needs = inputs
        changed = {
            Need.ATTRIBUTES: {"history": _others(needs.history), "candidates": _others(needs.candidates)},
            Need.PROFILE: {"profile": _others(needs.profile)},
            Need.IMPRESSION: {"impression": _others(needs.impression)},
            Need.CANDIDATE_SIGNALS: {
                "candidate_signals": {name: 100 * each + 7 for name, each in needs.candidate_signals.items()}
            },
        }
        for need in spec.needs & changed.keys():
            found = _scores(module(*rest, attrs.evolve(needs, **changed[need])))
            assert not torch.equal(found, _scores(module(*inputs))), f"{need.name} changes nothing"

    def test_data_without_attributes(self, spec: Any, context: Context, inputs: tuple[Any, ...]) -> None:
        """Where it asks for all attributes there are, it works on data that has none."""
        if spec.item_attributes or spec.user_attributes:
            return
        bare = attrs.evolve(context, item_vocabularies={}, user_vocabularies={}, impression_vocabularies={})
        *rest, needs = inputs
        found = _scores(
            build(spec, bare).eval()(
                *rest, attrs.evolve(needs, history={}, candidates={}, profile={}, impression={})
            )
        )
        assert torch.isfinite(found).all()


def _others(codes: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Other values where there are values."""
    return {name: torch.where(each > 1, 1, 2).masked_fill(each == 0, 0) for name, each in codes.items()}


def _scores(out: Any) -> torch.Tensor:
    return out.tensor if isinstance(out, Out) else out
