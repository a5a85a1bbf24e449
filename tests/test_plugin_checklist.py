"""What a plugin mechanism owes to those who write plugins and to those who install them, point by point."""

from __future__ import annotations

import ast
import json
import sys
from pathlib import Path

import pytest

from lego import catalog
from lego.errors import CatalogError

ROOT = Path(__file__).resolve().parents[1]

FITTING = """
from lego.spec import Behavior, operator

@operator
class {name}(Behavior):
    "Somebody else's."
    size: int = 3

    def build(self, context):
        raise NotImplementedError
"""

HANGING = "import time\ntime.sleep(600)"


@pytest.fixture
def acme(distribution):
    """A sound distribution with one operator."""
    return distribution(
        "acme_recs", "[lego.behavior]\nDecay = acme_decay:Decay\n", acme_decay=FITTING.format(name="Decay")
    )


@pytest.fixture
def lego(monkeypatch, capsys):
    """Calls the command in this process, and gives code, output and complaints."""
    from lego.cli import main

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["lego", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        return (int(ended.value.code or 0), *capsys.readouterr())

    return call


# --- 1. a group for each kind, sorted, scanned once ---------------------------------------------------------------------------


def test_1_the_order_does_not_depend_on_the_path(distribution, monkeypatch):
    """Installed in another order, the same list comes out; asking again scans nothing."""
    import entrypoints

    for name in ("zeta", "acme", "mid"):
        distribution(
            name, f"[lego.behavior]\nOp{name} = {name}_x:Op{name}\n[lego.task]\nT{name} = {name}_x:T\n"
        )
    first = catalog.entries()
    assert first == sorted(first)
    monkeypatch.setattr(sys, "path", [*sys.path[:3][::-1], *sys.path[3:]])
    catalog.forget()
    assert catalog.entries() == first
    monkeypatch.setattr(entrypoints, "iter_files_distros", lambda: pytest.fail("scanned again"))
    assert catalog.entries() == first


# --- 2. listing never imports -------------------------------------------------------------------------------------------------


def test_2_listing_imports_nothing_and_use_imports_that_name_alone(acme, distribution, lego):
    """Lists, help and searches leave a plugin's modules alone; loading one operator loads its module and no other."""
    distribution(
        "umbrella", "[lego.behavior]\nRain = umbrella_rain:Rain\n", umbrella_rain="raise SystemExit(9)"
    )
    assert {"Decay", "Rain"} <= set(catalog.names("behavior"))
    catalog.find("Decay")
    assert lego("--help")[0] == lego("catalog")[0] == lego("catalog", "behavior", "--json")[0] == 0
    assert not {"acme_decay", "umbrella_rain"} & set(sys.modules)
    catalog.load("behavior", "Decay")
    assert "acme_decay" in sys.modules
    assert "umbrella_rain" not in sys.modules


# --- 3. no silent fights ------------------------------------------------------------------------------------------------------


def test_3_both_claims_stay_reachable(acme, distribution):
    """Two plugins: the bare name is an error with both ways. A built-in keeps its name, with a warning that has the other way."""
    distribution(
        "umbrella",
        "[lego.behavior]\nDecay = rain:Decay\nGRU = rain:GRU\n",
        rain=FITTING.format(name="Decay") + FITTING.format(name="GRU"),
    )
    with pytest.raises(CatalogError, match=r"acme_recs\.Decay\(…\) or umbrella\.Decay\(…\)"):
        catalog.find("Decay")
    assert catalog.load_entry(catalog.find("umbrella:Decay")).__module__ == "rain"
    assert catalog.load_entry(catalog.find("acme-recs:Decay")).__module__ == "acme_decay"
    with pytest.warns(UserWarning, match=r"built-in one; write umbrella\.GRU"):
        assert catalog.find("GRU").distribution == catalog.BUILTIN


# --- 4. the contract is checked on load ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("class Odd: pass", r"not a subclass of lego\.spec\.Behavior"),
        (
            'lego_api = ">=2,<3"\n' + FITTING.format(name="Odd"),
            "written for lego_api >=2,<3, and this lego has",
        ),
        ("import nobody_has_this", "ModuleNotFoundError"),
        ("raise RuntimeError('at import')", "RuntimeError: at import"),
        ("def f(): f()\nf()", "RecursionError"),
    ],
)
def test_4_the_error_names_distribution_version_entry_file_and_way_out(distribution, source, why):
    """Base class, version of the surface, dependency, a raise or a recursion at import: one sentence with all that is needed."""
    folder = distribution("odd_ones", "[lego.behavior]\nOdd = odd_four:Odd\n", version="3.1", odd_four=source)
    with pytest.raises(CatalogError, match=why) as caught:
        catalog.load("behavior", "Odd")
    said = str(caught.value)
    assert f"'Odd' of odd_ones 3.1 (odd_four:Odd, {folder / 'odd_four.py'})" in said
    assert "pip uninstall odd_ones" in said


# --- 5. failure is isolated ---------------------------------------------------------------------------------------------------


def test_5_the_traceback_is_one_flag_away(distribution, lego, monkeypatch):
    """What was raised, or where an import hangs, is shown for the broken entry, as text and as JSON."""
    distribution(
        "odd_ones",
        "[lego.behavior]\nOdd = odd_five:Odd\n",
        odd_five="def inner():\n    raise KeyError('deep')\ninner()",
    )
    distribution("slow_ones", "[lego.task]\nSlow = slow_five:Slow\n", slow_five=HANGING)
    monkeypatch.setenv("LEGO_PLUGINS", "odd_ones,slow_ones")
    rows = json.loads(lego("plugins", "--traceback", "--seconds", "8", "--json")[1])
    traces = {row["distribution"]: [each["traceback"] for each in row["entries"]] for row in rows}
    assert traces["odd_ones"][0].endswith("KeyError: 'deep'\n")
    assert 'slow_five.py", line 2' in traces["slow_ones"][0]
    monkeypatch.setenv("LEGO_PLUGINS", "odd_ones")
    code, out, _ = lego("plugins", "--traceback")
    assert code == 0
    assert 'odd_five.py", line 2, in inner' in out


def test_5_doctor_gives_up_on_a_plugin_that_hangs(distribution, lego, monkeypatch):
    """It ends, with the plugin as a problem; help, the catalog and sound operators never wait for it."""
    from lego.cli import probe

    monkeypatch.setattr(probe, "SECONDS", 3.0)
    monkeypatch.setenv("LEGO_PLUGINS", "slow_ones")
    distribution("slow_ones", "[lego.behavior]\nSlow = slow_six:Slow\n", slow_six=HANGING)
    assert lego("--help")[0] == lego("catalog")[0] == 0
    assert catalog.load("behavior", "GRU").__name__ == "GRU"
    problems = json.loads(lego("doctor", "--json")[1])["problems"]
    (found,) = [each for each in problems if each["where"].startswith("plugin slow_ones")]
    assert "took more than 3 seconds" in found["what"]
    assert "pip uninstall slow_ones" in found["fix"]


# --- 6. switches --------------------------------------------------------------------------------------------------------------


def test_6_the_flag_leaves_plugins_out_of_one_call(acme, lego, monkeypatch):
    """`lego --no-plugins` is `LEGO_PLUGINS=off`, for the command that follows."""
    monkeypatch.setenv("LEGO_PLUGINS", "acme-recs")
    assert "acme_recs 1.0" in lego("catalog", "behavior")[1]
    _, out, _ = lego("--no-plugins", "catalog", "behavior")
    assert "GRU" in out
    assert "acme_recs" not in out


@pytest.mark.parametrize(
    ("written", "left"),
    [
        ('"off"', set()),
        ("[]", set()),
        ('["acme-recs"]', {"Decay"}),
        ('["acme-recs", "umbrella"]', {"Decay", "Rain"}),
    ],
)
def test_6_a_project_has_a_list_of_its_own(acme, distribution, tmp_path, monkeypatch, written, left):
    """`[tool.lego] plugins` of the nearest pyproject.toml that has it counts below its folder; the environment wins."""
    distribution("umbrella", "[lego.task]\nRain = rain_six:Rain\n")
    inner = tmp_path / "project" / "deep"
    inner.mkdir(parents=True)
    file = tmp_path / "project" / "pyproject.toml"
    file.write_text(f"[tool.lego]\nplugins = {written}\n")
    (inner / "pyproject.toml").write_text("[project]\nname = 'silent'\n")
    monkeypatch.delenv("LEGO_PLUGINS", raising=False)
    monkeypatch.chdir(inner)
    assert {each.name for each in catalog.entries()} & {"Decay", "Rain"} == left
    assert "GRU" in catalog.names("behavior")
    if "Rain" not in left:
        with pytest.raises(CatalogError, match=f"umbrella offers it, but {file} leaves umbrella out"):
            catalog.find("Rain")
    monkeypatch.setenv("LEGO_PLUGINS", "umbrella")
    assert {each.name for each in catalog.entries()} & {"Decay", "Rain"} == {"Rain"}


def test_6_a_list_that_is_none_is_told(tmp_path, monkeypatch):
    """The sentence has the file and the right form."""
    (tmp_path / "pyproject.toml").write_text("[tool.lego]\nplugins = 3\n")
    monkeypatch.delenv("LEGO_PLUGINS", raising=False)
    monkeypatch.chdir(tmp_path)
    catalog.forget()
    with pytest.raises(
        CatalogError, match=r'pyproject.toml: \[tool.lego\] plugins is 3. Write plugins = "off"'
    ):
        catalog.entries()


# --- 7. did you mean ----------------------------------------------------------------------------------------------------------


def test_7_an_unknown_name_has_the_nearest_and_who_may_be_behind_it(acme, distribution):
    """A slip has the nearest name; a distribution that failed says which it is and why, in either way of failing."""
    from lego.expression import parse

    with pytest.raises(CatalogError, match="Did you mean 'Decay'"):
        parse("Decai()")
    distribution("torn", "no section\n[lego.task\n", version="9")
    with pytest.raises(CatalogError, match=r"torn 9 may offer it, but its metadata is malformed"):
        parse("Snow()")
    distribution(
        "umbrella", "[lego.behavior]\nSnow = rain_seven:Snow\n", rain_seven="raise ImportError('too warm')"
    )
    with pytest.raises(
        CatalogError, match=r"'Snow' of umbrella 1\.0 .* cannot be loaded: ImportError: too warm"
    ):
        parse("Snow()")


# --- 8. a class of one's own has equal rights ---------------------------------------------------------------------------------

SCRIPT = """
import attrs
from lego import Dot, Experiment, ItemID, MovieLens, Recommender
from lego.nn.masked import masked_mean
from lego.contract import Out
from lego.spec import Behavior, operator
from torch import nn

@operator
class Mine(Behavior):
    scale: float = 1.0

    def build(self, context):
        return _Mine()

class _Mine(nn.Module):
    def forward(self, history, mask, needs):
        return Out(masked_mean(history, mask))

experiment = Experiment(data=MovieLens({folder!r}), model=Recommender(ItemID(), Mine(), Dot(), width=8))
"""


def test_8_a_class_in_a_script_needs_no_registration(movies, tmp_path, lego):
    """It is checked, explained and changed by `--set` as an installed operator is."""
    script = tmp_path / "mine.py"
    script.write_text(SCRIPT.format(folder=str(movies)))
    assert lego("check", script, "--set", "model.behavior=Mine(scale=2.0)")[0] == 0
    code, _, said = lego("check", script, "--set", "model.behavior=Mine(scael=2.0)")
    assert code == 2
    assert "Did you mean 'scale'" in said


# --- 9. a suite of conformance ------------------------------------------------------------------------------------------------


def test_9_the_suite_sees_what_is_wrong():
    """An operator that lets padding through, or mixes users, fails just the tests that say so."""
    import torch
    from torch import nn

    from lego.contract import Needs, Out
    from lego.spec import Behavior, Context, operator
    from lego.testing import BehaviorTests
    from lego.testing.suite import draw, prefix

    class _Leaky(nn.Module):
        def forward(self, history, mask, needs):
            return Out(history.mean(1) + history.mean())

    @operator
    class Leaky(Behavior):
        def build(self, context):
            return _Leaky()

    module = Leaky().build(Context(width=8, input_width=8, length=8)).eval()
    inputs = (draw(4, 5, 8, seed=1), prefix(5, 3, 1, 0), Needs())
    suite = BehaviorTests()
    suite.test_calls_agree(module, inputs)
    with pytest.raises(AssertionError):
        suite.test_rows_do_not_mix(module, inputs)
    with pytest.raises(AssertionError):
        suite.test_padding_does_not_matter(module, inputs)
    assert torch.isfinite(module(*inputs).tensor).all()


# --- 10. a template -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("slot", ["behavior", "content", "sequence", "predictor", "task", "metric"])
def test_10_a_project_can_be_begun_for_each_slot(slot, lego, tmp_path):
    """Every file is there and reads as what it is; the entry points are those of the slot. tests/test_new_plugin.py runs it."""
    import tomllib

    code, out, _ = lego("plugins", "new", "try out", "--slot", slot, "--out", tmp_path, "--json")
    assert code == 0
    made = json.loads(out)
    project = tmp_path / "legorec-try-out"
    for each in made["files"]:
        text = (project / each).read_text()
        assert "$" not in text.replace("${{", "")
        if each.endswith(".py"):
            ast.parse(text)
    groups = tomllib.loads((project / "pyproject.toml").read_text())["project"]["entry-points"]
    wanted = {"lego.content", "lego.behavior"} if slot == "sequence" else {f"lego.{slot}"}
    assert groups.keys() == wanted
    assert {"README.md", "LICENSE", "CHANGELOG.md", ".github/workflows/test.yml"} <= set(made["files"])


def test_10_a_slot_that_has_no_template_is_refused(lego, tmp_path):
    """With the way out, and nothing written."""
    code, _, said = lego("plugins", "new", "try out", "--slot", "predictors", "--out", tmp_path)
    assert code == 2
    assert "Did you mean 'predictor'?" in said
    assert not list(tmp_path.iterdir())


# --- 11. names that changed ---------------------------------------------------------------------------------------------------


def test_11_an_operator_that_was_renamed_is_found_by_its_old_name(distribution, lego):
    """A line in the group `lego.renamed` is enough: texts with the old name go on, with a warning that has the new one."""
    from lego.expression import parse

    distribution(
        "acme_recs",
        "[lego.behavior]\nDecay = decay_eleven:Decay\n[lego.renamed]\nFade = Decay\n",
        version="2.0",
        decay_eleven=FITTING.format(name="Decay"),
    )
    with pytest.warns(FutureWarning, match=r"Fade is called Decay now \(acme_recs 2\.0\): write Decay"):
        assert repr(parse("Fade(size=4)")) == "Decay(size=4)"
    with pytest.warns(FutureWarning, match="write Decay"):
        assert catalog.find("acme_recs.Fade").name == "Decay"
    assert "Fade" not in catalog.names("behavior")
    with pytest.warns(FutureWarning, match="write Decay"):
        assert json.loads(lego("catalog", "Fade", "--json")[1])[0]["name"] == "Decay"
    with pytest.raises(CatalogError, match="Did you mean 'Decay'"):
        parse("Decayed()")


def test_11_the_surface_has_a_version_that_is_checked_and_a_history():
    """`lego_api` is compared with `lego.catalog.API`, which the page for authors and the changelog name."""
    assert catalog.API.count(".") == 1
    page = (ROOT / "docs" / "write_an_operator.md").read_text(encoding="utf-8")
    assert f"what works with {catalog.API} works with" in " ".join(page.split())
    assert "lego_api" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


# --- 12. pages ----------------------------------------------------------------------------------------------------------------


def test_12_the_page_of_the_catalog_is_made_of_what_is_declared():
    """Each built-in has its row, with form and paper; the hook of the build of the pages makes it, so it is never stale."""
    import importlib.util

    spec = importlib.util.spec_from_file_location("catalog_page", ROOT / "docs" / "catalog_page.py")
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    written = made.text()
    assert "docs/catalog_page.py" in (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    for slot in ("content", "behavior", "predictor", "task", "metric", "source"):
        for entry in catalog.entries(slot):
            assert (f"\n| `{entry.name}` |" in written) == (entry.distribution == catalog.BUILTIN)
    (row,) = {line for line in written.splitlines() if line.startswith("| `PolyAttention`")}
    assert "interests (B, M, D)" in row
    assert "](https://" in row


def test_12_the_page_for_authors_says_how_to_publish():
    """From nothing to PyPI, step by step."""
    page = (ROOT / "docs" / "write_an_operator.md").read_text(encoding="utf-8")
    assert "## Publish on PyPI" in page
