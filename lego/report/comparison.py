"""A comparison of models: means and spreads, and the tests between them; as text, Markdown, LaTeX and JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs
from rich.console import Console

from lego.report.table import MISSING

_MODELS = ("model", "seeds")
_TESTS = ("metric", "models", "difference", "interval", "effect", "p", "p (Holm)")


@attrs.frozen(kw_only=True)
class Pair:
    """A test of two models in one metric."""

    metric: str
    first: str
    second: str
    difference: float
    """first minus second."""
    interval: tuple[float, float]
    effect: float | None
    p: float
    p_holm: float
    """Corrected for all tests of the comparison."""
    groups: int


@attrs.frozen(kw_only=True)
class Model:
    """The runs of one expression."""

    name: str
    text: str
    runs: list[str]
    seeds: list[int]
    mean: Mapping[str, float]
    std: Mapping[str, float | None]
    """Over the runs (n - 1); None for one run."""


@attrs.frozen(kw_only=True)
class Compared:
    """Models side by side."""

    models: Sequence[Model]
    tests: Sequence[Pair]
    protocol: str
    part: str
    data: str
    """The fingerprint of the data."""
    groups: int
    """How many the numbers are means over."""
    grouping: str
    """What a group is: impression or user."""
    test: str
    resamples: int
    confidence: float
    notes: Sequence[str]

    @property
    def record(self) -> dict[str, Any]:
        """In plain JSON types."""
        return attrs.asdict(self)

    @property
    def caption(self) -> str:
        """What is needed to read the numbers."""
        told = f"Part {self.part}, protocol {self.protocol}, {self.groups:,} {self.grouping}s, data {self.data[:12]}."
        if any(len(model.runs) > 1 for model in self.models):
            told += " Mean ± standard deviation (n - 1) over runs."
        if self.tests:
            tests = "1 test" if len(self.tests) == 1 else f"{len(self.tests)} tests"
            told += (
                f" Tests are paired per {self.grouping}, by {self.test} with {self.resamples:,} resamples, on values averaged "
                f"over the runs of a model; difference is first minus second, with its {self.confidence:.0%} interval; effect is "
                f"Cohen's d for pairs; p is two-sided, and corrected by Holm for {tests}."
            )
        return told

    def cells(self, digits: int = 4) -> tuple[list[list[str]], list[list[str]]]:
        """The two tables as texts, each with its header: models, then tests."""
        metrics = list(dict.fromkeys(name for model in self.models for name in model.mean))
        models = [[*_MODELS, *metrics]]
        models += [
            [model.name, str(len(model.runs)), *(_number(model, name, digits) for name in metrics)]
            for model in self.models
        ]
        tests = [list(_TESTS)] if self.tests else []
        for each in self.tests:
            low, high = each.interval
            effect = MISSING if each.effect is None else f"{each.effect:+.3f}"
            numbers = [f"{each.difference:+.{digits}f}", f"[{low:+.{digits}f}, {high:+.{digits}f}]", effect]
            tests.append(
                [each.metric, f"{each.first} - {each.second}", *numbers, _p(each.p), _p(each.p_holm)]
            )
        return models, tests

    def markdown(self, digits: int = 4) -> str:
        """Two Markdown tables, and what the letters stand for."""
        parts = ["\n".join(_markdown(rows)) for rows in self.cells(digits) if rows]
        legend = "\n".join(f"- {model.name}: `{model.text}`" for model in self.models)
        return "\n\n".join([*parts, legend, self.caption, *self.notes]) + "\n"

    def latex(self, digits: int = 4) -> str:
        """Two LaTeX tables for the package booktabs, and the caption as a comment."""
        parts = ["\n".join(_latex(rows)) for rows in self.cells(digits) if rows]
        legend = [f"% {model.name}: {model.text}" for model in self.models]
        return (
            "\n\n".join(
                [*parts, "\n".join([*legend, *(f"% {each}" for each in (self.caption, *self.notes))])]
            )
            + "\n"
        )

    def print(self, console: Console, digits: int = 4) -> None:
        """As aligned lines, which no terminal cuts."""
        for rows in self.cells(digits):
            if not rows:
                continue
            widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
            for row in rows:
                line = "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))
                console.print(line, soft_wrap=True, markup=False, highlight=False, emoji=False)
            console.print()
        for model in self.models:
            line = f"{model.name}: {model.text}"
            console.print(line, soft_wrap=True, markup=False, highlight=False, emoji=False)
        for line in (self.caption, *self.notes):
            console.print(line, soft_wrap=True, markup=False, highlight=False, emoji=False)


def _number(model: Model, metric: str, digits: int) -> str:
    mean, std = model.mean.get(metric), model.std.get(metric)
    if mean is None:
        return MISSING
    return f"{mean:.{digits}f}" if std is None else f"{mean:.{digits}f} ± {std:.{digits}f}"


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _markdown(rows: Sequence[Sequence[str]]) -> list[str]:
    header, *body = rows
    rule = ["---", *["---:"] * (len(header) - 1)]
    return [
        "| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in (header, rule, *body)
    ]


_SPECIAL = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "±": r"$\pm$",
    "<": r"$<$",
    ">": r"$>$",
    "–": "--",
}


def _latex(rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [
        " & ".join("".join(_SPECIAL.get(sign, sign) for sign in cell) for cell in row) + r" \\"
        for row in rows
    ]
    columns = "l" + "r" * (len(rows[0]) - 1)
    return [
        rf"\begin{{tabular}}{{{columns}}}",
        r"\toprule",
        lines[0],
        r"\midrule",
        *lines[1:],
        r"\bottomrule",
        r"\end{tabular}",
    ]
