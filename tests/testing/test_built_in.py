"""The suites for parts around a model, on what comes with lego."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lego import (
    BM25,
    GloVe,
    Popularity,
    PretrainedTokens,
    Random,
    ScoreFile,
    TextSimilarity,
    Words,
)
from lego.pretrained.packaged import MINILM, SMOLLM2
from lego.testing import CheckpointTests, ScorerTests, TokensTests
from lego.testing.checkpoint import tiny_checkpoint

VECTORS = "red 0.5 -1 2\nfox 1 2 3\nblue 4 5 6\nsea 7 8 9\nx 1 1 1\na 2 2 2\n"


@pytest.fixture(scope="module")
def encoder_folder(tmp_path_factory):
    """A checkpoint that reads texts."""
    words = ["red", "fox", "blue", "sea", "the", ","]
    return str(tiny_checkpoint(tmp_path_factory.mktemp("encoder") / "bert", words=words))


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


class TestMiniLM(CheckpointTests):
    """The small encoder, where its package is installed."""

    name = MINILM.name


class TestSmolLM2(CheckpointTests):
    """The small decoder, where its package is installed."""

    name = SMOLLM2.name
