"""Experiments from scripts. A script is ordinary Python, loaded as a module that is not `__main__`; it only describes."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from lego import catalog
from lego.errors import LegoError, ScriptError, did_you_mean
from lego.experiment import Experiment
from lego.expression import resolve
from lego.spec import Spec


def hash_of(path: Path) -> str:
    """The sha256 of a script."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def load_module(path: Path, beside: Path | None = None) -> ModuleType:
    """The script as a module; what it raises is shown with the user's own lines, not ours.

    `beside` is the folder that the script's own imports are looked up in (its folder unless given).
    """
    if not path.is_file():
        raise ScriptError(f"There is no script {path}.")
    name = f"lego_script_{hash_of(path)[:16]}"
    if name in sys.modules:
        return sys.modules[name]
    found = importlib.util.spec_from_file_location(name, path)
    if found is None or found.loader is None:
        raise ScriptError(f"{path} is not a Python file: a script ends in .py.")
    module = importlib.util.module_from_spec(found)
    sys.modules[name] = module
    folder = str(beside or path.resolve().parent)
    sys.path.insert(0, folder)
    try:
        found.loader.exec_module(module)
    except LegoError as error:
        del sys.modules[name]
        error.args = (f"{_place(error, path)}{error}",)
        raise error from None
    except SyntaxError as error:
        del sys.modules[name]
        raise ScriptError(
            f"{path} cannot be read.\n" + "".join(traceback.format_exception_only(error))
        ) from None
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a script may raise anything
        del sys.modules[name]
        raise ScriptError(f"{path} stopped with an error.\n{_own_lines(error, path)}") from None
    finally:
        sys.path.remove(folder)
    return module


def _frames(error: BaseException, path: Path) -> traceback.StackSummary:
    frames = traceback.extract_tb(error.__traceback__)
    own = [index for index, frame in enumerate(frames) if frame.filename == str(path)]
    return traceback.StackSummary.from_list(frames[own[0] :] if own else frames)


def _own_lines(error: BaseException, path: Path) -> str:
    lines = [
        "Traceback (most recent call last):\n",
        *_frames(error, path).format(),
        *traceback.format_exception_only(error),
    ]
    return "".join(lines).rstrip()


def _place(error: BaseException, path: Path) -> str:
    own = [frame for frame in _frames(error, path) if frame.filename == str(path)]
    return f"{path}, line {own[-1].lineno}: " if own else ""


def load_experiment(script: str) -> tuple[Experiment, Path]:
    """The experiment of `SCRIPT` or `SCRIPT:name`, its relative paths made relative to the script; and the script's path."""
    text, _, name = (
        script.rpartition(":") if ":" in script and not script.endswith(".py") else (script, "", "experiment")
    )
    path = Path(text).expanduser().resolve()
    module = load_module(path)
    experiments = {key: value for key, value in vars(module).items() if isinstance(value, Experiment)}
    if name not in experiments:
        there = ", ".join(experiments) or "none"
        hint = (
            f"run another with {text}:NAME. "
            if experiments
            else "write `experiment = Experiment(data=…, model=…)` in it. "
        )
        raise ScriptError(
            f"{path} defines no experiment called {name!r} (it defines: {there}). {did_you_mean(name, experiments)}{hint}"
        )
    return experiments[name].rebased(path.parent), path


def names_with(module: ModuleType | None) -> Callable[[str], Any]:
    """Resolves what a user writes beside a script: the script's own classes first, then the catalogue."""

    def names(name: str) -> Any:
        mine = getattr(module, name, None)
        return mine if _is_spec(mine) else resolve(name)

    return names


def names_of_record(module: ModuleType | None, folder: Path | None) -> Callable[[str], Any]:
    """Resolves what a run recorded: bare names are the catalogue's, `module:Class` is of the script or of a file beside it.

    A record is data: nothing but a script that ran, a file in its folder, and distributions with operators is imported for it.
    """

    def names(name: str) -> Any:
        if ":" not in name:
            return resolve(name)
        home, _, qualified = name.partition(":")
        owner: Any = module if home.startswith("lego_script_") else _imported(home, name, folder)
        for part in qualified.split("."):
            owner = getattr(owner, part, None)
        if not _is_spec(owner):
            raise ScriptError(
                f"The record names {name}, which is not a spec class that can be found again. A class of one's own must "
                "stand in the script that `lego run` is given, in a file beside it, or in an installed package."
            )
        return owner

    return names


def _imported(home: str, name: str, folder: Path | None) -> Any:
    top = home.partition(".")[0]
    trusted = {entry.target.partition(":")[0].partition(".")[0] for entry in catalog.entries()}
    beside = folder is not None and (folder / f"{top}.py").is_file()
    if home in sys.modules and home != "__main__":
        return sys.modules[home]
    if top not in trusted and not beside:
        return None
    if beside:
        sys.path.insert(0, str(folder))
    try:
        return importlib.import_module(home)
    except ImportError as problem:
        raise ScriptError(f"The record names {name}, which cannot be imported: {problem}.") from None
    finally:
        if beside:
            sys.path.remove(str(folder))


def _is_spec(value: object) -> bool:
    """A record is data: only a spec is ever made from it, whatever it names."""
    return isinstance(value, type) and issubclass(value, Spec)
