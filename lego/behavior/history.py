"""The history itself, for predictors that look at every item of it (DIN)."""

from __future__ import annotations

from torch import Tensor, nn

from lego.contract import Form, Needs, Out
from lego.nn.masked import zero_padding
from lego.spec import Behavior, Context, operator


@operator
class History(Behavior):
    """The user is the sequence of item vectors, oldest first; nothing is learned here."""

    @property
    def gives(self) -> Form:
        """SEQUENCE."""
        return Form.SEQUENCE

    def build(self, context: Context) -> nn.Module:
        """The torch of it."""
        return _History()


class _History(nn.Module):
    def forward(self, history: Tensor, mask: Tensor, needs: Needs) -> Out:
        """history (B, S, D), mask (B, S) -> (B, S, D)."""
        return Out(zero_padding(history, mask), mask)
