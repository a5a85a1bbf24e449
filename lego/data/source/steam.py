"""Steam: games that users bought, played or reviewed.

Kang and McAuley 2018 (UCSD, https://arxiv.org/abs/1808.09781), the 200,000 rows on Kaggle
(https://www.kaggle.com/datasets/tamber/steam-video-games), and the version that RecBench reads
(https://arxiv.org/abs/2503.05493).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

import attrs
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lego.data.impressions.events import Events, gather
from lego.data.impressions.interactions import Interactions, Raw
from lego.data.problems import Problems
from lego.data.raw.clean import are_steps, in_words
from lego.data.source.steam_files import URL, Opinions, Version, find
from lego.errors import DataError, Problem, SpecError
from lego.spec import Choice, ge, operator, without_later


@operator
class Steam(Interactions):
    """Games that users have, as impressions, by the rules of `Interactions`.

    The files say which version they are:

    - RecBench: App_ID_Info.txt (id and title, whatever else) and train_game.txt (a user and their games in a line, in the order
      of play).
    - Kaggle: steam-200k.csv. A game is its title. Its order is that of the file, which says nothing of time.
    - UCSD: steam_games.json.gz with steam_reviews.json.gz (a review is a click, at its day), australian_users_items.json.gz
      (what a user has, in no order of time) or australian_user_reviews.json.gz (what these users reviewed, at its day), in Python
      literals, which are parsed and never run. `log` chooses (`"reviews"`, `"library"`, `"user_reviews"`) where several are
      there; unless it does, the first of these is read.

    - `click="have"` takes what a user bought, has or reviewed, as RecBench does; `click="play"` what was played for more than
      `hours`, and `click="recommend"` what a user of australian_user_reviews.json.gz recommends; what was not is only known to
      the user. Only the reviews of these users say what they recommend, and neither these nor RecBench's version say hours.
    - The day of a review of these users may say no year (`Posted July 3.`), which is then the year in which the pages were read.
      `year` says which it was; without it these reviews are left out and counted.
    - `bundles=True` reads bundle_data.json.gz: `bundles` are the names of the bundles that a game is in.
    - Games without an id, games whose id stands there already, and reviews without a user or a day are left out and counted. So
      are rows of games that the games lack (`missing="drop"`).
    - Text is cleaned by the steps `clean` of `lego.data.raw.clean`; `"latin1"` repairs the titles of RecBench's version.
    """

    event: ClassVar[str] = "rows"
    item: ClassVar[str] = "games"
    reads: ClassVar[Mapping[str, int]] = {"title": 16}
    domain: ClassVar[str] = "games"
    language: ClassVar[str] = "English"
    holds: ClassVar[Mapping[str, Mapping[str, str]]] = {
        "items": {
            "title": "text",
            "developer": "category",
            "publisher": "category",
            "genres": "list",
            "tags": "list",
            "price": "number",
            "bundles": "list",
        },
        "history": {"time": "time"},
    }
    attributes: ClassVar[tuple[str, ...]] = tuple(holds["items"])
    official_files: ClassVar[tuple[str, ...]] = (
        "steam_games.json.gz",
        "steam_reviews.json.gz",
        "or australian_users_items.json.gz, or australian_user_reviews.json.gz",
        "bundle_data.json.gz for the bundles",
    )
    url: ClassVar[str] = URL
    licence: ClassVar[str] = "none stated; research use, with citation"
    proven: ClassVar[str] = "format"

    log: Literal["reviews", "library", "user_reviews"] | None = None
    click: Literal["have", "play", "recommend"] = "have"
    hours: float = attrs.field(default=0.0, validator=ge(0))
    clean: tuple[str, ...] = attrs.field(default=("latin1", "entities", "whitespace"), validator=are_steps)
    missing: Literal["error", "drop", "empty"] = "drop"
    year: int | None = attrs.field(default=None, validator=ge(2003))
    bundles: bool = False

    def __attrs_post_init__(self) -> None:
        """Hours are of what is played."""
        super().__attrs_post_init__()
        if any(isinstance(each, Choice) for each in (self.click, self.hours)):
            return
        if self.click != "play" and self.hours:
            raise SpecError.wrong_value(
                type(self).__name__, "hours", self.hours, '0 unless click="play" is given'
            )

    def fingerprint(self) -> Mapping[str, Any]:
        """What `Interactions` says, without later options that say nothing: what was prepared before keeps its name."""
        return without_later(super().fingerprint(), self, "year", "bundles")

    def files(self) -> Iterable[Path]:
        """The files of the version in the folder; DataError with where to get them."""
        return self._find().paths

    def read(self, problems: Problems) -> Raw:
        """Games, and who has them."""
        found, dropped = self._find(), dict[str, int]()
        items = found.read_games(self.clean, problems, dropped)
        events = gather(found.read_log(self.click, problems, dropped))
        problems.raise_any()
        if items is None:  # a game is its title
            items = found.titles(events.item_ids, self.clean)
        if self.year is not None and isinstance(found, Opinions):
            dropped.pop("reviews_without_year", None)
        rules = {"version": found.name, "log": found.log.name, "text": in_words(self.clean)}
        return Raw(items=items, events=events, dropped=dropped, rules=rules)

    def complain_of_missing(self, absent: pa.Array, fix: str, problems: Problems) -> None:
        """Each row of a game that the games lack, by its line."""
        self._find().complain_of_missing(absent, fix, problems)

    def clicked(self, events: Events) -> NDArray[np.bool_]:
        """Which rows are games that a user has, or played for long enough."""
        assert events.value is not None  # read gives them
        return np.asarray(events.value > np.float32(self.hours if self.click == "play" else 0))

    def click_in_words(self) -> str:
        """What a click is, for the manifest."""
        words = {
            "have": "a game of the user",
            "play": f"a game played for more than {self.hours:g} hours",
            "recommend": "a game that the user recommends",
        }
        return words[self.click]

    def _find(self) -> Version:
        found = find(Path(self.path).expanduser(), self.log, self.year, bundles=self.bundles)
        if self.click not in found.says:
            asked = {"play": "hours", "recommend": "recommendations"}[self.click]
            what = f'{found.log.name} says nothing of {asked}, so click="{self.click}" finds nothing'
            raise DataError([Problem(self.path, what, "leave it out, or choose another file with log=")])
        if self.year is not None and not isinstance(found, Opinions):
            what = (
                f"{found.log.name} says the years of its days, or no days, so there is nothing for year to do"
            )
            raise DataError([Problem(self.path, what, "leave it out")])
        return found
