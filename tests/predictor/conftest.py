"""What the oracles of predictors over fields share."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import types
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import attrs
import numpy as np
import pytest
import torch

from lego.contract import Needs, Out
from lego.spec import Context
from lego.testing import seeded

WIDTH, USERS, CANDIDATES = 4, 3, 5
CONTEXT = Context(
    width=WIDTH,
    input_width=WIDTH,
    length=5,
    item_vocabularies={"category": 4, "genres": 6},
    user_vocabularies={"age": 5},
)


@attrs.frozen(eq=False)
class Case:
    """A module, a call of it, and the same fields the slow way, pair by pair, in numpy."""

    spec: Any
    module: torch.nn.Module
    inputs: tuple[Any, ...]

    @property
    def scores(self) -> np.ndarray:
        with torch.no_grad():
            return self.module(*self.inputs).numpy()

    @property
    def weights(self) -> dict[str, np.ndarray]:
        return {name: value.numpy() for name, value in self.module.state_dict().items()}

    def pairs(self) -> Iterator[tuple[int, int]]:
        """Every row and place."""
        return iter(np.ndindex(USERS, CANDIDATES))

    def tensors(self) -> torch.Tensor:
        """All fields of every pair, (B · C, F, D)."""
        return torch.tensor(np.stack([self.fields(*pair) for pair in self.pairs()]))

    def fields(self, row: int, place: int) -> np.ndarray:
        """(F, D): user vector, attributes of the user, item vector, attributes of the item."""
        needs = self.inputs[3]
        user, item = self._vectors(row, place)
        found = [user]
        if self.spec.fields == "attributes":
            found += self._values("fields.user", needs.profile, (row,))
        found.append(item)
        if self.spec.fields == "attributes":
            found += self._values("fields.item", needs.candidates, (row, place))
        return np.stack(found)

    def first_order(self, name: str, row: int, place: int) -> float:
        """The linear model: a weight a dimension of the two vectors, a weight a value of an attribute."""
        weights, needs = self.weights, self.inputs[3]
        user, item = self._vectors(row, place)
        total = weights[f"{name}.of_user.weight"][0] @ user
        total += weights[f"{name}.of_item.linear.weight"][0] @ item
        total += weights[f"{name}.of_item.linear.bias"][0]
        if self.spec.fields == "attributes":
            values = self._values(f"{name}.user", needs.profile, (row,))
            values += self._values(f"{name}.item", needs.candidates, (row, place))
            total += sum(value[0] for value in values)
        return total

    def perceptron(self, name: str, vector: np.ndarray) -> np.ndarray:
        """Linear layers with ReLU between them, as an `MLP` without `output` has them."""
        weights, layer = self.weights, 0
        while f"{name}.layers.{layer}.weight" in weights:
            vector = (
                weights[f"{name}.layers.{layer}.weight"] @ vector + weights[f"{name}.layers.{layer}.bias"]
            )
            vector, layer = np.maximum(vector, 0), layer + 3
        return vector

    def score(self, name: str, vector: np.ndarray) -> float:
        """The last layer."""
        return self.weights[f"{name}.linear.weight"][0] @ vector + self.weights[f"{name}.linear.bias"][0]

    def deep(self, name: str, vector: np.ndarray) -> float:
        """A perceptron down to one number."""
        return self.score(f"{name}.score", self.perceptron(f"{name}.deep", vector))

    def _vectors(self, row: int, place: int) -> tuple[np.ndarray, np.ndarray]:
        user, candidates, *_ = self.inputs
        vector = user.tensor[row] if user.tensor.ndim == 2 else user.tensor[row, place]
        return vector.numpy(), candidates[row, place].numpy()

    def _values(
        self, name: str, codes: Mapping[str, torch.Tensor], place: tuple[int, ...]
    ) -> list[np.ndarray]:
        found = []
        for at, values in enumerate(codes.values()):
            table = self.weights[f"{name}.tables.{at}.weight"]
            real = [table[code] for code in values[place].tolist() if code]
            found.append(np.mean(real, 0) if real else table[0])
        return found


@pytest.fixture
def case() -> Callable[..., Case]:
    """`case(spec)`: a module in evaluation with weights drawn anew, the biases too, and a call of it."""

    def make(spec: Any, *, per_candidate: bool = False) -> Case:
        with seeded(3):
            module = spec.build(CONTEXT).eval()
            for weight in module.parameters():
                torch.nn.init.normal_(weight, std=0.5)
            user = torch.randn((USERS, CANDIDATES, WIDTH) if per_candidate else (USERS, WIDTH))
            candidates = torch.randn(USERS, CANDIDATES, WIDTH)
            genres = torch.randint(1, 6, (USERS, CANDIDATES, 3))
            lengths = torch.randint(0, 4, (USERS, CANDIDATES, 1))
            category = torch.randint(0, 4, (USERS, CANDIDATES, 1))
        needs = Needs()
        if spec.fields == "attributes":
            genres = genres.masked_fill(torch.arange(3) >= lengths, 0)
            needs = Needs(
                profile={"age": torch.tensor([[0], [2], [4]])},
                candidates={"category": category, "genres": genres},
            )
        mask = torch.ones(USERS, CANDIDATES, dtype=torch.bool)
        return Case(spec, module, (Out(user), candidates, mask, needs))

    return make


@pytest.fixture
def peer(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], types.ModuleType]:
    """`peer("fuxictr.pytorch.layers.interactions.cross_net")`: a module of another library, or a skip where it is not installed.

    The packages above the module are not run: what they import beside it (data frames, a look for a newer version) is not
    needed for a layer of plain torch.
    """

    def load(name: str) -> types.ModuleType:
        parts = name.split(".")
        found = importlib.util.find_spec(parts[0])
        if found is None or not found.submodule_search_locations:
            pytest.skip(f"{parts[0]} is not installed: pip install --no-deps {parts[0].replace('_', '-')}")
        folder = next(iter(found.submodule_search_locations))
        for depth in range(1, len(parts)):
            made = types.ModuleType(".".join(parts[:depth]))
            made.__path__ = ["/".join([folder, *parts[1:depth]])]
            monkeypatch.setitem(sys.modules, made.__name__, made)
        return importlib.import_module(name)

    return load
