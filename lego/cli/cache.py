"""`lego cache`: hidden states of frozen layers that are kept: list them, check them, remove them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from lego.pretrained.states import Kept

DAY = 86_400.0

cache = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Hidden states of frozen layers: list what is kept, check it, remove it.",
)


@cache.command("list")
def list_(as_json: bool = typer.Option(False, "--json", help="Print one JSON document.")) -> None:
    """List what is kept: checkpoint, layer, tokens, size, and when it was last used."""
    found = _kept()
    _tell([_record(each) for each in found], as_json=as_json)


@cache.command()
def verify(as_json: bool = typer.Option(False, "--json", help="Print one JSON document.")) -> None:
    """Read all of it, and say what is not as it was written; exit code 1 where something is damaged."""
    from lego.pretrained.states import check_kept

    rows = []
    for each in _kept():
        state = each.state
        if state == "whole" and not check_kept(each.path):
            state = "damaged"
        rows.append({**_record(each), "state": state})
    _tell(rows, as_json=as_json)
    if any(row["state"] == "damaged" for row in rows):
        raise typer.Exit(1)


@cache.command()
def prune(
    unused: float | None = typer.Option(
        None, "--unused", min=0, metavar="DAYS", help="Also what was not used for so many days."
    ),
    everything: bool = typer.Option(False, "--all", help="All of it."),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON document."),
) -> None:
    """Remove what is damaged or unfinished, and with --unused or --all what is whole; it is made again when it is needed."""
    from lego.pretrained.states import discard

    rows = []
    for each in _kept():
        old = unused is not None and time.time() - each.used > unused * DAY
        if (everything or old or each.state != "whole") and discard(each.path):
            rows.append(_record(each))
    _tell(rows, as_json=as_json, done="removed")


def _kept() -> list[Kept]:
    from lego.home import home
    from lego.pretrained.states import kept

    return kept(home() / "states")


def _record(each: Kept) -> dict[str, Any]:
    return {
        "path": str(each.path),
        "state": each.state,
        "checkpoint": each.about.get("checkpoint"),
        "layers": each.about.get("layers"),
        "tokens": each.tokens,
        "width": each.width,
        "dtype": each.dtype or None,
        "bytes": each.bytes,
        "used": time.strftime("%Y-%m-%d %H:%M", time.localtime(each.used)),
    }


def _tell(rows: list[dict[str, Any]], *, as_json: bool, done: str = "kept") -> None:
    from lego.cli.output import aligned, print_json

    if as_json:
        print_json(rows)
        return
    shown = [
        [
            row["state"],
            row["checkpoint"] or "",
            row["layers"] or "",
            f"{row['tokens']:,} tokens",
            f"{row['bytes'] / 1e6:,.1f} MB",
            row["used"],
            row["path"],
        ]
        for row in rows
    ]
    for line in aligned(shown):
        typer.echo(line)
    typer.echo(f"{len(rows)} {done}, {sum(row['bytes'] for row in rows) / 1e6:,.1f} MB")
