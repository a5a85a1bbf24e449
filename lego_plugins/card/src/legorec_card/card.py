"""`lego card`: a model card of a run (Mitchell et al. 2019, https://arxiv.org/abs/1810.03993), from what its folder records."""

from __future__ import annotations

import json
from pathlib import Path

import typer

from legorec_card.page import facts_of, page_of


def card(
    run: Path = typer.Argument(..., metavar="RUN", help="A run folder, as printed by `lego run`."),
    out: Path | None = typer.Option(None, metavar="FILE", help="Write the page to this file instead."),
    about: str = typer.Option("", metavar="TEXT", help="What the model is for, in your words; stands first."),
    licence: str = typer.Option(
        "", "--license", metavar="NAME", help="The license of the weights, as in apache-2.0."
    ),
    as_json: bool = typer.Option(False, "--json", help="Print the facts as one JSON document instead."),
) -> None:
    """Write a model card: what a run is, what it learned from, its numbers and how they are read.

    Nothing is loaded but what the folder records, so neither the data nor the plugins of the run need be there.
    """
    facts = facts_of(run)
    page = page_of(facts, about=about, licence=licence)
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(page, encoding="utf-8")
    if as_json:
        typer.echo(json.dumps({**facts, "out": None if out is None else str(out)}, ensure_ascii=False))
    elif out is None:
        typer.echo(page, nl=False)
    else:
        typer.echo(f"model card: {out}")
