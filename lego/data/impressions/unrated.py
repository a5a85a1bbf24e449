"""Ratings among which some rows say that a thing was taken, and not how it was liked: the declared rule for these."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from lego.data.impressions.events import Events
from lego.data.impressions.interactions import Ratings
from lego.spec import operator


@operator
class PartlyRated(Ratings):
    """Who rated what, as impressions: what `Ratings` says, and

    - a row without a rating is left out and counted (`unrated="drop"`), is a click (`"click"`), or is neither a click nor a
      dislike, but the user has met the item, so it is never drawn as a candidate (`"met"`).

    `read` gives such a row the value NaN, and lets `settle` leave it out.
    """

    unrated: Literal["drop", "met", "click"] = "drop"

    def settle(self, events: Events, dropped: dict[str, int]) -> Events:
        """The events without those that the rule leaves out."""
        if self.unrated != "drop" or events.value is None:
            return events
        rated = ~np.isnan(events.value)
        dropped[f"{self.event}_without_value"] = int((~rated).sum())
        return events.where(rated)

    def clicked(self, events: Events) -> NDArray[np.bool_]:
        """Which rows are ratings above the threshold, or clicks without a rating."""
        liked = super().clicked(events)
        if self.unrated != "click":
            return liked
        assert events.value is not None  # read gives them
        return np.asarray(liked | np.isnan(events.value))

    def click_in_words(self) -> str:
        """What a click is, for the manifest."""
        words = {"drop": "what is not rated is left out", "met": "what is not rated is met, not clicked"}
        return f"{super().click_in_words()}; {words.get(self.unrated, 'what is not rated too')}"
