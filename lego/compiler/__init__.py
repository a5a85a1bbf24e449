"""Recommender + data → torch: check (all problems at once), assemble, plan."""

from lego.compiler.assemble import Compiled, compile  # noqa: A004 - the verb of the language

__all__ = ["Compiled", "compile"]
