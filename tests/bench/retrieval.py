"""What ranking all items for every impression costs: page by page and exact, beside the whole matrix of scores, sorted.

The model is small and untrained, since what is measured is the ranking: item ids, the mean of the history, a product.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from measure import interleave
from news import write_news

from lego import MIND, Dot, Experiment, ItemID, Mean, Recommender, Training, load
from lego.home import home
from lego.runtime.load import Loaded
from lego.runtime.retrieval import retrieval

PAGE = "speed_of_retrieval.md"
ITEMS = 104_151
"""About the news of MIND-small and MIND-large's train part."""
IMPRESSIONS = 512
WIDTH = 64
CUTS = (10, 50, 100)
PAGED, WHOLE = "lego", "all scores at once, sorted"


def _run(items: int, impressions: int) -> Loaded:
    """An untrained model on news that nobody wrote, made once."""
    folder = home() / "bench" / f"news-{items}"
    data = MIND(str(write_news(folder, items=items, impressions=8 * impressions)), history=50)
    model = Recommender(content=ItemID(), behavior=Mean(), predictor=Dot(), width=WIDTH)
    experiment = Experiment(data=data, model=model, training=Training(epochs=0))
    return load(experiment.run(out=home() / "bench" / "runs", name=f"retrieval-{items}", reuse=True).path)


def prepare(*, how: str, items: int, impressions: int) -> tuple[Callable[[int], int], dict[str, Any]]:
    """The step of a row: it ranks all items for every impression of the test part, and says for how many."""
    loaded = _run(items, impressions)
    tested = len(loaded.store.part("test"))
    about = {"items": loaded.store.item_count, "impressions": tested, "width": WIDTH}
    if how == "paged":

        def ours(_: int) -> int:
            retrieval(loaded, cuts=CUTS)
            return tested

        return ours, about
    generator = np.random.default_rng(0)
    table = generator.normal(size=(items, WIDTH)).astype(np.float32)
    users = generator.normal(size=(tested, WIDTH)).astype(np.float32)

    def plain(_: int) -> int:
        np.argsort(-(users @ table.T), axis=1)[:, : max(CUTS)]
        return tested

    return plain, about


def measure(*, quick: bool, seconds: float, rounds: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Both ways in turn."""
    items, impressions = (500, 16) if quick else (ITEMS, IMPRESSIONS)
    jobs = {
        name: {"how": how, "items": items, "impressions": impressions}
        for name, how in ((PAGED, "paged"), (WHOLE, "whole"))
    }
    rows = interleave("retrieval", jobs, rounds=rounds, seconds=seconds, say=say)
    ours = rows[PAGED]
    table = []
    for name, row in rows.items():
        middle, least, most = ours.ratio(row)
        ratio = "1" if row is ours else f"{middle:.2g} ({least:.2g} to {most:.2g})"
        table.append(
            [
                name,
                f"{1e3 * row.cost:,.2f}",
                f"{73_152 * row.cost / 60:,.1f}",
                f"{row.peak / 2**20:,.0f}",
                ratio,
            ]
        )
    records = {name: {**row.record(), "ratio": ours.ratio(row)} for name, row in rows.items()}
    return {"rows": records, "table": table}


def page(numbers: Mapping[str, Any], machine: Mapping[str, Any]) -> str:
    """As Markdown."""
    about = numbers["rows"][PAGED]["about"]
    lines = [
        "| way | ms an impression | minutes for 73,152 impressions | peak of memory, MB | times as long as lego |",
        "|---|---:|---:|---:|---:|",
    ]
    lines += ["| " + " | ".join(row) + " |" for row in numbers["table"]]
    head = f"""# The speed of retrieval

`make bench ONLY=retrieval` on one core of {machine["processor"]}: Recall@k, nDCG@k and hits at {", ".join(map(str, CUTS))} over
all {about["items"]:,} items, exactly, for {about["impressions"]:,} impressions, with vectors {about["width"]} wide. The model
encodes items and users in each step, leaves out what was seen, and holds a page of scores at a time; the other way makes the
whole matrix of scores and sorts it. CPU seconds, the median of the rounds; ways take turns.

"""
    return head + "\n".join(lines) + "\n"
