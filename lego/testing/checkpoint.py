"""Tiny language models with drawn weights, for tests that need a checkpoint and no knowledge in it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch

from lego.pretrained.model import quiet

_ENCODER: Mapping[str, Any] = {
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_attention_heads": 2,
    "max_position_embeddings": 64,
    "initializer_range": 0.3,  # large enough that a layer left out is seen
}
_DECODER: Mapping[str, Any] = {**_ENCODER, "num_key_value_heads": 2, "head_dim": 8}

SIZES: Mapping[str, Mapping[str, Any]] = {
    "bert": _ENCODER,
    "deberta-v2": {
        **_ENCODER,
        "relative_attention": True,
        "pos_att_type": ["c2p", "p2c"],
        "position_buckets": 8,
        "norm_rel_ebd": "layer_norm",
        "conv_kernel_size": 3,
        "conv_act": "gelu",
    },
    "distilbert": {
        "dim": 16,
        "hidden_dim": 24,
        "n_heads": 2,
        "max_position_embeddings": 64,
        "initializer_range": 0.3,
    },
    "electra": {**_ENCODER, "embedding_size": 8},
    "gemma": _DECODER,
    "gemma2": _DECODER,
    "gemma3_text": {**_DECODER, "sliding_window": 3, "sliding_window_pattern": 2},
    "glm": _DECODER,
    "glm4": _DECODER,
    "gpt2": {"n_embd": 16, "n_head": 2, "n_positions": 64, "initializer_range": 0.3},
    "gpt_neox": _ENCODER,
    "llama": _DECODER,
    "mistral": _DECODER,
    "modernbert": _ENCODER,
    "mpnet": _ENCODER,
    "opt": {
        "hidden_size": 16,
        "word_embed_proj_dim": 8,
        "ffn_dim": 24,
        "num_attention_heads": 2,
        "max_position_embeddings": 64,
        "layerdrop": 0.5,
        "init_std": 0.3,
    },
    "phi": _ENCODER,
    "phi3": _ENCODER,
    "qwen2": _DECODER,
    "qwen3": _DECODER,
    "roberta": _ENCODER,
    "smollm3": _DECODER,
    "xlm-roberta": _ENCODER,
}
"""Options of a tiny model, for each family."""

WORDS = ("toy", "story", "war", "of", "the", "worlds", "comedy", "drama", "night", "day", "|", ",", "a", "b")
"""What the tiny tokenizer knows besides its special tokens."""

_BERT_LIKE = {"bert", "deberta-v2", "distilbert", "electra", "modernbert"}
_ROBERTA_LIKE = {"roberta", "xlm-roberta", "mpnet"}


def tiny_checkpoint(
    folder: Path,
    family: str = "bert",
    *,
    layers: int = 3,
    words: Iterable[str] = WORDS,
    seed: int = 0,
    **options: Any,
) -> Path:
    """Writes config.json, model.safetensors and tokenizer.json of a model with drawn weights, and gives the folder.

    `options` go to the config of the family (`lego.pretrained.families.FAMILIES`). The tokenizer knows `words` and what the
    family's own would put around them.
    """
    from transformers import AutoConfig, AutoModel

    tokens = _vocabulary(family, words)
    depth = {"gpt2": "n_layer", "distilbert": "n_layers"}.get(family, "num_hidden_layers")
    special = dict.fromkeys(("bos_token_id", "eos_token_id", "cls_token_id", "sep_token_id"), 2)
    sizes = {
        **special,
        "pad_token_id": 1 if family in _ROBERTA_LIKE else 0,
        **SIZES[family],
        depth: layers,
        "vocab_size": len(tokens),
    }
    config = AutoConfig.for_model(family, **{**sizes, **options})
    maker: Any = AutoModel
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = maker.from_config(config)
    with quiet():
        model.save_pretrained(folder)
    _write_tokenizer(folder / "tokenizer.json", family, tokens)
    return folder


def _vocabulary(family: str, words: Iterable[str]) -> dict[str, int]:
    if family in _BERT_LIKE:
        special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    elif family in _ROBERTA_LIKE:
        special = ["<s>", "<pad>", "</s>", "<unk>"]
    else:
        special = ["<unk>", "<s>", "</s>", "\n"]
    return {token: place for place, token in enumerate(dict.fromkeys([*special, *words]))}


def _write_tokenizer(path: Path, family: str, tokens: dict[str, int]) -> None:
    from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors

    unknown = "[UNK]" if family in _BERT_LIKE else "<unk>"
    tokenizer = Tokenizer(models.WordLevel(tokens, unk_token=unknown))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"\n|[^\s\w]|\w+"), "removed", invert=True)
    if family in _BERT_LIKE:
        single, pair, used = "[CLS] $A [SEP]", "[CLS] $A [SEP] $B:1 [SEP]:1", ["[CLS]", "[SEP]"]
    elif family in _ROBERTA_LIKE:
        single, pair, used = "<s> $A </s>", "<s> $A </s> </s> $B </s>", ["<s>", "</s>"]
    else:
        single, pair, used = "<s> $A", "<s> $A <s> $B", ["<s>"]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=single, pair=pair, special_tokens=[(token, tokens[token]) for token in used]
    )
    tokenizer.enable_truncation(max_length=8)  # as many published files do; an encoder must undo it
    tokenizer.save(str(path))
