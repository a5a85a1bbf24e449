"""`lego embed`: vectors of items by a language model as it is, for a model that reads vectors."""

from __future__ import annotations

from pathlib import Path

import typer


def embed(
    script: str = typer.Argument(
        ..., metavar="SCRIPT", help="A script (or SCRIPT:NAME), a prepared folder, or a run: whose items."
    ),
    checkpoint: str = typer.Option(
        ...,
        "--checkpoint",
        metavar="NAME_OR_PATH",
        help="A folder, a GGUF file, or a name as Pretrained takes it.",
    ),
    out: Path = typer.Option(
        ..., "--out", metavar="FILE", help="The Parquet file to write: item_id and vector."
    ),
    pool: str = typer.Option("mean", "--pool", help="mean, cls (the first token) or last (the last token)."),
    layer: int | None = typer.Option(
        None,
        "--layer",
        metavar="N",
        help="States behind N layers, as split(N) counts; the final ones unless given.",
    ),
    read: list[str] = typer.Option(
        [],
        "--read",
        metavar="ATTRIBUTE=TOKENS",
        help="What to read of an item instead of what the script reads.",
    ),
    template: str | None = typer.Option(
        None, "--template", metavar="TEXT", help="One text of the attributes: 'News: {title} [{category}]'."
    ),
    length: int | None = typer.Option(
        None, "--length", metavar="TOKENS", help="With --template: the most tokens of the whole text."
    ),
    changes: list[str] = typer.Option(
        [], "--set", metavar="PATH=VALUE", help="Replace a value of the script first."
    ),
    device: str = typer.Option("auto", help="cpu, cuda, cuda:1, mps, or auto."),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON document."),
) -> None:
    """Write the vectors that a language model gives the items of a script's data."""
    from lego.cli.output import console, errors, print_json
    from lego.errors import SpecError
    from lego.runtime.embed import embed as written
    from lego.runtime.embed import readable
    from lego.runtime.progress import Screen

    screen, experiment = Screen(errors()), None
    budgets = {name: _budget(name, sign, text) for name, sign, text in (each.partition("=") for each in read)}
    if not Path(script).expanduser().is_dir():
        from lego.cli.experiment import read as of_script

        experiment, _ = of_script(script, changes)
    elif changes:
        raise SpecError(f"--set {changes[0]}: {script} is a folder, and only a script has values to replace.")
    made = written(
        readable(script, experiment, screen),
        checkpoint,
        out,
        pool=pool,
        layer=layer,
        reads=budgets or None,
        template=template,
        length=length,
        device=device,
        screen=screen,
    )
    if as_json:
        print_json(made.record())
        return
    shown = console(as_json=False)
    shown.print(f"{made.rows:,} items, {made.width} wide: {made.path}", markup=False, soft_wrap=True)
    for name, count in made.truncated.items():
        if count:
            cut = f"{count:,} items have more {name} than is read of it and are cut"
            shown.print(f"note: {cut}", markup=False, soft_wrap=True)
    if made.empty:
        none = f"{made.empty:,} items have no text: their vectors are zeros"
        shown.print(f"note: {none}", markup=False, soft_wrap=True)


def _budget(name: str, sign: str, text: str) -> int:
    from lego.errors import SpecError

    if not name or not sign or not text.strip().isdigit():
        raise SpecError(f"--read {name}{sign}{text}: it is written ATTRIBUTE=TOKENS, as in --read title=30.")
    return int(text)
