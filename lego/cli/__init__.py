"""The command line. One command a file; each is found through the entry points of `lego.command`, third-party ones like our own."""

from __future__ import annotations

import sys
from typing import Any

import typer
import typer.core
import typer.main

from lego import catalog
from lego.errors import CatalogError, CompositionError, ExpressionError, LegoError, ScriptError, SpecError

WRONG_USE = (SpecError, ExpressionError, CatalogError, CompositionError, ScriptError)
"""Errors in what the user wrote: exit code 2; everything else that fails is 1."""

ORDER = ("run", "check", "explain", "catalog", "data", "evaluate", "plugins", "doctor")
"""The order of the built-in commands in `lego --help`: what a newcomer needs first comes first."""


class Commands(typer.core.TyperGroup):
    """The commands by entry point. A plugin's command is imported when it is called, not when commands are listed."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Built-in commands in reading order, then those of plugins by name."""
        names = catalog.names("command")
        return [*(name for name in ORDER if name in names), *(name for name in names if name not in ORDER)]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """A command by name; None lets typer say which ones there are."""
        if cmd_name not in catalog.names("command"):
            return None
        entry = catalog.find(cmd_name, "command")
        if catalog.normal(entry.distribution) != catalog.BUILTIN and cmd_name not in sys.argv[1:2]:
            return _made(cmd_name, _unread(entry))
        return _made(cmd_name, catalog.load_entry(entry))


def _unread(entry: catalog.Entry) -> Any:
    """What stands in a listing for a command that is not imported yet."""

    def command() -> None:
        catalog.load_entry(entry)

    command.__doc__ = f"From {entry.distribution} {entry.version}."
    return command


def _made(name: str, written: Any) -> Any:
    """A Typer function or a Typer app as a command."""
    if isinstance(written, typer.Typer):
        made = typer.main.get_group(written)
    else:
        alone = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
        alone.command(name=name)(written)
        made = typer.main.get_command(alone)
    made.name = name
    return made


app = typer.Typer(
    cls=Commands,
    add_completion=True,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Content-based recommendation: models that read what an item says, written as short Python expressions.\n\n"
    "Start with `lego run examples/nrms.py`, look at the parts with `lego catalog`, and see what a script will do with `lego explain`.",
)


def _version(value: bool) -> None:  # noqa: FBT001 - typer gives a flag's callback its value
    if value:
        from importlib.metadata import version

        typer.echo(f"lego {version('legorec')}")
        raise typer.Exit


@app.callback()
def root(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Show the version and stop."),  # noqa: FBT001, FBT003 - typer's way of a flag
) -> None:
    """Shared options."""


def main() -> None:
    """The `lego` command: errors of ours are told in a sentence, without a traceback."""
    try:
        app(prog_name="lego")
    except LegoError as error:
        sys.stderr.write(f"error: {error}\n")
        raise SystemExit(2 if isinstance(error, WRONG_USE) else 1) from None
    except BrokenPipeError:
        sys.stderr.close()
        raise SystemExit(1) from None
