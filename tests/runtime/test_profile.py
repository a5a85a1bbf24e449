"""Where the time of a run goes: the parts add up, nothing is measured twice, and looking changes no number."""

from __future__ import annotations

import time

import pytest
import torch

from lego import CNN, Additive, Attention, Dot, Popularity, Views, compile  # noqa: A004
from lego.errors import CompositionError
from lego.runtime.profile import Profile, attached, profiling, rows_of, stage, waited


def test_a_stage_stops_the_clock_of_the_one_around_it():
    """Seconds are exclusive: what is inside counts there alone, and all of them are the whole."""
    with profiling(Profile()) as profile:
        begun = time.perf_counter()
        with stage("training"):
            time.sleep(0.02)
            with stage("items"):
                time.sleep(0.01)
                with stage("content"):
                    time.sleep(0.04)
            with stage("dev"), stage("metrics"):
                time.sleep(0.02)
        whole = time.perf_counter() - begun
    training, dev = profile.seconds["training"], profile.seconds["dev"]
    assert training["content"] >= 0.04 > training["items"] >= 0.01
    assert dev["metrics"] >= 0.02
    assert training["rest"] >= 0.02
    assert profile.total == pytest.approx(whole, rel=0.05)


def test_a_stage_that_fails_is_closed():
    """An error in a stage leaves the clock with the stage around it."""
    with profiling(Profile()) as profile, stage("training"):
        with pytest.raises(ValueError, match="no"), stage("content"):
            raise ValueError("no")
        assert profile.phase == "training"
        time.sleep(0.01)
    assert profile.seconds["training"]["rest"] >= 0.01


def test_nobody_looks_unless_asked():
    """Outside of `profiling` a stage is nothing, and what is waited for comes all the same."""
    with stage("training"):
        assert list(waited([3, 4])) == [3, 4]


def test_the_table_sums_rows_and_columns():
    """Each row sums its phases, the last one its column, and shares are of the whole."""
    rows = rows_of({"training": {"content": 3.0, "rest": 1.0}, "test": {"metrics": 4.0}})
    assert rows["content operator"] == {"training": 3.0, "test": None, "seconds": 3.0, "%": 37.5}
    assert rows["all"] == {"training": 4.0, "test": 4.0, "seconds": 8.0, "%": 100.0}
    assert sum(row["%"] for name, row in rows.items() if name != "all") == pytest.approx(100)


@pytest.mark.parametrize("content", [CNN(), Views(title=CNN(), genres=Additive())])
def test_a_run_tells_where_its_time_went(small, tmp_path, content):
    """All stages are there with their counts, the numbers are those of a run that nobody looked at, and it is in the folder."""
    experiment = small(content=content, behavior=Attention(heads=2), predictor=Dot())
    run = experiment.run(name="seen", out=tmp_path, profile=True)
    told = run.profile
    assert set(told["seconds"]) == {"training", "dev", "test", "beside"}
    training = told["seconds"]["training"]
    assert {"data", "items", "content", "behavior", "predictor", "loss", "backward", "optimizer"} <= set(
        training
    )
    assert {"content", "behavior", "predictor", "metrics"} <= set(told["seconds"]["test"])
    fit = run.record["seconds"]["fit"]
    assert sum(training.values()) + sum(told["seconds"]["dev"].values()) == pytest.approx(
        fit, rel=0.05, abs=0.05
    )
    counts = told["training"]
    assert counts["slots"] > counts["real"] > counts["distinct"] > 0
    assert counts["places"] >= counts["tokens"] > counts["distinct"]
    assert len(told["redundancy"]) == 2
    plain = experiment.run(name="plain", out=tmp_path)
    assert plain.profile is None
    assert plain.metrics == run.metrics


def test_hooks_leave_with_the_profile(small):
    """Afterwards the pipeline is as it was: no hook, no other method."""
    pipeline = compile(small(content=CNN())).pipeline
    with attached(Profile(), pipeline):
        assert "encode_items" in vars(pipeline)
    assert "encode_items" not in vars(pipeline)
    assert not any(each._forward_hooks or each._forward_pre_hooks for each in pipeline.modules())


def test_costly_settings_are_named(small):
    """Every-slot encoding, a table that costs more than the model, and dev parts that take most of the time are told."""
    compiled = compile(small(deduplicate=False))
    profile = Profile(steps=3, slots=30, real=20, distinct=20)
    profile.seconds = {"training": {"optimizer": 5.0, "content": 1.0}, "dev": {"content": 9.0}}
    profile.cpu = 15.0
    told = " ".join(profile.advice(compiled))
    for text in ("deduplicate=False", 'training.tables="touched"', "dev part"):
        assert text in told, text
    quiet = Profile(steps=3, cpu=2000.0)
    quiet.seconds = {"training": {"content": 9.0, "backward": 9.0, "optimizer": 1.0}}
    assert list(quiet.advice(compile(small()))) == []


def test_a_baseline_has_no_stages(small, tmp_path):
    """It is said before any work."""
    import attrs

    experiment = attrs.evolve(small(), model=Popularity())
    with pytest.raises(CompositionError, match="baseline has no stages"):
        experiment.run(name="none", out=tmp_path, profile=True)
    assert not (tmp_path / "none").exists()


def test_waiting_for_batches_is_a_stage():
    """What the iterator takes to give the next one is `data`, what is done with it is not."""

    def slow():
        for each in range(2):
            time.sleep(0.02)
            yield torch.tensor(each)

    with profiling(Profile()) as profile, stage("training"):
        for _ in waited(slow()):
            time.sleep(0.005)
    assert profile.seconds["training"]["data"] >= 0.04
    assert profile.seconds["training"]["rest"] >= 0.01
