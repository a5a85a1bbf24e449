from __future__ import annotations

import importlib.util
from pathlib import Path
from statistics import mean, stdev
from types import SimpleNamespace

import pytest

from lego import MIND
from lego.compiler.check import check
from lego.data.prepare import prepare
from lego.pretrained.packaged import MINILM, SMOLLM2

SPEC = importlib.util.spec_from_file_location("learning_ladder", Path(__file__).with_name("ladder.py"))
assert SPEC is not None
assert SPEC.loader is not None
ladder = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(ladder)


@pytest.fixture
def needed():
    """Both language models."""
    for checkpoint in (MINILM, SMOLLM2):
        if checkpoint.find() is None:
            pytest.skip(f"{checkpoint.name} is not installed")


def test_every_rung_can_be_trained(needed, tmp_path):
    """From words to the larger model with adapters: nothing is wrong with any, and around each is the same recommender."""
    vectors = tmp_path / "glove.txt"
    vectors.write_text("the 0.1 0.2\nstory 0.3 0.4\n", encoding="utf-8")
    names = [each.name for each in ladder.rungs(vectors)]
    assert names == [
        "words",
        "GloVe",
        "MiniLM, frozen",
        "MiniLM, split",
        "MiniLM, LoRA",
        "MiniLM, full",
        "SmolLM2, frozen",
        "SmolLM2, split + LoRA",
    ]
    (_, _, source), *_ = ladder.sources(None, 5, 10)
    for rung in ladder.rungs(vectors):
        experiment = ladder.experiment_of(source, rung)
        assert check(experiment) == []
        assert experiment.model.width == 64


def test_fewer_impressions_are_spread_over_the_log(tmp_path, monkeypatch):
    """So many lines of each part, not the first ones alone; the source reads them."""
    monkeypatch.setenv("LEGO_HOME", str(tmp_path / "home"))
    for part in ("MINDsmall_train", "MINDsmall_dev"):
        folder = tmp_path / "mind" / part
        folder.mkdir(parents=True)
        (folder / "news.tsv").write_text(
            "".join(f"N{row}\tnews\tlocal\tstory {row}\t\t\t[]\t[]\n" for row in range(9)), encoding="utf-8"
        )
        (folder / "behaviors.tsv").write_text(
            "".join(
                f"{row}\tU{row}\t11/{1 + row % 9}/2019 1:00:00 AM\tN1 N2\tN3-1 N{row % 9}-0\n"
                for row in range(40)
            ),
            encoding="utf-8",
        )
    *_, (name, _, source) = ladder.sources(tmp_path / "mind", 5, 10)
    assert name == "mind"
    assert isinstance(source, MIND)
    store = prepare(source, tmp_path / "data")
    kept = [*store.part("train").impression, *store.part("dev").impression]
    assert len(kept) == 10
    assert max(kept) > 30


def test_a_rung_tells_its_quality_and_its_cost(tmp_path, monkeypatch):
    """Mean and spread over seeds, weights, bytes; a second call trains nothing; a rung that fails is a line with its reason."""
    monkeypatch.setenv("LEGO_HOME", str(tmp_path / "home"))
    (_, title, source), *_ = ladder.sources(None, 4, 10)
    short = {"training": {"epochs": 1}}
    words = ladder.attrs.evolve(ladder.rungs(None)[0], **short)
    wrong = ladder.Rung(name="wrong", content=ladder.Pretrained("nobody/nothing"))
    said: list[str] = []
    options = {"seeds": 2, "out": tmp_path / "runs", "say": said.append}
    first = ladder.climb("movielens", source, words, **options)
    monkeypatch.setattr("lego.runtime.fit.Fit.run", None)
    again = ladder.climb("movielens", source, words, **options)
    assert again.runs.metrics == first.runs.metrics
    assert first.learns > 0 < first.checkpoint
    assert first.states == 0
    failed = ladder.climb("movielens", source, wrong, **options)
    assert "nobody/nothing" in failed.error
    text = ladder.section(title, [first, failed])
    assert f"| `words` | {first.seconds:,.0f} | {first.learns:,} |" in text
    assert "nobody/nothing" in text
    assert "not measured" in text


@pytest.mark.parametrize(
    ("lower", "upper", "word"),
    [
        ((0.5, 0.51, 0.52), (0.6, 0.61, 0.62), "confirmed"),
        ((0.6, 0.61, 0.62), (0.5, 0.51, 0.52), "contradicted"),
        ((0.5, 0.6, 0.7), (0.55, 0.6, 0.72), "not told apart"),
        ((0.5,), (0.6,), "open with one seed"),
        ((), (0.6,), "not measured"),
    ],
)
def test_a_finding_is_confirmed_by_two_standard_errors(lower, upper, word):
    """Better, worse, or within the noise of the seeds; one seed says nothing."""
    made = [_climbed(name, values) for name, values in (("lower", lower), ("upper", upper))]
    assert ladder.verdict(*made).startswith(word)


def _climbed(name, values):
    if not values:
        return ladder.Climbed(rung=ladder.Rung(name=name))
    metrics = {"gauc": mean(values)}
    deviations = {"gauc": stdev(values) if len(values) > 1 else None}
    runs = SimpleNamespace(runs=values, metrics=metrics, deviations=deviations)
    return ladder.Climbed(rung=ladder.Rung(name=name), runs=runs)
