"""What can go wrong, in one tree. Every sentence says where, what, and how to fix.

LegoError
├── SpecError          a spec was made from wrong values              (also a ValueError)
├── ExpressionError    a text is not an expression of the language    (also a ValueError)
├── CatalogError       an operator cannot be found, loaded or told apart   (also a LookupError)
├── CompositionError   specs that are right alone do not fit together; all problems at once
├── DataError          raw files or a prepared folder cannot be read; all problems at once
├── CheckpointError    weights or tokenizer of a language model cannot be had
├── GeneratorError     a language model that writes data cannot be asked, or what it may cost is spent
├── ScriptError        an experiment script cannot be read
└── RunError           a run folder cannot be made, read or resumed; a run went wrong
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches

import attrs


def did_you_mean(name: str, available: Iterable[str]) -> str:
    """`Did you mean 'heads'? ` or nothing; ends with a blank so that it can be put before a sentence."""
    names = list(available)
    folded = {each.lower(): each for each in names}
    if name.lower() in folded:
        return f"Did you mean {folded[name.lower()]!r}? "
    near = get_close_matches(name, names, n=1) or [
        folded[each] for each in get_close_matches(name.lower(), folded, n=1, cutoff=0.5)
    ]
    return f"Did you mean {near[0]!r}? " if near else ""


@attrs.frozen
class Problem:
    """One thing that is wrong: where, what, and the way out."""

    where: str
    what: str
    fix: str

    def __str__(self) -> str:
        return f"  {self.where}: {self.what}\n    fix: {self.fix}"


class LegoError(Exception):
    """The root. The command line prints these without a traceback."""

    wrong_use: bool = False
    """Whether what the user wrote is to blame, and not the world: exit code 2 instead of 1."""

    problems: tuple[Problem, ...] = ()
    """The single things that are wrong, where they are known one by one."""


class SpecError(LegoError, ValueError):
    """A spec was made from wrong values."""

    wrong_use = True

    @classmethod
    def unknown_option(cls, spec: str, name: str, available: Iterable[str]) -> SpecError:
        """A keyword that the spec does not have."""
        names = list(available)
        told = f"Its options: {', '.join(names)}." if names else "It has no options."
        return cls(f"{spec} has no option {name!r}. {did_you_mean(name, names)}{told}")

    @classmethod
    def wrong_call(cls, spec: str, what: str, signature: str) -> SpecError:
        """Too many or too few arguments."""
        return cls(f"{spec}: {what}. Write it as {signature}.")

    @classmethod
    def wrong_value(cls, spec: str, option: str, value: object, expected: str) -> SpecError:
        """A value of the wrong type or outside its range."""
        return cls(f"{spec}({option}={value!r}): {option} must be {expected}, was {value!r}.")

    @classmethod
    def open_choice(cls, spec: str) -> SpecError:
        """A spec that still holds a choice was asked to build."""
        return cls(
            f"{spec} holds any_of(…) or cases(…), so it describes several models and cannot be built as one. "
            "Run every combination with `lego sweep SCRIPT`, or choose one with --set PATH=VALUE."
        )

    @classmethod
    def unresolved(cls, spec: str, problem: object) -> SpecError:
        """An annotation that cannot be read at run time."""
        return cls(
            f"{spec}: an annotation cannot be resolved at run time ({problem}). "
            "Import the names used in a spec's annotations outside `if TYPE_CHECKING`."
        )


class ExpressionError(LegoError, ValueError):
    """A text is not an expression of the language."""

    wrong_use = True

    @classmethod
    def at(cls, text: str, column: int, what: str) -> ExpressionError:
        """Shows the text with a mark under the place."""
        return cls(f"{what}\n  {text}\n  {' ' * column}^")


class CatalogError(LegoError, LookupError):
    """An operator cannot be found, loaded or told apart."""

    wrong_use = True

    @classmethod
    def unknown(
        cls,
        slot: str,
        name: str,
        available: Iterable[str],
        off: Iterable[str] = (),
        switch: str = "LEGO_PLUGINS",
        torn: Iterable[str] = (),
    ) -> CatalogError:
        """Nothing has this name, or only what the distributions `off` offer, which `switch` leaves out.

        `torn` are installed distributions whose metadata cannot be read, so that nobody knows what they offer.
        """
        names = sorted(available)
        listing = ", ".join(names) or "nothing (is lego installed? try: pip install -e .)"
        more = "".join(f" {each} offers it, but {switch} leaves {each} out." for each in sorted(off))
        more += "".join(
            f" {each} may offer it, but its metadata is malformed: see `lego plugins`." for each in torn
        )
        return cls(f"No {slot} is called {name!r}. {did_you_mean(name, names)}Available: {listing}.{more}")

    @classmethod
    def wrong_switch(cls, file: object, value: object) -> CatalogError:
        """The list of plugins of a project is no list."""
        wanted = 'plugins = "off", or plugins = ["legorec-some", "legorec-other"]'
        return cls(f"{file}: [tool.lego] plugins is {value!r}. Write {wanted}.")

    @classmethod
    def ambiguous(cls, name: str, distributions: Iterable[str]) -> CatalogError:
        """Two distributions claim the name."""
        forms = [f"{each}.{name}(…)" for each in distributions]
        return cls(f"{name!r} is claimed by {len(forms)} distributions. Write {' or '.join(forms)}.")

    @classmethod
    def broken(
        cls, name: str, distribution: str, version: str, target: str, why: object, file: str | None = None
    ) -> CatalogError:
        """An entry point that cannot be loaded."""
        place = f", {file}" if file else ""
        return cls(
            f"{name!r} of {distribution} {version} ({target}{place}) cannot be loaded: {why}. "
            f"Repair it, or remove it with: pip uninstall {distribution}"
        )


class _Several(LegoError):
    """An error that carries all its problems."""

    headline: str = "problems"

    def __init__(
        self, problems: Sequence[Problem] | str, more: int = 0, headline: str | None = None, *, alike: int = 0
    ) -> None:
        """`more` problems are not told, and `alike` are told with others of these."""
        if isinstance(problems, str):
            super().__init__(problems)
            return
        self.problems = tuple(problems)
        count = len(self.problems) + more + alike
        lines = [
            f"{headline or self.headline}: {count} problem{'' if count == 1 else 's'}",
            *map(str, self.problems),
        ]
        if more:
            lines.append(f"  … and {more} more")
        super().__init__("\n".join(lines))


class CompositionError(_Several):
    """Specs that are right alone do not fit together."""

    wrong_use = True
    headline = "cannot compile"


class DataError(_Several):
    """Raw files or a prepared folder cannot be read."""

    headline = "cannot read the data"


class CheckpointError(LegoError):
    """Weights or tokenizer of a language model cannot be had: which checkpoint, what is wrong, the way out."""

    def __init__(self, where: str, what: str, fix: str) -> None:
        self.problem = Problem(where, what, fix)
        self.problems = (self.problem,)
        super().__init__(f"{where}: {what}\n  fix: {fix}")


class GeneratorError(_Several):
    """A language model that writes data cannot be asked, or its answers cannot be had."""

    headline = "cannot generate"


class ScriptError(LegoError):
    """An experiment script cannot be read."""

    wrong_use = True


class RunError(LegoError):
    """A run folder cannot be made, read or resumed, or a run went wrong."""

    @classmethod
    def absent(cls, path: object) -> RunError:
        """What the user named is not there, which is wrong use."""
        made = cls(f"There is no run folder {path}. `lego run` prints the path of the folder that it makes.")
        made.wrong_use = True
        return made

    @classmethod
    def unwritten(cls, path: object, problem: Exception, fix: str = "") -> RunError:
        """The disk did not take a file: full, read-only, not allowed."""
        reason = getattr(problem, "strerror", None) or str(problem)
        ways = fix or "choose another folder with --out (LEGO_HOME for caches)"
        return cls(
            f"{path} cannot be written: {reason}. What was kept before is whole. Free some room or {ways}, "
            "and give the command again (`lego run` with --resume)."
        )

    @classmethod
    def too_many_open(cls, path: object) -> RunError:
        """The system lets the process open no more files."""
        return cls(
            f"{path}: no more files can be open at once. Each column of long data is several: name fewer columns, or allow more "
            "files (`ulimit -n 10240`), and give the command again."
        )
