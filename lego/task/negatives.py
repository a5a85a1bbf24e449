"""What tasks that set a click against other items share: how many of them, and from where."""

from __future__ import annotations

from typing import Literal

from lego.contract import Candidates
from lego.errors import SpecError
from lego.spec import Choice, Task

NegativeSource = Literal["impression", "user", "uniform", "popularity", "batch"]
"""`impression`: shown beside the click and not clicked; `user`: shown to the same user at any time and not clicked; `uniform` and
`popularity`: from the whole catalogue, evenly or as often as items are clicked; `batch`: the clicks of the batch's other rows.
All but the first leave out what the user is known to have clicked."""

Excluded = Literal["positives", "history"]
"""What negatives from elsewhere than the impression may not be: the user's clicks in the part, or those before, too."""

BY_POPULARITY = ("popularity", "batch")
"""Sources that give an item as often as it is clicked."""

USUAL = 4
"""Negatives of a click where nothing is said."""


def drawn(
    negatives: int | None, source: str, *, correction: bool = False, exclude: Excluded = "history"
) -> Candidates:
    """A positive and its negatives: four where no number is said, all others of the batch with the source `batch`."""
    count = USUAL if negatives is None and source != "batch" else negatives
    return Candidates(count, source, "frequency" if correction else None, exclude)


def check_exclude(spec: Task, source: object, exclude: object) -> None:
    """SpecError for an option that nothing would read: what was shown and not clicked is a negative as it is."""
    if exclude == "positives" and source == "impression":
        wanted = "'history' with source='impression', which excludes nothing, or another source"
        raise SpecError.wrong_value(type(spec).__name__, "exclude", exclude, wanted)


def check_correction(spec: Task, source: object, correction: object) -> None:
    """SpecError where there is nothing to correct: the source gives popular items no more often than others."""
    if correction is True and not isinstance(source, Choice) and source not in BY_POPULARITY:
        wanted = f"False with source={source!r}, or source={' or '.join(map(repr, BY_POPULARITY))}"
        raise SpecError.wrong_value(type(spec).__name__, "correction", correction, wanted)
