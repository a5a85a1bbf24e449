"""Models that read one text made of several attributes."""

from __future__ import annotations

import pytest
import torch

from lego import Pretrained, load, split
from lego.compiler.assemble import compile  # noqa: A004 - the verb of the language
from lego.errors import CompositionError
from lego.pretrained.template import rendered
from lego.testing.checkpoint import tiny_checkpoint


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    """The folder of a tiny BERT of two layers."""
    return tiny_checkpoint(tmp_path_factory.mktemp("bert"), "bert", layers=2)


def test_items_are_read_as_one_text(small, bert):
    """Ids are those of the whole text, cut as a whole, between one pair of special tokens."""
    experiment = small(
        content=Pretrained(str(bert), layers=split(1), template="story of {title} | {genres}", length=9)
    )
    made = compile(experiment, device="cpu")
    fed = made.fed[""]
    assert made.budgets == {"template": 9}
    assert fed.tokens.length == 11
    items = made.store.items
    texts = rendered(
        "story of {title} | {genres}", {name: items[name] for name in ("title", "genres")}
    ).to_pylist()
    raw = made.encoders[""].tokenizer
    cls, sep = (raw.token_to_id(each) for each in ("[CLS]", "[SEP]"))
    for row, text in enumerate(texts, 1):
        ids = raw.encode(text, add_special_tokens=False).ids[:9]
        assert fed.tokens.tokens[row].tolist() == [cls, *ids, sep]
    cut = sum(len(raw.encode(text, add_special_tokens=False).ids) > 9 for text in texts)
    assert made.truncated == {"template": cut}
    whole = small(content=Pretrained(str(bert), template="{title} {genres}")).set(
        "model.reads={'title': 4, 'genres': 3}"
    )
    assert compile(whole, device="cpu").budgets == {"template": 7}


def test_attributes_of_a_template_must_be_there_and_be_read(small, bert):
    """A name that is not read, or that the items lack, is a problem that says what to write."""
    unread = small(content=Pretrained(str(bert), template="{title} {genres}")).set("model.reads={'title': 9}")
    with pytest.raises(CompositionError, match=r"names 'genres', which the model does not read(?s:.)*reads="):
        compile(unread, device="cpu")
    lost = small(content=Pretrained(str(bert), template="{titel}"))
    with pytest.raises(CompositionError, match="names 'titel'"):
        compile(lost, device="cpu")
    (problem,) = Pretrained(str(bert), length=4).problems(8, "content")
    assert "there is none" in problem.what


def test_a_run_with_a_template_opens_again_and_reads_new_items(small, bert, tmp_path):
    """The same numbers when opened; an item from outside with the same values gets the same score."""
    content = Pretrained(str(bert), layers=split(1), template="{title} {genres}")
    run = small(content=content, epochs=1).run(out=tmp_path, device="cpu")
    opened = load(run.path, device="cpu")
    assert opened.evaluate()["test"] == run.record["test"]
    items = opened.store.items.slice(0, 3)
    first = {name: items[name][0].as_py() for name in ("title", "genres")}
    history = items["item_id"].slice(1, 2).to_pylist()
    new = [{"item_id": "new", **first}]
    old = opened.recommend(history=history, items=[{"item_id": items["item_id"][0].as_py()}])
    found = opened.recommend(history=history, items=new)
    assert found["new"].to_pylist() == [True]
    torch.testing.assert_close(found["score"][0].as_py(), old["score"][0].as_py(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("states", "size"), [(None, 4), ("fp32", 4), ("bf16", 2), ("fp16", 2)])
def test_states_are_kept_in_the_dtype_of_the_checkpoint_or_as_asked(small, bert, states, size):
    """Two or four bytes a number, known before; items are those of the full model, up to the rounding of 16 bits."""
    content = Pretrained(str(bert), layers=split(1), states=states)
    planned = compile(small(content=content), weights=False).caches[0].bytes
    made = compile(small(content=content), device="cpu")
    assert planned == made.caches[0].bytes
    assert planned == sum(len(each) for each in _tokens(made)) * 16 * size
    rows = torch.arange(1, 20)
    with torch.no_grad():
        found = made.pipeline.eval().encode_items(rows).tensor
        plain = Pretrained(str(bert), layers=split(0))
        whole = compile(small(content=plain), device="cpu").pipeline.eval().encode_items(rows).tensor
    torch.testing.assert_close(
        found, whole, rtol=1e-5 if size == 4 else 2e-2, atol=1e-5 if size == 4 else 2e-2
    )


def test_a_checkpoint_in_16_bits_has_states_in_16_bits(small, tmp_path):
    """Where nothing is asked for, the weights say it."""
    from safetensors.torch import load_file, save_file

    folder = tiny_checkpoint(tmp_path / "half", "bert", layers=2)
    weights = load_file(folder / "model.safetensors")
    save_file(
        {name: value.bfloat16() for name, value in weights.items()},
        folder / "model.safetensors",
        {"format": "pt"},
    )
    made = compile(small(content=Pretrained(str(folder), layers=split(1))), device="cpu")
    assert made.pipeline.content.states_dtype == "bfloat16"
    assert made.caches[0].bytes == sum(len(each) for each in _tokens(made)) * 16 * 2


def _tokens(made):
    tokens = made.fed[""].tokens.tokens
    return [tokens[row] for row in range(len(tokens))]
