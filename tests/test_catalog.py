"""What can fill each slot: metadata that is listed, names that are found, plugins that are broken."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from lego import catalog, spec
from lego.errors import CatalogError

ROOT = Path(__file__).resolve().parents[1]
HOMES = {
    "content": ("content", "sequence"),
    "behavior": ("behavior", "sequence"),
    "predictor": ("predictor",),
    "task": ("task",),
    "metric": ("metric",),
    "source": ("data/source", "augment"),
    "generator": ("generator",),
    "tokens": ("tokens",),
}
"""The folders whose operators a slot lists."""

OPERATOR = """
from lego.spec import Behavior, operator

@operator
class {name}(Behavior):
    "Somebody else's."
    size: int = 3

    def build(self, context):
        raise NotImplementedError
"""


def declared() -> dict[str, dict[str, str]]:
    """The groups of pyproject.toml, without `lego.`."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return {group.removeprefix("lego."): entries for group, entries in project["entry-points"].items()}


def spec_classes(folder: Path) -> set[str]:
    """The classes that `@operator` makes in the files of a folder, read without importing; private ones are parts of others."""
    return {
        node.name
        for file in folder.glob("*.py")
        for node in ast.parse(file.read_text(encoding="utf-8")).body
        if isinstance(node, ast.ClassDef) and "operator" in map(ast.unparse, node.decorator_list)
    }


def own(slot: str) -> dict[str, str]:
    return {each.name: each.target for each in catalog.entries(slot) if each.distribution == catalog.BUILTIN}


# --- the built-in entries -----------------------------------------------------------------------------------------------------


def test_what_is_installed_is_what_pyproject_declares():
    """The metadata of the installed distribution is that of the checkout, slot by slot."""
    assert {slot: own(slot) for slot in declared()} == declared()


@pytest.mark.parametrize("slot", HOMES)
def test_every_operator_of_a_folder_is_declared(slot):
    """Each spec class in the folders of a slot has its line, and each class with a line is in such a folder."""
    found = {name for home in HOMES[slot] for name in spec_classes(ROOT / "lego" / home)}
    classes = {
        name
        for name, target in declared()[slot].items()
        if isinstance(catalog.load(slot, name), type) or not target
    }
    assert found == classes


@pytest.mark.parametrize(("slot", "name"), [(slot, name) for slot in declared() for name in declared()[slot]])
def test_every_entry_leads_to_what_it_is_called(slot, name):
    """The name of an entry is that of the class or function behind it, which fits the slot."""
    entry = catalog.find(name, slot)
    assert catalog.fault(entry) is None
    if slot != "checkpoint":
        assert entry.target.partition(":")[2] == name
        assert getattr(importlib.import_module(entry.target.partition(":")[0]), name) is catalog.load(
            slot, name
        )


def test_listing_imports_no_operator():
    """Names, slots, distributions and versions come from metadata alone."""
    program = (
        "import sys\nfrom lego import catalog\ncatalog.entries()\n"
        "print([name for name in sys.modules if name.startswith('lego.') and name not in ('lego.catalog', 'lego.errors')])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# --- other distributions ------------------------------------------------------------------------------------------------------


def test_a_plugin_is_listed_with_its_version(distribution):
    """An entry of another distribution stands among the built-in ones, sorted, with where it comes from."""
    distribution(
        "acme_recs",
        "[lego.behavior]\nDecay = acme_decay:Decay\n",
        version="0.7",
        acme_decay=OPERATOR.format(name="Decay"),
    )
    entry = catalog.find("Decay")
    assert (entry.slot, entry.distribution, entry.version) == ("behavior", "acme_recs", "0.7")
    assert entry.qualified == "acme_recs.Decay"
    assert catalog.entries() == sorted(catalog.entries())
    assert catalog.load("behavior", "Decay")(size=4).size == 4


def test_the_switch_counts_whenever_it_is_turned(distribution, monkeypatch):
    """What `LEGO_PLUGINS` leaves out is left out from then on, and is back when it is gone, though the scan is kept."""
    distribution("acme_recs", "[lego.behavior]\nDecay = acme_decay:Decay\n")
    assert "Decay" in catalog.names("behavior")
    monkeypatch.setenv("LEGO_PLUGINS", "off")
    assert "Decay" not in catalog.names("behavior")
    assert "Decay" in {each.name for each in catalog.switched_off()}
    monkeypatch.delenv("LEGO_PLUGINS")
    assert "Decay" in catalog.names("behavior")


def test_groups_that_are_not_ours_are_left_alone(distribution):
    """Another program's groups, and groups of ours that do not exist, list nothing."""
    distribution(
        "other",
        "[console_scripts]\nDecay = other:main\n[lego.spaceship]\nDecay = other:Decay\n[legolas.task]\nDecay = x:y\n",
    )
    assert "Decay" not in {each.name for each in catalog.entries()}


def test_a_malformed_file_is_named_and_hides_nothing(distribution):
    """A file that no parser reads is a row with its distribution; all others are listed as before."""
    before = catalog.entries()
    distribution("torn", "this is = no\n section at all\n[lego.task\n")
    distribution("acme_recs", "[lego.behavior]\nDecay = acme_decay:Decay\n")
    (broken,) = catalog.malformed()
    assert (broken.distribution, broken.version) == ("torn", "1.0")
    assert "malformed" in broken.why
    assert [each for each in catalog.entries() if each.name != "Decay"] == before
    assert catalog.find("Decay").distribution == "acme_recs"


def test_a_file_that_is_not_utf8_is_malformed(distribution):
    """Bytes that are no text are a row, too."""
    folder = distribution("torn", "")
    (folder / "torn-1.0.dist-info" / "entry_points.txt").write_bytes(b"[lego.task]\n\xff\xfe = a:B\n")
    catalog.forget()
    assert [each.distribution for each in catalog.malformed()] == ["torn"]
    assert "GRU" in catalog.names("behavior")


def test_a_percent_sign_is_no_interpolation(distribution):
    """A target with a percent sign is listed; loading it says what is wrong with it."""
    distribution("odd", "[lego.task]\nOdd = odd:%(home)s\n")
    assert catalog.malformed() == []
    assert "module:object" in (catalog.fault(catalog.find("Odd")) or "")


def test_a_name_that_two_plugins_claim_must_be_qualified(distribution):
    """The bare name is an error that names both; each qualified name leads to its own."""
    distribution(
        "acme_recs", "[lego.behavior]\nDecay = acme_decay:Decay\n", acme_decay=OPERATOR.format(name="Decay")
    )
    distribution("umbrella", "[lego.behavior]\nDecay = rain:Decay\n", rain=OPERATOR.format(name="Decay"))
    with pytest.raises(CatalogError, match=r"acme_recs\.Decay\(…\) or umbrella\.Decay\(…\)"):
        catalog.find("Decay", "behavior")
    first, second = catalog.load("behavior", "acme_recs.Decay"), catalog.load("behavior", "umbrella.Decay")
    assert first is not second
    assert repr(first(size=1)) == "acme_recs.Decay(size=1)"
    assert repr(second()) == "umbrella.Decay()"


def test_claims_in_two_slots_clash_as_well(distribution):
    """An expression does not say its slot, so a name of two distributions in different slots is ambiguous in a text."""
    from lego.expression import parse

    distribution(
        "acme_recs", "[lego.behavior]\nDecay = acme_decay:Decay\n", acme_decay=OPERATOR.format(name="Decay")
    )
    distribution("umbrella", "[lego.task]\nDecay = rain:Decay\n")
    assert catalog.find("Decay", "behavior").distribution == "acme_recs"
    with pytest.raises(CatalogError, match="claimed by 2 distributions"):
        parse("Decay()")
    assert parse("acme_recs.Decay(size=2)").size == 2


def test_a_built_in_keeps_its_name_with_a_warning(distribution):
    """A plugin cannot take a built-in's name; the warning says how the plugin's is reached, and its instances print so."""
    from lego.expression import parse
    from lego.sequence.gru import GRU

    distribution("acme_recs", "[lego.behavior]\nGRU = acme_gru:GRU\n", acme_gru=OPERATOR.format(name="GRU"))
    with pytest.warns(UserWarning, match=r"acme_recs\.GRU"):
        assert catalog.load("behavior", "GRU") is GRU
    theirs = catalog.load("behavior", "acme_recs.GRU")
    assert theirs is not GRU
    assert repr(GRU()) == "GRU()"
    assert parse(repr(theirs(size=5))) == theirs(size=5)


def test_a_class_that_is_passed_on_keeps_its_qualified_name(distribution):
    """Where the entry names a module that only imports the class, the class is still recognised as the plugin's."""
    distribution(
        "acme_recs",
        "[lego.behavior]\nGRU = acme_public:GRU\n",
        acme_gru=OPERATOR.format(name="GRU"),
        acme_public="from acme_gru import GRU",
    )
    theirs = catalog.load("behavior", "acme_recs.GRU")
    assert repr(theirs()) == "acme_recs.GRU()"
    assert catalog.is_listed(theirs)
    assert catalog.origin_of(theirs) == ("acme_recs", "1.0")


# --- the switch ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("switch", "left"),
    [
        ("off", set()),
        ("OFF", set()),
        ("acme-recs", {"acme_recs"}),
        ("umbrella, Acme_Recs", {"acme_recs", "umbrella"}),
        ("", {"acme_recs", "umbrella"}),
    ],
)
def test_the_switch_leaves_out_plugins_and_never_built_ins(distribution, monkeypatch, switch, left):
    """`LEGO_PLUGINS` says which distributions stand beside the built-in operators."""
    monkeypatch.setenv("LEGO_PLUGINS", switch)
    distribution("acme_recs", "[lego.behavior]\nDecay = acme_decay:Decay\n")
    distribution("umbrella", "[lego.task]\nRain = rain:Rain\n")
    there = {each.distribution for each in catalog.entries() if each.name in ("Decay", "Rain")}
    assert there == left
    off = {each.distribution for each in catalog.switched_off()} & {
        "acme_recs",
        "umbrella",
    }  # others may be installed
    assert off == {"acme_recs", "umbrella"} - left
    assert "GRU" in catalog.names("behavior")


def test_a_name_that_is_switched_off_says_so(distribution, monkeypatch):
    """Who asks for an operator that the switch leaves out is told of the switch."""
    monkeypatch.setenv("LEGO_PLUGINS", "off")
    distribution("acme_recs", "[lego.behavior]\nDecay = acme_decay:Decay\n")
    with pytest.raises(CatalogError, match="acme_recs offers it, but LEGO_PLUGINS leaves acme_recs out"):
        catalog.find("Decay", "behavior")


# --- what is wrong with an entry ----------------------------------------------------------------------------------------------


def test_an_unknown_name_lists_the_slot_and_the_nearest():
    """The error for a slip of the pen has the nearest name and all others."""
    with pytest.raises(
        CatalogError,
        match=r"No behavior is called 'Attenton'\. Did you mean 'Attention'\? Available: .*PolyAttention",
    ):
        catalog.find("Attenton", "behavior")


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("raise ImportError('the library is gone')", "ImportError: the library is gone"),
        ("import sys; sys.exit('enough')", "SystemExit: enough"),
        ("def f(): f()\nf()", "RecursionError"),
        ("x = 1", "has no attribute 'Odd'"),
        ("Odd = 3", "it is 3, not a class"),
        ("class Odd: pass", r"Odd is not a subclass of lego\.spec\.Behavior"),
        ("from lego.predictor.dot import Dot as Odd", r"Dot is not a subclass of lego\.spec\.Behavior"),
        ("from lego.sequence.gru import GRU as Odd", "its class is called GRU"),
        ("def broken(:", "SyntaxError"),
    ],
)
def test_a_broken_entry_names_itself_and_the_way_out(distribution, source, why):
    """Whatever an import does, the error has the distribution, its version, the target and the command that removes it."""
    distribution("odd_ones", "[lego.behavior]\nOdd = odd_module:Odd\n", version="3.1", odd_module=source)
    with pytest.raises(CatalogError, match=why) as caught:
        catalog.load("behavior", "Odd")
    assert "odd_ones 3.1 (odd_module:Odd, " in str(caught.value)
    assert "odd_module.py)" in str(caught.value)
    assert "pip uninstall odd_ones" in str(caught.value)
    assert "GRU" in catalog.names("behavior")


FITTING = "from lego.spec import Behavior, operator\n@operator\nclass Odd(Behavior): ...\n"


@pytest.mark.parametrize(
    ("declared", "why"),
    [
        ('">=2,<3"', "it is written for lego_api >=2,<3, and this lego has 1.0; install a version"),
        ('"<1"', "written for lego_api <1"),
        ('"about one"', "its lego_api is 'about one', which is no range"),
        ("7", "its lego_api is 7, which is no range"),
    ],
)
def test_a_plugin_for_another_lego_is_told_so(distribution, declared, why):
    """The declared range is read before the operator's own module, whose failure it explains."""
    distribution(
        "odd_ones", "[lego.behavior]\nOdd = odd_module.gone:Odd\n", odd_module=f"lego_api = {declared}\n"
    )
    with pytest.raises(CatalogError, match=why):
        catalog.load("behavior", "Odd")


def test_a_plugin_for_this_lego_loads(distribution):
    """`lego_api = ">=1,<2"` is this lego."""
    distribution(
        "odd_ones",
        "[lego.behavior]\nOdd = odd_module:Odd\n",
        odd_module='lego_api = ">=1,<2"\n' + FITTING,
    )
    assert catalog.load("behavior", "Odd").__name__ == "Odd"


def test_a_name_may_be_written_as_distributions_are(distribution):
    """`odd-ones:Odd` is `odd_ones.Odd`, in the catalog and at the head of an expression."""
    distribution("odd_ones", "[lego.behavior]\nOdd = odd_module:Odd\n", odd_module=FITTING)
    assert catalog.find("odd-ones:Odd") == catalog.find("odd_ones.Odd") == catalog.find("Odd")
    assert type(spec_of("odd-ones:Odd()")) is catalog.load("behavior", "Odd")


@pytest.mark.parametrize(
    ("slot", "why"), [("checkpoint", r"no find\(\)"), ("command", "neither a function nor a Typer app")]
)
def test_what_is_no_spec_is_looked_at_too(distribution, slot, why):
    """Checkpoints and commands that cannot do their part are broken."""
    distribution("odd_ones", f"[lego.{slot}]\nodd = odd_module:odd\n", odd_module="odd = 3")
    with pytest.raises(CatalogError, match=why):
        catalog.load(slot, "odd")


def test_a_function_that_makes_specs_is_welcome(distribution):
    """A preset is a function; it needs no class of its own."""
    distribution(
        "presets",
        "[lego.behavior]\nSmall = presets_module:Small\n",
        presets_module="from lego.sequence.gru import GRU\ndef Small(): return GRU(hidden=2)",
    )
    assert catalog.load("behavior", "Small")() == spec_of("GRU(hidden=2)")


def spec_of(text: str) -> spec.Spec:
    from lego.expression import parse

    return parse(text)


def test_a_class_of_ones_own_is_not_listed():
    """A class of a script has no distribution, and its origin is its file."""

    @spec.operator
    class Own(spec.Behavior):
        pass

    assert not catalog.is_listed(Own)
    assert catalog.origin_of(Own) == (__file__, "")
    assert catalog.name_of(Own) == "Own"
