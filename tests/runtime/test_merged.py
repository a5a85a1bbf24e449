"""The tuned language model of a run, written as a checkpoint of its own."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from lego import Mean, Pretrained, Views, frozen, full, load, lora, split
from lego.errors import CheckpointError, RunError
from lego.pretrained.checkpoint import resolve
from lego.pretrained.model import base_hash, write_tuned
from lego.pretrained.model import load as load_model
from lego.pretrained.tokenizer import PretrainedEncoder
from lego.testing.checkpoint import tiny_checkpoint


def trained(small, folder, layers, tmp_path):
    content = Pretrained(str(folder), layers=layers, dropout=0.0)
    run = small(content=content, epochs=1, lr=0.05).run(out=tmp_path / "runs", device="cpu")
    return load(run.path, device="cpu")


@pytest.mark.parametrize("family", ["bert", "llama", "gpt2"])
@pytest.mark.parametrize("layers", [full(), split(1), split(-1) | lora(rank=2), lora(rank=2)], ids=str)
def test_transformers_reads_what_was_learned(tmp_path, family, layers):
    """Whatever learned, transformers' forward of the written checkpoint is that of the tuned model, and not that of the base."""
    from transformers import AutoModel

    checkpoint = resolve(str(tiny_checkpoint(tmp_path / "model", family, layers=2)))
    tuned = load_model(checkpoint, layers).eval()
    drawn = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for value in tuned.learning():
            value.add_(torch.randn(value.shape, generator=drawn) * 0.3)
    tokens = torch.randint(4, 14, (3, 6), generator=drawn)
    mask = torch.arange(6) < torch.tensor([6, 3, 1])[:, None]
    states = tuned.lower(tokens, mask) if layers.caches else None
    tuned.drop_lower()
    write_tuned(tuned, checkpoint, tmp_path / "merged")
    with torch.no_grad():
        wanted = tuned(tokens, mask, states)[mask]
        for folder, alike in ((tmp_path / "merged", True), (checkpoint.folder, False)):
            model = AutoModel.from_pretrained(folder).eval()
            found = model(input_ids=tokens, attention_mask=mask.long()).last_hidden_state[mask]
            assert torch.allclose(found, wanted, rtol=1e-4, atol=1e-4) == alike


def test_what_stands_beside_the_weights(small, tmp_path):
    """The tokenizer reads alike, the config says float32 and keeps what the family had, and the origin is told."""
    folder = tiny_checkpoint(tmp_path / "model", "opt", layers=2)
    weights = load_file(folder / "model.safetensors")
    half = {name: value.bfloat16() for name, value in weights.items()}
    save_file(half, folder / "model.safetensors", {"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "dtype": "bfloat16"}))
    loaded = trained(small, folder, split(1) | lora(rank=2), tmp_path)
    (made,) = loaded.merge(tmp_path / "deep" / "merged").values()
    assert made == tmp_path / "deep" / "merged"
    again = resolve(str(made))
    assert PretrainedEncoder.of(again).identity == PretrainedEncoder.of(resolve(str(folder))).identity
    written = json.loads((made / "config.json").read_text())
    assert (written["dtype"], written["layerdrop"]) == ("float32", 0.5)
    assert {value.dtype for value in load_file(made / "model.safetensors").values()} == {torch.float32}
    about = json.loads((made / "lego.json").read_text())
    assert about["base"] == {"checkpoint": str(folder), "weights": base_hash(resolve(str(folder)))}
    assert about["run"] == str(loaded.path)
    assert not list(Pretrained(str(made), layers=split(1)).problems(8, "content"))


def test_several_have_a_folder_each(small, tmp_path):
    """Views with a language model for each attribute: one folder a view, of what that view learned."""
    folder = str(tiny_checkpoint(tmp_path / "model", "bert", layers=1))
    content = Views(title=Pretrained(folder), genres=Pretrained(folder, layers=lora(rank=2)))
    run = small(content=content, epochs=1).run(out=tmp_path / "runs", device="cpu")
    made = load(run.path, device="cpu").merge(tmp_path / "merged")
    assert len(made) == 2
    first, second = (load_file(path / "model.safetensors") for path in made.values())
    assert any(not torch.equal(value, second[name]) for name, value in first.items())


def test_nothing_is_written_where_nothing_was_tuned(small, tmp_path):
    """Frozen, or no language model at all: refused with the reason."""
    folder = tiny_checkpoint(tmp_path / "model", "bert", layers=1)
    for content in (Mean(), Pretrained(str(folder), layers=frozen())):
        run = small(content=content, epochs=1).run(out=tmp_path / "runs", device="cpu")
        with pytest.raises(RunError, match="no language model of which a weight learned"):
            load(run.path, device="cpu").merge(tmp_path / "merged")
    assert not (tmp_path / "merged").exists()


def test_a_folder_with_something_in_it_stays(small, tmp_path):
    """Nothing is overwritten; over other base weights nothing is written."""
    folder = tiny_checkpoint(tmp_path / "model", "bert", layers=2)
    loaded = trained(small, folder, split(1), tmp_path)
    taken = tmp_path / "taken"
    taken.mkdir()
    (taken / "mine.txt").write_text("mine")
    with pytest.raises(RunError, match="is there already"):
        loaded.merge(taken)
    assert [each.name for each in taken.iterdir()] == ["mine.txt"]
    shutil.rmtree(folder)
    tiny_checkpoint(folder, "bert", layers=2, seed=9)
    with pytest.raises((CheckpointError, RunError)):
        loaded.merge(tmp_path / "other")
    assert not [each for each in tmp_path.iterdir() if "other" in each.name]
