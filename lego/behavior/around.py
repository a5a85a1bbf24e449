"""What stands around another behavior operator, and is like it in all but what it adds."""

from __future__ import annotations

from lego.contract import Form, Need
from lego.errors import SpecError
from lego.spec import Behavior, Choice


class Around(Behavior):
    """Needs, reads and gives what its `op` does. A subclass has `op` as its first option."""

    op: Behavior

    @property
    def needs(self) -> frozenset[Need]:
        """What `op` asks for."""
        return frozenset() if isinstance(self.op, Choice) else self.op.needs

    @property
    def item_attributes(self) -> tuple[str, ...]:
        """Those of `op`."""
        return () if isinstance(self.op, Choice) else self.op.item_attributes

    @property
    def user_attributes(self) -> tuple[str, ...]:
        """Those of `op`."""
        return () if isinstance(self.op, Choice) else self.op.user_attributes

    @property
    def signals(self) -> tuple[str, ...]:
        """Those of `op`."""
        return () if isinstance(self.op, Choice) else self.op.signals

    @property
    def candidate_signals(self) -> tuple[str, ...]:
        """Those of `op`."""
        return () if isinstance(self.op, Choice) else self.op.candidate_signals

    @property
    def gives(self) -> Form:
        """What `op` gives."""
        if isinstance(self.op, Choice):
            raise SpecError.open_choice(repr(self))
        return self.op.gives
