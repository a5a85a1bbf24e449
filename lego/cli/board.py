"""`lego board`: published results, and running them again."""

from __future__ import annotations

from pathlib import Path

import typer


def board(
    rows: list[str] = typer.Argument(
        None, metavar="[ROW…]", help="Rows to run again, as minddemo/nrms; without any the board is printed."
    ),
    data: Path | None = typer.Option(
        None, metavar="DIR", help="The folder of the data that the rows are on."
    ),
    glove: Path | None = typer.Option(None, metavar="FILE", help="Word vectors, as glove.6B.300d.txt."),
    vectors: Path | None = typer.Option(
        None, metavar="FILE", help="Item vectors, for the row that reads them."
    ),
    seeds: int = typer.Option(3, min=1, metavar="N", help="With how many training seeds."),
    budget: int = typer.Option(
        1, min=1, metavar="N", help="How many settings are tried on the dev part first."
    ),
    space: list[str] = typer.Option(
        [], metavar="PATH=CHOICE", help="What they are drawn from, as 'training.lr=any_of(1e-4, 1e-3)'."
    ),
    changes: list[str] = typer.Option(
        [],
        "--set",
        metavar="PATH=VALUE",
        help="Replace a value of the rows' experiments; the record says so.",
    ),
    out: Path = typer.Option(Path("runs/board"), help="Where the runs of the board are kept."),
    device: str = typer.Option("auto", help="cpu, cuda, cuda:1, mps, or auto."),
    markdown: bool = typer.Option(False, "--markdown", help="Print the board as a page."),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON document."),
) -> None:
    """Published results with protocol and source; run one again, and see ours beside theirs with the spread over seeds."""
    import sys

    from lego.board.page import cells, notes, page, record
    from lego.board.published import ROWS, find
    from lego.board.rerun import SPACE, kept, rerun
    from lego.cli import INTERRUPTED
    from lego.cli.output import aligned, console, errors, fail, print_json
    from lego.errors import SpecError
    from lego.runtime.fit import Stopped
    from lego.runtime.progress import Screen

    if markdown and as_json:
        raise SpecError("lego board: --markdown and --json are one of the two.")
    chosen = [find(name) for name in rows or ()]
    if chosen and data is None:
        wanted = ", ".join(dict.fromkeys(row.edition.name for row in chosen))
        raise SpecError(
            f"lego board: name the folder of the data with --data ({wanted}: {chosen[0].edition.note})."
        )
    if not chosen and (data or glove or vectors or changes or space):
        raise SpecError("lego board: name the rows to run again. `lego board` lists them.")
    given = {name: str(path) for name, path in (("glove", glove), ("vectors", vectors)) if path is not None}
    for row in chosen:  # what is missing is told before anything is trained
        row.experiment(str(data), given).set(*changes, *space)
    screen = Screen(errors())
    try:
        for row in chosen:
            screen.say(f"{row.name}: {row.model}")
            rerun(
                row,
                str(data),
                given=given,
                seeds=seeds,
                budget=budget,
                space=space or SPACE,
                changes=changes,
                out=out,
                device=device,
                screen=screen,
            )
    except (Stopped, KeyboardInterrupt):
        words = "stopped; what was finished is kept. The same command goes on where it was."
        raise fail(words, INTERRUPTED) from None
    shown = chosen or ROWS
    found = kept(shown, out)
    if as_json:
        print_json({"rows": record(shown, found)})
    elif markdown:
        sys.stdout.write(page(shown, found))
    else:
        terminal = console(as_json=False)
        for line in ("theirs | ours", *aligned(cells(shown, found)), *notes(shown, found)):
            terminal.print(line, markup=False, soft_wrap=True, emoji=False)
        for row in shown:
            told = row.command if row.runnable else f"cannot be run: {row.missing}"
            terminal.print(f"{row.name}: {row.source} ({row.read}); {told}", markup=False, soft_wrap=True)
