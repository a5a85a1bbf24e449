"""Several operators side by side, weighed by learned gates: gated multimodal units.

Arevalo et al. 2017, https://arxiv.org/abs/1702.01992, section 3.1: Σ_k z_k ⊙ x_k, where each dimension of each part has a gate
that sees all parts, z_k = σ(W_k [x_1; …; x_K] + b_k), or, for two parts, z and 1 − z, of which a softmax over the parts is the
general case. The parts are encoders of their own, so no other layer stands before the gates.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Literal, Self

import attrs
import torch
from torch import Tensor, nn

from lego.sequence.attention import Attention
from lego.sequence.cnn import CNN
from lego.sequence.combinator import Combinator, Combined
from lego.sequence.mean import Mean
from lego.spec import Behavior, Content, Context, operator


@operator
class Gate(Combinator):
    """`Gate(CNN(), Attention())`: a weight for each dimension of each part, seen from all of them.

    With `kind="softmax"` the weights of the parts sum to 1, with `"sigmoid"` each is between 0 and 1 by itself.
    """

    parts: tuple[Content | Behavior, ...] = attrs.field(kw_only=False)
    kind: Literal["softmax", "sigmoid"] = "softmax"

    if TYPE_CHECKING:

        def __init__(
            self, *parts: Content | Behavior, kind: Literal["softmax", "sigmoid"] = "softmax"
        ) -> None: ...

    def combined(self, context: Context, **parts: Any) -> Combined:
        """The torch of it, around modules of the parts."""
        return _Gate(context.width, softmax=self.kind == "softmax", **parts)

    @classmethod
    def examples(cls) -> Iterable[Self]:
        """Small instances."""
        return (
            cls(CNN(pool=Mean()), Mean()),
            cls(CNN(pool=None), Attention(heads=2, pool=None), kind="sigmoid"),
        )


class _Gate(Combined):
    def __init__(self, width: int, *, softmax: bool, **parts: Any) -> None:
        super().__init__(**parts)
        count = len(self.parts)
        self.gates = nn.Linear(count * width, count * width)
        self.softmax = softmax

    def combine(self, vectors: list[Tensor]) -> Tensor:
        """One (..., D) of each part -> (..., D)."""
        logits = self.gates(torch.cat(vectors, -1)).unflatten(-1, (len(vectors), -1)).float()  # (..., K, D)
        weights = logits.softmax(-2) if self.softmax else logits.sigmoid()
        return (weights.to(vectors[0].dtype) * torch.stack(vectors, -2)).sum(-2)
