"""Data flows from stage to stage; imports do not. Read from the source, without running it."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

LEGO = Path(__file__).resolve().parents[1] / "lego"
PLUGINS = LEGO.parent / "lego_plugins"

STAGES = ("data", "content", "sequence", "behavior", "predictor", "task", "metric", "report", "tokens")
COMMON = {"contract", "spec", "nn", "errors", "ragged", "expression", "catalog", "home"}
EXTRA = {"content": {"pretrained"}, "tokens": {"pretrained"}}
BASE = ("contract", "errors", "ragged", "home")
"""Modules that everything leans on; they lean on nothing but each other."""


def imports(path: Path) -> Iterator[str]:
    """Every module that a file imports when it runs; what only a type checker reads is left out."""
    skipped: set[ast.AST] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            skipped.update(inner for statement in node.body for inner in ast.walk(statement))
        if node in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import hides where it leads"
            module = node.module or ""
            yield from ([f"lego.{alias.name}" for alias in node.names] if module == "lego" else [module])


def parts_of_lego(path: Path) -> set[str]:
    """The first names below `lego` that a file imports."""
    return {name.split(".")[1] for name in imports(path) if name.startswith("lego.")}


def sources(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.py"))


def test_relative_imports_and_type_checking_are_seen_for_what_they_are(tmp_path):
    """The reader of imports finds those inside functions and leaves out those for the type checker."""
    file = tmp_path / "some.py"
    file.write_text(
        "from typing import TYPE_CHECKING\nfrom lego import catalog\nif TYPE_CHECKING:\n    from lego.task.ranking import R\n"
        "def f():\n    import lego.metric.auc\n"
    )
    assert parts_of_lego(file) == {"catalog", "metric"}


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_imports_no_neighbour(stage):
    """A stage folder imports itself and what all stages share, never another stage, the compiler or the runtime."""
    allowed = COMMON | {stage} | EXTRA.get(stage, set())
    found = {
        f"{path.relative_to(LEGO.parent)} imports lego.{part}"
        for path in sources(LEGO / stage)
        for part in parts_of_lego(path) - allowed
    }
    assert sources(LEGO / stage), f"lego/{stage} has no source"
    assert not found


def test_shared_layers_know_no_spec():
    """`lego/nn` is torch alone: it imports the contract and the ragged arrays, and no spec."""
    found = {
        path.name: parts_of_lego(path) - {"nn", "contract", "ragged", "errors"}
        for path in sources(LEGO / "nn")
    }
    assert not {name: parts for name, parts in found.items() if parts}


@pytest.mark.parametrize("name", BASE)
def test_the_base_leans_on_itself_alone(name):
    """What everything imports imports nothing that imports it."""
    assert parts_of_lego(LEGO / f"{name}.py") <= set(BASE)


def test_entry_points_are_read_in_one_place():
    """`catalog.py` alone knows the package `entrypoints`, and no other file reads entry points in another way."""
    readers = {str(path.relative_to(LEGO)) for path in sources(LEGO) if "entrypoints" in set(imports(path))}
    assert readers == {"catalog.py"}
    others = {
        str(path.relative_to(LEGO))
        for path in sources(LEGO)
        if "entry_points(" in path.read_text(encoding="utf-8")
    }
    assert not others


AUTHORING = {"contract", "spec", "errors", "ragged", "nn", "metric", "pretrained", "testing", "catalog"}
"""What plugin authors may lean on, as `docs/write_an_operator.md` says."""


def test_plugins_import_what_strangers_may_import():
    """Code, tests and examples of `lego_plugins` keep to the authoring modules and to the names that `lego` itself gives."""
    import lego

    allowed = AUTHORING | set(lego.__all__)
    files = sources(PLUGINS)
    assert any(path.parent.name == "legorec_iisan" for path in files)
    found = {str(path.relative_to(PLUGINS)): parts_of_lego(path) - allowed for path in files}
    assert not {name: parts for name, parts in found.items() if parts}


def test_authoring_modules_are_those_of_the_page():
    """What plugins may import is what the page for authors promises."""
    page = (LEGO.parent / "docs" / "write_an_operator.md").read_text(encoding="utf-8")
    promise = page.partition("## What plugins may lean on")[2]
    assert {name for name in AUTHORING if f"`lego.{name}`" in promise} == AUTHORING


@pytest.mark.parametrize(
    "statement",
    [
        "import lego",
        "import lego.contract, lego.errors, lego.spec, lego.catalog, lego.expression",
        "from lego import catalog; catalog.entries()",
        "import lego.cli",
    ],
)
def test_listing_is_light(statement):
    """Neither `import lego` nor listing operators imports torch, transformers or pyarrow."""
    heavy = ("torch", "transformers", "peft", "pyarrow", "numpy")
    program = f"{statement}\nimport sys\nprint(sorted(set({heavy!r}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("library", ["transformers", "peft", "tokenizers"])
def test_language_model_libraries_stay_where_they_are_needed(library):
    """Only the files about language models and tokenizers import the libraries for them."""
    homes = ("pretrained", "tokens", "content", "testing", "runtime", "cli")
    found = {
        str(path.relative_to(LEGO))
        for path in sources(LEGO)
        if path.relative_to(LEGO).parts[0] not in homes
        and any(name.split(".")[0] == library for name in imports(path))
    }
    assert not found
