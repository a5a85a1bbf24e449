"""Makes the page of the data sets when the pages are built: what each holds and where it is had, from what its class says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files

    from lego.spec import Source

HEAD = """# Data sets, column by column

What a model can read by name, source by source: `reads=("title",)` of items, the attributes of users and impressions, and what
stands beside candidates and the clicks of a history. The page is made from what the sources declare, and their tests compare
that with what they prepare. [Data](data.md) tells the rules by which each makes impressions; `lego data list --in FOLDER` says
which of them a folder holds. The manifest of what was prepared has the size and the SHA-256 of each raw file that was read.

Attributes are `text`, a `category`, a `list` of values or a `number`; what only some editions or files have is there where they
have it. Sources that are not on this page (`Tables`, `Prepared`, `RecBench`) hold what they are given.
"""
OF = {
    "items": "items",
    "users": "users",
    "impressions": "impressions",
    "candidates": "each candidate",
    "history": "each click of a history",
}


def sources() -> dict[str, type[Source]]:
    """The sources that come with lego and say what they hold, by name."""
    from lego.catalog import BUILTIN, entries, load_entry, normal

    ours = [entry for entry in entries("source") if normal(entry.distribution) == BUILTIN]
    found = {entry.name: load_entry(entry) for entry in ours}
    return {name: each for name, each in sorted(found.items()) if getattr(each, "holds", None)}


def section(name: str, source: type[Source]) -> str:
    """What is to be known of one."""
    language = getattr(source, "languages", "") or source.language
    files = ", ".join(f"`{each}`" for each in source.official_files)
    facts = {
        "Items": f"{source.domain}, {language}",
        "Made of": source.task,
        "Files": f"{files}, from <{source.url}>",
        "Licence": source.licence,
        "Proven on": source.proven,
        "Read unless told otherwise": ", ".join(
            f"`{attribute}` ({budget} tokens)" for attribute, budget in source.reads.items()
        ),
    }
    lines = [f"## {name}", "", *(f"- {what}: {said}" for what, said in facts.items()), ""]
    return "\n".join([*lines, *table(source.holds)])


def table(holds: Mapping[str, Mapping[str, str]]) -> list[str]:
    """A row for each kind that something has: those columns."""
    lines = ["| of | kind | names |", "|---|---|---|"]
    for group, columns in holds.items():
        for kind in dict.fromkeys(columns.values()):
            names = ", ".join(f"`{name}`" for name, each in columns.items() if each == kind)
            lines.append(f"| {OF[group]} | {kind} | {names} |")
    return [*lines, ""]


def text() -> str:
    """The page."""
    return "\n".join([HEAD, *(section(name, source) for name, source in sources().items())])


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the page, which is in no folder, to those of `docs/`."""
    from mkdocs.structure.files import File

    files.append(File.generated(config, "sources.md", content=text()))
    return files
