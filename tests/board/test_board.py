from __future__ import annotations

import json
from pathlib import Path

import attrs
import numpy as np
import pytest

from lego.board.page import differences, notes, page, record
from lego.board.published import ROWS, find
from lego.board.rerun import kept, rerun
from lego.board.row import HEADINGS
from lego.errors import RunError, SpecError
from lego.metric.protocol import PROTOCOLS
from lego.recommender import Recommender
from lego.zoo.table2 import ROWS as TABLE2

DOCS = Path(__file__).resolve().parents[2] / "docs"
WORDS = ("sun", "rain", "match", "goal", "bank", "tax", "song", "film")


@pytest.fixture(scope="module")
def mind(tmp_path_factory):
    """A folder in the format of MIND, with few users, and word vectors."""
    folder = tmp_path_factory.mktemp("mind")
    rng = np.random.default_rng(0)
    for part, users in (("train", 30), ("dev", 12)):
        (folder / part).mkdir()
        (folder / part / "news.tsv").write_text(
            "".join(
                f"N{at}\tnews\ttopic{at % 3}\t{WORDS[at % 8]} {WORDS[at % 5]}\tabout {WORDS[at % 8]}\t\t[]\t[]\n"
                for at in range(20)
            )
        )
        lines = []
        for at in range(users):
            shown = rng.permutation(20)[:5]
            history = " ".join(f"N{each}" for each in rng.permutation(20)[:3]) if at % 6 else ""
            marks = " ".join(f"N{each}-{int(place == 0)}" for place, each in enumerate(shown))
            lines.append(
                f"{at + 1}\tU{at % 9}\t11/{9 + (part == 'dev')}/2019 9:{at:02}:00 AM\t{history}\t{marks}\n"
            )
        (folder / part / "behaviors.tsv").write_text("".join(lines))
    (folder / "glove.txt").write_text("".join(f"{word} 0.{at} 0.1 -0.2\n" for at, word in enumerate(WORDS)))
    return folder


@pytest.fixture(scope="module")
def ran(mind, tmp_path_factory):
    """A row run again on other data, with two seeds and two settings tried; and where it is kept."""
    out = tmp_path_factory.mktemp("board")
    found = rerun(
        find("minddemo/lstur"),
        mind,
        given={"glove": str(mind / "glove.txt")},
        seeds=2,
        budget=2,
        changes=["model.width=8", "training.epochs=1", "model.behavior.hidden=8"],
        out=out,
        device="cpu",
    )
    return found, out


def test_every_row_says_where_it_is_from_and_how_it_is_read():
    """Names are unique, protocols and metrics are known, numbers are fractions, and a row is run or has the reason."""
    assert len({row.name for row in ROWS}) == len(ROWS)
    for row in ROWS:
        assert row.protocol in PROTOCOLS
        assert row.source.startswith("https://")
        assert set(row.metrics) <= set(HEADINGS)
        assert all(0.1 < value < 0.8 for value in row.metrics.values())
        assert row.runnable or row.missing, row.name
        assert row.tuning
    published = {tuple(row.metrics.values()) for row in ROWS if row.name.startswith("table2/")}
    assert published == {tuple(round(each / 100, 6) for each in row.metrics.values()) for row in TABLE2}


@pytest.mark.parametrize("row", [row for row in ROWS if row.runnable], ids=lambda row: row.name)
def test_every_expression_is_an_experiment(row):
    """With the files that its command names, on the protocol of the row."""
    made = row.experiment("data/mind", {"glove": "it's.txt", "vectors": "vectors.parquet"})
    assert isinstance(made.model, Recommender)
    assert made.evaluation.protocol == row.protocol
    assert row.command.startswith(f"lego board {row.name} --data ")
    for need in row.needs:
        assert f"--{need} " in row.command
        with pytest.raises(SpecError, match=f"needs --{need}"):
            row.experiment("data/mind", {})


def test_the_page_is_what_the_command_prints(tmp_path):
    """docs/board.md is made from the rows; nothing that was not run has a number there."""
    text = (DOCS / "board.md").read_text(encoding="utf-8")
    assert text == page(ROWS, {})
    assert all(each["ours"] is None and each["status"] == "unrun" for each in record(ROWS, {}))
    assert kept(ROWS, tmp_path) == {}


def test_a_rerun_on_other_data_is_none(ran):
    """It is kept with its seeds, budget, choice and changes, shown with them, and has no difference from what is published."""
    found, out = ran
    row = find("minddemo/lstur")
    assert found.seeds == (0, 1)
    assert found.std["gauc"] is not None
    assert found.tested == 12
    assert found.status(row) == "other data"
    assert differences(row, found) == {}
    assert len(found.chosen) == 1
    assert found.chosen[0].startswith("training.lr=")
    assert "evaluation=Evaluation(protocol='ms_recommenders')" in found.text
    read = kept(ROWS, out)
    assert list(read) == [row.name]
    assert read[row.name].mean == found.mean
    shown = " ".join(notes(ROWS, read))
    for words in ("is other data, and no rerun", "changed by hand: model.width=8", "chosen on dev among 2"):
        assert words in shown
    text = page(ROWS, read)
    assert f"0.6462 / {found.mean['gauc']:.4f} ± {found.std['gauc']:.4f}" in text
    assert text.count("unrun") > 50


def test_a_rerun_is_read_and_not_run_twice(ran, mind, monkeypatch):
    """The same command gives the same numbers from the folders; on the data of the row ours minus theirs is shown."""
    found, out = ran
    row = find("minddemo/lstur")
    monkeypatch.setattr("lego.runtime.fit.Fit.run", None)
    again = rerun(
        row,
        mind,
        given={"glove": str(mind / "glove.txt")},
        seeds=2,
        budget=2,
        changes=found.changes,
        out=out,
        device="cpu",
    )
    assert again == found
    same = attrs.evolve(row, edition=attrs.evolve(row.edition, tested=12))
    assert found.status(same) == "rerun"
    assert differences(same, found)["gauc"] == pytest.approx(found.mean["gauc"] - 0.6462)


def test_unequal_budgets_are_told(ran):
    """Rows of one table with other budgets do not compare."""
    found, _ = ran
    other = attrs.evolve(found, name="minddemo/naml", budget=1, space=())
    told = list(notes(ROWS, {found.name: found, other.name: other}))
    assert any("budgets of tuning differ (1, 2)" in each for each in told)
    assert not any("budgets" in each for each in notes(ROWS, {found.name: found}))


def test_broken_records_and_wrong_names_are_answered(tmp_path):
    """With what would do."""
    (tmp_path / "minddemo-nrms").mkdir()
    (tmp_path / "minddemo-nrms" / "board.json").write_text(json.dumps({"name": "x"}))
    with pytest.raises(RunError, match="is no record of the board"):
        kept(ROWS, tmp_path)
    with pytest.raises(SpecError, match="Did you mean 'minddemo/nrms'"):
        find("minddemo/nrsm")
    with pytest.raises(SpecError, match="cannot be run: an item has a vector for each user"):
        rerun(find("minddemo/npa"), tmp_path)
    with pytest.raises(SpecError, match="must be at least 1"):
        rerun(find("minddemo/nrms"), tmp_path, budget=0)
