"""What holds for everything that is told of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import pytest
import torch

from lego.contract import Tracked
from lego.testing.suite import SpecTests


class TrackerTests(SpecTests):
    """A subclass has a fixture `spec` that writes below `tmp_path`, and a method `epochs` that reads what was written."""

    def epochs(self, spec: Any, run: Tracked) -> dict[int, dict[str, list[float]]]:
        """What stands there of a run: epoch → name → every value, under the names of your own. Written by the subclass."""
        raise NotImplementedError

    @pytest.fixture
    def run(self, tmp_path: Path) -> Tracked:
        """A run that begins."""
        folder = tmp_path / "runs" / "small" / "0123456789ab"
        folder.mkdir(parents=True)
        options = {"training.lr": 0.001, "training.epochs": 2, "training.clip": None, "model.width": 8}
        return Tracked(
            name="small",
            id=folder.name,
            folder=folder,
            text='Experiment(data=MovieLens("movies"))',
            options={**options, "task": "Matching()", "training.deduplicate": True, "long": "x" * 9000},
        )

    def test_what_is_told_can_be_read(self, spec: Any, run: Tracked) -> None:
        """Each epoch once, with each of its values."""
        told(spec.open(run), 1, 2).close("finished", {"test/ndcg@5": 0.25})
        found = self.epochs(spec, run)
        assert set(found) >= {1, 2}
        for epoch in (1, 2):
            for value in values(epoch).values():
                assert [pytest.approx(value)] in list(found[epoch].values())

    def test_a_run_that_goes_on_tells_an_epoch_once(self, spec: Any, run: Tracked) -> None:
        """What was told before a stop stands there once, though it is told again."""
        told(spec.open(run), 1, 2).close("stopped", {})
        told(spec.open(attrs.evolve(run, resumed=True)), 2, 3).close("finished", {"test/auc": 0.5})
        found = self.epochs(spec, run)
        assert set(found) >= {1, 2, 3}
        for epoch in (1, 2, 3):
            for value in values(epoch).values():
                assert [pytest.approx(value)] in list(found[epoch].values())

    def test_a_run_that_was_killed_goes_on(self, spec: Any, run: Tracked) -> None:
        """Nobody closed it, and what it told is there."""
        told(spec.open(run), 1)
        told(spec.open(attrs.evolve(run, resumed=True)), 2).close("finished", {})
        assert set(self.epochs(spec, run)) >= {1, 2}

    @pytest.mark.parametrize("state", ["stopped", "failed", "finished"])
    def test_a_run_may_end_before_it_told_anything(self, spec: Any, run: Tracked, state: Any) -> None:
        """A baseline has no epochs, and a run may fail before the first."""
        spec.open(run).close(state, {"test/auc": 0.5} if state == "finished" else {})

    def test_runs_at_once_are_kept_apart(self, spec: Any, run: Tracked) -> None:
        """Two runs of one name do not mix."""
        folder = run.folder.with_name("ba9876543210")
        folder.mkdir()
        other = attrs.evolve(run, id=folder.name, folder=folder)
        first, second = spec.open(run), spec.open(other)
        told(first, 1).close("finished", {})
        told(second, 1, 2).close("finished", {})
        assert 2 not in self.epochs(spec, run)
        assert set(self.epochs(spec, other)) >= {1, 2}

    def test_chance_is_left_alone(self, spec: Any, run: Tracked) -> None:
        """A run has the same numbers whether it is tracked or not."""
        before = torch.get_rng_state()
        told(spec.open(run), 1).close("finished", {})
        assert torch.equal(torch.get_rng_state(), before)


def values(epoch: int) -> dict[str, float]:
    """What an epoch gave; the second one has a value more."""
    more = {"dev/ndcg@5": 0.4 + epoch / 64} if epoch > 1 else {}
    return {"train/loss": 1.5 / epoch, "dev/gauc": 0.5 + epoch / 32, **more}


def told(tracking: Any, *epochs: int) -> Any:
    """A tracker that was told these epochs, with steps before each."""
    for epoch in epochs:
        tracking.step(100 * epoch - 50, {"train/loss": 2.0, "train/lr": 0.001})
        tracking.epoch(epoch, values(epoch))
    return tracking
