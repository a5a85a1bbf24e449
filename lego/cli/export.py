"""`lego export`: the vectors of a trained run, for serving by other systems, and its tuned language model."""

from __future__ import annotations

from pathlib import Path

import typer


def export(
    run: Path = typer.Argument(..., metavar="RUN", help="A run folder, as printed by `lego run`."),
    out: Path | None = typer.Option(None, "--out", help="The Parquet file to write: item_id and vector."),
    items: Path | None = typer.Option(
        None,
        "--items",
        help="Items to encode instead of the data's: CSV, JSON lines or Parquet. They may be new.",
    ),
    users: Path | None = typer.Option(
        None, "--users", help="Also write user_id and vector of every user to this Parquet file."
    ),
    merged: Path | None = typer.Option(
        None,
        "--merged",
        metavar="DIR",
        help="Write the tuned language model as a transformers checkpoint to this folder, adapters merged into its weights.",
    ),
    device: str = typer.Option("auto", help="cpu, cuda, mps, or auto."),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON document."),
) -> None:
    """Write the vectors of items, and of users, that a run's model makes, or its tuned language model."""
    from lego.cli.output import console, errors, print_json
    from lego.errors import SpecError
    from lego.runtime.load import load
    from lego.runtime.progress import Screen
    from lego.runtime.vectors import item_vectors, user_vectors, write

    if out is None and merged is None:
        raise SpecError("lego export: nothing is asked for. Give --out items.parquet, --merged DIR, or both.")
    if out is None and (items is not None or users is not None):
        raise SpecError("lego export: --items and --users go with --out, the file of the vectors of items.")
    loaded = load(run, device=device, screen=Screen(errors()))
    written: dict[str, dict[str, object]] = {}
    # First what may be refused: a file of items beside no file of users would look like success.
    made = user_vectors(loaded) if users is not None else None
    if merged is not None:
        written["merged"] = {name: str(path) for name, path in loaded.merge(merged).items()}
    if out is not None:
        written["items"] = {"path": str(out), "rows": write(out, item_vectors(loaded, items))}
    if users is not None and made is not None:
        written["users"] = {"path": str(users), "rows": write(users, iter(made.to_batches()))}
    if as_json:
        print_json({"run": str(run), **written})
        return
    screen = console(as_json=False)
    for path in written.pop("merged", {}).values():
        screen.print(f"tuned language model: {path}", markup=False, soft_wrap=True)
    for what, each in written.items():
        screen.print(f"{each['rows']:,} {what}: {each['path']}", markup=False, soft_wrap=True)
