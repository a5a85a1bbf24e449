"""A multi-layer perceptron. Nothing in it takes statistics over rows, so padding cannot reach another row through it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor, nn


class MLP(nn.Module):
    """Linear, activation and dropout for each hidden width; then a plain linear layer where `output` is given."""

    def __init__(
        self,
        input_width: int,
        hidden: Sequence[int],
        *,
        output: int | None = None,
        activation: Callable[[], nn.Module] = nn.ReLU,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        width = input_width
        for each in hidden:
            layers += [nn.Linear(width, each), activation(), nn.Dropout(dropout)]
            width = each
        if output is not None:
            layers.append(nn.Linear(width, output))
            width = output
        self.layers = nn.Sequential(*layers)
        self.width = width
        """The width of what it gives."""

    def forward(self, vectors: Tensor) -> Tensor:
        """vectors (..., W) -> (..., output or the last hidden width)."""
        return self.layers(vectors)
