from __future__ import annotations

import json
from pathlib import Path

import attrs
import numpy as np
import pyarrow as pa
import pytest

from lego import Augment, Describe, Imagine, MovieLens, Profile, Replay, Rewrite
from lego.augment.ask import steps_of
from lego.augment.draft import Draft
from lego.augment.source import side_tables
from lego.data.describe import describe
from lego.data.prepare import prepare
from lego.data.source.prepared import Prepared
from lego.data.store import Store
from lego.data.table_file import write
from lego.errors import DataError, SpecError


@pytest.fixture
def movies_source(make_movies, tmp_path, own_home) -> MovieLens:
    folder = make_movies(tmp_path / "movies", users=8, movies=30, topics=2, clicks=(3, 12))
    return MovieLens(str(folder), minimum=3)


CHANGES = {
    "title": Rewrite("{title}", words=9),
    "profile": Profile("{title}", to=("llm_topics", "llm_region"), least=1),
    "movie": Imagine("{title}", gives=("title", "genres"), cold=4, each=2, profile=("llm_topics",)),
}


def answered(source: MovieLens, file: Path, changes=CHANGES, every: int = 1) -> Augment:
    """The source with an answer to each question, made here, step after step as a model would be asked."""
    lines: list[str] = []
    file.write_text('{"id": "nobody", "answer": "nothing"}\n')
    for count in range(1, len(changes) + 1):
        some = dict(list(changes.items())[:count])
        made = Augment(source, changes=some, generator=Replay(str(file)), missing="empty")
        draft = Draft(made.original())
        for step in steps_of(made.changes, made.generator):
            asked = step.kind.questions(step.name, draft)
            if step.name == list(some)[-1]:
                for place, (_, question) in enumerate(asked):
                    if place % every:
                        continue
                    value = {
                        field.name: [f"{field.name}{place}", "more"]
                        if field.kind == "list"
                        else f"New {place}"
                        for field in question.shape.fields
                    }
                    line = {
                        "key": "k",
                        "prompt": question.prompt,
                        "answer": json.dumps(value),
                        "model": "tester",
                        "time": "2026-01-01T00:00:00+00:00",
                    }
                    lines.append(json.dumps(line) + "\n")
                file.write_text("".join(lines))
            from lego.augment.ask import answers_of

            step.kind.apply(step.name, draft, answers_of(step, asked))
    return Augment(source, changes=changes, generator=Replay(str(file)))


def test_answers_stand_beside_the_original(movies_source, tmp_path):
    """New attributes of items and users, and new items; what was there is as it was."""
    augmented = answered(movies_source, tmp_path / "answers.jsonl")
    before, after = (prepare(each, tmp_path / "out") for each in (movies_source, augmented))
    count = before.item_count
    assert after.items.slice(0, count).select(before.items.column_names).equals(before.items)
    assert after.items["llm_title"].slice(0, count).to_pylist() == [f"New {place}" for place in range(count)]
    users = after.table("users")
    assert users["llm_topics"][0].as_py() == ["topics0", "more"]
    assert users["llm_region"][3].as_py() == ["region3", "more"]
    assert after.item_count > after.real_items == count
    for part in before.parts:
        assert np.array_equal(before.part(part).candidates.values, after.part(part).candidates.values)
        assert np.array_equal(before.part(part).labels, after.part(part).labels)


def test_each_value_says_where_it_comes_from(movies_source, tmp_path):
    """Model, hash of the prompt and time of every generated value; shares of them in what `lego data describe` tells."""
    augmented = answered(movies_source, tmp_path / "answers.jsonl", every=2)
    store = prepare(attrs.evolve(augmented, missing="empty"), tmp_path / "out")
    origins = store.origins
    assert origins is not None
    assert set(origins["model"].to_pylist()) == {"tester"}
    assert all(len(each) == 32 for each in origins["prompt"].to_pylist())
    told = describe(store)["generated"]
    assert told["items.llm_title"]["values"] == store.real_items / 2
    assert told["items.llm_title"]["models"] == {"tester": store.real_items / 2}
    assert told["users.llm_topics"]["share"] == pytest.approx(0.5, abs=0.1)
    titles = side_tables(attrs.evolve(augmented, missing="empty"))["llm_title"]
    assert titles.column_names == [
        "item_id",
        "llm_title",
        "llm_title_model",
        "llm_title_prompt",
        "llm_title_time",
    ]
    assert titles.num_rows == store.real_items / 2
    # Where there is no answer, the original stands, and nothing says that it is generated.
    assert store.items["llm_title"][1].as_py() == store.items["title"][1].as_py()
    assert 2 not in origins.filter(np.array(origins["attribute"]) == "llm_title")["row"].to_pylist()


def test_new_items_end_the_history_that_is_known(movies_source, tmp_path):
    """A cold user's new items follow what was taken before the dev part, in every later impression and in no earlier one."""
    augmented = answered(movies_source, tmp_path / "answers.jsonl")
    before, after = (prepare(each, tmp_path / "out") for each in (movies_source, augmented))
    real, told = before.item_count, 0
    cut = Draft(before).lengths("train")
    for part in before.parts:
        old, new = before.part(part), after.part(part)
        for row in range(len(old)):
            was = before.users.history.values[old.start[row] : old.stop[row]]
            now = after.users.history.values[new.start[row] : new.stop[row]]
            assert np.array_equal(now[now <= real], was)
            at = cut[old.user[row]]
            if len(was) < at or not 0 < at <= 4:
                assert np.array_equal(now, was)
            else:
                told += 1
                assert (now[at : at + 2] > real).all()
                assert np.array_equal(now[at + 2 :], was[at:])
    assert told
    assert after.users.times is not None
    for row in range(len(after.users)):
        assert (np.diff(after.users.times[row]) >= 0).all()


def test_no_evaluation_has_a_generated_item_among_its_candidates(movies_source, tmp_path):
    """Not in the impressions of any part; and none is drawn as a negative."""
    from lego.contract import Candidates
    from lego.data.sampling import draw

    store = prepare(answered(movies_source, tmp_path / "answers.jsonl"), tmp_path / "out")
    for part in store.parts:
        assert store.part(part).candidates.values.max() <= store.real_items
    train = store.part("train")
    want = Candidates(negatives=20, source="uniform")
    rows = draw(train, want, store.users, store.item_count, np.random.default_rng(0), store.real_items)
    assert rows.items.max() <= store.real_items


@pytest.mark.parametrize("until", ["train", "first"])
def test_nothing_of_the_test_part_reaches_a_prompt(movies_source, tmp_path, until):
    """Whatever is clicked and shown in the dev and test parts, and whatever is taken from there on: the prompts are the same."""
    changes = {
        "title": Rewrite("{title} {genres}", most=9),
        "kind": Describe("{genres}", to="told"),
        "profile": Profile("{title}", until=until, recent=50),
        "movie": Imagine("{title}", gives=("title",), cold=50, until=until),
    }
    before = prepare(movies_source, tmp_path / "out")

    def prompts(folder: Path) -> list[str]:
        source = Augment(
            Prepared(str(folder)), changes=changes, generator=Replay(str(tmp_path / "none.jsonl"))
        )
        (tmp_path / "none.jsonl").write_text('{"id": "nobody", "answer": "nothing"}\n')
        draft = Draft(source.original())
        asked = [
            question
            for step in steps_of(source.changes, source.generator)
            for _, question in step.kind.questions(step.name, draft)
        ]
        return [question.prompt for question in asked]

    other = tmp_path / "other"
    other.mkdir()
    for file in before.path.iterdir():
        (other / file.name).write_bytes(file.read_bytes())
    chance = np.random.default_rng(0)
    first = Draft(before).lengths("train")
    users = before.table("users")
    histories = users["history"].to_pylist()
    changed = 0
    for user, history in enumerate(histories):
        for place in range(int(first[user]), len(history)):
            history[place] = int(chance.integers(1, before.item_count + 1))
            changed += 1
    assert changed
    users = users.set_column(1, users.schema.field("history"), pa.array(histories, pa.list_(pa.int32())))
    write(users, other / "users.arrow")
    for part in ("dev", "test"):
        table = before.table(part)
        shown = [
            list(chance.integers(1, before.item_count + 1, len(row)))
            for row in table["candidates"].to_pylist()
        ]
        labels = [row[::-1] for row in table["labels"].to_pylist()]
        for name, column in (("candidates", shown), ("labels", labels)):
            place = table.schema.get_field_index(name)
            table = table.set_column(
                place, table.schema.field(name), pa.array(column, table.schema.field(name).type)
            )
        write(table, other / f"{part}.arrow")
    manifest = json.loads((other / "manifest.json").read_text())
    manifest["tables"] = {name: (other / name).stat().st_size for name in manifest["tables"]}
    (other / "manifest.json").write_text(json.dumps(manifest))
    assert not np.array_equal(Store.open(other).users.history.values, before.users.history.values)
    assert prompts(other) == prompts(before.path)


def test_a_prompt_of_history_ends_before_the_first_later_impression(movies_source, tmp_path):
    """No prompt tells of an item at or behind the place where the dev part begins."""
    store = prepare(movies_source, tmp_path / "out")
    draft = Draft(store)
    for part in ("dev", "test"):
        table = store.part(part)
        base = store.users.history.offsets[table.user]
        assert (draft.lengths("train")[table.user] <= table.stop - base).all()
    train = store.part("train")
    base = store.users.history.offsets[train.user]
    assert (draft.lengths("first")[train.user] <= train.stop - base).all()
    assert draft.lengths("train").sum() > draft.lengths("first").sum()


def test_other_answers_are_other_data(movies_source, tmp_path):
    """The fingerprint holds every answer that is used, and none that is not."""
    file = tmp_path / "answers.jsonl"
    augmented = answered(movies_source, file)
    first = augmented.fingerprint()
    file.write_text(file.read_text() + '{"key": "k", "prompt": "unused", "answer": "{}"}\n')
    assert augmented.fingerprint() == first
    file.write_text(file.read_text().replace("New 0", "Newer"))
    assert augmented.fingerprint() != first
    assert (
        attrs.evolve(augmented, changes={"title": Rewrite("{title}", words=8)}, missing="empty").fingerprint()
        != first
    )


def test_missing_answers_are_told_before_anything_is_prepared(movies_source, tmp_path):
    """How many, of which change, and how they are made."""
    augmented = answered(movies_source, tmp_path / "answers.jsonl", every=2)
    with pytest.raises(DataError, match=r"lego augment SCRIPT") as caught:
        prepare(augmented, tmp_path / "out")
    assert [each.where.partition("=")[0] for each in caught.value.problems] == ["title", "profile", "movie"]
    assert "15 of 30 questions" in str(caught.value)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (Rewrite("{titel}"), "Did you mean 'title'"),
        (Rewrite("{title}", to="title"), "already"),
        (Profile("{title}", to="a", choices={"b": ("x",)}), "choices"),
        (Imagine("{title}", gives=("plot",)), "plot"),
        (Imagine("{title}", profile=("llm_topics",)), "llm_topics"),
    ],
)
def test_what_does_not_fit_the_data_is_told(movies_source, tmp_path, change, told):
    """Attributes that are not there, names that are taken: where, what, and what there is."""
    (tmp_path / "none.jsonl").write_text('{"id": "nobody", "answer": "nothing"}\n')
    source = Augment(movies_source, x=change, generator=Replay(str(tmp_path / "none.jsonl")))
    with pytest.raises(DataError, match=told):
        source.fingerprint()


def test_an_expression_like_everything_else(tmp_path):
    """It prints as the code that made it and is read from text; without a change it is refused."""
    from lego import parse
    from lego.expression import from_json, to_json

    text = 'Augment(MovieLens("x"), title=Rewrite("{title} — {genres}", to="llm_title"), generator=Replay("a.jsonl"))'
    source = parse(text)
    assert isinstance(source, Augment)
    assert parse(repr(source)) == source == from_json(to_json(source))
    assert source.attributes == ("title", "genres", "llm_title")
    assert source.reads == MovieLens.reads
    with pytest.raises(SpecError, match="names attributes"):
        Rewrite("no field")


def test_a_prompt_of_ones_own(movies_source, tmp_path):
    """A file replaces the packaged prompt; a field that there is not is told with those there are."""
    (tmp_path / "none.jsonl").write_text('{"id": "nobody", "answer": "nothing"}\n')
    mine = tmp_path / "mine.md"
    mine.write_text("# user\nShout {text} as {format}!\n")
    kind = Rewrite("{title}", prompt=str(mine))
    source = Augment(movies_source, title=kind, generator=Replay(str(tmp_path / "none.jsonl")))
    draft = Draft(source.original())
    _, question = kind.questions("title", draft)[0]
    title = draft.items["title"][0].as_py()
    assert question.messages == (("user", f'Shout {title} as {{"title": "…"}}!'),)
    mine.write_text("Shout {text}!\n")  # no parts: it is what the user says
    _, question = kind.questions("title", draft)[0]
    assert question.messages == (("user", f"Shout {title}!"),)
    assert "at most" in kind.complaint(question, "at most 3 words")
    mine.write_text("")
    with pytest.raises(DataError, match="has no part `# user`"):
        kind.questions("title", draft)
    mine.write_text("# user\nShout {txt}, {\n")
    with pytest.raises(DataError, match="cannot be read"):
        kind.questions("title", draft)
    mine.write_text("# user\nShout {txt}\n")
    with pytest.raises(DataError, match="Did you mean 'text'"):
        kind.questions("title", draft)
    with pytest.raises(DataError, match="begin with a copy"):
        attrs.evolve(kind, prompt="nowhere.md").questions("title", draft)


def test_trained_as_any_data(movies_source, tmp_path):
    """A model reads generated titles and profiles of data that has generated items, and is measured."""
    from lego import Additive, Concat, Dot, Experiment, Mean, Recommender, Training, UserAttributes

    augmented = answered(movies_source, tmp_path / "answers.jsonl")
    model = Recommender(
        Mean(),
        Concat(Additive(), UserAttributes(attributes=("llm_topics",))),
        Dot(),
        reads={"llm_title": 6},
        width=8,
    )
    run = Experiment(data=augmented, model=model, training=Training(epochs=1)).run(out=tmp_path / "runs")
    assert 0 <= run.metrics["gauc"] <= 1
    store = Store.open(json.loads((run.path / "experiment.json").read_text())["data"]["path"])
    items = store.item_rows(run.scores["item"].unique().to_pylist())
    assert (items > 0).all()
    assert items.max() <= store.real_items


def test_a_history_that_tells_of_no_region(movies_source, tmp_path):
    """The user has topics, and no region rather than an empty list of regions; an answer without topics does not fit."""
    lines = [("1", "[topics] a"), ("2", "[topics] b\n[region] Texas"), ("3", "[region] Texas")]
    file = tmp_path / "profiles.jsonl"
    file.write_text("".join(json.dumps({"uid": name, "interest": told}) + "\n" for name, told in lines))
    profile = Profile("{title}", to=("llm_topics", "llm_region"))
    data = Augment(movies_source, profile=profile, generator=Replay(str(file)), missing="empty")
    store = prepare(data, tmp_path / "out")
    users = {each["user_id"]: each for each in store.table("users").to_pylist()}
    found = [(users[name]["llm_topics"], users[name]["llm_region"]) for name, _ in lines]
    assert found == [(["a"], None), (["b"], ["texas"]), (None, None)]
    assert store.generated["users.llm_region"]["values"] == 1
    assert store.manifest["dropped"]["profile_questions_without_answer"] == len(users) - 2
