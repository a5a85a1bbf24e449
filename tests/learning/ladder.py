"""One model on ever better text: words, word vectors, language models frozen, split, adapted, tuned; quality beside its cost.

    python tests/learning/ladder.py --mind data/mind --glove data/glove
    python tests/learning/ladder.py --data movielens --rung "words" --rung "MiniLM, frozen" --seeds 1 --page -

`make ladder` does it. A finished run is read from its folder, so the command goes on where it was stopped.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import attrs
import typer
from rich.console import Console

from lego import (
    MIND,
    Attention,
    Dot,
    Experiment,
    GloVe,
    Matching,
    MovieLens,
    Pretrained,
    Recommender,
    Training,
    Words,
    frozen,
    full,
    lora,
    split,
)
from lego.errors import LegoError
from lego.home import home
from lego.pretrained.packaged import MINILM, SMOLLM2
from lego.report.leaderboard import Line, markdown, ranked
from lego.runtime.repeat import Repeated
from lego.spec import Checkpoint, Source, Tokens

ROOT = Path(__file__).resolve().parents[2]
METRICS = ("gauc", "mrr", "ndcg@5", "ndcg@10")
SHORT = {"epochs": 2}
"""Rungs that run many layers in each step see the data less often, so that no run takes much longer than two minutes."""
RATES: Mapping[str, float] = {"LoRA": 1e-3, "split + LoRA": 1e-3}
"""Learning rates of what learns of a language model; adapters, which begin at zero, want a larger one than 1e-4."""


@attrs.frozen(kw_only=True)
class Rung:
    """A step of the ladder: what reads the text."""

    name: str
    model: str = ""
    """The language model, where it is one."""
    content: Any = attrs.field(factory=Attention)
    tokens: Tokens | None = None
    training: Mapping[str, Any] = attrs.field(factory=dict)


def rungs(glove: Path | None) -> list[Rung]:
    """From words that know nothing to language models that learn; those whose files are here."""
    made = [Rung(name="words", tokens=Words())]
    if glove is not None:
        made.append(Rung(name="GloVe", tokens=GloVe(str(glove))))
    for checkpoint, title, ways in (
        (MINILM, "MiniLM", {"frozen": frozen(), "split": split(-2), "LoRA": lora(), "full": full()}),
        (SMOLLM2, "SmolLM2", {"frozen": frozen(), "split + LoRA": split(-2) | lora()}),
    ):
        found: Checkpoint | None = checkpoint.find()
        if found is None:
            continue
        made += [
            Rung(
                name=f"{title}, {way}",
                model=title,
                content=Pretrained(checkpoint.name, layers=layers),
                training={
                    **({} if way == "frozen" else {"pretrained_lr": RATES.get(way, 1e-4)}),
                    **(SHORT if way in ("LoRA", "full") else {}),
                },
            )
            for way, layers in ways.items()
        ]
    return made


def sources(mind: Path | None, users: int, impressions: int) -> Iterator[tuple[str, str, Source]]:
    """Name, title and source of the data sets; news only where its folder is given."""
    movies = ROOT / "examples" / "data" / "ml-latest-small"
    yield "movielens", "Movies: MovieLens", MovieLens(str(movies), users=users, history=10)
    if mind is not None:
        fewer = _fewer(mind, impressions)
        yield "mind", "News: of the sample of MIND", MIND(str(fewer), missing="drop", history=10)


def _fewer(mind: Path, impressions: int) -> Path:
    """A folder with the news of MIND and evenly spaced impressions: so many of train, and as many of dev."""
    folder = home() / "ladder" / f"mind-{impressions}"
    for part in ("train", "dev"):
        given = next(each for each in sorted(mind.iterdir()) if each.is_dir() and each.name.endswith(part))
        (folder / part).mkdir(parents=True, exist_ok=True)
        for name in ("news.tsv", "behaviors.tsv"):
            lines = (given / name).read_text(encoding="utf-8").splitlines(keepends=True)
            if name == "behaviors.tsv":
                lines = lines[:: max(1, len(lines) // impressions)][:impressions]
            (folder / part / name).write_text("".join(lines), encoding="utf-8")
    return folder


def experiment_of(source: Source, rung: Rung) -> Experiment:
    """The same recommender and the same training around every rung."""
    options: dict[str, Any] = {
        "epochs": 6,
        "patience": 2,
        "batch_size": 32,
        "lr": 1e-3,
    }
    return Experiment(
        data=source,
        model=Recommender(
            content=rung.content,
            behavior=Attention(),
            predictor=Dot(),
            tokens=rung.tokens,
            width=64,
            reads={"title": 20},
        ),
        task=Matching(),
        training=Training(**{**options, **rung.training}),
    )


@attrs.frozen(kw_only=True)
class Climbed:
    """What a rung gave on a data set, and what it cost."""

    rung: Rung
    runs: Repeated | None = None
    learns: int = 0
    """Weights that learn."""
    states: int = 0
    """Bytes of cached hidden states."""
    error: str | None = None

    @property
    def seconds(self) -> float:
        """Of fitting, in the mean over the seeds."""
        runs = self.runs.runs if self.runs else ()
        return sum(run.record["seconds"]["fit"] for run in runs) / max(1, len(runs))

    @property
    def checkpoint(self) -> int:
        """Bytes of what a run keeps."""
        return (
            (self.runs.runs[0].path / "checkpoint" / "model.safetensors").stat().st_size if self.runs else 0
        )

    def metric(self, name: str) -> tuple[float, float]:
        """Mean over the seeds, and the standard error of that mean."""
        assert self.runs is not None
        deviation = self.runs.deviations[name] or 0.0
        return self.runs.metrics[name] or math.nan, deviation / math.sqrt(len(self.runs.runs))


def climb(
    name: str, source: Source, rung: Rung, *, seeds: int, out: Path, say: Callable[[str], None]
) -> Climbed:
    """Trains a rung with every seed, or reads what was trained; a rung that fails is a line."""
    experiment = experiment_of(source, rung)
    folder = f"{name}_{rung.name}".replace(", ", "_").replace(" ", "")
    try:
        plan = experiment.plan()
        runs = experiment.run(seeds=seeds, name=folder, out=out, resume=True)
    except (LegoError, RuntimeError) as error:
        say(f"{name}, {rung.name}: {error}")
        return Climbed(rung=rung, error=f"{type(error).__name__}: {error}")
    states = sum(line.bytes for line in plan.caches if "states" in line.what)
    climbed = Climbed(rung=rung, runs=runs, learns=plan.trainable, states=states)
    mean, error_of_mean = climbed.metric("gauc")
    say(f"{name}, {rung.name}: gauc {mean:.4f} ± {error_of_mean:.4f}, {climbed.seconds:.0f} s")
    return climbed


# --- what it says ---------------------------------------------------------------------------------------------------------------


def verdict(lower: Climbed | None, upper: Climbed | None) -> str:
    """Whether the upper is better in GAUC than the lower by two standard errors of the difference, in words."""
    if lower is None or upper is None or lower.runs is None or upper.runs is None:
        return "not measured"
    (one, its), (other, theirs) = lower.metric("gauc"), upper.metric("gauc")
    error = math.hypot(its, theirs)
    told = f"`{upper.rung.name}` {other:.4f} against `{lower.rung.name}` {one:.4f}, {other - one:+.4f} ± {error:.4f}"
    if len(lower.runs.runs) < 2:  # one seed has no spread
        return f"open with one seed: {told}"
    if abs(other - one) <= 2 * error:
        return f"not told apart: {told}"
    return f"{'confirmed' if other > one else 'contradicted'}: {told}"


def findings(found: Sequence[Climbed]) -> str:
    """The two findings, held against the numbers."""
    known = {each.rung.name: each for each in found if each.runs is not None}

    def best(*names: str) -> Climbed | None:
        there = [known[name] for name in names if name in known]
        return max(there, key=lambda each: each.metric("gauc")[0], default=None)

    tuned = best("MiniLM, split", "MiniLM, LoRA", "MiniLM, full")
    words = best("words", "GloVe")
    lines = [
        "- Bigger language models help (finding 2):",
        f"    - a small one over word vectors: {verdict(words, known.get('MiniLM, frozen'))}",
        f"    - a larger one, both frozen: {verdict(known.get('MiniLM, frozen'), known.get('SmolLM2, frozen'))}",
        f"    - a larger one, both tuned: {verdict(tuned, known.get('SmolLM2, split + LoRA'))}",
        "- Tuning beats decoupled vectors (finding 3):",
        f"    - the small one: {verdict(known.get('MiniLM, frozen'), tuned)}",
        f"    - the larger one: {verdict(known.get('SmolLM2, frozen'), known.get('SmolLM2, split + LoRA'))}",
    ]
    return "\n".join(lines) + "\n"


def section(title: str, found: Sequence[Climbed]) -> str:
    """Quality, cost, and the findings on one data set."""
    lines = [
        Line(
            name=f"`{each.rung.name}`",
            mean={name: each.runs.metrics.get(name) for name in METRICS} if each.runs else {},
            std={name: each.runs.deviations.get(name) for name in METRICS} if each.runs else {},
            seeds=len(each.runs.runs) if each.runs else 0,
            status="finished" if each.runs else "failed",
            error=each.error,
        )
        for each in found
    ]
    done = next((each.runs for each in found if each.runs is not None), None)
    baselines = done.record["baselines"] if done else {}
    lines = ranked(lines, "gauc") + [
        Line(name=name, mean={metric: numbers.get(metric) for metric in METRICS}, status="baseline")
        for name, numbers in baselines.items()
    ]
    groups = f"{done.record['groups']:,} test impressions." if done else ""
    text = markdown(lines, title=title, caption=groups, metrics=METRICS)
    rows = [
        f"| `{each.rung.name}` | {each.seconds:,.0f} | {each.learns:,} | {each.checkpoint / 1e6:,.2f} "
        f"| {each.states / 1e6:,.1f} |"
        for each in found
        if each.runs is not None
    ]
    head = [
        "\n| text read by | seconds of fitting | weights that learn | checkpoint MB | cached states MB |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    return text + "\n".join([*head, *rows]) + "\n\n" + findings(found)


HEAD = """# The ladder

One recommender (attention over the history, a dot product, width 64) on ever better readers of the title, {seeds} seeds each.
Two findings of the Legommenders paper ([Liu et al. 2025](https://arxiv.org/abs/2412.15973)) are held against the numbers: that
bigger language models help, and that tuning them with the recommender beats vectors made beforehand. A finding counts as
confirmed where the means differ by more than two standard errors. The data are small, so that a run ends in minutes on one
core: users of MovieLens and impressions of MIND are sampled, and rungs that run all layers in each step see the
data {short} times, the others 6 times at most. Seconds are of the clock, beside whatever else the machine did, and leave out the
cached states, which are made once for all runs. MiniLM was trained to give vectors of sentences, SmolLM2 (135 million weights,
in four bits, for instructions) to go on with a text: they differ in more than size. `make ladder` makes this page again, and
goes on where it was stopped. Where several ways of tuning were tried, the best of them, by the same test impressions, stands for
tuning, which favors it.

"""


def main(
    mind: Annotated[Path | None, typer.Option(help="The folder of MIND; without it movies alone.")] = None,
    glove: Annotated[Path | None, typer.Option(help="A file of GloVe, or a folder with one.")] = None,
    data: Annotated[list[str] | None, typer.Option(help="mind or movielens; both unless given.")] = None,
    rung: Annotated[list[str] | None, typer.Option(help="A rung by name; all unless given.")] = None,
    seeds: Annotated[int, typer.Option(help="How many training seeds.")] = 3,
    users: Annotated[int, typer.Option(help="How many users of MovieLens.")] = 20,
    impressions: Annotated[int, typer.Option(help="How many impressions of MIND.")] = 400,
    out: Annotated[Path, typer.Option(help="Where run folders go.")] = Path("runs/ladder"),
    page_at: Annotated[Path, typer.Option("--page", help="Where the page goes; - for the terminal.")] = ROOT
    / "docs"
    / "ladder.md",
) -> None:
    """Trains what is not trained yet, then writes the page."""
    console = Console(soft_wrap=True, highlight=False)
    if glove is not None and glove.is_dir():
        glove = next(iter(sorted(glove.glob("*.txt"))), glove)
    chosen = [each for each in rungs(glove) if not rung or each.name in rung]
    sections = [
        section(
            title,
            [climb(name, source, each, seeds=seeds, out=out, say=console.print) for each in chosen],
        )
        for name, title, source in sources(mind, users, impressions)
        if not data or name in data
    ]
    text = HEAD.format(seeds=seeds, short=SHORT["epochs"]) + "\n".join(sections)
    if str(page_at) == "-":
        console.print(text, markup=False)
    else:
        page_at.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
