"""`lego semantic-ids`: a column of codes for the items, which every operator that reads tokens can read."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import Any

import typer


class Kind(StrEnum):
    """How vectors become codes."""

    residual = "residual"
    product = "product"


def semantic_ids(
    vectors: Path = typer.Argument(
        ...,
        metavar="VECTORS",
        help="Parquet with item_id and vector, as `lego embed` and `lego export` write it.",
    ),
    out: Path = typer.Option(..., metavar="FILE", help="The Parquet file to write."),
    items: Path | None = typer.Option(
        None,
        metavar="FILE",
        help="A table of items (Parquet): it is written with the codes as a column more.",
    ),
    column: str = typer.Option("semantic_id", metavar="NAME", help="What the column of codes is called."),
    levels: int = typer.Option(3, min=1, help="Codes of a word."),
    codes: int = typer.Option(256, min=2, help="Different codes of a level."),
    kind: Kind = typer.Option(
        Kind.residual, help="Quantise what levels before left over, or pieces of the vector."
    ),
    apart: bool = typer.Option(False, "--apart", help="Add a code that tells items of one word apart."),
    seed: int = typer.Option(0, min=0, help="Of the first centers."),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON document."),
) -> None:
    """Write words of codes for items: like vectors share codes, the first ones first."""
    from legorec_semantic_ids.files import read_items, read_vectors, with_words, write
    from legorec_semantic_ids.words import semantic_ids_of

    ids, table = read_vectors(vectors)
    others = None if items is None else read_items(items, column)
    made = semantic_ids_of(table, levels=levels, codes=codes, kind=kind.value, apart=apart, seed=seed)
    without = write(out, with_words(ids, made.words, others, column), column)
    told: dict[str, Any] = {
        "out": str(out),
        "items": len(ids),
        "distinct": made.distinct,
        "left": [round(each, 4) for each in made.left],
        "used": list(made.used),
        "without_vector": without,
    }
    if as_json:
        typer.echo(json.dumps(told))
        return
    shares = ", ".join(f"{each:.1%}" for each in made.left)
    typer.echo(
        f"{len(ids):,} items, {made.distinct:,} different words{' before they were told apart' if apart else ''}"
    )
    typer.echo(
        f"variance left over behind each level: {shares}; codes in use: {', '.join(map(str, made.used))}"
    )
    if without:
        typer.echo(f"{without:,} items have no vector, and no word")
    typer.echo(f"written: {out} (column {column})")
