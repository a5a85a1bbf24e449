from __future__ import annotations

import errno
import json
import math
import os
import signal

import attrs
import numpy as np
import pytest
import torch
from safetensors import SafetensorError
from torch import nn

from lego import (
    DNN,
    Additive,
    Attention,
    ItemID,
    Matching,
    Mean,
    Pretrained,
    Ranking,
    Training,
    compile,  # noqa: A004
    full,
    split,
)
from lego.errors import CompositionError, DataError, RunError
from lego.runtime import checkpoint
from lego.runtime import fit as fit_module
from lego.runtime.checkpoint import load_weights
from lego.runtime.fit import Batches, Fit, Stopped
from lego.runtime.folder import Folder
from lego.runtime.optimizer import make_optimizer, rate_factor
from lego.runtime.progress import Screen
from lego.testing.checkpoint import tiny_checkpoint


class Caught(Exception):  # noqa: N818
    """Ends a fit where a test has seen enough."""


def fit(experiment, path, values=None):
    """A fit in a folder, whose dev part is said to measure the given values, epoch by epoch."""
    path.mkdir(exist_ok=True)
    given = iter(values) if values is not None else None
    monitor = experiment.training.monitor
    return Fit(
        compiled=compile(experiment),
        folder=Folder(path),
        screen=Screen(),
        measure=lambda: {monitor: 0.5 if given is None else next(given)},
    )


def logged(path):
    """The lines of the log."""
    return [json.loads(line) for line in (path / "log.jsonl").read_text().splitlines()]


def weights(made):
    return {name: value.clone() for name, value in made.compiled.pipeline.state_dict().items()}


def equal(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def first_gradients(experiment, path, monkeypatch, updates=1):
    """The gradients at the first steps of the optimiser, which then does nothing."""
    made = fit(experiment, path)
    found = []

    def update(self, optimizer, step, batches):
        pipeline = self.compiled.pipeline
        found.append({name: each.grad.clone() for name, each in pipeline.named_parameters()})
        optimizer.zero_grad(set_to_none=True)
        if len(found) == updates:
            raise Caught

    monkeypatch.setattr(Fit, "_update", update)
    with pytest.raises(Caught):
        made.run()
    return found


def test_accumulated_batches_have_the_gradient_of_one(small, tmp_path, monkeypatch):
    """Two batches of 32 together, or four of 16, are one of 64."""
    content = Attention(heads=2, dropout=0.0)
    found = [
        first_gradients(
            small(content=content, behavior=Additive(hidden=6), batch_size=size, accumulate=count),
            tmp_path / str(size),
            monkeypatch,
        )[0]
        for size, count in ((64, 1), (32, 2), (16, 4))
    ]
    assert any(float(grad.abs().max()) > 1e-4 for grad in found[0].values())
    for other in found[1:]:
        for name, grad in found[0].items():
            torch.testing.assert_close(other[name], grad, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("task", [Matching(), Ranking()], ids=["rows", "candidates"])
def test_accumulated_batches_of_unequal_weight_have_the_gradient_of_one(small, tmp_path, monkeypatch, task):
    """The last batch is small, and rows hold different numbers of candidates: what counts is the mean over all of them."""
    drawn = fit_module.draw

    def draw(*given):
        """Rows of two to six candidates."""
        rows = drawn(*given)
        there = np.arange(rows.items.shape[1]) < 2 + np.arange(len(rows))[:, None] % 5
        return attrs.evolve(rows, items=rows.items * there, labels=rows.labels * there)

    monkeypatch.setattr(fit_module, "draw", draw)
    options = {"behavior": Additive(hidden=6), "predictor": DNN(hidden=(6,), dropout=0.0), "task": task}
    count = len(Batches.of_epoch(compile(small(**options)), 0).rows)
    size = count // 3 - 1  # three batches, and a fourth of a few rows
    together = small(**options, batch_size=size, accumulate=4)
    batches = Batches.of_epoch(compile(together), 0)
    assert len(batches) == 4
    assert sum(batches.shares(number)[1] for number in range(4)) == pytest.approx(1.0)
    if task.mean_over == "candidates":
        assert batches.shares(0)[0] != batches.shares(0)[1]
    whole, apart = (
        first_gradients(experiment, tmp_path / name, monkeypatch)[0]
        for name, experiment in (("whole", small(**options, batch_size=count)), ("apart", together))
    )
    assert any(float(grad.abs().max()) > 1e-4 for grad in whole.values())
    for name, grad in whole.items():
        torch.testing.assert_close(apart[name], grad, rtol=1e-4, atol=1e-7)


def test_what_is_left_of_an_epoch_makes_a_step_of_its_own_size(small, tmp_path, monkeypatch):
    """Where the last batches of an epoch are fewer than `accumulate`, their mean is what counts, not a fraction of it."""
    once = small(batch_size=64, accumulate=1)
    count = len(Batches.of_epoch(compile(once), 0))
    alone = first_gradients(once, tmp_path / "once", monkeypatch, count)[-1]
    size = count - 1  # all but the last batch together, then the last alone
    grouped = first_gradients(small(batch_size=64, accumulate=size), tmp_path / "group", monkeypatch, 2)
    for name, grad in alone.items():
        torch.testing.assert_close(grouped[-1][name], grad, rtol=1e-5, atol=1e-8)


def test_steps_count_groups_of_batches(small):
    """The schedule counts steps of the optimiser, not batches."""
    batches = Batches.of_epoch(compile(small(batch_size=16, accumulate=4)), 0)
    assert batches.steps == math.ceil(len(batches) / 4) < len(batches)


def test_the_rate_warms_up_then_follows_the_schedule():
    """A tenth of the steps from near zero up to the full rate, then down to zero, or constant."""
    linear = Training(warmup=0.1, schedule="linear")
    factors = [rate_factor(linear, step, 100) for step in range(100)]
    assert factors[:10] == pytest.approx([(step + 1) / 11 for step in range(10)])
    assert factors[10] == 1.0
    assert factors[10:] == sorted(factors[10:], reverse=True)
    assert factors[55] == pytest.approx(0.5)
    assert 0 < factors[99] < 0.02
    cosine = Training(schedule="cosine")
    assert [rate_factor(cosine, step, 100) for step in (0, 50, 99)] == pytest.approx(
        [1.0, 0.5, 0.5 + 0.5 * math.cos(math.pi * 0.99)]
    )
    assert {rate_factor(Training(), step, 100) for step in range(100)} == {1.0}
    assert min(factors) > 0  # no step is wasted


def test_each_group_of_weights_has_its_rate(small, tmp_path):
    """`pretrained_lr` is that of the language model's own weights, and of no other; both follow the schedule."""
    bert = str(tiny_checkpoint(tmp_path / "bert", layers=3))
    for layers in (full(), split(1)):
        pipeline = compile(small(content=Pretrained(bert, layers=layers))).pipeline
        training = Training(lr=1e-2, pretrained_lr=1e-4)
        groups = {
            group["base_lr"]: group["params"] for group in make_optimizer(pipeline, training).param_groups
        }
        language = {id(each) for each in pipeline.content.language.parameters() if each.requires_grad}
        assert {id(each) for each in groups[1e-4]} == language
        assert language
        learning = {id(each) for each in pipeline.parameters() if each.requires_grad}
        assert {id(each) for each in groups[1e-2]} == learning - language


def test_the_schedule_reaches_the_optimiser(small, tmp_path, monkeypatch):
    """The rates of the steps are the base rate times the factors."""
    rates = []
    step = torch.optim.Adam.step
    monkeypatch.setattr(
        torch.optim.Adam, "step", lambda self: (rates.append(self.param_groups[0]["lr"]), step(self))[1]
    )
    experiment = small(epochs=2, batch_size=16, accumulate=2, warmup=0.2, schedule="linear")
    made = fit(experiment, tmp_path / "run")
    made.run()
    steps = Batches.of_epoch(made.compiled, 0).steps * 2
    assert rates == [0.01 * rate_factor(experiment.training, step, steps) for step in range(steps)]


def test_gradients_are_clipped_to_their_norm(small, tmp_path, monkeypatch):
    """`clip` bounds the norm over all weights together."""
    norms = []
    step = torch.optim.Adam.step

    def look(self):
        grads = [each.grad for group in self.param_groups for each in group["params"]]
        norms.append(float(torch.stack([grad.norm() for grad in grads]).norm()))
        return step(self)

    monkeypatch.setattr(torch.optim.Adam, "step", look)
    fit(small(epochs=1), tmp_path / "free").run()
    free, norms[:] = list(norms), []
    fit(small(epochs=1, clip=min(free) / 2), tmp_path / "clipped").run()
    assert norms == pytest.approx([min(free) / 2] * len(norms), rel=1e-3)


def test_the_best_epoch_is_kept(small, tmp_path):
    """The weights in the end are those of the epoch with the largest value, not the last."""
    made = fit(small(epochs=4, patience=9), tmp_path / "run", [0.5, 0.7, 0.6, 0.7])
    position = made.run()
    assert (position.best, position.best_epoch, position.epoch) == (0.7, 2, 4)
    two = fit(small(epochs=2), tmp_path / "two", [0.5, 0.7])
    two.run()
    assert equal(weights(made), weights(two))
    kept = compile(small()).pipeline
    load_weights(tmp_path / "run" / "checkpoint" / "model.safetensors", kept)
    assert equal(weights(made), dict(kept.state_dict()))


def test_a_loss_is_better_where_it_is_smaller(small, tmp_path):
    """`monitor="logloss"` keeps the smallest; a tie is no improvement."""
    made = fit(small(epochs=5, patience=9, monitor="logloss"), tmp_path / "run", [0.6, 0.4, 0.5, 0.4, 0.9])
    position = made.run()
    assert (position.best, position.best_epoch) == (0.4, 2)


def test_patience_ends_a_fit(small, tmp_path):
    """Two epochs without a better one are waited for, and no more; a tie does not count as better."""
    made = fit(small(epochs=9, patience=2), tmp_path / "run", [0.5, 0.6, 0.6, 0.5])
    position = made.run()
    assert (position.epoch, position.best_epoch, position.done) == (4, 2, True)


@pytest.mark.parametrize("monitor", ["gauc", "logloss"])
def test_not_a_number_is_never_better(small, tmp_path, monitor):
    """An epoch whose metric is NaN is never kept, first or later, whichever way is better."""
    made = fit(
        small(epochs=4, patience=9, monitor=monitor), tmp_path / "run", [math.nan, 0.5, math.nan, math.nan]
    )
    position = made.run()
    assert (position.best, position.best_epoch) == (0.5, 2)
    lines = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert [line[f"dev {monitor}"] for line in lines] == [None, 0.5, None, None]


def test_a_loss_that_is_not_finite_stops_the_fit_before_a_weight_moves(small, tmp_path, monkeypatch):
    """The batch is named, the weights stay as they were, and the checkpoint of the last epoch stays."""
    experiment = small(epochs=3, behavior=Mean(), content=ItemID())
    made = fit(experiment, tmp_path / "run")
    steps = len(Batches.of_epoch(made.compiled, 0))
    task = type(experiment.task.build(None))
    forward, calls, before = task.forward, [], {}

    def later_infinite(self, scores, labels, mask):
        calls.append(1)
        if len(calls) == steps + 2:
            before.update(weights(made))
            return forward(self, scores, labels, mask) * math.inf
        return forward(self, scores, labels, mask)

    monkeypatch.setattr(task, "forward", later_infinite)
    with pytest.raises(
        RunError, match=r"not finite in epoch 2, batch 2 \(loss inf; impressions \d+, "
    ) as error:
        made.run()
    assert "The checkpoint of epoch 1 is kept in" in str(error.value)
    assert equal(weights(made), before)
    kept = compile(experiment).pipeline
    load_weights(tmp_path / "run" / "checkpoint" / "model.safetensors", kept)
    assert all(value.isfinite().all() for value in kept.state_dict().values())


def test_a_loss_that_is_not_finite_at_once_promises_no_checkpoint(small, tmp_path):
    """Where nothing was kept, the sentence says so."""
    made = fit(small(lr=1e38, task=Ranking(), predictor=DNN(hidden=(6,))), tmp_path / "run")
    for parameter in made.compiled.pipeline.parameters():
        parameter.data.fill_(math.nan)
    with pytest.raises(RunError, match=r"epoch 1, batch 1 .*There is no checkpoint yet"):
        made.run()


def test_a_train_part_without_a_row_is_named(small, tmp_path, monkeypatch):
    """Nothing to train on is an error that says why."""
    made = fit(small(), tmp_path / "run")
    empty = made.compiled.store.part("train").take(np.zeros(0, np.int64))
    monkeypatch.setattr(type(made.compiled.store), "part", lambda self, name: empty)
    with pytest.raises(DataError, match="gives no training row"):
        made.run()


def test_chance_depends_on_seed_and_epoch_alone(small):
    """Each epoch draws other negatives in another order; asking again gives the same."""
    compiled = compile(small(task=Matching(source="uniform")))
    first, again, second = (Batches.of_epoch(compiled, epoch) for epoch in (0, 0, 1))
    assert (first.order == again.order).all()
    assert (first.rows.items == again.rows.items).all()
    assert (first.order != second.order).any()
    assert (first.rows.items != second.rows.items).any()
    other = Batches.of_epoch(compile(small(task=Matching(source="uniform"), seed=1)), 0)
    assert (first.rows.items != other.rows.items).any()


class _Interrupt:
    """Asks to stop, as Ctrl-C does, at a given step of the whole fit."""

    def __init__(self, monkeypatch, at):
        self.left = at
        step = Fit._step

        def interrupted(fitting, *given):
            self.left -= 1
            if self.left == 0:
                signal.raise_signal(signal.SIGINT)
            return step(fitting, *given)

        monkeypatch.setattr(Fit, "_step", interrupted)


@pytest.mark.parametrize(
    ("at", "tables"),
    [
        (1, "all"),
        (3, "touched"),
        ("last of the first epoch", "all"),
        ("first of the second", "all"),
        ("last", "touched"),
    ],
)
def test_a_stopped_fit_goes_on_to_the_same_weights(small, tmp_path, monkeypatch, at, tables):
    """Stopped after any step and resumed, a fit ends as if it had not been: weights, best epoch and optimiser."""
    experiment = small(
        content=Attention(heads=2, dropout=0.3),  # what is dropped must follow from seed, epoch and step
        epochs=3,
        batch_size=32,
        accumulate=2,
        warmup=0.3,
        clip=1.0,
        tables=tables,
        task=Matching(source="uniform"),
    )
    values = [0.5, 0.4, 0.6]
    whole = fit(experiment, tmp_path / "whole", values)
    expected = whole.run()
    steps = len(Batches.of_epoch(whole.compiled, 0))
    number = {"last of the first epoch": steps, "first of the second": steps + 1, "last": 3 * steps}.get(
        at, at
    )
    with monkeypatch.context() as patch:
        _Interrupt(patch, number)
        stopped = fit(experiment, tmp_path / "stopped", values)
        with pytest.raises(Stopped):
            stopped.run()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    done = stopped.position.epoch
    resumed = fit(experiment, tmp_path / "stopped", values[done:])
    position = resumed.run(resume=True)
    assert equal(weights(resumed), weights(whole))
    assert (position.best, position.best_epoch, position.epoch) == (expected.best, expected.best_epoch, 3)
    # What is told of an epoch is of all its batches, before and behind the stop.
    assert position.history == expected.history
    assert position.seconds > stopped.position.seconds > 0
    epochs = [
        [{key: value for key, value in line.items() if key != "seconds"} for line in logged(tmp_path / name)]
        for name in ("stopped", "whole")
    ]
    assert epochs[0] == epochs[1]


def test_a_second_interrupt_is_heard_at_once(small, tmp_path, monkeypatch):
    """Who presses Ctrl-C twice does not wait for the step."""
    step = Fit._step

    def twice(fitting, *given):
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        return step(fitting, *given)

    monkeypatch.setattr(Fit, "_step", twice)
    with pytest.raises(KeyboardInterrupt):
        fit(small(), tmp_path / "run").run()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_model_without_weights_that_learn_is_only_evaluated(small, tmp_path):
    """Training it is an error with the way out, and that way is open."""
    frozen = nn.Linear(2, 2).requires_grad_(False)
    with pytest.raises(RunError, match=r"training\.epochs=0"):
        make_optimizer(frozen, Training())
    made = fit(small(epochs=0), tmp_path / "run")
    made.compiled.pipeline.requires_grad_(False)
    before = weights(made)
    assert made.run().epoch == 0
    assert equal(weights(made), before)
    assert (tmp_path / "run" / "checkpoint" / "model.safetensors").exists()


def test_weights_decay_where_it_is_asked_for(small):
    """`weight_decay` is that of AdamW, apart from the gradient."""
    pipeline = compile(small()).pipeline
    made = make_optimizer(pipeline, Training(weight_decay=0.1))
    assert isinstance(made, torch.optim.AdamW)
    assert {group["weight_decay"] for group in made.param_groups} == {0.1}


def test_bf16_trains_and_scores_stay_float32(small, tmp_path):
    """Autocast rounds within the model; the loss is finite and the weights stay float32."""
    made = fit(small(content=Attention(heads=2), precision="bf16", epochs=1), tmp_path / "run")
    before = weights(made)
    made.run()
    after = weights(made)
    assert not equal(before, after)
    assert {value.dtype for value in after.values()} == {torch.float32}


def test_the_position_is_saved_within_an_epoch(small, tmp_path, monkeypatch):
    """A run that breaks off goes on from the last save, not from the beginning of the epoch, to the same end."""
    experiment = small(epochs=1, batch_size=16, accumulate=2)
    whole = fit(experiment, tmp_path / "whole", [0.5])
    whole.run()
    monkeypatch.setattr("lego.runtime.fit.SAVE_SECONDS", -1.0)
    step, begun = Fit._step, []

    def broken(fitting, *given):
        begun.append(fitting.position.step)
        if len(begun) == 6:
            raise Caught
        return step(fitting, *given)

    monkeypatch.setattr(Fit, "_step", broken)
    with pytest.raises(Caught):
        fit(experiment, tmp_path / "run", [0.5]).run()
    resumed = fit(experiment, tmp_path / "run", [0.5])
    position = resumed.run(resume=True)
    assert begun[6] == 4  # five were made, and a step of the optimiser takes two
    assert equal(weights(resumed), weights(whole))
    assert position.history == whole.position.history


@pytest.mark.parametrize(
    "how",
    [
        OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)),
        SafetensorError("I/O error: No space left on device (os error 28)"),
    ],
)
def test_a_full_disk_keeps_the_last_good_checkpoint(small, tmp_path, monkeypatch, how):
    """Where an epoch's weights cannot be written, the sentence says so and those of the epoch before stay."""
    made = fit(small(epochs=3), tmp_path / "run", [0.5, 0.6, 0.7])
    kept = tmp_path / "run" / "checkpoint" / "model.safetensors"
    save, writes = checkpoint.save_file, []

    def full_at_last(tensors, path):
        writes.append(kept.read_bytes() if kept.exists() else None)
        if len(writes) == 4:
            path.write_bytes(b"half")
            raise how
        save(tensors, path)

    monkeypatch.setattr(checkpoint, "save_file", full_at_last)
    with pytest.raises(RunError, match=r"model.safetensors cannot be written: .*No space left"):
        made.run()
    assert kept.read_bytes() == writes[-1]
    monkeypatch.setattr(checkpoint, "save_file", save)
    whole = fit(small(epochs=3), tmp_path / "whole", [0.5, 0.6, 0.7])
    whole.run()
    resumed = fit(small(epochs=3), tmp_path / "run", [0.6, 0.7])
    resumed.run(resume=True)
    assert equal(weights(resumed), weights(whole))


def test_checkpointing_trains_the_same_weights(small, tmp_path):
    """`checkpointing=True` reaches the language model, and changes nothing but memory; without one it is refused."""
    bert = str(tiny_checkpoint(tmp_path / "bert", layers=2))
    plain, again = (
        fit(small(content=Pretrained(bert, layers=split(1)), epochs=1, checkpointing=on), tmp_path / str(on))
        for on in (False, True)
    )
    plain.run()
    again.run()
    layers = [each for each in again.compiled.pipeline.modules() if hasattr(each, "run_once")]
    assert len(layers) == 1
    assert equal(weights(plain), weights(again))
    with pytest.raises(CompositionError, match=r"training.checkpointing: the model has no language model"):
        compile(small(content=ItemID(), checkpointing=True))


def test_patience_is_remembered_over_a_stop(small, tmp_path, monkeypatch):
    """What was waited before the stop counts behind it."""
    experiment = small(epochs=9, patience=2, batch_size=32)
    steps = len(Batches.of_epoch(compile(experiment), 0))
    with monkeypatch.context() as patch:
        _Interrupt(patch, 2 * steps + 1)
        with pytest.raises(Stopped):
            fit(experiment, tmp_path / "run", [0.6, 0.5]).run()
    position = fit(experiment, tmp_path / "run", [0.5]).run(resume=True)
    assert (position.epoch, position.best_epoch, position.waited, position.done) == (3, 1, 2, True)
    again = fit(experiment, tmp_path / "run", []).run(resume=True)  # a fit that is done measures nothing
    assert again.epoch == 3
