"""Makes the page of the catalog when the pages are built: what comes with lego, from its metadata and its code."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files

HEAD = """# Catalog

What comes with lego, slot by slot, made from its metadata and its code. `lego catalog --markdown` prints the same with
what is installed beside; [Operators](operators.md) says how to choose. The letters are those of [Concepts](concepts.md).
"""


def text() -> str:
    """The page, without the plugins of the machine that makes it."""
    from lego.catalog import BUILTIN, entries, normal
    from lego.cli.catalog import grouped, page

    ours = [entry for entry in entries() if normal(entry.distribution) == BUILTIN]
    return f"{HEAD}\n{page(grouped(ours))}\n"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the page, which is in no folder, to those of `docs/`."""
    from mkdocs.structure.files import File

    os.environ.setdefault("OMP_NUM_THREADS", "1")
    files.append(File.generated(config, "catalog.md", content=text()))
    return files
