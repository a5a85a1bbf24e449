"""Makes the pages on what operators may lean on when the pages are built: each public name with what it is for."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files

ROOT = Path(__file__).resolve().parents[1]
MODULES = ("contract", "spec", "nn", "errors", "ragged", "catalog", "metric", "pretrained", "testing")
"""The modules of the promise on the page `write_an_operator.md`."""


def sources(module: str) -> list[Path]:
    """The files of a module: itself, or those of its package, its own first."""
    file = ROOT / "lego" / f"{module}.py"
    if file.exists():
        return [file]
    return sorted((ROOT / "lego" / module).rglob("*.py"), key=lambda path: (path.name != "__init__.py", path))


def public(file: Path) -> Iterator[tuple[str, str, str]]:
    """Each public name that a file defines: the name, how it is written, and the first paragraph of what is said of it."""
    body = ast.parse(file.read_text(encoding="utf-8")).body
    for node, after in zip(body, [*body[1:], None], strict=True):
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield node.name, node.name, paragraph(ast.get_docstring(node))
        elif isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            yield node.name, f"{node.name}({arguments(node)})", paragraph(ast.get_docstring(node))
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            told = after.value if isinstance(after, ast.Expr) else None
            text = told.value if isinstance(told, ast.Constant) and isinstance(told.value, str) else ""
            if isinstance(target, ast.Name) and not target.id.startswith("_") and text:
                yield target.id, target.id, paragraph(inspect.cleandoc(text))


def arguments(node: ast.FunctionDef) -> str:
    """The names of the arguments, with = where there is a default."""
    given = node.args
    plain = [*given.posonlyargs, *given.args]
    first = len(plain) - len(given.defaults)
    made = [f"{each.arg}=…" if place >= first else each.arg for place, each in enumerate(plain)]
    if given.vararg:
        made.append(f"*{given.vararg.arg}")
    elif given.kwonlyargs:
        made.append("*")
    for each, default in zip(given.kwonlyargs, given.kw_defaults, strict=True):
        made.append(each.arg if default is None else f"{each.arg}=…")
    if given.kwarg:
        made.append(f"**{given.kwarg.arg}")
    return ", ".join(made)


def paragraph(text: str | None) -> str:
    """The first paragraph, in one line."""
    return " ".join((text or "").partition("\n\n")[0].split())


def page(module: str) -> str:
    """The page of a module."""
    files = sources(module)
    about = ast.get_docstring(ast.parse(files[0].read_text(encoding="utf-8"))) or ""
    lines = [f"# lego.{module}", "", paragraph(about), ""]
    for file in files:
        rows = list(public(file))
        if not rows:
            continue
        parts = file.relative_to(ROOT).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        if name != f"lego.{module}":
            said = paragraph(ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))))
            lines += [f"## {name}", "", said, ""]
        lines += ["| name | is |", "|---|---|"]
        lines += [f"| `{cell(written)}` | {cell(said)} |" for _, written, said in rows]
        lines.append("")
    return "\n".join(lines)


def cell(text: str) -> str:
    """A text as a cell of a table, in which brackets are no links."""
    return (
        text.replace("|", "\\|").replace("[", "&#91;").replace("<", "&lt;")
        if "`" not in text
        else text.replace("|", "\\|")
    )


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the pages, which are in no folder, to those of `docs/`."""
    from mkdocs.structure.files import File

    for module in MODULES:
        files.append(File.generated(config, f"surface/{module}.md", content=page(module)))
    return files
