"""What a training step with a language model costs: fully tuned, with adapters, split, with and without cached states.

All rows do the same work, the same impressions in the same order. The plain way takes a batch in parts, one after the other, and
updates behind the last: the same step in a part of the memory. Freezing saves work, and so does encoding each item once without
its padding; the two are measured apart. Beside each row stands what counting layers predicts: a layer that learns costs
one forward and two backward products, a frozen one that is run costs one, a cached one none.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from typing import Any

import attrs
import torch
from measure import interleave
from news import write_news
from plain import every_slot

from lego import MIND, Attention, Dot, Experiment, Matching, Pretrained, Recommender, Training
from lego.compiler.assemble import compile  # noqa: A004 - the verb of the language
from lego.compiler.feed import ItemFeed, Page
from lego.compiler.plan import plan_of
from lego.contract import Needs
from lego.expression import parse
from lego.home import home
from lego.pretrained.model import LanguageModel
from lego.pretrained.packaged import MINILM, SMOLLM2
from lego.runtime.allocator import kept_memory
from lego.runtime.fit import Batches, task_context
from lego.runtime.optimizer import make_optimizer
from lego.seed import lent

PAGE = "language_models.md"
BUDGET = 30
"""Tokens of a title, as the plain way pads it."""
CHECKPOINTS: Mapping[str, Mapping[str, Any]] = {
    "MiniLM": {
        "checkpoint": MINILM.name,
        "layers": 6,
        "at": (1, 3, 5),
        "rows": 64,
        "history": 50,
        "parts": 8,
        "size": (10_000, 1_000),
    },
    "MiniLM in small batches": {
        "checkpoint": MINILM.name,
        "layers": 6,
        "at": (1, 2, 3, 4, 5),
        "rows": 16,
        "history": 30,
        "parts": 1,
        "size": (600, 400),
    },
    "SmolLM2-135M": {
        "checkpoint": SMOLLM2.name,
        "layers": 30,
        "at": (10, 20, 25, 28, 29),
        "rows": 4,
        "history": 10,
        "parts": 1,
        "size": (600, 400),
    },
}
"""`parts` is in how many the plain way takes a batch, `size` how many news and impressions there are."""
PLAIN, ONCE, FULL, ALL_FROZEN = "full, plainly", "full, each item once, padded", "full", "frozen"
PLAIN_TOP = "last layer, plainly"


kept = contextlib.ExitStack()
"""That a process allocates as a fit does, for as long as it lives."""

# --- a row's step ---------------------------------------------------------------------------------------------------------------


def prepare(
    *,
    checkpoint: str,
    learns: str,
    cached: bool,
    plain: bool,
    padded: bool,
    rows: int,
    history: int,
    size: tuple[int, int],
    parts: int = 1,
    threads: int = 1,
) -> tuple[Callable[[int], int], dict[str, Any]]:
    """The step of a row: it trains on a batch, or on a part of one, and says how many impressions were in it."""
    torch.set_num_threads(threads)
    folder = home() / "bench" / "-".join(map(str, ("news", *size)))
    news = write_news(folder, items=size[0], impressions=size[1])
    data = MIND(str(news), history=history)
    experiment = Experiment(
        data=data,
        model=Recommender(
            content=Pretrained(checkpoint, layers=parse(learns), states="fp32"),
            behavior=Attention(),
            predictor=Dot(),
            width=64,
            reads={"title": BUDGET},
        ),
        task=Matching(negatives=4),
        training=Training(batch_size=rows // parts, lr=1e-5, deduplicate=not plain),
    )
    drop = LanguageModel.drop_lower
    if not cached:
        LanguageModel.drop_lower = lambda _model: None  # type: ignore[method-assign]  # it is run in every step here
    compiled = compile(experiment)
    LanguageModel.drop_lower = drop  # type: ignore[method-assign]
    pipeline = compiled.pipeline
    feed: Any = pipeline.feed
    if not cached:
        feed = attrs.evolve(feed, states=None)
    if padded:
        feed = _Padded(**{field.name: getattr(feed, field.name) for field in attrs.fields(ItemFeed)})
    pipeline.feed = feed
    loss_of = experiment.task.build(task_context(compiled))
    optimizer = make_optimizer(pipeline, experiment.training)
    if not plain:
        kept.enter_context(kept_memory())
    pipeline.train()
    epoch = Batches.of_epoch(compiled, 0)

    def step(number: int) -> int:
        batch = epoch.make(number % (len(epoch) - 1))
        if plain:  # padding among the slots is encoded too
            batch = every_slot(batch, history)
        with lent(number, "bench"):
            out = pipeline(batch)
            loss = loss_of(out.tensor, batch.labels, batch.candidate_mask)
            (loss / parts).backward()
        if (number + 1) % parts == 0:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        return rows // parts

    sample = [epoch.make(number) for number in range(min(8, len(epoch) - 1))]
    lengths = feed.tokens.lengths
    return step, {
        "rows": rows,
        "learns": sum(each.numel() for each in pipeline.parameters() if each.requires_grad),
        "states": sum(line.bytes for line in compiled.caches if "states" in line.what) if cached else 0,
        "real": sum(each.real for each in sample) / len(sample),
        "distinct": sum(each.distinct for each in sample) / len(sample),
        "slots": sum(each.slots for each in sample) / len(sample),
        "tokens": float(lengths[lengths > 0].mean()),
        "operations": plan_of(experiment).flops_per_step,
    }


@attrs.frozen(eq=False, kw_only=True)
class _Padded(ItemFeed):
    """All items in one page, as long as the budget."""

    def pages(self, rows: torch.Tensor) -> Any:
        """rows (N,) -> one page."""
        assert self.tokens is not None
        chosen = rows.numpy()
        length = max(BUDGET, int(self.tokens.lengths.max()))
        table, mask = self.tokens.take(chosen).padded(length)
        states = None if self.states is None else self.states.gather(chosen, length)
        yield Page(
            torch.arange(len(rows)),
            torch.from_numpy(table).long(),
            torch.from_numpy(mask),
            Needs(states=states),
        )


# --- the rows -------------------------------------------------------------------------------------------------------------------


def groups(name: str, *, quick: bool) -> list[dict[str, dict[str, Any]]]:
    """What takes turns together; `full` is in each, so that ratios are of one group."""
    each = CHECKPOINTS[name]
    base = {name: each[name] for name in ("checkpoint", "rows", "history", "size")}
    parts = each["parts"]
    if quick:
        base.update(rows=2, history=3, size=(40, 12))
        parts = 1

    def job(learns: str, *, cached: bool = True, plain: bool = False, padded: bool = False) -> dict[str, Any]:
        taken = parts if plain else 1
        return {**base, "learns": learns, "cached": cached, "plain": plain, "padded": padded, "parts": taken}

    at = each["at"][-2:] if quick else each["at"]
    whole = {FULL: job("full()", cached=False)}
    return [
        {
            **whole,
            PLAIN: job("full()", cached=False, plain=True, padded=True),
            ONCE: job("full()", cached=False, padded=True),
            PLAIN_TOP: job("split(-1)", cached=False, plain=True, padded=True),
        },
        {
            **whole,
            "lora()": job("lora()", cached=False),
            **{f"split({n})": job(f"split({n})") for n in at},
            ALL_FROZEN: job("frozen()"),
        },
        {**whole, **{f"split({n}), run each time": job(f"split({n})", cached=False) for n in at}},
    ]


def measure(
    *,
    quick: bool,
    seconds: float,
    rounds: int,
    say: Callable[[str], None],
    names: tuple[str, ...] = tuple(CHECKPOINTS),
) -> dict[str, Any]:
    """The numbers of every checkpoint, in plain JSON types."""
    found: dict[str, Any] = {}
    for name in names:
        packaged = MINILM if CHECKPOINTS[name]["checkpoint"] == MINILM.name else SMOLLM2
        if packaged.find() is None:
            say(f"language_models: {name} is left out, its package {packaged.package} is not installed")
            continue
        lines = []
        for group in groups(name, quick=quick):
            rows = interleave("language_models", group, rounds=rounds, seconds=seconds, say=say)
            whole = rows[FULL]
            lines += [
                {**row.record(), "cost": row.cost, "ratio": row.ratio(whole)}
                for row in rows.values()
                if row is not whole or not lines
            ]
        found[name] = {"layers": CHECKPOINTS[name]["layers"], "rows": lines}
    return found


def share(row: Mapping[str, Any], peak: float) -> float | None:
    """Products of a step that encodes each item once, trimmed, over its time, as a share of the peak; None where not counted."""
    about = row["about"]
    if not about.get("operations"):
        return None
    return float(about["operations"] / (about["rows"] * row["cost"]) / 1e9 / peak)


def _megabytes(size: int | None) -> str:
    return "–" if size is None else f"{size / 1e6:,.0f}"


def _tokens(about: Mapping[str, Any]) -> float:
    return float(about["slots"] * BUDGET / (about["distinct"] * about["tokens"]))


def limits(name: str, layers: int, cost: Mapping[str, float]) -> tuple[float | None, float | None]:
    """What counting layers predicts: of the layers alone, and with what a frozen model's step costs beside them."""
    head, _, rest = name.partition(")")
    if not head.startswith("split("):
        return None, None
    n = int(head.removeprefix("split("))
    share = (3 * (layers - n) + (n if rest else 0)) / (3 * layers)
    if not {FULL, ALL_FROZEN} <= cost.keys():
        return 1 / share, None
    beside = cost[ALL_FROZEN]
    return 1 / share, cost[FULL] / (beside + (cost[FULL] - beside) * share)


# --- the page -------------------------------------------------------------------------------------------------------------------

COLUMNS = (
    *("what learns", "impressions / s", "over `full`", "layers", "with the rest", "reached", "peak MB"),
    *("weights that learn", "states MB"),
)
HEAD = """# What a language model costs

A training step of a small recommender (additive pool, attention over the history, dot product, width 64, Adam) around a
language model, measured on {processor} with one thread, torch {torch}. `make bench ONLY=language_models` makes this page again.
The data are made up, with the statistics of MIND: titles of 11 words, histories with a long tail. All rows train on the same
impressions. Rows take turns, the ratios are of CPU time in the same round, the brackets their spread.

*The plain way* is that of Legommenders: every slot of a batch is encoded where it stands, empty ones too, each title padded to
{budget} tokens. It takes a large batch in parts and updates behind the last, which is the same step in a part of the memory.

`split(10)` freezes the embeddings and ten layers, whose outputs are computed once and kept. *Layers* is what counting them
predicts: a layer that learns costs three products (forward, and two backward), a frozen one that is run costs one, a cached one
none. *With the rest* adds what is there beside the layers, which is what a step costs where all of the model is frozen.
*Reached* is the measured ratio as a share of that limit. The optimiser is no layer: `full` also updates the token embeddings,
which a split leaves alone, so a split may pass its limit.

The Legommenders paper ([Liu et al. 2025](https://arxiv.org/abs/2412.15973)) claims that training with cached lower layers is "up
to 100 times" as fast as full tuning. Counting layers alone allows a factor of {most:.0f} here, where all but the last are cached;
the rest of such a claim is encoding each item once and without padding, which full tuning gets as well.

"""


def page(numbers: Mapping[str, Any], machine: Mapping[str, Any]) -> str:
    """The whole page."""
    known = [name for name in CHECKPOINTS if name in numbers]
    most = max((numbers[name]["layers"] for name in known), default=0)
    text = HEAD.format(processor=machine["processor"], torch=machine["torch"], most=most, budget=BUDGET)
    return text + "\n".join(section(name, numbers[name], machine.get("peak GFLOP/s", 1.0)) for name in known)


def section(name: str, found: Mapping[str, Any], peak: float = 1.0) -> str:
    """The two tables of a checkpoint."""
    rows = {row["name"]: row for row in found["rows"]}
    cost = {each: row["cost"] for each, row in rows.items()}
    about = rows[FULL]["about"]
    lines = [
        f"## {name}, {found['layers']} layers\n",
        (
            f"A batch of {about['rows']} impressions with 4 negatives has {about['slots']:,.0f} slots of histories and "
            f"candidates, {about['real']:,.0f} real items in them ({about['real'] / about['slots']:.0%}), "
            f"{about['distinct']:,.0f} distinct ones ({about['distinct'] / about['slots']:.0%}), of {about['tokens']:.1f} tokens "
            f"in the mean. Padded tokens of all slots are {_tokens(about):.1f} times those of distinct items: what not repeating "
            "and not padding can give at the most, where cost is in proportion to tokens.\n"
        ),
        f"| {' | '.join(COLUMNS)} |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for each in (FULL, *(row for row in rows if row not in (FULL, PLAIN, ONCE, PLAIN_TOP))):
        row = rows[each]
        layers, limit = limits(each, found["layers"], cost)
        ratio, least, largest = row["ratio"]
        cells = [
            f"`{each}`" if ", " not in each else f"`{each.partition(', ')[0]}`, {each.partition(', ')[2]}",
            f"{1 / row['cost']:,.1f}",
            f"{ratio:.2f} [{least:.2f}, {largest:.2f}]",
            "–" if layers is None else f"{layers:.2f}",
            "–" if limit is None else f"{limit:.2f}",
            "–" if limit is None else f"{ratio / limit:.0%}",
            _megabytes(row["peak"]),
            f"{row['about']['learns']:,}",
            f"{row['about']['states'] / 1e6:.1f}" if row["about"]["states"] else "–",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    lines += ["", "Apart: what comes from not repeating and not padding, and what from freezing.\n"]
    lines += [
        "| step | impressions / s | over the plain way | over the row above | peak MB |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    top = next((each for each in reversed(rows) if each.startswith("split(") and "," not in each), None)
    before = cost[PLAIN]
    steps = [
        (PLAIN, "full, every slot encoded, padded to the budget: the plain way"),
        (ONCE, "each distinct item once, padded"),
        (FULL, "sorted by length and trimmed: `full` above"),
    ]
    if top is not None:
        steps += [
            (f"{top}, run each time", f"`{top}`, its frozen layers run in every step"),
            (top, f"`{top}`, cached"),
        ]
    for each, said in steps:
        if each not in rows:  # a release may have measured a part
            continue
        lines.append(
            f"| {said} | {1 / cost[each]:,.1f} | {cost[PLAIN] / cost[each]:.1f} | {before / cost[each]:.2f} | "
            f"{_megabytes(rows[each]['peak'])} |"
        )
        before = cost[each]
    lines.append(
        f"\nFreezing alone, in the plain way and without a cache, gives {cost[PLAIN] / cost[PLAIN_TOP]:.1f}; not repeating "
        f"and not padding alone {cost[PLAIN] / cost[FULL]:.1f}"
        + ("" if top is None else f"; freezing and a cache on top {cost[FULL] / cost[top]:.1f}")
        + ".\n"
    )
    if "note" in found:  # of this release
        lines.append(f"{found['note']}\n")
    part = share(rows[FULL], peak)
    if part:
        lines.append(
            f"Products of `full` run at {part:.0%} of what this thread reaches in a product of large matrices "
            f"({peak:.0f} GFLOP/s).\n"
        )
    return "\n".join(lines)
