"""Whether heads share a width evenly."""

from __future__ import annotations

from collections.abc import Iterator

from lego.errors import Problem


def undivided(width: int, heads: int, where: str, *, even: bool = False) -> Iterator[Problem]:
    """A problem where `width` does not divide into `heads`; with `even`, into heads of even width."""
    unit = 2 if even else 1
    if width % (heads * unit) == 0:
        return
    near = max((each for each in range(1, heads + 1) if width % (each * unit) == 0), default=None)
    fix = "change Recommender(width=…)"
    if near is not None:
        fix = f"choose heads that divide {width}, such as {near}, or {fix}"
    kind = "heads of even width" if even and width % heads == 0 else "heads"
    yield Problem(where, f"width {width} does not divide into {heads} {kind}", fix)
