"""`lego plugins`: what other distributions add, and which of it cannot be used."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from lego.catalog import Entry


def plugins(
    seconds: float = typer.Option(
        60.0,
        "--seconds",
        min=0.1,
        metavar="S",
        help="How long loading an entry may take before it counts as broken.",
    ),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON document."),
) -> None:
    """List what other distributions add. Each entry is loaded in a process of its own, so a broken one is a row here."""
    from lego.catalog import switched_off
    from lego.cli.output import print_json

    rows = listing(seconds)
    if as_json:
        print_json(rows)
    else:
        _show(rows)
    for distribution in sorted({entry.distribution for entry in switched_off()}):
        typer.echo(f"{distribution} is left out by LEGO_PLUGINS.", err=True)


def listing(seconds: float) -> list[dict[str, Any]]:
    """A row for each distribution: its entries, and what is broken in a text, or None. The built-in entries are not tried."""
    from lego.catalog import BUILTIN, entries, malformed, normal
    from lego.cli.probe import faults

    owners: dict[tuple[str, str], list[Entry]] = {}
    for entry in entries():
        owners.setdefault((entry.distribution, entry.version), []).append(entry)
    tried = faults((entry for entry in entries() if normal(entry.distribution) != BUILTIN), seconds)
    rows = []
    for (distribution, version), owned in sorted(
        owners.items(), key=lambda owner: (normal(owner[0][0]) != BUILTIN, owner[0])
    ):
        listed = [{"slot": entry.slot, "name": entry.name, "broken": tried.get(entry)} for entry in owned]
        why = [
            f"{each['slot']} {each['name']}: {each['broken']}"
            for each in listed
            if each["broken"] is not None
        ]
        rows.append(_row(distribution, version, listed, "; ".join(why) or None))
    rows += [_row(each.distribution, each.version, [], f"{each.entry}: {each.why}") for each in malformed()]
    return rows


def _row(
    distribution: str, version: str, entries: list[dict[str, Any]], broken: str | None
) -> dict[str, Any]:
    return {"distribution": distribution, "version": version, "entries": entries, "broken": broken}


def _show(rows: list[dict[str, Any]]) -> None:
    from lego.catalog import BUILTIN, normal
    from lego.cli.output import aligned

    for place, row in enumerate(rows):
        head = f"{row['distribution']} {row['version']}".rstrip()
        typer.echo(("\n" if place else "") + typer.style(head, bold=True))
        if normal(row["distribution"]) == BUILTIN:
            typer.echo(f"  built in, {len(row['entries'])} entries")
            continue
        lines = [[each["slot"], each["name"], _state(each["broken"])] for each in row["entries"]]
        if not lines:
            lines = [[f"broken: {row['broken']}"]]
        for line in aligned(lines, indent="  "):
            typer.echo(line)
    if all(normal(row["distribution"]) == BUILTIN for row in rows):
        typer.echo("\nNo other distribution adds anything. docs/write_an_operator.md says how one is made.")


def _state(broken: str | None) -> str:
    return "fine" if broken is None else "broken: " + " ".join(broken.split())
