"""The table of docs/speed.md, from the numbers of a release: what was aimed at, what was measured, by which command."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import evaluation
import language_models
import metrics
import preparing

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "speed.md"
RELEASE = ROOT / "tests" / "bench" / "releases" / "unreleased.json"
BEGIN, END = "<!-- the table: make bench ONLY=overall -->", "<!-- end of the table -->"

Numbers = Mapping[str, Any]


def _step(model: str, width: int, what: str = "ratio", batch: int = 0) -> Callable[[Numbers], float]:
    """A number of the step of a model, in batches of 64 unless it is the second size that is asked for."""

    def found(numbers: Numbers) -> float:
        line = numbers["step"]["models"][f"{model}, {width}"][batch]
        if what == "ratio":
            return float(line["ratio"][0])
        if what == "peak":
            return float(line["plain peak"] / line["peak"])
        if what == "adds":
            return float(line["of the plain step"] / line["of the step"])
        return float(line["rate"] / 1e9 / numbers["machine"]["peak GFLOP/s"])

    return found


def _language(learns: str) -> Callable[[Numbers], float]:
    """How many times as cheap as all layers learning in the plain way."""

    def found(numbers: Numbers) -> float:
        cost = {row["name"]: row["cost"] for row in numbers["language_models"]["MiniLM"]["rows"]}
        return float(cost[language_models.PLAIN] / cost[learns])

    return found


def _of_the_peak(numbers: Numbers) -> float:
    rows = {row["name"]: row for row in numbers["language_models"]["MiniLM"]["rows"]}
    share = language_models.share(rows[language_models.FULL], numbers["machine"]["peak GFLOP/s"])
    if share is None:
        raise KeyError("operations")
    return share


def _evaluation(model: str, how: str) -> Callable[[Numbers], float]:
    return lambda numbers: float(numbers["evaluation"]["whole"][model][how]["ratio"][0])


ROWS: tuple[tuple[str, float, bool, str, str, Callable[[Numbers], float]], ...] = (
    *(
        (f"{name}, a step, width {width}", goal, False, "step", "training", _step(model, width))
        for name, model, width, goal in (
            ("NRMS", "NRMS", 64, 5.0),
            ("NRMS", "NRMS", 256, 7.5),
            ("NAML of one view", "NAML, one view", 64, 4.0),
            ("NAML of one view", "NAML, one view", 256, 4.0),
            ("NAML of four views", "NAML, four views", 64, 4.0),
            ("NAML of four views", "NAML, four views", 256, 4.0),
        )
    ),
    (
        *("MiniLM, a step in which all layers learn", 8.0, False, "language_models", "language models"),
        _language(language_models.FULL),
    ),
    (
        *("MiniLM, `split(-1)`, over all layers in the plain way", 50.0, False),
        *("language_models", "language models", _language("split(5)")),
    ),
    *(
        (
            f"evaluation with caches and metrics, {model}, over {how}",
            goal,
            False,
            "evaluation",
            "evaluation",
            found,
        )
        for model, how, goal, found in (
            ("NRMS", "impressions", 20.0, _evaluation("Dot", evaluation.BY_IMPRESSION)),
            ("NRMS", "pairs", 50.0, _evaluation("Dot", evaluation.BY_PAIR)),
        )
    ),
    (
        *("five metrics, over scikit-learn for each impression", 300.0, False, "metrics", "metrics"),
        lambda numbers: float(numbers["metrics"]["rows"][metrics.LOOP]["ratio"][0]),
    ),
    (
        *("preparing MIND-large, over a loop in Python", 10.0, False, "preparing", "preparing"),
        lambda numbers: float(numbers["preparing"]["times"][preparing.LOOP][0]),
    ),
    (
        *("what a step of NRMS, width 64, adds to memory: less than the plain way's", 2.0, False),
        *("step", "training", _step("NRMS", 64, "adds")),
    ),
    (
        *("memory of the whole process in that step: the same", 2.0, False),
        *("step", "training", _step("NRMS", 64, "peak")),
    ),
    *(
        (
            *(f"products of NRMS, width {width}, batches of {64 << 2 * batch}: share of the peak", goal),
            *(True, "step", "training", _step("NRMS", width, "share", batch)),
        )
        for width, batch, goal in ((64, 0, 0.15), (64, 1, 0.15), (256, 0, 0.5), (256, 1, 0.5))
    ),
    (
        *("products of MiniLM, all layers learning: share of the peak", 0.5, True, "language_models"),
        *("language models", _of_the_peak),
    ),
)
"""What, goal, whether it is a share, suite, page, and where the number stands."""


def table(numbers: Numbers) -> list[str]:
    """Lines of Markdown; bold is what was missed, and a dash what this release has no numbers of."""
    lines = ["| what | aimed at | measured | `make bench` | page |", "|---|---:|---:|---|---|"]
    for what, goal, share, suite, page, found in ROWS:
        try:
            value = found(numbers)
        except KeyError:
            told = "–"
        else:
            told = _told(value, share=share) if value >= goal else f"**{_told(value, share=share)}**"
        place = f"speed_of_{page}.md" if suite != "language_models" else "language_models.md"
        lines.append(f"| {what} | {_told(goal, share=share)} | {told} | `ONLY={suite}` | [{page}]({place}) |")
    return lines


def _told(value: float, *, share: bool) -> str:
    if share:
        return f"{value:.0%}"
    return f"{value:,.0f}" if value >= 10 or value == int(value) else f"{value:.1f}"


def written(page: str, numbers: Numbers) -> str:
    """The page with its table made again."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"{PAGE.name} lacks {BEGIN} or {END}")
    return "\n".join([before + begin, "", *table(numbers), "", end + after])
