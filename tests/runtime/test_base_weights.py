"""What a run keeps of a language model, and what it does when the weights below are exchanged."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from safetensors import safe_open

from lego import Mean, Pretrained, PretrainedTokens, load, lora, split
from lego.errors import CheckpointError
from lego.testing.checkpoint import tiny_checkpoint


def kept(run) -> dict[str, int]:
    """The tensors of a run's checkpoint, with their sizes."""
    with safe_open(run.path / "checkpoint" / "model.safetensors", framework="pt") as file:
        return {name: file.get_tensor(name).numel() for name in file.keys()}  # noqa: SIM118 - it is no mapping


def test_adapters_alone_are_kept_and_belong_on_their_base(small, tmp_path):
    """The checkpoint has adapters, heads and a hash; it is opened with the same numbers, and refused over other weights."""
    folder = tiny_checkpoint(tmp_path / "model", "bert", layers=2)
    content = Pretrained(str(folder), layers=split(1) | lora(rank=2))
    run = small(content=content, epochs=1, pretrained_lr=0.01).run(out=tmp_path / "runs", device="cpu")
    names = kept(run)
    language = {name for name in names if name.startswith("content.language.")}
    assert "content.language.base" in language
    assert all("lora_" in name for name in language - {"content.language.base"})
    assert any("layers.1" in name or "layer.1" in name for name in language)
    assert not any("layer.0." in name for name in language)
    assert load(run.path, device="cpu").evaluate()["test"] == run.record["test"]
    shutil.rmtree(folder)
    tiny_checkpoint(folder, "bert", layers=2, seed=9)
    with pytest.raises(CheckpointError, match="belong on frozen weights") as caught:
        load(run.path, device="cpu")
    assert caught.value.problem.fix


def test_a_frozen_token_table_is_kept_by_its_hash(small, tmp_path):
    """The table of a language model is in no checkpoint; the run is opened with the same numbers, and refused over another."""
    folder = tiny_checkpoint(tmp_path / "model", "bert", layers=1)
    experiment = small(content=Mean(), epochs=1).set(f"model.tokens=PretrainedTokens({str(folder)!r})")
    run = experiment.run(out=tmp_path / "runs", device="cpu")
    assert isinstance(experiment.model.tokens, PretrainedTokens)
    assert {name: size for name, size in kept(run).items() if "table" in name} == {"content.table.base": 32}
    assert load(run.path, device="cpu").evaluate()["test"] == run.record["test"]
    shutil.rmtree(folder)
    tiny_checkpoint(Path(folder), "bert", layers=1, seed=9)
    with pytest.raises(CheckpointError, match="trained on the token embeddings"):
        load(run.path, device="cpu")
