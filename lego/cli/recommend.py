"""`lego recommend`: the best items for somebody, new items and new users included."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    import pyarrow as pa


def recommend(
    run: Path = typer.Argument(..., metavar="RUN", help="A run folder, as printed by `lego run`."),
    more: list[str] = typer.Argument(None, metavar="[ID]…", help="Further items of --history."),
    user: list[str] = typer.Option(
        [], "--user", metavar="ID", help="A user of the data; may be given several times."
    ),
    history: list[str] = typer.Option(
        [], "--history", metavar="ID…", help="Items that were read, oldest first; '' for none at all."
    ),
    items: Path | None = typer.Option(
        None,
        metavar="FILE",
        help="The items to choose from, new ones too: CSV, JSON lines or Parquet with item_id and their text.",
    ),
    k: int = typer.Option(10, "-k", min=1, help="How many items."),
    seen: bool = typer.Option(False, "--seen", help="Items of the history may be recommended again."),
    rerank: str = typer.Option(
        "",
        metavar="RERANKER",
        help="Choose from a pool of the best by more than the score, as in 'MMR(0.7)' (see `lego catalog rerank`).",
    ),
    category: str = typer.Option(
        "", metavar="NAME", help="The attribute that --rerank calls a category; the first one unless given."
    ),
    device: str = typer.Option("auto", help="cpu, cuda, cuda:1, mps, or auto."),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON document."),
) -> None:
    """Recommend items to a user, or to anybody by what was read; items and users may be new."""
    from lego.cli.output import console, errors, print_json
    from lego.cli.rerank import read
    from lego.runtime.load import load
    from lego.runtime.progress import Screen
    from lego.runtime.recommend import notes_of
    from lego.runtime.recommend import recommend as best

    chosen = read(rerank)
    who = _who(user, history, more or [])
    loaded = load(run, device=device, screen=Screen(errors()))
    table = best(
        loaded,
        **who,
        items=items,
        k=k,
        exclude_seen=not seen,
        rerank=chosen,
        category=category or None,
        screen=loaded.screen,
    )
    notes = notes_of(table)
    if as_json:
        print_json({"run": str(loaded.path), "items": table.to_pylist(), "notes": notes})
        return
    screen = console(as_json=False)
    for title, part in _parts(table):
        _show(part, screen, title)
    for note in notes:
        screen.print(f"note: {note}", markup=False, soft_wrap=True)


def _who(user: list[str], history: list[str], more: list[str]) -> dict[str, Any]:
    """What is asked for; SpecError where it is nobody, or two."""
    from lego.errors import SpecError

    if more and len(history) != 1:
        what = f"{', '.join(more)} stand behind RUN, where only items of one --history may stand"
        raise SpecError(f"lego recommend: {what}. Write lego recommend RUN --history ID ID ID.")
    if bool(user) == bool(history):
        what = "a user and a history are given together" if user else "nobody is named"
        raise SpecError(f"lego recommend: {what}. Give --user ID, or --history ID ID ID, oldest first.")
    if history:
        return {"history": [each for each in (*history, *more) if each]}
    return {"user": user[0]} if len(user) == 1 else {"users": user}


def _parts(table: pa.Table) -> list[tuple[str, pa.Table]]:
    """A table for each user where there are several."""
    import pyarrow.compute as pc

    if "user" not in table.column_names:
        return [("", table)]
    names = pc.unique(table["user"]).to_pylist()
    return [
        (f"user {name}", table.filter(pc.equal(table["user"], name)).drop_columns("user")) for name in names
    ]


def _show(table: pa.Table, screen: Any, title: str) -> None:
    """Rank, item, score, whether it is new, and the first text: a table on a terminal, plain lines elsewhere."""
    from rich.table import Table
    from rich.text import Text

    texts = table.column_names[4:]
    shown = "title" if "title" in texts else texts[0] if texts else None
    header = ["rank", "item", "score", "new", *([shown] if shown else [])]
    rows = [
        [
            str(line["rank"]),
            line["item"],
            f"{line['score']:.4f}",
            "new" if line["new"] else "",
            *([" ".join((line[shown] or "").split())] if shown else []),
        ]
        for line in table.to_pylist()
    ]
    if screen.is_terminal:
        drawn = Table(title=title or None, title_justify="left")
        for name in header:
            drawn.add_column(
                Text(name), justify="right" if name in ("rank", "score") else "left", overflow="fold"
            )
        for row in rows:
            drawn.add_row(*map(Text, row))
        screen.print(drawn)
        return
    from lego.cli.output import aligned

    for line in [*([title] if title else []), *aligned([header, *rows])]:
        screen.print(line, soft_wrap=True, markup=False, highlight=False, emoji=False)
