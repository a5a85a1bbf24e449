"""The files as one experiment, and the experiment as a script that says at its head where it differs."""

from __future__ import annotations

import ast
import re
import textwrap
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import attrs

import lego
from lego import catalog
from lego.errors import LegoError, Problem, SpecError
from lego.experiment import Experiment
from lego.expression import layout
from lego.migrate.data import data_of, relative
from lego.migrate.dialect import read, resolved
from lego.migrate.model import model_of, root_of
from lego.migrate.notes import Note, Told, refusal
from lego.migrate.training import DEFAULT, training_of
from lego.migrate.vectors import vectors_of

WIDTH = 96
"""Of the comments."""


@attrs.frozen
class Migrated:
    """What came of the files."""

    experiment: Experiment
    notes: tuple[Note, ...]
    script: str
    """Python that defines `experiment`, with the notes as comments."""


def migrate(
    files: Iterable[Path],
    *,
    given: Mapping[str, Any] | None = None,
    raw: Path | None = None,
    beside: Path | None = None,
) -> Migrated:
    """The experiment of a data file and a model file, with an embed file and an experiment file where there are such.

    `given` has the variables of the command line; `raw` is the folder of the raw data; paths are written as a script in the
    folder `beside` reads them. DataError with everything that has no translation.
    """
    files = list(files)
    found, told = read(files), Told()
    for kind in ("data", "model"):
        if kind not in found.documents:
            keys = "item and inter" if kind == "data" else "meta and config"
            told.problem(
                f"no {kind} file", f"none of the files has {keys} at its top", f"give the {kind} file, too"
            )
    _refuse(told)
    given = given or {}
    found.documents.setdefault("exp", dict(DEFAULT))
    documents = resolved(found, given, told)
    for kind, path in found.paths.items():
        if _is_version_1(kind, documents[kind]):
            what = "it is a file of version 1, whose tables, inputs and operators are named otherwise"
            told.problem(str(path), what, "translate it to version 2 first: the guide has both names")
    _refuse(told)
    folders = {**found.raw, **({"*": str(raw)} if raw is not None else {})}
    seed = given.get("seed", 2023)
    if type(seed) is not int or seed < 0:
        told.problem(
            "--with seed", f"{seed!r} is no whole number from 0 on", "give one, as in --with seed=2023"
        )
        seed = 0
    try:
        experiment = _experiment(found.paths, documents, folders, found.checkpoints, seed, told)
    except SpecError as error:
        told.problem("a value is out of range", str(error), "write one that is allowed")
        experiment = None
    _refuse(told)
    assert experiment is not None
    _check(experiment, told)
    _refuse(told)
    if beside is not None:
        experiment = _beside(experiment, beside)
    names = ", ".join(path.name for path in files)
    return Migrated(experiment, tuple(told.notes), script_of(experiment, told.notes, names))


def _experiment(
    paths: Mapping[str, Path],
    documents: Mapping[str, Mapping[str, Any]],
    folders: Mapping[str, str],
    checkpoints: Mapping[str, str],
    seed: int,
    told: Told,
) -> Experiment:
    root = root_of(paths["data"])
    data = data_of(documents["data"], folders, root, told)
    vectors = vectors_of(documents.get("embed", {}), root, told)
    model = model_of(documents["model"], data, vectors, checkpoints, told)
    vectors.close()
    training, evaluation = training_of(documents["exp"], data, model, seed, told)
    return Experiment(
        data=data.source, model=model.recommender, task=model.task, training=training, evaluation=evaluation
    )


def _is_version_1(kind: str, document: Mapping[str, Any]) -> bool:
    """Whether a file has the names of version 1."""
    if kind == "data":
        parts = [document.get(each) for each in ("item", "user")]
        return any(isinstance(each, dict) and {"depot", "depots"} & set(each) for each in parts)
    config = document.get("config")
    old = {"news_config", "use_news_content", "embed_hidden_size"}
    return kind == "model" and isinstance(config, dict) and bool(old & set(config))


def _refuse(told: Told) -> None:
    if told.problems:
        raise refusal(told.problems)


def _check(experiment: Experiment, told: Told) -> None:
    """What `lego check` would find wrong, but for files and weights that are not here yet."""
    from lego.compiler.check import check

    for problem in check(experiment, files=False):
        if _is_absent(problem):
            told.note("to be had first", f"{problem.where}: {problem.what}")
        else:
            told.problems.append(problem)


def _is_absent(problem: Problem) -> bool:
    """Whether something is not on this machine, rather than wrong."""
    return re.search(r"there is no (such )?(file|folder)|the file is not there", problem.what) is not None


def _beside(experiment: Experiment, folder: Path) -> Experiment:
    """Its paths as a script in the folder reads them."""

    def moved(value: Any, *, path: bool = False) -> Any:
        if isinstance(value, str):
            return relative(value, folder) if path else value
        if isinstance(value, tuple):
            return tuple(moved(each, path=path) for each in value)
        if isinstance(value, Mapping):
            return {name: moved(each, path=path) for name, each in value.items()}
        if not attrs.has(type(value)):
            return value
        cls: Any = type(value)
        return attrs.evolve(
            value,
            **{
                field.name: moved(
                    getattr(value, field.name), path=field.metadata.get("lego.path") == "always"
                )
                for field in attrs.fields(cls)
                if field.init
            },
        )

    made: Experiment = moved(experiment)
    return made


def script_of(experiment: Experiment, notes: Iterable[Note], names: str) -> str:
    """Python that defines `experiment`."""
    expression = layout(experiment)
    words = {
        node.func.id
        for node in ast.walk(ast.parse(expression))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    own = sorted(
        (each for each in words if each in lego.__all__),
        key=lambda each: (not each.isupper(), each[0].islower(), each),
    )
    others = sorted(words - set(own))
    lines = [f'"""Made by `lego migrate` of {names}."""', ""]
    told = list(notes)
    if told:
        lines.append("# What this script does not say as the files did:")
        for note in told:
            lines += textwrap.wrap(
                f"- {note}",
                WIDTH,
                initial_indent="# ",
                subsequent_indent="#   ",
                break_long_words=False,
                break_on_hyphens=False,
            )
        lines.append("")
    imports = f"from lego import {', '.join(own)}"
    if len(imports) > WIDTH:
        imports = "\n".join(["from lego import (", *(f"    {each}," for each in own), ")"])
    lines += [imports, *map(_import_of, others), "", f"experiment = {expression}", ""]
    return "\n".join(lines)


def _import_of(name: str) -> str:
    """Where an operator of a plugin is imported from."""
    for entry in catalog.entries():
        if entry.name == name:
            return f"from {entry.target.partition(':')[0]} import {name}"
    raise LegoError(f"{name} is not to be imported from anywhere.")
