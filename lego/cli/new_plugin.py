"""`lego plugins new`: a distribution of one's own with one operator, whole: it installs, tests itself and can be published."""

from __future__ import annotations

import keyword
import re
from pathlib import Path
from string import Template

import attrs

from lego.errors import SpecError, did_you_mean


@attrs.frozen
class Names:
    """What the parts of a plugin are called."""

    distribution: str
    package: str
    module: str
    operator: str


@attrs.frozen(kw_only=True)
class Kind:
    """What is said of the operator that the project begins with."""

    slots: tuple[str, ...]
    """The groups of entry points that list it."""
    kind: str
    does: str
    cites: str
    option: str
    default: str
    says: str
    change: str
    """A `--set` that runs it; `$call` stands for the operator."""
    bench: str = "lego plugins bench $operator"
    """The command that measures it; empty where none does."""


def kinds() -> dict[str, Kind]:
    """The table of slots that `--slot` names: `plugin/slots.toml`. One that fits both content and behavior is a `sequence`."""
    import tomllib
    from importlib.resources import files

    table = tomllib.loads((files("lego.cli") / "plugin" / "slots.toml").read_text(encoding="utf-8"))
    return {slot: Kind(**{**row, "slots": tuple(row["slots"])}) for slot, row in table.items()}


def kind_of(slot: str) -> Kind:
    """What is begun for a slot; SpecError where there is none."""
    known = kinds()
    if slot in known:
        return known[slot]
    raise SpecError(
        f"lego plugins new --slot {slot!r}: {did_you_mean(slot, known)}One of {', '.join(known)} can be begun."
    )


def names_of(name: str) -> Names:
    """`recent mean` → legorec-recent-mean, legorec_recent_mean, recent_mean, RecentMean; SpecError where there is none."""
    from lego import catalog

    words = [each.lower() for each in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", name)]
    if words[:1] == ["legorec"]:
        words = words[1:]
    module = "_".join(words)
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9 _.-]*", name) or not module or keyword.iskeyword(module):
        wanted = "letters, figures, - and _, a letter first, and no word of Python"
        raise SpecError(f"lego plugins new {name!r}: a name is made of {wanted}, as in recency-mean.")
    operator = "".join(each.capitalize() for each in words)
    taken = [entry for entry in catalog.entries() if entry.name.lower() == operator.lower()]
    if taken:
        raise SpecError(
            f"lego plugins new {name!r}: {taken[0].name} of {taken[0].distribution} has this name. Choose another one."
        )
    return Names(
        distribution=f"legorec-{'-'.join(words)}",
        package=f"legorec_{module}",
        module=module,
        operator=operator,
    )


def change_of(names: Names, kind: Kind) -> str:
    """The `--set` that runs the operator."""
    return Template(kind.change).substitute(call=f"{names.operator}({kind.option}={kind.default})")


def files_of(names: Names, slot: str) -> dict[str, str]:
    """Path → text of every file of the project."""
    import datetime as dt
    from importlib.resources import files

    kind = kind_of(slot)
    target = f'"{names.package}.{names.module}:{names.operator}"'
    groups = [f'[project.entry-points."lego.{each}"]\n{names.operator} = {target}\n' for each in kind.slots]
    given = {
        **attrs.asdict(names),
        **attrs.asdict(kind),
        "change": change_of(names, kind),
        "bench": Template(f"{kind.bench}\n" if kind.bench else "").substitute(operator=names.operator),
        "groups": "\n".join(groups).rstrip(),
        "year": str(dt.datetime.now(tz=dt.UTC).year),
    }
    package = f"src/{names.package}"
    here = files("lego.cli") / "plugin"
    placed = {
        "pyproject.toml": "pyproject.toml.txt",
        "README.md": "README.md.txt",
        "CHANGELOG.md": "CHANGELOG.md.txt",
        "LICENSE": "LICENSE.txt",
        ".gitignore": "gitignore.txt",
        ".github/workflows/test.yml": "test.yml.txt",
        ".github/workflows/publish.yml": "publish.yml.txt",
        f"{package}/__init__.py": "init.py.txt",
        f"{package}/py.typed": "",
        f"{package}/{names.module}.py": f"{slot}.py.txt",
        f"tests/test_{names.module}.py": f"test_{slot}.py.txt",
    }
    return {
        path: Template((here / source).read_text(encoding="utf-8")).substitute(given) if source else ""
        for path, source in placed.items()
    }


def write(name: str, out: Path, slot: str = "behavior") -> Path:
    """Makes the project in a folder of its own within `out`, and gives the folder. SpecError where it is there already."""
    names = names_of(name)
    texts = files_of(names, slot)
    folder = out / names.distribution
    if folder.exists():
        raise SpecError(f"lego plugins new: {folder} is there already. Name another folder with --out.")
    for path, text in texts.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    return folder
