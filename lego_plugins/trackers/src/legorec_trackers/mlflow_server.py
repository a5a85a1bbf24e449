"""Runs in MLflow: a server, or a store on this machine."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping
from typing import Literal, Self

import attrs
from mlflow import MlflowClient
from mlflow.entities import Metric, Param

from lego.contract import Tracked
from lego.spec import Tracker, operator

BATCH = 100
"""Options, or metrics, in one call: the most options that a server takes."""
LONGEST = 500
"""Letters of an option: what every version of a server takes."""
STATES = {"finished": "FINISHED", "stopped": "KILLED", "failed": "FAILED"}


@operator
class MLflow(Tracker):
    """Options as parameters, losses and metrics as metrics, the folder and the experiment as tags.

    `uri` is the tracking server (or a store, as in `sqlite:///mlflow.db`), MLFLOW_TRACKING_URI unless given; `experiment` is its
    experiment, the name of the run unless given. MLflow admits no `@` in names, so `dev/ndcg@5` is `dev/ndcg_at_5`. A run that
    goes on goes on there too.
    """

    uri: str | None = attrs.field(default=None, kw_only=False)
    experiment: str | None = None

    def open(self, run: Tracked) -> _MLflow:
        """Begins a run there, or finds the one to go on with."""
        client = MlflowClient(tracking_uri=self.uri)
        name = self.experiment or run.name
        found = client.get_experiment_by_name(name)
        place = client.create_experiment(name) if found is None else found.experiment_id
        own = f"tags.`lego.run` = '{run.id}' and tags.`lego.name` = '{run.name}'"
        before = client.search_runs([place], own, max_results=1) if run.resumed else []
        if before:
            known: str = before[0].info.run_id
            client.update_run(known, status="RUNNING")
            return _MLflow(client, known, resumed=True)
        tags = {
            "lego.run": run.id,
            "lego.name": run.name,
            "lego.folder": str(run.folder),
            "lego.text": run.text[:5000],
        }
        made: str = client.create_run(place, run_name=f"{run.name}/{run.id}", tags=tags).info.run_id
        options = [Param(_name(key), str(value)[:LONGEST]) for key, value in run.options.items()]
        for at in range(0, len(options), BATCH):
            client.log_batch(made, params=options[at : at + BATCH])
        return _MLflow(client, made, resumed=False)

    @classmethod
    def examples(cls) -> Iterable[Self]:
        """Where the environment says, and a store of one's own."""
        return (cls(), cls("sqlite:///mlflow.db", experiment="news"))


class _MLflow:
    def __init__(self, client: MlflowClient, run: str, *, resumed: bool) -> None:
        self.client = client
        self.run = run
        self.resumed = resumed
        self.known: dict[str, set[int]] = {}
        self.last = 0

    def step(self, step: int, values: Mapping[str, float]) -> None:
        """Metrics over batches."""
        self._log({f"step/{name.removeprefix('train/')}": value for name, value in values.items()}, step)

    def epoch(self, epoch: int, values: Mapping[str, float]) -> None:
        """Metrics over epochs."""
        self.last = epoch
        self._log(values, epoch)

    def close(self, state: Literal["finished", "stopped", "failed"], values: Mapping[str, float]) -> None:
        """The last ones, and how it ended."""
        self._log(values, self.last)
        self.client.set_terminated(self.run, STATES[state])

    def _log(self, values: Mapping[str, float], step: int) -> None:
        now = int(1000 * time.time())
        metrics = [
            Metric(_name(name), value, now, step)
            for name, value in values.items()
            if step not in self._told(_name(name))
        ]
        for at in range(0, len(metrics), BATCH):
            self.client.log_batch(self.run, metrics=metrics[at : at + BATCH])

    def _told(self, name: str) -> set[int]:
        """The steps of a metric that were told before the run was stopped."""
        if not self.resumed:
            return set()
        if name not in self.known:
            self.known[name] = {each.step for each in self.client.get_metric_history(self.run, name)}
        return self.known[name]


def _name(name: str) -> str:
    """As MLflow admits it."""
    return re.sub(r"[^\w\-. /:]", "_", name.replace("@", "_at_"))
