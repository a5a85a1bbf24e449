"""The text and JSON forms of specs: every value survives them, and nothing but the language is understood."""

from __future__ import annotations

import json
import types
import typing
from collections.abc import Mapping
from functools import cache

import attrs
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from lego import Experiment, MovieLens, Recommender, Training, catalog, parse
from lego.errors import CatalogError, ExpressionError, LegoError, SpecError
from lego.expression import SPEAKING, from_json, to_json, write
from lego.spec import Choice, FrozenMap, Spec, any_of, cases, field_names

FAMILIAR = {
    "Adressa": "Adressa('raw')",
    "Augment": "Augment(MovieLens('raw'), title=Rewrite('{title}'), generator=Replay('answers.jsonl'))",
    "OpenAICompatible": "OpenAICompatible('model', key='MY_KEY', temperature=0.5)",
    "Replay": "Replay('answers.jsonl')",
    "EBNeRD": "EBNeRD('raw')",
    "MIND": "MIND('raw')",
    "PENS": "PENS('raw')",
    "RecBench": "RecBench('raw')",
    "MovieLens": "MovieLens('raw')",
    "Anime": "Anime('raw')",
    "POG": "POG('raw')",
    "MicroLens": "MicroLens('raw')",
    "Netflix": "Netflix('raw')",
    "LastFM": "LastFM('raw')",
    "BookCrossing": "BookCrossing('raw')",
    "HM": "HM('raw')",
    "Prepared": "Prepared('prepared')",
    "Steam": "Steam('raw')",
    "HotelRec": "HotelRec('raw')",
    "Yelp": "Yelp('raw')",
    "Goodreads": "Goodreads('raw')",
    "Amazon": "Amazon('raw')",
    "Embedding": "Embedding('items.npy')",
    "ScoreFile": "ScoreFile('scores.parquet')",
    "SemanticID": "SemanticID('items.npy')",
    "WhitenedExperts": "WhitenedExperts('items.npy')",
    "GloVe": "GloVe('glove.txt')",
    "Pretrained": "Pretrained('owner/model')",
    "PretrainedTokens": "PretrainedTokens('owner/model')",
    "Hit": "Hit(5)",
    "Precision": "Precision(5)",
    "Recall": "Recall(k=5)",
}
"""Expressions of operators that have no default for an option."""


def tried(entry):
    """Whether an entry has a text, and what it needs is installed."""
    return entry.slot in SPEAKING and not (catalog.fault(entry) or "").startswith(catalog.MISSING)


@cache
def instances() -> tuple[Spec, ...]:
    """At least one instance of every operator of the catalog, and the specs that are not operators."""
    found: list[Spec] = [
        Training(),
        parse("Evaluation()"),
        parse("full()"),
        parse("frozen()"),
        parse("split(-2)"),
    ]
    for entry in catalog.entries():
        if not tried(entry):
            continue
        made = catalog.load_entry(entry)
        if entry.name in FAMILIAR:
            found.append(parse(FAMILIAR[entry.name]))
        elif isinstance(made, type):
            assert issubclass(made, Spec)
            found += made.examples()
        else:
            found.append(made())
    found.append(
        parse(
            "Recommender(Attention(pool=None) >> GRU(), PolyAttention(), InterestAttention(), reads={'title': 3})"
        )
    )
    found.append(Experiment(data=MovieLens("raw"), model=found[-1]))
    return tuple(found)


@st.composite
def specs(draw: st.DrawFn) -> Spec:
    """One of the instances, with some of its options replaced by whatever fits them; some by choices."""
    spec = draw(st.sampled_from(instances()))
    hints = typing.get_type_hints(type(spec))
    for name in draw(st.lists(st.sampled_from(field_names(type(spec)) or ("",)), max_size=3)):
        if not name:
            continue
        value = draw(values(hints[name]))
        if draw(st.booleans()):
            made = any_of if draw(st.booleans()) else cases
            value = made(value, draw(values(hints[name])))
        try:
            spec = attrs.evolve(spec, **{name: value})
        except (LegoError, TypeError):  # the validator of the option, or a rule between options
            continue
    return spec


def values(hint: typing.Any) -> st.SearchStrategy[typing.Any]:
    """Values of an annotation."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return st.one_of([values(each) for each in arguments])
    if origin is typing.Literal:
        return st.sampled_from(arguments)
    if origin is tuple:
        return st.lists(values(arguments[0]), min_size=1, max_size=3).map(tuple)
    if origin is Mapping:
        return st.dictionaries(st.text(), values(arguments[1]), max_size=3)
    plain = {
        int: st.integers(-5, 2**70),
        float: st.floats(allow_nan=False, allow_infinity=False) | st.floats(0, 1) | st.integers(0, 3),
        bool: st.booleans(),
        str: st.text(),
        types.NoneType: st.none(),
    }
    if hint in plain:
        return plain[hint]
    fitting = [each for each in instances() if isinstance(each, hint)]
    return st.sampled_from(fitting) if fitting else st.none()


@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
@given(specs())
def test_every_value_survives_text_and_json(spec):
    """What is written, in short or in full, or recorded as JSON, is read again as an equal value that hashes and prints alike."""
    record = json.loads(json.dumps(to_json(spec)))
    for again in (parse(write(spec)), parse(write(spec, full=True)), from_json(record)):
        assert again == spec
        assert hash(again) == hash(spec)
        assert repr(again) == repr(spec)


def test_every_operator_is_among_the_tried():
    """The property is tried on each spec class of the catalog."""
    found = {type(each).__name__ for each in instances()}
    listed = {each.name for each in catalog.entries() if tried(each)}
    functions = {"BERT", "GLM", "LLaMA", "OPT", "Qwen"}
    assert listed - found == functions


@pytest.mark.parametrize(
    "text",
    [
        "GRU()",
        "GRU(hidden=128)",
        "Attention(pool=None) >> GRU()",
        "any_of(CNN(pool=None), Attention(pool=None)) >> GRU()",
        "Attention(pool=None) >> any_of(GRU(), Mean())",
        "Attention(heads=any_of(2, 4))",
        "Pretrained('owner/model', layers=split(10))",
        r"""MovieLens("it's \\ here", above=3.5)""",
        "Evaluation(metrics=('gauc',))",
        "DCN(cross=any_of(1, 2), hidden=any_of((8,), (8, 4)))",
        "{'title': 30, 'category': 1}",
        "Chain(any_of((Attention(pool=None), GRU()), (CNN(pool=None), Mean())))",
        "DCN(hidden=(any_of(8, 16), 4))",
        "(1, -2.5, None, True, 'é')",
        "()",
    ],
)
def test_text_is_written_as_it_was_read(text):
    """The short form of a value is the expression that a person would write."""
    assert write(parse(text)) == text


def test_options_at_their_default_are_left_out_unless_all_are_wanted():
    """`full` spells out every option, inside other specs as well."""
    spec = parse("Attention(heads=4, dropout=0.2)")
    assert write(spec) == "Attention(dropout=0.2)"
    full = "Attention(heads=4, dropout=0.2, positions=False, residual=False, projection=False, pool=Additive(hidden=256))"
    assert write(spec, full=True) == full


def test_a_built_in_can_be_qualified():
    """`legorec.GRU` is GRU."""
    assert parse("legorec.GRU(hidden=3)") == parse("GRU(hidden=3)")


def test_lists_and_blanks_are_as_good_as_tuples():
    """A list makes a tuple, and lines and blanks around an expression do not count."""
    assert parse("\n  DCN(\n    hidden=[8, 4],\n  )\n") == parse("DCN(hidden=(8, 4))")


# --- what is refused ----------------------------------------------------------------------------------------------------------

MALICIOUS = [
    "__import__('os').system('exit 1')",
    "open('/etc/passwd').read()",
    "eval('1')",
    "exec('x = 1')",
    "getattr(GRU(), 'build')()",
    "GRU().__class__.__mro__",
    "GRU.__init__.__globals__['catalog']",
    "().__class__.__bases__[0].__subclasses__()",
    "(lambda: 1)()",
    "[GRU() for _ in (1, 2)]",
    "{GRU() for _ in (1, 2)}",
    "{'a': GRU() for _ in (1, 2)}",
    "(x for x in (1,))",
    "f'{GRU()}'",
    "GRU(*(1, 2))",
    "GRU(**{'hidden': 2})",
    "{**{'a': 1}}",
    "GRU() if True else CNN()",
    "GRU() and CNN()",
    "not GRU()",
    "1 + 1",
    "2 ** 99999999",
    "'a' * 10",
    "GRU() < CNN()",
    "GRU()[0]",
    "(x := GRU())",
    "await GRU()",
    "b'bytes'",
    "1j",
    "...",
    "-True",
    "+1",
    "~1",
    "-'a'",
    "1e999",
    "-1e999",
    "nan",
    "inf",
    "{1: 2}",
    "{GRU(): 2}",
    "{'a', 'b'}",
    "GRU(); CNN()",
    "x = GRU()",
    "import os",
    "lego.catalog.load('a', 'b')",
    "run()",
    "catalog()",
    "GRU()()",
    "GRU(hidden=GRU)",
    "GRU(hidden=1, hidden=2)",
    "{'title': 1, 'title': 2}",
    "1 >> 2",
    "GRU() >> 2",
    "GRU() | CNN()",
    "Dot() >> GRU()",
    "",
    "   ",
    "GRU(",
    "GRU)",
    "\0",
    "'\ud800'",
    "(" * 300 + ")" * 300,
    "-" * 50_000 + "1",
    "Mean()" + " >> Mean()" * 20_000,
    "[" * 90 + "]" * 90 + "x",
]


@pytest.mark.parametrize("text", MALICIOUS, ids=lambda text: text[:30].encode("unicode_escape").decode())
def test_what_is_not_the_language_is_refused(text):
    """Attributes, arithmetic, comprehensions, unknown names and floods of brackets are errors of ours, and nothing is called."""
    with pytest.raises((ExpressionError, CatalogError, SpecError)):
        parse(text)


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="GRU()[]{}=,.'\"\\:>|*-+ 1e9_\n\0é", max_size=40) | st.text(max_size=40))
@example("GRU(hidden='")
@example("\\")
@example("# a comment")
def test_any_text_is_a_value_or_an_error_of_ours(text):
    """No text whatever ends in another exception."""
    try:
        made = parse(text)
    except LegoError:
        return
    assert parse(write(made)) == made


@pytest.mark.filterwarnings("ignore:invalid escape sequence")
def test_a_wrong_escape_is_still_a_text():
    """A Windows path in quotes is what Python makes of it."""
    assert parse(r"'C:\data'") == r"C:\data"


@pytest.mark.parametrize(
    ("text", "line", "place"),
    [
        ("GRU(hidden=foo)", "GRU(hidden=foo)", "foo"),
        ("('é', '你', foo)", "('é', '你', foo)", "foo"),
        ("GRU(\n  hidden=foo,\n)", "  hidden=foo,", "foo"),
        ("DCN(hidden=(8, 1 + 1))", "DCN(hidden=(8, 1 + 1))", "1 + 1"),
        ("Attention(pool=Addition())", "Attention(pool=Addition())", "Addition"),
        ("GRU(hidden=1, hidden=2)", "GRU(hidden=1, hidden=2)", "2)"),
        ("GRU(hidden=1 2)", "GRU(hidden=1 2)", "1 2"),
        ("(\n1,\n  2 3)", "  2 3)", "2 3"),
    ],
)
def test_an_error_shows_the_place(text, line, place):
    """The line and a mark under where it goes wrong, counted in characters."""
    with pytest.raises((ExpressionError, CatalogError)) as caught:
        parse(text)
    shown, mark = str(caught.value).split("\n")[-2:]
    assert shown == f"  {line}"
    assert mark == "  " + " " * line.index(place) + "^"


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("GRUU()", "Did you mean 'GRU'"),
        ("gru()", "Did you mean 'GRU'"),
        ("GRU(hiden=2)", "Did you mean 'hidden'"),
        ("GRU", r"GRU needs its brackets: GRU\(\)"),
        ("glove", "A text needs quotes: 'glove'"),
        ("{1: 2}", "keys of a dict are texts"),
        ("GRU(hidden=1, hidden=2)", "hidden is given twice"),
        ("1e999", "too large"),
        ("GRU(*(1,))", "write the arguments out"),
        ("Dot() >> GRU()", "cannot be joined"),
        ("split()", "split: .*at"),
    ],
)
def test_an_error_says_the_way_out(text, hint):
    """Each refusal says what to write instead."""
    with pytest.raises(LegoError, match=hint):
        parse(text)


def test_errors_of_a_function_are_ours(distribution):
    """A preset that raises an ordinary error at its arguments becomes an error with the place."""
    distribution(
        "presets",
        "[lego.task]\nPreset = presets_module:Preset\n",
        presets_module="def Preset(n): raise ValueError(f'no {n}')",
    )
    with pytest.raises(ExpressionError, match="Preset: no 3"):
        parse("Preset(3)")


# --- JSON ---------------------------------------------------------------------------------------------------------------------


def test_json_names_classes_and_spells_out_options():
    """A record has the class under `$` and every option, those of inner specs too."""
    assert to_json(parse("GRU(hidden=3)")) == {
        "$": "GRU",
        "hidden": 3,
        "layers": 1,
        "dropout": 0.0,
        "pool": {"$": "Last"},
    }
    assert to_json(any_of(1, (2, 3))) == {"$": "any_of", "values": [1, [2, 3]]}


def test_json_of_an_unknown_class_is_an_error():
    """A record that names what is not installed says so."""
    with pytest.raises(CatalogError, match="No operator is called 'Gone'"):
        from_json({"$": "Gone"})


def test_json_of_a_class_of_ones_own_names_its_module():
    """A class that no entry point lists is recorded with where it was."""
    from lego.spec import Behavior, operator

    @operator
    class Own(Behavior):
        size: int = 1

    assert to_json(Own())["$"] == f"{__name__}:{Own.__qualname__}"
    assert from_json(to_json(Own(size=2)), names={f"{__name__}:{Own.__qualname__}": Own}.__getitem__) == Own(
        size=2
    )


def test_choices_and_maps_come_back_as_what_they_are():
    """A choice of dicts is a choice of frozen maps."""
    value = cases({"title": 1}, {"title": 2, "genres": 3})
    again = from_json(to_json(value))
    assert isinstance(again, Choice)
    assert isinstance(again.values[0], FrozenMap)
    assert again == value
    assert parse(write(value)) == value


def test_a_recommender_of_choices_survives():
    """Choices in several slots, in a chain and in a mapping, as a sweep has them."""
    text = (
        "Recommender(any_of(CNN(), Attention(heads=any_of(2, 4))), cases(GRU(), History()), cases(Dot(), DIN()), "
        "reads=any_of({'title': 5}, {'title': 9, 'genres': 2}), width=any_of(8, 16))"
    )
    model = parse(text)
    assert isinstance(model, Recommender)
    assert parse(repr(model)) == model
    assert from_json(json.loads(json.dumps(to_json(model)))) == model
