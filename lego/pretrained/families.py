"""What differs between families of language models, one row a family. All else is the family's own forward."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import attrs

from lego.errors import CheckpointError, did_you_mean
from lego.pretrained.checkpoint import read_config
from lego.spec import Checkpoint


@attrs.frozen(kw_only=True)
class Family:
    """A row: what must be known to run the upper layers of a model on the states that its lower layers gave."""

    layers: str
    """The path to the list of layers in the bare model (`AutoModel`)."""
    gives: Literal["tensor", "tuple"] = "tensor"
    """What a layer returns: the hidden states, or a pair that begins with them."""
    top: tuple[str, ...] = ()
    """What stands behind the last layer (the final norm), and learns with it."""
    table: str
    """The end of the name of the token embeddings in the weights."""
    adapted: tuple[str, ...]
    """The linear maps of a layer that have adapters unless others are named: queries and values, or what makes both."""
    output: str = "hidden_size"
    """The option that holds the width of the final hidden states, where it may differ from that of the layers."""
    reserved: int = 0
    """Positions that no token can take: RoBERTa counts from behind its padding id."""
    options: Mapping[str, Any] = attrs.field(factory=dict, eq=False)
    """What the model is made with: no pooler, where there is one, since nothing reads it and it would count as untrained."""
    overrides: Mapping[str, Any] = attrs.field(factory=dict, eq=False)
    """Options of the checkpoint that must not hold here."""


_BERT_TABLE = "embeddings.word_embeddings.weight"
_NO_POOLER = {"add_pooling_layer": False}
_BERT = Family(layers="encoder.layer", table=_BERT_TABLE, adapted=("query", "value"), options=_NO_POOLER)
_ROBERTA = attrs.evolve(_BERT, reserved=2)
_LLAMA = Family(layers="layers", top=("norm",), table="embed_tokens.weight", adapted=("q_proj", "v_proj"))

FAMILIES: Mapping[str, Family] = {
    "bert": _BERT,
    "deberta-v2": attrs.evolve(_BERT, gives="tuple", adapted=("query_proj", "value_proj"), options={}),
    "distilbert": Family(layers="transformer.layer", table=_BERT_TABLE, adapted=("q_lin", "v_lin")),
    "electra": attrs.evolve(_BERT, options={}),
    "gemma": _LLAMA,
    "gemma2": _LLAMA,
    "gemma3_text": _LLAMA,
    "glm": _LLAMA,
    "glm4": _LLAMA,
    "gpt2": Family(layers="h", top=("ln_f",), table="wte.weight", adapted=("c_attn",)),
    "gpt_neox": Family(
        layers="layers", top=("final_layer_norm",), table="embed_in.weight", adapted=("query_key_value",)
    ),
    "llama": _LLAMA,
    "mistral": _LLAMA,
    "modernbert": Family(
        layers="layers", top=("final_norm",), table="embeddings.tok_embeddings.weight", adapted=("Wqkv",)
    ),
    "mpnet": attrs.evolve(_ROBERTA, gives="tuple", adapted=("q", "v")),
    "opt": Family(
        layers="decoder.layers",
        top=("decoder.final_layer_norm", "decoder.project_out"),
        table="embed_tokens.weight",
        adapted=("q_proj", "v_proj"),
        output="word_embed_proj_dim",
        overrides={"layerdrop": 0.0},  # a skipped layer could be the one that is fed with the cached states
    ),
    "phi": attrs.evolve(_LLAMA, top=("final_layernorm",)),
    "phi3": attrs.evolve(_LLAMA, adapted=("qkv_proj",)),
    "qwen2": _LLAMA,
    "qwen3": _LLAMA,
    "roberta": _ROBERTA,
    "smollm3": _LLAMA,
    "xlm-roberta": _ROBERTA,
}
"""By the `model_type` of config.json."""

_NAMES: Mapping[str, tuple[str, ...]] = {
    "layers": ("num_hidden_layers", "n_layers", "n_layer"),
    "hidden": ("hidden_size", "dim", "n_embd"),
    "positions": ("max_position_embeddings", "n_positions"),
    "vocabulary": ("vocab_size",),
}


@attrs.frozen(kw_only=True)
class Shape:
    """What config.json says of a model's size."""

    kind: str
    """Its `model_type`."""
    family: Family
    layers: int
    hidden: int
    """Width of the states between layers."""
    output: int
    """Width of the final states."""
    positions: int
    """The most tokens of an item."""
    vocabulary: int


def shape_of(checkpoint: Checkpoint) -> Shape:
    """Family and sizes, from config.json alone; CheckpointError where the family is unknown or a size is missing."""
    config = read_config(checkpoint)
    kind = str(config.get("model_type"))
    if kind not in FAMILIES:
        what = f"its family {kind!r} is not in the table of families"
        raise CheckpointError(
            checkpoint.name,
            what,
            f"{did_you_mean(kind, FAMILIES)}Known: {', '.join(FAMILIES)}. A row in lego/pretrained/families.py needs the path to "
            "the layers, what a layer returns, what stands behind the last layer, the name of the token embeddings, and the "
            "linear maps that adapters stand beside",
        )
    family = FAMILIES[kind]
    sizes = {}
    for size, names in _NAMES.items():
        found = next((config[name] for name in names if isinstance(config.get(name), int)), None)
        if found is None:
            what = f"its config.json does not say {' or '.join(names)}"
            raise CheckpointError(checkpoint.name, what, "take the config.json that came with the weights")
        sizes[size] = found
    sizes["positions"] -= family.reserved
    return Shape(kind=kind, family=family, output=config.get(family.output, sizes["hidden"]), **sizes)
