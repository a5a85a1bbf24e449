"""Experiments: changed by `set`, moved by `rebased`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import attrs
import pytest

from lego import (
    CNN,
    GRU,
    Additive,
    Attention,
    Dot,
    Embedding,
    Evaluation,
    Experiment,
    LocalModel,
    Matching,
    MovieLens,
    Popularity,
    Prepared,
    Pretrained,
    Recommender,
    Rewrite,
    Training,
    any_of,
)
from lego.errors import CatalogError, ExpressionError, LegoError, SpecError
from lego.spec import PATH, FrozenMap, Source, operator


@pytest.fixture
def experiment() -> Experiment:
    return Experiment(
        data=MovieLens("raw"),
        model=Recommender(CNN(), Attention(), Dot(), reads={"title": 10}),
    )


def test_the_defaults_are_those_of_the_parts(experiment):
    """Task, training and evaluation need not be said."""
    assert (experiment.task, experiment.training, experiment.evaluation) == (
        Matching(),
        Training(),
        Evaluation(),
    )


def test_a_whole_value_replaces(experiment):
    """A path to a slot replaces what fills it, and leaves the first experiment alone."""
    changed = experiment.set("model.behavior=GRU(hidden=128)")
    assert changed == attrs.evolve(experiment, model=attrs.evolve(experiment.model, behavior=GRU(hidden=128)))
    assert experiment.model.behavior == Attention()
    assert experiment.set("model=Popularity()").model == Popularity()


def test_a_dotted_path_edits(experiment):
    """A path into a spec changes one option and keeps the others, at any depth."""
    changed = experiment.set("model.behavior.pool.hidden=7")
    assert changed.model.behavior == Attention(pool=Additive(hidden=7))
    assert changed.set("model.behavior.pool.hidden=256") == experiment
    assert experiment.set("training.lr=3e-4").training == Training(lr=3e-4)


def test_changes_are_made_one_after_the_other(experiment):
    """A later change sees what an earlier one made, and the last of two wins."""
    changed = experiment.set(
        "model.behavior=GRU()", "model.behavior.hidden=3", "training.seed=1", "training.seed=2"
    )
    assert changed.model.behavior == GRU(hidden=3)
    assert changed.training.seed == 2


def test_an_attribute_that_is_read_is_changed_or_added(experiment):
    """`model.reads` is edited by attribute; its order is kept."""
    changed = experiment.set("model.reads.title=20", "model.reads.genres=3")
    assert changed.model.reads == {"title": 20, "genres": 3}
    assert isinstance(changed.model.reads, FrozenMap)


def test_what_an_operator_gathers_is_reached_by_its_name(experiment):
    """`data.title.words=9` and `data.changes.title.words=9` reach a change of `Augment`; one that is new is added."""
    augmented = experiment.set('data=Augment(MovieLens("raw"), title=Rewrite("{title}", words=30))')
    for path in ("data.title", "data.changes.title"):
        changed = augmented.set(f"{path}.words=9", f"{path}.generator=LocalModel(batch=2)")
        assert changed.data.changes["title"] == Rewrite("{title}", words=9, generator=LocalModel(batch=2))
    more = augmented.set('data.topics=Profile("{title}")', "data.topics.values=3")
    assert list(more.data.changes) == ["title", "topics"]
    assert more.data.changes["topics"].values == 3
    for wrong, words in (
        ("data.titel.words=9", "Augment has no option 'titel'"),
        ("data.changes.titel.words=9", "nothing is called 'titel'. Did you mean 'title'?"),
        ("data.title.word=9", "Rewrite has no option 'word'. Did you mean 'words'?"),
        ("data.mising='empty'", "Augment has no option 'mising'. Did you mean 'missing'?"),
        ("data.title.words.x=9", "30 has no parts"),
    ):
        with pytest.raises(SpecError, match=re.escape(words)):
            augmented.set(wrong)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("evaluation.metrics=('gauc', NDCG(k=3))", "Evaluation(metrics=('gauc', NDCG(k=3)))"),
        ("training.pretrained_lr=None", "Training()"),
        ("training.precision='bf16'", "Training(precision='bf16')"),
        ("  training.epochs =  2 ", "Training(epochs=2)"),
        ("training.lr=any_of(1e-3, 1e-4)", "Training(lr=any_of(0.001, 0.0001))"),
    ],
)
def test_values_are_expressions(experiment, change, expected):
    """What stands behind the sign is the language, with lists, None and choices; blanks do not count."""
    part = change.strip().split(".")[0]
    assert repr(getattr(experiment.set(change), part)) == expected


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        (
            "modle.behavior=GRU()",
            SpecError,
            r"--set modle\.behavior: Experiment has no option 'modle'\. Did you mean 'model'\?",
        ),
        (
            "model.behaviour=GRU()",
            SpecError,
            r"Recommender has no option 'behaviour'\. Did you mean 'behavior'\? Its options: content",
        ),
        ("model.behavior.head=3", SpecError, "Attention has no option 'head'. Did you mean 'heads'"),
        ("training.lr.x=3", SpecError, "0.001 has no parts, so nothing is called 'x' in it"),
        ("model.reads.title.x=3", SpecError, "'title' has no parts"),
        ("model..width=3", SpecError, "Recommender has no option ''"),
        ("training.lr=-1", SpecError, "lr must be more than 0, was -1"),
        ("training.epochs=2.5", SpecError, "epochs must be a whole number"),
        ("model.behavior=Dot()", SpecError, "behavior must be a Behavior"),
        ("model.reads.title='x'", SpecError, "reads must be a dict"),
        ("model.behavior=GRUU()", CatalogError, "Did you mean 'GRU'"),
        ("training.monitor=gauc", ExpressionError, "A text needs quotes: 'gauc'"),
        ("training.lr", ExpressionError, "A change is written PATH=VALUE"),
        ("training.lr=", ExpressionError, "A change is written PATH=VALUE"),
        ("=3", ExpressionError, "A change is written PATH=VALUE"),
    ],
)
def test_a_change_that_cannot_be_made_says_why(experiment, change, error, words):
    """A wrong path, a wrong value or no value: an error with the way out, and nothing is changed in silence."""
    with pytest.raises(error, match=words):
        experiment.set(change)


def test_a_choice_is_replaced_as_a_whole(experiment):
    """An option inside a choice is not one option, so a path into it is refused; the whole of it can be replaced."""
    open_one = experiment.set("model.behavior=any_of(GRU(), Attention())")
    with pytest.raises(SpecError, match="the place is any_of"):
        open_one.set("model.behavior.hidden=3")
    assert open_one.set("model.behavior=GRU()").model.behavior == GRU()


def test_names_of_a_script_can_be_set(experiment):
    """`names` says what a name stands for, so that classes of a script can be chosen."""
    changed = experiment.set("model.behavior=Own(hidden=3)", names={"Own": GRU}.__getitem__)
    assert changed.model.behavior == GRU(hidden=3)


def test_only_what_an_experiment_takes_is_taken():
    """Source and model are checked like every option."""
    with pytest.raises(SpecError, match=r"Experiment: data is missing"):
        Experiment(model=Popularity())
    with pytest.raises(SpecError, match=r"model must be a Scorer \(one of `lego catalog scorer`\)"):
        Experiment(data=MovieLens("raw"), model=GRU())


# --- paths --------------------------------------------------------------------------------------------------------------------


def test_relative_paths_move_to_the_folder(experiment, tmp_path):
    """Paths of the source and of operators become those below the folder; everything else stays."""
    (tmp_path / "items.npy").touch()
    model = Recommender(Embedding("vectors/../items.npy"), GRU(), Dot())
    moved = attrs.evolve(experiment, model=model).rebased(tmp_path)
    assert moved.data == MovieLens(str(tmp_path / "raw"))
    assert moved.model.content == Embedding(str(tmp_path / "items.npy"))
    assert moved.training == experiment.training
    assert Experiment(data=Prepared("x"), model=Popularity()).rebased(tmp_path).data == Prepared(
        str(tmp_path / "x")
    )


def test_absolute_paths_stay(experiment, tmp_path):
    """An absolute path does not move; `~` is the user's folder."""
    absolute = attrs.evolve(experiment, data=MovieLens(str(tmp_path / "raw")))
    assert absolute.rebased(Path("elsewhere")) == absolute
    at_home = attrs.evolve(experiment, data=MovieLens("~/raw"))
    assert at_home.rebased(tmp_path).data == MovieLens(str(Path("~/raw").expanduser()))


def test_rebasing_twice_changes_nothing_more(experiment, tmp_path):
    """What has moved is absolute."""
    once = experiment.rebased(tmp_path)
    assert once.rebased(tmp_path / "deeper") == once


def test_a_name_is_a_path_only_where_a_file_is(experiment, tmp_path):
    """A checkpoint stays a hub id unless a folder of that name is beside the script."""
    named = attrs.evolve(experiment, model=Recommender(Pretrained("owner/model"), GRU(), Dot()))
    assert named.rebased(tmp_path).model.content == Pretrained("owner/model")
    (tmp_path / "owner" / "model").mkdir(parents=True)
    assert named.rebased(tmp_path).model.content == Pretrained(str(tmp_path / "owner" / "model"))


def test_paths_in_choices_move_too(experiment, tmp_path):
    """Each value of a choice is moved."""
    several = attrs.evolve(experiment, data=any_of(MovieLens("a"), MovieLens(any_of("b", "c"))))
    first, second = several.rebased(tmp_path).data.values
    assert first == MovieLens(str(tmp_path / "a"))
    assert second == MovieLens(any_of(str(tmp_path / "b"), str(tmp_path / "c")))


def test_paths_in_tuples_and_dicts_move_too(experiment, tmp_path):
    """A field of several paths has each of them moved."""

    @operator
    class Files(Source):
        paths: tuple[str, ...] = attrs.field(kw_only=False, metadata=PATH)
        parts: Mapping[str, str] = attrs.field(metadata=PATH)

    made = attrs.evolve(experiment, data=Files(("a", "b"), parts={"test": "t"})).rebased(tmp_path)
    assert made.data == Files((str(tmp_path / "a"), str(tmp_path / "b")), parts={"test": str(tmp_path / "t")})


def test_set_and_text_agree(experiment):
    """An experiment printed and read again can be changed as before."""
    from lego import parse

    again = parse(repr(experiment))
    assert again == experiment
    assert again.set("model.width=8") == experiment.set("model.width=8")


def test_every_error_is_ours(experiment):
    """Whatever is written behind --set, the error is one that the command line can print."""
    for change in (
        "",
        "=",
        "a",
        "a=b",
        "data.path=3",
        "data=None",
        "model.reads=3",
        "task.negatives=0",
        "model.content=(1, 2)",
    ):
        with pytest.raises(LegoError):
            experiment.set(change)
