"""`lego doctor`: the machine, the installation, the folders, and what is wrong with them, each with a way out."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import typer

Problem = dict[str, str]
"""`where`, `what` and `fix`."""

LITTLE_SPACE = 1 << 30
"""Bytes: less than this on the disk of LEGO_HOME is a problem."""

OFFLINE = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
FOLDERS = ("HF_HOME", "HF_HUB_CACHE", "HF_ENDPOINT")
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")


def doctor(as_json: bool = typer.Option(False, "--json", help="Print one JSON document.")) -> None:
    """Look at the machine and the installation. Exit code 1 where something is broken; each problem has its fix."""
    from lego.cli.output import print_json

    problems: list[Problem] = []
    report: dict[str, Any] = {}
    for name, look in LOOKS.items():
        try:
            report[name] = look(problems)
        except Exception as error:  # noqa: BLE001 - one look that fails must not hide what the others see
            report[name] = None
            problems.append(
                _problem(
                    name,
                    f"cannot be looked at: {type(error).__name__}: {error}",
                    "report this as a bug of lego",
                )
            )
    report["problems"] = problems
    if as_json:
        print_json(report)
    else:
        _show(report)
    if problems:
        raise typer.Exit(1)


def _problem(where: str, what: str, fix: str) -> Problem:
    return {"where": where, "what": what, "fix": fix}


# --- the looks ----------------------------------------------------------------------------------------------------------------


def _machine(problems: list[Problem]) -> dict[str, Any]:
    return {
        "platform": platform.platform(),
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "cores_usable": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory": _memory(),
        "environment": {name: os.environ[name] for name in THREADS if name in os.environ},
    }


def _memory() -> int | None:
    """Bytes of the machine; None where the system does not say."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return None


def _python(problems: list[Problem]) -> dict[str, Any]:
    return {"version": platform.python_version(), "executable": sys.executable, "prefix": sys.prefix}


def _libraries(problems: list[Problem]) -> dict[str, str | None]:
    """Version of lego and of what it needs; one that is missing or too old is a problem."""
    from importlib import metadata

    from packaging.requirements import InvalidRequirement, Requirement

    from lego.catalog import BUILTIN

    versions: dict[str, str | None] = {BUILTIN: metadata.version(BUILTIN)}
    for line in metadata.requires(BUILTIN) or []:
        try:
            wanted = Requirement(line)
        except InvalidRequirement:
            continue
        if wanted.marker is not None and not wanted.marker.evaluate({"extra": ""}):
            continue
        fix = f'pip install "{wanted.name}{wanted.specifier}"'
        try:
            found = metadata.version(wanted.name)
        except metadata.PackageNotFoundError:
            versions[wanted.name] = None
            problems.append(_problem(wanted.name, "is not installed", fix))
            continue
        versions[wanted.name] = found
        if not wanted.specifier.contains(found, prereleases=True):
            problems.append(
                _problem(wanted.name, f"is version {found}, and {wanted.specifier} is needed", fix)
            )
    return versions


def _torch(problems: list[Problem]) -> dict[str, Any] | None:
    try:
        import torch
    except Exception as error:  # noqa: BLE001 - a damaged installation raises anything from ImportError to OSError
        what = f"cannot be imported: {type(error).__name__}: {error}"
        problems.append(_problem("torch", what, "install it anew: pip install --force-reinstall torch"))
        return None
    devices = ["cpu", *(f"cuda:{index}" for index in range(torch.cuda.device_count()))]
    devices += ["mps"] if torch.backends.mps.is_available() else []
    names = {f"cuda:{index}": torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())}
    return {
        "version": torch.__version__,
        "threads": torch.get_num_threads(),
        "devices": devices,
        "names": names,
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "bf16": {
            "cpu": _flag("avx512_bf16"),
            "amx": _flag("amx_bf16"),
            "cuda": torch.cuda.is_available() and torch.cuda.is_bf16_supported(),
        },
    }


def _flag(name: str) -> bool | None:
    """Whether the processor has it; None where the system does not say. bf16 runs without it too, only not faster."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    lines = (line for line in text.splitlines() if line.startswith(("flags", "Features")))
    return name in next(lines, "").split()


def _home(problems: list[Problem]) -> dict[str, Any]:
    """Where prepared data and caches live: whether it can be written to, what is in it, what is left on its disk."""
    from lego.home import home

    folder = home()
    there = next(each for each in (folder, *folder.parents) if each.exists())
    writable = there.is_dir() and os.access(there, os.W_OK | os.X_OK)
    free = shutil.disk_usage(there).free
    fix = "set LEGO_HOME to a folder that can be written to"
    if not writable:
        problems.append(_problem(f"LEGO_HOME {folder}", "cannot be written to", fix))
    elif free < LITTLE_SPACE:
        fix = "make space, or set LEGO_HOME to a folder on another disk"
        problems.append(_problem(f"LEGO_HOME {folder}", f"has {_bytes(free)} left on its disk", fix))
    return {
        "path": str(folder),
        "exists": folder.is_dir(),
        "writable": writable,
        "size": _size(folder),
        "free": free,
    }


def _size(folder: Path) -> int:
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(place, name)).st_size  # noqa: PTH118 - a walk over many files
            except OSError:  # it is gone by now
                continue
    return total


def _checkpoints(problems: list[Problem]) -> list[dict[str, Any]]:
    """The language models that installed distributions know of, and whether their weights are here."""
    from lego.catalog import entries, load_entry
    from lego.errors import CatalogError

    rows = []
    for entry in entries("checkpoint"):
        row: dict[str, Any] = {
            "name": entry.name,
            "distribution": entry.distribution,
            "found": None,
            "package": None,
        }
        rows.append(row)
        if not _is_built_in(entry.distribution) and _why_broken(entry) is not None:
            continue  # a row of the plugins
        try:
            checkpoint = load_entry(entry)
        except CatalogError as problem:
            problems.append(
                _problem(f"checkpoint {entry.name}", str(problem), f"repair or remove {entry.distribution}")
            )
            continue
        found = checkpoint.find()
        row["found"] = None if found is None else str(found)
        row["package"] = str(getattr(checkpoint, "package", "")).partition(".")[0].replace("_", "-") or None
    return rows


def _hub(problems: list[Problem]) -> dict[str, Any]:
    """What says where the hub's cache is and whether the network may be used. The network itself is not tried."""
    return {
        "tested": False,
        "environment": {name: os.environ[name] for name in (*OFFLINE, *FOLDERS) if name in os.environ},
    }


def _plugins(problems: list[Problem]) -> list[dict[str, Any]]:
    """What other distributions add; each broken one is a problem."""
    from lego.catalog import entries, normal, switch, switched_off
    from lego.cli.plugins import listing
    from lego.cli.probe import SECONDS

    rows = [row for row in listing(SECONDS) if not _is_built_in(row["distribution"])]
    for row in rows:
        if row["broken"] is not None:
            fix = f"repair it, or remove it with: pip uninstall {row['distribution']}"
            problems.append(
                _problem(f"plugin {row['distribution']} {row['version']}".rstrip(), row["broken"], fix)
            )
    turned = switch()
    if turned.names and turned.names.lower() != "off":
        installed = {normal(entry.distribution) for entry in (*entries(), *switched_off())}
        for name in turned.names.split(","):
            if name.strip() and normal(name.strip()) not in installed:
                what = f"names {name.strip()}, which is not installed"
                problems.append(
                    _problem(turned.where, what, f"pip install {name.strip()}, or take the name out")
                )
    return rows


def _is_built_in(distribution: str) -> bool:
    from lego.catalog import BUILTIN, normal

    return normal(distribution) == BUILTIN


def _why_broken(entry: Any) -> str | None:
    from lego.cli.probe import fault

    return fault(entry)


LOOKS: dict[str, Callable[[list[Problem]], Any]] = {
    "machine": _machine,
    "python": _python,
    "libraries": _libraries,
    "torch": _torch,
    "home": _home,
    "checkpoints": _checkpoints,
    "hub": _hub,
    "plugins": _plugins,
}
"""What is looked at, in this order."""


# --- for reading --------------------------------------------------------------------------------------------------------------


def _show(report: dict[str, Any]) -> None:
    from lego.cli.output import aligned

    for name, found in report.items():
        if name == "problems":
            continue
        typer.echo(typer.style(name, bold=True))
        for line in aligned(_rows(name, found), indent="  "):
            typer.echo(line)
    problems = report["problems"]
    typer.echo("")
    if not problems:
        typer.echo("All is well.")
        return
    typer.echo(f"{len(problems)} problem{'' if len(problems) == 1 else 's'}")
    for each in problems:
        typer.echo(f"  {each['where']}: {each['what']}\n    fix: {each['fix']}")


def _rows(name: str, found: Any) -> list[list[str]]:
    if name == "checkpoints":
        return [[each["name"], each["found"] or _absent(each["package"])] for each in found or []] or [
            ["none"]
        ]
    if name == "plugins":
        rows = [
            [each["distribution"], each["version"], "fine" if each["broken"] is None else "broken"]
            for each in found or []
        ]
        return rows or [["none"]]
    if found is None:
        return [["unknown, see below"]]
    rows = [[key, _words(key, value)] for key, value in found.items() if value not in ({}, [])]
    return [["network", "not tried"], *rows[1:]] if name == "hub" else rows


def _absent(package: str | None) -> str:
    return "not here" + (f"; pip install {package}" if package else "")


def _words(key: str, value: Any) -> str:
    if value is None:
        return "unknown" if key == "memory" else "missing"
    if key in ("memory", "size", "free"):
        return _bytes(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        words = {None: "unknown", True: "yes", False: "no"}
        return "  ".join(
            f"{each}: {words.get(inner, inner) if isinstance(inner, bool | None) else inner}"
            for each, inner in value.items()
        )
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return str(value)


def _bytes(count: float) -> str:
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.3g} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"
