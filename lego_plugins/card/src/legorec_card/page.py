"""The facts of a run folder, and the page that is made of them."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from lego.errors import RunError

SHOWN = 12
"""Epochs that the page shows; the first and last ones where there are more."""


def facts_of(run: Path) -> dict[str, Any]:
    """All that the page says, in plain JSON types. RunError where the folder is no run, or is not finished."""
    if not run.is_dir():
        raise RunError.absent(run)
    experiment = _json(run / "experiment.json")
    if not (run / "metrics.json").exists():
        raise RunError(
            f"{run} is not finished, so it has no numbers yet. Go on with `lego run SCRIPT --resume`."
        )
    metrics, environment = _json(run / "metrics.json"), _json(run / "environment.json")
    manifest = Path(experiment["data"].get("path", "")) / "manifest.json"
    plugins = {
        name: version
        for name, version in environment.get("operators", {}).values()
        if version and name.lower() != "legorec"
    }
    return {
        "run": str(run),
        "name": run.resolve().parent.name,
        "id": run.resolve().name,
        "experiment": experiment["text"],
        "weights": _weights(run / "checkpoint" / "model.safetensors"),
        "data": {
            "fingerprint": experiment["data"]["fingerprint"],
            **(_of_manifest(_json(manifest)) if manifest.is_file() else {}),
        },
        "fit": metrics.get("fit") or {},
        "epochs": _epochs(run / "log.jsonl"),
        "part": metrics["part"],
        "groups": metrics["groups"],
        "protocol": metrics["protocol"],
        "ties": metrics["ties"],
        "not_applicable": metrics.get("not_applicable", []),
        "metrics": {"this model": metrics["test"], **metrics["baselines"]},
        "seconds": metrics["seconds"],
        "environment": {
            "lego": environment.get("lego", ""),
            "python": environment.get("python", ""),
            "platform": environment.get("platform", ""),
            "libraries": environment.get("libraries", {}),
            "plugins": plugins,
        },
    }


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RunError(f"{path.parent} is no run folder: {path.name} is missing.") from None
    except (OSError, ValueError) as problem:
        raise RunError(f"{path} cannot be read: {problem}.") from None
    if not isinstance(found, dict):
        raise RunError(f"{path} holds no record of a run.")
    return found


def _weights(path: Path) -> int | None:
    """Numbers in the checkpoint, by the head of the file; None where there is none."""
    if not path.is_file():
        return None
    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        head = json.loads(file.read(length))
    return sum(math.prod(each["shape"]) for name, each in head.items() if name != "__metadata__")


def _of_manifest(manifest: Mapping[str, Any]) -> dict[str, Any]:
    return {name: manifest.get(name) for name in ("source", "counts", "dropped") if name in manifest}


def _epochs(path: Path) -> list[dict[str, Any]]:
    """The epochs of the log, each once, the last telling of it counting."""
    found: dict[int, dict[str, Any]] = {}
    if path.is_file():
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                told = json.loads(line)
            except ValueError:  # half a line of a process that was killed
                continue
            if told.get("event") == "epoch":
                found[told["epoch"]] = {key: value for key, value in told.items() if key != "event"}
    return [found[epoch] for epoch in sorted(found)]


# --- the page -----------------------------------------------------------------------------------------------------------------


def page_of(facts: Mapping[str, Any], *, about: str = "", licence: str = "") -> str:
    """Markdown with the front matter that model hubs read."""
    blocks = [
        _front(facts, licence),
        f"# {facts['name']}",
        about.strip(),
        "## The model",
        f"```python\n{facts['experiment']}\n```",
        _sentence_on_weights(facts),
        "## What it learned from",
        _data(facts["data"]),
        _training(facts),
        "## Numbers",
        f"Of the {facts['part']} part, {facts['groups']:,} impressions.",
        _metrics(facts["metrics"]),
        _reading(facts),
        "## Use",
        _use(facts),
        "## Made with",
        _environment(facts["environment"]),
    ]
    return "\n\n".join(block for block in blocks if block) + "\n"


def _front(facts: Mapping[str, Any], licence: str) -> str:
    lines = ["---", "library_name: legorec", "tags:", "- recommendation"]
    if licence:
        lines.append(f"license: {json.dumps(licence)}")
    lines += ["metrics:", *(f"- {json.dumps(name)}" for name in facts["metrics"]["this model"]), "---"]
    return "\n".join(lines)


def _sentence_on_weights(facts: Mapping[str, Any]) -> str:
    if facts["weights"] is None:
        return "It is a baseline: there are no weights."
    return f"The checkpoint holds {facts['weights']:,} numbers; frozen weights of a language model are not among them."


def _data(data: Mapping[str, Any]) -> str:
    lines = [f"- {name}: {_words(data[name])}" for name in ("source", "counts", "dropped") if data.get(name)]
    return "\n".join([*lines, f"- fingerprint: `{data['fingerprint']}`"])


def _words(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_words(each)}" for name, each in value.items())
    return f"{value:,}" if isinstance(value, int) else f"`{value}`"


def _training(facts: Mapping[str, Any]) -> str:
    epochs, fit = facts["epochs"], facts["fit"]
    if not epochs:
        return ""
    kept = (
        f"{len(epochs)} epochs; the weights are those of epoch {fit['best_epoch']}."
        if fit.get("best_epoch")
        else ""
    )
    columns = [name for name in epochs[-1] if name == "loss" or name.startswith("dev ")][:6]
    shown = epochs if len(epochs) <= SHOWN else [*epochs[: SHOWN // 2], *epochs[-SHOWN // 2 :]]
    rows = [[str(each["epoch"]), *(_number(each.get(name)) for name in columns)] for each in shown]
    return "\n\n".join(each for each in (kept, _table(["epoch", *columns], rows)) if each)


def _metrics(metrics: Mapping[str, Mapping[str, Any]]) -> str:
    names = list(metrics["this model"])
    return _table(
        ["", *names], [[who, *(_number(of.get(name)) for name in names)] for who, of in metrics.items()]
    )


def _reading(facts: Mapping[str, Any]) -> str:
    lines = [f"Protocol {facts['protocol']}; ties {facts['ties']}."]
    if facts["not_applicable"]:
        lines.append(f"Not applicable to scores of this kind: {', '.join(facts['not_applicable'])}.")
    lines.append("Numbers are comparable with others of the same data, protocol and treatment of ties alone.")
    return " ".join(lines)


def _use(facts: Mapping[str, Any]) -> str:
    packages = {"legorec": facts["environment"]["lego"].partition("+")[0], **facts["environment"]["plugins"]}
    wanted = " ".join(
        f'"{name.replace("_", "-")}=={version}"' for name, version in packages.items() if version
    )
    folder = f"{facts['name']}/{facts['id']}"
    return f"```sh\npip install {wanted}\nlego recommend {folder} --history ID ID ID\nlego evaluate {folder}\n```"


def _environment(environment: Mapping[str, Any]) -> str:
    libraries = {"lego": environment["lego"], "Python": environment["python"], **environment["libraries"]}
    told = ", ".join(f"{name} {version}" for name, version in libraries.items() if version)
    return f"{told}; {environment['platform']}."


def _number(value: Any) -> str:
    return "–" if value is None else f"{value:.4f}"


def _table(head: list[str], rows: Iterable[list[str]]) -> str:
    lines = [head, ["---", *("---:" for _ in head[1:])], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
