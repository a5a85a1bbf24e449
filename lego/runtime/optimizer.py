"""The optimiser: Adam, with a rate of their own for weights of language models, and rows of tables updated all or as touched."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from lego.errors import RunError

if TYPE_CHECKING:
    from torch import Tensor

    from lego.experiment import Training


def make_optimizer(pipeline: nn.Module, training: Training) -> torch.optim.Optimizer:
    """Adam (AdamW where weight decays), with a group of its own for the weights of language models.

    With `training.tables="touched"` the tables of the pipeline give sparse gradients from here on.
    """
    pretrained = {
        id(parameter)
        for module in pipeline.modules()
        for parameter in getattr(module, "pretrained_parameters", tuple)()
    }
    trainable = [parameter for parameter in pipeline.parameters() if parameter.requires_grad]
    rates = {False: training.lr, True: training.pretrained_lr or training.lr}
    groups = []
    for of_pretrained, rate in rates.items():
        members = [each for each in trainable if (id(each) in pretrained) is of_pretrained]
        if members:
            groups.append({"params": members, "lr": rate, "base_lr": rate})
    if not groups:
        raise RunError(
            "The model has no weight that learns, so there is nothing to train: set training.epochs=0 to evaluate it."
        )
    # One pass over the weights instead of one for each operation: a table of words is larger than any cache.
    fused = all(each.device.type in ("cpu", "cuda") and each.is_floating_point() for each in trainable)
    decay = training.weight_decay
    if training.tables == "touched":
        for module in pipeline.modules():
            if isinstance(module, nn.Embedding) and module.weight.requires_grad:
                module.sparse = True
        return TouchedAdamW(groups, weight_decay=decay, fused=fused or None)
    kind = torch.optim.AdamW if decay else torch.optim.Adam
    return kind(groups, weight_decay=decay, fused=fused or None)


class TouchedAdamW(torch.optim.AdamW):
    """AdamW that updates of a table only the rows that its sparse gradient names.

    What differs from AdamW: a row that no item of the batch reads keeps its value, its running means and its decay for another
    step, where AdamW moves it on by what it remembers. A step in which every row is read is a step of AdamW (Kingma and Ba 2015,
    https://arxiv.org/abs/1412.6980, algorithm 1; the correction of the means counts all steps, as there). Weights whose
    gradient is dense are AdamW's.
    """

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step of all weights that have a gradient; without `weight_decay` it is Adam's."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        taken: list[tuple[Tensor, Tensor]] = []
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is not None and weight.grad.is_sparse:
                    taken.append((weight, weight.grad))
                    self._touch(weight, weight.grad.coalesce(), group)
                    weight.grad = None  # or the dense step would see it
        super().step()
        for weight, gradient in taken:
            weight.grad = gradient
        return loss

    def _touch(self, weight: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        """weight (R, D), gradient sparse with r rows: gathers these of the running means, and puts them back."""
        state = self.state[weight]
        if not state:
            state["step"] = torch.zeros((), dtype=torch.float32, device=weight.device)
            state["exp_avg"] = torch.zeros_like(weight, memory_format=torch.preserve_format)
            state["exp_avg_sq"] = torch.zeros_like(weight, memory_format=torch.preserve_format)
        state["step"] += 1
        count, (first, second), rate = float(state["step"]), group["betas"], float(group["lr"])
        rows, values = gradient.indices()[0], gradient.values()
        mean = state["exp_avg"][rows].lerp_(values, 1 - first)
        square = state["exp_avg_sq"][rows].mul_(second).addcmul_(values, values, value=1 - second)
        state["exp_avg"].index_copy_(0, rows, mean)
        state["exp_avg_sq"].index_copy_(0, rows, square)
        scale = square.sqrt_().div_(math.sqrt(1 - second**count)).add_(group["eps"])
        moved = weight[rows].mul_(1 - rate * group["weight_decay"])
        moved.addcdiv_(mean, scale, value=-rate / (1 - first**count))
        weight.index_copy_(0, rows, moved)


def clip_gradients(weights: Iterable[Tensor], largest: float) -> None:
    """Scales all gradients, those of tables included, so that their norm together is `largest` at the most."""
    given = [each for each in weights if each.grad is not None]
    if not any(each.grad.is_sparse for each in given if each.grad is not None):
        torch.nn.utils.clip_grad_norm_(given, largest)
        return
    parts = []
    for each in given:
        assert each.grad is not None
        if each.grad.is_sparse:  # rows named twice are summed before they are measured
            each.grad = each.grad.coalesce()
        parts.append(each.grad.values() if each.grad.is_sparse else each.grad)
    total = torch.linalg.vector_norm(torch.stack([torch.linalg.vector_norm(part) for part in parts]))
    factor = (largest / (total + 1e-6)).clamp(max=1.0)
    for part in parts:
        part.mul_(factor)


def rate_factor(training: Training, step: int, steps: int) -> float:
    """By what the learning rate is multiplied at a step: warm-up from 0, then the schedule down to 0, or none."""
    warm = round(training.warmup * steps)
    if step < warm:
        return (step + 1) / (warm + 1)
    if training.schedule == "constant":
        return 1.0
    share = (step - warm) / max(1, steps - warm)
    return 1.0 - share if training.schedule == "linear" else 0.5 * (1.0 + math.cos(math.pi * share))
