"""The suites for parts around a model, on what comes with lego."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lego import (
    BM25,
    GloVe,
    LocalModel,
    OpenAICompatible,
    Popularity,
    PretrainedTokens,
    Random,
    Replay,
    ScoreFile,
    TextSimilarity,
    Words,
)
from lego.pretrained.packaged import MINILM, SMOLLM2
from lego.testing import CheckpointTests, GeneratorTests, ScorerTests, TokensTests
from lego.testing.checkpoint import tiny_checkpoint

VECTORS = "red 0.5 -1 2\nfox 1 2 3\nblue 4 5 6\nsea 7 8 9\nx 1 1 1\na 2 2 2\n"


@pytest.fixture(scope="module")
def encoder_folder(tmp_path_factory):
    """A checkpoint that reads texts."""
    words = ["red", "fox", "blue", "sea", "the", ","]
    return str(tiny_checkpoint(tmp_path_factory.mktemp("encoder") / "bert", words=words))


@pytest.fixture(scope="module")
def decoder_folder(tmp_path_factory):
    """A checkpoint that writes them."""
    words = [*"abcdefghij", '"', "{", "}", "[", "]", ":", ",", "title", "some", "words"]
    options = {"max_position_embeddings": 256, "tie_word_embeddings": True}
    return str(
        tiny_checkpoint(
            tmp_path_factory.mktemp("decoder") / "llama", "llama", layers=1, words=words, **options
        )
    )


class TestWords(TokensTests):
    """Words of the corpus, all of them and some."""

    specs = (Words(), Words(min_count=2, max_size=5))


class TestGloVe(TokensTests):
    """Words of a file, learning on and not."""

    @pytest.fixture(params=[True, False])
    def spec(self, request, tmp_path):
        (tmp_path / "vectors.txt").write_text(VECTORS)
        return GloVe(str(tmp_path / "vectors.txt"), trainable=request.param)


class TestPretrainedTokens(TokensTests):
    """The lowest part of a language model."""

    @pytest.fixture(params=[False, True])
    def spec(self, request, encoder_folder):
        return PretrainedTokens(encoder_folder, trainable=request.param)


class TestPopularity(ScorerTests):
    """How often an item was clicked."""

    operator = Popularity


class TestRandom(ScorerTests):
    """Chance, from a seed."""

    specs = (Random(), Random(seed=3))


class TestBM25(ScorerTests):
    """Words of the history in the candidates."""

    @pytest.fixture
    def spec(self):
        pytest.importorskip("bm25s")
        return BM25()


class TestTextSimilarity(ScorerTests):
    """Vectors of the texts, given."""

    @pytest.fixture
    def spec(self, store, tmp_path):
        vectors = np.random.default_rng(0).normal(size=(store.item_count, 4)).astype(np.float32)
        ids = store.item_ids.to_pylist()
        table = pa.table({"item_id": ids, "vector": list(vectors)})
        pq.write_table(table, tmp_path / "vectors.parquet")
        return TextSimilarity(str(tmp_path / "vectors.parquet"))


class TestScoreFile(ScorerTests):
    """What another system scored."""

    @pytest.fixture
    def spec(self, store, tmp_path):
        rows = []
        ids = store.item_ids.to_pylist()
        for part in store.parts:
            impressions = store.part(part).recent(5)
            for row, name in enumerate(impressions.impression.tolist()):
                rows += [(name, ids[item - 1], float(item % 7)) for item in impressions.candidates[row]]
        columns = dict(
            zip(("impression", "item", "score"), zip(*dict.fromkeys(rows), strict=True), strict=True)
        )
        pq.write_table(pa.table(columns), tmp_path / "scores.parquet")
        return ScoreFile(str(tmp_path / "scores.parquet"))


class TestLocalModel(GeneratorTests):
    """A model on this machine, with drawn weights."""

    @pytest.fixture
    def spec(self, decoder_folder):
        return LocalModel(decoder_folder, batch=2)


class TestReplay(GeneratorTests):
    """Answers that are there already."""

    @pytest.fixture
    def spec(self, tmp_path):
        (tmp_path / "titles.jsonl").write_text('{"nid": "N1", "newtitle": "Other"}\n')
        return Replay(str(tmp_path / "titles.jsonl"))


class _Server(BaseHTTPRequestHandler):
    """Answers every question with the same title."""

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        message = {"role": "assistant", "content": json.dumps({"title": "A title"})}
        answer = {
            "id": "1",
            "object": "chat.completion",
            "created": 0,
            "model": "double",
            "choices": [{"index": 0, "finish_reason": "stop", "message": message}],
            "usage": {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8},
        }
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *words):
        """Nothing is printed."""


@pytest.fixture(scope="module")
def server():
    """Where the double answers."""
    made = ThreadingHTTPServer(("127.0.0.1", 0), _Server)
    thread = threading.Thread(target=made.serve_forever, daemon=True)
    thread.start()
    yield SimpleNamespace(url=f"http://127.0.0.1:{made.server_port}/v1")
    made.shutdown()
    made.server_close()
    thread.join()


class TestOpenAICompatible(GeneratorTests):
    """A server, which a double stands for."""

    @pytest.fixture
    def spec(self, server):
        pytest.importorskip("openai")
        return OpenAICompatible("double", url=server.url, key="NO_SUCH_KEY")


class TestMiniLM(CheckpointTests):
    """The small encoder, where its package is installed."""

    name = MINILM.name


class TestSmolLM2(CheckpointTests):
    """The small decoder, where its package is installed."""

    name = SMOLLM2.name
