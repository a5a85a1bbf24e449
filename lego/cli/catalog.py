"""`lego catalog`: what can fill each slot. A listing reads metadata alone; only `--full` and a name load anything."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from lego.catalog import Entry


def catalog(
    what: str = typer.Argument(
        "", metavar="[SLOT | NAME]", help="A slot, as in behavior, or a name, as in GRU."
    ),
    full: bool = typer.Option(
        False,
        "--full",
        help="Load what is listed: text form, what it gives or takes, what it needs, its paper.",
    ),
    matrix: bool = typer.Option(
        False, "--matrix", help="Count the models: which content, behavior and predictor go together."
    ),
    markdown: bool = typer.Option(
        False,
        "--markdown",
        help="Load what is listed, and print a page of tables with forms, needs and papers.",
    ),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON document."),
) -> None:
    """List what can fill each slot, or describe one operator."""
    from lego.catalog import SLOTS, entries, malformed
    from lego.cli.output import print_json

    if matrix:
        _matrix(as_json=as_json)
        return
    named = bool(what) and what not in SLOTS
    groups = grouped(entries())
    chosen = (
        _named(groups, what) if named else [group for group in groups if not what or what in _slots(group)]
    )
    if what:
        chosen.sort(key=lambda group: (group[0].name, group[0].distribution))
    rows = [_row(group) for group in chosen]
    if markdown:
        typer.echo(page(chosen, what if what in SLOTS else ""))
    elif full or named:
        loaded = _loaded(chosen)
        rows = [{**row, **facts} for row, (facts, _) in zip(rows, loaded, strict=True)]
        if not as_json:
            _show_full(chosen, loaded)
    elif not as_json:
        _show(chosen, what)
    if as_json:
        print_json(rows)
    for broken in malformed():
        typer.echo(f"{broken.distribution}: {broken.why}. See `lego plugins`.", err=True)


def _matrix(*, as_json: bool) -> None:
    from lego.cli.output import aligned, print_json
    from lego.compiler.matrix import matrix

    made = matrix()
    if as_json:
        print_json(made.record())
        return
    slots = " × ".join(f"{count} {slot}" for slot, count in made.operators.items())
    each = [task for task in made.tasks if task not in made.of_cosines]
    rest = [f", {made.count(task):,} of them for {task}" for task in made.tasks if task not in each]
    typer.echo(f"{slots}: {len(made.valid):,} models, each for the tasks {', '.join(each)}{''.join(rest)}")
    typer.echo("Triples that are no model, by the first rule they break:")
    for line in aligned([[f"{count:,}", rule] for rule, count in made.reasons.items()], indent="  "):
        typer.echo(line)
    if made.unmade:
        typer.echo(f"Not counted, since they need a file: {', '.join(made.unmade)}")


# --- from metadata ------------------------------------------------------------------------------------------------------------


def grouped(entries: list[Entry]) -> list[list[Entry]]:
    """The entries of one name of one distribution together, in the order of the slots, then by name."""
    from lego.catalog import SLOTS

    groups: dict[tuple[str, str], list[Entry]] = {}
    for entry in sorted(entries, key=lambda entry: (SLOTS.index(entry.slot), entry.name, entry.distribution)):
        # A name in two slots is one operator that fits both if both lines lead to the same object.
        key = (entry.qualified, entry.target)
        groups.setdefault(key, []).append(entry)
    return list(groups.values())


def _slots(group: list[Entry]) -> list[str]:
    return [entry.slot for entry in group]


def _row(group: list[Entry]) -> dict[str, Any]:
    first = group[0]
    return {
        "name": first.name,
        "slots": _slots(group),
        "distribution": first.distribution,
        "version": first.version,
    }


def _named(groups: list[list[Entry]], name: str) -> list[list[Entry]]:
    from lego.catalog import SLOTS, dotted, find, unknown
    from lego.errors import CatalogError

    name = dotted(name)
    found = [group for group in groups if name in (group[0].name, group[0].qualified)]
    if not found:
        try:
            now = find(name).qualified  # of one that had another name before
        except CatalogError:
            known = {*SLOTS, *(group[0].name for group in groups)}
            raise unknown("slot or operator", name, known) from None
        found = [group for group in groups if now == group[0].qualified]
    return found


def _show(groups: list[list[Entry]], slot: str) -> None:
    from lego.catalog import SLOTS
    from lego.cli.output import aligned

    claims: dict[str, set[str]] = {}
    for group in groups:
        claims.setdefault(group[0].name, set()).add(group[0].distribution)
    lines: list[list[str]] = []
    for each in [slot] if slot else SLOTS:
        inside = sorted(entry for group in groups for entry in group if entry.slot == each)
        if not inside and not slot:
            continue
        lines.append([each])
        for entry in inside:
            name = entry.name if len(claims[entry.name]) == 1 else entry.qualified
            lines.append([f"  {name}", f"{entry.distribution} {entry.version}".rstrip()])
        if not inside:
            lines.append(["  nothing that is installed"])
    for line in aligned(lines):
        typer.echo(line if line.startswith(" ") else typer.style(line, bold=True))


# --- loaded -------------------------------------------------------------------------------------------------------------------


def _loaded(groups: list[list[Entry]]) -> list[tuple[dict[str, Any], Any]]:
    """What `--full` adds to each row, and the object; what other distributions offer is tried in a process of its own first."""
    from lego.catalog import BUILTIN, fault, load_entry, normal
    from lego.cli.probe import faults

    tried = faults(entry for group in groups for entry in group if normal(entry.distribution) != BUILTIN)
    loaded = []
    for group in groups:
        why = next((why for entry in group if (why := tried.get(entry) or fault(entry)) is not None), None)
        found = load_entry(group[0]) if why is None else None
        loaded.append((_facts(group, found, why), found))
    return loaded


def _facts(group: list[Entry], found: Any, why: str | None) -> dict[str, Any]:
    """Text form, forms, needs, paper; what is not known of a broken one is null."""
    way = "takes" if "predictor" in _slots(group) else "gives"
    if found is None:
        return {"text": None, way: None, "needs": [], "paper": None, "broken": why}
    instance = _instance(group[0], found)
    return {
        "text": _text(group[0], found, instance),
        way: _forms(instance),
        "needs": _needs(instance),
        "paper": _paper(found),
        "broken": None,
    }


def _instance(entry: Entry, found: Any) -> Any:
    """With every option at its default, else the first of its examples; None where the slot is not filled by specs."""
    from lego.errors import LegoError
    from lego.expression import SPEAKING
    from lego.spec import Spec

    if entry.slot not in SPEAKING:  # a command is called to run it, not to look at it
        return None
    for make in (found, lambda: next(iter(found.examples()))):
        try:
            made = make()
        except (LegoError, TypeError, ValueError, AttributeError, StopIteration):
            continue
        if isinstance(made, Spec):
            return made
    return None


def _text(entry: Entry, found: Any, instance: Any) -> str | None:
    """Every option with its default; an operator that is written between others as its example has it."""
    import inspect

    from lego.expression import SPEAKING
    from lego.spec import Spec, signature

    if isinstance(found, type) and issubclass(found, Spec):
        return str(instance.text()) if hasattr(found, "infix") and instance is not None else signature(found)
    if instance is not None:  # a function that makes a spec prints as what it makes
        return str(instance.text(full=True))
    if entry.slot not in SPEAKING or not callable(found):
        return None
    inner = [
        str(each.replace(annotation=inspect.Parameter.empty))
        for each in inspect.signature(found).parameters.values()
    ]
    return f"{entry.name}({', '.join(inner)})"


def _forms(instance: Any) -> str | list[str] | None:
    """What an operator gives, or the list of what a predictor takes."""
    from lego.spec import Behavior, Content, Predictor

    if isinstance(instance, Predictor):
        return [form.label for form in sorted(instance.takes, key=lambda form: form.value)]
    if isinstance(instance, Behavior):
        return instance.gives.label
    if isinstance(instance, Content):
        return instance.item_form.label.replace("(B, ", "(N, ")  # one row per item, not per user
    return None


def _needs(instance: Any) -> list[str]:
    from lego.spec import Behavior, Content, Predictor

    needs = set(instance.needs) if isinstance(instance, Behavior | Predictor) else set()
    if isinstance(instance, Content):
        needs |= instance.item_needs
    return sorted(need.name.lower() for need in needs)


_CITED = re.compile(
    r"((?:[A-Z][^\s,;:()]+(?:, | and )?)+(?: et al\.)? \d{4})(?:, | \(|\), )(https?://[^\s,;()]+)", re.UNICODE
)
_BARE = re.compile(r"https?://[^\s,;()]+")
_PLAIN = re.compile(r"\(((?:[A-Z][^\s,;:()]+(?:, | and )?)+(?: et al\.)? \d{4}[^()]*)\)")


def _paper(found: Any) -> str | None:
    """Authors, year and address, as the docstring of the class or of its file cites them; None where neither cites anything."""
    import inspect
    import sys

    module = sys.modules.get(getattr(found, "__module__", ""))
    own = inspect.getdoc(found) or ""
    for text in (own, getattr(module, "__doc__", None) or ""):
        line = " ".join(text.split())
        cited = [f"{who}, {where.rstrip('.')}" for who, where in _CITED.findall(line)]
        cited = cited or [where.rstrip(".") for where in _BARE.findall(line)] or _PLAIN.findall(line)
        if cited:
            return "; ".join(dict.fromkeys(cited))
    return None


def _show_full(groups: list[list[Entry]], loaded: list[tuple[dict[str, Any], Any]]) -> None:
    import inspect

    from lego.cli.output import aligned

    for place, (group, (facts, found)) in enumerate(zip(groups, loaded, strict=True)):
        first = group[0]
        head = f"{first.name}  {', '.join(_slots(group))}  {first.distribution} {first.version}".rstrip()
        typer.echo(("\n" if place else "") + typer.style(head, bold=True))
        words = inspect.getdoc(found) or "" if found is not None else ""
        if words and len(groups) > 1:
            typer.echo("  " + words.splitlines()[0])
        rows = [
            [key, ", ".join(value) if isinstance(value, list) else str(value)]
            for key, value in facts.items()
            if value
        ]
        for line in aligned(rows, indent="  "):
            typer.echo(line)
        if words and len(groups) == 1:
            typer.echo("\n" + words)


# --- as a page ----------------------------------------------------------------------------------------------------------------


def page(groups: list[list[Entry]], only: str = "") -> str:
    """A heading and a table for each slot, or for one; commands, which are no words of the language, are left out."""
    from lego.catalog import SLOTS

    facts = list(zip(groups, _loaded(groups), strict=True))
    lines: list[str] = []
    for slot in [only] if only else SLOTS:
        inside = sorted(
            ((group[0].name, group, *about) for group, about in facts if slot in _slots(group)),
            key=lambda row: (row[0].lower(), row[1][0].distribution),
        )
        if slot == "command" or not inside:
            continue
        way = {"content": "gives", "behavior": "gives", "predictor": "takes"}.get(slot, "")
        head = ["name", *([way, "needs"] if way else []), "does", "written", "paper"]
        lines += [f"## {slot}", "", _table_row(head), _table_row(["---"] * len(head))]
        for _, group, told, found in inside:
            lines.append(_table_row(_cells(group, told, found, way)))
        lines.append("")
    return "\n".join(lines).rstrip()


def _cells(group: list[Entry], told: dict[str, Any], found: Any, way: str) -> list[str]:
    import inspect

    from lego.catalog import BUILTIN, normal

    first = group[0]
    ours = normal(first.distribution) == BUILTIN
    name = f"`{first.name}`" if ours else f"`{first.qualified}` ({first.distribution} {first.version})"
    forms = told.get(way) or told.get("gives") or told.get("takes") or "–"
    named = ", ".join(forms) if isinstance(forms, list) else forms
    written = inspect.getdoc(found) or "" if found is not None else f"broken: {told.get('broken')}"
    said = " ".join(written.partition("\n\n")[0].split())
    text = f"`{told['text']}`" if told.get("text") else "–"
    needs = ", ".join(told["needs"]) or "–"
    return [name, *([named, needs] if way else []), said or "–", text, _linked(told.get("paper"))]


def _linked(paper: str | None) -> str:
    """`Who 2019, https://…; …` as links."""
    links = []
    for each in (paper or "").split("; "):
        who, _, where = each.rpartition(", ")
        address = where if where.startswith("http") else each if each.startswith("http") else ""
        label = who if address and who else address.partition("//")[2] or each
        links.append(f"[{label}]({address})" if address else label)
    return ", ".join(filter(None, links)) or "–"


def _table_row(cells: list[str]) -> str:
    """A line of a table; a bar inside a cell is no border."""
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
