"""`lego plugins`: what other distributions add, and which of it cannot be used; a new one; one measured."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from lego.catalog import Entry


plugins = typer.Typer(
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="List what other distributions add, begin one, measure one.",
)


@plugins.callback(invoke_without_command=True)
def list_(
    context: typer.Context,
    seconds: float = typer.Option(
        60.0,
        "--seconds",
        min=0.1,
        metavar="S",
        help="How long loading an entry may take before it counts as broken.",
    ),
    traceback: bool = typer.Option(
        False, "--traceback", help="Show what a broken entry raised, or where it hangs."
    ),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON document."),
) -> None:
    """List what other distributions add. Each entry is loaded in a process of its own, so a broken one is a row here."""
    if context.invoked_subcommand is not None:
        return
    from lego.catalog import switch, switched_off
    from lego.cli.output import print_json

    rows = listing(seconds, traceback=traceback)
    if as_json:
        print_json(rows)
    else:
        _show(rows)
    for distribution in sorted({entry.distribution for entry in switched_off()}):
        typer.echo(f"{distribution} is left out by {switch().where}.", err=True)


@plugins.command()
def new(
    name: str = typer.Argument(..., metavar="NAME", help="What it is about, as in recency-mean."),
    slot: str = typer.Option(
        "behavior",
        "--slot",
        help="What its operator is for: behavior, content, sequence (content and behavior), predictor, task, metric.",
    ),
    out: Path = typer.Option(Path(), help="The folder that the project's folder is made in."),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON document."),
) -> None:
    """Begin a plugin: a project with one operator, its tests, README, licence, changelog and workflows."""
    from lego.cli.new_plugin import change_of, kind_of, names_of, write
    from lego.cli.output import print_json

    kind, names, folder = kind_of(slot), names_of(name), write(name, out, slot)
    if as_json:
        files = sorted(str(each.relative_to(folder)) for each in folder.rglob("*") if each.is_file())
        print_json({"folder": str(folder), "operator": names.operator, "files": files})
        return
    for line in (
        f"{folder} holds a plugin whose operator is {names.operator}. Next:",
        f"  pip install --editable '{folder}[dev]'",
        f"  pytest {folder}",
        f"  lego run SCRIPT --set '{change_of(names, kind)}'",
    ):
        typer.echo(line)


@plugins.command()
def bench(
    name: str = typer.Argument(..., metavar="NAME", help="An operator, as in GRU or 'GRU(hidden=32)'."),
    slot: str = typer.Option("", help="content or behavior, where it fits both; behavior unless given."),
    against: list[str] = typer.Option(
        [], metavar="NAME", help="A built-in to compare with; may be given several times. All unless given."
    ),
    width: int = typer.Option(64, min=1, metavar="N", help="The width of items and users."),
    batch_size: int = typer.Option(64, min=1, metavar="N", help="Users, or items, in a step."),
    length: int = typer.Option(50, min=1, metavar="N", help="The longest history, or item in tokens."),
    candidates: int = typer.Option(5, min=1, metavar="N", help="Candidates of a user."),
    rounds: int = typer.Option(15, min=1, metavar="N", help="Steps of each operator that are measured."),
    device: str = typer.Option("cpu", help="cpu, cuda, mps, or auto."),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON document."),
) -> None:
    """Measure an operator beside the built-in ones of its slot: time of a training step, users a second, weights, memory."""
    from lego.cli.output import aligned, print_json
    from lego.errors import LegoError
    from lego.runtime.device import choose_device

    try:
        from lego.testing import bench as measuring
    except ModuleNotFoundError as problem:
        raise LegoError(f"lego plugins bench needs {problem.name}: pip install {problem.name}") from None
    found = measuring.bench(
        name,
        slot=slot or None,
        sizes=measuring.Sizes(width=width, batch_size=batch_size, length=length, candidates=candidates),
        rounds=rounds,
        against=against or None,
        device=choose_device(device),
    )
    if as_json:
        print_json(found.record())
        return
    unit = "items" if found.slot == "content" else "users"
    threads = f"{found.threads} thread{'' if found.threads == 1 else 's'}"
    typer.echo(
        f"{found.slot}, a step forward and backward: {batch_size} {unit}, length {length}, width {width}, on {found.device}, "
        f"{threads}, {rounds} turns each"
    )
    head = ["operator", "ms", "quartiles", f"{unit}/s", "weights", "memory", "ratio"]
    for line, row in zip(aligned([head, *map(_measured, found.rows)]), (None, *found.rows), strict=True):
        typer.echo(typer.style(line, bold=True) if row is None or row.asked else line)
    typer.echo("ratio: how many times as long as this row the one that was asked for takes")
    for operator, why in found.left_out:
        typer.echo(f"not measured: {operator}: {why}", err=True)


def _measured(row: Any) -> list[str]:
    """The cells of an operator."""
    return [
        row.operator,
        f"{row.ms:.3f}",
        f"{row.low:.3f}-{row.high:.3f}",
        f"{row.per_second:,.0f}",
        f"{row.parameters:,}",
        f"{row.peak / 2**20:.2f} MiB",
        f"{row.ratio:.2f}",
    ]


def listing(seconds: float, *, traceback: bool = False) -> list[dict[str, Any]]:
    """A row for each distribution: its entries, and what is broken in a text, or None. The built-in entries are not tried."""
    from lego.catalog import BUILTIN, MISSING, entries, malformed, normal
    from lego.cli.probe import faults, trace

    owners: dict[tuple[str, str], list[Entry]] = {}
    for entry in entries():
        owners.setdefault((entry.distribution, entry.version), []).append(entry)
    tried = faults((entry for entry in entries() if normal(entry.distribution) != BUILTIN), seconds)
    rows = []
    for (distribution, version), owned in sorted(
        owners.items(), key=lambda owner: (normal(owner[0][0]) != BUILTIN, owner[0])
    ):
        listed = []
        for entry in owned:
            said = tried.get(entry)
            wants = said is not None and said.startswith(
                MISSING
            )  # an extra that nobody asked for is no fault
            state = {"broken": None, "needs": said} if wants else {"broken": said, "needs": None}
            more = {"traceback": trace(entry, seconds) if said is not None else None} if traceback else {}
            listed.append({"slot": entry.slot, "name": entry.name, **state, **more})
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
        lines = [[each["slot"], each["name"], _state(each)] for each in row["entries"]]
        if not lines:
            lines = [[f"broken: {row['broken']}"]]
        for line in aligned(lines, indent="  "):
            typer.echo(line)
        for each in row["entries"]:
            if each.get("traceback"):
                typer.echo(f"\n  {each['slot']} {each['name']}:")
                typer.echo("\n".join(f"    {line}" for line in each["traceback"].rstrip().splitlines()))
    if all(normal(row["distribution"]) == BUILTIN for row in rows):
        typer.echo("\nNo other distribution adds anything. docs/write_an_operator.md says how one is made.")


def _state(entry: dict[str, Any]) -> str:
    said = entry["broken"] if entry["broken"] is not None else entry["needs"]
    if said is None:
        return "fine"
    return " ".join(said.split()) if entry["broken"] is None else "broken: " + " ".join(said.split())
