from __future__ import annotations

import csv
import json

import attrs
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from lego import (
    DIN,
    DNN,
    LSTUR,
    Attention,
    Dot,
    Embedding,
    Experiment,
    Flat,
    GloVe,
    History,
    InterestAttention,
    ItemID,
    Lookup,
    Mean,
    MovieLens,
    Poly,
    PolyAttention,
    Popularity,
    Pretrained,
    Random,
    TimeDecay,
    Views,
    frozen,
    full,
    load,
    split,
)
from lego.contract import Need, Out
from lego.data.store import Impressions
from lego.errors import DataError, RunError, SpecError
from lego.nn.masked import masked_mean
from lego.ragged import Ragged
from lego.runtime import recommend as module
from lego.runtime.recommend import _first_of_best, best, notes_of
from lego.spec import Behavior, Context, operator
from lego.testing.checkpoint import tiny_checkpoint

TEXT = Attention(heads=2)
WORDS = [f"w{place}x{word}" for place in range(4) for word in range(8)]
pytestmark = pytest.mark.filterwarnings(
    "ignore:.*(no history|are new|in the data already|has no title):UserWarning"
)


@pytest.fixture(scope="module")
def text(small, tmp_path_factory):
    """A trained text model, opened."""
    experiment = small(content=TEXT).set("model.reads={'title': 6}")
    return load(experiment.run(out=tmp_path_factory.mktemp("runs")).path, device="cpu")


def ids_of(loaded, rows):
    return loaded.store.item_ids.take(pa.array(np.asarray(rows) - 1)).to_pylist()


def scores_of(table):
    return dict(zip(table["item"].to_pylist(), table["score"].to_pylist(), strict=True))


def as_new(loaded, prefix="new "):
    """Every item of the data under another id."""
    table = loaded.store.items
    ids = pa.array([prefix + each for each in table["item_id"].to_pylist()])
    return table.set_column(table.column_names.index("item_id"), "item_id", ids)


def agrees_with_evaluation(loaded, impressions=4):
    """What recommend gives for the histories of impressions is what evaluating them gives."""
    part = loaded.store.part("test")
    scores = loaded.scorer.score(part)
    values = loaded.store.users.history.values
    for row in range(impressions):
        history = ids_of(loaded, values[part.start[row] : part.stop[row]])
        found = scores_of(loaded.recommend(history=history, k=10_000, exclude_seen=False))
        begin, end = part.candidates.offsets[row : row + 2]
        wanted = dict(zip(ids_of(loaded, part.candidates.values[begin:end]), scores[begin:end], strict=True))
        assert {item: found[item] for item in wanted} == pytest.approx(wanted, rel=1e-5, abs=1e-5)


def knows_new_items_as_old(loaded):
    """An item given as new with the text of an item of the data has its score, as candidate and in a history."""
    history = ids_of(loaded, loaded.store.users.history[3])
    old = scores_of(loaded.recommend(history=history, k=10_000, exclude_seen=False))
    items = as_new(loaded)
    for asked in (
        history,
        [f"new {each}" for each in history],
        [history[0], *(f"new {each}" for each in history[1:])],
    ):
        table = loaded.recommend(history=asked, items=items, k=10_000, exclude_seen=False)
        assert all(table["new"].to_pylist())
        new = scores_of(table)
        assert new == pytest.approx({f"new {item}": score for item, score in old.items()}, rel=1e-5, abs=1e-5)
    assert len(set(old.values())) > 20


@operator
class _Aware(Behavior):
    """A user per candidate: the history's mean times the candidate."""

    @property
    def needs(self):
        return frozenset({Need.CANDIDATES})

    @property
    def gives(self):
        from lego.contract import Form

        return Form.PER_CANDIDATE

    def build(self, context: Context):
        return _AwareModule()


class _AwareModule(torch.nn.Module):
    def forward(self, history, mask, candidates, candidate_mask, needs):
        return Out(masked_mean(history, mask).unsqueeze(1) * candidates)


MODELS = {
    "words": lambda path: {"content": TEXT, "behavior": Attention(heads=2)},
    "sequence": lambda path: {
        "content": Mean(),
        "behavior": History(),
        "predictor": DIN(attention=(6,), hidden=(6,)),
    },
    "interests": lambda path: {
        "content": Mean(),
        "behavior": PolyAttention(interests=3),
        "predictor": InterestAttention(),
    },
    "aware": lambda path: {"content": Mean(), "behavior": _Aware(), "predictor": DNN(hidden=(6,))},
    "full": lambda path: {"content": Pretrained(path, layers=full())},
    "split": lambda path: {"content": Pretrained(path, layers=split(2)), "behavior": Attention(heads=2)},
    "frozen": lambda path: {"content": Pretrained(path, layers=frozen())},
}


@pytest.fixture(scope="module", params=MODELS)
def trained(request, small, tmp_path_factory):
    """A run of each kind of model that reads text, opened again (trained, where its class can be found again)."""
    folder = tmp_path_factory.mktemp(request.param)
    path = ""
    if request.param in ("full", "split", "frozen"):
        path = str(tiny_checkpoint(folder / "bert", layers=3, words=WORDS))
    run = small(**MODELS[request.param](path), epochs=1).run(out=folder / "runs")
    return load(run.path, device="cpu")


def test_scores_are_those_of_the_evaluation(trained):
    """Recommending and evaluating give an item the same score."""
    agrees_with_evaluation(trained)


def test_a_new_item_is_read_as_an_old_one(trained):
    """The same text has the same score, whether the item was in the data or not: words and language models alike."""
    knows_new_items_as_old(trained)


def test_ready_made_word_vectors_read_new_items(small, tmp_path):
    """A vocabulary from a file reads new items as it reads those of the data."""
    vectors = np.random.default_rng(0).normal(size=(len(WORDS), 5))
    lines = (f"{word} {' '.join(f'{x:.4f}' for x in row)}" for word, row in zip(WORDS, vectors, strict=True))
    (tmp_path / "glove.5d.txt").write_text("\n".join(lines) + "\n")
    experiment = small(content=Mean(), epochs=1)
    experiment = experiment.set(f"model.tokens=GloVe({str(tmp_path / 'glove.5d.txt')!r})")
    assert isinstance(experiment.model.tokens, GloVe)
    knows_new_items_as_old(load(experiment.run(out=tmp_path / "runs").path, device="cpu"))


def test_the_table_says_what_is_recommended(text):
    """Rank, item, score, whether it is new, and its texts; best first; the items of the history are left out."""
    user = text.store.users.user_ids[4].as_py()
    seen = set(ids_of(text, text.store.users.history[4]))
    table = text.recommend(user=user, k=7)
    assert table.column_names == ["rank", "item", "score", "new", "title"]
    assert table["rank"].to_pylist() == [1, 2, 3, 4, 5, 6, 7]
    scores = table["score"].to_pylist()
    assert scores == sorted(scores, reverse=True)
    assert not seen & set(table["item"].to_pylist())
    titles = dict(zip(text.store.item_ids.to_pylist(), text.store.items["title"].to_pylist(), strict=True))
    assert table["title"].to_pylist() == [titles[each] for each in table["item"].to_pylist()]
    everything = text.recommend(user=user, k=1000, exclude_seen=False)
    assert len(everything) == text.store.item_count
    assert len(text.recommend(user=user, k=1000)) == text.store.item_count - len(seen)


def test_a_user_is_the_same_as_the_history_of_it(text):
    """A model that does not ask who the user is sees the history alone, cut to what it reads."""
    user, history = text.store.users.user_ids[2].as_py(), ids_of(text, text.store.users.history[2])
    assert len(history) > text.history
    by_id = scores_of(text.recommend(user=user, k=50))
    assert scores_of(text.recommend(history=history, k=50)) == by_id
    cut = scores_of(text.recommend(history=history[-text.history :], k=500))
    assert {item: cut[item] for item in by_id} == by_id


def test_several_users_are_scored_together(text, monkeypatch):
    """Each has the recommendations that it has alone, whatever the size of pages and blocks."""
    ids = text.store.users.user_ids.to_pylist()[:5]
    alone = [scores_of(text.recommend(user=each, k=1000)) for each in ids]
    for page, block in ((4096, 1024), (7, 2)):
        monkeypatch.setattr(module, "ITEM_PAGE", page)
        monkeypatch.setattr(module, "USER_PAGE", block)
        monkeypatch.setattr(module, "PLACES", 30)
        together = text.recommend(users=ids, k=6)
        assert together.column_names[0] == "user"
        for user, wanted in zip(ids, alone, strict=True):
            found = together.filter(pa.compute.equal(together["user"], user)).drop_columns("user")
            scores = found["score"].to_pylist()
            assert scores == pytest.approx(sorted(wanted.values(), reverse=True)[:6], rel=1e-5)
            assert scores == pytest.approx([wanted[item] for item in found["item"].to_pylist()], rel=1e-5)


@pytest.mark.parametrize("latest", [1, 5])
def test_the_latest_impression_of_a_user_counts(text, latest):
    """Where an id stands in several rows, the history of its latest impression is read, whichever row that is."""
    store, users = text.store, text.store.users
    ids = users.user_ids.to_pylist()
    ids[5] = ids[1]
    changed = {
        name: attrs.evolve(
            store.part(name), time=np.where(store.part(name).user == latest, 2**40, 1) + store.part(name).stop
        )
        for name in store.parts
    }
    before = {"users": users, "_parts": store._parts}
    try:
        object.__setattr__(store, "users", attrs.evolve(users, user_ids=pa.array(ids)))
        object.__setattr__(store, "_parts", changed)
        found = scores_of(text.recommend(user=ids[1], k=9))
    finally:
        for name, value in before.items():
            object.__setattr__(store, name, value)
    assert found == scores_of(text.recommend(history=ids_of(text, users.history[latest]), k=9))


def test_users_whose_tokens_are_read_are_taken_in_smaller_blocks(small, tmp_path, monkeypatch):
    """Sixteen times fewer users at once, as when a part is scored, with the scores that each has alone."""
    loaded = load(small(content=Mean(), epochs=1).run(out=tmp_path / "runs").path, device="cpu")
    monkeypatch.setattr(type(loaded.compiled.pipeline), "needs", frozenset({Need.TOKENS}))
    monkeypatch.setattr(module, "USER_PAGE", 32)
    blocks, against = [], module._Scoring.against
    monkeypatch.setattr(
        module._Scoring, "against", lambda self, askers: blocks.append(len(askers)) or against(self, askers)
    )
    loaded.recommend(users=loaded.store.users.user_ids.to_pylist()[:5], k=3)
    assert blocks == [2, 2, 1]


def test_the_best_are_found_by_pages_as_by_sorting_all(monkeypatch):
    """Top-k over pages is that of one stable sort: ties in the order of the rows, seen items left out."""
    monkeypatch.setattr(module, "ITEM_PAGE", 13)
    generator = np.random.default_rng(0)
    table = generator.integers(0, 7, size=(4, 201)).astype(np.float32)
    rows = np.sort(generator.choice(np.arange(1, 201), 150, replace=False))
    seen = [rows[:0], rows[5:40], rows[::2], np.arange(1, 201)]
    from lego.runtime.progress import Screen

    ragged = Ragged.from_lengths(np.concatenate(seen), np.array([len(each) for each in seen]))
    for k in (1, 10, 400):
        scores, found = best(lambda page: table[:, page], rows, ragged, k, Screen())
        for user in range(4):
            left = [row for row in rows.tolist() if row not in set(seen[user].tolist())]
            wanted = sorted(left, key=lambda row: (-table[user, row], row))[:k]
            real = found[user] > 0
            assert found[user][real].tolist() == wanted
            assert scores[user][real].tolist() == [table[user, row] for row in wanted]


def test_who_has_no_history_gets_what_is_learned(text):
    """An empty history is a legal user, and it is said that there is none."""
    with pytest.warns(
        UserWarning, match="has no history: the scores are those of the default that the model learned"
    ):
        table = text.recommend(history=[], k=3)
    assert len(table) == 3
    assert np.isfinite(table["score"].to_numpy()).all()
    assert len(notes_of(table)) == 1


def test_new_items_beside_old_ones(text):
    """A table may hold both: candidates are its items, and a known id is the item of the data."""
    old = text.store.items["item_id"].to_pylist()[:3]
    items = [
        {"item_id": "fresh", "title": "w1x1 w1x2"},
        *({"item_id": each, "title": "other words"} for each in old),
    ]
    table = text.recommend(history=[old[0], "fresh"], items=items, k=9, exclude_seen=False)
    new = dict(zip(table["item"].to_pylist(), table["new"].to_pylist(), strict=True))
    assert new == {"fresh": True, **dict.fromkeys(old, False)}
    assert "3 of 4 items are in the data already" in " ".join(notes_of(table))
    plain = scores_of(text.recommend(history=[old[0]], k=1000, exclude_seen=False))
    again = scores_of(text.recommend(history=[old[0]], items=items, k=9, exclude_seen=False))
    assert {each: again[each] for each in old} == pytest.approx({each: plain[each] for each in old}, rel=1e-5)
    titles = dict(zip(table["item"].to_pylist(), table["title"].to_pylist(), strict=True))
    assert titles["fresh"] == "w1x1 w1x2"
    assert "other words" not in titles.values()
    assert set(scores_of(text.recommend(history=["fresh"], items=items, k=9))) == set(old)


def test_new_items_without_a_known_word_are_told(text):
    """Once, with counts; one known word is enough, no word at all is told otherwise."""
    items = [
        {"item_id": "a", "title": "zyx wvu"},
        {"item_id": "b", "title": "zyx w1x1"},
        {"item_id": "c", "title": None},
        {"item_id": "d", "title": "Ωμέγα"},
    ]
    with pytest.warns(UserWarning, match="none that the vocabulary"):
        table = text.recommend(history=ids_of(text, [1, 2]), items=items, k=4)
    (note,) = [each for each in notes_of(table) if "vocabulary" in each]
    assert note.startswith("2 of 4 new items have words in title, and none that the vocabulary")
    scores = scores_of(table)
    assert scores["a"] != scores["b"]
    assert not [
        each
        for each in notes_of(text.recommend(history=ids_of(text, [1, 2]), items=items[1:2]))
        if "vocab" in each
    ]


@pytest.mark.parametrize("form", ["csv", "tsv", "jsonl", "json", "parquet", "arrow", "records"])
def test_new_items_come_in_any_form(text, tmp_path, form):
    """CSV, JSON lines, a JSON array, Parquet, Arrow, and dicts are the same items; ids that look like numbers stay as written."""
    records = [
        {"item_id": "007", "title": 'w1x1, "w2x2"'},
        {"item_id": "8e1", "title": "w0x3"},
        {"item_id": "2020-01-01", "title": None},
    ]
    path = tmp_path / f"items.{form}"
    items = path
    if form in ("csv", "tsv"):
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, ["item_id", "title"], delimiter="," if form == "csv" else "\t")
            writer.writeheader()
            writer.writerows(records)
    elif form == "jsonl":
        path.write_text("\n".join(map(json.dumps, records)))
    elif form == "json":
        path.write_text(json.dumps(records))
    elif form == "parquet":
        pq.write_table(pa.Table.from_pylist(records), path)
    else:
        items = pa.Table.from_pylist(records) if form == "arrow" else records
    history = ids_of(text, [1, 2])
    wanted = scores_of(text.recommend(history=history, items=records))
    assert set(wanted) == {"007", "8e1", "2020-01-01"}
    table = text.recommend(history=history, items=items)
    assert scores_of(table) == wanted
    assert "1 new item has no title" in " ".join(notes_of(table))


@pytest.mark.parametrize(
    ("items", "words"),
    [
        ([{"item_id": "a", "name": "x"}], "no column 'title', which this run reads; there are name"),
        ([{"thing": "a", "title": "x"}], "no column item_id; there are thing, title"),
        ([{"item_id": "a", "title": "x"}] * 2, "'a' stands in several lines"),
        ([{"item_id": "", "title": "x"}, {"title": "y"}], "2 problems"),
        ([], "holds no item"),
        ("nowhere.csv", "no such file"),
        (7, "is a int"),
        ([{"item_id": "a", "title": ["x", "y"]}], "it holds lists, and text is wanted"),
    ],
)
def test_a_table_that_lacks_something_is_told(text, items, words):
    """What is wrong with new items is said before anything is scored."""
    with pytest.raises(DataError, match=words):
        text.recommend(history=[], items=items)


def test_a_file_of_another_country_is_read(tmp_path):
    """Semicolons between values, a title with a comma and one that is missing, packed with gzip."""
    import gzip

    from lego.runtime.items import _read_file

    path = tmp_path / "new.csv.gz"
    path.write_bytes(gzip.compress(b"item_id;title\n7;Rain, again\n8;\n", mtime=0))
    assert _read_file(path).to_pylist() == [
        {"item_id": "7", "title": "Rain, again"},
        {"item_id": "8", "title": None},
    ]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.txt", "x", r"\.txt is no format that is read"),
        ("a.csv", "", "is empty"),
        ("a.csv", "item_id,title\n1\n", "line 2: 2 columns are expected, 1 found"),
        ("a.jsonl", '{"item_id": 1, "title": "x"}\n{"item', "line 2: it is no JSON"),
        ("a.jsonl", "[3]", "entry 1: it is no object"),
        ("a.parquet", "no", "is not a Parquet file that can be read"),
        ("a.csv", b"item_id,title\n1,\xff\n", "line 2: byte 3 of the line, 0xff, is not UTF-8"),
    ],
)
def test_a_file_that_cannot_be_read_is_told(text, tmp_path, name, content, words):
    """The file, the place in it, and the way out."""
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(DataError, match=words):
        text.recommend(history=[], items=path)


def test_unknown_ids_are_listed_with_the_nearest(text):
    """All that are unknown, in the history and among users, each with what may have been meant."""
    with pytest.raises(DataError, match="2 problems") as error:
        text.recommend(history=["12", "120x", "no such"])
    assert "'120x'" in str(error.value)
    assert "Near it: '120'" in str(error.value)
    with pytest.raises(DataError, match=r"user '24x': no user has this id\n.*Near it: '24'"):
        text.recommend(user="24x")


@pytest.mark.parametrize(
    ("call", "words"),
    [
        ({}, "nobody is named"),
        ({"user": "1", "history": []}, "user and history are given together"),
        ({"users": "12"}, r"Write users=\['12'\]"),
        ({"user": "1", "k": 0}, "k must be"),
        ({"user": "1", "k": True}, "k must be"),
    ],
)
def test_a_call_that_says_nothing_is_refused(text, call, words):
    """Exactly one way to name the user, and a number of items."""
    with pytest.raises(SpecError, match=words):
        text.recommend(**call)


@pytest.mark.parametrize("kind", ["id", "vectors"])
def test_a_model_of_rows_says_that_it_knows_no_new_items(small, tmp_path, kind):
    """Item ids and ready-made vectors: refused where all items are new, else one score for all of them, and it is said."""
    np.save(tmp_path / "vectors.npy", np.random.default_rng(0).normal(size=(120, 5)).astype(np.float32))
    content = ItemID() if kind == "id" else Embedding(str(tmp_path / "vectors.npy"))
    loaded = load(small(content=content).run(out=tmp_path / "runs").path, device="cpu")
    agrees_with_evaluation(loaded)
    new = [{"item_id": "a"}, {"item_id": "b"}]
    with pytest.raises(RunError, match=r"All 2 items are new, and .* reads no text"):
        loaded.recommend(history=["3"], items=new)
    table = loaded.recommend(history=["3"], items=[*new, {"item_id": "5"}, {"item_id": "6"}])
    found = scores_of(table)
    assert found["a"] == found["b"] != found["5"] != found["6"]
    assert "2 of 4 items are new" in notes_of(table)[0]


@pytest.mark.parametrize("model", [Popularity(), Random(seed=3)])
def test_baselines_recommend(movies, tmp_path, model):
    """They have no weights, and the same table."""
    run = Experiment(data=MovieLens(movies, negatives=5), model=model).run(out=tmp_path)
    loaded = load(run.path)
    user = loaded.store.users.user_ids[0].as_py()
    table = loaded.recommend(users=[user, user], k=4)
    assert table["rank"].to_pylist() == [1, 2, 3, 4] * 2
    if model == Popularity():
        agrees_with_evaluation(loaded)
        mixed = loaded.recommend(history=[], items=[{"item_id": "a"}, {"item_id": "3"}])
        assert scores_of(mixed)["a"] == 0
        assert any("knows nothing of such" in note for note in notes_of(mixed))


NEEDY = {
    "user": lambda: {"behavior": LSTUR(hidden=8)},
    "times": lambda: {"behavior": TimeDecay(Mean(), kind="decay", half_life=0.01)},
    "attributes": lambda: {
        "behavior": PolyAttention(interests=3, hidden=5, category_bias=2.0, category="genres"),
        "predictor": Poly(Dot()),
    },
    "tokens": lambda: {"behavior": Flat(Attention(heads=2))},
    "views": lambda: {"content": Views(title=Mean(), genres=Lookup())},
}


@pytest.mark.parametrize("kind", NEEDY)
def test_what_operators_ask_for_is_there(small, movies, tmp_path, kind):
    """Users, times, attributes and tokens reach a model as they do in an evaluation; new items bring their own."""
    folder = tmp_path / "movies"
    folder.mkdir()
    (folder / "ratings.csv").write_text((movies / "ratings.csv").read_text())
    lines = (movies / "movies.csv").read_text().splitlines()
    genres = [line.replace("(no genres listed)", f"G{number % 5}") for number, line in enumerate(lines)]
    (folder / "movies.csv").write_text("\n".join(genres) + "\n")
    experiment = small(
        **{"content": Mean(), **NEEDY[kind]()}, data=MovieLens(folder, negatives=5, history=6), epochs=1
    )
    loaded = load(experiment.run(out=tmp_path / "runs").path, device="cpu")
    store, users = loaded.store, loaded.store.users
    row = 7
    begin, end = users.history.offsets[row : row + 2]
    everything = np.arange(1, store.item_count + 1, dtype=np.int32)
    impression = Impressions(
        impression=np.zeros(1, np.int64),
        user=np.array([row], np.int32),
        start=np.array([begin]),
        stop=np.array([end]),
        time=users.times.values[[end - 1]],
        candidates=Ragged.from_lengths(everything, np.array([len(everything)])),
        labels=np.zeros(len(everything), np.int8),
    )
    wanted = dict(zip(store.item_ids.to_pylist(), loaded.scorer.score(impression), strict=True))
    user = users.user_ids[row].as_py()
    found = scores_of(loaded.recommend(user=user, k=1000, exclude_seen=False))
    assert found == pytest.approx(wanted, rel=1e-5, abs=1e-5)
    assert len({round(float(each), 6) for each in wanted.values()}) > 20
    items = as_new(loaded)
    again = scores_of(loaded.recommend(user=user, items=items, k=1000, exclude_seen=False))
    assert again == pytest.approx(
        {f"new {item}": score for item, score in wanted.items()}, rel=1e-5, abs=1e-5
    )
    if kind not in ("user", "times"):
        history = ids_of(loaded, users.history[row])
        new = [f"new {each}" for each in history]
        again = scores_of(loaded.recommend(history=new, items=items, k=1000, exclude_seen=False))
        assert again == pytest.approx(
            {f"new {item}": score for item, score in wanted.items()}, rel=1e-5, abs=1e-5
        )
    if kind == "user":
        with pytest.warns(UserWarning, match="knows users by id"):
            loaded.recommend(history=["3"], k=1)


def test_ids_of_new_items_may_stand_under_the_names_that_tables_are_known_by(movies, tmp_path):
    """What trained under `id` is asked for under `id`; `item_id` wins where there are both."""
    from lego.data.prepare import prepare
    from lego.runtime.items import asked

    store = prepare(MovieLens(movies), tmp_path)
    rows = [{"id": "x", "title": "a", "genres": []}]
    assert asked(store, rows, ["title"]).new["item_id"].to_pylist() == ["x"]
    rows = [{"id": "1", "item_id": "y", "title": "a", "genres": []}]
    assert asked(store, rows, ["title"]).new["item_id"].to_pylist() == ["y"]


@pytest.mark.parametrize("k", [1, 7, 40, 90])
def test_the_best_places_are_those_of_a_stable_sort(k):
    """With ties, both zeros, numbers below zero and none that may be ranked."""
    generator = torch.Generator().manual_seed(k)
    scores = (torch.randn(9, 60, generator=generator) * 3).round() / 3
    scores[0, ::4], scores[0, 1::4] = -0.0, 0.0
    scores[1, 10:] = -torch.inf
    order = scores.sort(dim=1, descending=True, stable=True).indices[:, :k]
    assert torch.equal(_first_of_best(scores, k), order)
