"""What ONCE gains by what: original against augmented data, joint against decoupled language model, with significance.

    python examples/once_ablation.py                # three seeds of four models, on the embedded data
    python examples/once_ablation.py --mind data/mind --generator 'Replay("answers.jsonl")'

Prints the tables of `lego compare`: for all impressions, and for those of users who got new items. A run that is finished is
read from its folder, so the command goes on where it was stopped. Answers about MIND are made before, as `once.py` says.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import attrs
import typer
from rich.console import Console

from lego import Attention, Augment, Experiment, Recommender
from lego.errors import SpecError
from lego.runtime.compare import compare
from lego.runtime.fit import Stopped
from lego.runtime.script import load_experiment

HERE = Path(__file__).resolve().parent


def main(
    seeds: Annotated[int, typer.Option(min=1, help="Runs of each model.")] = 3,
    mind: Annotated[
        Path | None, typer.Option(help="The folder of MIND; the embedded data otherwise.")
    ] = None,
    generator: Annotated[
        str | None, typer.Option(help="Who answered, as an expression; SmolLM2 unless given.")
    ] = None,
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="PATH=VALUE", help="Replace a value of the augmented, joint one."),
    ] = None,
    out: Annotated[Path, typer.Option(help="Where run folders go.")] = Path("runs/once_ablation"),
) -> None:
    """Trains what is not trained yet, and prints the tables."""
    console = Console()
    runs = []
    try:
        for name, experiment in models(mind, generator, changes or []).items():
            for seed in range(seeds):
                console.print(f"{name}, seed {seed}", highlight=False)
                run = experiment.set(f"training.seed={seed}").run(name=name, out=out, resume=True, reuse=True)
                runs.append(run.path)
    except (Stopped, KeyboardInterrupt):
        console.print("stopped; the same command goes on where it was")
        raise typer.Exit(130) from None
    compare(runs).print(console)
    console.print("\nUsers who got new items:\n")
    try:
        compare(runs, augmented=True).print(console)
    except SpecError as nobody:
        console.print(str(nobody), highlight=False, markup=False)


def models(mind: Path | None, generator: str | None, changes: list[str]) -> dict[str, Experiment]:
    """The four, by name."""
    whole, _ = load_experiment(f"{HERE / 'once.py'}:{'experiment' if mind is None else 'on_mind'}")
    if mind is not None:
        whole = whole.set(f"data.data.path={str(mind)!r}")
    if generator is not None:
        whole = whole.set(f"data.generator={generator}")
    whole = whole.set(*changes).rebased(Path.cwd())
    assert isinstance(whole.data, Augment)
    assert isinstance(whole.model, Recommender)
    # Neither titles nor profiles that a model wrote, on data without the items that it invented.
    plain = attrs.evolve(whole.model, reads={"title": whole.model.reads["llm_title"]}, behavior=Attention())
    original = attrs.evolve(whole, data=whole.data.data, model=plain)
    return {
        "original_joint": original,
        "original_decoupled": decoupled(original),
        "augmented_joint": whole,
        "augmented_decoupled": decoupled(whole),
    }


def decoupled(experiment: Experiment) -> Experiment:
    """The same, whose language model stays as it is."""
    return experiment.set("model.content.layers=frozen()")


if __name__ == "__main__":
    typer.run(main)
