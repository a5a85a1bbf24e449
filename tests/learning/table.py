"""Trains the zoo on small real data and writes what it learned to docs/learning.md: `make learning`.

    python tests/learning/table.py --mind data/mind --seeds 3
    python tests/learning/table.py --model nrms --model naml --seeds 1 --page -

A run that is finished is read from its folder, so the command goes on where it was stopped. A model that fails is a line.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import attrs
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import typer
from rich.console import Console

from lego import (
    MIND,
    Experiment,
    Matching,
    MovieLens,
    PretrainedTokens,
    Ranking,
    TextSimilarity,
    Training,
    frozen,
    zoo,
)
from lego.contract import Reads
from lego.data.prepare import prepare
from lego.data.store import Store
from lego.errors import LegoError
from lego.home import home
from lego.pretrained.packaged import MINILM
from lego.ragged import flat_positions
from lego.recommender import Recommender
from lego.report.leaderboard import Line, markdown, ranked
from lego.runtime.repeat import spread
from lego.spec import Source, Task

ROOT = Path(__file__).resolve().parents[2]
METRICS = ("gauc", "mrr", "mrr_all", "ndcg@5", "ndcg@10")
WIDTH = 64
LLAMA = ("dire", "once")
"""Models of seven billion weights."""
SHORTER: Mapping[str, Any] = {
    "plm_nr": {"epochs": 3},
    "miner": {"epochs": 3},
    "flat_transformer": {"epochs": 2, "history": 8},
    "flat_fastformer": {"epochs": 2, "history": 8},
}
"""What takes longest, and what it is spared."""


REASONS: Mapping[str, str] = {
    "tanr": "its convolution over words, which `naml` has as well, learns little from {train:,} impressions; where there is more "
    "to learn from, as on the movies, both are well above.",
}
"""Why a model that reads text may fail, where the number of impressions alone does not say it."""


HEAD = """# What is learned

The models of [the zoo](zoo.md) that fit two cores, trained on small real data: {what}, best first, on the test part.
`make learning` makes this page again; it goes on where it was stopped.

All have the setting of Table 2 with a width of {width}. Words start from the token table of MiniLM, which stays; language
models and ready-made vectors are MiniLM's, frozen. `naml, views` has a view for each attribute. Each model is trained with its
published loss where that compares the click with what was shown beside it, otherwise with `Matching()`, by Adam with 0.001 and
batches of 64; the epoch that is best on the dev part is kept. To keep runs near a minute, models around a language model see the
data 3 times at most, and those that read all tokens of a history see the last 8 items of it, twice. `zoo.dire` and `zoo.once`
need a language model of seven billion weights and are left out. `sasrec` and `gsasrec` differ in their loss alone, which is the
same here. Differences below the spread say nothing, and the order on
small data is not that on large data.

"""


@attrs.frozen(kw_only=True)
class Data:
    """A data set, as small as two cores want it, and how a model is trained on it."""

    name: str
    title: str
    source: Source
    category: str
    """The categorical attribute of its items."""
    texts: tuple[str, ...]
    categories: tuple[str, ...]
    training: Training


@attrs.frozen(kw_only=True)
class Case:
    """A line of the table."""

    name: str
    model: Callable[[Data, Store], Recommender | TextSimilarity]
    task: Task
    transductive: bool = False
    """Whether it knows items by id alone."""
    epochs: int | None = None
    """The most that it is trained, where that is less than others are."""
    history: int | None = None
    """The items of a history that it reads, where they are fewer than for others."""


def data_sets(mind: Path | None, users: int) -> Iterator[Data]:
    """The two data sets; news only where its folder is given."""
    training = Training(epochs=5, patience=2, batch_size=64, lr=1e-3)
    if mind is not None:
        yield Data(
            name="mind",
            title="News: the sample of MIND",
            source=MIND(str(mind), missing="drop", history=30),
            category="category",
            texts=("title", "abstract"),
            categories=("category", "subcategory"),
            training=training,
        )
    yield Data(
        name="movielens",
        title="Movies: MovieLens",
        source=MovieLens(str(ROOT / "examples" / "data" / "ml-latest-small"), users=users, history=20),
        category="genres",
        texts=("title",),
        categories=("genres",),
        training=attrs.evolve(training, epochs=3),
    )


def cases() -> list[Case]:
    """Every model of the zoo that fits two cores, the multi-view NAML, and text similarity."""
    made = [
        Case(
            name=entry.name,
            model=lambda data, store, entry=entry: model_of(entry, data, store),
            task=task_of(entry),
            transductive="item ids" in entry.reads,
            **SHORTER.get(entry.name, {}),
        )
        for entry in zoo.entries()
        if entry.name not in LLAMA
    ]
    made.append(Case(name="naml, views", model=naml_of_views, task=Matching()))
    made.append(
        Case(name="text similarity", model=lambda _data, _store: TextSimilarity(MINILM.name), task=Matching())
    )
    return sorted(made, key=lambda case: case.name)


def model_of(entry: zoo.Entry, data: Data, store: Store) -> Recommender:
    """The model in the setting of Table 2, as narrow as all here; words start from MiniLM, language models are MiniLM, frozen."""
    known = entry.function.__wrapped__.__kwdefaults__ or {}  # type: ignore[attr-defined]
    options: dict[str, Any] = {"setting": "table2"}
    if "category" in known:
        options["category"] = data.category
    if "checkpoint" in known:
        options.update(checkpoint=MINILM.name, layers=frozen())
    if "vectors" in entry.arguments:
        options["vectors"] = str(vectors_of(data, store))
    return narrow(entry.model(**options))


def narrow(model: Recommender) -> Recommender:
    """The same, with the width of the table, and words that start from MiniLM where it reads words."""
    reads_words = model.content.reads in (Reads.VECTORS, Reads.PARTS)
    tokens = PretrainedTokens(MINILM.name) if reads_words else None
    return attrs.evolve(model, width=WIDTH, tokens=tokens)


def naml_of_views(data: Data, _store: Store) -> Recommender:
    """NAML as published but for its width: a view for each attribute."""
    return narrow(zoo.naml(texts=data.texts, categories=data.categories))


def task_of(entry: zoo.Entry) -> Task:
    """The published task; where that draws negatives from the whole catalog, those that were shown beside the click instead.

    What is measured is who is clicked among what was shown, and the candidates of the movies are as popular as the clicks are.
    """
    if isinstance(entry.task, Ranking):
        return Ranking(negatives=4)
    return entry.task if entry.task.candidates.source == "impression" else Matching()


def vectors_of(data: Data, store: Store) -> Path:
    """A file of MiniLM's vectors of the items, made once for prepared data."""
    path = home() / "learning" / f"{store.fingerprint[:24]}.parquet"
    if not path.is_file():
        scorer: Any = TextSimilarity(MINILM.name).fitted()
        scorer.fit(store)
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = path.with_suffix(".partial")
        pq.write_table(pa.table({"item_id": store.items["item_id"], "vector": list(scorer.table[1:])}), aside)
        aside.replace(path)
    return path


@attrs.define
class Result:
    """What the seeds of a case gave."""

    case: Case
    metrics: list[Mapping[str, float | None]] = attrs.field(factory=list)
    seconds: list[float] = attrs.field(factory=list)
    baselines: Mapping[str, Mapping[str, float | None]] = attrs.field(factory=dict)
    text: str = ""
    error: str | None = None

    @property
    def line(self) -> Line:
        """Mean and spread over the seeds."""
        over = spread({name: row.get(name) for name in METRICS} for row in self.metrics)
        return Line(
            name=f"`{self.case.name}`",
            text=self.text,
            mean={name: mean for name, (mean, _) in over.items()},
            std={name: std for name, (_, std) in over.items()},
            seeds=len(self.metrics),
            status="failed" if self.error and not self.metrics else "finished",
            error=self.error,
        )


def experiment_of(data: Data, case: Case, model: Recommender | TextSimilarity, seed: int) -> Experiment:
    """What is run: a baseline has nothing to train."""
    source: Any = data.source
    training = attrs.evolve(data.training, seed=seed, epochs=min(data.training.epochs, case.epochs or 99))
    return Experiment(
        data=source if case.history is None else attrs.evolve(source, history=case.history),
        model=model,
        task=case.task,
        training=training if isinstance(model, Recommender) else Training(),
    )


def measure(
    data: Data, case: Case, seeds: Sequence[int], store: Store, out: Path, say: Callable[[str], None]
) -> Result:
    """Trains the case with each seed, or reads what was measured."""
    result = Result(case)
    for seed in seeds:
        begun = time.monotonic()
        try:
            model = case.model(data, store)
            experiment = experiment_of(data, case, model, seed)
            result.text = model.text()
            name = case.name.replace(", ", "_").replace(" ", "_")
            run = experiment.run(name=f"{data.name}_{name}", out=out, resume=True, reuse=True)
        except (LegoError, RuntimeError, ValueError) as error:
            result.error = f"{type(error).__name__}: {error}"
            say(f"{data.name}, {case.name}, seed {seed}: {result.error}")
            break
        result.metrics.append(run.metrics)
        result.baselines = run.record["baselines"]
        result.seconds.append(sum(run.record["seconds"].values()))
        told = f"gauc {run.metrics['gauc']:.4f}, {result.seconds[-1]:.0f} s"
        say(f"{data.name}, {case.name}, seed {seed}: {told} ({time.monotonic() - begun:.0f} s now)")
        if not isinstance(model, Recommender):
            break  # nothing is drawn
    return result


def unseen(store: Store) -> float:
    """The share of the test part's candidates that nobody clicked in the train part or in a history of it."""
    train, test = store.part("train"), store.part("test")
    lengths = np.maximum(train.stop - train.start, 0)
    clicked = train.candidates.values[train.labels.astype(bool)]
    seen = np.union1d(clicked, store.users.history.values[flat_positions(train.start, lengths)])
    return float(1 - np.isin(test.candidates.values, seen).mean())


def section(data: Data, store: Store, results: Sequence[Result], count: int) -> str:
    """The table of one data set, and what stands below it."""
    baselines = next((result.baselines for result in results if result.baselines), {})
    lines = ranked([result.line for result in results], "gauc")
    lines += [
        Line(name=name, mean={metric: numbers.get(metric) for metric in METRICS}, status="baseline")
        for name, numbers in baselines.items()
    ]
    floor = baselines.get("popularity", {}).get("gauc") or 0.5
    parts = {part: len(store.part(part)) for part in ("train", "dev", "test")}
    told = ", ".join(f"{number:,} {part}" for part, number in parts.items())
    seconds = [each for result in results for each in result.seconds]
    caption = (
        f"Impressions: {told}. {unseen(store):.0%} of the test candidates were never clicked before. "
        f"{len([r for r in results if r.metrics])} of {count} models, {len(seconds)} runs, {sum(seconds) / 60:.0f} minutes, "
        f"the longest {max(seconds, default=0):.0f} seconds."
    )
    below = [
        f"- `{result.case.name}` ({result.line.mean['gauc']:.3f}): {reason(result, store)}"
        for result in results
        if result.metrics and (result.line.mean.get("gauc") or 0) <= floor
    ]
    text = markdown(lines, title=data.title, caption=caption, metrics=METRICS)
    if below:
        text += f"\nNot above popularity ({floor:.3f}):\n\n" + "\n".join(below) + "\n"
    return text


def reason(result: Result, store: Store) -> str:
    """Why a model does not beat popularity here."""
    if result.case.transductive:
        return f"it knows items by id alone, and {unseen(store):.0%} of the test candidates were never clicked before."
    why = REASONS.get(result.case.name, "{train:,} impressions are few for what it has to learn.")
    return why.format(train=len(store.part("train")))


def page(sections: Sequence[str], seeds: int) -> str:
    """The whole page."""
    what = f"the mean over {seeds} seeds and the standard deviation" if seeds > 1 else "one seed each"
    return HEAD.format(what=what, width=WIDTH) + "\n".join(sections)


def main(
    mind: Annotated[Path | None, typer.Option(help="The folder of MIND; without it movies alone.")] = None,
    data: Annotated[list[str] | None, typer.Option(help="mind or movielens; both unless given.")] = None,
    model: Annotated[list[str] | None, typer.Option(help="A model of the zoo; all unless given.")] = None,
    seeds: Annotated[int, typer.Option(help="How many training seeds.")] = 3,
    users: Annotated[int, typer.Option(help="How many users of MovieLens.")] = 45,
    out: Annotated[Path, typer.Option(help="Where run folders go.")] = Path("runs/learning"),
    page_at: Annotated[Path, typer.Option("--page", help="Where the page goes; - for the terminal.")] = ROOT
    / "docs"
    / "learning.md",
) -> None:
    """Trains what is not trained yet, then writes the page."""
    console = Console(soft_wrap=True, highlight=False)
    every = cases()
    chosen = [case for case in every if not model or case.name in model]
    sections = []
    for each in data_sets(mind, users):
        if data and each.name not in data:
            continue
        store = prepare(each.source, home() / "data")
        results = [measure(each, case, range(seeds), store, out, console.print) for case in chosen]
        sections.append(section(each, store, results, len(every)))
    text = page(sections, seeds)
    if str(page_at) == "-":
        console.print(text, markup=False)
    else:
        page_at.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
