"""What ONCE gains by what: original against augmented data, joint against decoupled language model, with significance.

    python examples/once_ablation.py                # three seeds of four models, on the embedded data
    python examples/once_ablation.py --mind data/mind --generator 'Replay("answers.jsonl")'

Prints the table of `lego compare`. A run that is finished is read from its folder, so the command goes on where it was stopped.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import attrs
import typer
from rich.console import Console

from lego import MIND, Attention, Augment, Experiment, Profile, Rewrite, frozen, parse
from lego.runtime.compare import compare
from lego.runtime.script import load_experiment

HERE = Path(__file__).resolve().parent


def main(
    seeds: Annotated[int, typer.Option(help="Runs of each model.")] = 3,
    mind: Annotated[
        Path | None, typer.Option(help="The folder of MIND; the embedded data otherwise.")
    ] = None,
    generator: Annotated[
        str, typer.Option(help="With --mind: who answered, as an expression.")
    ] = "LocalModel()",
    out: Annotated[Path, typer.Option(help="Where run folders go.")] = Path("runs/once_ablation"),
) -> None:
    """Trains what is not trained yet, and prints the table."""
    whole, _ = load_experiment(str(HERE / "once.py"))
    if mind is not None:
        whole = attrs.evolve(whole, data=news(mind, generator), model=reading(whole, {"llm_title": 30}))
    assert isinstance(whole.data, Augment)
    title = {"title" if name == "llm_title" else name: budget for name, budget in whole.model.reads.items()}
    original = attrs.evolve(
        reading(whole, title), behavior=Attention()
    )  # neither generated titles nor profiles, on data without generated items
    models = {
        "original_joint": attrs.evolve(whole, data=whole.data.data, model=original),
        "original_decoupled": attrs.evolve(whole, data=whole.data.data, model=decoupled(original)),
        "augmented_joint": whole,
        "augmented_decoupled": attrs.evolve(whole, model=decoupled(whole.model)),
    }
    console = Console()
    runs = []
    for name, experiment in models.items():
        for seed in range(seeds):
            training = attrs.evolve(experiment.training, seed=seed)
            console.print(f"{name}, seed {seed}", highlight=False)
            run = attrs.evolve(experiment, training=training).run(name=name, out=out, resume=True, reuse=True)
            runs.append(run.path)
    compare(runs).print(console)


def reading(experiment: Experiment, reads: dict[str, int]) -> object:
    """The model with other attributes to read."""
    return attrs.evolve(experiment.model, reads=reads)


def decoupled(model: object) -> object:
    """The same, whose language model stays as it is."""
    return attrs.evolve(model, content=attrs.evolve(model.content, layers=frozen()))


def news(folder: Path, generator: str) -> Augment:
    """MIND with titles and profiles; make the answers first, with `lego augment`, or name a file of them."""
    return Augment(
        MIND(str(folder), missing="drop"),
        title=Rewrite("{title} — {abstract}", to="llm_title"),
        profile=Profile("{title}", to="llm_topics"),
        generator=parse(generator),
        missing="empty",
    )


if __name__ == "__main__":
    typer.run(main)
