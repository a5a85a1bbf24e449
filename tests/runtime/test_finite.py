"""A loss that is not finite is found, and no weight moves from there on; a device is asked seldom."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from lego import CNN, Attention, Dot, Matching, compile  # noqa: A004
from lego.contract import summed
from lego.runtime.finite import EVERY, FiniteLoss
from lego.runtime.fit import Batches, task_context
from lego.runtime.optimizer import make_optimizer


def test_a_processor_is_asked_at_once():
    """The very batch is told."""
    weight = nn.Parameter(torch.ones(2))
    finite = FiniteLoss(torch.optim.Adam([weight], fused=True), torch.device("cpu"))
    assert finite.at_once
    good, bad = torch.tensor(1.0), torch.tensor(float("nan"))
    assert finite.watch(good, {"loss": good}, 0) is None
    step, losses = finite.watch(bad, {"loss": bad}, 1)
    assert step == 1
    assert losses["loss"].isnan()


@pytest.mark.parametrize("at", [0, 3, EVERY - 1])
def test_a_device_is_asked_seldom_and_no_weight_moves_meanwhile(at):
    """From the first loss on that is not finite the weights stay as they were, though it is told batches later."""
    weight = nn.Parameter(torch.ones(2))
    optimizer = torch.optim.Adam([weight], lr=0.1, fused=True)
    finite = FiniteLoss(optimizer, torch.device("cpu"))
    finite.at_once = False
    told, kept = [], []
    for step in range(EVERY):
        loss = (weight.sum() ** 2) * (float("inf") if step == at else 1.0)
        told.append(finite.watch(loss, {"loss": loss}, step))
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        kept.append(weight.detach().clone())
    assert [each is None for each in told] == [True] * (EVERY - 1) + [False]
    assert told[-1][0] == at
    assert torch.isfinite(weight).all()
    before = kept[at - 1] if at else torch.ones(2)
    assert all(torch.equal(each, before) for each in kept[at:])
    assert at == 0 or not torch.equal(kept[0], torch.ones(2))


def test_a_sum_that_is_not_finite_is_told_though_its_parts_are():
    """Two losses near the largest number overflow together: the last batch is told, not nothing."""
    weight = nn.Parameter(torch.ones(1))
    finite = FiniteLoss(torch.optim.Adam([weight], fused=True), torch.device("cpu"))
    finite.at_once = False
    large = torch.tensor(3e38)
    assert finite.watch(large + large, {"loss": large, "other": large}, 4) is None
    step, _ = finite.look()
    assert step == 4


class Waits(TorchDispatchMode):
    """Notes what would make the host wait for a device: a number read, or a shape that depends on values."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        """Passes every operation on."""
        if function.overloadpacket in (
            torch.ops.aten._local_scalar_dense,
            torch.ops.aten.nonzero,
            torch.ops.aten.masked_select,
            torch.ops.aten._unique2,
            torch.ops.aten.is_nonzero,
        ):
            self.found.append(str(function))
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("content", [Attention(heads=2), CNN()])
def test_a_step_never_waits_for_the_device(small, content):
    """Forward, loss, backward, clipping and the optimiser read no number and make no shape that depends on one."""
    experiment = small(content=content, behavior=Attention(heads=2), predictor=Dot(), task=Matching())
    compiled = compile(experiment)
    pipeline = compiled.pipeline
    loss_of = experiment.task.build(task_context(compiled))
    optimizer = make_optimizer(pipeline, experiment.training)
    finite = FiniteLoss(optimizer, torch.device("cpu"))
    finite.at_once = False
    batch = Batches.of_epoch(compiled, 0).make(0)
    pipeline.train()
    with Waits() as waits:
        out = pipeline(batch)
        losses = summed({"loss": loss_of(out.tensor, batch.labels, batch.candidate_mask)}, out.losses)
        total = torch.stack(list(losses.values())).sum()
        assert finite.watch(total, losses, 0) is None
        total.backward()
        torch.nn.utils.clip_grad_norm_(pipeline.parameters(), 1.0)
        optimizer.step()
    assert waits.found == []
