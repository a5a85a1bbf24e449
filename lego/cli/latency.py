"""`lego latency`: how long a trained model takes to answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer


def latency(
    run: Path = typer.Argument(..., metavar="RUN", help="A run folder, as printed by `lego run`."),
    part: str = typer.Option("test", help="The part whose impressions are scored: train, dev or test."),
    batch_size: list[int] = typer.Option(
        [],
        min=1,
        metavar="N",
        help="Impressions in a batch: 1 and 64 unless given; may be given several times.",
    ),
    repeats: int = typer.Option(50, min=1, metavar="N", help="How many batches are measured."),
    warmup: int = typer.Option(5, min=0, metavar="N", help="How many batches come first and do not count."),
    device: str = typer.Option("auto", help="cpu, cuda, mps, or auto."),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON document."),
) -> None:
    """Milliseconds a batch of impressions takes: items, users and predictor apart, mean and percentiles after a warm-up."""
    from lego.cli.output import console, errors, print_json
    from lego.errors import SpecError
    from lego.report.table import print_metrics
    from lego.runtime.latency import SIZES
    from lego.runtime.latency import latency as measured
    from lego.runtime.load import load
    from lego.runtime.progress import Screen

    if part not in ("train", "dev", "test"):
        raise SpecError(f"lego latency: --part is train, dev or test, was {part!r}.")
    loaded = load(run, device=device, screen=Screen(errors()))
    found = measured(loaded, part, sizes=batch_size or SIZES, repeats=repeats, warmup=warmup)
    if as_json:
        print_json({"run": str(run), **found})
        return
    screen = console(as_json=False)
    threads = f"{found['threads']} thread{'s' if found['threads'] > 1 else ''}"
    for each in found["batches"]:
        rows: dict[str, dict[str, Any]] = each["ms"]
        title = (
            f"{each['batch_size']} impressions a batch on {found['device']}, {threads}, {each['repeats']} batches after "
            f"{each['warmup']}: {each['impressions_per_second']:,.0f} impressions a second"
        )
        print_metrics(rows, screen, title=title, heading="ms", digits=3)
