"""The plugin as its author tests it: rows written by hand in the format of the official files, and the conformance suite."""

from __future__ import annotations

import pytest

from lego import Dot, Experiment, Matching, Mean, Recommender, Training, catalog
from lego.errors import DataError
from lego.testing import SourceTests

pytest.importorskip(
    "legorec_foodcom", reason="the plugin is not installed: pip install -e lego_plugins/foodcom"
)

from legorec_foodcom import FoodCom

RECIPES = "name,id,minutes,contributor_id,submitted,tags,nutrition,n_steps,steps,description,ingredients,n_ingredients\n"
INTERACTIONS = "user_id,recipe_id,date,rating,review\n"


@pytest.fixture
def folder(tmp_path):
    """Thirty recipes and twenty cooks; names with double blanks, reviews over several lines, quotes of both kinds in lists."""
    return write(tmp_path / "food")


def write(folder, more="", more_recipes=""):
    folder.mkdir()
    tags = """ "['weeknight', 'time-to-make', 'mo\\'s', ""dad's""]" """.strip()
    recipes = [
        f"arriba   baked no {row},{100 + row},{5 + row},47892,2005-09-16,{tags},"
        f'"[{row}.5, 0.0, 13.0, 0.0, 2.0, 0.0, 4.0]",2,"[\'stir\', \'bake, long\']","autumn is my\nfavorite no {row}",'
        "\"['winter squash', 'honey']\",2"
        for row in range(29)
    ]
    # Neither a name nor a description, and an odd time.
    recipes.append(",129,2147483647,1,2008-01-01,[],[],0,[],,['salt'],1")
    (folder / "RAW_recipes.csv").write_text(RECIPES + "\n".join(recipes) + "\n" + more_recipes)
    rows = [
        f'{7000 + user},{100 + (3 * user + 2 * at) % 30},2008-05-{1 + at:02d},{5 if at % 4 else 2},"good,\nand ""quick"""'
        for user in range(20)
        for at in range(8)
    ]
    rows += ["7000,125,2008-06-01,0,no stars", "7001,999,2008-06-02,5,a recipe that is not listed"]
    (folder / "RAW_interactions.csv").write_text(INTERACTIONS + "\n".join(rows) + "\n" + more)
    return folder


class TestFoodCom(SourceTests):
    """What holds for every source."""

    @pytest.fixture
    def spec(self, folder):
        return FoodCom(folder, negatives=4)


def test_values_are_those_of_the_files(folder):
    """Texts with single blanks, lists as lists, calories from the first number of the nutrition; what is empty stays empty."""
    items = FoodCom(folder).tables().items
    first, last = items.slice(0, 1).to_pylist()[0], items.slice(29, 1).to_pylist()[0]
    assert first["item_id"] == "100"
    assert first["title"] == "arriba baked no 0"
    assert first["description"] == "autumn is my favorite no 0"
    assert first["tags"] == ["weeknight", "time-to-make", "mo's", "dad's"]
    assert first["ingredients"] == ["winter squash", "honey"]
    assert (first["minutes"], first["calories"]) == (5.0, 0.5)
    assert not last["title"]
    assert last["calories"] is None
    assert last["ingredients"] == ["salt"]


def clicks(folder, **options):
    """Pairs of a user and a recipe that are clicks."""
    tables = FoodCom(folder, negatives=4, **options).tables()
    ids, users = tables.items["item_id"].to_pylist(), tables.users["user_id"].to_pylist()
    found = set()
    for table in tables.impressions.values():
        for row in table.to_pylist():
            for item, label in zip(row["candidates"], row["labels"], strict=True):
                if label:
                    found.add((users[row["user"]], ids[item - 1]))
    return found


def test_a_click_is_a_rating_above_three(folder):
    """Six of the eight ratings of a cook; one without stars only where that is asked for; one of an unknown recipe never."""
    plain = clicks(folder)
    assert len(plain) == 20 * 6
    assert not any(item == "999" for _, item in plain)
    assert clicks(folder, unrated="click") == plain | {("7000", "125")}
    with pytest.raises(DataError, match="999"):
        FoodCom(folder, missing="error").tables()


def test_time_parts_the_impressions(folder):
    """Train is before dev, dev before test, to the day; and no history holds a later click (the suite tests that)."""
    parts = FoodCom(folder, negatives=4).tables().impressions
    times = {part: table["time"].to_pylist() for part, table in parts.items()}
    assert max(times["train"]) <= min(times["dev"])
    assert max(times["dev"]) <= min(times["test"])
    assert min(times["train"]) >= 1209600000  # 2008-05-01


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("7003,101,2008-05-01,9,x", "rating is '9'"),
        ("7003,101,May 2008,5,x", "date is 'May 2008'"),
        ("7003,,2008-05-01,5,x", "recipe_id is ''"),
    ],
)
def test_a_wrong_value_is_told_with_its_row(tmp_path, line, told):
    """Which row, what stands there, what should."""
    with pytest.raises(DataError, match=r"RAW_interactions\.csv row 163") as caught:
        FoodCom(write(tmp_path / "food", line + "\n")).tables()
    assert told in str(caught.value)


def test_a_list_that_is_none_is_told(tmp_path):
    """Nothing is evaluated: what is no list of values is refused."""
    odd = 'x,500,5,1,2008-01-01,"__import__(1)","[1]",1,[],d,"[]",0\n'
    with pytest.raises(DataError, match=r"RAW_recipes.csv row 31: tags is '__import__\(1\)'"):
        FoodCom(write(tmp_path / "food", more_recipes=odd)).tables()


def test_another_file_is_told(folder):
    """A file without the official columns."""
    (folder / "RAW_interactions.csv").write_text("user,item\n1,2\n")
    with pytest.raises(DataError, match=r"RAW_interactions\.csv") as caught:
        FoodCom(folder).tables()
    assert "user_id, recipe_id, date, rating" in str(caught.value)


def test_a_model_learns_from_it(folder, tmp_path):
    """Prepared, trained, tested."""
    made = Experiment(
        data=FoodCom(folder, negatives=4),
        model=Recommender(content=Mean(), behavior=Mean(), predictor=Dot(), width=4),
        task=Matching(negatives=2),
        training=Training(epochs=1, batch_size=16),
    )
    assert made.run(out=tmp_path / "runs", device="cpu").metrics["gauc"] is not None


def test_it_is_found_by_name():
    """The catalog lists it from the metadata of this distribution."""
    found = {entry.name: entry for entry in catalog.entries("source")}
    if "FoodCom" not in found:
        pytest.skip("the plugin is on the path, and not installed")
    assert catalog.load("source", "FoodCom") is FoodCom
