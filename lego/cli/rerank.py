"""How commands read `--rerank`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lego.spec import Rerank


def read(text: str) -> Rerank | None:
    """The re-ranker of an expression, or of a name alone; None for an empty text. SpecError where it is none."""
    from lego.errors import SpecError
    from lego.expression import parse
    from lego.spec import Rerank

    if not text:
        return None
    made = parse(text if "(" in text else f"{text}()")
    if not isinstance(made, Rerank):
        raise SpecError(f"--rerank {text}: {made!r} is no re-ranker. See `lego catalog rerank`.")
    return made
