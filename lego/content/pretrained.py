"""A pretrained language model as content operator: fully tuned, frozen, split with cached lower layers, with adapters.

Devlin et al. 2019, https://arxiv.org/abs/1810.04805 (BERT); tuned with the recommender as in PLM-NR (Wu et al. 2021,
https://arxiv.org/abs/2104.07413), split as in Legommenders (Liu et al. 2025, https://arxiv.org/abs/2412.15973):

    item = pool(W h + b),  h = upper layers(lower layers(tokens)),  the lower ones frozen, their outputs made once
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal, Self

import attrs
from torch import Tensor, nn

from lego import catalog
from lego.contract import Need, Needs, Out, Reads
from lego.errors import CheckpointError, Problem, SpecError
from lego.pretrained.checkpoint import resolve
from lego.pretrained.families import Shape, shape_of
from lego.pretrained.layers import Full, Layers, Lora
from lego.pretrained.model import LanguageModel, base_hash, check_targets, frozen_key, load, target_names
from lego.pretrained.packaged import MINILM
from lego.pretrained.quantized import Held, Quantized, held_problems, quantized_problems
from lego.pretrained.table import stored_dtype
from lego.pretrained.template import fields_of
from lego.pretrained.tokens import CheckpointTokens
from lego.spec import PATH_IF_THERE, Checkpoint, Content, Context, Pool, between, ge, operator

_DTYPES = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16"}


def _additive() -> Pool:
    pool: Pool = catalog.load("content", "Additive")()
    return pool


def known_template(instance: object, attribute: Any, value: str | None) -> None:
    """A validator: plain names of attributes in braces, at least one."""
    try:
        if value is not None:
            fields_of(value)
    except ValueError as problem:
        expected = f"a text with attributes in braces, as in 'News: {{title}} [{{category}}]' ({problem})"
        raise SpecError.wrong_value(type(instance).__name__, attribute.name, value, expected) from None


@operator
class Pretrained(Content):
    """The transformer of a checkpoint, a linear layer to the model's width, and a pool over the tokens.

    `checkpoint` is a folder, or a hub id that is looked for among installed packages, in the hub's cache, and on the hub.
    `layers` says how much of it learns: `full()`, `frozen()`, `split(10)`, `lora()`, `split(10) | lora()`. Attributes are joined
    as its tokenizer joins a pair, or make one text by a `template` as in `News: {title} [{category}]`, of at most `length` tokens
    (the sum of the budgets unless given); an attribute without a value leaves its place empty, an item without any has no text.
    `states` is how cached states are stored: as the checkpoint's weights are unless given. In 16 bits they are rounded.
    `weights="bf16"` holds frozen weights in half the memory, rounded: the layers and the token embeddings. `quantize` holds them
    in 8 or 4 bits (bitsandbytes, on a GPU); only adapters learn beside such.
    """

    checkpoint: str = attrs.field(kw_only=False, metadata=PATH_IF_THERE)
    layers: Layers = attrs.field(factory=Full)
    pool: Pool = attrs.field(factory=_additive)
    dropout: float = attrs.field(default=0.1, validator=between(0, 1))
    template: str | None = attrs.field(default=None, validator=known_template)
    length: int | None = attrs.field(default=None, validator=ge(1))
    states: Literal["fp32", "bf16", "fp16"] | None = None
    weights: Held = "fp32"
    quantize: Quantized | None = None

    @property
    def reads(self) -> Reads:
        """Ids of its own tokenizer."""
        return Reads.TOKENS

    @property
    def item_needs(self) -> frozenset[Need]:
        """The states of the frozen layers, where there are such."""
        return frozenset({Need.STATES}) if self.layers.caches else frozenset()

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

    def problems(self, context_width: int, where: str) -> Iterator[Problem]:
        """Whether the checkpoint can be had and has these layers; reads config.json, no weight."""
        if self.length is not None and self.template is None:
            fix = "give budgets in reads={…}, or a template"
            yield Problem(where, f"length={self.length} cuts the text of a template, and there is none", fix)
        try:
            shape = shape_of(resolve(self.checkpoint, download=False))
        except CheckpointError as error:
            found = error.problem
            yield Problem(where, f"{found.where}: {found.what}", found.fix)
        else:
            misfit = self.layers.misfit(shape.layers, where)
            if misfit is not None:
                yield misfit
            elif self.layers.adapters is not None:
                yield from targets_problem(self.checkpoint, self.layers.adapters, where)
        yield from held_problems(self.weights, self.quantize, self.layers, where)
        yield from quantized_problems(self.quantize, self.layers, where)
        yield from super().problems(context_width, where)

    def build(self, context: Context) -> nn.Module:
        """The torch of it; CheckpointError where the checkpoint cannot be had, or reads shorter items than there are."""
        checkpoint = resolve(self.checkpoint, download=context.weights)
        shape = shape_of(checkpoint)
        misfit = self.layers.misfit(shape.layers, f"layers={self.layers!r}")
        if misfit is not None:
            raise CheckpointError(misfit.where, misfit.what, misfit.fix)
        if context.length > shape.positions:
            what = f"items have up to {context.length} tokens, and it reads at most {shape.positions}"
            raise CheckpointError(self.checkpoint, what, "lower the token budgets in reads={…}")
        pool = self.pool.build(attrs.evolve(context, input_width=context.width))
        return _Pretrained(
            checkpoint,
            shape,
            self.layers,
            pool,
            context.width,
            self.dropout,
            states=self.states,
            held=self.weights,
            quantize=self.quantize,
            weights=context.weights,
        )

    @classmethod
    def examples(cls) -> Iterable[Self]:
        """Splits of the small checkpoint, where it is installed."""
        from lego.pretrained.layers import lora, split

        return (
            (cls(MINILM.name, layers=split(5)), cls(MINILM.name, layers=split(5) | lora()))
            if MINILM.find()
            else ()
        )


def targets_problem(checkpoint: str, adapters: Lora, where: str) -> Iterator[Problem]:
    """Targets of adapters that match nothing in the layers, with those that exist; shapes are made for it, no weight is read."""
    if adapters.targets is None:
        return
    try:
        check_targets(adapters.targets, target_names(resolve(checkpoint, download=False)), checkpoint)
    except CheckpointError as error:
        yield Problem(where, error.problem.what, error.problem.fix)


def BERT(checkpoint: str = "google-bert/bert-base-uncased", **options: Any) -> Pretrained:  # noqa: N802 - a word of the language
    """BERT (Devlin et al. 2019, https://arxiv.org/abs/1810.04805), of 12 layers unless another checkpoint is named."""
    return Pretrained(checkpoint, **options)


def LLaMA(checkpoint: str = "meta-llama/Llama-3.2-1B", **options: Any) -> Pretrained:  # noqa: N802 - a word of the language
    """LLaMA (Touvron et al. 2023, https://arxiv.org/abs/2302.13971), of 16 layers unless another checkpoint is named.

    The hub gives that one to those alone who accepted its license there.
    """
    return Pretrained(checkpoint, **options)


def OPT(checkpoint: str = "facebook/opt-125m", **options: Any) -> Pretrained:  # noqa: N802 - a word of the language
    """OPT (Zhang et al. 2022, https://arxiv.org/abs/2205.01068), of 12 layers unless another checkpoint is named."""
    return Pretrained(checkpoint, **options)


def GLM(checkpoint: str = "zai-org/glm-edge-1.5b-chat", **options: Any) -> Pretrained:  # noqa: N802 - a word of the language
    """GLM (Zeng et al. 2024, https://arxiv.org/abs/2406.12793), the small one for devices unless another checkpoint is named."""
    return Pretrained(checkpoint, **options)


def Qwen(checkpoint: str = "Qwen/Qwen3-0.6B", **options: Any) -> Pretrained:  # noqa: N802 - a word of the language
    """Qwen3 (Yang et al. 2025, https://arxiv.org/abs/2505.09388), of 28 layers unless another checkpoint is named."""
    return Pretrained(checkpoint, **options)


def states_key(
    checkpoint: Checkpoint, first: int | None, count: int, base: str, computed: str = "float32"
) -> str:
    """A hash of all that the states of the frozen layers depend on, but for the tokens."""
    return frozen_key(checkpoint, "final" if first == count else first, base, computed)


class _Pretrained(nn.Module):
    states_per = "token"

    def __init__(
        self,
        checkpoint: Checkpoint,
        shape: Shape,
        layers: Layers,
        pool: nn.Module,
        width: int,
        dropout: float,
        *,
        states: str | None,
        held: str,
        quantize: str | None,
        weights: bool,
    ) -> None:
        super().__init__()
        first = layers.first(shape.layers)
        base = base_hash(checkpoint) if weights and first is not None else ""
        self.project = nn.Linear(shape.output, width)
        self.dropout = nn.Dropout(dropout)
        self.pool = pool
        self.language: LanguageModel = load(
            checkpoint, layers, base=base, weights=weights, held=held, quantize=quantize
        )
        computed = quantize or _DTYPES[held]
        self.states_key = states_key(checkpoint, first, shape.layers, base, computed) if base else ""
        self.states_dtype = (
            _DTYPES[states] if states else stored_dtype(checkpoint) if first is not None else "float32"
        )
        self.states_about = {"checkpoint": checkpoint.name, "layers": f"{first} of {shape.layers}"}
        self.states_width = shape.output if first == shape.layers else shape.hidden

    def forward(self, tokens: Tensor, mask: Tensor, needs: Needs) -> Out:
        """tokens (N, L), mask (N, L), needs.states (N, L, H) or None -> (N, D)."""
        hidden = self.language(tokens, mask, needs.states).to(self.project.weight.dtype)
        return self.pool(self.dropout(self.project(hidden)), mask, needs)

    def lower(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """tokens (N, L), mask (N, L) -> states of the frozen layers (N, L, H), without gradient."""
        return self.language.lower(tokens, mask)

    def drop_lower(self) -> None:
        """Takes the frozen layers out of memory; from now on needs.states must be given."""
        self.language.drop_lower()

    def pretrained_parameters(self) -> Iterator[nn.Parameter]:
        """What learns of the language model: for a learning rate of its own."""
        return self.language.learning()
