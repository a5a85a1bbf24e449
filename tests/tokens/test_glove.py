"""Word vectors from a file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from lego.errors import DataError
from lego.spec import Context
from lego.tokens.glove import GloVe
from lego.tokens.vocabulary import PADDING, SEPARATOR, UNKNOWN, WordEncoder

SMALL = "the 0.5 -1 2e-1\n, 1 2 3\nsports 4 5 6\n. . . 7 8 9\nfilm 1 1 1\nnoir 2 2 2\n"


def columns(*titles: str | None) -> dict[str, pa.ChunkedArray]:
    return {"title": pa.chunked_array([pa.array(titles, pa.string())])}


def written(folder: Path, text: str, name: str = "vectors.txt") -> str:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return str(path)


def arrays(folder: Path, words: list[str], vectors: np.ndarray, column: str = "index") -> str:
    np.save(folder / "some_emb.npy", vectors)
    pq.write_table(pa.table({column: words}), folder / "some_index.parquet")
    return str(folder)


def context(encoder: WordEncoder, *, weights: bool = True) -> Context:
    return Context(width=64, input_width=3, length=9, encoder=encoder, weights=weights)


def vectors_of(spec: GloVe, text: str) -> list[list[float]]:
    """What the first vectors of a text are."""
    encoder = spec.fit(columns(text))
    ids = torch.from_numpy(encoder.encode("title", columns(text)["title"]).values.astype(np.int64))
    return spec.build(context(encoder))(ids).tolist()


def test_each_word_has_its_line(tmp_path: Path) -> None:
    """Words get the values of their line whatever the order and case of the text; the width is that of the file."""
    spec = GloVe(written(tmp_path, SMALL))
    assert spec.width(64) == 3
    assert vectors_of(spec, "Sports, THE film") == [
        [4, 5, 6],
        [1, 2, 3],
        [0.5, -1, pytest.approx(0.2)],
        [1, 1, 1],
    ]


def test_only_words_of_the_corpus_are_kept_and_the_others_counted(tmp_path: Path) -> None:
    """Words that the file lacks are unknown and begin as zero, as padding and the separator do."""
    spec = GloVe(written(tmp_path, SMALL))
    encoder = spec.fit(columns("sports zyzzyva sports", "zyzzyva, qwerty", None))
    assert encoder.words == ("sports", ",")
    coverage = encoder.coverage
    assert (coverage.words, coverage.unknown) == (2, 2)
    assert (coverage.occurrences, coverage.unknown_occurrences) == (6, 3)
    assert encoder.encode("title", columns("qwerty sports")["title"]).values.tolist() == [UNKNOWN, 3]
    table = spec.build(context(encoder))
    assert table.weight.shape == (5, 3)
    assert not table.weight[[PADDING, UNKNOWN, SEPARATOR]].any()


def test_categories_and_lists_are_read_as_words(tmp_path: Path) -> None:
    """A genre Film-Noir is the words film and noir, and a category the same word as in a title."""
    data = {
        **columns("film"),
        "category": pa.chunked_array([pa.array(["Sports"]).dictionary_encode()]),
        "genres": pa.chunked_array([pa.array([["Film-Noir", None, "sports"]])]),
    }
    encoder = GloVe(written(tmp_path, SMALL)).fit(data)
    words = [
        encoder.words[each - 3] if each > 2 else "?"
        for each in encoder.encode("genres", data["genres"]).values
    ]
    assert words == ["film", "?", "noir", "sports"]
    same = encoder.encode("category", data["category"]).values
    assert same.tolist() == encoder.encode("title", columns("sports")["title"]).values.tolist()


@pytest.mark.parametrize("trainable", [True, False])
def test_vectors_learn_unless_told_not_to(trainable: bool, tmp_path: Path) -> None:
    """`trainable=False` freezes the table; padding never learns."""
    spec = GloVe(written(tmp_path, SMALL), trainable=trainable)
    table = spec.build(context(spec.fit(columns("sports"))))
    assert table.weight.requires_grad is trainable
    if trainable:
        table(torch.tensor([PADDING, 3])).sum().backward()
        assert table.weight.grad.abs().sum(1).tolist() == [0, 0, 0, 3]


def test_a_header_line_of_word2vec_is_skipped(tmp_path: Path) -> None:
    """`count width` on top is no word; a word that is a number is one."""
    assert vectors_of(GloVe(written(tmp_path, "2 3\nsports 4 5 6\n2 7 8 9\n")), "2 sports") == [
        [7, 8, 9],
        [4, 5, 6],
    ]
    assert vectors_of(GloVe(written(tmp_path, "7 3\n8 4\n")), "7 8") == [[3], [4]]


def test_words_with_blanks_are_passed_over(tmp_path: Path) -> None:
    """The larger official files have words like `. . .`: their lines are sound, and no text holds such a word."""
    assert vectors_of(GloVe(written(tmp_path, SMALL)), "film .") == [[1, 1, 1], [0, 0, 0]]


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("", 1, "empty"),
        ("sports\n", 1, "no value"),
        ("the 1 2 3\nsports 1 2\n", 2, "2 values, line 1 has 3"),
        ("the 1 2 3\nsports 1 2 3 4\n", 2, "4 values, line 1 has 3"),
        ("the 1 2 3\nother 1 2\nsports 1 2 3\n", 2, "2 values"),
        ("the 1 2 3\n\nsports 1 2 3\n", 2, "no values"),
        ("2 3\nthe 1 2 3\nsports 1 2\n", 3, "line 2 has 3"),
        ("the 1 2 3\nsports 1 x 3\n", 2, "not a number"),
        ("the 1 2 3\nsports 1 nan 3\n", 2, "not finite"),
        ("the 1 2 3\nsports 1 2 3\nsports 4 5 6\n", 3, "already in line 2"),
    ],
)
def test_a_broken_line_is_named(text: str, line: int, says: str, tmp_path: Path) -> None:
    """The error tells file, line, what is wrong and what to do."""
    path = written(tmp_path, text)
    with pytest.raises(DataError, match=says) as caught:
        vectors_of(GloVe(path), "the sports")
    assert f"{path}:{line}" in str(caught.value)
    assert "fix:" in str(caught.value)


def test_a_missing_file_is_told_before_anything_is_built(tmp_path: Path) -> None:
    """The check tells it with where to get one, and so does whoever reads it."""
    spec = GloVe(str(tmp_path / "none.txt"))
    (problem,) = spec.problems(64, "tokens=GloVe(…)")
    assert "none.txt" in problem.what
    assert "glove.6B.zip" in problem.fix
    with pytest.raises(DataError, match=r"glove\.6B\.zip"):
        spec.width(64)
    assert not list(GloVe(written(tmp_path, SMALL)).problems(64, "tokens"))


def test_a_file_of_another_language_is_refused(tmp_path: Path) -> None:
    """Not one word in common cannot be meant."""
    with pytest.raises(DataError, match="none of the corpus's 2 words"):
        GloVe(written(tmp_path, SMALL)).fit(columns("ganz anders"))


def test_a_file_that_changed_after_fitting_is_refused(tmp_path: Path) -> None:
    """Words of the vocabulary that are gone would get no vector in silence."""
    spec = GloVe(written(tmp_path, SMALL))
    encoder = spec.fit(columns("sports the"))
    written(tmp_path, "the 1 2 3\n")
    with pytest.raises(DataError, match="no longer in it: sports"):
        spec.build(context(encoder))


def test_an_array_with_its_words_gives_the_same(tmp_path: Path) -> None:
    """A folder of .npy and .parquet reads as the text file of the same vectors."""
    words = ["the", ",", "sports", "film"]
    table = np.array([[0.5, -1, 0.2], [1, 2, 3], [4, 5, 6], [1, 1, 1]], np.float32)
    folder = GloVe(arrays(tmp_path, words, table))
    text = "Film, sports unheard the"
    assert folder.width(64) == 3
    assert vectors_of(folder, text) == vectors_of(GloVe(written(tmp_path, SMALL)), text)


@pytest.mark.parametrize(
    ("words", "table", "column", "says"),
    [
        (["the", "sports"], np.ones((3, 2), np.float32), "index", "2 words"),
        (["the", "sports"], np.ones((2, 2), np.int64), "index", "int64"),
        (["the", "sports"], np.ones(2, np.float32), "index", "2 words"),
        (["the", "sports"], np.ones((2, 2), np.float32), "word", "cannot be read"),
        (["the", "the"], np.ones((2, 2), np.float32), "index", "'the' is there more than once"),
        (["the", "sports"], np.array([[1, np.inf], [1, 2]]), "index", "'the' is not finite"),
    ],
)
def test_a_broken_folder_is_refused(
    words: list[str], table: np.ndarray, column: str, says: str, tmp_path: Path
) -> None:
    """Sizes, types, names and values that do not fit are named."""
    with pytest.raises(DataError, match=says):
        vectors_of(GloVe(arrays(tmp_path, words, table, column)), "the sports")


def test_a_folder_without_vectors_is_refused(tmp_path: Path) -> None:
    """Which files are wanted is said."""
    with pytest.raises(DataError, match=r"0 \.npy and 0 \.parquet"):
        GloVe(str(tmp_path)).width(64)


def test_saved_and_loaded_builds_the_same_table(tmp_path: Path) -> None:
    """A vocabulary from disk finds its vectors again; a plan needs the width alone."""
    spec = GloVe(written(tmp_path, SMALL))
    encoder = spec.fit(columns("sports the film"))
    encoder.save(tmp_path / "saved")
    loaded = spec.load(tmp_path / "saved")
    assert loaded.identity == encoder.identity
    assert torch.equal(spec.build(context(loaded)).weight, spec.build(context(encoder)).weight)
    with torch.device("meta"):
        assert spec.build(context(loaded, weights=False)).weight.shape == (6, 3)


def test_official_rows_are_read(shared_data: Path) -> None:
    """Rows of the official 6B file: the values of `the` as published, and similar words lie close."""
    path = shared_data / "glove" / "glove.6B.50d.txt"
    if not path.exists():
        pytest.skip(f"no official rows at {path}")
    spec = GloVe(str(path))
    assert spec.width(64) == 50
    the, man, woman, comma = torch.tensor(vectors_of(spec, "the man woman ,"))
    assert the[:4].tolist() == pytest.approx([0.418, 0.24968, -0.41242, 0.1217])
    assert torch.cosine_similarity(man, woman, 0) > 0.8 > torch.cosine_similarity(man, comma, 0)
