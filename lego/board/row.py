"""A published result: the numbers of its source, how they were measured, and the experiment that answers to it here."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import attrs

from lego.data.source.mind import MIND
from lego.errors import SpecError
from lego.experiment import Evaluation, Experiment, Training
from lego.expression import parse
from lego.spec import Task
from lego.task.matching import Matching

HEADINGS: Mapping[str, str] = {"gauc": "AUC", "mrr_all": "MRR", "ndcg@5": "nDCG@5", "ndcg@10": "nDCG@10"}
"""The metrics of the board, and what their sources call them."""

GIVEN: Mapping[str, str] = {
    "glove": "word vectors, as in glove.6B.300d.txt",
    "vectors": "a file of item vectors",
}
"""What an expression may leave open, by the option of the command that gives it."""


@attrs.frozen(kw_only=True)
class Edition:
    """The data that a result is on."""

    name: str
    title: str
    tested: int
    """Impressions of its test part; another number is other data."""
    note: str
    dev: float
    """The share of train that is held back to choose the epoch."""

    def source(self, path: str) -> MIND:
        """The data in a folder."""
        return MIND(path, dev=self.dev)


@attrs.frozen(kw_only=True)
class Row:
    """A published result."""

    name: str
    """`minddemo/nrms`."""
    model: str
    """As its source calls it."""
    edition: Edition
    protocol: str
    """The protocol here that reads scores as its source does."""
    metrics: Mapping[str, float]
    """The numbers of the source, between 0 and 1, under the names that they have here."""
    deviations: Mapping[str, float] = attrs.field(factory=dict)
    """Their standard deviations over seeds, where the source gives any."""
    seeds: int | None = None
    """How many seeds the numbers are the mean of; None where the source does not say."""
    source: str
    """The address."""
    read: str
    """Where in the source they stand."""
    tuning: str
    """What the source says of how options were chosen."""
    text: str = ""
    """The model as an expression, with `{glove}` or `{vectors}` where a file must be given; empty where none answers to it."""
    task: Task = attrs.field(factory=Matching)
    training: Training = attrs.field(factory=Training)
    differs: str = ""
    """What the experiment does in another way, as far as that is known."""
    missing: str = ""
    """Why it cannot be run, whatever is given; or what it wants that the data lacks."""

    @property
    def needs(self) -> tuple[str, ...]:
        """The options that its command wants beside the data."""
        return tuple(dict.fromkeys(re.findall(r"'\{(\w+)\}'", self.text)))

    @property
    def runnable(self) -> bool:
        """Whether an expression of this version answers to it."""
        return bool(self.text)

    @property
    def command(self) -> str:
        """What runs it again and prints ours beside theirs; empty where nothing does."""
        if not self.runnable:
            return ""
        files = {"glove": "glove.6B.300d.txt", "vectors": "vectors.parquet"}
        given = "".join(f" --{name} {files[name]}" for name in self.needs)
        return f"lego board {self.name} --data data/{self.edition.name}{given}"

    def experiment(self, path: str, given: Mapping[str, str]) -> Experiment:
        """On the data of a folder, with the files that it needs. SpecError where one is missing, or nothing answers to it."""
        if not self.runnable:
            raise SpecError(f"{self.name} cannot be run: {self.missing}.")
        lacking = [name for name in self.needs if name not in given]
        if lacking:
            told = ", ".join(f"--{name} ({GIVEN[name]})" for name in lacking)
            raise SpecError(f"{self.name} needs {told}: {self.text}")
        text = self.text
        for name in self.needs:
            text = text.replace(f"'{{{name}}}'", repr(given[name]))
        made: Any = parse(text)
        return Experiment(
            data=self.edition.source(path),
            model=made,
            task=self.task,
            training=self.training,
            evaluation=Evaluation(protocol=self.protocol),  # type: ignore[arg-type]  # a test holds it to the names
        )
