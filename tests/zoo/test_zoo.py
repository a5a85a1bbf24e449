from __future__ import annotations

import json
import math
import re
import subprocess
import sys

import attrs
import numpy as np
import pytest

from lego import (
    MIND,
    Additive,
    Experiment,
    Matching,
    MovieLens,
    Recommender,
    Training,
    any_of,
    cases,
    compile,  # noqa: A004
    parse,
    split,
    zoo,
)
from lego.compiler.check import check
from lego.errors import CatalogError, ExpressionError, SpecError
from lego.expression import from_json, to_json
from lego.runtime import score
from lego.spec import choices
from lego.testing.checkpoint import tiny_checkpoint

ENTRIES = {entry.name: entry for entry in zoo.entries()}
SETTINGS = ("paper", "table2")
THERE = sorted(name for name, entry in ENTRIES.items() if entry.missing is None)
TITLES_ALONE = {"texts": ("title",), "categories": ("genres",)}
"""What the models of several views read of movies."""


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory):
    """A language model of three tiny layers."""
    words = ["and", "more", *(f"w{each}" for each in range(8)), *(f"n{each}" for each in range(7))]
    return str(tiny_checkpoint(tmp_path_factory.mktemp("models") / "bert", layers=3, words=words))


@pytest.fixture
def make(checkpoint, vectors):
    """A model of the zoo with files that are there: `make("plm_nr", setting="table2")`."""

    def model(name, **options):
        entry = ENTRIES[name]
        if "checkpoint" in entry.function.__wrapped__.__kwdefaults__:
            options.setdefault("checkpoint", checkpoint)
        if "vectors" in entry.arguments:
            options.setdefault("vectors", vectors)
        return entry.model(**options)

    return model


def small(model, width=16):
    """The same, narrower, and with fewer codes than there are items."""
    model = attrs.evolve(model, width=width)
    if hasattr(model.content, "codes"):
        model = attrs.evolve(model, content=attrs.evolve(model.content, codes=4))
    return model


def experiment(model, data, task=None, **training):
    return Experiment(
        data=data,
        model=model,
        task=task or Matching(),
        training=Training(**{"epochs": 1, "batch_size": 32, **training}),
    )


def test_the_list_is_complete():
    """Every public function of the module is an entry, and every entry a public function; all are told in full."""
    functions = {name for name in zoo.__all__ if name.islower() and name not in ("entries", "find")}
    assert functions == set(ENTRIES)
    for entry in ENTRIES.values():
        assert getattr(zoo, entry.name) is entry.function
        assert entry.function.__doc__
        assert re.fullmatch(r".+ \d{4}", entry.paper)
        assert entry.url.startswith("https://")
        assert entry.reads
        assert entry.name not in zoo.OMITTED


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("name", THERE)
def test_a_model_is_read_and_written(name, setting):
    """The expression of a model makes the model again, in short and in full, and so does its JSON."""
    model = ENTRIES[name].model(setting=setting)
    assert isinstance(model, Recommender)
    assert parse(model.text()) == model
    assert parse(model.text(full=True)) == model
    assert from_json(json.loads(json.dumps(to_json(model)))) == model


@pytest.mark.parametrize("name", THERE)
def test_a_name_is_a_word_of_the_language(name):
    """`zoo.nrms(setting='table2')` in a text is what the function gives."""
    entry = ENTRIES[name]
    arguments = "".join(f", {key}={value!r}" for key, value in entry.arguments.items())
    assert parse(f"zoo.{name}(setting='table2'{arguments})") == entry.model(setting="table2")
    assert parse(f"zoo.{name}({arguments.removeprefix(', ')})") == entry.model()


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("name", THERE)
def test_a_model_compiles(make, newspaper, name, setting):
    """In both settings, at its full width, on data that has what it needs: nothing is wrong and torch can be made."""
    model = make(name, setting=setting)
    if hasattr(model.content, "codes"):
        model = attrs.evolve(model, content=attrs.evolve(model.content, codes=4))
    asked = experiment(model, newspaper, ENTRIES[name].task)
    assert check(asked) == []
    compiled = compile(asked)
    assert sum(each.numel() for each in compiled.pipeline.parameters() if each.requires_grad) > 0


@pytest.mark.parametrize("name", THERE)
def test_a_model_learns_and_its_cached_scores_are_the_naive_ones(make, newspaper, tmp_path, name):
    """An epoch of its own task runs; what is shared between impressions gives what each gives alone."""
    asked = experiment(small(make(name, setting="table2")), newspaper, ENTRIES[name].task)
    run = asked.run(out=tmp_path)
    assert all(math.isfinite(value) for value in run.metrics.values() if value is not None)
    compiled = compile(asked)
    compiled.pipeline.eval()
    impressions = compiled.store.part("test").recent(newspaper.history)
    fast = score.cached(compiled.pipeline, impressions, compiled.store.users)
    slow = score.naive(compiled.pipeline, impressions, compiled.store.users, page=4)
    np.testing.assert_allclose(fast, slow, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "name", [name for name in THERE if "title" in ENTRIES[name].reads and name != "once"] + ["sim", "deep_fm"]
)
def test_a_model_fits_news(make, shared_data, name):
    """With its own numbers and its own attributes it compiles on real news; of click prediction, two stand for all."""
    data = MIND(str(shared_data / "mind"), missing="drop")
    options = {"layers": split(1)} if name in ("plm_nr", "miner") else {}
    asked = experiment(make(name, **options), data, ENTRIES[name].task)
    assert check(asked) == []
    compile(asked)


@pytest.mark.parametrize("name", ["naml", "lstur", "mins", "caum", "tanr", "sim", "miner"])
def test_attributes_are_arguments(make, movielens, name):
    """A model that reads categories reads those of other data under their names."""
    told = ENTRIES[name].function.__wrapped__.__kwdefaults__
    views = {key: value for key, value in TITLES_ALONE.items() if key in told}
    options = views | ({"category": "genres"} if "category" in told else {})
    asked = experiment(make(name, **options), MovieLens(str(movielens), users=20))
    assert check(asked) == []
    compile(asked)


def test_times_are_read_where_asked(make, newspaper, tmp_path):
    """BST and HSTU with `times=True` ask for the times of clicks and learn from data that has them."""
    for name in ("bst", "hstu"):
        model = small(make(name, setting="table2", times=True))
        assert "TIMES" in {need.name for need in model.behavior.needs}
        experiment(model, newspaper).run(out=tmp_path / name)


def test_published_numbers():
    """Spot checks of both settings against the papers."""
    naml = zoo.naml()
    assert naml.width == 400
    assert naml.content.views["title"].kernel == 3
    assert naml.content.views["category"].project
    assert [naml.behavior.hidden, naml.content.pool.hidden] == [200, 200]
    nrms = zoo.nrms()
    assert (nrms.width, nrms.content.heads, nrms.behavior.heads, nrms.content.dropout) == (256, 16, 16, 0.2)
    assert dict(nrms.reads) == {"title": 30}
    lstur = zoo.lstur(kind="con")
    assert (lstur.width, lstur.behavior.kind, lstur.behavior.dropout) == (300, "con", 0.5)
    miner = zoo.miner()
    told = miner.behavior
    assert (told.interests, told.hidden, told.disagreement, told.category_bias) == (32, 200, 0.8, 1)
    assert zoo.miner(category=None).behavior.category_bias == 0
    assert (zoo.sasrec().width, zoo.sasrec().behavior.heads, zoo.gru4rec().width) == (50, 1, 100)


@pytest.mark.parametrize("name", THERE)
def test_table_2_is_uniform(name):
    """Width 256, 8 heads, additive attention of 256 and dropout 0.1 everywhere; what the source has is read, unless generated."""
    model = ENTRIES[name].model(setting="table2")
    assert model.width == 256
    assert model.reads is None or name == "once"
    text = re.sub(
        r"(GRU|lora)\([^()]*(\(\)[^()]*)*\)", "", model.text(full=True)
    )  # nothing is dropped in these
    pools = set(re.findall(r"Additive\(hidden=(\d+)\)", text))
    assert pools <= {"256"}
    published = {"unisrec": {"0.1", "0.2"}, "lstur": {"0.1", "0.5"}}
    assert set(re.findall(r"dropout=([\d.]+)", text)) <= published.get(name, {"0.1"})
    if name != "autoint":
        assert set(re.findall(r"(?<!\w)heads=(\d+)", text)) <= {"8", "1"}


def test_table_2_has_the_rows_of_the_paper():
    """17 rows, each an expression of a model that is there, or of one that says what it lacks."""
    assert len(zoo.ROWS) == 17
    for row in zoo.ROWS:
        entry = ENTRIES[row.entry]
        if entry.missing is None:
            assert isinstance(parse(row.text), Recommender)
        else:
            with pytest.raises(SpecError, match=re.escape(entry.missing)):
                parse(row.text)
        assert 50 < row.auc < 70
        assert set(row.metrics) == {"gauc", "mrr_all", "ndcg@5"}
    written = {row.name: parse(row.text) for row in zoo.ROWS if ENTRIES[row.entry].missing is None}
    short = attrs.evolve(written["NRMS"], width=64)
    assert short.text() == (
        "Recommender(content=Attention(heads=8), behavior=Attention(heads=8), predictor=Dot())"
    )
    assert dict(written["NRMS + GPT"].reads) == {"llm_title": 30, "category": 1}


def test_a_choice_among_models():
    """`any_of` among models, and of what decides which operators a model has, is a choice of models."""
    both = any_of(zoo.nrms(), zoo.naml())
    assert both.values == (zoo.nrms(), zoo.naml())
    assert parse("any_of(zoo.nrms(), zoo.naml())") == both
    assert zoo.nrms(setting=any_of("paper", "table2")) == any_of(zoo.nrms(), zoo.nrms(setting="table2"))
    assert zoo.naml(setting=cases("paper", "table2")) == cases(zoo.naml(), zoo.naml(setting="table2"))
    texts = zoo.naml(texts=any_of(("title",), ("title", "abstract")))
    assert texts == any_of(zoo.naml(texts=("title",)), zoo.naml())


def test_a_choice_inside_a_model():
    """A choice that an option takes as it is stays inside the model."""
    model = zoo.lstur(kind=any_of("ini", "con"))
    assert isinstance(model, Recommender)
    assert [each.values for each in choices(model)] == [("ini", "con")]
    assert parse("zoo.lstur(kind=any_of('ini', 'con'))") == model


def test_a_model_is_an_edit(newspaper):
    """`--set` takes a model of the zoo, and then edits it."""
    asked = experiment(zoo.naml_id(), newspaper).set("model=zoo.nrms()", "model.behavior=Additive()")
    assert asked.model == attrs.evolve(zoo.nrms(), behavior=Additive())


@pytest.mark.parametrize("name", zoo.OMITTED)
def test_a_model_that_is_not_admitted_says_why(name):
    """In text and from Python, with what would admit it."""
    for ask in (lambda: parse(f"zoo.{name}()"), lambda: getattr(zoo, name)):
        with pytest.raises((CatalogError, AttributeError)) as caught:
            ask()
        assert zoo.OMITTED[name] in str(caught.value)


def test_a_slip_is_answered_with_the_nearest():
    """A wrong name, a wrong setting and a wrong option are told."""
    with pytest.raises(CatalogError, match="Did you mean 'nrms'"):
        parse("zoo.nrmss()")
    with pytest.raises(AttributeError, match="Did you mean 'lstur'"):
        zoo.lsturr  # noqa: B018 - asking for it is the test
    with pytest.raises(SpecError, match="setting must be 'paper' or 'table2', was 'own'"):
        zoo.nrms(setting="own")
    with pytest.raises(ExpressionError, match="unexpected keyword argument 'heads'"):
        parse("zoo.nrms(heads=3)")


def test_what_is_missing_is_told():
    """A model that is written with a word which lego lacks names the word."""
    entry = attrs.evolve(ENTRIES["nrms"], words=("no_such_word",))
    assert (
        entry.missing == "zoo.nrms is written with no_such_word(…), which this version of lego does not have."
    )


def test_the_zoo_is_loaded_on_first_use():
    """Neither `import lego` nor reading an expression without it imports it; `lego.zoo` and `from lego import zoo` do."""
    program = (
        "import sys, lego\nfrom lego import expression\nassert 'lego.zoo' not in sys.modules\n"
        "assert 'torch' not in sys.modules\n"
        "assert lego.zoo.nrms().width == 256\nfrom lego import zoo\nassert zoo is lego.zoo"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
