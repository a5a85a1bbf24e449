"""`lego data`: which data sets there are, make one ready, look inside."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from lego.data.store import Store
    from lego.spec import Source

data = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Data sets: what there is, make one ready, look inside.",
)


@data.command("list")
def list_(
    folder: Path | None = typer.Option(
        None, "--in", metavar="FOLDER", help="Say of each whether its files are there."
    ),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON document."),
) -> None:
    """List the data sets: what they hold, the files each needs and where to get them."""
    from lego import catalog
    from lego.cli.output import print_json
    from lego.errors import CatalogError

    rows = []
    for entry in catalog.entries("source"):
        try:
            found = catalog.load_entry(entry)
            about = _about(entry.name, found)
            if folder is not None:
                about |= _found(found, folder)
            rows.append(about)
        except CatalogError as problem:
            typer.echo(str(problem), err=True)
    if as_json:
        print_json(rows)
        return
    for place, row in enumerate(rows):
        typer.echo(("\n" if place else "") + typer.style(row["name"], bold=True))
        for line in _lines({key: value for key, value in row.items() if key != "name"}):
            typer.echo(line)


@data.command()
def prepare(
    source: str | None = typer.Argument(
        None, metavar="SOURCE", help="The data set, as `lego data list` names it; none with --items."
    ),
    raw: str | None = typer.Argument(
        None, metavar="RAW", help="The folder of its raw files; of Tables the table of items."
    ),
    items: str | None = typer.Option(
        None,
        "--items",
        metavar="FILE",
        help="The items of your own data, with --log: a file, or a folder of Parquet parts.",
    ),
    log: str | None = typer.Option(
        None, "--log", metavar="FILE", help="Its log: impressions, rows or sequences, whichever it holds."
    ),
    users: str | None = typer.Option(None, "--users", metavar="FILE", help="Its users, where there are any."),
    out: Path | None = typer.Option(
        None, "--out", metavar="DIR", help="The folder to write; below LEGO_HOME unless given."
    ),
    changes: list[str] = typer.Option(
        [], "--set", metavar="FIELD=VALUE", help="An option of the data set, as in users=1000."
    ),
    force: bool = typer.Option(
        False, "--force", help="Make the folder again, even where it is there already."
    ),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON document."),
) -> None:
    """Make raw files ready: tables as Arrow files, with a manifest that says what they were made from."""
    import time

    from lego.cli.output import print_json
    from lego.data.describe import dropped_line
    from lego.data.prepare import prepare as prepared
    from lego.errors import DataError
    from lego.experiment import rebased
    from lego.home import home

    begun = time.perf_counter()
    source, raw, changes = _named_source(source, raw, items, log, users, changes)
    made = _source(source, raw, changes)
    try:
        list(made.files())
    except DataError as error:
        error.wrong_use = True  # the folder that was named, as `lego run` and `lego check` say too
        raise
    root = home() / "data"
    if out is not None and not _can_write(root):
        root = out.expanduser().resolve().parent  # only what was hashed is remembered there
    try:
        store = prepared(
            made,
            root,
            to=out,
            force=force,
            progress=lambda step: typer.echo(_for_the_shell(step, type(made)), err=True),
        )
    except DataError as error:
        error.args = (_for_the_shell(str(error), type(made)),)
        raise
    record = _record(store, round(time.perf_counter() - begun, 3))
    if as_json:
        print_json(record)
        return
    understood = _understood(store)
    for line in _lines({name: value for name, value in record.items() if name != "dropped"} | understood):
        typer.echo(line)
    if told := dropped_line(store.manifest):
        typer.echo(f"\n{told}")
    again = ""
    if store.path.parent == root.resolve():  # only there is it looked for
        again = f", or write {rebased(made, Path.cwd())!r} and it is found again"
    typer.echo(f"\nRead it with Prepared({str(store.path.resolve())!r}){again}.")


@data.command()
def describe(
    folder: str = typer.Argument(..., metavar="DIR", help="A prepared folder."),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON document."),
) -> None:
    """Count what is in a prepared folder: items, users, impressions, attributes, and what was left out."""
    from lego.cli.output import print_json
    from lego.data.describe import describe as described
    from lego.data.describe import histograms
    from lego.data.store import Store

    store = Store.open(folder)
    if as_json:
        print_json(_record(store, store.manifest["seconds"]))
        return
    told = described(store)
    warnings = told.pop("warnings")
    for line in [*_lines(told), *histograms(store)]:
        typer.echo(line)
    for warning in _of_its_source(warnings, store):
        typer.echo(typer.style(f"warning: {warning}", fg="yellow"), err=True)


def _of_its_source(warnings: list[str], store: Store) -> list[str]:
    """The warnings with options as `lego data prepare` takes them, where the source of the data is known here."""
    from lego import catalog
    from lego.errors import LegoError

    text = store.manifest["source"]["text"]
    try:
        cls = catalog.load("source", text.partition("(")[0])
    except LegoError:
        return warnings
    told = [_for_the_shell(warning, cls) for warning in warnings]
    again = " (`lego data prepare` takes --set)"
    return [new + again if new != old else old for new, old in zip(told, warnings, strict=True)]


@data.command()
def join(
    folder: Path = typer.Argument(..., metavar="DIR", help="A prepared folder; it stays as it is."),
    table: Path = typer.Argument(
        ..., metavar="TABLE", help="A table with ids and new attributes: Parquet, CSV, JSON lines."
    ),
    out: Path | None = typer.Option(
        None, "--out", metavar="NEW", help="The folder to write; DIR-joined unless given."
    ),
    of: str = typer.Option("items", "--of", help="items or users: whose attributes they are."),
    columns: list[str] = typer.Option(
        [], "--columns", metavar="ROLE=COLUMN", help="The column of the ids, as in item=sku, or user=uid."
    ),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON document."),
) -> None:
    """Add attributes from a side table to a copy of a prepared folder, so that models read them by name."""
    from lego.cli.output import print_json
    from lego.data.join import join as joined
    from lego.errors import DataError, Problem

    named = {}
    for each in columns:
        role, sign, column = (part.strip() for part in each.partition("="))
        if not sign or not role or not column:
            raise DataError(
                [Problem(f"--columns {each}", "a role and a column are expected", "write item=COLUMN")]
            )
        named[role] = column
    to = out or folder.with_name(f"{folder.name}-joined")
    store = joined(folder, table, to, of=of, columns=named)
    about = store.manifest["joined"][-1]
    record = {
        "path": str(store.path),
        "attributes": about["attributes"],
        "rows": about["rows"],
        "unmatched": about["unmatched"],
    }
    if as_json:
        print_json(record)
        return
    for line in _lines(record):
        typer.echo(line)


@data.command()
def sample(
    folder: str = typer.Argument(..., metavar="DIR", help="A prepared folder."),
    count: int = typer.Option(5, "-n", min=1, help="How many impressions."),
    part: str = typer.Option("test", "--part", help="train, dev or test."),
    seed: int | None = typer.Option(None, "--seed", help="Draw them at random; the first ones unless given."),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON document."),
) -> None:
    """Show impressions in words: what the user took before, and what was shown."""
    from lego.cli.output import aligned, print_json
    from lego.data.describe import sample as sampled
    from lego.data.store import Store

    shown = sampled(Store.open(folder), part, count, seed=seed)
    if as_json:
        print_json(shown)
        return
    for place, row in enumerate(shown):
        head = f"impression {row['impression']}  user {row['user']}" + (
            f"  {row['time']}" if row["time"] else ""
        )
        typer.echo(("\n" if place else "") + typer.style(head, bold=True))
        lines = [["took", item["item"], item["title"] or ""] for item in row["history"]] or [
            ["took", "nothing before"]
        ]
        words = {0: "shown", 1: "clicked", None: "candidate"}
        lines += [[words[item["label"]], item["item"], item["title"] or ""] for item in row["candidates"]]
        for line in aligned(lines, indent="  "):
            typer.echo(line)


def _found(source: Any, folder: Path) -> dict[str, Any]:
    """The folder, at FOLDER or up to two below it, whose files this source would read, empty where there is none.

    With it how the source is written where it needs an option to read them, and what it does without.
    """
    from lego.errors import LegoError
    from lego.spec import Source

    if isinstance(source, type) and issubclass(source, Source):
        below = [each for form in ("*/", "*/*/") for each in sorted(folder.glob(form)) if each.is_dir()]
        for place in (folder, *below):
            try:
                for made in source.within(place):
                    if list(made.files()):
                        plain = repr(made) == f"{source.__name__}({str(place)!r})"
                        written = "" if plain else repr(made)
                        return {"found": str(place), "read_with": written, "lacks": list(made.lacks())}
            except (LegoError, OSError):  # its files are not here
                continue
    return {"found": "", "read_with": "", "lacks": []}


def _about(name: str, source: Any) -> dict[str, Any]:
    """A row of the list, from what the class says of itself; a function says nothing."""
    attributes = getattr(source, "attributes", ())
    return {
        "name": name,
        "domain": getattr(source, "domain", ""),
        # Where the language is an option, the class says which there are.
        "language": getattr(source, "languages", "") or getattr(source, "language", ""),
        # A source that stands on another one knows them only once it is made.
        "attributes": [] if isinstance(attributes, property) else list(attributes),
        "files": list(getattr(source, "official_files", ())),
        "url": getattr(source, "url", ""),
        "licence": getattr(source, "licence", ""),
        "task": getattr(source, "task", ""),
        "proven": getattr(source, "proven", ""),
    }


def _named_source(
    source: str | None,
    raw: str | None,
    items: str | None,
    log: str | None,
    users: str | None,
    changes: list[str],
) -> tuple[str, str, list[str]]:
    """SOURCE, RAW and options as they are, or what --items, --log and --users say of tables of one's own."""
    from lego.data.raw.guess import log_option
    from lego.errors import DataError, Problem

    wrong = None
    if items is None and log is None and users is None:
        if source is not None and raw is not None:
            return source, raw, changes
        wrong = "SOURCE and RAW are needed, or --items and --log"
    elif source is not None:
        wrong = "SOURCE is given beside --items or --log"
    elif items is None or log is None:
        wrong = f"--{'items' if items is None else 'log'} is missing"
    if wrong is None and items is not None and log is not None:
        others = {"items": items, **({} if users is None else {"users": users})}
        more = [f"{log_option(log, others)}={log!r}", *([] if users is None else [f"users={users!r}"])]
        return "Tables", items, [*more, *changes]
    fix = "lego data prepare MIND raw/, or lego data prepare --items items.csv --log log.csv --out prepared/"
    error = DataError([Problem("lego data prepare", wrong or "", fix)])
    error.wrong_use = True
    raise error


def _source(name: str, raw: str, changes: list[str]) -> Source:
    """The source that the command line names: its class, its folder, its other options."""
    from lego import catalog
    from lego.errors import ExpressionError, SpecError
    from lego.expression import parse
    from lego.spec import field_names, positional_names

    cls = catalog.load("source", name)
    known, positional = field_names(cls), positional_names(cls)
    options: dict[str, Any] = {}
    for change in changes:
        option, sign, text = (each.strip() for each in change.partition("="))
        if not sign or not option or not text:
            raise ExpressionError.at(
                change, len(option), "A change is written FIELD=VALUE, as in users=1000."
            )
        if option not in known:
            raise SpecError.unknown_option(cls.__name__, option, known)
        if option in positional[:1]:
            raise SpecError.wrong_call(
                cls.__name__, f"{option} is RAW already", f"lego data prepare {name} RAW"
            )
        if option in options:
            raise SpecError.wrong_call(cls.__name__, f"{option} is set twice", f"--set {option}=VALUE once")
        options[option] = parse(text)
    made: Source = cls(raw, **options)
    return made


def _for_the_shell(text: str, cls: type) -> str:
    """The text with options as they are set here: `missing="drop"` is `--set "missing='drop'"`."""
    from lego.spec import field_names

    names = "|".join(map(re.escape, field_names(cls)))
    quoted = r"""("[^"]*"|'[^']*'|\{[^}]*\})"""
    return re.sub(
        rf"\b({names})={quoted}",
        lambda found: f'--set "{found[1]}={found[2].replace(chr(34), chr(39))}"',
        text,
    )


def _can_write(folder: Path) -> bool:
    """Whether a folder can be written to, or made."""
    there = next(each for each in (folder, *folder.parents) if each.exists())
    return there.is_dir() and os.access(there, os.W_OK | os.X_OK)


def _record(store: Store, seconds: float) -> dict[str, Any]:
    """What `--json` promises."""
    counts = store.manifest["counts"]
    return {
        "path": str(store.path),
        "items": counts["items"],
        "users": counts["users"],
        "impressions": {part: counts["impressions"].get(part, 0) for part in ("train", "dev", "test")},
        "dropped": dict(store.manifest["dropped"]),
        "seconds": seconds,
    }


def _understood(store: Store) -> dict[str, str]:
    """Of tables of one's own, what each column was taken for: `{"log.csv": "user = uid (guessed), …"}`."""
    if not store.manifest["source"]["text"].startswith("Tables("):
        return {}
    rules = store.manifest["rules"].items()
    return {name: rule for name, rule in rules if isinstance(rule, str) and " = " in rule}


def _lines(record: dict[str, Any]) -> list[str]:
    """A record for reading: one fact a line, `train.median` where it is inside another."""
    from lego.cli.output import aligned

    rows = []
    for name, value in record.items():
        if value in ("", [], {}, None):
            continue
        if isinstance(value, dict) and any(isinstance(each, dict | str) for each in value.values()):
            rows += [[f"{name}.{key}", _words(each)] for key, each in value.items()]
        else:
            rows.append([name, _words(value)])
    return aligned(rows, indent="  ")


def _words(value: Any) -> str:
    if isinstance(value, dict):
        return "  ".join(f"{key}: {_words(each)}" for key, each in value.items())
    if isinstance(value, list):
        return ", ".join(map(_words, value))
    if isinstance(value, bool) or value is None:
        return "–" if value is None else str(value)
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
