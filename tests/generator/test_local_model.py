from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from lego import LocalModel
from lego.errors import CheckpointError
from lego.generator.answer import Field, Shape
from lego.generator.base import Question
from lego.pretrained.decoder import Added, Decoder, Wanted
from lego.testing import GeneratorTests
from lego.testing.checkpoint import tiny_checkpoint

WORDS = [*"abcdefghij", '"', "{", "}", "[", "]", ":", ",", "title", "topics"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("m") / "llama"
    options = {"max_position_embeddings": 256, "tie_word_embeddings": True}
    return str(tiny_checkpoint(place, "llama", layers=2, words=WORDS, **options))


def questions(count: int) -> list[Question]:
    fields = (Field(name="title", tokens=5), Field(name="topics", kind="list", tokens=6))
    return [
        Question(
            step="s",
            about=f"item:{place}",
            messages=(("system", "a b c"), ("user", " ".join("abcdefghij"[: place + 1]))),
            shape=Shape(fields=fields),
            max_tokens=30,
        )
        for place in range(count)
    ]


def test_what_is_added_is_what_transformers_adds(folder):
    """Greedy, in a batch of unequal texts with a common beginning: the same tokens as one text at a time by `generate`."""
    from transformers import AutoModelForCausalLM

    decoder = Decoder(folder)
    oracle = AutoModelForCausalLM.from_pretrained(folder)
    texts = ["a b c d", "a b", "a b c j i h g f e", "a b j"]
    wanted = [Wanted(text=text, tokens=7, done=lambda _: False) for text in texts]
    for text, added in zip(texts, decoder.go_on(wanted), strict=True):
        ids = torch.tensor([decoder.tokenizer.encode(text, add_special_tokens=False)])
        out = oracle.generate(
            ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=7, pad_token_id=0
        )[0, ids.shape[1] :]
        told = [int(each) for each in out if int(each) not in decoder.ends]
        assert added.text == decoder.tokenizer.decode(told, skip_special_tokens=True)
        assert (added.read, added.written) == (ids.shape[1], len(told))


def test_an_answer_has_its_fields_whatever_the_model_writes(folder):
    """A model with drawn weights writes nonsense, between the marks of the JSON that was asked for."""
    writer = LocalModel(folder, batch=3).open()
    for reply in writer.ask(questions(3)):
        found = json.loads(reply.text)
        assert list(found) == ["title", "topics"]
        assert isinstance(found["title"], str)
        assert isinstance(found["topics"], list)
        assert reply.answer_tokens <= 11
        assert reply.prompt_tokens > 3
        assert reply.cost == 0


def test_a_draw_depends_on_seed_and_question_alone(folder):
    """The same answers whatever else is in the batch; others with another seed; greedy ones need no seed."""

    def told(seed: int, batch: int, temperature: float = 2.0) -> list[str]:
        writer = LocalModel(folder, batch=batch, temperature=temperature, seed=seed).open()
        asked = questions(4)
        return [reply.text for at in range(0, 4, batch) for reply in writer.ask(asked[at : at + batch])]

    assert told(1, 4) == told(1, 1) == told(1, 2)
    assert told(1, 4) != told(2, 4)
    assert told(1, 4, 0.0) == told(2, 1, 0.0)


def test_a_model_that_cannot_write_is_refused(tmp_path):
    """A reader of text has no words to give; the error names a model that has."""
    reader = str(tiny_checkpoint(tmp_path / "mpnet", "mpnet", layers=1))
    with pytest.raises(CheckpointError, match="SmolLM2"):
        LocalModel(reader).open()


def test_the_time_of_many_questions_is_reckoned_from_a_few_tokens(folder, monkeypatch):
    """With a model that reads a letter in 1 ms and writes a token of a batch in 20 ms: the time of all, by 60 tokens at most."""
    writer = LocalModel(folder, batch=4).open()
    clock = [0.0]
    tokens = []

    def go_on(wanted, *, temperature=0.0):
        clock[0] += sum(len(each.text) for each in wanted) * 1e-3 + 0.02 * (wanted[0].tokens - 1)
        tokens.append(sum(each.tokens for each in wanted))
        return [Added(text="a", read=1, written=each.tokens) for each in wanted]

    monkeypatch.setattr(writer.decoder, "go_on", go_on)
    monkeypatch.setattr(writer.decoder, "conversation", lambda told: " ".join(text for _, text in told))
    monkeypatch.setattr("lego.generator.local_model.time.perf_counter", lambda: clock[0])
    asked = questions(10) * 5
    read = sum(len(" ".join(text for _, text in each.messages)) for each in asked) * 1e-3
    took = writer.seconds(asked, 0.5)
    # Two fields, so each question is read twice; four questions are written at once, half of their 30 tokens.
    assert took == pytest.approx(2 * read + 50 / 4 * 15 * 0.02, rel=0.1)
    assert sum(tokens) <= 60
    assert clock[0] < took / 3


def test_a_checkpoint_that_is_nowhere_is_told_without_opening_it(tmp_path, folder):
    """It is what the generator lacks; one that is here can be tried."""
    (problem,) = LocalModel(str(tmp_path / "none")).lacks()
    assert "there is no folder" in problem.what
    assert (list(LocalModel(folder).lacks()), LocalModel(folder).tried) == ([], True)


def test_nobody_is_asked_what_a_generator_lacks(tmp_path, monkeypatch):
    """A checkpoint that is not here may be on the hub, which is asked when it is opened; without a network it is lacking."""
    asked = []

    def fetched(name, **_):
        asked.append(name)
        raise OSError("no network")

    monkeypatch.setattr("huggingface_hub.snapshot_download", fetched)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    far = LocalModel("nobody/no-such-model")
    assert (list(far.lacks()), far.tried, asked) == ([], False, [])
    with pytest.raises(CheckpointError, match="hf download nobody/no-such-model"):
        far.open()
    assert asked == ["nobody/no-such-model"]
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    (problem,) = far.lacks()
    assert "hf download" in problem.fix


def test_a_checkpoint_that_is_here_and_damaged_is_told(tmp_path, folder):
    """Before it is opened: a file is missing, or cut."""
    copy = Path(shutil.copytree(folder, tmp_path / "cut"))
    weights = copy / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-10])
    (problem,) = LocalModel(str(copy)).lacks()
    assert "truncated" in problem.what


class TestLocalModel(GeneratorTests):
    """A tiny model that answers two at once."""

    @pytest.fixture
    def spec(self, folder):
        return LocalModel(folder, batch=2)
