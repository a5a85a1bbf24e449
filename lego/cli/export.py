"""`lego export`: the vectors of a trained run, for serving by other systems."""

from __future__ import annotations

from pathlib import Path

import typer


def export(
    run: Path = typer.Argument(..., metavar="RUN", help="A run folder, as printed by `lego run`."),
    out: Path = typer.Option(..., "--out", help="The Parquet file to write: item_id and vector."),
    items: Path | None = typer.Option(
        None,
        "--items",
        help="Items to encode instead of the data's: CSV, JSON lines or Parquet. They may be new.",
    ),
    users: Path | None = typer.Option(
        None, "--users", help="Also write user_id and vector of every user to this Parquet file."
    ),
    device: str = typer.Option("auto", help="cpu, cuda, mps, or auto."),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON document."),
) -> None:
    """Write the vectors of items, and of users, that a run's model makes."""
    from lego.cli.output import console, errors, print_json
    from lego.runtime.load import load
    from lego.runtime.progress import Screen
    from lego.runtime.vectors import item_vectors, user_vectors, write

    loaded = load(run, device=device, screen=Screen(errors()))
    # First what may be refused: a file of items beside no file of users would look like success.
    made = user_vectors(loaded) if users is not None else None
    written = {"items": {"path": str(out), "rows": write(out, item_vectors(loaded, items))}}
    if users is not None and made is not None:
        written["users"] = {"path": str(users), "rows": write(users, iter(made.to_batches()))}
    if as_json:
        print_json({"run": str(run), **written})
        return
    screen = console(as_json=False)
    for what, each in written.items():
        screen.print(f"{each['rows']:,} {what}: {each['path']}", markup=False, soft_wrap=True)
