"""What a training step costs, beside the plain way: every slot encoded, padded, with torch's own Adam over whole tables.

Both ways make the same step with the same operators on the same impressions; only how they compute it differs. A row of a model
that judges each candidate by itself is, in the plain way, one pair of user and candidate. LEGO_BENCH_WHOLE=1 measures the plain
way with 256 impressions as well, which takes gigabytes of memory and most of an hour; LEGO_BENCH_MODELS=NAML and
LEGO_BENCH_WIDTHS=64 take a part of the table.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median
from typing import Any

import attrs
import mind_format
import torch
from measure import Pool, Row
from plain import by_pairs, every_slot, padded
from torch.utils.flop_counter import FlopCounterMode

from lego import MIND, Experiment, Recommender, Training, zoo
from lego.behavior.poly_attention import PolyAttention
from lego.compiler.assemble import Compiled
from lego.compiler.assemble import compile as compiled_of
from lego.contract import summed
from lego.data.batch import Batch
from lego.home import home
from lego.predictor.interest_attention import InterestAttention
from lego.runtime.allocator import kept_memory
from lego.runtime.fit import Batches, make_optimizer, task_context
from lego.seed import lent
from lego.sequence.additive import Additive
from lego.sequence.transformer import Transformer
from lego.spec import Task
from lego.task.matching import Matching
from lego.task.ranking import Ranking

PAGE = "speed_of_training.md"
NEWS, IMPRESSIONS, DEV, HISTORY = 10_000, 20_000, 8_000, 50
WIDTHS, BATCHES = (64, 256), (64, 256)
OURS, PLAIN = "lego", "plain"
TITLE = {"title": 30}
COLUMNS = (
    *("model", "width", "batch", "CPU ms", "wall ms", "plain, ms", "ratio"),
    *("peak MB", "plain, MB", "step MB", "plain, MB", "of the peak", "plain"),
)


def models() -> dict[str, tuple[Recommender, Task]]:
    """The models of the table, at any width: in the sizes of Table 2 of Liu et al. 2025, but for the second form of NAML."""
    pool = Additive(hidden=256)
    miner = Recommender(
        Transformer(layers=1, heads=8, pool=pool),
        PolyAttention(interests=32, hidden=256),
        InterestAttention(),
        reads=TITLE,
    )
    two: dict[str, Any] = {"setting": "table2", "reads": TITLE}
    matching, ranking = Matching(negatives=4), Ranking(negatives=4)
    return {
        "NRMS": (zoo.nrms(**two), matching),
        "NAML, one view": (zoo.naml(**two), matching),
        "NAML, four views": (zoo.naml(reads={"title": 30, "abstract": 50}), matching),
        "LSTUR": (zoo.lstur(**two), matching),
        "MINER, without a language model": (miner, matching),
        "DCN, text": (zoo.dcn_text(**two), ranking),
        "DIN, text": (zoo.din_text(**two), ranking),
        "DCN, item ids": (zoo.dcn(setting="table2"), ranking),
    }


def made_up(news: int, impressions: int, dev: int) -> Path:
    """A folder in the format of MIND, written once."""
    folder = home() / "bench" / f"mind-{news}-{impressions}-{dev}"
    if not (folder / "dev" / "news.tsv").exists():
        mind_format.write(folder, impressions, news, dev=dev)
    return folder


def experiment_of(
    name: str, width: int, batch: int, size: tuple[int, int, int], **training: Any
) -> Experiment:
    """A model of the table on data that nobody wrote."""
    model, task = models()[name]
    return Experiment(
        data=MIND(str(made_up(*size)), history=HISTORY),
        model=attrs.evolve(model, width=width),
        task=task,
        training=Training(batch_size=batch, **training),
    )


_KEPT = contextlib.ExitStack()


def keep_memory() -> None:
    """From here on this process allocates as a fit does."""
    _KEPT.enter_context(kept_memory())


# --- a row's step ---------------------------------------------------------------------------------------------------------------


def prepare(
    *, model: str, width: int, batch: int, how: str, size: tuple[int, int, int]
) -> tuple[Callable[[int], int], dict[str, Any]]:
    """The step of a row: it trains on a batch and says of how many impressions."""
    torch.set_num_threads(1)
    plain = how == PLAIN
    experiment = experiment_of(model, width, batch, tuple(size), deduplicate=not plain)
    compiled = compiled_of(experiment)
    pipeline = compiled.pipeline
    make = batches(compiled, plain=plain)
    if plain:
        pipeline.feed = padded(pipeline.feed)
        optimizer: torch.optim.Optimizer = torch.optim.Adam(pipeline.parameters(), lr=1e-3)
    else:
        optimizer = make_optimizer(pipeline, experiment.training)
        keep_memory()
    step = stepping(compiled, make, optimizer)
    sample = [make(number) for number in range(4)]
    about = {
        name: sum(getattr(each, name) for each in sample) / len(sample)
        for name in ("slots", "real", "distinct")
    }
    about["weights"] = sum(each.numel() for each in pipeline.parameters())
    if not plain:
        with FlopCounterMode(display=False) as counter:
            step(0)
        about["operations"] = counter.get_total_flops()
    return step, about


def batches(compiled: Compiled, *, plain: bool) -> Callable[[int], Batch]:
    """Batches of the first epoch, by number; the plain way's are of as many impressions."""
    epoch = Batches.of_epoch(compiled, 0)
    whole = len(epoch.rows) // compiled.experiment.training.batch_size
    pairs = not isinstance(compiled.experiment.task, Matching)

    def make(number: int) -> Batch:
        if not plain:
            return epoch.make(number % whole)
        chosen, rows = epoch.chosen(number % whole), epoch.rows
        if pairs:
            rows = by_pairs(rows, chosen)
            chosen = torch.arange(len(rows)).numpy()
        made = compiled.batch(epoch.train, rows, chosen, deduplicate=False)
        return every_slot(made, compiled.history)

    return make


def stepping(
    compiled: Compiled, make: Callable[[int], Batch], optimizer: torch.optim.Optimizer
) -> Callable[[int], int]:
    """Forward, backward and an update, of a batch by its number."""
    pipeline, size = compiled.pipeline, compiled.experiment.training.batch_size
    loss_of = compiled.experiment.task.build(task_context(compiled))
    pipeline.train()

    def step(number: int) -> int:
        batch = make(number)
        with lent(number, "bench"):
            out = pipeline(batch)
            losses = summed({"loss": loss_of(out.tensor, batch.labels, batch.candidate_mask)}, out.losses)
            torch.stack(list(losses.values())).sum().backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return size

    return step


# --- the rows -------------------------------------------------------------------------------------------------------------------


def measure(*, quick: bool, seconds: float, rounds: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Every model at every width: both ways and sizes of a batch take turns."""
    size = (300, 400, 20) if quick else (NEWS, IMPRESSIONS, DEV)
    sizes = (8,) if quick else BATCHES
    wanted = os.environ.get("LEGO_BENCH_MODELS", "")
    whole = bool(os.environ.get("LEGO_BENCH_WHOLE"))
    found: dict[str, Any] = {}
    widths = tuple(map(int, os.environ.get("LEGO_BENCH_WIDTHS", "").split())) or WIDTHS
    with Pool("step") as pool:
        for width in (16,) if quick else widths:
            for name in models():
                if wanted not in name:
                    continue
                jobs = {
                    f"{how}, {batch}": {
                        "model": name,
                        "width": width,
                        "batch": batch,
                        "how": how,
                        "size": size,
                    }
                    for batch in sizes
                    for how in (OURS, PLAIN)
                    if how == OURS or batch == sizes[0] or whole
                }
                rows = pool.interleave(jobs, rounds=rounds, seconds=seconds, say=say)
                lines = [_line(name, width, batch, rows, sizes[0]) for batch in sizes]
                found[f"{name}, {width}"] = lines
                say(f"step: {name}, {width}: " + ", ".join(f"{line['ratio'][0]:.1f}" for line in lines))
    return {"models": found, "size": size}


def _line(name: str, width: int, batch: int, rows: Mapping[str, Row], smallest: int) -> dict[str, Any]:
    ours = rows[f"{OURS}, {batch}"]
    measured = f"{PLAIN}, {batch}" in rows
    # Its cost is in proportion to the slots, so an impression costs it the same in a smaller batch.
    plain = rows[f"{PLAIN}, {batch if measured else smallest}"]
    return {
        "model": name,
        "width": width,
        "batch": batch,
        "cpu": 1e3 * batch * ours.cost,
        "wall": 1e3 * batch * median(each.wall / each.work for each in ours.turns),
        "plain": 1e3 * batch * plain.cost,
        "measured": measured,
        "ratio": ours.ratio(plain),
        "peak": ours.peak,
        "plain peak": plain.peak if measured else None,
        "of the step": ours.peak - ours.held,
        "of the plain step": plain.peak - plain.held if measured else None,
        "rate": ours.about["operations"] / (batch * ours.cost),
        "plain rate": ours.about["operations"] / (batch * plain.cost),
        "about": dict(ours.about),
        "rows": [ours.record(), plain.record()],
    }


# --- the page -------------------------------------------------------------------------------------------------------------------


def page(numbers: Mapping[str, Any], machine: Mapping[str, Any]) -> str:
    """As Markdown."""
    news, impressions, _ = numbers["size"]
    peak = machine["peak GFLOP/s"]
    lines = [
        f"| {' | '.join(COLUMNS)} |",
        "|---|" + "---:|" * (len(COLUMNS) - 1),
    ]
    every = [line for lines_of in numbers["models"].values() for line in lines_of]
    names = list(models())
    for each in sorted(every, key=lambda line: (names.index(line["model"]), line["width"], line["batch"])):
        middle, least, most = each["ratio"]
        cells = [
            each["model"],
            str(each["width"]),
            str(each["batch"]),
            f"{each['cpu']:,.0f}",
            f"{each['wall']:,.0f}",
            f"{each['plain']:,.0f}" + ("" if each["measured"] else " *"),
            f"{middle:.1f} ({least:.1f} to {most:.1f})",
            f"{each['peak'] / 1e6:,.0f}",
            *(megabytes(each.get(name)) for name in ("plain peak", "of the step", "of the plain step")),
            f"{each['rate'] / 1e9 / peak:.0%}",
            f"{each['plain rate'] / 1e9 / peak:.1%}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    first = next(iter(numbers["models"].values()))[0]["rows"][1]["about"]
    share = first["real"] / first["slots"], first["distinct"] / first["slots"]
    head = HEAD.format(
        processor=machine["processor"],
        torch=machine["torch"],
        news=f"{news:,}",
        impressions=f"{impressions:,}",
        real=share[0],
        distinct=share[1],
        peak=peak,
    )
    note = f"{numbers['note']}\n\n" if "note" in numbers else ""  # of this release, as in the page on factors
    return head + note + "\n".join(lines) + TAIL


def megabytes(size: int | None) -> str:
    """A cell of a table; a dash where it was not measured."""
    return "–" if size is None else f"{size / 1e6:,.0f}"


HEAD = """# The speed of training

`make bench ONLY=step` on one thread of {processor}, torch {torch}: a training step on made-up news with the statistics of MIND
({news} news, {impressions} impressions, titles of 11 words of which 30 are read, histories of 50, 4 negatives). CPU time, the
median of the rounds; both ways take turns, and the brackets are the spread of the ratio over the rounds.

*The plain way* computes the same step with the same operators as the code of Legommenders and most code of the field does: each
slot of a batch is encoded where it stands, padding and repeated items too, texts are padded to the longest, and torch's own Adam
updates whole tables. Where each candidate is judged by itself (DCN, DIN), a row of it is one pair of user and candidate. In the
first batch here {real:.0%} of the slots are real and {distinct:.0%} are distinct items. A `*` marks what follows from the smaller
batch: an impression costs the plain way the same in a larger one (`LEGO_BENCH_WHOLE=1` measures it).

*Of the peak* is the share of what this thread reaches in a product of large matrices ({peak:.0f} GFLOP/s): products of the step,
counted, over its time; for the plain way only those that are of use.

*Peak MB* is the memory of the whole process while it works. Before the first step it holds more than 400 MB, whatever is
trained: an interpreter with torch takes 224, what else is imported 86, the data, its tokenizer and what compiling leaves behind
150. *Step MB* is what the steps add to that, which is what the way of computing decides.

"""
TAIL = "\n"
