"""Table 2 of the paper: trains the rows that two cores can, and prints the paper's numbers beside those measured here.

    python examples/table2.py                                 # the embedded MovieLens
    python examples/table2.py --mind data/mind --width 256    # news, as wide as in the paper
    python examples/table2.py --checkpoint sentence-transformers/all-MiniLM-L6-v2 --vectors minilm.parquet
    python examples/table2.py --mind data/mind --checkpoint … --generator 'OpenAICompatible("gpt-4o-mini")'

The augmented rows, `AUGMENTED` below, read the data of `once.py`: the embedded answers, or those about MIND that are made
before by `lego augment examples/once.py:on_mind`.

The paper's numbers are on MIND (small), all of it; on other data, or on less of it, only the order of the rows can be compared.
A run that is finished is read from its folder, so the command goes on where it was stopped.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import attrs
import typer
from rich.console import Console
from rich.table import Table

from lego import MIND, Augment, Experiment, MovieLens, Ranking, Training, parse, zoo
from lego.contract import Reads
from lego.errors import LegoError
from lego.runtime.fit import Stopped
from lego.runtime.script import load_experiment

HERE = Path(__file__).resolve().parent
METRICS = ("gauc", "mrr_all", "ndcg@5")
MINILM_TOKENS = "PretrainedTokens('sentence-transformers/all-MiniLM-L6-v2')"

GENERATED = {"llm_title": 30, "category": 1}
AUGMENTED = {
    "DCN_text + GPT": zoo.dcn_text(setting="table2", reads=GENERATED),
    "NAML + GPT": zoo.naml(setting="table2", reads=GENERATED),
    "NRMS + GPT": zoo.nrms(setting="table2", reads=GENERATED),
    "PLM-NR + GPT": zoo.plm_nr(setting="table2", reads=GENERATED),
    "ONCE": zoo.once(setting="table2", reads=GENERATED, profiles=("llm_topics", "llm_region")),
}
"""The rows whose data a language model improved: they read its titles, and ONCE its profiles of the users, too."""


def main(
    mind: Annotated[
        Path | None, typer.Option(help="The folder of MIND; the embedded MovieLens otherwise.")
    ] = None,
    rows: Annotated[
        list[str] | None, typer.Option("--row", help="A row of the table; all unless given.")
    ] = None,
    width: Annotated[int, typer.Option(help="Of items and users; 256 in the paper's code.")] = 64,
    epochs: Annotated[int, typer.Option(help="At most; the best on the dev part is kept.")] = 3,
    users: Annotated[int, typer.Option(help="How many users of MovieLens.")] = 150,
    checkpoint: Annotated[
        str | None, typer.Option(help="A language model for the rows that have one.")
    ] = None,
    vectors: Annotated[
        Path | None, typer.Option(help="A file of item vectors for the decoupled row.")
    ] = None,
    tokens: Annotated[str, typer.Option(help="Where words come from, as an expression.")] = MINILM_TOKENS,
    generator: Annotated[
        str | None, typer.Option(help="Who wrote the generated data, as an expression; SmolLM2 unless given.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Where run folders go.")] = Path("runs/table2"),
) -> None:
    """Trains what can be trained, one row after the other, and prints the table."""
    data = (
        MIND(str(mind), missing="drop", history=50)
        if mind
        else MovieLens(str(HERE / "data" / "ml-latest-small"), users=users, history=50)
    )
    better = augmented(data, parse(generator) if generator else None)
    console = Console()
    table = Table(title="Table 2, in percent: measured here | the paper's on MIND (small)")
    for column in ("row", "AUC", "MRR", "nDCG@5", "AUC", "MRR", "nDCG@5", "without"):
        table.add_column(column, justify="left" if column in ("row", "without") else "right")
    baselines: dict[str, Any] = {}
    for row in zoo.ROWS:
        published = [f"{value:.2f}" for value in row.metrics.values()]
        why = None if not rows or row.name in rows else "not asked for"
        found: dict[str, Any] = {}
        source = better if row.name in AUGMENTED else data
        if why is None:
            why, options = given(row, checkpoint, vectors)
        if why is None:
            console.print(f"{row.name}: {row.text}", highlight=False)
            try:
                run = experiment(row, source, width, epochs, tokens, options).run(
                    name=row.name.lower().replace(" ", "_").replace(",", "").replace("+", "and"),
                    out=out,
                    resume=True,
                    reuse=True,
                )
            except LegoError as error:
                why = str(error)
            except (Stopped, KeyboardInterrupt):
                console.print("stopped; the same command goes on where it was")
                raise typer.Exit(130) from None
            else:
                found, baselines = run.metrics, dict(run.record["baselines"])
        table.add_row(row.name, *percent(found), *published, why or "")
    for name, numbers in baselines.items():
        table.add_row(name, *percent(numbers), "", "", "", "a baseline")
    console.print(table)


def augmented(data: MIND | MovieLens, generator: Any = None) -> Augment:
    """The data with what `once.py` asks for: titles, profiles, new items. Where there is no answer, the original stands."""
    name = "experiment" if isinstance(data, MovieLens) else "on_mind"
    whole = load_experiment(f"{HERE / 'once.py'}:{name}")[0].data
    assert isinstance(whole, Augment)
    return attrs.evolve(whole, data=data, generator=generator or whole.generator)


def given(row: zoo.Row, checkpoint: str | None, vectors: Path | None) -> tuple[str | None, dict[str, Any]]:
    """What the row needs and was not given, or None; and the arguments that were."""
    options: dict[str, Any] = {}
    if row.entry in ("plm_nr", "miner", "dire", "once"):
        if checkpoint is None:
            return "--checkpoint", options
        options["checkpoint"] = checkpoint
    if row.entry == "dire_decoupled":
        if vectors is None:
            return "--vectors", options
        options["vectors"] = str(vectors)
    return None, options


def experiment(
    row: zoo.Row, data: Any, width: int, epochs: int, tokens: str, options: dict[str, Any]
) -> Experiment:
    """The row's model on the data, with its published task; four of the items shown are enough for ranking."""
    entry = next(each for each in zoo.entries() if each.name == row.entry)
    text = AUGMENTED[row.name].text(full=True) if row.name in AUGMENTED else row.text
    if "category" not in data.attributes:  # movies have genres, and are of no region
        text = text.replace("'category': 1", "'genres': 8").replace(", 'llm_region')", ",)")
    model = attrs.evolve(parse(text), width=width)
    for name, value in options.items():
        model = attrs.evolve(model, content=attrs.evolve(model.content, **{name: value}))
    if model.content.reads is Reads.VECTORS:
        model = attrs.evolve(model, tokens=parse(tokens))
    task = Ranking(negatives=4) if isinstance(entry.task, Ranking) else entry.task
    return Experiment(data=data, model=model, task=task, training=Training(epochs=epochs, patience=2))


def percent(numbers: dict[str, Any]) -> list[str]:
    """The three metrics of the table as texts; nothing where nothing was measured."""
    return [f"{100 * numbers[name]:.2f}" if name in numbers else "–" for name in METRICS]


if __name__ == "__main__":
    typer.run(main)
