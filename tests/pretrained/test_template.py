"""One text from several attributes."""

from __future__ import annotations

import pyarrow as pa
import pytest

from lego import Pretrained
from lego.errors import SpecError
from lego.pretrained.template import fields_of, rendered
from lego.pretrained.tokenizer import PretrainedEncoder


def column(values, kind=None):
    return pa.chunked_array([pa.array(values, kind or pa.string())])


COLUMNS = {
    "title": column(["Toy Story", None, "Night", "", " "]),
    "genres": column([["a", "b"], ["b"], [], None, None], pa.list_(pa.string())),
    "year": column([1995, None, 2001, None, None], pa.int64()),
    "kind": column(["x", None, "y", None, ""]).dictionary_encode(),
}


def test_texts_are_what_format_makes():
    """Each item's text is `str.format` of its values; an absent value is empty, an item without any value has no text."""
    template = "News {{new}}: {title} [{genres}] ({year}, {kind}), {title}"
    wanted = []
    for place in range(5):
        values = {name: each[place].as_py() for name, each in COLUMNS.items()}
        shown = {
            name: ", ".join(value) if isinstance(value, list) else "" if value is None else str(value)
            for name, value in values.items()
        }
        wanted.append(template.format(**shown) if any(each.strip() for each in shown.values()) else None)
    assert rendered(template, COLUMNS).to_pylist() == wanted
    assert wanted[3:] == [None, None]
    assert fields_of(template) == ("title", "genres", "year", "kind")


@pytest.mark.parametrize(
    "text", ["News", "{}", "{0.name}", "{title!r}", "{title:>9}", "{title", "title}", "{a b}", ""]
)
def test_what_is_no_template_is_refused(text):
    """Anything but plain names in braces is an error that shows how one is written."""
    with pytest.raises(SpecError, match=r"template must be a text with attributes in braces"):
        Pretrained("some/model", template=text)


def test_the_template_is_part_of_the_tokens(bert, tmp_path):
    """Another template, or another length, is another tokenizer; the saved one is the same."""
    spec = Pretrained(str(bert), template="toy {title}")
    encoder = spec.tokens.fit({})
    others = [
        Pretrained(str(bert)).tokens.fit({}),
        Pretrained(str(bert), template="toy {title} ").tokens.fit({}),
        Pretrained(str(bert), template="toy {title}", length=3).tokens.fit({}),
    ]
    assert len({each.identity for each in (encoder, *others)}) == 4
    encoder.save(tmp_path)
    assert spec.tokens.load(tmp_path).identity == encoder.identity
    assert PretrainedEncoder.read(tmp_path).template == "toy {title}"
