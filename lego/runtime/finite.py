"""Whether the loss is finite, asked before a weight moves: at once on a processor, without waiting for the device elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import attrs
import torch

from lego.runtime.optimizer import TouchedAdamW

if TYPE_CHECKING:
    from torch import Tensor

EVERY = 10
"""Batches after which a device is asked what it found."""


@attrs.define(eq=False)
class FiniteLoss:
    """A watch over the losses of a fit.

    Asking a device makes the host wait until all work before is done. So on a device the answer stays there: a fused
    optimiser leaves the weights alone from the first loss on that is not finite (`found_inf`, as mixed precision uses it), and
    the host asks every so many batches.
    """

    optimizer: torch.optim.Optimizer
    device: torch.device
    at_once: bool = attrs.field(init=False)
    _bad: Tensor | None = attrs.field(default=None, init=False)
    _seen: list[tuple[int, Mapping[str, Tensor]]] = attrs.field(factory=list, init=False)

    def __attrs_post_init__(self) -> None:
        fused = all(group.get("fused") for group in self.optimizer.param_groups)
        # Rows of tables are gathered by their numbers, which the host waits for anyway.
        self.at_once = self.device.type == "cpu" or not fused or isinstance(self.optimizer, TouchedAdamW)

    def watch(
        self, total: Tensor, losses: Mapping[str, Tensor], step: int
    ) -> tuple[int, Mapping[str, Tensor]] | None:
        """The loss of a batch, before the backward pass -> the first batch with one that is not finite, as far as is known."""
        told = {name: loss.detach() for name, loss in losses.items()}
        if self.at_once:
            return None if torch.isfinite(total) else (step, told)
        bad = ~torch.isfinite(total.detach())
        self._bad = bad if self._bad is None else self._bad | bad
        self.optimizer.found_inf = self._bad.float()  # type: ignore[attr-defined]
        self._seen.append((step, told))
        return self.look() if len(self._seen) >= EVERY else None

    def look(self) -> tuple[int, Mapping[str, Tensor]] | None:
        """Waits for the device: the first batch with a loss that is not finite, None where there is none."""
        seen, self._seen = self._seen, []
        if self._bad is None or not bool(self._bad):
            return None
        broken = (
            (step, losses)
            for step, losses in seen
            if not all(bool(torch.isfinite(loss).all()) for loss in losses.values())
        )
        return next(broken, seen[-1] if seen else None)  # each may be finite and their sum not
