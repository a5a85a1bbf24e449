"""The command line. One command a file, found through the entry points of `lego.command`; those of plugins are, too."""

from __future__ import annotations

import errno
import os
import sys
from typing import Any

import typer
import typer.core
import typer.main

from lego import catalog as known  # importing lego.cli.catalog binds the name `catalog` in this package
from lego.errors import CatalogError, LegoError

INTERRUPTED = 130
"""The exit code of a command that Ctrl-C ended, as shells have it."""

DISK = (errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EPERM, errno.EDQUOT)
"""What a disk says that takes nothing."""

ORDER = (
    "run",
    "sweep",
    "check",
    "explain",
    "catalog",
    "data",
    "augment",
    "evaluate",
    "compare",
    "recommend",
    "export",
    "embed",
    "migrate",
    "plugins",
    "doctor",
)
"""The order of the built-in commands in `lego --help`: what a newcomer needs first comes first."""


class Commands(typer.core.TyperGroup):
    """The commands by entry point. A command is made when it is called; a list of commands has their first sentences alone."""

    called: str | None = None
    """The command that is being run, completed or explained."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Built-in commands in reading order, then those of plugins by name."""
        names = known.names("command")
        return [*(name for name in ORDER if name in names), *(name for name in names if name not in ORDER)]

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Notes which command it is."""
        self.called = args[0] if args else None
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Runs the command. Who interrupts it is told so; wrong options are told in JSON too, where that was asked for."""
        from lego.cli.output import fail, wants_json

        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise fail("interrupted; nothing half-written is kept.", INTERRUPTED) from None
        except Exception as error:
            told = getattr(
                error, "format_message", None
            )  # typer's own errors: it prints them, and exits with 2
            if told is not None and wants_json():
                from lego.cli.output import print_json

                print_json({"error": told(), "problems": []})
            raise

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """A command by name; None lets typer say which ones there are."""
        if cmd_name not in known.names("command"):
            return None
        entry = known.find(cmd_name, "command")
        if cmd_name != self.called:
            return typer.core.TyperCommand(cmd_name, help=_summary(entry))
        return _made(cmd_name, known.load_entry(entry))


def _summary(entry: known.Entry) -> str:
    """What a list of commands says. A plugin's command is not imported for it."""
    if known.normal(entry.distribution) != known.BUILTIN:
        return f"From {entry.distribution} {entry.version}."
    try:
        written = known.load_entry(entry)
    except CatalogError as problem:
        return str(problem)
    return (written.info.help if isinstance(written, typer.Typer) else written.__doc__) or ""


def _made(name: str, written: Any) -> Any:
    """A Typer function or a Typer app as a command."""
    if isinstance(written, typer.Typer):
        made: Any = typer.main.get_group(written)
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
    "Start with `lego run examples/nrms.py`, look at the parts with `lego catalog`, and see what a script will do with "
    "`lego explain`.",
)


def _version(value: bool) -> None:
    if value:
        from importlib.metadata import version

        typer.echo(f"lego {version('legorec')}")
        raise typer.Exit


def _without_plugins(value: bool) -> None:
    """Before the command is looked up; child processes inherit it."""
    if value:
        os.environ["LEGO_PLUGINS"] = "off"


@app.callback()
def root(
    no_plugins: bool = typer.Option(
        False,
        "--no-plugins",
        callback=_without_plugins,
        is_eager=True,
        help="Leave out what other distributions add, as LEGO_PLUGINS=off does.",
    ),
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Show the version and stop."
    ),
) -> None:
    """Shared options."""


def main() -> None:
    """The `lego` command: errors of ours are told in a sentence, without a traceback, and with `--json` as a document too."""
    from lego.cli.output import fail

    try:
        app(prog_name="lego")
    except LegoError as error:
        raise fail(f"error: {error}", 2 if error.wrong_use else 1, error.problems) from None
    except BrokenPipeError:
        sys.stderr.close()
        raise SystemExit(1) from None
    except OSError as problem:  # a disk that is full, a folder that may not be written
        where, why = problem.filename or "a file", problem.strerror or str(problem)
        way = ""
        if problem.errno in DISK:
            way = " Free some room, or name a folder that can be written to: --out for runs, LEGO_HOME for data and caches."
        raise fail(f"error: {where} cannot be used: {why}.{way}", 1) from None
