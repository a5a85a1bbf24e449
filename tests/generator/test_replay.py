from __future__ import annotations

import json

import pytest

from lego import Augment, Goodreads, Imagine, Profile, Replay, Rewrite
from lego.data.prepare import prepare
from lego.errors import DataError, GeneratorError
from lego.generator.answer import Field, Misfit, Shape
from lego.generator.base import Question
from lego.testing import GeneratorTests

WORDS = Shape(fields=(Field(name="interests", kind="list"),))
TEXT = Shape(fields=(Field(name="title"),))
BOOK = Shape(fields=(Field(name="title"), Field(name="description", most=200)))
NEWS = Shape(fields=(Field(name="title"), Field(name="abstract"), Field(name="category")))


def question(about: str, shape: Shape = TEXT) -> Question:
    return Question(step="s", about=about, messages=(("user", about),), shape=shape, max_tokens=9)


def ask(file, about: str, shape: Shape, **options):
    found = Replay(str(file), **options).known().find(question(about, shape), {})
    return None if found is None else shape.read(found.answer)


def test_the_layouts_of_once_for_mind(tmp_path):
    """Summaries as a table with tabs, profiles as raw text in JSON lines, generated news as JSON inside JSON lines."""
    summaries = tmp_path / "news_summarizer.log"
    summaries.write_text("N1\t[newtitle] A clear title\nN2\tWithout a mark\n")
    assert ask(summaries, "item:N1", TEXT) == {"title": "A clear title"}
    assert ask(summaries, "item:N2", TEXT) == {"title": "Without a mark"}
    assert ask(summaries, "item:N3", TEXT) is None
    as_lines = tmp_path / "summaries.jsonl"
    as_lines.write_text('{"nid": "N1", "newtitle": "Other"}\n')
    assert ask(as_lines, "item:N1", TEXT) == {"title": "Other"}
    profiles = tmp_path / "user_profiler.log"
    raw = "[topics]\n- Sports\n- Health\n\n[region]\n- Texas"
    profiles.write_text(json.dumps({"uid": 7, "interest": raw}) + "\n")
    both = Shape(fields=(Field(name="topics", kind="list"), Field(name="region", kind="list")))
    assert ask(profiles, "user:7", both) == {"topics": ["Sports", "Health"], "region": ["Texas"]}
    news = tmp_path / "generator_v1.log"
    told = {"title": "New", "abstract": "Text", "category": "sports"}
    news.write_text(json.dumps({"uid": 7, "news": json.dumps(told)}) + "\n")
    assert ask(news, "user:7#0", NEWS) == told
    assert ask(news, "user:7#1", NEWS) is None


@pytest.mark.parametrize("version", [1, 2])
def test_the_published_books(shared_data, version):
    """Generated books of both versions: nearly all are valid, and those that are not are told."""
    file = shared_data / "goodreads" / "once" / f"generator_v{version}.log"
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert len(lines) == 694
    fitting = 0
    for line in lines:
        try:
            fitting += ask(file, f"user:{line['uid']}#0", BOOK) is not None
        except Misfit:
            continue
    assert 0.9 < fitting / 694 <= 1


def test_the_published_profiles_and_descriptions(shared_data):
    """Every one of 6,834 profiles and 16,833 descriptions is found by its id."""
    folder = shared_data / "goodreads" / "once"
    profiles = [json.loads(line) for line in (folder / "user_profiler.log").read_text().splitlines()]
    assert len(profiles) == 6834
    for line in profiles[::50]:
        assert ask(folder / "user_profiler.log", f"user:{line['uid']}", WORDS)["interests"]
    found = Replay(str(folder / "book-desc.csv")).known()
    assert len(found) == 16833
    told = ask(folder / "book-desc.csv", "item:89376", Shape(fields=(Field(name="text"),)))
    assert told["text"].startswith("Heaven is a book")


def test_the_published_answers_become_data(shared_data, tmp_path):
    """Descriptions as a column, interests as an attribute of users, books at the end of histories: each by one line."""
    folder = shared_data / "goodreads" / "once"
    desc, user, book = (
        Replay(str(folder / f"{name}")) for name in ("book-desc.csv", "user_profiler.log", "generator_v1.log")
    )
    data = Augment(
        Goodreads(str(folder), clean=(), users=60),
        desc=Rewrite("{title}", words=400, generator=desc),
        interest=Profile("{title}", generator=user),
        book=Imagine("{title}", cold=5, generator=book),
        missing="empty",
    )
    store = prepare(data, tmp_path)
    assert store.generated["items.llm_desc"]["values"] == store.real_items == 16833
    assert store.generated["users.llm_interest"]["share"] == 1
    assert store.item_count > store.real_items
    titles = store.items["title"].to_pylist()[store.real_items :]
    assert all(titles)


def test_fields_can_be_named(tmp_path):
    """Where a line has more than an id and an answer, the reader is told which is which."""
    file = tmp_path / "some.jsonl"
    file.write_text('{"who": "7", "said": "A", "cost": 3}\n')
    assert ask(file, "item:7", TEXT, id="who", answer="said") == {"title": "A"}
    with pytest.raises(DataError, match="line 1: is no answer") as caught:
        ask(file, "item:7", TEXT)
    assert "name the fields" in str(caught.value)


def test_what_cannot_be_read_is_told(tmp_path):
    """No file, a line that is no JSON, nothing in it; and it answers nothing new."""
    with pytest.raises(DataError, match="lego augment SCRIPT"):
        ask(tmp_path / "none", "item:1", TEXT)
    file = tmp_path / "odd.jsonl"
    file.write_text('{"id": 1, "a": "b"}\n{broken\n')
    with pytest.raises(DataError, match="line 2"):
        ask(file, "item:1", TEXT)
    file.write_text("\n")
    with pytest.raises(DataError, match="holds no answer"):
        ask(file, "item:1", TEXT)
    with pytest.raises(GeneratorError, match="LocalModel"):
        Replay(str(file)).open()


@pytest.mark.parametrize("cut", [1, 8, 20])
def test_a_last_line_that_its_writer_did_not_end_is_passed_over(tmp_path, cut):
    """Said, and not fatal: the whole lines are read, though the cut is in the middle of a letter; elsewhere it is an error."""
    file = tmp_path / "some.jsonl"
    whole = [
        json.dumps({"id": number, "answer": "Überall ü"}, ensure_ascii=False).encode() for number in (1, 2)
    ]
    file.write_bytes(whole[0] + b"\n" + whole[1][:-cut])
    with pytest.warns(UserWarning, match="line 2 ends in the middle") as caught:
        assert ask(file, "item:1", TEXT) == {"title": "Überall ü"}
    assert len(caught) == 1
    assert ask(file, "item:2", TEXT) is None  # the file is read once, so it is said once
    file.write_bytes(whole[0][:-cut] + b"\n" + whole[1])
    with pytest.raises(DataError, match="line 1"):
        ask(file, "item:2", TEXT)
    file.write_bytes(
        b"\xef\xbb\xbf" + b"\n".join(whole)
    )  # whole, with a mark of its encoding and no end of line
    assert ask(file, "item:2", TEXT) == {"title": "Überall ü"}


@pytest.mark.parametrize("cut", [1, 14, 80])
def test_lines_of_ours_that_were_cut_are_passed_over_wherever_they_stand(tmp_path, cut):
    """A writer that was stopped, and another that went on in the same line: both answers count as never given, which is said."""
    file = tmp_path / "answers.jsonl"
    asked = [question(f"item:{number}") for number in range(4)]
    whole = [
        json.dumps({"key": "k", "prompt": each.prompt, "answer": "Überall ü"}, ensure_ascii=False).encode()
        for each in asked
    ]
    file.write_bytes(b"\n".join([whole[0], whole[1][:-cut] + whole[2], whole[3], b""]))
    with pytest.warns(UserWarning, match="line 2 ends in the middle") as caught:
        found = Replay(str(file)).known()
    assert len(caught) == 1
    assert [found.find(each, {}) is not None for each in asked] == [True, False, False, True]


def test_many_lines_that_were_cut_are_told_in_one_sentence(tmp_path):
    """The first of them by their numbers, the others counted; a line of another form in such a file is still an error."""
    file = tmp_path / "answers.jsonl"
    whole = json.dumps({"key": "k", "prompt": question("item:1").prompt, "answer": "A"})
    file.write_text(f'{{"key": "\n{whole}\n' + '{"key"\n' * 7)
    with pytest.warns(UserWarning, match=r"lines 1, 3, 4, 5, 6 and 3 more end in the middle"):
        assert len(Replay(str(file)).known()) == 1
    file.write_text(f'{whole}\n{{"title": "A", "text": "B", "more": 1}}\n')
    with pytest.raises(DataError, match="line 2: is no answer"):
        Replay(str(file)).known()


def test_another_encoding_is_told(tmp_path):
    """With its line, and how to write it anew."""
    file = tmp_path / "some.jsonl"
    file.write_bytes('{"id": 1, "answer": "A"}\n{"id": 2, "answer": "Über"}\n'.encode("latin-1"))
    with pytest.raises(DataError, match="line 2: is no UTF-8") as caught:
        ask(file, "item:1", TEXT)
    assert "iconv" in str(caught.value)
    file.write_bytes(b"")
    with pytest.raises(DataError, match="holds no answer"):
        ask(file, "item:1", TEXT)


class TestReplay(GeneratorTests):
    """An answer about one of the two items."""

    @pytest.fixture
    def spec(self, tmp_path):
        file = tmp_path / "some.jsonl"
        file.write_text('{"id": "N1", "answer": "A"}\n')
        return Replay(str(file))
