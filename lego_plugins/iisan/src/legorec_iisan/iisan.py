"""A side network over the frozen hidden states of all layers: the language model itself never learns.

Fu et al. 2024, https://arxiv.org/abs/2404.02059 (the intra-modal network of its text tower). With h_i the pooled states of the
chosen layers, from the embeddings up:

    s_0 = block_0(h_0),  s_i = block_i(μ_i h_i + (1 − μ_i) s_{i−1}),  μ_i = σ(γ_i / 0.1),  block(x) = x + W_up GELU(W_down x)
    item = W s_last + b

The h_i are made once for all items, one vector an item and layer, and kept; then the language model leaves memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Literal, Self

import attrs
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lego.contract import Need, Needs, Out, Reads
from lego.errors import CheckpointError, Problem, SpecError
from lego.pretrained.checkpoint import resolve
from lego.pretrained.families import Shape, shape_of
from lego.pretrained.layers import frozen
from lego.pretrained.model import base_hash, frozen_key, load
from lego.pretrained.packaged import MINILM
from lego.pretrained.table import stored_dtype
from lego.pretrained.template import fields_of
from lego.pretrained.tokens import CheckpointTokens
from lego.spec import PATH_IF_THERE, Checkpoint, Content, Context, between, ge, operator

Dtype = Literal["float32", "bfloat16", "float16"]

_DTYPES: Mapping[str, Dtype] = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16"}

TEMPERATURE = 0.1
"""Of the gates: small, so that they open and close within few steps."""


def _known_template(instance: object, attribute: attrs.Attribute[str | None], value: str | None) -> None:
    try:
        if value is not None:
            fields_of(value)
    except ValueError as problem:
        expected = f"a text with attributes in braces, as in 'News: {{title}}' ({problem})"
        raise SpecError.wrong_value(type(instance).__name__, attribute.name, value, expected) from None


@operator
class IISAN(Content):
    """Adapter blocks with gates between them over the frozen layers of a checkpoint, a folder or a hub id.

    `every=2` takes every second layer, counted down from the last; the lowest state is that of the `embeddings`, unless these are
    left out. `hidden` is the inner width of a block; `norm` puts a layer norm behind it. `pool` makes one state of those of a
    text's tokens. `template`, `length` and `states` are as in `Pretrained`.
    """

    checkpoint: str = attrs.field(kw_only=False, metadata=PATH_IF_THERE)
    every: int = attrs.field(default=1, validator=ge(1))
    embeddings: bool = True
    hidden: int = attrs.field(default=64, validator=ge(1))
    norm: bool = False
    pool: Literal["mean", "cls", "last"] = "mean"
    dropout: float = attrs.field(default=0.1, validator=between(0, 1))
    template: str | None = attrs.field(default=None, validator=_known_template)
    length: int | None = attrs.field(default=None, validator=ge(1))
    states: Literal["fp32", "bf16", "fp16"] | None = None

    @property
    def reads(self) -> Reads:
        """Ids of the checkpoint's tokenizer."""
        return Reads.TOKENS

    @property
    def item_needs(self) -> frozenset[Need]:
        """The pooled states of the layers."""
        return frozenset({Need.STATES})

    @property
    def tokens(self) -> CheckpointTokens:
        """The checkpoint's tokenizer."""
        return CheckpointTokens(self.checkpoint, template=self.template, length=self.length)

    @property
    def named_attributes(self) -> tuple[str, ...]:
        """Those that the template names."""
        return () if self.template is None else fields_of(self.template)

    def reads_of(self, reads: Mapping[str, int]) -> Mapping[str, int]:
        """All there is; what the template names, where there is one."""
        return {name: reads[name] for name in self.named_attributes if name in reads} or reads

    def chosen(self, layers: int) -> tuple[int, ...]:
        """Of 0 for the embeddings and 1, …, `layers`: those whose states are read, the last one among them."""
        upper = range(layers, 0, -self.every)
        return (*((0,) if self.embeddings else ()), *sorted(upper))

    def problems(self, context_width: int, where: str) -> Iterator[Problem]:
        """Whether the checkpoint can be had, and a `length` has a template to cut; reads config.json, no weight."""
        if self.length is not None and self.template is None:
            what = f"length={self.length} cuts the text of a template, and there is none"
            yield Problem(where, what, "give budgets in reads={…}, or a template")
        try:
            layers = shape_of(resolve(self.checkpoint, download=False)).layers
        except CheckpointError as error:
            yield Problem(where, f"{error.problem.where}: {error.problem.what}", error.problem.fix)
        else:
            if self.every > layers:
                what = f"every={self.every} skips more layers than the {layers} that there are"
                yield Problem(where, what, f"choose from 1 to {layers}")
        yield from super().problems(context_width, where)

    def build(self, context: Context) -> nn.Module:
        """The torch of it; CheckpointError where the checkpoint cannot be had, or reads shorter items than there are."""
        checkpoint = resolve(self.checkpoint, download=context.weights)
        shape = shape_of(checkpoint)
        if context.length > shape.positions:
            what = f"items have up to {context.length} tokens, and it reads at most {shape.positions}"
            raise CheckpointError(self.checkpoint, what, "lower the token budgets in reads={…}")
        return _IISAN(
            checkpoint,
            shape,
            chosen=self.chosen(shape.layers),
            pool=self.pool,
            hidden=self.hidden,
            norm=self.norm,
            dropout=self.dropout,
            width=context.width,
            states=self.states,
            weights=context.weights,
        )

    @classmethod
    def examples(cls) -> Iterable[Self]:
        """All layers, and every second one, of the small checkpoint, where it is installed."""
        if not MINILM.find():
            return ()
        return (
            cls(MINILM.name, hidden=8),
            cls(MINILM.name, every=2, embeddings=False, hidden=8, norm=True, pool="cls"),
        )


class _Block(nn.Module):
    """An adapter beside the identity, which it is nearly at first."""

    def __init__(self, width: int, hidden: int, dropout: float, *, norm: bool) -> None:
        super().__init__()
        self.down = nn.Linear(width, hidden)
        self.up = nn.Linear(hidden, width)
        self.dropout = nn.Dropout(dropout)
        self.norm = nn.LayerNorm(width) if norm else nn.Identity()
        for layer in (self.down, self.up):
            nn.init.normal_(layer.weight, std=0.01)
            nn.init.zeros_(layer.bias)

    def forward(self, state: Tensor) -> Tensor:
        """state (N, H) -> (N, H)."""
        return self.norm(state + self.up(self.dropout(F.gelu(self.down(state)))))


class _IISAN(nn.Module):
    states_per = "item"

    def __init__(
        self,
        checkpoint: Checkpoint,
        shape: Shape,
        *,
        chosen: tuple[int, ...],
        pool: str,
        hidden: int,
        norm: bool,
        dropout: float,
        width: int,
        states: str | None,
        weights: bool,
    ) -> None:
        super().__init__()
        base = base_hash(checkpoint) if weights else ""
        self.chosen = chosen
        self.pool = pool
        self.width = shape.hidden
        self.blocks = nn.ModuleList(_Block(shape.hidden, hidden, dropout, norm=norm) for _ in chosen)
        self.gates = nn.Parameter(torch.zeros(len(chosen) - 1))
        self.project = nn.Linear(shape.hidden, width)
        self.language = load(checkpoint, frozen(), base=base, weights=weights)
        self.states_key = frozen_key(checkpoint, ["pooled", pool, *chosen], base) if base else ""
        self.states_width = len(chosen) * shape.hidden
        self.states_dtype: Dtype = _DTYPES[states] if states else _as_dtype(stored_dtype(checkpoint))
        self.states_about = {
            "checkpoint": checkpoint.name,
            "layers": f"{pool} of {', '.join(map(str, chosen))} of {shape.layers}",
        }

    def forward(self, tokens: Tensor, mask: Tensor, needs: Needs) -> Out:
        """tokens (N, L), mask (N, L), needs.states (N, 1, K·H) or None -> (N, D)."""
        given = self.lower(tokens, mask) if needs.states is None else needs.states
        layers = given.to(self.project.weight.dtype).reshape(len(given), len(self.blocks), self.width)
        kept = torch.sigmoid(self.gates / TEMPERATURE)  # (K - 1,)
        state = self.blocks[0](layers[:, 0])
        for place, block in enumerate(list(self.blocks)[1:]):
            state = block(torch.lerp(state, layers[:, place + 1], kept[place]))
        return Out(self.project(state))

    def lower(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """tokens (N, L), mask (N, L) -> pooled states of the chosen layers side by side (N, 1, K·H), without gradient."""
        mask = mask.to(self.project.weight.device)

        def pooled(states: Tensor) -> Tensor:
            return _pooled(states, mask, self.pool)

        layers = self.language.pooled_layers(tokens, mask, pooled)
        return layers[:, list(self.chosen)].flatten(1).unsqueeze(1)

    def drop_lower(self) -> None:
        """Takes the language model out of memory; from now on needs.states must be given."""
        self.language.drop_lower()


def _as_dtype(name: str) -> Dtype:
    return next(dtype for dtype in _DTYPES.values() if dtype == name)


def _pooled(states: Tensor, mask: Tensor, pool: str) -> Tensor:
    """states (N, L, H), mask (N, L) -> (N, H): the mean, the first or the last real one; zeros where there is none."""
    if pool == "mean":
        total = states.masked_fill(~mask.unsqueeze(-1), 0).sum(1)
        return total / mask.sum(1, keepdim=True).clamp(min=1)
    place = torch.zeros_like(mask[:, 0], dtype=torch.int64) if pool == "cls" else mask.sum(1).clamp(min=1) - 1
    found = states[torch.arange(len(states), device=states.device), place]
    return found.masked_fill(~mask.any(1, keepdim=True), 0)
