"""What is known of a user beyond clicks: age group, region, interests that a language model wrote down.

As the user profiles of ONCE (Liu et al. 2024, https://arxiv.org/abs/2305.06566), there joined with the user made of clicks.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import ClassVar, Self

import torch
from torch import Tensor, nn

from lego.contract import Need, Needs, Out
from lego.errors import CompositionError, Problem, did_you_mean
from lego.nn.masked import masked_mean
from lego.spec import Behavior, Context, operator


@operator
class UserAttributes(Behavior):
    """A table per categorical attribute of the user; several values are averaged, attributes joined by a linear layer.

    `attributes` names them; all that the users have where it is empty. The history is not read. A user of whom nothing is known
    gets the bias of the linear layer, which is learned.
    """

    needs: ClassVar[frozenset[Need]] = frozenset({Need.PROFILE})

    attributes: tuple[str, ...] = ()

    @property
    def user_attributes(self) -> tuple[str, ...]:
        """Those it names."""
        return self.attributes

    def build(self, context: Context) -> nn.Module:
        """The torch of it; CompositionError where the users have no such attribute."""
        there = context.user_vocabularies
        names = self.attributes or tuple(there)
        problems = [
            Problem(
                f"attributes: {name!r}",
                "the users have no such attribute",
                f"{did_you_mean(name, there)}They have: {', '.join(there) or 'none'}",
            )
            for name in names
            if name not in there
        ]
        if not names:
            problems.append(
                Problem(repr(self), "the users have no categorical attribute", "use another operator")
            )
        if problems:
            raise CompositionError(problems)
        return _UserAttributes({name: there[name] for name in names}, context.width)

    @classmethod
    def examples(cls) -> Iterable[Self]:
        """Small instances."""
        return (cls(), cls(attributes=("group",)))


class _UserAttributes(nn.Module):
    def __init__(self, vocabularies: Mapping[str, int], width: int) -> None:
        super().__init__()
        self.names = tuple(vocabularies)
        # A list, since an attribute may have a name that a module cannot have.
        self.tables = nn.ModuleList(nn.Embedding(size, width) for size in vocabularies.values())
        for table in self.tables:
            assert isinstance(table, nn.Embedding)
            nn.init.normal_(table.weight, std=width**-0.5)
        self.join = nn.Linear(len(self.names) * width, width)

    def forward(self, history: Tensor, mask: Tensor, needs: Needs) -> Out:
        """history (B, S, D), mask (B, S), profile attribute -> (B, V) -> (B, D)."""
        parts = [
            masked_mean(table(needs.profile[name]), needs.profile[name] > 0)
            for name, table in zip(self.names, self.tables, strict=True)
        ]
        return Out(self.join(torch.cat(parts, -1)))
