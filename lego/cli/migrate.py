"""`lego migrate`: configurations of Legommenders become a script."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer


def migrate(
    files: list[Path] = typer.Argument(
        ...,
        metavar="FILES",
        help="A data file and a model file of Legommenders; an embed file, an experiment file and the side files .data and "
        ".model, where there are such.",
    ),
    given: list[str] = typer.Option(
        [],
        "--with",
        metavar="NAME=VALUE",
        help="A value that its command line was given, as in hidden_size=64; may be given several times.",
    ),
    raw: Path | None = typer.Option(None, metavar="FOLDER", help="Where the raw files of the data are."),
    out: Path | None = typer.Option(
        None, metavar="SCRIPT", help="The script to write; it is printed unless given."
    ),
    force: bool = typer.Option(False, "--force", help="Write over a script that is there."),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON document."),
) -> None:
    """Turn configurations of Legommenders into a script. What has no counterpart is told, and stands in the script."""
    from lego.cli.output import print_json
    from lego.errors import SpecError
    from lego.migrate.script import migrate as translate

    if out is not None and out.exists() and not force:
        raise SpecError(
            f"lego migrate: {out} is there already. Name another script with --out, or give --force."
        )
    made = translate(
        files, given=_values(given), raw=raw, beside=None if out is None else out.resolve().parent
    )
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(made.script, encoding="utf-8")
    for note in made.notes:
        typer.echo(f"note: {note}", err=True)
    if as_json:
        told = [{"where": note.where, "what": note.what} for note in made.notes]
        print_json({"script": made.script, "out": None if out is None else str(out), "notes": told})
    elif out is None:
        typer.echo(made.script, nl=False)
    else:
        typer.echo(f"{out} says what the files did. Look at its notes, then: lego check {out}")


def _values(given: list[str]) -> dict[str, Any]:
    """What stands behind --with, read as YAML reads a value."""
    import yaml

    from lego.errors import SpecError

    made = {}
    for each in given:
        name, sign, value = each.partition("=")
        if not sign or not name.strip():
            raise SpecError(f"--with {each}: write NAME=VALUE, as in --with hidden_size=64.")
        try:
            made[name.strip().removeprefix("--")] = yaml.safe_load(value)
        except yaml.YAMLError:
            raise SpecError(f"--with {each}: the value is no YAML. Put it into quotes.") from None
    return made
